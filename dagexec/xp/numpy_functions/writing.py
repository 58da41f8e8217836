"""NumPy's functions that write into an array: a traced one is bound to a new value."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagexec.array import Array, shape_of
from dagexec.ops.table import one_axis
from dagexec.xp.assigning import assign, store
from dagexec.xp.numpy_functions.reductions import as_array
from dagexec.xp.registry import implements


def _writable(a: Any) -> Array:
    if not isinstance(a, Array):
        raise TypeError("a NumPy array can't hold traced values; make it with xp.zeros")
    return a


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    """`src` written into `dst` where `where` holds."""
    dst = _writable(dst)
    src = as_array(src)
    if not np.can_cast(src.dtype, dst.dtype, casting):
        raise TypeError(f"{src.dtype.name} values do not fit into an array of {dst.dtype.name}")
    if where is not True:
        src = np.where(where, src, dst).astype(dst.dtype)
    store(src, dst, casting)


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """`val` written onto the main diagonal, repeated as often as needed."""
    shape = shape_of(a)
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        raise ValueError(f"an array of shape {shape} has no main diagonal")
    if wrap and len(shape) == 2:
        places = np.arange(0, shape[0] * shape[1], shape[1] + 1)
        rows, columns = np.unravel_index(places, shape)
        index: tuple[Any, ...] = (rows, columns)
    else:
        index = (np.arange(min(shape)),) * len(shape)
    values = np.ravel(val)
    repeated = np.take(values, np.arange(index[0].size) % values.size)
    assign(_writable(a), index, repeated)


@implements(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Values written at indices into the flattened array, repeated as often as needed."""
    ind = np.ravel(ind)
    if mode == "clip":
        ind = np.clip(ind, 0, a.size - 1)
    elif mode == "wrap":
        ind = np.mod(ind, a.size)
    values = np.ravel(v)
    repeated = np.take(values, np.arange(ind.size) % values.size)
    flat: Any = np.ravel(np.copy(_writable(a)))
    assign(flat, ind, repeated)
    store(np.reshape(flat, shape_of(a)), a)


@implements(np.putmask)
def putmask(a: Any, /, mask: Any, values: Any) -> None:
    """Values written where a mask holds, each at its own place in the repeated values."""
    values = np.ravel(values)
    a = _writable(a)
    repeated = np.take(values, np.arange(a.size) % values.size) if values.size != 1 else values
    spread = np.reshape(repeated, a.shape) if values.size != 1 else values[0]
    store(np.where(mask, spread.astype(a.dtype), a), a)


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """The first value written at the first place where a known mask holds, the second at the second, ..."""
    if type(mask) is Array:
        raise TypeError("a traced mask does not say how many values are needed; use np.putmask or np.where")
    put(arr, np.flatnonzero(np.asarray(mask)), vals)


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    """Values written at the places that `indices` name along `axis`."""
    if axis is None:
        put(arr, indices, np.broadcast_to(values, shape_of(indices)))
        return
    shape = shape_of(arr)
    axis = one_axis(axis, len(shape))
    grid: list[Any] = [
        np.reshape(np.arange(length), [-1 if k == number else 1 for k in range(len(shape))])
        for number, length in enumerate(shape)
    ]
    grid[axis] = indices
    assign(_writable(arr), tuple(grid), values)
