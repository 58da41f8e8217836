"""Functions of numerical analysis: rows of numbers, interpolation, differences, integrals, convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dagexec.array import shape_of
from dagexec.ops.table import one_axis
from dagexec.xp import moving
from dagexec.xp.numpy_functions.reductions import as_array
from dagexec.xp.registry import implements


# --- numbers in a row -----------------------------------------------------------------------------------
@implements(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """So many evenly spaced numbers from `start` to `stop`, which may be traced."""
    start, stop = as_array(start) * 1.0, as_array(stop) * 1.0
    step = (stop - start) / max(num - bool(endpoint), 1)
    places = np.reshape(np.arange(num), (-1, *[1 for _ in step.shape]))
    line = start + step * places
    if endpoint and num > 1:  # exactly the last, whatever was rounded
        line = np.where(places == num - 1, stop, line)
    line = np.moveaxis(line, 0, axis)
    line = line if dtype is None else line.astype(dtype)
    return (line, step) if retstep else line


@implements(np.logspace)
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """So many powers of `base`, whose exponents are evenly spaced."""
    powers = np.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return powers if dtype is None else powers.astype(dtype)


@implements(np.geomspace)
def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """So many numbers from `start` to `stop` (of one sign), each the same multiple of the one before."""
    sign = np.sign(start)
    line = linspace(np.log10(sign * start), np.log10(sign * stop), num, endpoint, axis=axis)
    line = sign * np.power(10.0, line)
    return line if dtype is None else line.astype(dtype)


# --- interpolation, differences, integrals --------------------------------------------------------------
@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """The line through the points (`xp`, `fp`), in ascending order of `xp`, at the places `x`."""
    x, xp, fp = as_array(x), as_array(xp), as_array(fp)
    if xp.ndim != 1 or xp.shape != fp.shape:
        raise ValueError(f"the points are two vectors of one length, not {xp.shape} and {fp.shape}")
    if period is not None:
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    if xp.size == 1:
        return np.where(
            x < xp[0],
            fp[0] if left is None else left,
            np.where(x > xp[0], fp[0] if right is None else right, fp[0]),
        )
    after = np.clip(np.searchsorted(xp, x, side="right"), 1, xp.size - 1)
    slope = np.diff(fp) / np.diff(xp)
    line = moving.take(slope, after - 1) * (x - moving.take(xp, after - 1)) + moving.take(fp, after - 1)
    line = np.where(x < xp[0], fp[0] if left is None or period is not None else left, line)
    line = np.where(x > xp[-1], fp[-1] if right is None or period is not None else right, line)
    return np.where(x == xp[-1], fp[-1], line)


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Differences of second order inside and of `edge_order` at the ends, divided by the spacings."""
    f = as_array(f)
    f = f if f.dtype.kind in "fc" else f.astype(np.float64)
    several = axis is None or isinstance(axis, tuple | list)
    axes = range(f.ndim) if axis is None else axis if several else (axis,)
    axes = [one_axis(number, f.ndim) for number in axes]
    spacings: Sequence[Any] = varargs if len(varargs) == len(axes) else (varargs or (1.0,)) * len(axes)
    if len(spacings) != len(axes) or edge_order not in (1, 2):
        raise ValueError(f"{len(varargs)} spacings for {len(axes)} axes, edge_order {edge_order}")
    found = tuple(_slope(f, spacing, number, edge_order) for number, spacing in zip(axes, spacings))
    return found if several and len(found) != 1 else found[0]


def _slope(f: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    f = np.moveaxis(f, axis, -1)
    n = f.shape[-1]
    if n < edge_order + 1:
        raise ValueError(f"an axis of length {n} is too short for differences of edge_order {edge_order}")
    if shape_of(spacing):  # coordinates; what follows is weighted with the steps before and after
        if shape_of(spacing) != (n,):
            raise ValueError(f"coordinates of shape {shape_of(spacing)} for an axis of length {n}")
        steps = np.diff(spacing)
    else:
        steps = np.broadcast_to(spacing, (n - 1,))
    rise = np.diff(f, axis=-1) / steps
    before, after = steps[:-1], steps[1:]
    inside = (rise[..., :-1] * after + rise[..., 1:] * before) / (before + after)
    if edge_order == 1:
        first, last = rise[..., :1], rise[..., -1:]
    else:
        first = rise[..., :1] + (rise[..., :1] - rise[..., 1:2]) * (steps[0] / (steps[0] + steps[1]))
        last = rise[..., -1:] + (rise[..., -1:] - rise[..., -2:-1]) * (steps[-1] / (steps[-1] + steps[-2]))
    return np.moveaxis(np.concatenate([first, inside, last], axis=-1), -1, axis)


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral along `axis` by the trapezoidal rule."""
    y = np.moveaxis(as_array(y), axis, -1)
    if x is not None:
        x = as_array(x)
        dx = np.diff(x) if x.ndim == 1 else np.diff(np.moveaxis(x, axis, -1), axis=-1)
    return np.sum(dx * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1)


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """The differences of neighbours in the flattened array, with numbers before and after them."""
    parts = [to_begin, np.diff(np.ravel(ary)), to_end]
    return np.concatenate([np.ravel(part) for part in parts if part is not None])


# --- convolution ----------------------------------------------------------------------------------------
@implements(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """The convolution of two vectors: all overlaps ("full"), the middle ones ("same"), or complete ones."""
    a, v = _vectors(a, v)
    if v.size > a.size:
        a, v = v, a
    return _sliding_products(a, np.flip(v), mode)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """The products of `a` with the conjugate of `v` at each shift."""
    a, v = _vectors(a, v)
    if v.size > a.size:
        return np.flip(_sliding_products(np.conj(v), a, mode))
    return _sliding_products(a, np.conj(v), mode)


def _vectors(a: Any, v: Any) -> tuple[Any, Any]:
    a, v = np.atleast_1d(as_array(a)), np.atleast_1d(as_array(v))
    if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
        raise ValueError(f"takes two vectors that are not empty, not shapes {a.shape} and {v.shape}")
    return a, v


def _sliding_products(long: Any, short: Any, mode: str) -> Any:
    m = short.size
    borders = {"full": (m - 1, m - 1), "same": (m // 2, m - 1 - m // 2), "valid": (0, 0)}
    if mode not in borders:
        raise ValueError(f"mode is {mode!r}; it can be {', '.join(borders)}")
    long = np.pad(long, borders[mode])
    return np.lib.stride_tricks.sliding_window_view(long, m) @ short


# --- elementwise, of several ops ------------------------------------------------------------------------
@implements(np.sinc)
def sinc(x: Any) -> Any:
    """sin(πx) / (πx), which is 1 at 0."""
    x = as_array(x)
    zero = x == 0
    y = np.pi * np.where(zero, 1.0, x)  # no 0 / 0, in the gradient neither
    # Near 0 the value is 1 − (πx)² / 6, which at 0 has the right derivatives up to the third.
    return np.where(zero, 1.0 - np.square(np.pi * x) / 6, np.sin(y) / y)


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """The angle of a complex number with the positive real axis."""
    z = as_array(z)
    turned = np.arctan2(np.imag(z), np.real(z)) if z.dtype.kind == "c" else np.arctan2(np.zeros(z.shape), z)
    return turned * (180 / np.pi) if deg else turned


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    """Angles with jumps taken out: from one to the next by less than half a period."""
    p = np.moveaxis(as_array(p), axis, -1)
    step = np.diff(p, axis=-1)
    half = period / 2
    folded = np.mod(step + half, period) - half
    folded = np.where((folded == -half) & (step > 0), half, folded)
    correction = np.where(np.abs(step) < (half if discont is None else max(discont, half)), 0, folded - step)
    turned = np.concatenate([p[..., :1], p[..., 1:] + np.cumsum(correction, axis=-1)], axis=-1)
    return np.moveaxis(turned, -1, axis)


@implements(np.fix)
def fix(x: Any) -> Any:
    """x without its fraction."""
    return np.trunc(x)


@implements(np.round, np.around)
def round(a: Any, decimals: int = 0) -> Any:
    """The nearest number of so many decimals, ties to even; no gradient flows."""
    a = as_array(a)
    if a.dtype.kind in "iub" and decimals >= 0:
        return np.positive(a) if a.dtype.kind != "b" else np.rint(a)
    scale = 10.0 ** abs(decimals)
    if decimals == 0:
        return _rint(a)
    return _rint(a * scale) / scale if decimals > 0 else (_rint(a / scale) * scale).astype(a.dtype)


def _rint(a: Any) -> Any:
    if a.dtype.kind == "c":
        return np.rint(np.real(a)) + 1j * np.rint(np.imag(a))
    return np.rint(a)


@implements(np.real)
def real(val: Any) -> Any:
    """The real part."""
    return as_array(val).real


@implements(np.imag)
def imag(val: Any) -> Any:
    """The imaginary part."""
    return as_array(val).imag


@implements(np.i0)
def i0(x: Any) -> Any:
    """The modified Bessel function of order 0, from its integral by the trapezoidal rule.

    I₀(x) is the mean of exp(x cos t) over a period, for which the rule converges faster than any
    power of the number of points.
    """
    x = as_array(x) * 1.0
    points = np.cos((np.arange(256) + 0.5) * (np.pi / 256))
    largest = np.abs(x)[..., None]
    return np.mean(np.exp(x[..., None] * points - largest), axis=-1) * np.exp(largest[..., 0])
