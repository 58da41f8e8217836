"""Tests of elements and of whole arrays: closeness, equality, kinds of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagexec.array import Array, shape_of
from dagexec.xp import composed
from dagexec.xp.computing import Axis
from dagexec.xp.info import dtype_of
from dagexec.xp.numpy_functions.reductions import as_array, number_of
from dagexec.xp.registry import implements


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """Whether elements differ by no more than atol + rtol |b|; infinite ones are close to themselves."""
    a, b = as_array(a), as_array(b)
    finite = np.isfinite(b)
    near = np.abs(a - np.where(finite, b, 0)) <= atol + rtol * np.abs(np.where(finite, b, 0))
    close = np.where(finite, near, a == b)
    return np.logical_or(close, np.isnan(a) & np.isnan(b)) if equal_nan else close


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """Whether all elements are close: a traced bool, which an `if` can't ask for."""
    return np.all(isclose(a, b, rtol, atol, equal_nan))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether shapes and all elements are equal: a traced bool if the shapes are."""
    if shape_of(a1) != shape_of(a2):
        return False
    same = as_array(a1) == a2
    return np.all(np.logical_or(same, np.isnan(a1) & np.isnan(a2)) if equal_nan else same)


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    """Whether shapes broadcast and all elements are equal then."""
    try:
        np.broadcast_shapes(shape_of(a1), shape_of(a2))
    except ValueError:
        return False
    return np.all(as_array(a1) == a2)


@implements(np.isposinf)
def isposinf(x: Any) -> Any:
    """Is x positive infinity."""
    return as_array(x) == np.inf


@implements(np.isneginf)
def isneginf(x: Any) -> Any:
    """Is x negative infinity."""
    return as_array(x) == -np.inf


@implements(np.isreal)
def isreal(x: Any) -> Any:
    """Is the imaginary part zero."""
    return np.imag(x) == 0


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """Is the imaginary part not zero."""
    return np.imag(x) != 0


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex."""
    return bool(as_array(x).dtype.kind == "c")


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex."""
    return not iscomplexobj(x)


# --- dtypes, shapes and memory, which a trace knows -------------------------------------------------------
@implements(np.shape)
def shape(a: Any) -> tuple[int, ...]:
    """Length of each axis."""
    return shape_of(a)


@implements(np.ndim)
def ndim(a: Any) -> int:
    """Number of axes."""
    return len(shape_of(a))


@implements(np.size)
def size(a: Any, axis: Axis = None) -> int:
    """Number of elements, or the length of an axis."""
    return int(number_of(a, axis))


@implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> Any:
    """The dtype that all promote to."""
    return np.result_type(*map(dtype_of, arrays_and_dtypes))


@implements(np.common_type)
def common_type(*arrays: Any) -> Any:
    """The floating-point type that all arrays fit into."""
    return np.common_type(*[np.empty((), x.dtype) for x in map(as_array, arrays)])


@implements(np.min_scalar_type)
def min_scalar_type(a: Any) -> np.dtype[Any]:
    """The dtype: a trace does not know which smaller one would do."""
    dtype: np.dtype[Any] = a.dtype
    return dtype


@implements(np.may_share_memory, np.shares_memory)
def may_share_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    """False: no assignment to one traced array reaches another."""
    return a is b


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """NaN as `nan`, infinities as the largest numbers of either sign, or as said."""
    x = as_array(x)
    if x.dtype.kind == "c":
        return nan_to_num(np.real(x), copy, nan, posinf, neginf) + 1j * nan_to_num(
            np.imag(x), copy, nan, posinf, neginf
        )
    if x.dtype.kind != "f":
        return composed.copy(x) if copy else x
    limits = np.finfo(x.dtype)
    infinite = np.where(
        x > 0, limits.max if posinf is None else posinf, limits.min if neginf is None else neginf
    )
    known = np.where(np.isnan(x), np.asarray(nan, x.dtype), np.where(np.isinf(x), infinite, x))
    if not copy and isinstance(x, Array):
        x[...] = known
    return known.astype(x.dtype)
