"""NumPy functions that are several of the namespace's in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dagexec.array import Array, call, shape_of
from dagexec.ops import TABLE
from dagexec.xp.computing import FUNCTIONS
from dagexec.xp.moving import (
    concat,
    getitem,
    moveaxis,
    reshape,
    scatter_add,
)
from dagexec.xp.products import tensordot
from dagexec.xp.registry import implements


@implements(np.copy)
def copy(x: Any, order: str = "K", subok: bool = False) -> Any:
    """The same values in another array: what is assigned to either does not change the other."""
    return type(x)(x.node) if isinstance(x, Array) else np.copy(x)


# --- joining, padding -----------------------------------------------------------------------------------
def atleast_1d(x: Any) -> Any:
    """`x` with one axis at least."""
    return x if shape_of(x) else reshape(x, (1,))


def atleast_2d(x: Any) -> Any:
    """`x` with two axes at least, the new ones first."""
    shape = shape_of(x)
    return x if len(shape) > 1 else reshape(x, (1,) * (2 - len(shape)) + shape)


@implements(np.column_stack)
def column_stack(arrays: Sequence[Any]) -> Any:
    """Vectors as the columns of a matrix; matrices beside each other."""
    return concat([x if len(shape_of(x)) > 1 else reshape(x, (-1, 1)) for x in arrays], 1)


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


# --- diagonals ------------------------------------------------------------------------------------------
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements on a diagonal of two axes, which become the last axis."""
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = shape_of(x)[-2:]
    n = np.arange(max(0, min(rows + min(offset, 0), columns - max(offset, 0))))
    return getitem(x, n - min(offset, 0), n + max(offset, 0), index=(Ellipsis, "array", "array"))


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    """The sum over a diagonal of two axes."""
    return FUNCTIONS["sum"](diagonal(x, offset, axis1, axis2), axis=-1, dtype=dtype)


# --- products -------------------------------------------------------------------------------------------
@implements(np.inner)
def inner(a: Any, b: Any) -> Any:
    """The sum of products over the last axes; with a scalar, the product."""
    if not shape_of(a) or not shape_of(b):
        return call(TABLE["multiply"], a, b)
    return tensordot(a, b, (-1, -1))
