"""NumPy functions that are several of the namespace's in one."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from dagexec.array import Array, call, shape_of
from dagexec.ops import TABLE
from dagexec.ops.table import as_tuple, one_axis
from dagexec.xp.computing import FUNCTIONS, Axis
from dagexec.xp.moving import (
    broadcast_to,
    concat,
    expand_dims,
    getitem,
    moveaxis,
    reshape,
    scatter_add,
    take,
)
from dagexec.xp.products import tensordot


def ravel(x: Any) -> Any:
    """The elements in one axis."""
    return reshape(x, (-1,))


def copy(x: Any) -> Any:
    """`x` itself if it is traced, for nothing can change it."""
    return x if isinstance(x, Array) else np.copy(x)


# --- joining, repeating, padding ------------------------------------------------------------------------
def atleast_1d(x: Any) -> Any:
    """`x` with one axis at least."""
    return x if shape_of(x) else reshape(x, (1,))


def atleast_2d(x: Any) -> Any:
    """`x` with two axes at least, the new ones first."""
    shape = shape_of(x)
    return x if len(shape) > 1 else reshape(x, (1,) * (2 - len(shape)) + shape)


def vstack(arrays: Sequence[Any]) -> Any:
    """Arrays below each other: joined along the first axis, vectors as rows."""
    return concat([atleast_2d(x) for x in arrays], 0)


def hstack(arrays: Sequence[Any]) -> Any:
    """Arrays beside each other: joined along the second axis, vectors along the first."""
    arrays = [atleast_1d(x) for x in arrays]
    return concat(arrays, 0 if arrays and len(shape_of(arrays[0])) == 1 else 1)


def column_stack(arrays: Sequence[Any]) -> Any:
    """Vectors as the columns of a matrix; matrices beside each other."""
    return concat([x if len(shape_of(x)) > 1 else reshape(x, (-1, 1)) for x in arrays], 1)


def repeat(x: Any, repeats: int | Sequence[int], axis: int | None = None) -> Any:
    """Each element along `axis` (of the flattened array, if None) so many times."""
    if axis is None:
        x, axis = ravel(x), 0
    return take(x, np.repeat(np.arange(shape_of(x)[one_axis(axis, len(shape_of(x)))]), repeats), axis)


def tile(x: Any, repetitions: int | Sequence[int]) -> Any:
    """The whole array so many times along each axis."""
    counts = as_tuple(repetitions)
    ndim = max(len(counts), len(shape_of(x)))
    counts = (1,) * (ndim - len(counts)) + tuple(operator.index(count) for count in counts)
    shape = (1,) * (ndim - len(shape_of(x))) + shape_of(x)
    apart = reshape(x, [length for n in shape for length in (1, n)])
    repeated = broadcast_to(apart, [length for pair in zip(counts, shape) for length in pair])
    return reshape(repeated, [count * length for count, length in zip(counts, shape)])


def pad(x: Any, pad_width: Any, mode: str = "constant") -> Any:
    """`x` with zeros around it: `pad_width` is before and after, for all axes or for each."""
    if mode != "constant":
        raise ValueError(f"pad: mode {mode!r} can't be traced, only 'constant' (zeros)")
    shape = shape_of(x)
    widths = np.broadcast_to(np.asarray(pad_width), (len(shape), 2)).tolist()
    if any(width < 0 for pair in widths for width in pair):
        raise ValueError(f"pad: widths {pad_width} must not be negative")
    padded = tuple(before + n + after for n, (before, after) in zip(shape, widths))
    index = tuple(slice(before, before + n) for n, (before, _) in zip(shape, widths))
    return scatter_add(x, shape=padded, indices=(index,))


# --- triangles and diagonals ----------------------------------------------------------------------------
def tril(x: Any, k: int = 0) -> Any:
    """`x` with zeros above its `k`-th diagonal."""
    rows, columns = shape_of(x)[-2:]
    return _masked(x, np.tri(rows, columns, k, np.bool))


def triu(x: Any, k: int = 0) -> Any:
    """`x` with zeros below its `k`-th diagonal."""
    rows, columns = shape_of(x)[-2:]
    return _masked(x, ~np.tri(rows, columns, k - 1, np.bool))


def _masked(x: Any, mask: Any) -> Any:
    x = x if isinstance(x, Array) else np.asarray(x)
    return call(TABLE["where"], mask, x, np.zeros((), x.dtype))


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements on a diagonal of two axes, which become the last axis."""
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = shape_of(x)[-2:]
    n = np.arange(max(0, min(rows + min(offset, 0), columns - max(offset, 0))))
    return getitem(x, n - min(offset, 0), n + max(offset, 0), index=(Ellipsis, "array", "array"))


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum over a diagonal of two axes."""
    return FUNCTIONS["sum"](diagonal(x, offset, axis1, axis2), axis=-1)


# --- sums and differences -------------------------------------------------------------------------------
def diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    """The differences of neighbours along `axis`, `n` times."""
    before = (slice(None),) * one_axis(axis, len(shape_of(x)))
    for _ in range(n):
        op = TABLE["not_equal" if x.dtype == np.bool else "subtract"]
        x = call(op, x[(*before, slice(1, None))], x[(*before, slice(None, -1))])
    return x


def average(x: Any, axis: Axis = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    """The mean, or the mean weighted with `weights`: in the shape of `x`, or of its one axis `axis`."""
    if weights is None:
        return FUNCTIONS["mean"](x, axis=axis, keepdims=keepdims)
    if shape_of(weights) != shape_of(x):
        if not isinstance(axis, int | np.integer):
            raise TypeError("average: weights of another shape need one axis")
        after = range(1, len(shape_of(x)) - one_axis(axis, len(shape_of(x))))
        weights = expand_dims(weights, tuple(after))
    weights = broadcast_to(weights, shape_of(x))
    weighted = FUNCTIONS["sum"](call(TABLE["multiply"], x, weights), axis=axis, keepdims=keepdims)
    return call(TABLE["divide"], weighted, FUNCTIONS["sum"](weights, axis=axis, keepdims=keepdims))


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """The root of the sum of squares over `axis`: of a vector, of a matrix (Frobenius), of all elements."""
    vector = isinstance(axis, int | np.integer) or (axis is None and len(shape_of(x)) == 1)
    if ord not in ((None, 2) if vector else (None, "fro")):
        raise ValueError(f"norm: ord={ord!r} can't be traced, only the root of the sum of squares")
    return call(TABLE["sqrt"], FUNCTIONS["sum"](call(TABLE["square"], x), axis=axis, keepdims=keepdims))


def inner(a: Any, b: Any) -> Any:
    """The sum of products over the last axes; with a scalar, the product."""
    if not shape_of(a) or not shape_of(b):
        return call(TABLE["multiply"], a, b)
    return tensordot(a, b, (-1, -1))
