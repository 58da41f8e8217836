"""A live view of a run on the terminal: tasks done, what each worker does, the slowest task so far.

It is drawn on stderr, if that is a terminal, once a second has passed, and leaves nothing behind. A thread
reads the log a few times a second, a bounded number of events each time, so the run hardly notices: where
more has happened since, the older events are counted, not looked at, and the slowest task is that of those
seen.

>>> import numpy as np, dagexec
>>> log = dagexec.Events(dagexec.trace(lambda x: np.tanh(np.sin(x)))(1.0))
>>> for kind, task, time in [("start", 1, 0.0), ("end", 1, 0.5), ("start", 2, 0.5)]:
...     log.note(kind, task, 0, time=time)
>>> watch = Watch(log, tasks=2)
>>> watch.look()
>>> watch.done, log.name(watch.running[0].task), watch.slowest
(1, 'tanh', (0.5, 1))
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from time import perf_counter

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from dagexec.draw.labels import printable
from dagexec.events import Event, Events
from dagexec.progress import SECONDS_BEFORE_BAR, console

LOOKS = 4  # a second
MOST_EVENTS = 1000  # that are read in one look
EVENTS_A_TASK = 4  # ready, start, end, free
MOST_WORKERS = 12  # that have a line
LONGEST_NAME = 60
BAR = 24  # characters
ESTIMATE_FROM = 0.1  # of the tasks, and
FEWEST_DONE = 20  # tasks, before the time that is left is estimated


class Watch:
    """What the log of a run under way tells, read piece by piece.

    `done` counts the tasks that have ended, `running` holds the start of each worker's task, `last` the last
    task that each worker ended, `slowest` the (seconds, task) of the task that took longest of those seen.
    """

    def __init__(self, log: Events, tasks: int) -> None:
        self.log = log
        self.tasks = tasks
        self.running: dict[int, Event] = {}
        self.last: dict[int, int] = {}
        self.slowest: tuple[float, int] | None = None
        self.has_seen_all = True
        self._read = self._ended = self._skipped = 0
        self._begin = perf_counter()

    @property
    def done(self) -> int:
        """How many tasks have ended; estimated, where events were not looked at."""
        return min(self.tasks, self._ended + self._skipped // EVENTS_A_TASK)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return perf_counter() - self._begin

    @property
    def left(self) -> float | None:
        """The seconds that the rest takes at the rate so far; None while that says nothing."""
        if self.done < max(FEWEST_DONE, ESTIMATE_FROM * self.tasks) or self.done >= self.tasks:
            return None
        return self.elapsed * (self.tasks - self.done) / self.done

    def look(self) -> None:
        """Take in what has happened since the last look."""
        length = len(self.log)
        first = max(self._read, length - MOST_EVENTS)
        if first > self._read:
            self._skipped += first - self._read
            self.has_seen_all = False
            self.running.clear()
        self._read = length
        for event in self.log.part(first, length):
            if event.kind == "start":
                self.running[event.worker] = event
            elif event.kind in ("end", "error"):
                self._end(event)

    def _end(self, event: Event) -> None:
        self._ended += event.kind == "end"
        self.last[event.worker] = event.task
        started = self.running.get(event.worker)
        if started is not None and started.task == event.task:
            del self.running[event.worker]
            taken = event.time - started.time
            if self.slowest is None or taken > self.slowest[0]:
                self.slowest = (taken, event.task)


@contextmanager
def live(label: str, log: Events, tasks: int) -> Iterator[None]:
    """Show on the terminal what is noted in `log` while the block runs, if that takes over a second."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield
        return
    watch = Watch(log, tasks)
    view = Live(
        console=screen,
        refresh_per_second=LOOKS,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # what goes to a file stays there
        get_renderable=lambda: picture(label, watch),
    )
    late = Timer(SECONDS_BEFORE_BAR, view.start)
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()
        late.join()
        view.stop()


def picture(label: str, watch: Watch) -> RenderableType:
    """What is shown now."""
    watch.look()
    now = perf_counter()
    filled = BAR * watch.done // max(1, watch.tasks)
    left = "" if watch.left is None else f", about {watch.left:.0f} s more at this rate"
    head = Text.assemble(
        f"{label}  ",
        ("━" * filled, "green"),
        ("─" * (BAR - filled), "bright_black"),
        f"  {watch.done:,} of {watch.tasks:,} tasks  ",
        (f"{watch.elapsed:.0f} s{left}", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )
    seen = sorted(watch.running.keys() | watch.last.keys())
    lines = [_line(f"worker {number}", *_doing(watch, number, now)) for number in seen[:MOST_WORKERS]]
    if len(seen) > MOST_WORKERS:
        lines.append(_line("", f"and {len(seen) - MOST_WORKERS} more", "dim"))
    if watch.slowest is not None:
        seconds, task = watch.slowest
        known = "" if watch.has_seen_all else " of those seen"
        lines.append(_line("slowest", f"{_name(watch.log, task)}  {_seconds(seconds)}{known}", ""))
    return Group(head, *lines)


def _doing(watch: Watch, worker: int, now: float) -> tuple[str, str]:
    """What a worker does, in words, and their style."""
    started = watch.running.get(worker)
    if started is not None:
        return f"{_name(watch.log, started.task)}  {_seconds(now - started.time)}", ""
    return f"after {_name(watch.log, watch.last[worker])}", "dim"


def _line(lead: str, words: str, style: str) -> Text:
    return Text.assemble((f"  {lead:<10}", "bold"), (words, style), no_wrap=True, overflow="ellipsis")


def _name(log: Events, task: int) -> str:
    scope = log.graph.nodes[task].scope
    return printable("/".join((*scope, log.name(task))), LONGEST_NAME)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 0.1 else f"{value * 1e3:.3g} ms"
