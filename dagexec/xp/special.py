"""Special functions with SciPy's names: ops where SciPy computes, compositions where several functions do.

SciPy's own functions find this module through `__array_namespace__` if SCIPY_ARRAY_API=1 is set, and its
ufuncs find it in any case: `scipy.special.erf(x)` of a traced array is `erf(x)` here.

>>> import numpy as np
>>> from dagexec.xp import special
>>> special.softmax(np.zeros(4))
array([0.25, 0.25, 0.25, 0.25])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dagexec.array import call, naming_the_line
from dagexec.ops import TABLE
from dagexec.ops.special import NAMES
from dagexec.xp.computing import FUNCTIONS as OF_THE_TABLE
from dagexec.xp.computing import Axis

# SciPy's names for what NumPy has as well, or for what is a few ops of NumPy's.
COMPOSED: dict[str, Callable[..., Any]] = {
    "digamma": lambda x: call(TABLE["psi"], x),
    "loggamma": lambda x: call(TABLE["gammaln"], x),
    "cbrt": np.cbrt,
    "exp2": np.exp2,
    "exp10": lambda x: np.power(10.0, x),
    "expm1": np.expm1,
    "log1p": np.log1p,
    "radian": lambda d, m, s: np.deg2rad(d + m / 60 + s / 3600),
    "cosm1": lambda x: -2 * np.square(np.sin(x / 2)),
    "boxcox": lambda x, p: np.where(p == 0, np.log(x), np.expm1(p * np.log(x)) / np.where(p == 0, 1, p)),
    "huber": lambda d, r: np.where(np.abs(r) <= d, 0.5 * np.square(r), d * (np.abs(r) - 0.5 * d)),
    "pseudo_huber": lambda d, r: np.square(d) * (np.sqrt(1 + np.square(r / d)) - 1),
}


def _special(name: str) -> Callable[..., Any]:
    op = TABLE[name]

    def function(*operands: Any) -> Any:
        return call(op, *operands)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{op.doc[0].upper()}{op.doc[1:]}, elementwise, computed by SciPy."
    return function


def logsumexp(a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False) -> Any:
    """The logarithm of the sum of `b` exp(`a`) over `axis`, without overflow."""
    if b is None:
        return OF_THE_TABLE["logsumexp"](a, axis, keepdims=keepdims)
    top = OF_THE_TABLE["max"](a, axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    total = OF_THE_TABLE["sum"](b * np.exp(a - top), axis, keepdims=keepdims)
    return np.log(total) + (top if keepdims else np.squeeze(top, axis))


def log_softmax(x: Any, axis: Axis = None) -> Any:
    """The logarithm of `softmax`, exact where that underflows."""
    return np.subtract(x, logsumexp(x, axis, keepdims=True))


def softmax(x: Any, axis: Axis = None) -> Any:
    """exp(x) divided by its sum over `axis`."""
    return np.exp(log_softmax(x, axis))


FUNCTIONS = {name: naming_the_line(_special(name)) for name in NAMES} | COMPOSED
globals().update(FUNCTIONS)


def of_scipy(ufunc: np.ufunc) -> Callable[..., Any] | None:
    """Our function for one of SciPy's ufuncs; None for another."""
    ours = FUNCTIONS.get(ufunc.__name__.removeprefix("_"))
    known = getattr(np, ufunc.__name__, None) is not ufunc
    return ours if known else None
