"""Functions of windows that slide over space; `dagexec.nn` has the layers made of them."""

from __future__ import annotations

from typing import Any

from dagexec.array import call
from dagexec.ops import TABLE
from dagexec.ops.convolving import Numbers, Padding


def convolution(
    x: Any,
    weights: Any,
    *,
    strides: Numbers,
    padding: Padding,
    dilation: Numbers,
    input_dilation: Numbers,
    groups: int = 1,
) -> Any:
    """`x` (batch, channels, *space) by `weights` (outputs, channels // groups, *kernel), not flipped.

    All parameters have one entry for each space axis, `padding` a pair of lengths before and after it.
    """
    return call(
        TABLE["convolution"],
        x,
        weights,
        strides=tuple(strides),
        padding=tuple(map(tuple, padding)),
        dilation=tuple(dilation),
        input_dilation=tuple(input_dilation),
        groups=groups,
    )


def max_pool(x: Any, *, windows: Numbers, strides: Numbers, padding: Padding) -> Any:
    """The largest element of each window of `x` (batch, channels, *space)."""
    return call(TABLE["max_pool"], x, windows=windows, strides=strides, padding=padding)


def max_pool_pick(v: Any, x: Any, y: Any, *, windows: Numbers, strides: Numbers, padding: Padding) -> Any:
    """For each window, the element of `v` that stands where `x` is largest; `y` is `max_pool(x)`."""
    return call(TABLE["max_pool_pick"], v, x, y, windows=windows, strides=strides, padding=padding)


def max_pool_put(g: Any, x: Any, y: Any, *, windows: Numbers, strides: Numbers, padding: Padding) -> Any:
    """The transpose of `max_pool_pick`: each element of `g` is added where its window of `x` is largest."""
    return call(TABLE["max_pool_put"], g, x, y, windows=windows, strides=strides, padding=padding)
