"""Results of a graph of scalars, taken from where its numbers lie; and the tasks at the end that read them.

A program of scalars ends with its numbers in pools, a vector for each dtype. What the caller gets is what the
plan's own tasks would give: NumPy's scalars, arrays without axes where the kernel makes such (`where` does),
and arrays put together from many numbers, each in memory of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dagexec.executors.scalars import Ints, Scalars
from dagexec.plan import Picking
from dagexec.steps import compute, steps_of

Pools = Mapping[int, np.ndarray[Any, Any]]  # by NumPy's number for their dtype


def taken(scalars: Scalars) -> dict[int, Ints]:
    """The ids of the numbers that results are made of, by their dtype."""
    in_rest = set(scalars.rest)
    slots = [slot for slot in _needed(scalars) if slot not in in_rest]
    ids = np.concatenate([np.ravel(scalars.ids(slot)) for slot in slots]) if slots else np.zeros(0, int)
    dtype = scalars.dtype[ids]
    return {code: ids[dtype == code] for code in np.unique(dtype).tolist()}


def _needed(scalars: Scalars) -> list[int]:
    """The slots of results, and of what the rest reads."""
    plan = scalars.plan
    return [slot for slot, _ in plan.outputs] + [slot for task in scalars.rest for slot in plan.sources[task]]


class Taking:
    """Takes results out of pools in which the number `id` lies at `place[id]`."""

    def __init__(self, scalars: Scalars, place: Ints) -> None:
        self._plan = plan = scalars.plan
        needed = bytearray(len(plan.functions))
        for slot, _ in plan.outputs:
            needed[slot] = True
        self._rest = steps_of(plan, scalars.rest, needed)
        in_rest = set(scalars.rest)
        numbers: dict[int, list[int]] = {}  # slots, by dtype
        self._arrays: list[tuple[int, int, Any]] = []  # slot, dtype and places
        self._empty: list[tuple[int, Any, Any]] = []  # slot, shape and dtype: of no numbers there is no pool
        for slot in dict.fromkeys(_needed(scalars)):
            if slot in in_rest:
                continue
            ids = np.asarray(scalars.ids(slot))
            code = plan.graph.nodes[slot].spec.dtype.num
            if not ids.size:
                self._empty.append((slot, ids.shape, plan.graph.nodes[slot].spec.dtype))
            elif ids.ndim or _is_array(scalars, slot):
                self._arrays.append((slot, code, place[ids]))
            else:
                numbers.setdefault(code, []).append(slot)
        self._numbers = [
            (code, slots, place[[scalars.ids(slot) for slot in slots]]) for code, slots in numbers.items()
        ]
        slots = numbers.popitem()[1] if len(numbers) == 1 else []
        self.is_simple = [(slot, None) for slot in slots] == list(plan.outputs)

    def __call__(self, pools: Pools, stop: Sequence[BaseException]) -> list[Any]:
        """The results, in the plan's order."""
        if self.is_simple:
            ((code, _, places),) = self._numbers
            return list(pools[code][places])
        values: dict[int, Any] = {}
        for code, slots, places in self._numbers:
            values.update(zip(slots, pools[code][places]))
        for slot, code, places in self._arrays:
            values[slot] = np.asarray(pools[code][places])
        for slot, shape, dtype in self._empty:
            values[slot] = np.empty(shape, dtype)
        if self._rest:
            compute(self._plan, self._rest, values, stop)
        return self._plan.results(values)


def _is_array(scalars: Scalars, slot: int) -> bool:
    """Is a number an array without axes when its task is run by itself?"""
    function: Any = scalars.plan.functions[slot]
    if function is None:
        return True  # an argument or constant
    if isinstance(function, Picking):
        function = function.function
    ones = [
        np.ones(source.spec.shape, source.spec.dtype)[()] for source in scalars.plan.graph.nodes[slot].inputs
    ]
    return isinstance(function(*ones), np.ndarray)
