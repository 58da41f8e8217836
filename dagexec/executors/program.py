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
told before. Small arguments of which views are read are copied to the arena instead; large values may lie in
the memory of a result that is not yet written (lifetimes.py). Arguments must lie in memory as those that were
observed (`fits`), so that the program computes what the plan does, bit for bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import starmap
from operator import itemgetter, length_hint
from typing import Any

import numpy as np

from dagexec.collector import collector_paused
from dagexec.executors.arena import address, private
from dagexec.executors.arguments import LAYOUT, alike
from dagexec.executors.calls import Call, Operand, UnforeseenError, View, calls_of
from dagexec.executors.lifetimes import Place, places_of
from dagexec.executors.observing import Key, Seen, sources_of
from dagexec.executors.parts import in_place
from dagexec.memory import ALIGNMENT
from dagexec.plan import Plan

Bound = tuple[Callable[..., Any], Sequence[Any]]  # a function and its arguments

LARGE = 4096  # bytes of an argument or result that is not held on to between runs
BYTES_PER_VIEW = 4096  # are copied in less time than a view takes to be made


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


def _aligned(nbytes: int) -> np.ndarray[Any, Any]:
    room = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + nbytes]


def _array_in(entry: Seen, offset: int, memory: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array like the one that was seen, in the memory of another."""
    return np.ndarray(entry.shape, entry.dtype, memory, offset, entry.strides)


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


def _copied_arguments(inputs: Sequence[Key], seen: Mapping[Key, Seen], views: Sequence[View]) -> list[Key]:
    """The arguments that are copied in less time than it takes to make the views that are read of them."""
    count = Counter([seen[view.results[0]].owner for view in views])
    return [key for key in inputs if seen[key].is_plain and seen[key].nbytes < BYTES_PER_VIEW * count[key]]


# --- the program ----------------------------------------------------------------------------------------
class Program:
    """A plan's calls, bound. Called with arguments it gives the results; by one thread at a time."""

    def __init__(
        self, plan: Plan, seen: Mapping[Key, Seen], calls: Sequence[Call], views: Sequence[View]
    ) -> None:
        self._plan = plan
        inputs = [(slot, None) for slot in plan.inputs]
        given = [seen[key] for key in inputs]
        self._layouts = [(np.ndarray, entry.dtype, entry.shape, entry.strides) for entry in given]
        fresh = _fresh_results(plan, seen, calls)
        self._fresh = [(seen[key].shape, seen[key].dtype) for key in fresh]
        self._number = {key: number for number, key in enumerate([*inputs, *fresh])}  # of what moves
        constants: dict[Key, Any] = {(slot, None): value for slot, value in plan.constants.items()}
        elsewhere = {*inputs, *fresh, *constants}
        found = in_place(seen, calls, views, elsewhere, plan.outputs)
        seen, calls, views = found.seen, found.calls, found.views
        self._tasks = [call.task for call in calls]
        copied = _copied_arguments(inputs, seen, views)
        self._through = {view.results[0][0] for view in views}
        self._through |= {part.whole[0] for part in found.parts.values()}
        places = places_of(found, copied, plan.outputs, elsewhere - {*copied, *fresh}, fresh, self._lane_of)
        self._places, self.nbytes, self._at_once = places.of, places.nbytes, places.at_once
        for key in found.parts:
            root = found.root(key)
            result, offset = self._places[root.whole]
            self._places[key] = Place(result, offset + root.offset)
        arena = _aligned(self.nbytes)
        self._arrays = constants
        self._views: list[tuple[Callable[..., Any], int, bool]] = []
        for key, place in self._places.items():
            lies_in = partial(_array_in, seen[key], place.offset)
            if place.result is None:
                self._arrays[key] = lies_in(arena)
            else:
                self._views.append((lies_in, self._number[place.result], False))
                self._number[key] = len(self._number)
        self._copies = [(self._arrays[key], self._number[key]) for key in copied]
        for view in views:
            self._add_view(view, seen)
        self._moving: list[tuple[list[Any], int, int]] = []  # calls, which argument, which of what moves
        self._calls = [(call.function, self._bound(call.arguments)) for call in calls]
        large = {number for key, number in self._number.items() if seen[seen[key].owner].nbytes > LARGE}
        self._large = [(call, position) for call, position, number in self._moving if number in large]
        self._takers = [self._taker(key, seen[key]) for key in plan.outputs]

    def _lane_of(self, task: int) -> int:
        """Which lane of tasks that run one after another a task belongs to."""
        return 0

    def _add_view(self, view: View, seen: Mapping[Key, Seen]) -> None:
        """Make a view of what stays in its place; note one of what moves, to be made in each run."""
        if all(source in self._arrays for source in view.sources):
            value = view.function(*[self._arrays[source] for source in view.sources])
            for key in view.results:
                part = value if key[1] is None else value[key[1]]
                if part.strides != seen[key].strides or not self._is_there(part, seen[key]):
                    raise UnforeseenError
                self._arrays[key] = part
            return
        if len(view.sources) != 1:
            raise UnforeseenError
        several = view.results[0][1] is not None
        self._views.append((view.function, self._number[view.sources[0]], several))
        for key in view.results:
            self._number[key] = len(self._number)

    def _is_there(self, array: np.ndarray[Any, Any], entry: Seen) -> bool:
        """Does a view lie where it was seen in its owner's memory?"""
        if entry.owner not in self._places or not entry.nbytes:
            return True
        return address(array) - address(self._arrays[entry.owner]) == entry.offset

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
                    self._moving.append((bound, position, self._number[argument.key]))
                    moves = True
        return bound if moves else tuple(bound)

    def fits(self, arguments: Sequence[Any]) -> bool:
        """Are the arguments arrays like those that were observed, which lie in memory as these did?"""
        return alike(LAYOUT, arguments, self._layouts)

    def __call__(self, arguments: Sequence[Any], stop: list[BaseException]) -> list[Any]:
        """The results, in the plan's order, unless `stop` comes to hold an exception."""
        bound = [*arguments, *starmap(np.empty, self._fresh)]
        for place, number in self._copies:
            place[...] = bound[number]
        for view, source, several in self._views:
            if several:
                bound += view(bound[source])
            else:
                bound.append(view(bound[source]))
        for call, position, number in self._moving:
            call[position] = bound[number]
        try:
            self._compute(stop)
        finally:
            for call, position in self._large:
                call[position] = None
        return [taker(bound) for taker in self._takers]

    def _compute(self, stop: list[BaseException]) -> None:
        call_all(self._plan, self._calls, self._tasks, stop)

    def _taker(self, key: Key, entry: Seen) -> Callable[[Sequence[Any]], Any]:
        """What takes a result from what moves, or from where it lies."""
        if key in self._number:
            return itemgetter(self._number[key])
        array = self._arrays[key]
        if entry.is_scalar:
            return lambda _: array[()]
        if entry.owner[0] in self._plan.constants:
            return lambda _: array
        return lambda _: private(array) if array.flags.writeable else array.copy()

    @property
    def summary(self) -> str:
        """How many calls on how much memory, and how much of it is needed at one time, in words."""
        return (
            f"a flat program of {len(self._calls)} calls, "
            f"on {self.nbytes:,} bytes for all values in between ({self._at_once:,} at once)"
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
        if key in self._places:
            result, offset = self._places[key]
            extent = f"bytes {offset} to {offset + self._plan.graph.nodes[task].spec.nbytes}"
            return extent if result is None else f"{extent} of %{result[0]}"
        return "a result" if key in self._number else "several places"
