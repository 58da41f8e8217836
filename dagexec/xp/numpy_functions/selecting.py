"""Functions that choose elements: by conditions, by indices, by where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dagexec.array import Array, shape_of
from dagexec.ops.table import one_axis
from dagexec.xp import computing, moving, sorting
from dagexec.xp.numpy_functions.reductions import as_array
from dagexec.xp.registry import implements


@implements(np.where)
def where(condition: Any, *choices: Any) -> Any:
    """The first choice where the condition holds, else the second."""
    if not choices and type(condition) is not Array:
        return np.nonzero(np.asarray(condition))
    if len(choices) != 2:
        raise TypeError(
            "np.where(condition) without values gives indices, whose number depends on the values that a "
            "trace does not know; use np.where(condition, a, b)"
        )
    return computing.where(condition, *choices)


@implements(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """For each element the choice of the first condition that holds, else `default`."""
    if len(condlist) != len(choicelist):
        raise ValueError(f"{len(condlist)} conditions for {len(choicelist)} choices")
    dtype = np.result_type(*[x if isinstance(x, int | float) else as_array(x) for x in choicelist], default)
    chosen: Any = as_array(default).astype(dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        chosen = np.where(condition, choice, chosen)
    return chosen.astype(dtype)


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """Each function where its condition holds; all are applied to all of `x`, and the results chosen from."""
    conditions = list(condlist) if isinstance(condlist, list | tuple) else [condlist]
    funclist = list(funclist)
    default = funclist.pop() if len(funclist) == len(conditions) + 1 else 0
    if len(funclist) != len(conditions):
        raise ValueError(f"{len(funclist)} functions for {len(conditions)} conditions")
    x = as_array(x)
    result = _piece(default, x, args, kw)
    for condition, function in zip(conditions, funclist):
        result = np.where(condition, _piece(function, x, args, kw), result)
    return result.astype(x.dtype)


def _piece(function: Any, x: Any, args: Any, kw: Any) -> Any:
    return function(x, *args, **kw) if callable(function) else function


@implements(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """The elements limited to an interval; None stands for no limit."""
    return computing.clip(a, a_min if min is None else min, a_max if max is None else max)


@implements(np.choose)
def choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    """For each element, that of the choice with this number."""
    choices = list(choices)
    number = _within(as_array(a), len(choices), mode)
    chosen = choices[-1]
    for position in range(len(choices) - 2, -1, -1):
        chosen = np.where(number == position, choices[position], chosen)
    shape = np.broadcast_shapes(shape_of(a), *map(shape_of, choices))
    return np.broadcast_to(chosen, shape)


def _within(indices: Any, n: int, mode: str) -> Any:
    if mode not in ("raise", "clip", "wrap"):
        raise ValueError(f"mode is {mode!r}; it can be 'raise', 'clip' or 'wrap'")
    if mode == "raise":
        return indices
    return np.clip(indices, 0, n - 1) if mode == "clip" else np.mod(indices, n)


@implements(np.take)
def take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    """The slices at `indices` along `axis`, or of the flattened array."""
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    if mode != "raise":
        indices = _within(as_array(indices), shape_of(a)[one_axis(axis, len(shape_of(a)))], mode)
    return moving.take(a, indices, axis)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """For each place of `indices`, the element with that index along `axis`."""
    arr, axis = (np.ravel(arr), 0) if axis is None else (arr, axis)
    return moving.take_along_axis(arr, indices, axis)


@implements(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """The slices for which a known condition holds."""
    if type(condition) is Array:
        raise TypeError(
            "how many slices there are depends on the values of the condition, which a trace does not know; "
            "use np.where(condition, a, b)"
        )
    return take(a, np.flatnonzero(np.asarray(condition)), axis)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """The elements for which a known condition holds."""
    return compress(np.ravel(condition), np.ravel(arr), 0)


@implements(np.isin)
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    """For each element, whether it is one of `test_elements`."""
    return sorting.isin(element, test_elements, invert=invert)


# --- indices --------------------------------------------------------------------------------------------
@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Any, ...]:
    """Indices into the flattened array as indices for each axis."""
    found = []
    lengths = [shape] if isinstance(shape, int) else list(shape)
    for length in lengths[::-1] if order == "C" else lengths:
        found.append(np.remainder(indices, length))
        indices = np.floor_divide(indices, length)
    return tuple(found[::-1] if order == "C" else found)


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    """Indices for each axis as indices into the flattened array."""
    place: Any = 0
    pairs = list(zip(multi_index, dims))
    for index, length in pairs if order == "C" else pairs[::-1]:
        place = place * length + _within(as_array(index), length, mode)
    return place


@implements(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    """Index vectors in shapes that broadcast to their grid."""
    found = []
    for number, indices in enumerate(args):
        if not isinstance(indices, Array):
            indices = np.asarray(indices)
            indices = np.flatnonzero(indices) if indices.dtype == np.bool else indices
        found.append(np.reshape(indices, [-1 if number == place else 1 for place in range(len(args))]))
    return tuple(found)


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> tuple[Any, ...]:
    """The indices of the main diagonal, which only the shape decides."""
    return np.diag_indices(shape_of(arr)[0], len(shape_of(arr)))


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: int = 0) -> tuple[Any, ...]:
    """The indices of the lower triangle, which only the shape decides."""
    return np.tril_indices(shape_of(arr)[-2], k, shape_of(arr)[-1])


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: int = 0) -> tuple[Any, ...]:
    """The indices of the upper triangle, which only the shape decides."""
    return np.triu_indices(shape_of(arr)[-2], k, shape_of(arr)[-1])
