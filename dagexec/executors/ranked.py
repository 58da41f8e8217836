"""Dispatch by urgency: of the ready tasks the one with the longest path to the end comes first.

Under one lock a worker reports the task it has finished and takes the most urgent ready one; outside of the
lock it computes. A worker that finds nothing ready sleeps; whoever makes more tasks ready than it takes on
itself wakes one sleeper. This costs a few microseconds a task, so it is for tasks that take far longer, and
for what needs the lock anyway: a log, and a limit on the memory that values hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from queue import SimpleQueue
from threading import Lock
from typing import Any

from dagexec.events import Events, held_bytes
from dagexec.executors.light import Gate
from dagexec.plan import Plan
from dagexec.schedule import Schedule


class RankedRun:
    """What the workers of one run share; the tasks in `done` have been run.

    Above `max_live_bytes` no task is begun that waits for no other.
    """

    def __init__(
        self,
        plan: Plan,
        values: list[Any],
        log: Events | None,
        stop: list[BaseException],
        max_live_bytes: float = inf,
        done: Sequence[int] = (),
    ) -> None:
        self.plan = plan
        self.values = values
        self.log = log
        self.stop = stop
        self.max_live_bytes = max_live_bytes
        self.live_bytes = 0
        self.held: dict[int, int] = {}
        self.schedule = Schedule(plan, done)
        # Bare locks and queues: an interrupt may come within a Condition's methods, and leave its lock taken.
        self.changing = Lock()
        self.idle: list[Gate] = []
        self.begun: list[Gate] = []
        if log is not None and not done:
            log.members = plan.members
            log.note_ready(plan.roots, 0)

    def begin(self, helpers: Sequence[Gate]) -> None:
        """Start all helpers: tasks are long enough for that."""
        for helper in helpers:
            helper.put(None)

    def work(self, worker: int) -> None:
        """Take on tasks until there are none."""
        plan, values, log = self.plan, self.values, self.log
        functions: list[Any] = plan.functions
        gate: Any = SimpleQueue()
        task = None
        try:
            self.begun.append(gate)
            task = self.next_task(None, worker, gate)
            while task is not None:
                if log is not None:
                    log.note("start", task, worker)
                values[task] = functions[task](*[values[slot] for slot in plan.sources[task]])
                if log is not None:
                    log.note("end", task, worker, values[task])
                task = self.next_task(task, worker, gate)
        except BaseException as error:
            self.stop.append(error)  # first, whatever the error may do
            if task is not None:
                plan.blame(task, error)
                if log is not None:
                    log.note("error", task, worker)
        finally:
            self.end()

    def next_task(self, finished: int | None, worker: int, gate: Any) -> int | None:
        """Report a finished task, and wait for the next; None when the run is over."""
        schedule = self.schedule
        while True:
            with self.changing:
                if finished is not None:
                    self.report(finished, worker)
                    finished = None
                if self.stop:
                    return None
                task = schedule.ready(self.live_bytes > self.max_live_bytes)
                if task is not None:
                    if self.idle and schedule.waiting:
                        self.idle.pop().put(None)
                    return task
                if schedule.finished:
                    return None
                self.idle.append(gate)
            gate.get()

    def report(self, task: int, worker: int) -> None:
        """Tell the schedule that a task is done, and drop the values that are dead."""
        values = self.values
        made_ready, dead = self.schedule.done(task)
        if self.log is not None:
            self.log.note_done(made_ready, dead, values, worker)
        if self.max_live_bytes < inf:
            # As counted at the end of each task, since the next may change a list. Arguments do not count.
            self.held[task] = held_bytes(values[task])
            self.live_bytes += self.held[task] - sum([self.held.pop(slot, 0) for slot in dead])
        for slot in dead:
            values[slot] = None

    def end(self) -> None:
        """Let all workers end."""
        with self.changing:
            self.schedule.failed()
            for gate in self.begun:
                gate.put(None)
