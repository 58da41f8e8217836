"""Values that are written straight to their places in a larger one, so that joining them copies nothing.

A `concat` or `stack` is a call that copies its operands. A program knows beforehand where the result will
lie, so an operand can be computed there in the first place: its memory is then a part of that of the whole,
and lives as long. What cannot be there, arguments for example, or what is a part of another value already,
is copied as before.

An operand whose place is not contiguous would be read with other strides than in a run step by step, and what
reads it might round in another order. Such a place is taken only by what nothing else reads, and only where
the call that writes it gives the same bits whatever the strides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from dagexec.executors.calls import Call, Operand, View
from dagexec.executors.observing import Key, Seen

JOINS = (np.concatenate, np.stack)
# One correctly rounded operation an element.
EXACT = {np.add, np.subtract, np.multiply, np.divide, np.negative, np.maximum, np.minimum, np.sqrt, np.square}


@dataclass(frozen=True, slots=True)
class Part:
    """The place of a value: so many bytes after the beginning of another one."""

    whole: Key
    offset: int


@dataclass(frozen=True, slots=True)
class InPlace:
    """Calls, views and what is seen of values, once the `parts` lie in their places."""

    calls: list[Call]
    views: list[View]
    seen: dict[Key, Seen]
    parts: dict[Key, Part]

    def root(self, key: Key) -> Part:
        """The value with memory of its own that a value is part of, perhaps all of it, and where."""
        offset = 0
        while key in self.parts:
            part = self.parts[key]
            key, offset = part.whole, offset + part.offset
        return Part(key, offset)


def in_place(
    seen: Mapping[Key, Seen],
    calls: Sequence[Call],
    views: Sequence[View],
    elsewhere: Collection[Key],
    results: Collection[Key],
) -> InPlace:
    """The same without the copies that are not needed, if values lie where the result says.

    For what is in `elsewhere`, arguments for example, no place can be chosen; `results` are read at the end.
    """
    found = InPlace([], [*views], dict(seen), {})
    free = _Free(seen, calls, elsewhere, results)
    for call in calls:
        whole = call.arguments[-1] if call.function in JOINS else None
        if whole is None or whole.key in elsewhere or not seen[whole.key].is_plain:
            found.calls.append(call)
            continue
        places = list(_places(call, whole, seen[whole.key].strides))
        placed = [place for place in places if whole.dtype == place.operand.dtype and free.take(place)]
        if 2 * len(placed) < len(places):  # one call that copies all of them is faster
            found.calls.append(call)
            free.taken.difference_update([seen[place.operand.key].owner for place in placed])
            continue
        for place in placed:
            owner = seen[place.operand.key].owner
            found.parts[owner] = Part(whole.key, place.offset)
            if not place.is_contiguous:
                found.seen[owner] = replace(seen[owner], strides=place.strides)
        if others := [place for place in places if place not in placed]:
            _copy(call.task, others, whole.key, found)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where an operand of a join belongs in the result."""

    operand: Operand
    index: tuple[Any, ...]
    offset: int  # in bytes
    strides: tuple[int, ...]
    is_contiguous: bool


def _places(call: Call, whole: Operand, strides: tuple[int, ...]) -> Iterator[_Place]:
    operands, axis, _ = call.arguments
    is_stack = call.function is np.stack
    before, step = (slice(None),) * axis, strides[axis]
    contiguous = prod(whole.shape[:axis]) == 1
    strides = strides[:axis] + strides[axis + 1 :] if is_stack else strides
    start = 0
    for operand in operands:
        stop = start + (1 if is_stack else operand.shape[axis])
        index = (*before, start if is_stack else slice(start, stop))
        yield _Place(operand, index, start * step, strides, contiguous)
        start = stop


def _copy(task: int, places: Sequence[_Place], whole: Key, found: InPlace) -> None:
    """Add the calls that copy operands to their places, which are views of the whole."""
    keys = [(task, number) for number in range(len(places))]
    for key, place in zip(keys, places):
        operand = place.operand
        found.seen[key] = Seen(
            operand.shape, found.seen[whole].dtype, place.strides, whole, offset=place.offset
        )
        found.calls.append(Call(task, np.copyto, (Operand(key, found.seen[key]), operand)))
    indices = [place.index for place in places]
    found.views.append(View(lambda array: [array[index] for index in indices], [whole], keys))


class _Free:
    """Which values can still be given a place."""

    def __init__(
        self,
        seen: Mapping[Key, Seen],
        calls: Sequence[Call],
        elsewhere: Collection[Key],
        results: Collection[Key],
    ) -> None:
        self.taken = {*elsewhere}
        self._seen = seen
        self._uses = Counter([key for call in calls for key in {*call.keys}])
        self._viewed = {entry.owner for key, entry in seen.items() if entry.owner != key} | {*results}
        exact = (call for call in calls if call.may_overwrite and call.function in EXACT)
        self._exact = {(call.task, None) for call in exact}

    def take(self, place: _Place) -> bool:
        """Let the operand of a join be written to its place there, if it can be."""
        entry = self._seen[place.operand.key]
        key, owner = entry.owner, self._seen[entry.owner]
        if place.is_contiguous:
            # A view can be there if it is all of its owner.
            fits = entry.nbytes == owner.nbytes > 0 and is_contiguous(entry) and is_contiguous(owner)
        else:
            alone = key not in self._viewed and self._uses[key] == 2  # its writer and the join
            fits = alone and key in self._exact
        if key in self.taken or not fits:
            return False
        self.taken.add(key)
        return True


def is_contiguous(entry: Seen) -> bool:
    """Do the elements lie one behind the other, the last axis first?"""
    step = entry.dtype.itemsize
    for length, stride in zip(reversed(entry.shape), reversed(entry.strides)):
        if length != 1 and stride != step:  # where there is only one step, the stride says nothing
            return False
        step *= length
    return True
