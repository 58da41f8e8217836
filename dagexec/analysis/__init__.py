"""How much of a plan can run at the same time, and what a run made of it.

Two numbers say the first. The work is the cost of all tasks; the span is the cost of the longest path through
them, the critical path, which no number of workers makes shorter. With P workers a run takes at least
max(work / P, span), so it is at most min(P, work / span) times as fast as on one. Work / span is called the
parallelism. If no worker idles while a task is ready, a run takes at most work / P + (1 - 1 / P) span,
whatever the order of the tasks: less than twice the optimum.

The cost of a task is its number of arithmetic operations by the op table, unless others are given, such as
the seconds that were measured.

>>> import numpy as np, dagexec
>>> x = np.ones(1000)
>>> plan = dagexec.plan(dagexec.trace(lambda x: (x + 1) * (x - 1))(x))
>>> found = analyze(plan)
>>> found.work, found.span, found.parallelism, found.bound(8)
(3000.0, 2000.0, 1.5, 1.5)
>>> found.widths, [(plan.name(step.task), step.share) for step in found.critical_path]
((2, 1), [('add', 0.5), ('multiply', 0.5)])

Of a run, the costs are what its events measured, and each worker's idle time is split by its reason:

>>> with dagexec.compile(plan.graph, "serial", events=True) as compiled:
...     _, events = compiled(x)
>>> run = analyze(compiled.plan, events=events)
>>> run.span <= run.work <= run.makespan, [(w.worker, w.tasks) for w in run.workers]
(True, [(0, 3)])

Sources: work and span after R. D. Blumofe and C. E. Leiserson, Scheduling multithreaded computations by work
stealing, J. ACM 46(5), 1999; the upper bound is R. L. Graham's, Bounds on multiprocessing timing anomalies,
SIAM J. Appl. Math. 17(2), 1969.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from dagexec.analysis.plans import Analysis, Step, critical_path, of_plan, operation_counts
from dagexec.analysis.runs import RunAnalysis, WorkerTime, measured_seconds, of_run
from dagexec.events import Events
from dagexec.plan import Plan


@overload
def analyze(plan: Plan, costs: Sequence[float] | None = None) -> Analysis: ...
@overload
def analyze(plan: Plan, *, events: Events) -> RunAnalysis: ...
def analyze(plan: Plan, costs: Sequence[float] | None = None, *, events: Events | None = None) -> Analysis:
    """Work, span, widths and critical path of a plan; with the `events` of a run, what the run did as well.

    `costs` holds each task's cost at its number. With `events`, the costs are the measured seconds, so they
    cannot be given as well: that raises TypeError.
    """
    if events is None:
        return of_plan(plan, costs)
    if costs is not None:
        raise TypeError("the costs of a run are measured: give costs or events, not both")
    return of_run(plan, events)
