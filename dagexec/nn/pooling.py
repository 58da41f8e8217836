"""Pooling: one number for each window, so that images get smaller and what is found may shift a little.

>>> import numpy as np
>>> x = np.arange(16.0).reshape(1, 1, 4, 4)
>>> max_pool(x, 2)
array([[[[ 5.,  7.],
         [13., 15.]]]])
>>> avg_pool(x, 2)
array([[[[ 2.5,  4.5],
         [10.5, 12.5]]]])
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from dagexec import xp
from dagexec.array import naming_the_line, shape_of
from dagexec.nn.convolution import Lengths, for_axes, paddings
from dagexec.ops.convolving import Numbers, Padding
from dagexec.tracing import block


@naming_the_line
@block
def max_pool(x: Any, window: Lengths = 2, *, stride: Lengths | None = None, padding: Lengths = 0) -> Any:
    """The largest element of each window of `x` (batch, channels, *space), of 1, 2 or more space axes.

    Without a `stride` the windows stand side by side; what is left at the end belongs to none. What
    `padding` puts around is never the largest. The gradient goes to the largest element, the first if there
    are several.

    Raises ValueError where a window is longer than its axis, or a padding not shorter than its window.

    >>> max_pool(np.array([[[3.0, 1.0, 4.0, 1.0, 5.0]]]), 3, stride=2)
    array([[[4., 5.]]])
    """
    windows, strides, pads = _of_axes(x, window, stride, padding)
    return xp.max_pool(x, windows=windows, strides=strides, padding=pads)


@naming_the_line
@block
def avg_pool(x: Any, window: Lengths = 2, *, stride: Lengths | None = None, padding: Lengths = 0) -> Any:
    """The mean of each window of `x` (batch, channels, *space), of 1, 2 or more space axes.

    It is a convolution of each channel by itself with equal weights. Windows stand as in `max_pool`; the
    zeros that `padding` puts around count.

    Raises ValueError where a window is longer than its axis.

    >>> avg_pool(np.array([[[3.0, 1.0, 4.0, 1.0, 5.0]]]), 5)
    array([[[2.8]]])
    """
    windows, strides, pads = _of_axes(x, window, stride, padding)
    channels, ndim = shape_of(x)[1], len(windows)
    dtype = np.result_type(getattr(x, "dtype", np.float64), np.float16)
    return xp.convolution(
        x,
        xp.full((channels, 1, *windows), 1 / prod(windows), dtype=dtype),
        strides=strides,
        padding=pads,
        dilation=(1,) * ndim,
        input_dilation=(1,) * ndim,
        groups=channels,
    )


def _of_axes(
    x: Any, window: Lengths, stride: Lengths | None, padding: Lengths
) -> tuple[Numbers, Numbers, Padding]:
    """Windows, strides and paddings, one for each space axis."""
    shape = shape_of(x)
    if len(shape) < 3:
        raise ValueError(f"x of shape {shape} must be (batch, channels, *space)")
    ndim = len(shape) - 2
    windows = for_axes(window, ndim, "window")
    strides = windows if stride is None else for_axes(stride, ndim, "stride")
    return windows, strides, paddings(padding, ndim)
