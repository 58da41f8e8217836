"""Where values lie: places in one arena for blocks of memory that are not all needed at once.

>>> laid_out([Block(0, 1, 100), Block(1, 2, 100), Block(2, 3, 100)])  # the third where the first was
([0, 128, 0], 256)
>>> laid_out([Block(0, 1, 100), Block(1, 2, 100, heir_of=0)])  # written over what is read for the last time
([0, 0], 128)
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

ALIGNMENT = 64  # bytes: a cache line, and the longest vector register


@dataclass(frozen=True, slots=True)
class Block:
    """Memory that is written at time `first` and read for the last time at `last`.

    It may take the place of the block numbered `heir_of`, which has the same size, if that one's last reader
    is the writer of this one.
    """

    first: int
    last: int
    nbytes: int
    heir_of: int | None = None


def laid_out(blocks: Sequence[Block]) -> tuple[list[int], int]:
    """For each block an offset in bytes, and the bytes in all; blocks stand in the order of their `first`.

    Blocks that live at the same time do not overlap. A block takes the smallest gap that it fits into, at
    the end if there is none: best fit, in the order of time.
    """
    offsets: list[int] = []
    free = _Free()
    living: list[tuple[int, int]] = []  # (last, number), the soonest to die first
    inherited: set[int] = set()
    for number, block in enumerate(blocks):
        while living and living[0][0] < block.first:
            _, dead = heappop(living)
            if dead not in inherited:
                free.give_back(offsets[dead], _padded(blocks[dead].nbytes))
        donor = block.heir_of
        if donor is not None and donor not in inherited and blocks[donor].last == block.first:
            inherited.add(donor)
            offsets.append(offsets[donor])
        else:
            offsets.append(free.take(_padded(block.nbytes)))
        heappush(living, (block.last, number))
    return offsets, free.end


def _padded(nbytes: int) -> int:
    return max(1, -(-nbytes // ALIGNMENT)) * ALIGNMENT


class _Free:
    """The gaps between blocks that live, as (offset, size) in the order of their offsets."""

    def __init__(self) -> None:
        self.gaps: list[tuple[int, int]] = []
        self.end = 0

    def take(self, size: int) -> int:
        """The offset of a place of that size."""
        fitting = [(length, offset) for offset, length in self.gaps if length >= size]
        if not fitting:
            return self._at_the_end(size)
        length, offset = min(fitting)
        self.gaps.remove((offset, length))
        if length > size:
            insort(self.gaps, (offset + size, length - size))
        return offset

    def _at_the_end(self, size: int) -> int:
        offset = self.end
        if self.gaps and sum(self.gaps[-1]) == self.end:  # the last gap grows
            offset = self.gaps.pop()[0]
        self.end = offset + size
        return offset

    def give_back(self, offset: int, size: int) -> None:
        """Make a place a gap, one with its neighbours."""
        merged = []
        for start, length in self.gaps:
            if start + length == offset:
                offset, size = start, length + size
            elif offset + size == start:
                size += length
            else:
                merged.append((start, length))
        insort(merged, (offset, size))
        self.gaps = merged
