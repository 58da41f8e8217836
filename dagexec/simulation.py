"""What a run would take: a plan on any number of workers under any policy, without running it.

The simulated workers are greedy, as in Graham's list scheduling: whenever one is idle and a task is ready, it
takes one on. Which one is the policy's choice:

- "critical-path": the longest remaining path first, as the executors do by `Plan.rank`;
- "fifo": the task that has been ready longest;
- "lifo": the one that became ready last;
- "random": any, by a seed.

Costs are the plan's seconds (measured if it has such, else estimated), or given: `measured_seconds` of a
recorded run, for one. A greedy schedule takes between max(work / P, span) and work / P + (1 - 1 / P) span, so
no policy is twice as slow as the best. How near it comes to that, a long chain beside many independent tasks
shows. Only the policy that looks ahead starts each link as soon as it can; the two that do not, finish the
independent tasks first:

>>> import numpy as np, dagexec
>>> def chain_beside_others(x):
...     link = x
...     for _ in range(100):
...         link = np.sin(link)
...     return [link, *(np.cos(x) for _ in range(700))]
>>> plan = dagexec.plan(dagexec.trace(chain_beside_others)(1.0))
>>> costs = [1.0] * len(plan.functions)
>>> for policy in ("critical-path", "fifo", "lifo", "random"):
...     print(policy, simulate(plan, 8, policy, costs).makespan)
critical-path 100.0
fifo 186.0
lifo 187.0
random 173.0
>>> for row in speedups(plan, (1, 2, 4, 8), "lifo", costs):
...     print(row.workers, *(round(value, 2) for value in row[1:]))
1 1.0 1.0 1.0
2 1.78 2.0 1.78
4 2.91 4.0 2.91
8 4.28 8.0 4.27

Source: R. L. Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17(2), 1969.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from random import Random
from typing import Any, NamedTuple

import numpy as np

from dagexec.analysis import analyze
from dagexec.collector import collector_paused
from dagexec.events import Events
from dagexec.graph import Spec
from dagexec.plan import Plan

Urgency = Callable[[int], float]  # asked once a task, when it becomes ready; the smallest is taken first


def _first_in_first_out(plan: Plan, costs: list[float], seed: int) -> Urgency:
    arrivals = count()
    return lambda task: next(arrivals)


def _last_in_first_out(plan: Plan, costs: list[float], seed: int) -> Urgency:
    arrivals = count(0, -1)
    return lambda task: next(arrivals)


def _critical_path(plan: Plan, costs: list[float], seed: int) -> Urgency:
    return replace(plan, costs=costs).rank.__getitem__


def _random(plan: Plan, costs: list[float], seed: int) -> Urgency:
    random = Random(seed).random
    return lambda task: random()


POLICIES: dict[str, Callable[[Plan, list[float], int], Urgency]] = {
    "critical-path": _critical_path,
    "fifo": _first_in_first_out,
    "lifo": _last_in_first_out,
    "random": _random,
}


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A simulated run: `spans` holds (task, worker, start, end) of each task in the order of their starts."""

    plan: Plan = field(repr=False)
    workers: int
    policy: str
    makespan: float
    spans: tuple[tuple[int, int, float, float], ...] = field(repr=False)

    @property
    def idle(self) -> tuple[float, ...]:
        """For each worker the time in which it computes nothing, up to the makespan."""
        idle = [self.makespan] * self.workers
        for _, worker, start, end in self.spans:
            idle[worker] -= end - start
        return tuple(idle)

    @collector_paused()
    def events(self) -> Events:
        """The log that a recorded run of this kind would have left, from time 0.

        A value has the bytes that its Spec says, and is freed the moment its last reader ends.

        >>> import dagexec
        >>> plan = dagexec.plan(dagexec.trace(lambda x: (x + 1) * 2)(np.ones(100)))
        >>> log = simulate(plan, 2, costs=[3.0] * len(plan.functions)).events()
        >>> [(event.kind, event.task, event.time, event.bytes) for event in log if event.task == 2]
        [('ready', 2, 0.0, 0), ('start', 2, 0.0, 0), ('end', 2, 3.0, 800), ('free', 2, 6.0, 800)]
        """
        plan, nodes = self.plan, self.plan.graph.nodes
        kept = {slot for slot, _ in plan.outputs}
        # By the time, the place among the starts and the kind: a cause stands before its effect, also where
        # both are at the same moment.
        ends: dict[int, tuple[float, int, int]] = {}
        rows: list[tuple[float, int, int, str, int, int]] = []
        for place, (task, worker, start, end) in enumerate(self.spans):
            before = [ends[slot] for slot in plan.sources[task] if slot in ends]
            ready, _, by = max(before, default=(0.0, 0, 0))
            rows.append((ready, place, 0, "ready", task, by))
            rows.append((start, place, 1, "start", task, worker))
            rows.append((end, place, 2, "end", task, worker))
            ends[task] = (end, place, worker)
        for slot in ends.keys() - kept:
            time, place, by = max(ends[reader] for reader in plan.successors[slot] or (slot,))
            rows.append((time, place, 3, "free", slot, by))
        log = Events(plan.graph)
        for time, _, _, kind, task, worker in sorted(rows):
            value = _stand_in(nodes[task].spec) if kind in ("end", "free") else None
            log.note(kind, task, worker, value, time)
        return log


@collector_paused()
def simulate(
    plan: Plan,
    workers: int,
    policy: str = "critical-path",
    costs: Sequence[float] | None = None,
    *,
    overhead: float = 0.0,
    seed: int = 0,
) -> Simulation:
    """Simulate a run of `plan` on `workers`; O((tasks + edges) log tasks).

    `costs` holds each task's cost at its number (default: `plan.seconds`), `overhead` is what a worker spends
    on each task before it starts it, `seed` is for the policy "random". Raises ValueError for no workers, an
    unknown policy, or a cost that is no time.

    >>> import dagexec
    >>> plan = dagexec.plan(dagexec.trace(lambda x: (x + 1) * (x - 1))(1.0))
    >>> found = simulate(plan, workers=2, costs=[0, 0, 3, 2, 4])    # %2 = add, %3 = subtract, %4 = multiply
    >>> found.makespan, found.spans, found.idle
    (7.0, ((2, 0, 0.0, 3.0), (3, 1, 0.0, 2.0), (4, 0, 3.0, 7.0)), (0.0, 5.0))
    """
    costs = _checked(plan, workers, policy, costs, overhead)
    urgency = POLICIES[policy](plan, costs, seed)
    unmet, successors = plan.unmet.copy(), plan.successors
    waiting = [(urgency(task), task) for task in plan.roots]
    heapify(waiting)
    idle = list(range(min(workers, len(plan.tasks))))
    running: list[tuple[float, int, int]] = []  # (end, place in spans, task)
    spans: list[tuple[int, int, float, float]] = []
    now = 0.0
    while waiting or running:
        while waiting and idle:
            _, task = heappop(waiting)
            start = now + overhead
            heappush(running, (start + costs[task], len(spans), task))
            spans.append((task, heappop(idle), start, start + costs[task]))
        now = running[0][0]
        while running and running[0][0] == now:  # all of them, before one of what they make ready is chosen
            _, place, task = heappop(running)
            heappush(idle, spans[place][1])
            for following in successors[task]:
                unmet[following] -= 1
                if not unmet[following]:
                    heappush(waiting, (urgency(following), following))
    return Simulation(plan, workers, policy, now, tuple(spans))


class SpeedUp(NamedTuple):
    """How many times as fast as one worker: as simulated, at the most, and at the least if no worker idles
    while a task is ready (`Analysis.bound` and `Analysis.guaranteed`)."""

    workers: int
    simulated: float
    bound: float
    guaranteed: float


def speedups(
    plan: Plan,
    workers: Sequence[int] = (1, 2, 4, 8),
    policy: str = "critical-path",
    costs: Sequence[float] | None = None,
) -> tuple[SpeedUp, ...]:
    """The simulated speed-up on each number of workers, beside what no policy can leave.

    >>> import dagexec
    >>> plan = dagexec.plan(dagexec.trace(lambda x: [x + number for number in range(6)])(1.0))
    >>> [row.simulated for row in speedups(plan, (1, 2, 4), costs=[1.0] * len(plan.functions))]
    [1.0, 2.0, 3.0]
    """
    costs = plan.seconds if costs is None else costs
    found = analyze(plan, costs)
    rows = []
    for number in workers:
        makespan = simulate(plan, number, policy, costs).makespan
        simulated = found.work / makespan if makespan else 1.0
        rows.append(SpeedUp(number, simulated, found.bound(number), found.guaranteed(number)))
    return tuple(rows)


def _checked(
    plan: Plan, workers: int, policy: str, costs: Sequence[float] | None, overhead: float
) -> list[float]:
    """The costs as a list, with everything found to make sense."""
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be at least one")
    if policy not in POLICIES:
        raise ValueError(f"policy is {policy!r}; it can be {', '.join(POLICIES)}")
    if not 0 <= overhead < inf:
        raise ValueError(f"overhead is {overhead}; it must be a time, zero or more")
    costs = plan.seconds if costs is None else list(costs)
    if len(costs) != len(plan.functions):
        raise ValueError(f"there are {len(costs)} costs, but the plan has {len(plan.functions)} slots")
    for task in plan.tasks:
        if not 0 <= costs[task] < inf:
            raise ValueError(f"the cost of {plan.describe(task)} is {costs[task]}; it must be zero or more")
    return costs


def _stand_in(spec: Any) -> Any:
    """An array of this Spec that holds no memory, for those who count bytes; a tuple of them for several."""
    if isinstance(spec, tuple):
        return tuple(map(_stand_in, spec))
    return np.broadcast_to(np.empty((), spec.dtype), spec.shape) if isinstance(spec, Spec) else None
