"""Memory that the processes of one executor share, and the arrays that lie in it.

It is one file without a name (on Linux a memfd), sparse and far larger than the machine's memory, that
every process maps once, as a whole, when it starts. Only pages that were written to take memory. So there is
nothing to announce when more room is needed, nothing in /dev/shm to clean up, no limit of /dev/shm to run
into, and the kernel frees all of it when the last process is gone, however that ended.

An array is described by where it lies (`Placed`: offset, shape, strides, dtype, writeable). A view of an
array in the memory is described too, never copied, and arrays that overlap keep overlapping: what is computed
from them takes the same path through NumPy and BLAS as in one process, and has the same bits.

The parent alone gives out room, in blocks whose sizes are powers of two. Each size has a zone of the file to
itself, so an offset tells the block it lies in. A freed block is given out again before unused room, because
its pages are there already.

>>> arena = Arena()
>>> block = arena.allocate(100)
>>> x = arena.view((block, (2, 3), (24, 8), "d", True))
>>> x[...] = 7
>>> (placed,) = arena.place([x.T], arena.allocate)
>>> placed == (block, (3, 2), (8, 24), "d", True), arena.block_of(placed[0]) == block
(True, True)
>>> arena.free(block)
>>> del x
>>> arena.close()
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Placed = tuple[int, tuple[int, ...], tuple[int, ...], Any, bool]  # offset, shape, strides, dtype, writeable
Array = np.ndarray[Any, Any]
Allocate = Callable[[int], int]  # bytes to an offset

ALIGNMENT = 64  # a cache line, the widest vector
LARGEST_FILE = 2**44
SMALLEST_FILE = 2**32
ZONES = 64  # block sizes are 2**6, 2**7, ...: the zone's number is the exponent
WORD = struct.Struct("q")  # words at the start of the file, where no block is, tell who is at what
LONG = 2**16  # bytes; arrays from that on do not share a block
SMALLEST = ALIGNMENT.bit_length() - 1
PAGES_FROM = 16  # blocks of 2**16 bytes and more are given back to the system, smaller ones only recycled
KEPT_BYTES = 2**28  # free blocks that are kept, in any case, for the next who needs one
SIMPLE_DTYPES = frozenset("?bBhHiIlLqQefdgFDG")  # told by their letter, in native byte order


class Memory:
    """A mapping of the whole file, and the arrays in it."""

    def __init__(self, file: int, size: int) -> None:
        self.map = mmap.mmap(file, size)
        self.size = size
        self._start = address(self.view((0, (1,), (1,), "B", True)))

    def view(self, placed: Placed) -> Array:
        """The array that lies there."""
        offset, shape, strides, dtype, writeable = placed
        array: Array = np.ndarray(shape, dtype, self.map, offset, strides)
        if not writeable:
            array.flags.writeable = False
        return array

    def place(self, arrays: Sequence[Array], allocate: Allocate) -> list[Placed]:
        """Where each array lies; those that are not in the memory yet are copied there.

        A copy has the strides of its original and its alignment, and overlaps the copies of those that its
        original overlaps. An array without elements lies at 0, where no block is.
        """
        offsets = [0] * len(arrays)
        fresh = []
        for number, array in enumerate(arrays):
            if array.nbytes:
                low, high = extent(array)
                if self._start <= low < self._start + self.size:
                    offsets[number] = address(array) - self._start
                else:
                    fresh.append((low, high, number))
        if fresh:
            self._copy(arrays, fresh, offsets, allocate)
        return [
            (offset, array.shape, array.strides, _letter(array.dtype), array.flags.writeable)
            for offset, array in zip(offsets, arrays)
        ]

    def _copy(
        self,
        arrays: Sequence[Array],
        fresh: list[tuple[int, int, int]],
        offsets: list[int],
        allocate: Allocate,
    ) -> None:
        """Copy arrays, given by (lowest address, end, number), and set their offsets.

        Short regions lie in one block, so that a message needs one; a long one has a block to itself, which
        is free as soon as nobody needs it.
        """
        regions = _regions(fresh)
        short = [region for region in regions if region.size < LONG]
        start = allocate(sum(region.size for region in short)) if short else 0
        for region in regions:
            if region.size < LONG:
                shift, start = start - region.low, start + region.size
            else:
                shift = allocate(region.size) - region.low
            for number in region.members:
                array = arrays[number]
                offsets[number] = shift + address(array)
                copy = np.ndarray(array.shape, array.dtype, self.map, offsets[number], array.strides)
                _fill(copy, array)

    def close(self) -> None:
        """Unmap the file; where an array is still in use, that happens when it goes."""
        with contextlib.suppress(BufferError):
            self.map.close()


class _Region(NamedTuple):
    """Addresses that arrays cover without a gap, from `low`, an aligned one, on."""

    low: int
    size: int
    members: list[int]


def _regions(extents: list[tuple[int, int, int]]) -> list[_Region]:
    """The regions of arrays given by (lowest address, end, number)."""
    regions: list[_Region] = []
    end = 0
    for low, high, number in sorted(extents):
        if low >= end:
            regions.append(_Region(low & -ALIGNMENT, 0, []))
        end = max(end, high)
        region = regions[-1]
        region.members.append(number)
        regions[-1] = region._replace(size=aligned(end - region.low))
    return regions


class Arena(Memory):
    """The parent's mapping, which has the file and gives out the room in it."""

    def __init__(self) -> None:
        self.file = _nameless_file()
        size = LARGEST_FILE
        while True:
            try:
                os.ftruncate(self.file, size)
                super().__init__(self.file, size)
                break
            except (OSError, ValueError):  # a limit on address space: less will do
                size //= 2
                if size < SMALLEST_FILE:
                    os.close(self.file)
                    raise
        self._zone = size // ZONES
        self._next = [exponent * self._zone for exponent in range(ZONES)]  # what was never given out
        self._free: list[list[int]] = [[] for _ in range(ZONES)]  # freed, with their pages
        self._empty: list[list[int]] = [[] for _ in range(ZONES)]  # freed, pages given back
        self._used_bytes = 0
        self._free_bytes = 0

    def allocate(self, nbytes: int) -> int:
        """The offset of a block with room for `nbytes`; MemoryError if there is none."""
        exponent = max(SMALLEST, (nbytes - 1).bit_length())
        size = 1 << exponent
        if size > self._zone:
            raise MemoryError(f"an array of {nbytes} bytes is too large for the memory that processes share")
        if self._free[exponent]:
            block = self._free[exponent].pop()
            self._free_bytes -= size
        else:
            self._give_back(size)
            block = self._unused(exponent, size)
        self._used_bytes += size
        return block

    def free(self, block: int) -> None:
        """Take a block back."""
        exponent = block // self._zone
        self._free[exponent].append(block)
        self._free_bytes += 1 << exponent
        self._used_bytes -= 1 << exponent

    def block_of(self, offset: int) -> int:
        """The block in which something at `offset` lies."""
        return offset & -(1 << offset // self._zone)

    def close(self) -> None:
        """Unmap the file and let go of it."""
        super().close()
        os.close(self.file)

    def _unused(self, exponent: int, size: int) -> int:
        if self._empty[exponent]:
            return self._empty[exponent].pop()
        if self._next[exponent] + size > (exponent + 1) * self._zone:
            raise MemoryError(f"the memory that processes share has no room for another {size} bytes")
        block = self._next[exponent]
        self._next[exponent] += size
        return block

    def _give_back(self, nbytes: int) -> None:
        """Before new pages are taken: give back as many, if more are free than in use."""
        for exponent in range(ZONES - 1, PAGES_FROM - 1, -1):
            blocks = self._free[exponent]
            while blocks:
                if nbytes <= 0 or self._free_bytes <= max(self._used_bytes, KEPT_BYTES):
                    return
                block = blocks.pop()
                if hasattr(mmap, "MADV_REMOVE"):
                    self.map.madvise(mmap.MADV_REMOVE, block, 1 << exponent)
                self._empty[exponent].append(block)
                self._free_bytes -= 1 << exponent
                nbytes -= 1 << exponent


def aligned(nbytes: int) -> int:
    """The size of whole pieces of `ALIGNMENT` bytes with room for `nbytes`."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def private(array: Array) -> Array:
    """A copy in this process's own memory, with the same strides and flags."""
    copy: Array = np.empty_like(array)
    if copy.strides != array.strides:
        low, high = extent(array) if array.size else (address(array), address(array))
        room = np.empty(high - low, np.uint8)
        copy = np.ndarray(array.shape, array.dtype, room, address(array) - low, array.strides)
    _fill(copy, array)
    copy.flags.writeable = array.flags.writeable
    return copy


def extent(array: Array) -> tuple[int, int]:
    """The address of the lowest byte of an array that has elements, and that after the highest."""
    low = address(array)
    if array.flags.c_contiguous:
        return low, low + array.nbytes
    high = low + array.itemsize
    for length, stride in zip(array.shape, array.strides):
        if stride < 0:
            low += (length - 1) * stride
        else:
            high += (length - 1) * stride
    return low, high


def address(array: Array) -> int:
    """Where the first element of an array lies."""
    where: int = array.__array_interface__["data"][0]
    return where


def _letter(dtype: np.dtype[Any]) -> Any:
    """A dtype as the shortest thing to send that NumPy takes for it."""
    return dtype.char if dtype.char in SIMPLE_DTYPES and dtype.isnative and not dtype.metadata else dtype


def _fill(copy: Array, array: Array) -> None:
    """Copy the elements; what repeats along an axis is there once."""
    if 0 in array.strides:
        once = tuple(slice(1) if stride == 0 else slice(None) for stride in array.strides)
        copy, array = copy[once], array[once]
    np.copyto(copy, array)


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("dagexec")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
