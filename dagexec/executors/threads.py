"""Tasks on threads of this process: the caller's thread is worker 0, the others come from a pool.

Two ways of dispatch serve two kinds of plan. Short tasks need one that costs next to nothing (light.py).
Where tasks take so long that an order pays, where there are priorities, a log or a limit on memory, the most
urgent task comes first (ranked.py).

An error or an interrupt stops the handing-out, running tasks are waited for, and the first error is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from dagexec.events import Events
from dagexec.executors.counting import counters
from dagexec.executors.light import LightRun
from dagexec.executors.ranked import RankedRun
from dagexec.executors.team import Run, Team, raise_first
from dagexec.plan import Plan
from dagexec.schedule import left

# From this mean length of a task on, what the order costs is a few percent at the most.
RANKED_FROM = 50e-6


class Threads:
    """Runs a plan on `workers` threads, which stay for the next run."""

    def __init__(self, plan: Plan, workers: int, max_live_bytes: float = inf) -> None:
        self.plan = plan
        self._workers = workers
        self._max_live_bytes = max_live_bytes
        self._team = Team()
        self._ranked = bool(plan.priority) or max_live_bytes < inf or _tasks_are_long(plan)
        if not self._ranked:
            self._waits, self._reads = counters(plan.unmet), counters(plan.readers)

    def __call__(
        self, values: list[Any], log: Events | None, stop: list[BaseException], done: Sequence[int] = ()
    ) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order.

        The tasks in `done` have been run, and their values are there.
        """
        plan = self.plan
        if self._ranked or log is not None:
            run: Run = RankedRun(plan, values, log, stop, self._max_live_bytes, done)
        elif done:
            unmet, readers, ready = left(plan, done)
            run = LightRun(plan, values, stop, counters(unmet), counters(readers), ready)
        else:
            run = LightRun(plan, values, stop, self._waits, self._reads, plan.roots)
        self._team.run(run, self._workers, stop)
        raise_first(stop)
        return self.plan.results(values)

    def close(self) -> None:
        """Let the threads go."""
        self._team.close()


def _tasks_are_long(plan: Plan) -> bool:
    """Is it known of the tasks that they take long, compared with the cost of an order?"""
    known = plan.costs is not None or plan.origin is not None
    return known and bool(plan.tasks) and sum(plan.seconds) > RANKED_FROM * len(plan.tasks)
