"""Decompositions of a matrix or a stack of them: eigenvalues, singular values, QR.

Eigenvectors and singular vectors are defined up to a factor of absolute value one, and those of equal values
up to a rotation. The gradient is right for a function that does not depend on that choice: equal values
exchange no share. For eigenvalues and singular values the rules are in Giles, "An extended collection of
matrix derivative results" (2008), for complex matrices in Wan and Zhang, "Automatic differentiation for
complex valued SVD" (2019). As in solving.py, they pair a cotangent G with a change D as Re tr(Gᵀ D).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dagexec.graph import Spec
from dagexec.ops.elementwise import real_dtype
from dagexec.ops.linear import adjoint, diagonal_matrix, inverse_or_zero, is_read, matrix_op, several


def _values(x: Spec) -> Spec:
    return Spec((*x.shape[:-2], min(x.shape[-2:])), real_dtype(x.dtype))


def _inverse_gaps(xp: Any, values: Any) -> Any:
    """1 / (values[j] − values[i]) at [i, j], 0 where both are equal."""
    return inverse_or_zero(xp, values[..., None, :] - values[..., :, None])


# --- eigenvalues of a Hermitian matrix ------------------------------------------------------------------
def _hermitian(xp: Any, x: Any) -> Any:
    return (x + adjoint(xp, x)) / 2


def _eigh_vjp(xp: Any, g: Any, y: Any, x: Any) -> Any:
    (g_values, g_vectors), (values, vectors) = g, y
    transposed = xp.matrix_transpose(vectors)
    if not is_read(g_vectors):
        return _hermitian(xp, (xp.conj(vectors) * g_values[..., None, :]) @ transposed)
    inner = _inverse_gaps(xp, values) * (transposed @ g_vectors)
    if is_read(g_values):
        inner = inner + diagonal_matrix(xp, g_values)
    return _hermitian(xp, xp.conj(vectors) @ inner @ transposed)


def _eigvalsh_vjp(xp: Any, g: Any, y: Any, x: Any) -> Any:
    _, vectors = xp.linalg.eigh(x)
    return (xp.conj(vectors) * g[..., None, :]) @ xp.matrix_transpose(vectors)


matrix_op(
    "eigh",
    lambda x: (_values(x), x),
    _eigh_vjp,
    "ascending eigenvalues and orthonormal eigenvectors of a Hermitian matrix, of which the lower triangle "
    "is read",
    cost=9,
    kernel=several("eigh"),
)
matrix_op(
    "eigvalsh",
    _values,
    _eigvalsh_vjp,
    "ascending eigenvalues of a Hermitian matrix, of which the lower triangle is read",
    cost=4,
)


# --- eigenvalues of any square matrix -------------------------------------------------------------------
def _eig(xp: Any, x: Any) -> tuple[Any, ...]:
    # NumPy gives real arrays where no eigenvalue is complex; here the dtype must not depend on the values.
    parts = tuple(xp.linalg.eig(x))
    return tuple(xp.astype(part, xp.result_type(part.dtype, xp.complex64)) for part in parts)


def _eig_spec(x: Spec) -> tuple[Spec, Spec]:
    dtype = np.result_type(x.dtype, np.complex64)
    return Spec(x.shape[:-1], dtype), Spec(x.shape, dtype)


def _eig_vjp(xp: Any, g: Any, y: Any, x: Any) -> Any:
    (g_values, g_vectors), (values, vectors) = g, y
    transposed = xp.matrix_transpose(vectors)
    inner = diagonal_matrix(xp, g_values)
    if is_read(g_vectors):
        product = transposed @ g_vectors
        along = xp.real(xp.linalg.diagonal(product))  # the vectors stay of length one
        product = product - (transposed @ xp.conj(vectors)) * along[..., None, :]
        inner = inner + _inverse_gaps(xp, values) * product
    return xp.linalg.solve(transposed, inner @ transposed)


matrix_op(
    "eig",
    _eig_spec,
    _eig_vjp,
    "eigenvalues and eigenvectors of length one, both complex",
    cost=25,
    kernel=lambda xp: partial(_eig, xp),
)


# --- singular values ------------------------------------------------------------------------------------
def _svd_spec(x: Spec, full_matrices: bool) -> tuple[Spec, Spec, Spec]:
    *batch, m, n = x.shape
    k = min(m, n)
    rows, columns = (m, n) if full_matrices else (k, k)
    return Spec((*batch, m, rows), x.dtype), _values(x), Spec((*batch, columns, n), x.dtype)


def _svd_vjp(xp: Any, g: Any, y: Any, x: Any, full_matrices: bool) -> Any:
    (g_u, g_values, g_vh), (u, values, vh) = g, y
    m, n = x.shape[-2:]
    k = min(m, n)
    if full_matrices and m != n:
        if is_read(g_u) or is_read(g_vh):
            raise TypeError(
                f"svd: no gradient through all singular vectors of a matrix of shape {x.shape[-2:]}, which "
                "are not determined: use full_matrices=False"
            )
        u, _, vh = xp.linalg.svd(x, full_matrices=False)  # these have a derivative in their turn
    left, right = xp.conj(u), xp.conj(vh)
    if not is_read(g_u) and not is_read(g_vh):
        return (left * g_values[..., None, :]) @ right
    row, column = values[..., None, :], values[..., :, None]
    gaps = _inverse_gaps(xp, values) * inverse_or_zero(xp, row + column)
    inner = diagonal_matrix(xp, g_values)
    outside = []  # shares in what the singular vectors do not span
    if is_read(g_u):
        product = xp.matrix_transpose(u) @ g_u
        turned = gaps * product
        inner = inner + (turned + adjoint(xp, turned)) * row
        if x.dtype.kind == "c":  # the phase that the vectors of both sides share is left to u
            angle = xp.imag(xp.linalg.diagonal(product)) * inverse_or_zero(xp, values)
            inner = inner + 1j * diagonal_matrix(xp, angle)
        if m > k:
            scaled = g_u * inverse_or_zero(xp, row)
            outside.append((scaled - left @ (xp.matrix_transpose(u) @ scaled)) @ right)
    if is_read(g_vh):
        turned = gaps * (g_vh @ xp.matrix_transpose(vh))
        inner = inner - column * (turned + adjoint(xp, turned))
        if n > k:
            scaled = inverse_or_zero(xp, column) * g_vh
            outside.append(left @ (scaled - scaled @ xp.matrix_transpose(vh) @ right))
    return sum(outside, left @ inner @ right)


def _svdvals_vjp(xp: Any, g: Any, y: Any, x: Any) -> Any:
    u, _, vh = xp.linalg.svd(x, full_matrices=False)
    return (xp.conj(u) * g[..., None, :]) @ xp.conj(vh)


matrix_op(
    "svd",
    _svd_spec,
    _svd_vjp,
    "orthonormal U and Vᴴ and descending singular values s with x = U diag(s) Vᴴ",
    cost=20,
    square=False,
    kernel=several("svd"),
)
matrix_op("svdvals", _values, _svdvals_vjp, "descending singular values", cost=4, square=False)


# --- QR -------------------------------------------------------------------------------------------------
def _qr_spec(x: Spec, mode: str) -> tuple[Spec, Spec]:
    *batch, m, n = x.shape
    k = m if mode == "complete" else min(m, n)
    return Spec((*batch, m, k), x.dtype), Spec((*batch, k, n), x.dtype)


def _qr_vjp(xp: Any, g: Any, y: Any, x: Any, mode: str) -> Any:
    (g_q, g_r), (q, r) = g, y
    m, n = x.shape[-2:]
    if m >= n:
        if mode == "complete" and m > n:
            if is_read(g_q):
                raise TypeError(
                    f"qr: no gradient through the whole q of a matrix of shape {x.shape[-2:]}, which is not "
                    "determined: use mode='reduced'"
                )
            (q, r), g_r = xp.linalg.qr(x), g_r[..., :n, :]  # which have a derivative in their turn
        return _tall_qr_vjp(xp, g_q, g_r, q, r)
    # The first m columns decide q, and r of the others is qᴴ times them.
    others, g_others = x[..., :, m:], g_r[..., :, m:]
    through_q = xp.conj(others) @ adjoint(xp, g_others)
    g_q = g_q + through_q if is_read(g_q) else through_q
    first = _tall_qr_vjp(xp, g_q, g_r[..., :, :m], q, r[..., :, :m])
    return xp.concat([first, xp.conj(q) @ g_others], axis=-1)


def _tall_qr_vjp(xp: Any, g_q: Any, g_r: Any, q: Any, r: Any) -> Any:
    inner = g_r @ xp.matrix_transpose(r)
    if is_read(g_q):
        inner = inner - xp.matrix_transpose(q) @ g_q
    above = xp.triu(inner, k=1)
    inner = above + adjoint(xp, above) + diagonal_matrix(xp, xp.real(xp.linalg.diagonal(inner)))
    share = xp.conj(q) @ inner
    share = share + g_q if is_read(g_q) else share
    return xp.matrix_transpose(xp.linalg.solve(r, xp.matrix_transpose(share)))


matrix_op(
    "qr",
    _qr_spec,
    _qr_vjp,
    "orthonormal q and upper triangular r with x = q r",
    cost=4,
    square=False,
    kernel=several("qr"),
)
