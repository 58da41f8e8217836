"""Initialisers: what weights are before training, so that signals neither vanish nor explode on their way.

An initialiser is a function `(key, shape, dtype) -> array`. A dense layer multiplies the variance of a signal
by (inputs × the variance of a weight). The good ones choose the latter so that this is 1 (LeCun), 2 because
ReLU halves it (He), or 1 on the mean of forward and backward (Xavier). `zeros`, `constant` and
`normal(scale)` are the naive ones that experiments need.

The inputs and outputs of a weight are counted from its shape: (inputs, outputs) for a matrix,
(outputs, inputs, *kernel) for a convolution, where each kernel place counts.

>>> from dagexec import random
>>> he_normal(random.key(0), (100, 200)).std().round(2)  # √(2 / 100)
np.float32(0.14)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt
from typing import Any

from dagexec import random, xp

Initialiser = Callable[..., Any]  # (key, shape, dtype) -> array


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs each output of a weight has, and how many outputs each input has.

    Raises ValueError for less than two axes, as a bias has, and for an axis of no length.

    >>> fans((100, 10)), fans((32, 16, 3, 3))
    ((100, 10), (144, 288))
    """
    if len(shape) < 2:
        raise ValueError(
            f"a weight of shape {tuple(shape)} has no inputs and outputs to count: "
            "use zeros, constant(value) or normal(scale)"
        )
    if min(shape) < 1:
        raise ValueError(f"a weight of shape {tuple(shape)} connects nothing: each size must be 1 or more")
    if len(shape) == 2:
        return shape[0], shape[1]
    outputs, inputs, *kernel = shape
    return inputs * prod(kernel), outputs * prod(kernel)


def _normal(key: Any, shape: Sequence[int], dtype: Any, deviation: float) -> Any:
    return random.normal(key, shape, dtype) * deviation


def _uniform(key: Any, shape: Sequence[int], dtype: Any, deviation: float) -> Any:
    bound = sqrt(3) * deviation  # the standard deviation of a uniform distribution is its bound / √3
    return random.uniform(key, shape, dtype) * (2 * bound) - bound


# --- those that keep signals of one size ----------------------------------------------------------------
def xavier_normal(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Normal, variance 2 / (inputs + outputs): for tanh and sigmoid (Glorot and Bengio 2010)."""
    return _normal(key, shape, dtype, sqrt(2 / sum(fans(shape))))


def xavier_uniform(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Uniform, variance 2 / (inputs + outputs): for tanh and sigmoid (Glorot and Bengio 2010)."""
    return _uniform(key, shape, dtype, sqrt(2 / sum(fans(shape))))


def he_normal(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Normal, variance 2 / inputs: for ReLU (He et al. 2015, arXiv 1502.01852)."""
    return _normal(key, shape, dtype, sqrt(2 / fans(shape)[0]))


def he_uniform(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Uniform, variance 2 / inputs: for ReLU (He et al. 2015, arXiv 1502.01852)."""
    return _uniform(key, shape, dtype, sqrt(2 / fans(shape)[0]))


def lecun_normal(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Normal, variance 1 / inputs: for layers that keep the size, and SELU (LeCun et al. 1998)."""
    return _normal(key, shape, dtype, sqrt(1 / fans(shape)[0]))


def lecun_uniform(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
    """Uniform, variance 1 / inputs (LeCun et al. 1998, Efficient BackProp)."""
    return _uniform(key, shape, dtype, sqrt(1 / fans(shape)[0]))


def orthogonal(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
    """A matrix with orthonormal rows or columns, whichever are fewer: keeps lengths (Saxe et al. 2013).

    The usual choice for the weights by which a recurrent state becomes the next. Raises ValueError unless
    `shape` has two axes.

    >>> import numpy as np
    >>> w = orthogonal(random.key(0), (3, 3), "float64")
    >>> bool(np.allclose(w @ w.T, np.eye(3)))
    True
    """
    if len(shape) != 2:
        raise ValueError(f"orthogonal: a matrix is needed, not shape {tuple(shape)}")
    rows, columns = shape
    q, r = xp.linalg.qr(random.normal(key, (max(shape), min(shape)), dtype))
    q = xp.where(xp.linalg.diagonal(r) < 0, -q, q)  # so that every such matrix is as likely
    return q if rows >= columns else xp.matrix_transpose(q)


# --- naive ones -----------------------------------------------------------------------------------------
def zeros(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
    """All 0; the key is not used. For a bias, or to see that equal weights stay equal for ever."""
    return xp.zeros(tuple(shape), dtype=dtype)


def ones(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
    """All 1; the key is not used."""
    return xp.ones(tuple(shape), dtype=dtype)


def constant(value: float) -> Initialiser:
    """The initialiser that makes every weight `value`.

    >>> constant(0.5)(None, (3,))
    array([0.5, 0.5, 0.5], dtype=float32)
    """

    def constant_weights(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
        return xp.full(tuple(shape), value, dtype=dtype)

    return constant_weights


def normal(scale: float = 1.0) -> Initialiser:
    """The initialiser of normal weights with the standard deviation `scale`, whatever the layer's size.

    >>> normal(0.01)(random.key(0), (2, 3)).shape
    (2, 3)
    """

    def normal_weights(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
        return _normal(key, shape, dtype, scale)

    return normal_weights


def uniform(bound: float = 1.0) -> Initialiser:
    """The initialiser of weights evenly distributed over [−bound, bound), whatever the layer's size.

    >>> bool(abs(uniform(0.1)(random.key(0), (100,))).max() <= 0.1)
    True
    """

    def uniform_weights(key: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
        return _uniform(key, shape, dtype, bound / sqrt(3))

    return uniform_weights
