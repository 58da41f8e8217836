"""Convolution layers: the same small weights wherever the window stands (LeCun et al. 1989).

>>> import numpy as np
>>> edges = {"weights": np.array([[[-1.0, 1.0]]]), "bias": np.zeros(1)}
>>> conv1d(edges, np.array([[[0.0, 0, 0, 5, 5, 5]]]))
array([[[0., 0., 5., 0., 0.]]])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagexec import xp
from dagexec.array import naming_the_line, shape_of
from dagexec.nn.initialisers import Initialiser, he_normal
from dagexec.ops.convolving import Numbers, Padding
from dagexec.tracing import block

Lengths = int | Sequence[int]


def for_axes(value: Lengths, count: int, name: str) -> Numbers:
    """A number for all space axes as one for each; ValueError where there are more or fewer.

    >>> for_axes(2, 3, "stride")
    (2, 2, 2)
    """
    numbers = (value,) * count if isinstance(value, int) else tuple(value)
    if len(numbers) != count:
        raise ValueError(f"{name} {value} has {len(numbers)} numbers: give one, or {count}, one a space axis")
    return numbers


def paddings(padding: Lengths | str, count: int, reaches: Numbers = (), strides: Numbers = ()) -> Padding:
    """How much to put before and after each space axis.

    "valid" is nothing, "same" what makes the result as long as the input, for windows that reach over so
    many elements and stride 1; where that is odd, the end gets one more. Raises ValueError for other words.

    >>> paddings(1, 2), paddings("same", 1, (4,), (1,))
    (((1, 1), (1, 1)), ((1, 2),))
    """
    if not isinstance(padding, str):
        return tuple((n, n) for n in for_axes(padding, count, "padding"))
    if padding == "valid":
        return ((0, 0),) * count
    if padding != "same" or not reaches:
        raise ValueError(f"padding {padding!r} is neither a number nor one for each space axis")
    if set(strides) != {1}:
        raise ValueError(f"padding 'same' needs stride 1, not {strides}: give numbers")
    return tuple(((reach - 1) // 2, reach // 2) for reach in reaches)


def _init(
    key: Any, inputs: int, outputs: int, kernel: Numbers, groups: int, weights: Initialiser, dtype: Any
) -> dict[str, Any]:
    if groups < 1 or inputs % groups or outputs % groups:
        raise ValueError(f"{inputs} inputs and {outputs} outputs cannot be divided into {groups} groups")
    shape = (outputs, inputs // groups, *kernel)
    return {"weights": weights(key, shape, dtype), "bias": xp.zeros(outputs, dtype=dtype)}


def init_conv1d(
    key: Any,
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    groups: int = 1,
    weights: Initialiser = he_normal,
    dtype: Any = "float32",
) -> dict[str, Any]:
    """Parameters of `conv1d`: weights (outputs, inputs // groups, kernel), and a bias of zeros.

    Raises ValueError where `groups` does not divide inputs and outputs.

    >>> from dagexec import random
    >>> {name: p.shape for name, p in init_conv1d(random.key(0), 3, 8, 5).items()}
    {'weights': (8, 3, 5), 'bias': (8,)}
    """
    return _init(key, inputs, outputs, for_axes(kernel, 1, "kernel"), groups, weights, dtype)


def init_conv2d(
    key: Any,
    inputs: int,
    outputs: int,
    kernel: Lengths,
    *,
    groups: int = 1,
    weights: Initialiser = he_normal,
    dtype: Any = "float32",
) -> dict[str, Any]:
    """Parameters of `conv2d`: weights (outputs, inputs // groups, *kernel), and a bias of zeros.

    `kernel` is one length, or height and width. Raises ValueError where `groups` does not divide inputs and
    outputs.

    >>> from dagexec import random
    >>> {name: p.shape for name, p in init_conv2d(random.key(0), 3, 8, 5).items()}
    {'weights': (8, 3, 5, 5), 'bias': (8,)}
    """
    return _init(key, inputs, outputs, for_axes(kernel, 2, "kernel"), groups, weights, dtype)


@naming_the_line
@block
def conv1d(
    params: Any, x: Any, *, stride: int = 1, padding: int | str = 0, dilation: int = 1, groups: int = 1
) -> Any:
    """`x` (batch, channels, length) under a window that slides along the length; plus the bias.

    The result is (batch, outputs, windows). Each window sees as many elements as the kernel is long,
    `dilation` apart, and the next one begins `stride` further. `padding` is how many zeros to put at either
    end, or "same", or "valid". With `groups`, channels and outputs are divided, and outputs see only the
    channels of their group.

    Raises ValueError where shapes do not fit.

    >>> import numpy as np
    >>> from dagexec import random
    >>> conv1d(init_conv1d(random.key(0), 3, 8, 5), np.ones((2, 3, 10)), padding="same").shape
    (2, 8, 10)
    """
    return _conv(params, x, stride, padding, dilation, groups, 1)


@naming_the_line
@block
def conv2d(
    params: Any,
    x: Any,
    *,
    stride: Lengths = 1,
    padding: Lengths | str = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Any:
    """`x` (batch, channels, height, width) under a window that slides over the image; plus the bias.

    All is as in `conv1d`, with one number for both axes, or one for each.

    >>> import numpy as np
    >>> from dagexec import random
    >>> conv2d(init_conv2d(random.key(0), 3, 8, 5), np.ones((2, 3, 28, 28)), stride=2, padding=(2, 1)).shape
    (2, 8, 14, 13)
    """
    return _conv(params, x, stride, padding, dilation, groups, 2)


def _conv(
    params: Any, x: Any, stride: Lengths, padding: Lengths | str, dilation: Lengths, groups: int, ndim: int
) -> Any:
    shape, kernel = shape_of(x), shape_of(params["weights"])
    if len(shape) != ndim + 2 or len(kernel) != ndim + 2:
        raise ValueError(
            f"x of shape {shape} and weights of shape {kernel} need {ndim + 2} axes each: "
            f"batch, channels and {ndim} of space"
        )
    if groups < 1 or shape[1] != kernel[1] * groups or kernel[0] % groups:
        raise ValueError(
            f"x of shape {shape} has {shape[1]} channels, but weights of shape {kernel} in {groups} group(s) "
            f"take {kernel[1] * groups}: make them with init_conv{ndim}d(key, {shape[1]}, {kernel[0]}, ...)"
        )
    strides, dilations = for_axes(stride, ndim, "stride"), for_axes(dilation, ndim, "dilation")
    reaches = tuple((length - 1) * by + 1 for length, by in zip(kernel[2:], dilations))
    result = xp.convolution(
        x,
        params["weights"],
        strides=strides,
        padding=paddings(padding, ndim, reaches, strides),
        dilation=dilations,
        input_dilation=(1,) * ndim,
        groups=groups,
    )
    return result + xp.reshape(params["bias"], (-1, *[1] * ndim))
