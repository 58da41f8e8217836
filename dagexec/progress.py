"""A progress bar on the terminal for what takes a while.

It is drawn on stderr, if that is a terminal, once a second has passed, and leaves nothing behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Timer
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dagexec.events import Events

SECONDS_BEFORE_BAR = 1.0


def console(*, stderr: bool = False) -> Console:
    """The terminal, without colours where NO_COLOR is set or where it is none."""
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(stderr=stderr, highlight=False, color_system=None if plain else "auto")


class Tally(Events):
    """A log that counts the tasks that have ended, and hands everything on to another log if there is one."""

    def __init__(self, log: Events | None) -> None:
        self._log = log
        self.ended = 0

    @property
    def members(self) -> Mapping[int, tuple[int, ...]]:
        """The tasks that were joined, as the executor tells the log."""
        return self._members

    @members.setter
    def members(self, members: Mapping[int, tuple[int, ...]]) -> None:
        self._members = members
        if self._log is not None:
            self._log.members = members

    def note(self, kind: str, task: int, worker: int, value: Any = None, time: float | None = None) -> None:
        """Count the end of a task."""
        self.ended += kind == "end"
        if self._log is not None:
            self._log.note(kind, task, worker, value, time)


class _AskingProgress(Progress):
    done: Callable[[], int] | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.done is not None:
            for task in self.task_ids:
                self.update(task, completed=self.done())
        yield from super().get_renderables()


@contextmanager
def progress(label: str, total: int, done: Callable[[], int] | None = None) -> Iterator[Callable[..., None]]:
    """The function that moves a bar by one of `total`; it may be given a text to be shown beside the bar.

    The bar appears on stderr, on a terminal, if the block takes over a second, and leaves nothing behind.
    With `done` it asks by itself, whenever it is drawn, how far the work is.
    """
    screen = console(stderr=True)
    bar = _AskingProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    bar.done = done
    task = bar.add_task(label, total=total, note="")
    late = Timer(SECONDS_BEFORE_BAR, bar.start)
    late.daemon = True
    late.start()

    def advance(note: str = "") -> None:
        bar.update(task, advance=1, note=note)

    try:
        yield advance
    finally:
        late.cancel()
        late.join()
        bar.stop()
