"""Counting down from several threads at once, without a lock where the interpreter has one already.

`next()` on an iterator over `range(n - 1, -1, -1)` counts n down to 0. It is one call into C, so under the
global interpreter lock no two threads get the same number, and it costs a tenth of taking a lock. Without
that lock nothing is promised of such an iterator; there a counter has a lock of its own.

>>> templates = counters([2, 3, 1])      # made once
>>> two, three, one = begun(templates)   # made for every run; what counts from 1 needs no counter
>>> next(two), next(two), next(three), one
(1, 0, 2, None)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any

SHARED = [None, None, *(range(count - 1, -1, -1) for count in range(2, 256))]


def counters(counts: Iterable[int]) -> list[Any]:
    """For each count an iterable whose iterators count down from it; None below 2: the first is the last."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return [_Locked(count) if count > 1 else None for count in counts]
    return [SHARED[count] if count < 256 else range(count - 1, -1, -1) for count in counts]


def begun(templates: Iterable[Any]) -> list[Any]:
    """The counters of one run."""
    return [template and iter(template) for template in templates]


class _Locked:
    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self) -> Iterator[int]:
        return _LockedCounter(self._count)


class _LockedCounter:
    __slots__ = ("_count", "_lock")

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            self._count -= 1
            return self._count
