"""Dispatch at the cost of a few hundred nanoseconds a task: no lock, no order but last in, first out.

A worker that finishes a task counts down the readers of what it has read and the unmet dependencies of what
follows, goes on with the first task that this makes ready, and leaves the others on a stack that all workers
take from. What is most recent is also most likely still in the cache.

`idle` holds a gate for each worker that has nothing to do; what is put there wakes it, or starts it if it has
not begun yet. Whoever leaves a task for others wakes one. A worker that finds nothing adds its gate and looks
once more before it sleeps, so no task is left lying; a needless waking does no harm. When all are idle the
run is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock
from typing import Any, Protocol

from dagexec.executors.counting import begun
from dagexec.plan import Plan


class Gate(Protocol):
    """Where to wake a worker: the queue it sleeps on, or what starts it."""

    def put(self, item: None, /) -> None:
        """Wake it."""


class LightRun:
    """One run of a plan, as the workers share it.

    `waits` and `reads` are counters' templates (see counting.py) for each slot, of its unmet dependencies and
    of its readers; `roots` are ready. As soon as `stop` holds an exception, no further task is begun.
    """

    def __init__(
        self,
        plan: Plan,
        values: list[Any],
        stop: list[BaseException],
        waits: Iterable[Any],
        reads: Iterable[Any],
        roots: Sequence[int],
    ) -> None:
        self.plan = plan
        self.values = values
        self.stop = stop
        self.waits = begun(waits)
        self.reads = begun(reads)
        self.ready = deque(reversed(roots))  # so that the first comes first
        self.workers = 1
        self.over = False
        self.idle: deque[Gate] = deque()
        self._begun: list[Gate] = []
        self._changing = Lock()

    def begin(self, helpers: Sequence[Gate]) -> None:
        """Have `helpers` beside the caller, who are started when there is work for them."""
        self.workers = 1 + len(helpers)
        self.idle.extend(helpers)
        for _ in range(min(len(helpers), len(self.ready) - 1)):
            self.wake()

    def wake(self) -> None:
        """Wake an idle worker, if there is one."""
        with suppress(IndexError):
            self.idle.pop().put(None)

    def work(self, worker: int) -> None:
        """Take on tasks until there are none, or the run is stopped."""
        plan, values, waits, reads = self.plan, self.values, self.waits, self.reads
        functions: list[Any] = plan.functions
        sources, fetch, successors, drops = plan.sources, plan.fetch, plan.successors, plan.drops
        stop = self.stop
        pop, push, idle, wake = self.ready.pop, self.ready.append, self.idle, self.wake
        gate: Any = SimpleQueue()
        task = None
        try:
            self._begun.append(gate)
            task = self.next_task(gate)
            while task is not None:
                slots = sources[task]
                count = len(slots)
                if count == 1:
                    values[task] = functions[task](values[slots[0]])
                elif count == 2:  # unpacking is cheaper than a call with *
                    first, second = slots
                    values[task] = functions[task](values[first], values[second])
                elif count:
                    values[task] = functions[task](*fetch[task](values))  # type: ignore[misc]
                else:
                    values[task] = functions[task]()
                for slot in drops[task]:
                    counter = reads[slot]
                    if counter is None or not next(counter):
                        values[slot] = None
                following = None
                for successor in successors[task]:
                    counter = waits[successor]
                    if counter is None or not next(counter):
                        if following is None:
                            following = successor
                        else:
                            push(successor)
                            if idle:
                                wake()
                if stop:
                    break
                if following is None:
                    try:
                        following = pop()
                    except IndexError:
                        following = self.next_task(gate)
                task = following
        except BaseException as error:
            stop.append(error)  # first, whatever the error may do
            if task is not None:
                plan.blame(task, error)
        finally:
            self.end()

    def next_task(self, gate: Any) -> int | None:
        """Wait for a task; None when the run is over."""
        while True:
            with self._changing:
                self._withdraw(gate)
                if self.over or self.stop:
                    return None
                self.idle.append(gate)
                try:
                    task = self.ready.pop()
                except IndexError:
                    if len(self.idle) == self.workers:
                        self.over = True
                        return None
                    task = None
                else:
                    withdrawn = self._withdraw(gate)
            if task is None:
                gate.get()
                continue
            if not withdrawn:  # whoever wakes this worker meant another task
                self.wake()
            return task

    def _withdraw(self, gate: Gate) -> bool:
        try:
            self.idle.remove(gate)
        except ValueError:
            return False
        return True

    def end(self) -> None:
        """Let all workers end."""
        with self._changing:
            self.over = True
            self.idle.clear()
            for gate in self._begun:
                gate.put(None)
