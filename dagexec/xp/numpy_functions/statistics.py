"""Order statistics, averages, covariances and histograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dagexec.array import Array, shape_of
from dagexec.ops.table import normalize_axes, one_axis
from dagexec.xp import sorting
from dagexec.xp.computing import Axis
from dagexec.xp.numpy_functions.reductions import as_array
from dagexec.xp.registry import implements


# --- order ----------------------------------------------------------------------------------------------
@implements(np.sort)
def sort(a: Any, axis: int | None = -1, kind: Any = None, order: None = None, *, stable: Any = None) -> Any:
    """The elements along `axis` in ascending order; of the flattened array if it is None."""
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return sorting.sort(a, axis=axis)


@implements(np.argsort)
def argsort(
    a: Any, axis: int | None = -1, kind: Any = None, order: None = None, *, stable: Any = None
) -> Any:
    """The indices that sort along `axis`; equal elements keep their order, whatever `kind` is asked for."""
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return sorting.argsort(a, axis=axis)


@implements(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: None = None) -> Any:
    """The elements sorted: then all at `kth` are in their places."""
    return np.sort(a, axis)


@implements(np.argpartition)
def argpartition(
    a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: None = None
) -> Any:
    """The indices that sort: then all at `kth` are in their places."""
    return np.argsort(a, axis)


@implements(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The indices that sort by several keys, the last one first."""
    first, *others = [np.moveaxis(key, axis, -1) for key in keys]
    order = np.argsort(first, stable=True)
    for key in others:
        by_key = np.argsort(np.take_along_axis(key, order, axis=-1), stable=True)
        order = np.take_along_axis(order, by_key, axis=-1)
    return np.moveaxis(order, -1, axis)


# --- quantiles ------------------------------------------------------------------------------------------
# Where in n sorted elements, counted from 0, the quantile q lies: n q + α + q (1 − α − β) − 1, by α and β
# (R. J. Hyndman and Y. Fan, Sample quantiles in statistical packages, 1996).
PLOTTING_POSITIONS = {
    "linear": (1.0, 1.0),
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
ROUNDINGS: dict[str, Callable[[Any], Any]] = {
    "lower": np.floor,
    "higher": np.ceil,
    "nearest": np.rint,
    "midpoint": lambda place: 0.5 * (np.floor(place) + np.ceil(place)),
}


@implements(np.quantile)
def quantile(
    a: Any,
    q: Any,
    axis: Axis = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: None = None,
) -> Any:
    """The `q`-quantiles over `axis`, between two elements by the line through them.

    Raises ValueError for a method whose place is no continuous function of `q`, and for weights.
    """
    return _quantile(a, q, axis, method, keepdims, weights, skip_nan=False)


@implements(np.nanquantile)
def nanquantile(
    a: Any,
    q: Any,
    axis: Axis = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: None = None,
) -> Any:
    """The `q`-quantiles over `axis` of what is not NaN."""
    return _quantile(a, q, axis, method, keepdims, weights, skip_nan=True)


@implements(np.percentile)
def percentile(a: Any, q: Any, *args: Any, **kwargs: Any) -> Any:
    """The `q`-quantiles, with `q` in percent."""
    return quantile(a, np.true_divide(q, 100), *args, **kwargs)


@implements(np.nanpercentile)
def nanpercentile(a: Any, q: Any, *args: Any, **kwargs: Any) -> Any:
    """The `q`-quantiles of what is not NaN, with `q` in percent."""
    return nanquantile(a, np.true_divide(q, 100), *args, **kwargs)


@implements(np.median)
def median(a: Any, axis: Axis = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """The middle element over `axis`, or the mean of both in the middle."""
    return quantile(a, 0.5, axis, keepdims=keepdims)


@implements(np.nanmedian)
def nanmedian(a: Any, axis: Axis = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """The middle element over `axis` of what is not NaN."""
    return nanquantile(a, 0.5, axis, keepdims=keepdims)


def _quantile(
    a: Any, q: Any, axis: Axis, method: str, keepdims: bool, weights: Any, *, skip_nan: bool
) -> Any:
    if weights is not None or method not in (*PLOTTING_POSITIONS, *ROUNDINGS):
        what = "weights" if weights is not None else f"method {method!r}"
        raise ValueError(f"{what} can't be traced; the methods are {[*PLOTTING_POSITIONS, *ROUNDINGS]}")
    if not isinstance(q, Array) and not np.all((np.asarray(q) >= 0) & (np.asarray(q) <= 1)):
        raise ValueError(f"quantiles lie between 0 and 1 (percentiles between 0 and 100), not at {q}")
    a, q = as_array(a), as_array(q)
    axes = normalize_axes(axis, a.ndim)
    kept = [number for number in range(a.ndim) if number not in axes]
    rows = np.reshape(np.permute_dims(a, (*kept, *axes)), (*(a.shape[number] for number in kept), -1))
    rows = np.sort(rows, axis=-1)
    if rows.shape[-1] == 0:
        raise ValueError("an axis without elements has no quantiles")
    found = _at_quantiles(rows, np.reshape(q, (-1,)), method, skip_nan)
    shape = [1 if number in axes else n for number, n in enumerate(a.shape)] if keepdims else rows.shape[:-1]
    return np.reshape(np.moveaxis(found, -1, 0), (*q.shape, *shape))


def _at_quantiles(rows: Any, q: Any, method: str, skip_nan: bool) -> Any:
    """The quantiles of sorted rows, in the last axis."""
    inexact = rows.dtype.kind == "f"  # NaN is sorted to the end
    n: Any = rows.shape[-1]
    if skip_nan and inexact:
        n = np.maximum(np.sum(~np.isnan(rows), axis=-1, keepdims=True), 1)
    alpha, beta = PLOTTING_POSITIONS.get(method, (1.0, 1.0))
    place = n * q + (alpha + q * (1 - alpha - beta)) - 1
    place = ROUNDINGS.get(method, lambda place: place)(np.clip(place, 0, n - 1))
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, n - 1)
    share = (place - below).astype(np.result_type(rows.dtype, q.dtype if q.size else np.float64))
    low, high = _taken(rows, below), _taken(rows, above)
    if method in ("lower", "higher", "nearest"):
        found = low
    else:  # from the nearer end, so that both ends are exact
        step = high - low
        found = np.where(share < 0.5, low + step * share, high - step * (1 - share))
        found = found.astype(rows.dtype) if inexact and rows.dtype.itemsize < 8 else found
    if inexact and not skip_nan:
        found = np.where(np.isnan(rows[..., -1:]), np.nan, found)
    return found


def _taken(rows: Any, places: Any) -> Any:
    """The elements of each row at places that all rows share, or that each has for itself."""
    if len(shape_of(places)) == 1:
        return np.take(rows, places, axis=-1)
    return np.take_along_axis(rows, places, axis=-1)


# --- averages and covariances ---------------------------------------------------------------------------
@implements(np.average)
def average(
    a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """The mean, or the mean weighted with `weights`; with `returned` also the sum of the weights."""
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        total: Any = np.broadcast_to(as_array(a).size // max(mean.size, 1), mean.shape).astype(mean.dtype)
    else:
        weights = _spread(weights, shape_of(a), axis)
        total = np.sum(weights, axis=axis, keepdims=keepdims)
        mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (mean, total) if returned else mean


def _spread(weights: Any, shape: tuple[int, ...], axis: Axis) -> Any:
    """Weights for the axes averaged over, for each element."""
    weights = as_array(weights)
    if weights.shape == shape:
        return weights
    if axis is None:
        raise TypeError("weights of another shape need an axis")
    axes = [one_axis(number, len(shape)) for number in ([axis] if isinstance(axis, int) else axis)]
    if weights.shape != tuple(shape[number] for number in axes):
        raise ValueError(f"weights of shape {weights.shape} do not fit axis {axis} of shape {shape}")
    weights = np.permute_dims(weights, np.argsort(axes).tolist())
    lengths = [shape[number] if number in axes else 1 for number in range(len(shape))]
    return np.broadcast_to(np.reshape(weights, lengths), shape)


@implements(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """The covariances of variables, which are the rows (the columns without `rowvar`)."""
    x = _variables(m, rowvar)
    if y is not None:
        x = np.concatenate([x, _variables(y, rowvar)], axis=0)
    x = x.astype(dtype or np.result_type(x.dtype, np.float64))
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = None
    for factor in (fweights, aweights):
        if factor is not None:
            weights = as_array(factor) if weights is None else weights * factor
    if weights is None:
        centred = x - np.mean(x, axis=1, keepdims=True)
        product = centred @ np.conj(np.swapaxes(centred, 0, 1)) / (x.shape[1] - ddof)
    else:
        total = np.sum(weights)
        centred = x - np.sum(x * weights, axis=1, keepdims=True) / total
        less = ddof if aweights is None else ddof * np.sum(weights * aweights) / total
        product = (centred * weights) @ np.conj(np.swapaxes(centred, 0, 1)) / (total - less)
    return np.squeeze(product)


def _variables(m: Any, rowvar: bool) -> Any:
    m = as_array(m)
    if m.ndim > 2:
        raise ValueError(f"variables are the rows of a matrix, not of an array of {m.ndim} dimensions")
    m = np.atleast_2d(m)
    return m if rowvar or m.shape[0] == 1 else np.swapaxes(m, 0, 1)


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """The correlation coefficients of variables, which are the rows (the columns without `rowvar`)."""
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    spread = np.sqrt(np.real(np.diagonal(c)))
    scaled = c / spread[:, None] / spread[None, :]
    return np.clip(scaled, -1, 1) if scaled.dtype.kind == "f" else scaled


# --- counting -------------------------------------------------------------------------------------------
@implements(np.histogram)
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> tuple[Any, Any]:
    """How many elements fall between each two of the edges, or the sum of their weights; and the edges."""
    a = np.ravel(a)
    if isinstance(bins, str):
        raise ValueError(f"the number of bins depends on the values for bins={bins!r}; give a number")
    if isinstance(bins, Array) or np.ndim(bins):
        edges = as_array(bins)
    else:
        low, high = (np.min(a), np.max(a)) if range is None else range
        edges = np.linspace(low, high, int(bins) + 1)
    inside = (a[:, None] >= edges[:-1]) & (a[:, None] < edges[1:])
    last = np.arange(edges.size - 1) == edges.size - 2
    inside = inside | (last & (a[:, None] == edges[-1]))
    counts = (
        np.sum(inside, axis=0)
        if weights is None
        else np.sum(np.where(inside, np.ravel(weights)[:, None], 0), axis=0)
    )
    return (counts / np.diff(edges) / np.sum(counts) if density else counts), edges


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The number of the bin that each element falls into, by edges in ascending order."""
    bins = as_array(bins)
    if not isinstance(bins, Array) and bins.size > 1 and bins[0] > bins[-1]:
        return bins.size - np.searchsorted(bins[::-1], x, side="right" if right else "left")
    return np.searchsorted(bins, x, side="left" if right else "right")
