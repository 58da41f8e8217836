"""Interleaved rounds: every contestant runs once a round, so that a slow minute hits all alike.

A contestant that is slow takes part in the first rounds only, as many as its first run, which is not
counted, says that it can afford. One that fails, gives a wrong result or takes too long keeps the error in
place of its times, and the others go on. What is compared are ratios of times from the same round.

>>> fast, broken = Cell("fast", 1, lambda: [1]), Cell("broken", 1, lambda: 1 / 0)
>>> play([fast, broken], seconds=1.0, rounds=5, expected=[[1], [1]])
>>> len(fast.seconds), broken.seconds, broken.error
(5, [], 'ZeroDivisionError: division by zero')
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from types import FrameType
from typing import Any

from dagexec.timing import Times, take_turns

AT_LEAST = 3  # rounds, however slow
PATIENCE = 60.0  # seconds that one run may take


@dataclass
class Cell:
    """A contestant on one graph: what to call, how many tasks that runs, the seconds of each round."""

    name: str
    tasks: int
    run: Callable[[], Any]
    seconds: list[float] = field(default_factory=list)
    rounds: int = 0
    error: str | None = None

    def row(self, **about: Any) -> dict[str, Any]:
        """The cell as a row of the benchmark's figures."""
        return {
            **about,
            "scheduler": self.name,
            "tasks": self.tasks,
            "seconds": self.seconds,
            "error": self.error,
        }


def microseconds(row: dict[str, Any]) -> list[float] | None:
    """Median and quartiles of the time a task, in µs; None for a row without times.

    >>> microseconds({"tasks": 1000, "seconds": [0.001, 0.002, 0.003]})
    [2.0, 1.5, 2.5]
    """
    return _spread([taken / row["tasks"] * 1e6 for taken in row["seconds"]])


def times_as_fast(row: dict[str, Any], other: dict[str, Any]) -> list[float] | None:
    """Median and quartiles of `other`'s time a task over this row's, round by round.

    >>> times_as_fast({"tasks": 10, "seconds": [1, 2]}, {"tasks": 5, "seconds": [1, 2, 8]})
    [2.0, 2.0, 2.0]
    """
    pairs = zip(row["seconds"], other["seconds"])
    return _spread([(theirs / other["tasks"]) / (ours / row["tasks"]) for ours, theirs in pairs])


def _spread(figures: list[float]) -> list[float] | None:
    if not figures:
        return None
    times = Times(tuple(figures))
    return [times.median, *times.spread]


def play(cells: list[Cell], seconds: float, rounds: int, expected: Sequence[list[Any]] | None = None) -> None:
    """Run the cells in turns: at most so many rounds, and about so many seconds each.

    If `expected` is given, it says for each cell what its first run must return.
    """
    for number, cell in enumerate(cells):
        _first(cell, seconds, rounds, expected[number] if expected else None)
    gc.collect()
    for number in range(max((cell.rounds for cell in cells), default=0)):
        players = [cell for cell in cells if number < cell.rounds and cell.error is None]
        times = take_turns([partial(_guarded, cell) for cell in players], 1)
        for cell, taken in zip(players, times):
            if cell.error is None:
                cell.seconds += taken.seconds
        gc.collect()


def _first(cell: Cell, seconds: float, rounds: int, expected: list[Any] | None) -> None:
    if cell.error is not None:
        return
    start = perf_counter()
    result = _guarded(cell)
    taken = perf_counter() - start
    if cell.error is None and expected is not None and list(result) != expected:
        cell.error = "WrongResult: not what the bare loop computes"
    cell.rounds = 0 if cell.error else min(rounds, max(AT_LEAST, int(seconds / taken)))


def _guarded(cell: Cell) -> Any:
    try:
        with time_limit(PATIENCE):
            return cell.run()
    except Exception as error:
        cell.error = said(error)
        cell.seconds.clear()
        return None


def said(error: BaseException) -> str:
    """An error in one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:100] if text else type(error).__name__


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the body, which is in the main thread, once it has taken so long."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
