"""Polynomials as vectors of coefficients, the highest power first."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagexec.array import shape_of
from dagexec.xp.numpy_functions.reductions import as_array
from dagexec.xp.registry import implements


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """The value at `x`, by Horner's rule."""
    x = as_array(x)
    value = np.zeros(x.shape, np.result_type(x, as_array(p)))
    for coefficient in as_array(p):
        value = value * x + coefficient
    return value


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of two polynomials."""
    a1, a2 = _of_one_length(a1, a2)
    return a1 + a2


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """The difference of two polynomials."""
    a1, a2 = _of_one_length(a1, a2)
    return a1 - a2


def _of_one_length(a1: Any, a2: Any) -> tuple[Any, Any]:
    a1, a2 = np.atleast_1d(as_array(a1)), np.atleast_1d(as_array(a2))
    n = max(a1.size, a2.size)
    return np.pad(a1, (n - a1.size, 0)), np.pad(a2, (n - a2.size, 0))


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """The product of two polynomials."""
    return np.convolve(a1, a2)


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """The `m`-th derivative."""
    p = as_array(p)
    for _ in range(m):
        p = p[:-1] * np.arange(p.size - 1, 0, -1)
    return p


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The `m`-th integral, with the constants `k`."""
    p = as_array(p)
    constants = np.zeros(m) if k is None else np.broadcast_to(k, (m,))
    for constant in constants:
        raised = p / np.arange(p.size, 0, -1)
        p = np.concatenate([raised, np.reshape(constant, (1,)).astype(raised.dtype)])
    return p


@implements(np.polyfit)
def polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    """The polynomial of degree `deg` with the smallest sum of squares, by a QR decomposition."""
    if full or cov:
        raise ValueError("full= and cov= can't be traced, only the coefficients")
    columns = np.vander(as_array(x) * 1.0, deg + 1)
    y = as_array(y) * 1.0
    if w is not None:
        columns = columns * as_array(w)[:, None]
        y = y * (as_array(w) if y.ndim == 1 else as_array(w)[:, None])
    scale = np.sqrt(np.sum(np.square(columns), axis=0))
    q, r = np.linalg.qr(columns / scale)
    found = np.linalg.solve(r, np.swapaxes(q, 0, 1) @ y)
    return found / (scale if y.ndim == 1 else scale[:, None])


@implements(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """The polynomial with the given zeros."""
    zeros = as_array(seq_of_zeros)
    if zeros.ndim != 1:
        raise ValueError("takes a vector of zeros; the characteristic polynomial of a matrix can't be traced")
    p: Any = np.ones(1, zeros.dtype)
    for zero in zeros:
        p = np.append(p, 0) - np.append(0, zero * p)
    return p


@implements(np.polydiv)
def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    """Quotient and remainder; the remainder keeps leading zeros, for whether it has some is not known."""
    u, v = np.atleast_1d(as_array(u)) * 1.0, np.atleast_1d(as_array(v)) * 1.0
    quotient = []
    for _ in range(u.size - v.size + 1):
        factor = u[0] / v[0]
        quotient.append(factor)
        u = np.concatenate([u[1 : v.size] - factor * v[1:], u[v.size :]])
    rest = u if shape_of(u)[0] else np.zeros(1)
    return (np.stack(quotient) if quotient else np.zeros(1)), rest
