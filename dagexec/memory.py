"""Where values lie: places in one arena for blocks of memory that are not all needed at once.

>>> laid_out([Block(0, 1, 100), Block(1, 2, 100), Block(2, 3, 100)])  # the third where the first was
([0, 128, 0], 256)
>>> laid_out([Block(0, 1, 100), Block(1, 2, 100, heir_of=0)])  # written over what is read for the last time
([0, 0], 128)
"""

from __future__ import annotations

from bisect import bisect_left, insort
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
    """The gaps between blocks that live, by their sizes and by their ends."""

    def __init__(self) -> None:
        self.end = 0
        self._by_size: list[tuple[int, int]] = []  # (size, offset), ascending
        self._size_at: dict[int, int] = {}  # offset: size
        self._ending_at: dict[int, int] = {}  # the byte after a gap: its offset

    def take(self, size: int) -> int:
        """The offset of a place of that size."""
        smallest = bisect_left(self._by_size, (size, 0))
        if smallest == len(self._by_size):
            return self._at_the_end(size)
        length, offset = self._by_size[smallest]
        self._close(offset)
        if length > size:
            self._open(offset + size, length - size)
        return offset

    def _at_the_end(self, size: int) -> int:
        offset = self._ending_at.get(self.end, self.end)
        if offset < self.end:  # the last gap grows
            self._close(offset)
        self.end = offset + size
        return offset

    def give_back(self, offset: int, size: int) -> None:
        """Make a place a gap, one with its neighbours."""
        if offset + size in self._size_at:
            size += self._close(offset + size)
        if offset in self._ending_at:
            offset = self._ending_at[offset]
            size += self._close(offset)
        self._open(offset, size)

    def _open(self, offset: int, size: int) -> None:
        insort(self._by_size, (size, offset))
        self._size_at[offset] = size
        self._ending_at[offset + size] = offset

    def _close(self, offset: int) -> int:
        """Let a gap be none any more; its size."""
        size = self._size_at.pop(offset)
        del self._ending_at[offset + size]
        del self._by_size[bisect_left(self._by_size, (size, offset))]
        return size
