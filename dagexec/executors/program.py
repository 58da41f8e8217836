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
from dataclasses import dataclass
from operator import length_hint
from typing import Any

import numpy as np

from dagexec.executors.arena import private
from dagexec.executors.observing import Key, Seen, sources_of
from dagexec.memory import ALIGNMENT, Block, laid_out
from dagexec.plan import Plan

LARGE = 4096  # bytes of an argument or result that is not held on to between runs


class Operand:
    """Stands for an array among the arguments of a call; it has the array's shape and dtype."""

    __slots__ = ("dtype", "key", "shape")

    def __init__(self, key: Key, seen: Seen) -> None:
        self.key = key
        self.shape = seen.shape
        self.dtype = seen.dtype


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments, in which Operands, alone or in tuples, stand for arrays."""

    task: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    may_overwrite: bool = False  # may the result lie where an operand of its shape lay?

    @property
    def keys(self) -> list[Key]:
        """What it reads and writes."""
        parts: list[Any] = []
        for argument in self.arguments:
            parts += argument if isinstance(argument, tuple) else (argument,)
        return [part.key for part in parts if isinstance(part, Operand)]


@dataclass(frozen=True, slots=True)
class View:
    """A task whose results lie in the memory of what it reads."""

    function: Callable[..., Any]
    sources: Sequence[Key]
    results: Sequence[Key]


class _UnforeseenError(Exception):
    """Values lie in memory in a way that no program is made for."""


def program_of(plan: Plan, seen: Mapping[Key, Seen]) -> Program | None:
    """The program of a plan whose values lay in memory as `seen` tells; None where that is not foreseen."""
    results: dict[int, list[Key]] = {}
    for key in seen:
        results.setdefault(key[0], []).append(key)
    calls: list[Call] = []
    views: list[View] = []
    try:
        for task in plan.tasks:
            function, sources = sources_of(plan, task)
            if not all(source in seen for source in sources):
                raise _UnforeseenError
            owners = [seen[key].owner for key in results[task]]
            if owners == results[task]:
                calls += _calls(plan, task, function, sources, results[task], seen)
            elif all(owner[0] != task for owner in owners):
                views.append(View(function, sources, results[task]))
            else:
                raise _UnforeseenError
        return Program(plan, seen, calls, views)
    except _UnforeseenError:
        return None


# --- which calls ----------------------------------------------------------------------------------------
def _calls(
    plan: Plan,
    task: int,
    function: Callable[..., Any],
    sources: Sequence[Key],
    results: Sequence[Key],
    seen: Mapping[Key, Seen],
) -> list[Call]:
    """The calls that write a task's results to their places."""
    inputs = tuple([Operand(key, seen[key]) for key in sources])
    outs = tuple([Operand(key, seen[key]) for key in results])
    if results[0][1] is not None:
        return [Call(task, _store_all, (function, outs, *inputs))]
    node = plan.graph.nodes[task]
    writers = node.op.into(inputs, outs[0], **node.params) if node.op.into else []
    if writers:
        alone = len(writers) == 1 and node.op.family == "elementwise"
        return [
            Call(task, writer, tuple(arguments), alone and isinstance(writer, np.ufunc))
            for writer, arguments in writers
        ]
    return [Call(task, _store, (function, outs[0], *inputs))]


def _store(kernel: Callable[..., Any], out: Any, *inputs: Any) -> None:
    np.copyto(out, kernel(*inputs))


def _store_all(kernel: Callable[..., Any], outs: tuple[Any, ...], *inputs: Any) -> None:
    for out, result in zip(outs, kernel(*inputs), strict=True):
        np.copyto(out, result)


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


def _blocks(
    plan: Plan, seen: Mapping[Key, Seen], calls: Sequence[Call], elsewhere: set[Key]
) -> dict[Key, Block]:
    """The memory that the calls need for what does not lie elsewhere, in the order in which it is written."""
    first: dict[Key, int] = {}
    last: dict[Key, int] = {}
    for position, call in enumerate(calls):
        for key in call.keys:
            owner = seen[key].owner
            first.setdefault(owner, position)
            last[owner] = position
    last |= {seen[key].owner: len(calls) for key in plan.outputs}
    written = sorted((key for key in first if key not in elsewhere), key=first.__getitem__)
    number = {key: position for position, key in enumerate(written)}
    blocks = {}
    for key in written:
        call = calls[first[key]]
        heirs = [
            number[source]
            for source in (call.keys if call.may_overwrite else ())
            if source in number and source != key and last[source] == first[key]
            and (seen[source].strides, seen[source].nbytes) == (seen[key].strides, seen[key].nbytes)
        ]  # fmt: skip
        blocks[key] = Block(first[key], last[key], seen[key].nbytes, heirs[0] if heirs else None)
    return blocks


def _aligned(nbytes: int) -> np.ndarray[Any, Any]:
    room = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + nbytes]


# --- the program ----------------------------------------------------------------------------------------
class Program:
    """A plan's calls, bound. Called with arguments it gives the results; by one thread at a time."""

    def __init__(
        self, plan: Plan, seen: Mapping[Key, Seen], calls: Sequence[Call], views: Sequence[View]
    ) -> None:
        self._plan = plan
        self._tasks = [call.task for call in calls]
        self._strides = [seen[slot, None].strides for slot in plan.inputs]
        inputs = [(slot, None) for slot in plan.inputs]
        fresh = _fresh_results(plan, seen, calls)
        self._fresh = [(seen[key].shape, seen[key].dtype) for key in fresh]
        self._number = {key: number for number, key in enumerate([*inputs, *fresh])}  # of what moves
        constants: dict[Key, Any] = {(slot, None): value for slot, value in plan.constants.items()}
        blocks = _blocks(plan, seen, calls, {*inputs, *fresh, *constants})
        offsets, self.nbytes = laid_out(list(blocks.values()))
        self._places = dict(zip(blocks, offsets))
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

    def _add_view(self, view: View, seen: Mapping[Key, Seen]) -> None:
        """Make a view of what stays in its place; note one of what moves, to be made in each run."""
        if all(source in self._arrays for source in view.sources):
            value = view.function(*[self._arrays[source] for source in view.sources])
            for key in view.results:
                part = value if key[1] is None else value[key[1]]
                if part.strides != seen[key].strides:
                    raise _UnforeseenError
                self._arrays[key] = part
            return
        if len(view.sources) != 1:
            raise _UnforeseenError
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

    def __call__(self, arguments: Sequence[Any], stop: Sequence[BaseException]) -> list[Any]:
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
        calls = iter(self._calls)
        try:
            for function, operands in calls:
                function(*operands)
                if stop:
                    break
        except BaseException as error:
            self._plan.blame(self._tasks[-1 - length_hint(calls)], error)
            raise
        finally:
            for call, position in self._large:
                call[position] = None
        return [self._result(key) if number is None else bound[number] for key, number in self._given]

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
