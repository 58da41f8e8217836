"""Functions that compute: elementwise and reductions, one for each row of the table.

`FUNCTIONS` holds those made from their rows alone; those whose arguments need more are written out below it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from dagexec.array import Array, call, shape_of
from dagexec.graph import Op
from dagexec.ops import TABLE
from dagexec.ops.table import normalize_axes
from dagexec.xp.info import require_cpu
from dagexec.xp.moving import reshape

Axis = int | tuple[int, ...] | None


def _document(function: Any, op: Op, text: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = op.name
    gradient = "" if op.vjp else " Not differentiable: no gradient flows through it."
    function.__doc__ = f"{op.doc}.{gradient}\n\n{text}"
    return function  # type: ignore[no-any-return]


def _elementwise(op: Op) -> Callable[..., Any]:
    return _document(
        lambda *operands: call(op, *operands), op, "Operands broadcast and are promoted as in NumPy."
    )


def _reduction(op: Op) -> Callable[..., Any]:
    def reduce(x: Any, axis: Axis = None, *, keepdims: bool = False, dtype: Any = None) -> Any:
        x = x if dtype is None else astype(x, dtype)
        y = call(op, x, axis=normalize_axes(axis, len(shape_of(x))), keepdims=operator.truth(keepdims))
        return y if dtype is None else astype(y, dtype, copy=False)  # small integers stay small if asked to

    return _document(
        reduce, op, "Reduces over `axis` (an axis, a tuple of axes, or all); `keepdims` keeps them."
    )


FUNCTIONS = {op.name: _elementwise(op) for op in TABLE.values() if op.family == "elementwise"}
FUNCTIONS |= {op.name: _reduction(op) for op in TABLE.values() if op.family == "reduction"}
_POWERS = {2: "square", 1: "positive", -1: "reciprocal", 0.5: "sqrt"}


def pow(x: Any, exponent: Any) -> Any:
    """`x` to the power of `exponent`; for a number that means a square, root or reciprocal, that op."""
    if isinstance(x, Array) and type(exponent) in (int, float) and exponent in _POWERS:
        inexact = x.dtype.kind in "fc"
        if inexact or (exponent in (1, 2) and type(exponent) is int):
            return call(TABLE[_POWERS[exponent]], x)
    return call(TABLE["pow"], x, exponent)


def conj(x: Any) -> Any:
    """The complex conjugate; of a traced array of real numbers a copy, for which nothing is recorded."""
    return type(x)(x.node) if isinstance(x, Array) and x.dtype.kind in "iuf" else call(TABLE["conj"], x)


def sign(x: Any) -> Any:
    """−1, 0 or 1, where no gradient flows; of a complex number x / |x|, which has one, or 0."""
    if not isinstance(x, Array) or x.dtype.kind != "c":
        return call(TABLE["sign"], x)
    size = call(TABLE["abs"], x)
    return call(TABLE["divide"], x, where(call(TABLE["equal"], size, 0), 1, size))


def real(x: Any) -> Any:
    """The real part; a traced array of real numbers is returned as it is."""
    return x if isinstance(x, Array) and x.dtype.kind != "c" else call(TABLE["real"], x)


def where(condition: Any, x: Any, y: Any) -> Any:
    """`x` where the condition holds (is not zero), else `y`."""
    condition = condition if isinstance(condition, Array) else np.asarray(condition)
    if condition.dtype != np.bool:
        condition = call(TABLE["not_equal"], condition, 0)
    return call(TABLE["where"], condition, x, y)


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """`x` limited to the interval from `min` to `max`; None stands for no limit."""
    if min is None and max is None:
        return call(TABLE["positive"], x)
    if max is None:
        return call(TABLE["maximum"], x, min)
    if min is None:
        return call(TABLE["minimum"], x, max)
    return call(TABLE["clip"], x, min, max)


def astype(x: Any, dtype: Any, *, copy: bool = True, device: Any = None) -> Any:
    """`x` in another dtype; if it has that already, a copy, or `x` itself where `copy` is false."""
    require_cpu(device)
    dtype = np.dtype(dtype)
    if isinstance(x, Array) or not copy:
        x = x if isinstance(x, Array) else np.asarray(x)
        if x.dtype == dtype:
            return type(x)(x.node) if copy else x
    return call(TABLE["astype"], x, dtype=dtype)


def count_nonzero(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """How many elements over `axis` are not zero."""
    return FUNCTIONS["sum"](call(TABLE["not_equal"], x, 0), axis, keepdims=keepdims)


def var(
    x: Any, axis: Axis = None, *, correction: float = 0.0, ddof: float = 0.0, keepdims: bool = False
) -> Any:
    """Variance over `axis`: the squared deviations divided by n − correction (NumPy's `ddof`)."""
    axes = normalize_axes(axis, len(shape_of(x)))
    return call(TABLE["var"], x, axis=axes, keepdims=keepdims, correction=correction + ddof)


def std(
    x: Any, axis: Axis = None, *, correction: float = 0.0, ddof: float = 0.0, keepdims: bool = False
) -> Any:
    """Standard deviation over `axis`, the square root of `var`."""
    return call(TABLE["sqrt"], var(x, axis, correction=correction, ddof=ddof, keepdims=keepdims))


def _position(name: str) -> Callable[..., Any]:
    def position(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
        axes = normalize_axes(None if axis is None else operator.index(axis), len(shape_of(x)))
        if len(axes) != 1 and not keepdims:  # NumPy gives the position in the flattened array
            return call(TABLE[name], reshape(x, (-1,)), axis=(0,), keepdims=False)
        return call(TABLE[name], x, axis=axes, keepdims=keepdims)

    return _document(position, TABLE[name], "`axis` is one axis, or None for the flattened array.")


argmax, argmin = _position("argmax"), _position("argmin")
