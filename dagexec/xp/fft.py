"""The Array API's Fourier extension: discrete transforms along one axis or several, and their frequencies.

All have a gradient. `norm` says which direction is divided by the number of points: "backward", "forward", or
both by its root, "ortho".

>>> import numpy as np, dagexec
>>> from dagexec import xp
>>> power = lambda x: xp.sum(xp.abs(xp.fft.rfft(x)) ** 2)
>>> dagexec.grad(power)(np.array([1.0, 2.0, 3.0])).round(9)
array([ 9., 12., 15.])
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from dagexec.array import call, naming_the_line, shape_of
from dagexec.ops import TABLE
from dagexec.ops.fourier import OTHER_WAY
from dagexec.ops.table import as_tuple, normalize_axes, one_axis
from dagexec.xp.computing import conj
from dagexec.xp.info import require_cpu
from dagexec.xp.moving import roll
from dagexec.xp.standard import with_signature


def _transform(
    name: str, x: Any, s: Sequence[int] | None, axes: Sequence[int] | None, norm: str | None
) -> Any:
    shape = shape_of(x)
    if axes is None:
        axes = range(-len(s if s is not None else shape), 0)
    normal = tuple(one_axis(axis, len(shape)) for axis in axes)
    if not normal or len(set(normal)) < len(normal):
        raise ValueError(f"needs one axis or several different ones, not {tuple(axes)}")
    lengths = [shape[axis] for axis in normal]
    if s is not None:
        if len(s) != len(normal):
            raise ValueError(f"s={tuple(s)} gives {len(s)} lengths for {len(normal)} axes")
        lengths = [own if given in (-1, None) else operator.index(given) for own, given in zip(lengths, s)]
    elif name == "irfft":
        lengths[-1] = 2 * (lengths[-1] - 1)
    return call(TABLE[name], x, lengths=tuple(lengths), axes=normal, norm=_direction(norm))


def _direction(norm: str | None) -> str:
    norm = "backward" if norm is None else norm
    if norm not in OTHER_WAY:
        raise ValueError(f"norm is {norm!r}; it can be 'backward', 'ortho' or 'forward'")
    return norm


# --- along one axis -------------------------------------------------------------------------------------
def fft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """The discrete Fourier transform along `axis`, cut or filled up with zeros to `n` points.

    >>> fft(np.array([1.0, 0.0, 0.0]))
    array([1.+0.j, 1.+0.j, 1.+0.j])
    """
    return _transform("fft", x, None if n is None else (n,), (axis,), norm)


def ifft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """The inverse of `fft`.

    >>> ifft(np.array([2.0, 0.0]))
    array([1.+0.j, 1.+0.j])
    """
    return _transform("ifft", x, None if n is None else (n,), (axis,), norm)


def rfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """The first n // 2 + 1 frequencies of real numbers; the others are their conjugates.

    >>> rfft(np.array([1.0, 0.0, 0.0]))
    array([1.+0.j, 1.+0.j])
    """
    return _transform("rfft", x, None if n is None else (n,), (axis,), norm)


def irfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """The `n` real numbers (an even number, if not given) of which `x` are the first frequencies.

    >>> irfft(np.array([3.0, 0.0]), n=3)
    array([1., 1., 1.])
    """
    return _transform("irfft", x, None if n is None else (n,), (axis,), norm)


def hfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """The real spectrum (of `n` frequencies) of the signal that `x` begins, the rest being conjugates.

    >>> hfft(np.array([1.0, 1.0j, 0.0]))
    array([ 1.,  3.,  1., -1.])
    """
    return irfft(conj(x), n=n, axis=axis, norm=OTHER_WAY[_direction(norm)])


def ihfft(x: Any, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Any:
    """The inverse of `hfft`: the first n // 2 + 1 points of the signal with the real spectrum `x`.

    >>> ihfft(np.array([2.0, 0.0]))
    array([1.-0.j, 1.-0.j])
    """
    return conj(rfft(x, n=n, axis=axis, norm=OTHER_WAY[_direction(norm)]))


# --- along several axes ---------------------------------------------------------------------------------
Lengths = Sequence[int] | None
Axes = Sequence[int] | None


def fftn(x: Any, s: Lengths = None, axes: Axes = None, norm: str | None = "backward") -> Any:
    """The discrete Fourier transform along several axes (all, or the last ones if only `s` says how long).

    >>> fftn(np.array([[1.0, 0.0], [0.0, 0.0]])).real
    array([[1., 1.],
           [1., 1.]])
    """
    return _transform("fft", x, s, axes, norm)


def ifftn(x: Any, s: Lengths = None, axes: Axes = None, norm: str | None = "backward") -> Any:
    """The inverse of `fftn`."""
    return _transform("ifft", x, s, axes, norm)


def rfftn(x: Any, s: Lengths = None, axes: Axes = None, norm: str | None = "backward") -> Any:
    """`fftn` of real numbers: the first half of the frequencies along the last of the axes."""
    return _transform("rfft", x, s, axes, norm)


def irfftn(x: Any, s: Lengths = None, axes: Axes = None, norm: str | None = "backward") -> Any:
    """The inverse of `rfftn`."""
    return _transform("irfft", x, s, axes, norm)


# --- frequencies ----------------------------------------------------------------------------------------
def fftfreq(n: int, d: Any = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `fft` of `n` points at distance `d`, in cycles for each unit of it.

    >>> fftfreq(4, d=0.5)
    array([ 0. ,  0.5, -1. , -0.5])
    """
    n = operator.index(n)
    return _frequencies((np.arange(n) + n // 2) % n - n // 2, n, d, dtype, device)


def rfftfreq(n: int, d: Any = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `rfft` of `n` points at distance `d`.

    >>> rfftfreq(4, d=0.5)
    array([0. , 0.5, 1. ])
    """
    n = operator.index(n)
    return _frequencies(np.arange(n // 2 + 1), n, d, dtype, device)


def _frequencies(cycles: Any, n: int, d: Any, dtype: Any, device: Any) -> Any:
    require_cpu(device)
    if n < 1:
        raise ValueError(f"{n} points have no frequencies")
    found = cycles * (1.0 / (n * d))
    return found if dtype is None else found.astype(dtype)


def fftshift(x: Any, axes: Any = None) -> Any:
    """The frequencies in ascending order: the negative ones, which `fft` puts last, come first.

    >>> fftshift(fftfreq(4))
    array([-0.5 , -0.25,  0.  ,  0.25])
    """
    return _shifted(x, axes, 1)


def ifftshift(x: Any, axes: Any = None) -> Any:
    """The inverse of `fftshift`.

    >>> ifftshift(np.array([-1, 0, 1]))
    array([ 0,  1, -1])
    """
    return _shifted(x, axes, -1)


def _shifted(x: Any, axes: Any, way: int) -> Any:
    shape = shape_of(x)
    normal = normalize_axes(None if axes is None else as_tuple(axes), len(shape))
    return roll(x, tuple(way * (shape[axis] // 2) for axis in normal), axis=normal)


_ONE, _SEVERAL = (
    "(x, /, *, n=None, axis=-1, norm='backward')",
    "(x, /, *, s=None, axes=None, norm='backward')",
)
SIGNATURES = {
    **dict.fromkeys(("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"), _ONE),
    **dict.fromkeys(("fftn", "ifftn", "rfftn", "irfftn"), _SEVERAL),
    **dict.fromkeys(("fftfreq", "rfftfreq"), "(n, /, *, d=1.0, dtype=None, device=None)"),
    **dict.fromkeys(("fftshift", "ifftshift"), "(x, /, *, axes=None)"),
}
__all__ = list(SIGNATURES)

LOOSE = {name: globals()[name] for name in __all__}  # with NumPy's freedom in how arguments are given
globals().update(
    {
        name: naming_the_line(with_signature(function, SIGNATURES[name]), f"fft.{name}")
        for name, function in LOOSE.items()
    }
)
