"""The one event log: what ran where and when, and what memory it held.

An executor that is given a log appends an Event for each thing that happens to a task: `ready` (it can run),
`start` and `end` (on a worker), `free` (its value was dropped), `error`. Timeline, trace file and measured
costs are all computed from this log afterwards. Without a log, nothing is recorded and nothing is paid.

A task may be several nodes joined (Plan.members): its events then bear the number of the last of them, and
`members` tells the others.

>>> import dagexec
>>> graph = dagexec.trace(lambda x: (x + 1) * 2)(1.0)
>>> value, events = dagexec.run(graph, 1.0, events=True)
>>> [(event.kind, event.task) for event in events if event.kind in ("start", "end")]
[('start', 2), ('end', 2), ('start', 4), ('end', 4)]
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter, itemgetter
from os import PathLike
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dagexec.files import written_whole
from dagexec.graph import Graph, Node


class Event(NamedTuple):
    """One thing that happened: `time` in seconds of the monotonic clock, `bytes` of the value it is about.

    `worker` is the worker's number; the caller's thread, which runs and schedules, is number 0.
    """

    kind: str
    task: int
    worker: int
    time: float
    bytes: int = 0


class Events:
    """The events of one run, in the order in which they were noted, and the graph they are about.

    `members` holds for each task that is several nodes joined their numbers; whoever runs a coarse plan sets
    it to that plan's.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.members: Mapping[int, tuple[int, ...]] = {}
        self._events: list[Event] = []

    def note(self, kind: str, task: int, worker: int, value: Any = None, time: float | None = None) -> None:
        """Append an event; `value` is the value whose bytes it is about."""
        event = Event(kind, task, worker, perf_counter() if time is None else time, held_bytes(value))
        self._events.append(event)

    def note_ready(self, tasks: Iterable[int], worker: int) -> None:
        """Append a ready event for each of `tasks`, which `worker` has made ready."""
        for task in tasks:
            self.note("ready", task, worker)

    def note_done(
        self, made_ready: Iterable[int], dead: Iterable[int], values: list[Any], worker: int
    ) -> None:
        """Append what follows from a task's end on `worker`: who is ready now, whose value is dropped."""
        self.note_ready(made_ready, worker)
        for slot in dead:
            self.note("free", slot, worker, values[slot])

    def name(self, task: int) -> str:
        """What a task is called: the name or op of its node, or of the first and the last that are joined.

        >>> import dagexec
        >>> events = Events(dagexec.trace(lambda x: (x + 1) * 2)(1.0))
        >>> events.members = {4: (2, 4)}
        >>> events.name(2), events.name(4)
        ('add', 'add … multiply (2 nodes)')
        """
        members = self.members.get(task, (task,))
        first, last = (_name(self.graph.nodes[member]) for member in (members[0], members[-1]))
        return f"{first} … {last} ({len(members)} nodes)" if len(members) > 1 else last

    @property
    def begin(self) -> float:
        """The time of the first event, 0 if there is none."""
        return min((event.time for event in self), default=0.0)

    def __repr__(self) -> str:
        return f"<Events of {self.graph.name}: {len(self)} events>"

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def part(self, first: int, last: int) -> list[Event]:
        """The events from number `first` up to `last`, also while a run goes on noting."""
        return self._events[first:last]

    def spans(self) -> list[tuple[int, int, float, float]]:
        """(task, worker, start, end) of each task that ended, in seconds since the first event."""
        zero = self.begin
        started: dict[int, float] = {}
        found = []
        for event in self:
            if event.kind == "start":
                started[event.task] = event.time
            elif event.kind in ("end", "error") and event.task in started:
                found.append((event.task, event.worker, started.pop(event.task) - zero, event.time - zero))
        return found

    def busy(self) -> dict[int, float]:
        """For each worker, the seconds it spent in tasks."""
        busy: dict[int, float] = {}
        for _, worker, start, end in self.spans():
            busy[worker] = busy.get(worker, 0.0) + end - start
        return busy

    def live_bytes(self) -> list[tuple[float, int]]:
        """(seconds since the first event, bytes held by computed values) after each change.

        Views count as if they were copies; arguments do not count.
        """
        zero = self.begin
        held: dict[int, int] = {}
        total, series = 0, []
        for event in sorted(self, key=attrgetter("time")):  # processes report late, and in any order
            if event.kind == "end":
                held[event.task] = event.bytes
                total += event.bytes
            elif event.kind == "free" and event.task in held:
                total -= held.pop(event.task)
            else:
                continue
            series.append((event.time - zero, total))
        return series

    def peak_bytes(self) -> int:
        """The most bytes that computed values held at a time."""
        return max((held for _, held in self.live_bytes()), default=0)

    if TYPE_CHECKING:  # added by draw/timeline.py; documented there

        def to_svg(self, path: str | PathLike[str]) -> None: ...
        def _repr_svg_(self) -> str: ...

    def to_chrome(self, path: str | PathLike[str]) -> None:
        """Write the log as a Chrome trace, for https://ui.perfetto.dev or chrome://tracing.

        The format is the Trace Event Format's JSON object: names ("M") of the process and of each worker,
        then by time a complete event ("X") for each task, an instant ("i") for ready, free and error, a
        counter ("C") of live bytes. Times are in µs since the first event; the tasks of a worker do not
        overlap.
        """
        with written_whole(path) as file:
            json.dump({"traceEvents": self._chrome_events(), "displayTimeUnit": "ms"}, file)

    def _chrome_events(self) -> list[dict[str, Any]]:
        rows = [*self._chrome_tasks(), *self._chrome_instants(), *self._chrome_counters()]
        rows.sort(key=itemgetter("ts"))
        return [*self._chrome_names(), *rows]

    def _chrome_names(self) -> Iterator[dict[str, Any]]:
        yield {"ph": "M", "name": "process_name", "pid": 0, "args": {"name": self.graph.name}}
        for worker in sorted({event.worker for event in self}):
            row = {"ph": "M", "pid": 0, "tid": worker}
            yield {**row, "name": "thread_name", "args": {"name": f"worker {worker}"}}
            yield {**row, "name": "thread_sort_index", "args": {"sort_index": worker}}

    def _chrome_tasks(self) -> Iterator[dict[str, Any]]:
        nodes = self.graph.nodes
        free_from: dict[int, float] = {}  # clocks of processes, and rounding, may let two tasks overlap
        for task, worker, start, end in sorted(self.spans(), key=itemgetter(2)):
            node = nodes[task]
            args: dict[str, Any] = {"task": task, "scope": "/".join(node.scope), "result": str(node.spec)}
            if task in self.members:
                joined = [nodes[member] for member in self.members[task]]
                args["members"] = ["/".join((*member.scope, _name(member))) for member in joined]
            begin = max(start, free_from.get(worker, start))
            free_from[worker] = end = max(begin, end)
            row = {"ph": "X", "name": self.name(task), "cat": node.phase, "pid": 0, "tid": worker}
            yield {**row, "ts": _microseconds(begin), "dur": _lasting(begin, end), "args": args}

    def _chrome_instants(self) -> Iterator[dict[str, Any]]:
        zero = self.begin
        for event in self:
            if event.kind in ("ready", "free", "error"):
                row = {"ph": "i", "s": "t", "name": event.kind, "pid": 0, "tid": event.worker}
                ts = _microseconds(event.time - zero)
                yield {**row, "ts": ts, "args": {"task": event.task, "bytes": event.bytes}}

    def _chrome_counters(self) -> Iterator[dict[str, Any]]:
        for time, held in self.live_bytes():
            row = {"ph": "C", "name": "live bytes", "pid": 0, "ts": _microseconds(time)}
            yield {**row, "args": {"bytes": held}}


def _microseconds(seconds: float) -> float:
    """A moment in µs, to the nanosecond."""
    return round(seconds * 1e6, 3)


def _lasting(start: float, end: float) -> float:
    """The µs from one rounded moment to another."""
    return round(_microseconds(end) - _microseconds(start), 3)


def _name(node: Node) -> str:
    return node.name or node.op.name


def held_bytes(value: Any, depth: int = 3) -> int:
    """The bytes of an array, or of the arrays in a tuple or list, `depth` deep; 0 for anything else."""
    if isinstance(value, np.ndarray | np.generic):
        return value.nbytes
    if not depth or not isinstance(value, tuple | list):
        return 0
    return sum([held_bytes(item, depth - 1) for item in value])
