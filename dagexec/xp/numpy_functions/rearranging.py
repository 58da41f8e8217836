"""Functions that move elements: joining, cutting, turning, inserting, grids and windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dagexec.array import Array, shape_of
from dagexec.ops.table import as_tuple, one_axis
from dagexec.xp import composed, moving
from dagexec.xp.numpy_functions.reductions import as_array
from dagexec.xp.registry import implements


# --- order of the elements ------------------------------------------------------------------------------
@implements(np.reshape)
def reshape(a: Any, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    """The same elements in another shape; with `order` "F" read and filled with the first axis fastest."""
    if order not in ("F", "C", "A"):
        raise ValueError(f"order {order!r} is not known; it can be 'C' or 'F'")
    if order != "F":
        return moving.reshape(a, shape)
    return np.transpose(moving.reshape(np.transpose(a), as_tuple(shape)[::-1]))


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """The elements in one axis."""
    return reshape(a, (-1,), "C" if order == "K" else order)


def flatten(a: Any, order: str = "C") -> Any:
    """A copy of the elements in one axis."""
    return composed.copy(ravel(a, order))


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """The elements in another shape, repeated from the start where they do not suffice."""
    size = int(np.prod(as_tuple(new_shape), dtype=np.int64))
    return np.reshape(np.take(np.ravel(a), np.arange(size) % max(as_array(a).size, 1)), new_shape)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """The array turned by 90 degrees `k` times, from the first of `axes` to the second."""
    first, second = (one_axis(axis, len(shape_of(m))) for axis in axes)
    if k % 4 == 0:
        return composed.copy(m)
    if k % 4 == 2:
        return np.flip(m, (first, second))
    if k % 4 == 1:
        return np.swapaxes(np.flip(m, second), first, second)
    return np.flip(np.swapaxes(m, first, second), second)


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    """The columns in reverse order."""
    return np.flip(m, 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    """The rows in reverse order."""
    return np.flip(m, 0)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """An axis moved to stand before another."""
    ndim = len(shape_of(a))
    axis, start = one_axis(axis, ndim), start + ndim if start < 0 else start
    return np.moveaxis(a, axis, start - (axis < start))


@implements(np.atleast_3d)
def atleast_3d(*arrays: Any) -> Any:
    """Arrays with three axes at least: vectors in the middle, matrices with one more at the end."""
    if len(arrays) != 1:
        return tuple(atleast_3d(x) for x in arrays)
    shape = shape_of(arrays[0])
    if len(shape) >= 3:
        return as_array(arrays[0])
    return np.reshape(arrays[0], {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}[len(shape)])


@implements(np.atleast_1d)
def atleast_1d(*arrays: Any) -> Any:
    """Arrays with one axis at least."""
    found = tuple(composed.atleast_1d(x) for x in arrays)
    return found[0] if len(found) == 1 else found


@implements(np.atleast_2d)
def atleast_2d(*arrays: Any) -> Any:
    """Arrays with two axes at least, the new ones first."""
    found = tuple(composed.atleast_2d(x) for x in arrays)
    return found[0] if len(found) == 1 else found


# --- joining and cutting --------------------------------------------------------------------------------
@implements(np.concatenate)
def concatenate(
    arrays: Sequence[Any], axis: int | None = 0, *, dtype: Any = None, casting: Any = None
) -> Any:
    """Arrays joined along an axis they have."""
    joined = moving.concat(arrays, axis)
    return joined if dtype is None else joined.astype(dtype)


@implements(np.stack)
def stack(arrays: Sequence[Any], axis: int = 0, *, dtype: Any = None, casting: Any = None) -> Any:
    """Arrays joined along a new axis."""
    joined = moving.stack(arrays, axis)
    return joined if dtype is None else joined.astype(dtype)


@implements(np.vstack)
def vstack(tup: Sequence[Any], *, dtype: Any = None, casting: Any = None) -> Any:
    """Arrays below each other: joined along the first axis, vectors as rows."""
    return concatenate([composed.atleast_2d(x) for x in tup], 0, dtype=dtype)


@implements(np.hstack)
def hstack(tup: Sequence[Any], *, dtype: Any = None, casting: Any = None) -> Any:
    """Arrays beside each other: joined along the second axis, vectors along the first."""
    arrays = [composed.atleast_1d(x) for x in tup]
    return concatenate(arrays, 0 if arrays and len(shape_of(arrays[0])) == 1 else 1, dtype=dtype)


@implements(np.dstack)
def dstack(tup: Sequence[Any]) -> Any:
    """Arrays behind each other: joined along the third axis."""
    return np.concatenate([atleast_3d(x) for x in tup], axis=2)


@implements(np.block)
def block(arrays: Any) -> Any:
    """An array from nested lists of blocks: the innermost are joined along the last axis."""
    depth = _depth(arrays)
    ndim = max(depth, *(len(shape_of(leaf)) for leaf in _leaves(arrays)))
    return _joined_blocks(arrays, depth, ndim)


def _depth(arrays: Any) -> int:
    return 1 + max(map(_depth, arrays), default=0) if isinstance(arrays, list) else 0


def _leaves(arrays: Any) -> list[Any]:
    return [leaf for part in arrays for leaf in _leaves(part)] if isinstance(arrays, list) else [arrays]


def _joined_blocks(arrays: Any, depth: int, ndim: int) -> Any:
    if not isinstance(arrays, list):
        return np.reshape(arrays, (1,) * (ndim - len(shape_of(arrays))) + shape_of(arrays))
    return np.concatenate([_joined_blocks(part, depth - 1, ndim) for part in arrays], axis=-depth)


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Pieces along `axis`: so many of equal length, or cut at the given positions."""
    return list(moving.split(ary, indices_or_sections, axis))


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Pieces along `axis`: so many of nearly equal length, or cut at the given positions."""
    return list(moving.array_split(ary, indices_or_sections, axis))


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Pieces beside each other."""
    return split(ary, indices_or_sections, 1 if len(shape_of(ary)) > 1 else 0)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Pieces below each other."""
    return split(ary, indices_or_sections, 0)


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Pieces behind each other."""
    return split(ary, indices_or_sections, 2)


@implements(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """Values joined to the end; everything flattened if there is no axis."""
    if axis is None:
        arr, values, axis = np.ravel(arr), np.ravel(values), 0
    return np.concatenate([arr, values], axis=axis)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """Values put before the positions `obj`, which must be known."""
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis, n = one_axis(axis, len(shape_of(arr))), shape_of(arr)[axis]
    where = _known(obj, "insert", n)
    values = as_array(values).astype(as_array(arr).dtype)
    ndim = len(shape_of(arr))
    values = np.reshape(values, (1,) * (ndim - values.ndim) + values.shape)
    if np.ndim(where) == 0:
        values = np.moveaxis(values, 0, axis)
        where = np.full(values.shape[axis], where)
    shape = (*shape_of(arr)[:axis], np.size(where), *shape_of(arr)[axis + 1 :])
    order = np.insert(np.arange(n), where, n + np.arange(np.size(where)))
    return np.take(np.concatenate([arr, np.broadcast_to(values, shape)], axis=axis), order, axis=axis)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """What is left without the positions `obj`, which must be known."""
    if axis is None:
        arr, axis = np.ravel(arr), 0
    n = shape_of(arr)[one_axis(axis, len(shape_of(arr)))]
    return np.take(arr, np.delete(np.arange(n), _known(obj, "delete", n)), axis=axis)


def _known(obj: Any, name: str, n: int) -> Any:
    if type(obj) is Array:
        raise TypeError(f"the positions to {name} must be known while tracing, not traced")
    return np.arange(n)[obj] if isinstance(obj, slice) else np.asarray(obj)


# --- diagonals, grids, windows --------------------------------------------------------------------------
@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """The `k`-th diagonal of a matrix, or a matrix with a vector on it."""
    shape = shape_of(v)
    if len(shape) not in (1, 2):
        raise ValueError(f"a vector or a matrix has a diagonal, not an array of shape {shape}")
    if len(shape) == 2:
        return np.diagonal(v, k)
    n = shape[0] + abs(k)
    rows = np.arange(shape[0]) + max(-k, 0)
    columns = np.arange(shape[0]) + max(k, 0)
    return moving.scatter_add(v, rows, columns, shape=(n, n), indices=(("array", "array"),))


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """A matrix with the flattened elements on its `k`-th diagonal."""
    return diag(np.ravel(v), k)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    """Arrays repeated until they have one shape."""
    shape = np.broadcast_shapes(*map(shape_of, args))
    return tuple(np.broadcast_to(x, shape) for x in args)


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """The coordinates of a grid, from the vectors of its axes."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing is {indexing!r}; it can be 'xy' or 'ij'")
    places = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        places[:2] = 1, 0
    lines = tuple(
        np.reshape(x, [-1 if number == place else 1 for number in range(len(xi))])
        for x, place in zip(xi, places)
    )
    return lines if sparse else broadcast_arrays(*lines)


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """All windows of an array, their elements in new axes at the end."""
    lengths = as_tuple(window_shape)
    ndim = len(shape_of(x))
    axes = tuple(range(ndim)) if axis is None else tuple(one_axis(n, ndim) for n in as_tuple(axis))
    if len(lengths) != len(axes):
        raise ValueError(f"{len(lengths)} window lengths for {len(axes)} axes")
    for number, length in zip(axes, lengths):
        starts = shape_of(x)[number] - length + 1
        if starts < 1:
            raise ValueError(f"a window of {length} is longer than axis {number} of shape {shape_of(x)}")
        windows = np.take(x, np.arange(starts)[:, None] + np.arange(length), axis=number)
        x = np.moveaxis(windows, number + 1, -1)
    return x


# --- along axes -----------------------------------------------------------------------------------------
@implements(np.apply_along_axis)
def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """A function applied to each vector along `axis`, recorded for one after the other."""
    rows = np.moveaxis(arr, axis, -1)
    axis = one_axis(axis, len(shape_of(arr)))
    outer = shape_of(rows)[:-1]
    results = [func1d(row, *args, **kwargs) for row in np.reshape(rows, (-1, shape_of(rows)[-1]))]
    if not results:
        raise ValueError("there is no vector to apply the function to")
    whole = np.stack([as_array(result) for result in results])
    inner = shape_of(whole)[1:]
    whole = np.reshape(whole, outer + inner)
    front = list(range(len(outer)))
    back = list(range(len(outer), len(outer) + len(inner)))
    return np.permute_dims(whole, front[:axis] + back + front[axis:])


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    """A reduction over one axis after the other, which stay with length one."""
    for axis in as_tuple(axes):
        reduced = func(a, axis)
        a = reduced if len(shape_of(reduced)) == len(shape_of(a)) else np.expand_dims(reduced, axis)
    return a


@implements(np.permute_dims, np.transpose)
def permute_dims(a: Any, axes: Any = None) -> Any:
    """The axes in another order; reversed if none is given."""
    return moving.permute_dims(a, None if axes is None else as_tuple(axes))


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """The array with a border: of one value, of its edge, or of itself (wrap, reflect, symmetric)."""
    if isinstance(mode, str) and mode == "constant" and not np.any(kwargs.get("constant_values", 0)):
        return composed.pad(array, _widths(pad_width, len(shape_of(array))))
    known = ("constant", "edge", "wrap", "reflect", "symmetric")
    if mode not in known or kwargs.get("reflect_type", "even") != "even":
        raise ValueError(f"mode {mode!r} can't be traced; the modes are {', '.join(known)}")
    widths = _widths(pad_width, len(shape_of(array)))
    if mode == "constant":
        given = kwargs["constant_values"]
        values = given if isinstance(given, Array) else np.broadcast_to(given, (len(widths), 2))
        if isinstance(given, Array) and given.ndim:
            raise ValueError("constant_values= is one number if it is traced")
        for axis, pair in enumerate(widths):
            ends = (given, given) if isinstance(given, Array) else values[axis]
            array = _bordered(array, axis, pair, ends)
        return array
    for axis, pair in enumerate(widths):
        # NumPy says where each element of the border comes from.
        source = np.pad(np.arange(shape_of(array)[axis]), pair, mode=mode)
        array = np.take(array, source, axis=axis)
    return array


def _widths(pad_width: Any, ndim: int) -> list[list[int]]:
    if isinstance(pad_width, dict):
        pairs = np.zeros((ndim, 2), np.int64)
        for axis, pair in pad_width.items():
            pairs[axis] = pair
        pad_width = pairs
    widths = np.broadcast_to(np.asarray(pad_width), (ndim, 2)).tolist()
    if any(width < 0 for pair in widths for width in pair):
        raise ValueError(f"widths {pad_width} must not be negative")
    return widths  # type: ignore[no-any-return]


def _bordered(array: Any, axis: int, widths: Any, values: Any) -> Any:
    array = as_array(array)
    before, after = (
        np.broadcast_to(
            as_array(value).astype(array.dtype), (*array.shape[:axis], width, *array.shape[axis + 1 :])
        )
        for value, width in zip(values, widths)
    )
    return np.concatenate([before, array, after], axis=axis)
