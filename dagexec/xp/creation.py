"""Arrays made from nothing, from other data, and from the shape of others.

In a trace, `zeros`, `ones`, `full` and `empty` give traced arrays (one number, broadcast), so that they can
be assigned to; what `arange`, `linspace` and `eye` make is known while tracing and stays a NumPy array.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from dagexec.array import CURRENT, Array, TracingError, at, record, shape_of, user_line
from dagexec.ops import TABLE
from dagexec.ops.table import as_tuple
from dagexec.xp.computing import astype, where
from dagexec.xp.info import require_cpu
from dagexec.xp.moving import broadcast_to, reshape, stack

Shape = int | Sequence[int]


# --- filled arrays --------------------------------------------------------------------------------------
def full(shape: Shape, fill_value: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """An array of `shape` with one value everywhere; in a trace a traced one.

    >>> full((2, 2), 0.5)
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    require_cpu(device)
    # A traced length raises TracingError.
    lengths = (
        (operator.index(shape),) if isinstance(shape, Array) else tuple(map(operator.index, as_tuple(shape)))
    )
    if any(n < 0 for n in lengths):
        raise ValueError(f"full: shape {lengths} has a negative length")
    if CURRENT.get() is None and not isinstance(fill_value, Array):
        return np.full(lengths, fill_value, dtype)
    if not isinstance(fill_value, Array):
        fill_value = np.asarray(fill_value, dtype)
    elif dtype is not None:
        fill_value = astype(fill_value, dtype)
    return record(TABLE["broadcast_to"], (fill_value,), {"shape": lengths})


def zeros(shape: Shape, dtype: Any = None, *, device: Any = None) -> Any:
    """Zeros, float64 unless another `dtype` is given."""
    return full(shape, 0, np.float64 if dtype is None else dtype, device=device)


def ones(shape: Shape, dtype: Any = None, *, device: Any = None) -> Any:
    """Ones, float64 unless another `dtype` is given."""
    return full(shape, 1, np.float64 if dtype is None else dtype, device=device)


def empty(shape: Shape, dtype: Any = None, *, device: Any = None) -> Any:
    """An array to be filled: zeros, for a graph has the same results each time it runs."""
    return zeros(shape, dtype, device=device)


def full_like(x: Any, fill_value: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """One value everywhere, in the shape of `x`, and in its dtype unless another is given."""
    own = x.dtype if isinstance(x, Array) else np.asarray(x).dtype
    return full(shape_of(x), fill_value, own if dtype is None else dtype, device=device)


def zeros_like(x: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """Zeros in the shape of `x`, and in its dtype unless another is given."""
    return full_like(x, 0, dtype, device=device)


def ones_like(x: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """Ones in the shape of `x`, and in its dtype unless another is given."""
    return full_like(x, 1, dtype, device=device)


def empty_like(x: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """An array to be filled, in the shape of `x`: zeros."""
    return zeros_like(x, dtype, device=device)


# --- numbers in a row -----------------------------------------------------------------------------------
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, *, device: Any = None) -> Any:
    """The numbers from `start` up to, not including, `stop`; from 0 to `start` if it is the only one."""
    require_cpu(device)
    for bound in (start, stop, step):
        if type(bound) is Array:
            raise TracingError(
                f"the length of arange depends on the value of {bound!r}, which a trace does not know: "
                f"use start + step * xp.arange(n) with a plain Python n ({at(user_line())})"
            )
    bounds: Any = (0, start, step) if stop is None else (start, stop, step)
    return np.arange(*bounds, dtype=dtype)


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, *, device: Any = None
) -> Any:
    """So many evenly spaced numbers from `start` to `stop`, which is the last if `endpoint` is true.

    >>> linspace(0, 1, 3)
    array([0. , 0.5, 1. ])
    """
    require_cpu(device)
    return np.linspace(start, stop, num, endpoint, dtype=dtype)  # if traced, it comes back to us


def eye(n_rows: int, n_cols: int | None = None, k: int = 0, dtype: Any = None, *, device: Any = None) -> Any:
    """A matrix with ones on the `k`-th diagonal, else zeros."""
    require_cpu(device)
    return np.eye(n_rows, n_cols, k, np.float64 if dtype is None else dtype)


# --- from other data ------------------------------------------------------------------------------------
def asarray(obj: Any, dtype: Any = None, *, device: Any = None, copy: bool | None = None) -> Any:
    """`obj` as an array: a traced one as it is (cast if `dtype` is given), anything else by NumPy.

    Nested lists with traced arrays in them are stacked. `copy` True always copies, False never does:
    ValueError where it must.
    """
    require_cpu(device)
    if isinstance(obj, Array):
        if copy is False and dtype is not None and dtype != obj.dtype:
            raise ValueError(f"asarray: {obj.dtype.name} becomes {np.dtype(dtype).name} by a copy only")
        return astype(obj, obj.dtype if dtype is None else dtype, copy=bool(copy))
    if isinstance(obj, list | tuple) and _holds_traced(obj):
        return asarray(stack([asarray(part) for part in obj]), dtype)
    return np.asarray(obj, dtype, copy=copy)


def _holds_traced(parts: Sequence[Any]) -> bool:
    return any(
        isinstance(part, Array) or (isinstance(part, list | tuple) and _holds_traced(part)) for part in parts
    )


def from_dlpack(x: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A NumPy array from another library's, by the DLPack protocol: without a copy where that can be.

    Raises TracingError for a traced array, which has no values.
    """
    require_cpu(device)
    if type(x) is Array:
        x.__dlpack__()
    return np.from_dlpack(x, device=device, copy=copy)


def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """The coordinates of a grid, from the vectors of its axes: the second first if `indexing` is "xy"."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is {indexing!r}; it can be 'xy' or 'ij'")
    lengths = [int(np.prod(shape_of(x), dtype=np.int64)) for x in arrays]
    places = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = 1, 0
    shape = [0] * len(arrays)
    for place, length in zip(places, lengths):
        shape[place] = length
    grids = []
    for x, place in zip(arrays, places):
        line = reshape(x, [-1 if number == place else 1 for number in range(len(arrays))])
        grids.append(broadcast_to(line, shape))
    return tuple(grids)


# --- triangles ------------------------------------------------------------------------------------------
def tril(x: Any, k: int = 0) -> Any:
    """`x` with zeros above its `k`-th diagonal."""
    rows, columns = _matrix_shape(x, "tril")
    return _masked(x, np.tri(rows, columns, k, np.bool))


def triu(x: Any, k: int = 0) -> Any:
    """`x` with zeros below its `k`-th diagonal."""
    rows, columns = _matrix_shape(x, "triu")
    return _masked(x, ~np.tri(rows, columns, k - 1, np.bool))


def _matrix_shape(x: Any, name: str) -> tuple[int, ...]:
    shape = shape_of(x)
    if len(shape) < 2:
        raise ValueError(f"{name}: needs two dimensions or more, not {len(shape)}")
    return shape[-2:]


def _masked(x: Any, mask: Any) -> Any:
    x = x if isinstance(x, Array) else np.asarray(x)
    return where(mask, x, np.zeros((), x.dtype))
