"""Where values lie: places in one arena for blocks of memory that are not all needed at once.

A block is made of pieces, at fixed places within it. Each has a time from which on it is needed, and one at
which it is for the last time: what is joined from many values is written piece by piece, what is split is
read so, and in between other blocks may lie there.

>>> laid_out([[Piece(0, 100, 0, 1)], [Piece(0, 100, 1, 2)], [Piece(0, 100, 2, 3)]])  # the third as the first
([0, 128, 0], 256)
>>> halves = [Piece(0, 64, 0, 1), Piece(64, 128, 0, 3)]
>>> laid_out([halves, [Piece(0, 64, 2, 3)]])
([0, 0], 128)

Blocks get their places one after another, the largest first, each the lowest at which no piece of it meets
another that is needed at the same time (greedy by size, in: Pisarchyk and Lee, "Efficient Memory Management
for Deep Neural Net Inference", 2020). That takes a time that grows with the square of the number of pieces.
So very many get their places in the order of time, each the smallest gap that it fits into; few get those of
the two ways that takes less memory.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

ALIGNMENT = 64  # bytes: a cache line, and the longest vector register
MOST_BY_SIZE = 10_000  # pieces: half a second


class Piece(NamedTuple):
    """The bytes of a block from `start` to `stop`, written at time `first`, last read at time `last`."""

    start: int
    stop: int
    first: int
    last: int


Block = Sequence[Piece]
Ints = np.ndarray[Any, np.dtype[np.int64]]


def laid_out(blocks: Sequence[Block]) -> tuple[list[int], int]:
    """For each block an offset in bytes, and the bytes in all.

    Pieces of two blocks that live at the same time do not overlap.
    """
    in_time = _by_time(blocks)
    if sum(map(len, blocks)) > MOST_BY_SIZE:
        return in_time
    return min(_by_size(blocks), in_time, key=lambda found: found[1])


def most_at_once(blocks: Sequence[Block]) -> int:
    """The most bytes that live at one time: no arena can be smaller.

    >>> most_at_once([[Piece(0, 100, 0, 1)], [Piece(0, 100, 1, 2)], [Piece(0, 50, 2, 3)]])
    200
    """
    pieces = np.array([piece for block in blocks for piece in block], np.int64).reshape(-1, 4)
    start, stop, first, last = pieces.T
    times = np.concatenate([first, last + 1])
    change = np.concatenate([stop - start, start - stop])
    order = np.lexsort((change, times))  # at one time what dies goes first
    return int(np.cumsum(change[order]).max(initial=0))


def lodged(blocks: Sequence[Block], rooms: Sequence[Block]) -> list[tuple[int, int] | None]:
    """For each block a room, by its number, and an offset in it; None where it fits into none.

    A room is a block that lies elsewhere, and offers its bytes for the time in which it does not need them.

    >>> lodged([[Piece(0, 100, 0, 1)], [Piece(0, 100, 1, 3)]], [[Piece(0, 128, 2, 9)]])
    [(0, 0), None]
    """
    found: list[tuple[int, int] | None] = [None] * len(blocks)
    guests, sizes, needed = [*map(_columns, rooms)], [*map(_size, rooms)], [*map(_first, rooms)]
    first_free = sorted(range(len(rooms)), key=needed.__getitem__)
    for number in _largest_first(blocks):
        pieces, size, last = _columns(blocks[number]), _size(blocks[number]), _last(blocks[number])
        for room in first_free:
            if last < needed[room] and size <= sizes[room]:
                offset = _lowest(pieces, guests[room])
                if offset + size <= sizes[room]:
                    guests[room] = np.hstack([guests[room], pieces + [[offset], [offset], [0], [0]]])
                    found[number] = room, offset
                    break
    return found


# --- the largest first ----------------------------------------------------------------------------------
def _largest_first(blocks: Sequence[Block]) -> list[int]:
    """The numbers of blocks in the order of their sizes, of equal ones first who lives longest."""
    return sorted(range(len(blocks)), key=lambda number: (-_size(blocks[number]), -_last(blocks[number])))


def _columns(block: Block) -> Ints:
    """Pieces as four rows: start, stop, first and last."""
    return np.array(block, np.int64).reshape(-1, 4).T


def _by_size(blocks: Sequence[Block]) -> tuple[list[int], int]:
    """The lowest places for blocks, the largest first."""
    size = [_size(block) for block in blocks]
    placed = np.empty((4, sum(map(len, blocks))), np.int64)  # the pieces that have a place, by address
    count, offsets = 0, [0] * len(blocks)
    for number in _largest_first(blocks):
        pieces = _columns(blocks[number])
        offsets[number] = offset = _lowest(pieces, placed[:, :count])
        placed[:, count : count + pieces.shape[1]] = pieces
        placed[:2, count : count + pieces.shape[1]] += offset
        count += pieces.shape[1]
    return offsets, max([offset + _padded(extent) for offset, extent in zip(offsets, size)], default=0)


def _lowest(pieces: Ints, placed: Ints) -> int:
    """The lowest offset at which no piece meets one that has a place."""
    start, stop, first, last = pieces[:, :, None]
    begin, end, since, until = placed
    piece, other = ((since <= last) & (until >= first)).nonzero()
    low = begin[other] - stop[piece, 0]  # between these two offsets
    high = end[other] - start[piece, 0]  # the piece would meet the other
    order = low.argsort()
    ends = np.maximum.accumulate(np.append(0, high[order]))  # of what begins before
    free_from = -(-ends // ALIGNMENT) * ALIGNMENT
    return int(free_from[(free_from <= np.append(low[order], free_from[-1])).argmax()])


def _first(block: Block) -> int:
    return min([piece.first for piece in block], default=0)


def _last(block: Block) -> int:
    return max([piece.last for piece in block], default=0)


def _size(block: Block) -> int:
    return max([piece.stop for piece in block], default=0)


def _padded(nbytes: int) -> int:
    return max(1, -(-nbytes // ALIGNMENT)) * ALIGNMENT


# --- in the order of time -------------------------------------------------------------------------------
def _by_time(blocks: Sequence[Block]) -> tuple[list[int], int]:
    """Places for whole blocks in the order in which they are needed: the smallest gap, at the end if none."""
    offsets = [0] * len(blocks)
    free = _Free()
    living: list[tuple[int, int]] = []  # (last, number), the soonest to die first
    for number in sorted(range(len(blocks)), key=lambda number: _first(blocks[number])):
        block = blocks[number]
        while living and living[0][0] < _first(block):
            _, dead = heappop(living)
            free.give_back(offsets[dead], _padded(_size(blocks[dead])))
        offsets[number] = free.take(_padded(_size(block)))
        heappush(living, (_last(block), number))
    return offsets, free.end


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
