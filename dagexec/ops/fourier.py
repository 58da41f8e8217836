"""Discrete Fourier transforms over one axis or several: complex and real ones, forward and inverse.

Parameters are static and normal: `axes` counted from 0, the last the one that a real transform halves;
`lengths`, one for each, to which the input is cut or filled up with zeros; `norm`, which direction is divided
by the number of points. The transform is a symmetric matrix, so the rule of `fft` is `fft` itself. The real
ones are each the other's transpose up to weights: all frequencies but 0 and the highest stand for two.
"""

from __future__ import annotations

from functools import partial
from math import log2, prod
from typing import Any

import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.elementwise import real_dtype
from dagexec.ops.table import declare

Shape = tuple[int, ...]
OTHER_WAY = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _complex_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.result_type(dtype if dtype.kind in "fc" else np.float64, np.complex64)


def _transformed(x: Spec, lengths: Shape, axes: Shape, dtype: np.dtype[Any]) -> Spec:
    shape = list(x.shape)
    for axis, length in zip(axes, lengths):
        shape[axis] = length
    return Spec(tuple(shape), dtype)


def _require_points(lengths: Shape) -> None:
    if any(length < 1 for length in lengths):
        raise ValueError(f"a transform needs at least one point along each axis, not {lengths}")


def _fft_spec(x: Spec, lengths: Shape, axes: Shape, norm: str) -> Spec:
    _require_points(lengths)
    return _transformed(x, lengths, axes, _complex_dtype(x.dtype))


def _rfft_spec(x: Spec, lengths: Shape, axes: Shape, norm: str) -> Spec:
    _require_points(lengths)
    if x.dtype.kind == "c":
        raise TypeError(f"transforms real numbers, not {x.dtype.name}; fft transforms complex ones")
    return _transformed(x, (*lengths[:-1], lengths[-1] // 2 + 1), axes, _complex_dtype(x.dtype))


def _irfft_spec(x: Spec, lengths: Shape, axes: Shape, norm: str) -> Spec:
    _require_points(lengths)
    # NumPy keeps half precision along one axis; along others it computes with complex64 on the way.
    dtype = x.dtype if x.dtype == np.float16 and len(axes) == 1 else real_dtype(_complex_dtype(x.dtype))
    return _transformed(x, lengths, axes, dtype)


def _resized(xp: Any, x: Any, shape: Shape) -> Any:
    """`x` cut or filled up with zeros at the end of each axis."""
    if any(length > wanted for length, wanted in zip(x.shape, shape)):
        x = x[tuple(slice(min(length, wanted)) for length, wanted in zip(x.shape, shape))]
    missing = [(0, wanted - length) for length, wanted in zip(x.shape, shape)]
    return xp.pad(x, missing) if any(after for _, after in missing) else x


def _weighted(x: Any, length: int, axis: int, middle: float) -> Any:
    """The frequencies of a real signal times `middle`, but those that stand for themselves alone."""
    weights = np.full(x.shape[axis], middle, real_dtype(x.dtype))
    weights[0] = 1
    if length % 2 == 0:
        weights[-1] = 1
    return x * weights.reshape((-1,) + (1,) * (x.ndim - axis - 1))


def _complex_vjp(name: str) -> Any:
    def rule(xp: Any, g: Any, y: Any, x: Any, lengths: Shape, axes: Shape, norm: str) -> Any:
        return _resized(xp, getattr(xp.fft, name)(g, s=lengths, axes=axes, norm=norm), x.shape)

    return rule


def _rfft_vjp(xp: Any, g: Any, y: Any, x: Any, lengths: Shape, axes: Shape, norm: str) -> Any:
    halves = _weighted(xp.conj(g), lengths[-1], axes[-1], 0.5)
    share = xp.fft.irfftn(halves, s=lengths, axes=axes, norm=OTHER_WAY[norm])
    return _resized(xp, share, x.shape)


def _irfft_vjp(xp: Any, g: Any, y: Any, x: Any, lengths: Shape, axes: Shape, norm: str) -> Any:
    spectrum = xp.fft.rfftn(g, s=lengths, axes=axes, norm=OTHER_WAY[norm])
    return _resized(xp, xp.conj(_weighted(spectrum, lengths[-1], axes[-1], 2)), x.shape)


def _cost(out: Spec, x: Spec, lengths: Shape, **params: Any) -> float:
    return 5.0 * out.size * log2(max(2, prod(lengths)))


for _name, _spec, _rule, _doc in (
    ("fft", _fft_spec, _complex_vjp("fftn"), "discrete Fourier transform"),
    ("ifft", _fft_spec, _complex_vjp("ifftn"), "inverse discrete Fourier transform"),
    ("rfft", _rfft_spec, _rfft_vjp, "discrete Fourier transform of real numbers: the frequencies from 0 up"),
    ("irfft", _irfft_spec, _irfft_vjp, "real numbers whose discrete Fourier transform x begins"),
):
    declare(
        Op(
            _name,
            _spec,
            lambda xp, lengths, axes, norm, name=_name + "n": partial(
                getattr(xp.fft, name), s=lengths, axes=axes, norm=norm
            ),
            (_rule,),
            cost=_cost,
            family="fourier",
            doc=_doc,
        )
    )
