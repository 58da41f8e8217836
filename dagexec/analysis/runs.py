"""What a run did with its workers' time and with memory, from its events.

The makespan is the time from the first event to the end of the last task. In it a worker is busy or idle, and
an idle moment has one of two reasons. At each moment some tasks are ready and have not been started: as many
of the idle workers are in a *hand-over* (a task waits for them; from its being ready to its start, the
scheduler's own work included), those that will start a task soonest. For the other idle workers there was
*no ready task*: no schedule could have used them at that moment without another order of the tasks before it.
So for each worker busy + no ready task + hand-over is the makespan.

A value that stays after the end of its last reader is *freed late*: bytes × seconds, to its `free` event.

One sweep over the events in the order of time, O(n log n).

>>> import numpy as np, dagexec
>>> from dagexec.events import Events
>>> plan = dagexec.plan(dagexec.trace(lambda x: [np.sin(x) + 1, np.cos(x)])(1.0))
>>> log = Events(plan.graph)                              # %1 = sin, %3 = add, %4 = cos
>>> for kind, task, worker, time in [
...     ("ready", 1, 0, 0.0), ("ready", 4, 0, 0.0), ("start", 1, 0, 0.0), ("start", 4, 1, 1.0),
...     ("end", 4, 1, 2.0), ("end", 1, 0, 4.0), ("ready", 3, 0, 4.0), ("start", 3, 0, 5.0),
...     ("end", 3, 0, 6.0),
... ]:
...     log.note(kind, task, worker, time=time)
>>> for worker in of_run(plan, log).workers:
...     print(worker)
WorkerTime(worker=0, tasks=2, busy=5.0, no_ready_task=0.0, hand_over=1.0)
WorkerTime(worker=1, tasks=1, busy=1.0, no_ready_task=4.0, hand_over=1.0)
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from math import inf
from operator import itemgetter
from typing import NamedTuple

from dagexec.analysis.plans import Analysis, of_plan
from dagexec.collector import collector_paused
from dagexec.events import Event, Events
from dagexec.plan import Plan

READY, START, END = range(3)


class WorkerTime(NamedTuple):
    """What a worker did in a run, in seconds; the module's docstring says what the reasons mean."""

    worker: int
    tasks: int
    busy: float
    no_ready_task: float
    hand_over: float

    @property
    def idle(self) -> float:
        """The seconds in no task."""
        return self.no_ready_task + self.hand_over

    @property
    def utilisation(self) -> float:
        """The share of the makespan in tasks."""
        return self.busy / (self.busy + self.idle) if self.busy else 0.0


@dataclass(frozen=True, slots=True)
class RunAnalysis(Analysis):
    """What `analyze` finds of a run: the analysis of its plan in measured seconds, and the workers' time.

    `workers` are those that ran a task: one that never did is not in the log. `freed_late` is in bytes ×
    seconds. All of it is about tasks that ended or failed; one that was tried several times costs what all
    the tries took.
    """

    makespan: float
    workers: tuple[WorkerTime, ...]
    freed_late: float

    @property
    def utilisation(self) -> float:
        """The share of all workers' time in tasks."""
        whole = self.makespan * len(self.workers)
        return self.work / whole if whole else 0.0


class _Try(NamedTuple):
    """One execution of a task."""

    task: int
    worker: int
    ready: float
    start: float
    end: float


@collector_paused()
def of_run(plan: Plan, events: Events) -> RunAnalysis:
    """The analysis of a run of `plan` that was recorded in `events`."""
    tries = list(_tries(events))
    found = of_plan(plan, _seconds(plan, tries))
    begin = min((event.time for event in events), default=0.0)
    finish = max((one.end for one in tries), default=begin)
    return RunAnalysis(
        **{field.name: getattr(found, field.name) for field in fields(found)},
        makespan=finish - begin,
        workers=_workers(tries, begin, finish),
        freed_late=_freed_late(plan, events, tries),
    )


def measured_seconds(plan: Plan, events: Events) -> list[float]:
    """For each task the seconds that it took in a run; 0 for what is no task, or was not run."""
    return _seconds(plan, _tries(events))


def _seconds(plan: Plan, tries: Iterable[_Try]) -> list[float]:
    seconds = [0.0] * len(plan.functions)
    for one in tries:
        seconds[one.task] += one.end - one.start
    return seconds


def _tries(events: Events) -> Iterator[_Try]:
    """The executions in a log, by their start. One whose end is not in it, for its worker died, is left out.

    A worker does one thing at a time: should two overlap by the clock, the later begins when the other ends.
    A task that was noted as ready after its start, as in a batch that a process worked through, was ready at
    its start.
    """
    ready: dict[int, float] = {}
    started: dict[int, Event] = {}
    found: list[_Try] = []
    for event in events:
        task = event.task
        if event.kind == "ready":
            ready[task] = event.time
        elif event.kind == "start":
            started[task] = event
        elif event.kind in ("end", "error") and task in started:
            start = started.pop(task)
            found.append(_Try(task, start.worker, ready.pop(task, start.time), start.time, event.time))
    found.sort(key=lambda one: one.start)
    free_from: dict[int, float] = {}
    for task, worker, ready_at, start_at, end_at in found:
        begin = max(start_at, free_from.get(worker, start_at))
        free_from[worker] = end = max(begin, end_at)
        yield _Try(task, worker, min(ready_at, begin), begin, end)


def _workers(tries: list[_Try], begin: float, finish: float) -> tuple[WorkerTime, ...]:
    tasks: dict[int, int] = {}
    busy: dict[int, float] = {}
    for one in tries:
        tasks[one.worker] = tasks.get(one.worker, 0) + 1
        busy[one.worker] = busy.get(one.worker, 0.0) + one.end - one.start
    no_ready_task, hand_over = _idle(tries, begin, finish)
    return tuple(
        WorkerTime(worker, tasks[worker], busy[worker], no_ready_task[worker], hand_over[worker])
        for worker in sorted(tasks)
    )


def _idle(tries: list[_Try], begin: float, finish: float) -> tuple[dict[int, float], dict[int, float]]:
    """Each worker's idle seconds with no ready task, and in a hand-over.

    `idle` keeps the idle workers by their next start, soonest first, and `waiting` counts the tasks that are
    ready and not started: the first `waiting` of `idle` are in a hand-over. Each change moves one worker
    across that line, at most.
    """
    changes, next_start = _changes(tries)
    no_ready_task = dict.fromkeys(next_start, 0.0)
    hand_over = dict.fromkeys(next_start, 0.0)
    since = dict.fromkeys(next_start, begin)
    reason = dict.fromkeys(next_start, no_ready_task)
    idle = sorted([(next(places), worker) for worker, places in next_start.items()])
    waiting = 0

    def turn(worker: int, now: float, new_reason: dict[int, float]) -> None:
        reason[worker][worker] += now - since[worker]
        since[worker], reason[worker] = now, new_reason

    for now, kind, worker in changes:
        if kind == READY:
            waiting += 1
            if waiting <= len(idle):
                turn(idle[waiting - 1][1], now, hand_over)
        elif kind == START:  # by the worker that stands first, and in a hand-over: its task is waiting
            idle.pop(0)
            waiting -= 1
            turn(worker, now, no_ready_task)
        else:
            entry = (next(next_start[worker]), worker)
            place = bisect(idle, entry)
            idle.insert(place, entry)
            since[worker], reason[worker] = now, hand_over if place < waiting else no_ready_task
            if place < waiting < len(idle):
                turn(idle[waiting][1], now, no_ready_task)
    for _, worker in idle:
        turn(worker, finish, no_ready_task)
    return no_ready_task, hand_over


def _changes(tries: list[_Try]) -> tuple[list[tuple[float, int, int]], dict[int, Iterator[float]]]:
    """(time, kind, worker) of all that happens, in order; for each worker the places of its starts there."""
    changes = []
    for one in tries:
        changes += [
            (one.ready, READY, one.worker),
            (one.start, START, one.worker),
            (one.end, END, one.worker),
        ]
    changes.sort(key=itemgetter(0))  # stable: what a worker does at one moment stays in its order
    places: dict[int, list[float]] = {}
    for place, (_, kind, worker) in enumerate(changes):
        if kind == START:
            places.setdefault(worker, []).append(place)
    return changes, {worker: iter([*starts, inf]) for worker, starts in places.items()}


def _freed_late(plan: Plan, events: Events, tries: list[_Try]) -> float:
    """Bytes × seconds from the end of the last reader (of the task itself, where none reads it) to `free`."""
    ended = {one.task: one.end for one in tries}
    total = 0.0
    for event in events:
        if event.kind != "free" or event.task not in ended:  # an argument is the caller's
            continue
        readers = plan.successors[event.task] or (event.task,)
        if all(reader in ended for reader in readers):
            late = event.time - max([ended[reader] for reader in readers])
            total += event.bytes * max(0.0, late)
    return total
