"""When a program needs which part of its memory, and where that lies.

A value needs its memory from the call that writes it to the last that reads it or a view of it. A call may
write its result over an operand that nothing reads later. Where views of a value are slices of it, and where
a value is joined from parts, each slice has a time of its own.

A large value may also lie in the memory of a result that is not yet written, though that is another array in
each run.

What workers do in several lanes is not ordered in time: memory is used again only within a lane.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dagexec.executors.observing import Key, Seen
from dagexec.executors.parts import InPlace
from dagexec.memory import Piece, laid_out, lodged, most_at_once

FOREVER = 2**62  # when a piece is read for the last time that keeps its place
NEVER = -2  # when a value without bytes is read
WORTH_SAVING = 0.1  # of the memory for results and all values in between
BYTES_PER_USE = 8192  # are worth that a use of what moves is bound anew in each run, perhaps to a new view


class Place(NamedTuple):
    """Where a value begins: so many bytes after the beginning of the arena, or of a result."""

    result: Key | None
    offset: int


@dataclass(frozen=True, slots=True)
class Places:
    """Where each value with memory of its own begins; the bytes of the arena, and how many live at once."""

    of: dict[Key, Place]
    nbytes: int
    at_once: int


@dataclass(slots=True)
class _Value:
    """The uses of a value's memory: (first byte, end, position of the call); and by which lanes."""

    uses: list[tuple[int, int, int]]
    lanes: set[int]

    @property
    def first(self) -> int:
        return self.uses[0][2] if self.uses else NEVER

    @property
    def last(self) -> int:
        return max([time for _, _, time in self.uses], default=NEVER)

    @property
    def home(self) -> int | None:
        """The lane that uses it; None if there are several."""
        return min(self.lanes) if len(self.lanes) == 1 else None


def places_of(
    found: InPlace,
    given: Sequence[Key],
    results: Sequence[Key],
    elsewhere: Collection[Key],
    fresh: Sequence[Key],
    lane_of: Callable[[int], int],
) -> Places:
    """Places for what is `given` before the first call, and for what the calls write, if not `elsewhere`.

    `fresh` are the results that are new arrays in each run.
    """
    values = _values(found, given, results, elsewhere, lane_of)
    rooms = {key: values.pop(key) for key in fresh}
    first_there = _inherited(found, values)
    homes: dict[int | None, dict[Key, Sequence[Piece]]] = {}
    for key, value in values.items():
        if key not in first_there:
            homes.setdefault(value.home, {})[key] = _pieces(value.uses)
    places: dict[Key, Place] = {}
    nbytes = at_once = 0
    for home, blocks in homes.items():
        if home is None:
            blocks = {key: _kept(block) for key, block in blocks.items()}
        else:
            there = {key: _pieces(room.uses) for key, room in rooms.items() if room.home == home}
            places |= _guests(blocks, there, values)
            blocks = {key: block for key, block in blocks.items() if key not in places}
        offsets, size = laid_out([*blocks.values()])
        places |= {key: Place(None, nbytes + offset) for key, offset in zip(blocks, offsets)}
        nbytes += size
        at_once += most_at_once([*blocks.values()])
    places |= {key: places[first] for key, first in first_there.items()}
    return Places(places, nbytes, at_once)


def _guests(
    blocks: Mapping[Key, Sequence[Piece]],
    rooms: Mapping[Key, Sequence[Piece]],
    values: Mapping[Key, _Value],
) -> dict[Key, Place]:
    """The values that are to lie in results, and where; none if that saves little."""
    worth = [key for key, block in blocks.items() if _may_move(block, len(values[key].uses))]
    names, found = [*rooms], lodged([blocks[key] for key in worth], [*rooms.values()])
    guests = {key: Place(names[at[0]], at[1]) for key, at in zip(worth, found) if at is not None}
    if not guests:
        return guests
    before = most_at_once([*blocks.values()])
    after = most_at_once([block for key, block in blocks.items() if key not in guests])
    in_all = before + sum([block[-1].stop for block in rooms.values() if block])
    return guests if before - after >= WORTH_SAVING * in_all else {}


def _values(
    found: InPlace,
    given: Sequence[Key],
    results: Sequence[Key],
    elsewhere: Collection[Key],
    lane_of: Callable[[int], int],
) -> dict[Key, _Value]:
    """The values with memory of their own, in the order in which they are written."""
    values: dict[Key, _Value] = {}
    extents: dict[Key, tuple[Key, int, int]] = {}

    def note(key: Key, time: int) -> _Value | None:
        if key not in extents:
            entry = found.seen[key]
            part = found.root(entry.owner)
            low, high = entry.extent if entry.nbytes else (0, 0)
            extents[key] = part.whole, part.offset + low, part.offset + high
        whole, low, high = extents[key]
        if whole in elsewhere:
            return None
        if whole not in values:
            values[whole] = _Value([], set())
        if low < high:
            values[whole].uses.append((low, high, time))
        return values[whole]

    for key in given:
        note(key, -1)
    for position, call in enumerate(found.calls):
        lane = lane_of(call.task)
        for key in call.keys:
            value = note(key, position)
            if value is not None:
                value.lanes.add(lane)
    for key in results:
        note(key, len(found.calls))
    return values


def _inherited(found: InPlace, values: Mapping[Key, _Value]) -> dict[Key, Key]:
    """For each value that is written over an operand the first one at that place, to which its uses go."""
    last = {key: value.last for key, value in values.items()}
    first_there: dict[Key, Key] = {}
    for position, call in enumerate(found.calls):
        key = (call.task, None)
        if not call.may_overwrite or key not in values or values[key].first != position:
            continue
        for source in call.keys:
            if source in values and source != key and last[source] == position:
                first = first_there.get(source, source)
                if _alike(found.seen[source], found.seen[key]) and _one_home(values[first], values[key]):
                    first_there[key] = first
                    values[first].uses.extend(values[key].uses)
                    break
    return first_there


def _alike(one: Seen, other: Seen) -> bool:
    return (one.strides, one.nbytes) == (other.strides, other.nbytes)


def _one_home(one: _Value, other: _Value) -> bool:
    return one.home is not None and one.home == other.home


def _pieces(uses: Sequence[tuple[int, int, int]]) -> list[Piece]:
    """The pieces of a value's memory that are needed from and to the same times."""
    times: dict[tuple[int, int], list[int]] = {}
    for low, high, time in uses:
        times.setdefault((low, high), []).append(time)
    if len(times) == 1:
        return [Piece(*extent, min(when), max(when)) for extent, when in times.items()]
    cuts = sorted({cut for extent in times for cut in extent})
    first = np.full(len(cuts), FOREVER)
    last = np.full(len(cuts), NEVER)
    for (low, high), when in times.items():
        within = slice(bisect_left(cuts, low), bisect_left(cuts, high))
        np.minimum(first[within], min(when), out=first[within])
        np.maximum(last[within], max(when), out=last[within])
    pieces: list[Piece] = []
    for (start, stop), *needed in zip(pairwise(cuts), first.tolist(), last.tolist()):
        if pieces and pieces[-1][1:] == (start, *needed):
            start = pieces.pop().start
        pieces.append(Piece(start, stop, *needed))
    return pieces


def _may_move(block: Sequence[Piece], uses: int) -> bool:
    """Is a value so large that it pays to bind its uses anew in each run? It must not be there before."""
    return bool(block) and block[-1].stop >= BYTES_PER_USE * uses and block[0].first >= 0


def _kept(block: Sequence[Piece]) -> list[Piece]:
    """A block of that size which nothing else may take the place of."""
    return [Piece(0, piece.stop, -1, FOREVER) for piece in block[-1:]]
