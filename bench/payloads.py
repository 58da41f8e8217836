"""Callables of a known length: one that releases the GIL while it works, and one that holds it.

Their length is set in the run that uses them, as it depends on the machine: `hashing(50e-6)` hashes as many
bytes as take 50 µs. Both take any inputs and ignore them, and return a value that tells whether they worked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

Payload = TypeVar("Payload", bound=Callable[..., Any])

CALLS = 15  # timed for one estimate


@dataclass(frozen=True)
class Hashing:
    """SHA-256 of a buffer: releases the GIL."""

    buffer: bytes

    def __call__(self, *inputs: Any) -> int:
        return sha256(self.buffer).digest()[0]


@dataclass(frozen=True)
class Spinning:
    """A loop in pure Python: holds the GIL."""

    turns: int

    def __call__(self, *inputs: Any) -> int:
        total = 0
        for turn in range(self.turns):
            total ^= turn
        return total


def hashing(seconds: float) -> Hashing:
    """The hashing that takes so long."""
    return sized(lambda size: Hashing(bytes(size)), 2**14, seconds)


def spinning(seconds: float) -> Spinning:
    """The loop that takes so long."""
    return sized(Spinning, 2**12, seconds)


def sized(make: Callable[[int], Payload], size: int, seconds: float) -> Payload:
    """`make(size)` with the size at which a call takes so long: linear in the size, corrected three times."""
    for _ in range(3):
        size = max(1, round(size * seconds / length(make(size))))
    return make(size)


def length(function: Callable[..., Any]) -> float:
    """The seconds that a call takes: the median of some."""
    taken = []
    for _ in range(CALLS):
        start = perf_counter()
        function()
        taken.append(perf_counter() - start)
    return median(taken)
