"""What a timeline of a run shows: bars by worker, what held memory, and the path that set the length.

A picture has some hundred pixels for what may be a hundred thousand tasks. So tasks too short to be seen are
joined with their neighbours into one bar, which knows how much of its time was spent in tasks.

The critical path is the longest chain of tasks that read one another, in the seconds that were measured: on
any number of workers a run with these times takes at least as long.

>>> import numpy as np, dagexec
>>> from dagexec.events import Events
>>> log = Events(dagexec.trace(lambda x: [np.sin(x) + 1, np.cos(x)])(1.0))    # %1 = sin, %3 = add, %4 = cos
>>> for kind, task, worker, time in [
...     ("start", 1, 0, 0.0), ("start", 4, 1, 1.0), ("end", 4, 1, 2.0), ("end", 1, 0, 4.0),
...     ("start", 3, 0, 5.0), ("end", 3, 0, 6.0),
... ]:
...     log.note(kind, task, worker, time=time)
>>> seen = timetable(log, 800)
>>> [(bar.worker, bar.tasks, bar.start, bar.end, bar.is_critical) for bar in seen.bars]
[(0, (1,), 0.0, 4.0, True), (0, (3,), 5.0, 6.0, True), (1, (4,), 1.0, 2.0, False)]
>>> seen.length, seen.critical, seen.busy
(6.0, 5.0, {0: 5.0, 1: 1.0})
>>> [len(bar.tasks) for bar in timetable(log, 1).bars]
[2, 1]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dagexec.collector import collector_paused
from dagexec.events import Events
from dagexec.graph import ITEM

MOST_BARS = 1200
LONGEST_JOINED = 6  # pixels of a bar of joined tasks


class Span(NamedTuple):
    """One task that ran; seconds since the first event."""

    task: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Bar:
    """Tasks that one worker ran, one after another: a single one, or several too short to be told apart.

    `busy` is the time spent in them, `longest` the one that took longest, `phase` that of most of the time.
    """

    worker: int
    tasks: tuple[int, ...]
    start: float
    end: float
    busy: float
    longest: int
    phase: str
    is_critical: bool
    has_failed: bool


@dataclass(frozen=True, slots=True)
class Timetable:
    """The bars of a run, and what stands beside them.

    `length` is the time from the first event to the end of the last task, `critical` the length of the
    critical path, `busy` each worker's time in tasks, `memory` (moment, bytes) where what is held changes,
    `joined` the number of tasks in bars of several.
    """

    tasks: int
    length: float
    critical: float
    busy: dict[int, float]
    bars: tuple[Bar, ...]
    memory: tuple[tuple[float, int], ...]

    @property
    def joined(self) -> int:
        """How many tasks have no bar of their own."""
        return sum(len(bar.tasks) for bar in self.bars if len(bar.tasks) > 1)


@collector_paused()
def timetable(events: Events, pixels: float, most: int = MOST_BARS) -> Timetable:
    """What to draw of a run where its length has `pixels`.

    Tasks shorter than a pixel are joined; than two, four, ... pixels where there would be over `most` bars.
    """
    spans = events.spans()
    length = max((end for _, _, _, end in spans), default=0.0)
    critical, on_path = critical_tasks(events, spans)
    failed = {event.task for event in events if event.kind == "error"}
    lanes: dict[int, list[Span]] = {}
    for task, worker, start, end in spans:
        lanes.setdefault(worker, []).append(Span(task, start, end))
    for lane in lanes.values():
        lane.sort(key=lambda span: span.start)
    resolution = length / pixels or 1.0
    while True:
        bars = tuple(
            _bar(events, worker, joined, on_path, failed)
            for worker in sorted(lanes)
            for joined in _joined(events, lanes[worker], resolution)
        )
        if len(bars) <= max(most, len(lanes)) or resolution > length:
            break
        resolution *= 2
    busy = {worker: sum(end - start for _, start, end in lanes[worker]) for worker in sorted(lanes)}
    return Timetable(len(spans), length, critical, busy, bars, tuple(events.live_bytes()))


def _joined(events: Events, lane: Sequence[Span], resolution: float) -> Iterator[list[Span]]:
    """The tasks of one worker by bars; those of different phases are joined only where they must be."""
    nodes = events.graph.nodes
    waiting: list[Span] = []
    for span in lane:
        is_short = span.end - span.start < resolution
        if waiting:
            begun = span.start - waiting[0].start
            apart = span.start - waiting[-1].end >= resolution
            turns = begun >= resolution and nodes[span.task].phase != nodes[waiting[-1].task].phase
            if not is_short or apart or turns or begun >= LONGEST_JOINED * resolution:
                yield waiting
                waiting = []
        if is_short:
            waiting.append(span)
        else:
            yield [span]
    if waiting:
        yield waiting


def _bar(events: Events, worker: int, spans: Sequence[Span], on_path: set[int], failed: set[int]) -> Bar:
    seconds = {span.task: span.end - span.start for span in spans}
    phases: Counter[str] = Counter()
    for task, taken in seconds.items():
        phases[events.graph.nodes[task].phase] += taken  # type: ignore[assignment]
    busy = sum(seconds.values())
    return Bar(
        worker=worker,
        tasks=tuple(seconds),
        start=spans[0].start,
        end=max(span.end for span in spans),
        busy=busy,
        longest=max(seconds, key=seconds.__getitem__),
        phase=max(phases, key=phases.__getitem__),
        is_critical=2 * sum(taken for task, taken in seconds.items() if task in on_path) > busy
        or (len(seconds) == 1 and not on_path.isdisjoint(seconds)),
        has_failed=not failed.isdisjoint(seconds),
    )


def critical_tasks(
    events: Events, spans: Iterable[tuple[int, int, float, float]] | None = None
) -> tuple[float, set[int]]:
    """The seconds of the critical path of a run, and the tasks on it; O(nodes + edges).

    >>> import dagexec
    >>> _, events = dagexec.run(dagexec.trace(lambda x: (x + 1) * 2)(1.0), 1.0, events=True)
    >>> critical_tasks(events)[1]
    {2, 4}
    """
    nodes = events.graph.nodes
    position = {node: number for number, node in enumerate(nodes)}
    task_of = {member: task for task, members in events.members.items() for member in members}
    longest: dict[int, float] = {}  # the longest path that ends with a task
    before: dict[int, int] = {}
    spans = events.spans() if spans is None else spans
    for task, _, start, end in spans:  # by their ends, which is an order of the graph
        reached = 0.0
        for member in events.members.get(task, (task,)):
            for source in nodes[member].inputs:
                while source.op is ITEM:
                    source = source.inputs[0]
                number = position[source]
                read = task_of.get(number, number)
                if read != task and longest.get(read, 0.0) > reached:
                    reached, before[task] = longest[read], read
        longest[task] = reached + end - start
    path: set[int] = set()
    last = max(longest, key=longest.__getitem__) if longest else None
    length = longest[last] if last is not None else 0.0
    while last is not None:
        path.add(last)
        last = before.get(last)
    return length, path
