"""The scheduling core: which task is ready, which value is dead. No thread, no array, no clock.

A task waits while it has unmet dependencies, is *ready* when it has none, *running* once it was handed out by
`ready()`, and *done* or *failed* when the executor says so. Of the ready tasks the most urgent is handed out
first (Plan.rank). A value is dead when its last reader is done. After a failure nothing more is handed out.

>>> import numpy as np
>>> from dagexec.plan import plan
>>> from dagexec.tracing import trace
>>> schedule = Schedule(plan(trace(lambda x: np.sin(x) + np.cos(x))(1.0)))
>>> schedule.ready(), schedule.ready(), schedule.ready()    # %1 = sin(x), %2 = cos(x); add must wait
(1, 2, None)
>>> schedule.done(1), schedule.done(2)                      # (made ready, dead values): now x is dead
(([], []), ([3], [0]))
>>> schedule.ready(), schedule.finished
(3, False)
>>> schedule.done(3), schedule.finished
(([], [1, 2]), True)

Not thread-safe: an executor with several threads calls it under a lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from dagexec.plan import Plan


def left(plan: Plan, done: Sequence[int] = ()) -> tuple[list[int], list[int], list[int]]:
    """When some tasks are done: unmet dependencies and readers of each slot, and the tasks that are ready."""
    unmet, readers = plan.unmet.copy(), plan.readers.copy()
    if not done:
        return unmet, readers, plan.roots
    over = bytearray(len(unmet))
    for task in done:
        over[task] = True
        for following in plan.successors[task]:
            unmet[following] -= 1
        for slot in plan.sources[task]:
            readers[slot] -= 1
    return unmet, readers, [task for task in plan.tasks if not unmet[task] and not over[task]]


class Schedule:
    """The state of one run of a plan, or of what is left of it when the tasks in `done` are."""

    __slots__ = ("_heap", "_plan", "_readers", "_roots", "_unmet", "remaining", "running", "stopped")

    def __init__(self, plan: Plan, done: Sequence[int] = ()) -> None:
        self._plan = plan
        self._unmet, self._readers, ready = left(plan, done)
        self._heap: list[int] = []
        self._roots = sorted([plan.rank[task] for task in ready], reverse=True)
        self.remaining = len(plan.tasks) - len(done)
        self.running = 0
        self.stopped = False

    @property
    def finished(self) -> bool:
        """Is there nothing more to hand out, now or later?"""
        return self.stopped or not self.remaining

    @property
    def waiting(self) -> int:
        """How many tasks are ready and not handed out."""
        return 0 if self.stopped else len(self._heap) + len(self._roots)

    def ready(self, hold_roots: bool = False) -> int | None:
        """Hand out the most urgent ready task; None if there is none at the moment.

        With `hold_roots` a task that waits for no other is handed out only if else nothing would go on.
        """
        heap, roots = self._heap, self._roots
        if self.stopped or not (heap or roots):
            return None
        if heap and (hold_roots or not roots or heap[0] < roots[-1]):
            rank = heappop(heap)
        elif hold_roots and self.running:
            return None
        else:
            rank = roots.pop()
        self.running += 1
        return self._plan.by_rank[rank]

    def done(self, task: int) -> tuple[list[int], list[int]]:
        """Note that a task is done: the tasks that this makes ready, and the slots whose value is dead."""
        plan, unmet, readers = self._plan, self._unmet, self._readers
        self.remaining -= 1
        self.running -= 1
        made_ready = []
        for following in plan.successors[task]:
            unmet[following] -= 1
            if not unmet[following]:
                heappush(self._heap, plan.rank[following])
                made_ready.append(following)
        dead = [] if readers[task] else [task]
        for slot in plan.sources[task]:
            readers[slot] -= 1
            if not readers[slot]:
                dead.append(slot)
        return made_ready, dead

    def failed(self) -> None:
        """Note that a task failed, or that the run is to stop: nothing more is handed out."""
        self.stopped = True
