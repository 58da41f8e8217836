"""Activations: what stands between two layers, applied to each number by itself; softmax to each vector.

All keep the shape and the dtype of a floating-point array, overflow nowhere, and have PyTorch's names and
values. Each is one box in a picture.

>>> import numpy as np
>>> relu(np.array([-1.0, 0.0, 2.0]))
array([0., 0., 2.])
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

from dagexec import xp
from dagexec.array import call
from dagexec.ops import TABLE
from dagexec.tracing import block
from dagexec.transform import stop_gradient


@block
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(−x)): any number squeezed between 0 and 1.

    >>> import numpy as np
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return call(TABLE["sigmoid"], x)


@block
def tanh(x: Any) -> Any:
    """The hyperbolic tangent: any number squeezed between −1 and 1.

    >>> import numpy as np
    >>> tanh(np.array([-1000.0, 0.0]))
    array([-1.,  0.])
    """
    return xp.tanh(x)


@block
def relu(x: Any) -> Any:
    """`x` where it is positive, else 0; the slope at 0 is 0, as in PyTorch.

    >>> import numpy as np
    >>> relu(np.array([-3.0, 3.0]))
    array([0., 3.])
    """
    return call(TABLE["relu"], x)


@block
def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """`x` where it is positive, else `slope` × x: no unit is ever without a gradient (Maas et al. 2013).

    >>> import numpy as np
    >>> leaky_relu(np.array([-3.0, 3.0]), slope=0.5)
    array([-1.5,  3. ])
    """
    return xp.where(x <= 0, slope * x, x)


@block
def elu(x: Any, alpha: float = 1.0) -> Any:
    """`x` where it is positive, else `alpha` × (exp(x) − 1) (Clevert et al. 2015, arXiv 1511.07289).

    >>> import numpy as np
    >>> elu(np.array([-1000.0, 3.0]))
    array([-1.,  3.])
    """
    return xp.where(x <= 0, alpha * xp.expm1(xp.where(x <= 0, x, 0)), x)


@block
def selu(x: Any) -> Any:
    """The ELU scaled so that layers keep mean 0 and variance 1 (Klambauer et al. 2017, arXiv 1706.02515).

    Use it with `lecun_normal` weights.

    >>> import numpy as np
    >>> bool(np.isclose(selu(np.array(1.0)), 1.05070098))
    True
    """
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return scale * xp.where(x <= 0, alpha * xp.expm1(xp.where(x <= 0, x, 0)), x)


@block
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), a ReLU without its corner.

    >>> import numpy as np
    >>> softplus(np.array([-1000.0, 1000.0]))
    array([   0., 1000.])
    """
    return call(TABLE["softplus"], x)


@block
def log_sigmoid(x: Any) -> Any:
    """The logarithm of `sigmoid`, exact where that underflows.

    >>> import numpy as np
    >>> log_sigmoid(np.array([-1000.0]))
    array([-1000.])
    """
    return -call(TABLE["softplus"], -x)


@block
def silu(x: Any) -> Any:
    """x × sigmoid(x), also called swish (Ramachandran et al. 2017, arXiv 1710.05941).

    >>> import numpy as np
    >>> silu(np.array([-1000.0, 1000.0]))
    array([  -0., 1000.])
    """
    return x * (0.5 * xp.tanh(0.5 * x) + 0.5)


@block
def gelu(x: Any, approximate: bool = True) -> Any:
    """x × the normal distribution's share below x (Hendrycks and Gimpel 2016, arXiv 1606.08415).

    By default their approximation by tanh, off by less than 0.0005; the exact one is SciPy's error function.

    >>> import numpy as np
    >>> gelu(np.array([0.0, 10.0]))
    array([ 0., 10.])
    """
    if not approximate:
        return x * (0.5 * call(TABLE["erf"], x / sqrt(2)) + 0.5)
    cubic = x * (sqrt(2 / pi) + sqrt(2 / pi) * 0.044715 * xp.square(x))
    return x * (0.5 * xp.tanh(cubic) + 0.5)


@block
def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) divided by its sum over `axis`: probabilities that add up to 1.

    >>> import numpy as np
    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    weights = xp.exp(_shifted(x, axis))
    return weights / xp.sum(weights, axis=axis, keepdims=True)


@block
def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of `softmax`, exact where that underflows.

    >>> import numpy as np
    >>> log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    x = _shifted(x, axis)
    return x - xp.log(xp.sum(xp.exp(x), axis=axis, keepdims=True))


def _shifted(x: Any, axis: int) -> Any:
    """`x` with 0 for its maximum: softmax stays the same, and no digits are lost to large numbers."""
    return x - stop_gradient(xp.max(x, axis=axis, keepdims=True))
