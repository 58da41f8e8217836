"""Convolution over any number of space axes: one op, whose gradients are convolutions again.

Data are (batch, channels, *space) and weights (outputs, channels // groups, *kernel), as in PyTorch; nothing
is flipped. The static parameters are normal, one entry a space axis: `strides`, `padding` as (before, after),
negative where elements are cut off, `dilation` of the kernel and `input_dilation`, which puts zeros between
the elements of the input. The latter makes the op closed: the gradient by the input is a convolution of the
cotangent, dilated by the strides, with the mirrored kernel; that by the weights is one of the input with the
cotangent as its kernel, batch and channels having changed places (Dumoulin and Visin 2016, arXiv 1603.07285).

How it is computed stands in convolving.py.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import array_api_compat
import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.batched import Flags
from dagexec.ops.convolving import (
    Numbers,
    Padding,
    convolve,
    convolve_elsewhere,
    convolve_into,
    convolve_on_torch,
    spread,
)
from dagexec.ops.elementwise import ufunc_dtype
from dagexec.ops.table import declare


# --- shapes ---------------------------------------------------------------------------------------------
def window_counts(lengths: Numbers, windows: Numbers, strides: Numbers, padding: Padding) -> Numbers:
    """How many windows fit in each axis.

    Raises ValueError where there is not one, and for parameters that are not one for each axis.

    >>> window_counts((28, 5), (5, 2), (1, 2), ((0, 0), (1, 0)))
    (24, 3)
    """
    if not len(lengths) == len(windows) == len(strides) == len(padding):
        raise ValueError(
            f"{len(lengths)} space axes need as many window lengths, strides and paddings, "
            f"not {len(windows)}, {len(strides)} and {len(padding)}"
        )
    if min((*windows, *strides), default=1) < 1:
        raise ValueError(f"window lengths {windows} and strides {strides} must be at least 1")
    padded = tuple(n + sum(pair) for n, pair in zip(lengths, padding))
    for axis, (length, window) in enumerate(zip(padded, windows)):
        if length < window:
            raise ValueError(
                f"a window of length {window} does not fit in space axis {axis} of length {length}, "
                "padding included: pad more, or use a smaller window"
            )
    return tuple((n - w) // stride + 1 for n, w, stride in zip(padded, windows, strides))


def _convolution_spec(
    x: Spec,
    weights: Spec,
    strides: Numbers,
    padding: Padding,
    dilation: Numbers,
    input_dilation: Numbers,
    groups: int,
) -> Spec:
    if x.ndim < 3 or weights.ndim != x.ndim:
        raise ValueError(
            f"data (batch, channels, *space) and weights (outputs, channels, *kernel) need as many axes, "
            f"at least 3, not shapes {x.shape} and {weights.shape}"
        )
    if groups < 1 or weights.shape[0] % groups or x.shape[1] != weights.shape[1] * groups:
        raise ValueError(
            f"data of {x.shape[1]} channels and weights of shape {weights.shape} do not fit in {groups} "
            "group(s): the weights need channels // groups on their second axis, outputs divisible by groups"
        )
    if len(dilation) != x.ndim - 2 or len(input_dilation) != x.ndim - 2:
        raise ValueError(f"{x.ndim - 2} space axes need as many dilations, not {dilation}, {input_dilation}")
    if min((*dilation, *input_dilation)) < 1:
        raise ValueError(f"dilations must be at least 1, not {dilation} and {input_dilation}")
    lengths = tuple(map(spread, x.shape[2:], input_dilation))
    counts = window_counts(lengths, tuple(map(spread, weights.shape[2:], dilation)), strides, padding)
    return Spec((x.shape[0], weights.shape[0], *counts), ufunc_dtype(np.matmul, x.dtype, weights.dtype))


# --- gradients ------------------------------------------------------------------------------------------
def _turned_round(xp: Any, weights: Any, groups: int) -> Any:
    """Weights (outputs, channels // groups, ...) as (channels, outputs // groups, ...)."""
    if groups == 1:
        return xp.swapaxes(weights, 0, 1)
    outputs, channels, *kernel = weights.shape
    by_group = xp.reshape(weights, (groups, outputs // groups, channels, *kernel))
    return xp.reshape(xp.swapaxes(by_group, 1, 2), (groups * channels, outputs // groups, *kernel))


def _channels_as_examples(xp: Any, x: Any, groups: int) -> Any:
    """Data (batch, channels, ...) as (channels // groups, groups * batch, ...)."""
    if groups == 1:
        return xp.swapaxes(x, 0, 1)
    batch, channels, *lengths = x.shape
    by_group = xp.reshape(x, (batch, groups, channels // groups, *lengths))
    return xp.reshape(xp.swapaxes(by_group, 0, 2), (channels // groups, groups * batch, *lengths))


def _vjp_input(
    xp: Any,
    g: Any,
    y: Any,
    x: Any,
    weights: Any,
    strides: Numbers,
    padding: Padding,
    dilation: Numbers,
    input_dilation: Numbers,
    groups: int,
) -> Any:
    lengths = x.shape[2:]
    mirrored = xp.flip(_turned_round(xp, weights, groups), axis=tuple(range(2, weights.ndim)))
    reach = [spread(k, d) for k, d in zip(weights.shape[2:], dilation)]
    before = [r - 1 - low for r, (low, _) in zip(reach, padding)]
    after = [
        spread(n, by) - spread(count, stride) + r - 1 - low
        for n, by, count, stride, r, low in zip(lengths, input_dilation, g.shape[2:], strides, reach, before)
    ]
    return xp.convolution(
        g,
        mirrored,
        strides=input_dilation,
        padding=tuple(zip(before, after)),
        dilation=dilation,
        input_dilation=strides,
        groups=groups,
    )


def _vjp_weights(
    xp: Any,
    g: Any,
    y: Any,
    x: Any,
    weights: Any,
    strides: Numbers,
    padding: Padding,
    dilation: Numbers,
    input_dilation: Numbers,
    groups: int,
) -> Any:
    # Elements at the end that no window reached are left out, or the kernel would come out longer.
    after = [
        spread(k, d) + spread(count, stride) - 1 - spread(n, by) - low
        for k, d, count, stride, n, by, (low, _) in zip(
            weights.shape[2:], dilation, g.shape[2:], strides, x.shape[2:], input_dilation, padding
        )
    ]
    result = xp.convolution(
        _channels_as_examples(xp, x, groups),
        xp.swapaxes(g, 0, 1),
        strides=dilation,
        padding=tuple((low, high) for (low, _), high in zip(padding, after)),
        dilation=strides,
        input_dilation=input_dilation,
        groups=groups,
    )
    return xp.swapaxes(result, 0, 1)


# --- many at once ---------------------------------------------------------------------------------------
def _convolution_batch(
    xp: Any, again: Any, size: int, batched: Flags, x: Any, weights: Any, groups: int, **params: Any
) -> Any:
    """Many inputs are one of more examples; many kernels one of more outputs; both are groups."""
    if not batched[1]:
        many, batch, *rest = x.shape
        result = again(xp.reshape(x, (many * batch, *rest)), weights, groups=groups, **params)
        return xp.reshape(result, (many, batch, *result.shape[1:]))
    _, outputs, *kernel = weights.shape
    if batched[0]:
        _, batch, channels, *lengths = x.shape
        x = xp.reshape(xp.moveaxis(x, 0, 1), (batch, size * channels, *lengths))
        weights = xp.reshape(weights, (size * outputs, *kernel))
        result = again(x, weights, groups=size * groups, **params)
        return xp.moveaxis(xp.reshape(result, (batch, size, outputs, *result.shape[2:])), 1, 0)
    of_group = outputs // groups
    by_group = xp.moveaxis(xp.reshape(weights, (size, groups, of_group, *kernel)), 0, 1)
    result = again(x, xp.reshape(by_group, (groups * size * of_group, *kernel)), groups=groups, **params)
    batch, _, *counts = result.shape
    by_group = xp.moveaxis(xp.reshape(result, (batch, groups, size, of_group, *counts)), 2, 0)
    return xp.reshape(by_group, (size, batch, outputs, *counts))


# --- the row --------------------------------------------------------------------------------------------
def _convolution_kernel(xp: Any, **params: Any) -> Any:
    if xp is np:
        return partial(convolve, _convolution_spec, params)
    is_torch = array_api_compat.is_torch_namespace(xp) and len(params["strides"]) <= 3
    return partial(convolve_on_torch if is_torch else convolve_elsewhere, xp, _convolution_spec, params)


def _into(inputs: Any, out: Any, **params: Any) -> Any:
    return [(partial(convolve_into, params), (*inputs, out))]


declare(
    Op(
        "convolution",
        _convolution_spec,
        _convolution_kernel,
        (_vjp_input, _vjp_weights),
        _convolution_batch,
        cost=lambda out, x, weights, **params: 2.0 * out.size * prod(weights.shape[1:]),
        into=_into,
        family="linear",
        onnx="Conv",
        doc="weighted sums of the elements in a window that slides over space",
    )
)
