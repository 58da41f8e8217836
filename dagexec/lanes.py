"""Who computes what, decided beforehand: a lane of tasks for each worker, with few waits between them.

Where the times of tasks are known, a run can be simulated. A worker goes on with what it has at hand, what
reads values that it has computed itself; what it takes from another must be worth the wait. Between two waits
the tasks of a lane are one leg.

>>> import numpy as np, dagexec
>>> x = np.ones((500, 500))
>>> plan = dagexec.plan(dagexec.trace(lambda x: np.tanh(x @ x) @ np.tanh(x.T @ x))(x))
>>> [(task, plan.name(task)) for task in plan.tasks]
[(1, 'matmul'), (2, 'tanh'), (3, 'permute_dims'), (4, 'matmul'), (5, 'tanh'), (6, 'matmul')]
>>> lanes = lanes_of(plan, 2)
>>> lanes
{3: 0, 1: 1, 4: 0, 2: 1, 5: 0, 6: 0}
>>> legs_of(lanes, dict(enumerate(plan.sources)))
([[3, 4, 5], [1, 2], [6]], [(), (), (0, 1)])
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import islice

from dagexec.collector import collector_paused
from dagexec.plan import Plan

WAKING = 50e-6  # seconds until a thread goes on that has waited for another
WORTH_TAKING = 50e-6  # seconds of a task: what is shorter stays with who has what it reads
FREE = 2e-6  # a view, or nearly nothing: where it was made does not matter
LOOK_AT = 8  # tasks of another lane


@collector_paused()
def lanes_of(plan: Plan, workers: int) -> dict[int, int]:
    """The lane of each task, in the order in which they begin.

    A task is at hand in the lane of what it reads that took longest. There the last made ready comes first:
    who goes on with what is new holds less at a time, and has more of it in the cache. A lane with nothing at
    hand goes on with the most urgent of what is at no hand, else with what is worth taking from another.
    """
    return _Lanes(plan, workers).lanes()


class _Lanes:
    """The state of a simulated run: who is idle, what is at hand in each lane, and what anybody may take."""

    def __init__(self, plan: Plan, workers: int) -> None:
        self._plan = plan
        self._unmet = plan.unmet.copy()
        self._at_hand: list[deque[int]] = [deque() for _ in range(workers)]
        self._common = [plan.rank[task] for task in plan.roots]
        heapify(self._common)
        self._lane: dict[int, int] = {}
        # For each value the time that it took, or what it is a view of; and where it was computed.
        self._held: dict[int, tuple[float, int]] = {}

    def lanes(self) -> dict[int, int]:
        """Run."""
        seconds = self._plan.seconds
        idle = list(range(len(self._at_hand)))
        running: list[tuple[float, int, int]] = []  # (end, lane, task)
        now = 0.0
        while True:
            for lane in sorted(idle):
                task = self._next(lane)
                if task is not None:
                    idle.remove(lane)
                    self._lane[task] = lane
                    heappush(running, (now + seconds[task], lane, task))
            if not running:
                return self._lane
            now, lane, task = heappop(running)
            idle.append(lane)
            self._done(task, lane)

    def _next(self, lane: int) -> int | None:
        plan, own = self._plan, self._at_hand[lane]
        if own:
            return own.pop()
        if self._common:
            return plan.by_rank[heappop(self._common)]
        for other in sorted(self._at_hand, key=len, reverse=True):
            for task in islice(other, LOOK_AT):
                if plan.seconds[task] >= WORTH_TAKING:
                    other.remove(task)
                    return task
        return None

    def _done(self, task: int, lane: int) -> None:
        plan, unmet = self._plan, self._unmet
        long = plan.seconds[task] > FREE
        self._held[task] = (plan.seconds[task], lane) if long else max(self._read(task), (0.0, lane))
        made_ready = []
        for following in plan.successors[task]:
            unmet[following] -= 1
            if not unmet[following]:
                made_ready.append(plan.rank[following])
        for rank in sorted(made_ready, reverse=True):
            following = plan.by_rank[rank]
            took, at = self._read(following)
            if took:
                self._at_hand[at].append(following)
            else:
                heappush(self._common, rank)

    def _read(self, task: int) -> tuple[float, int]:
        """Of what a task reads, that which took longest to compute."""
        return max(
            [self._held[slot] for slot in self._plan.sources[task] if slot in self._held], default=(0.0, 0)
        )


def legs_of(
    lanes: Mapping[int, int], sources: Mapping[int, Iterable[int]]
) -> tuple[list[list[int]], list[tuple[int, ...]]]:
    """The tasks of lanes in legs, which wait for others only before they begin; and for which.

    `sources` are the tasks that each waits for; what is no task may be among them.
    """
    legs: list[list[int]] = []
    waits: list[tuple[int, ...]] = []
    leg_of: dict[int, int] = {}
    latest: dict[int, int] = {}  # the leg of a lane that was begun last
    is_open: set[int] = set()  # nobody waits for these yet
    for task, lane in lanes.items():
        awaited = {leg_of[source] for source in sources[task] if lanes.get(source, lane) != lane}
        is_open -= awaited
        leg = latest.get(lane, -1)
        if leg not in is_open or not awaited <= set(waits[leg]):
            before = [] if leg < 0 else [leg]
            is_open.discard(leg)
            leg = latest[lane] = len(legs)
            is_open.add(leg)
            legs.append([])
            waits.append((*before, *sorted(awaited)))
        legs[leg].append(task)
        leg_of[task] = leg
    return legs, waits


def writers_of(plan: Plan, through: Container[int]) -> dict[int, set[int]]:
    """What each task waits for: where that is in `through`, as views are, also what the view is of."""
    writers: dict[int, set[int]] = {}
    found: dict[int, set[int]] = {}
    for task in plan.tasks:
        found[task] = set().union(*[writers[slot] for slot in plan.sources[task] if slot in writers])
        writers[task] = found[task] | {task} if task in through else {task}
    return found


def seconds_in_lanes(plan: Plan, workers: int) -> float:
    """How long a run on so many workers takes, by the seconds of the plan."""
    lanes = lanes_of(plan, workers)
    free = {task for task in lanes if plan.seconds[task] <= FREE}
    writers = writers_of(plan, free)
    legs, waits = legs_of({task: lane for task, lane in lanes.items() if task not in free}, writers)
    ends: list[float] = []
    for leg, awaited in zip(legs, waits):
        lane = lanes[leg[0]]
        starts = [ends[other] + (lanes[legs[other][0]] != lane) * WAKING for other in awaited]
        ends.append(max(starts, default=0.0) + sum([plan.seconds[task] for task in leg]))
    return max(ends, default=0.0)
