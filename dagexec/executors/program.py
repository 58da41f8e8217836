"""A plan as a flat program: calls with their arguments bound beforehand, on memory laid out beforehand.

What a serial run repeats at each step is decided once: which function, which arrays, where the result goes.
From what a run has shown (observing.py) all values between arguments and results are laid out in one arena,
where each takes the place of some that are dead, or of the one that it is computed from. Views of them,
transposes and slices, are made once. What is left of a run is a list of calls that write to arrays that are
there already:

>>> import dagexec
>>> from dagexec.executors.observing import observed
>>> from dagexec.steps import all_steps
>>> plan = dagexec.plan(dagexec.trace(lambda x: np.exp(x * 2) + x)(np.ones(3)))
>>> values = plan.values()
>>> values[0] = np.zeros(3)
>>> program = program_of(plan, observed(plan, all_steps(plan), values, []))
>>> print(program)
%2 = multiply(%0, %1)                    bytes 0 to 24
%3 = exp(%2)                             bytes 0 to 24
%4 = add(%3, %0)                         a result
>>> program([np.ones(3)], [])
[array([8.3890561, 8.3890561, 8.3890561])]

Only arguments, views of them, and results lie elsewhere in each run; the calls that read or write them are
told before. Arguments must lie in memory as those that were observed (`fits`), so that the program computes
what the plan does, bit for bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import length_hint
from typing import Any

import numpy as np

from dagexec.collector import collector_paused
from dagexec.executors.arena import private
from dagexec.executors.calls import Call, Operand, UnforeseenError, View, calls_of
from dagexec.executors.observing import Key, Seen, sources_of
from dagexec.executors.parts import InPlace, in_place
from dagexec.memory import ALIGNMENT, Block, laid_out
from dagexec.plan import Plan

Bound = tuple[Callable[..., Any], Sequence[Any]]  # a function and its arguments

LARGE = 4096  # bytes of an argument or result that is not held on to between runs


@collector_paused()
def program_of(plan: Plan, seen: Mapping[Key, Seen]) -> Program | None:
    """The program of a plan whose values lay in memory as `seen` tells; None where that is not foreseen."""
    try:
        return Program(plan, seen, *calls_of(plan, seen))
    except UnforeseenError:
        return None


# --- where values lie -----------------------------------------------------------------------------------
def _fresh_results(plan: Plan, seen: Mapping[Key, Seen], calls: Sequence[Call]) -> list[Key]:
    """The results that are written straight to new arrays for the caller."""
    computed = {(call.task, None) for call in calls}
    wanted = Counter(plan.outputs)
    seen_through = {entry.owner for key, entry in seen.items() if entry.owner != key}
    return [
        key
        for key, count in wanted.items()
        if count == 1 and key in computed and key not in seen_through
        and seen[key].shape and seen[key].is_plain
    ]  # fmt: skip


def _blocks(plan: Plan, found: InPlace, elsewhere: set[Key]) -> dict[Key, Block]:
    """The memory that the calls need for what does not lie elsewhere, in the order in which it is written."""
    seen, calls = found.seen, found.calls
    keys = [call.keys for call in calls]
    owners = {key: found.root(seen[key].owner).whole for key in {*chain(*keys), *plan.outputs}}
    first: dict[Key, int] = {}
    last: dict[Key, int] = {}
    for position, used in enumerate(keys):
        for key in used:
            owner = owners[key]
            if owner not in first:
                first[owner] = position
            last[owner] = position
    last |= {owners[key]: len(calls) for key in plan.outputs}
    written = [key for key in first if key not in elsewhere]
    number = {key: position for position, key in enumerate(written)}
    blocks = {}
    for key in written:
        time = first[key]
        heirs = [
            number[source]
            for source in (keys[time] if calls[time].may_overwrite and key in keys[time] else ())
            if source in number and source != key and last[source] == time
            and (seen[source].strides, seen[source].nbytes) == (seen[key].strides, seen[key].nbytes)
        ]  # fmt: skip
        blocks[key] = Block(time, last[key], seen[key].nbytes, heirs[0] if heirs else None)
    return blocks


def _aligned(nbytes: int) -> np.ndarray[Any, Any]:
    room = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + nbytes]


def call_all(plan: Plan, calls: Sequence[Bound], tasks: Sequence[int], stop: Sequence[BaseException]) -> None:
    """Make calls, which are made for these tasks, until `stop` holds an exception."""
    left = iter(calls)
    try:
        for function, operands in left:
            function(*operands)
            if stop:
                break
    except BaseException as error:
        plan.blame(tasks[-1 - length_hint(left)], error)
        raise


# --- the program ----------------------------------------------------------------------------------------
class Program:
    """A plan's calls, bound. Called with arguments it gives the results; by one thread at a time."""

    def __init__(
        self, plan: Plan, seen: Mapping[Key, Seen], calls: Sequence[Call], views: Sequence[View]
    ) -> None:
        self._plan = plan
        self._strides = [seen[slot, None].strides for slot in plan.inputs]
        inputs = [(slot, None) for slot in plan.inputs]
        fresh = _fresh_results(plan, seen, calls)
        self._fresh = [(seen[key].shape, seen[key].dtype) for key in fresh]
        self._number = {key: number for number, key in enumerate([*inputs, *fresh])}  # of what moves
        constants: dict[Key, Any] = {(slot, None): value for slot, value in plan.constants.items()}
        elsewhere = {*inputs, *fresh, *constants}
        found = in_place(seen, calls, views, elsewhere, plan.outputs)
        seen, calls, views = found.seen, found.calls, found.views
        self._tasks = [call.task for call in calls]
        self._places, self.nbytes = self._laid_out(_blocks(plan, found, elsewhere), found)
        for key in found.parts:
            root = found.root(key)
            self._places[key] = self._places[root.whole] + root.offset
        arena = _aligned(self.nbytes)
        self._arrays = constants
        for key, offset in self._places.items():
            entry = seen[key]
            self._arrays[key] = np.ndarray(entry.shape, entry.dtype, arena, offset, entry.strides)
        self._views: list[tuple[Callable[..., Any], int, bool]] = []
        for view in views:
            self._add_view(view, seen)
        self._targets: list[list[tuple[list[Any], int]]] = [[] for _ in self._number]
        self._calls = [(call.function, self._bound(call.arguments)) for call in calls]
        self._large = [
            target
            for key, number in self._number.items()
            if seen[key].nbytes > LARGE
            for target in self._targets[number]
        ]
        self._given = [(key, self._number.get(key)) for key in plan.outputs]
        self._scalars = {key for key in plan.outputs if seen[key].is_scalar}
        self._copied = {key for key in plan.outputs if seen[key].owner in self._places}

    def _laid_out(self, blocks: Mapping[Key, Block], found: InPlace) -> tuple[dict[Key, int], int]:
        """Where each block lies, and the bytes of all."""
        offsets, nbytes = laid_out(list(blocks.values()))
        return dict(zip(blocks, offsets)), nbytes

    def _add_view(self, view: View, seen: Mapping[Key, Seen]) -> None:
        """Make a view of what stays in its place; note one of what moves, to be made in each run."""
        if all(source in self._arrays for source in view.sources):
            value = view.function(*[self._arrays[source] for source in view.sources])
            for key in view.results:
                part = value if key[1] is None else value[key[1]]
                if part.strides != seen[key].strides:
                    raise UnforeseenError
                self._arrays[key] = part
            return
        if len(view.sources) != 1:
            raise UnforeseenError
        several = view.results[0][1] is not None
        self._views.append((view.function, self._number[view.sources[0]], several))
        for key in view.results:
            self._number[key] = len(self._number)

    def _bound(self, arguments: tuple[Any, ...]) -> Sequence[Any]:
        """Arguments with arrays in the place of Operands; what moves is put there before each run."""
        bound: list[Any] = list(arguments)
        moves = False
        for position, argument in enumerate(arguments):
            if isinstance(argument, tuple):
                bound[position] = self._bound(argument)
            elif isinstance(argument, Operand):
                if argument.key in self._arrays:
                    bound[position] = self._arrays[argument.key]
                else:
                    self._targets[self._number[argument.key]].append((bound, position))
                    moves = True
        return bound if moves else tuple(bound)

    def fits(self, arguments: Sequence[np.ndarray[Any, Any]]) -> bool:
        """Do the arguments lie in memory like those that were observed?"""
        return [argument.strides for argument in arguments] == self._strides

    def __call__(self, arguments: Sequence[Any], stop: list[BaseException]) -> list[Any]:
        """The results, in the plan's order, unless `stop` comes to hold an exception."""
        bound = [*arguments, *[np.empty(shape, dtype) for shape, dtype in self._fresh]]
        for view, source, several in self._views:
            if several:
                bound += view(bound[source])
            else:
                bound.append(view(bound[source]))
        for value, targets in zip(bound, self._targets):
            for call, position in targets:
                call[position] = value
        try:
            self._compute(stop)
        finally:
            for call, position in self._large:
                call[position] = None
        return [self._result(key) if number is None else bound[number] for key, number in self._given]

    def _compute(self, stop: list[BaseException]) -> None:
        call_all(self._plan, self._calls, self._tasks, stop)

    def _result(self, key: Key) -> Any:
        array = self._arrays[key]
        if key in self._scalars:
            return array[()]
        if key not in self._copied:
            return array
        return private(array) if array.flags.writeable else array.copy()

    @property
    def summary(self) -> str:
        """How many calls on how much memory, in words."""
        return (
            f"a flat program of {len(self._calls)} calls, on {self.nbytes:,} bytes for all values in between"
        )

    def __str__(self) -> str:
        lines = []
        for task in dict.fromkeys(self._tasks):  # a task may take several calls
            _, sources = sources_of(self._plan, task)
            operands = ", ".join(f"%{slot}" + ("" if item is None else f"[{item}]") for slot, item in sources)
            lines.append(f"%{task} = {self._plan.name(task)}({operands})".ljust(40) + f" {self._place(task)}")
        return "\n".join(lines)

    def _place(self, task: int) -> str:
        key = (task, None)
        if key in self._number:
            return "a result"
        if key not in self._places:
            return "several places"
        offset = self._places[key]
        return f"bytes {offset} to {offset + self._arrays[key].nbytes}"
