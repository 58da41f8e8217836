"""Reductions and running totals with all of NumPy's arguments, and those that leave NaN out."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from dagexec.array import Array, shape_of
from dagexec.ops.table import normalize_axes
from dagexec.xp import computing, sorting
from dagexec.xp.computing import FUNCTIONS, Axis
from dagexec.xp.registry import implements

Where = Any


def as_array(x: Any) -> Any:
    """A traced array as it is, anything else as NumPy's."""
    return x if isinstance(x, Array) else np.asarray(x)


def number_of(x: Any, axis: Axis, where: Where = True) -> Any:
    """How many elements a reduction over `axis` counts, in a shape that broadcasts with its result."""
    axes = normalize_axes(axis, len(shape_of(x)))
    if where is True:
        return int(np.prod([shape_of(x)[n] for n in axes], dtype=np.int64))
    return np.sum(np.broadcast_to(where, shape_of(x)), axis=axes)


def _chosen(x: Any, where: Where, neutral: Any) -> Any:
    return x if where is True else np.where(where, x, neutral)


def _total(name: str, neutral: int, operate: Any) -> Any:
    def total(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Where = True,
    ) -> Any:
        result = FUNCTIONS[name](_chosen(a, where, neutral), axis, dtype=dtype, keepdims=keepdims)
        return result if initial is None else operate(result, initial)

    total.__name__ = name
    return total


sum = implements(np.sum)(_total("sum", 0, operator.add))
prod = implements(np.prod)(_total("prod", 1, operator.mul))


def _extremum(name: str, larger: np.ufunc) -> Any:
    def extremum(
        a: Any,
        axis: Axis = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Where = True,
    ) -> Any:
        if where is not True and initial is None:
            raise ValueError(f"{name} with where= needs initial=, for where nothing is chosen")
        top = FUNCTIONS[name](_chosen(a, where, initial), axis, keepdims=keepdims)
        return top if initial is None else larger(top, initial)

    extremum.__name__ = name
    return extremum


max = implements(np.max, np.amax)(_extremum("max", np.maximum))
min = implements(np.min, np.amin)(_extremum("min", np.minimum))


@implements(np.all)
def all(a: Any, axis: Axis = None, keepdims: bool = False, *, where: Where = True) -> Any:
    """Whether all elements over `axis` that `where` chooses are true."""
    return FUNCTIONS["all"](_chosen(a, where, True), axis, keepdims=keepdims)


@implements(np.any)
def any(a: Any, axis: Axis = None, keepdims: bool = False, *, where: Where = True) -> Any:
    """Whether any element over `axis` that `where` chooses is true."""
    return FUNCTIONS["any"](_chosen(a, where, False), axis, keepdims=keepdims)


@implements(np.mean)
def mean(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    keepdims: bool = False,
    *,
    where: Where = True,
) -> Any:
    """The arithmetic mean over `axis` of the elements that `where` chooses."""
    if where is True:
        return FUNCTIONS["mean"](a, axis, dtype=dtype, keepdims=keepdims)
    total = sum(a if dtype is None else a.astype(dtype), axis, keepdims=True, where=where)
    result = total / np.reshape(number_of(a, axis, where), total.shape)
    return result if keepdims else np.squeeze(result, normalize_axes(axis, a.ndim))


@implements(np.var)
def var(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Where = True,
    mean: Any = None,
    correction: float | None = None,
) -> Any:
    """The variance over `axis` of the elements that `where` chooses, divided by their number less `ddof`."""
    ddof = ddof if correction is None else correction
    a = a if dtype is None else a.astype(dtype)
    if where is True and mean is None:
        return computing.var(a, axis, correction=ddof, keepdims=keepdims)
    middle = np.mean(a, axis, keepdims=True, where=where) if mean is None else mean
    squares = np.square(np.abs(a - middle))
    total = sum(squares, axis, keepdims=True, where=where)
    number = number_of(a, axis, where)
    result = total / np.maximum(np.reshape(number, np.shape(number) and total.shape) - ddof, 0)
    return result if keepdims else np.squeeze(result, normalize_axes(axis, a.ndim))


@implements(np.std)
def std(a: Any, *args: Any, **kwargs: Any) -> Any:
    """The standard deviation, the root of `var`."""
    return np.sqrt(var(a, *args, **kwargs))


@implements(np.ptp)
def ptp(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest less the smallest element over `axis`."""
    return np.max(a, axis, keepdims=keepdims) - np.min(a, axis, keepdims=keepdims)


# --- running totals -------------------------------------------------------------------------------------
@implements(np.cumsum)
def cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """The running sums along `axis`, or of the flattened array."""
    return sorting.cumulative_sum(*_line(a, axis), dtype=dtype)


@implements(np.cumprod)
def cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """The running products along `axis`, or of the flattened array."""
    return sorting.cumulative_prod(*_line(a, axis), dtype=dtype)


def _line(a: Any, axis: int | None) -> tuple[Any, int]:
    return (np.ravel(a), 0) if axis is None else (a, axis)


# --- without NaN ----------------------------------------------------------------------------------------
def _without(neutral: float, function: Any) -> Any:
    """`function`, with another number in the place of NaN."""
    return lambda a, *args, **kwargs: function(_without_nan(a, neutral), *args, **kwargs)


for _theirs, _ours in {
    np.nansum: _without(0, sum),
    np.nanprod: _without(1, prod),
    np.nancumsum: _without(0, cumsum),
    np.nancumprod: _without(1, cumprod),
    np.nanargmax: _without(-np.inf, computing.argmax),
    np.nanargmin: _without(np.inf, computing.argmin),
}.items():
    implements(_theirs)(_ours)


@implements(np.nanmean)
def nanmean(a: Any, *args: Any, where: Where = True, **kwargs: Any) -> Any:
    """The mean over `axis` of what is not NaN."""
    return mean(a, *args, where=_and_no_nan(a, where), **kwargs)


@implements(np.nanvar)
def nanvar(a: Any, *args: Any, where: Where = True, **kwargs: Any) -> Any:
    """The variance over `axis` of what is not NaN."""
    return var(_without_nan(a, 0), *args, where=_and_no_nan(a, where), **kwargs)


@implements(np.nanstd)
def nanstd(a: Any, *args: Any, **kwargs: Any) -> Any:
    """The standard deviation over `axis` of what is not NaN."""
    return np.sqrt(nanvar(a, *args, **kwargs))


def _nan_extremum(extremum: Any, worst: float) -> Any:
    def over_numbers(
        a: Any, axis: Axis = None, keepdims: bool = False, initial: Any = None, where: Where = True
    ) -> Any:
        top = extremum(_without_nan(a, worst), axis, keepdims, initial, where)
        return top if where is not True else _nan_where_all_are(a, axis, keepdims, top)

    return over_numbers


implements(np.nanmax)(_nan_extremum(max, -np.inf))
implements(np.nanmin)(_nan_extremum(min, np.inf))


def _without_nan(a: Any, other: float) -> Any:
    a = as_array(a)
    return np.where(np.isnan(a), other, a) if a.dtype.kind in "fc" else a


def _and_no_nan(a: Any, where: Where) -> Any:
    numbers = ~np.isnan(a)
    return numbers if where is True else np.logical_and(numbers, where)


def _nan_where_all_are(a: Any, axis: Axis, keepdims: bool, result: Any) -> Any:
    if as_array(a).dtype.kind not in "fc":
        return result
    return np.where(np.all(np.isnan(a), axis=axis, keepdims=keepdims), np.nan, result)
