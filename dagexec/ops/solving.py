"""Linear equations: inverse, solve, determinant, Cholesky, pseudo-inverse, of a matrix or a stack of them.

The gradient rules pair a cotangent G with a change D of the matrix as Re tr(Gᵀ D), so they hold for complex
matrices as well. Where only Hermitian matrices have a value, as for `cholesky`, the gradient is the Hermitian
one. What NumPy refuses when it runs (`LinAlgError`: singular, not positive definite) is refused in the run.
The rules are collected in Giles, "An extended collection of matrix derivative results" (2008), except
for the pseudo-inverse's, which is Golub and Pereyra's (1973).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.batched import Flags, all_batched, in_line, inner_ndim
from dagexec.ops.elementwise import real_dtype
from dagexec.ops.linear import adjoint, is_read, lapack_dtype, matrix_op, require_matrices, several
from dagexec.ops.table import broadcast_shapes, declare


# --- inverse and solution -------------------------------------------------------------------------------
def _inv_vjp(xp: Any, g: Any, y: Any, x: Any) -> Any:
    transposed = xp.matrix_transpose(y)
    return -(transposed @ g @ transposed)


matrix_op("inv", lambda x: x, _inv_vjp, "inverse matrix", cost=2)


def _solve_spec(a: Spec, b: Spec) -> Spec:
    require_matrices(a)
    n = a.shape[-1]
    rows = b.shape[-2:-1] if b.ndim > 1 else b.shape
    if rows != (n,):
        raise ValueError(f"a matrix of shape {a.shape} needs a right-hand side of {n} rows, not {b.shape}")
    dtype = lapack_dtype(a.dtype, b.dtype)
    if b.ndim == 1:
        return Spec(a.shape[:-1], dtype)
    return Spec(broadcast_shapes(a.shape[:-2], b.shape[:-2]) + b.shape[-2:], dtype)


def _solve_vjp(xp: Any, g: Any, y: Any, a: Any, b: Any) -> tuple[Any, Any]:
    transposed = xp.matrix_transpose(a)
    if b.ndim > 1:
        share = xp.linalg.solve(transposed, g)
        return -(share @ xp.matrix_transpose(y)), share
    share = xp.linalg.solve(transposed, g[..., None])
    return -(share @ y[..., None, :]), share[..., 0]


def _solve_batch(xp: Any, again: Any, size: int, batched: Flags, a: Any, b: Any) -> Any:
    vector = inner_ndim(b, batched[1]) == 1
    if vector:
        b = b[..., None]
    result = again(*in_line(xp, batched, (a, b)))
    return result[..., 0] if vector else result


declare(
    Op(
        "solve",
        _solve_spec,
        lambda xp: xp.linalg.solve,
        _solve_vjp,
        _solve_batch,
        cost=lambda out, a, b: a.size * a.shape[-1] * 2 / 3 + 2.0 * out.size * a.shape[-1],
        family="linear",
        doc="the x with a x = b, for a vector b or the columns of a matrix",
    )
)


# --- determinants ---------------------------------------------------------------------------------------
def _scalars(x: Spec) -> Spec:
    return Spec(x.shape[:-2], x.dtype)


def _cofactors(xp: Any, x: Any) -> Any:
    u, s, vh = xp.linalg.svd(x)
    on_diagonal = xp.eye(x.shape[-1], dtype=xp.bool, device=x.device)
    # The product of all other singular values: so it is right for a singular matrix too.
    others = xp.where(on_diagonal, xp.ones_like(s)[..., None, :], s[..., None, :])
    signs = xp.linalg.det(u) * xp.linalg.det(vh)
    return signs[..., None, None] * (xp.conj(u) * xp.prod(others, axis=-1)[..., None, :]) @ xp.conj(vh)


def _cofactors_vjp(xp: Any, g: Any, y: Any, x: Any) -> Any:
    total = xp.sum(g * y, axis=(-2, -1), keepdims=True)
    return (total * y - y @ xp.matrix_transpose(g) @ y) / xp.linalg.det(x)[..., None, None]


def _det_vjp(xp: Any, g: Any, y: Any, x: Any) -> Any:
    return g[..., None, None] * xp.linalg.cofactors(x)


def _slogdet_vjp(xp: Any, g: Any, y: Any, x: Any) -> Any:
    of_sign, scale = g
    if x.dtype.kind == "c" and is_read(of_sign):
        scale = scale + 1j * xp.imag(of_sign * y[0])  # only the angle of the sign can change
    return scale[..., None, None] * xp.matrix_transpose(xp.linalg.inv(x))


matrix_op("det", _scalars, _det_vjp, "determinant", cost=2 / 3)
matrix_op(
    "cofactors",
    lambda x: x,
    _cofactors_vjp,
    "the gradient of the determinant: of each element, the signed determinant without its row and column",
    cost=20,
    kernel=lambda xp: partial(_cofactors, xp),
)
matrix_op(
    "slogdet",
    lambda x: (_scalars(x), Spec(x.shape[:-2], real_dtype(x.dtype))),
    _slogdet_vjp,
    "sign and logarithm of the absolute value of the determinant",
    cost=2 / 3,
    kernel=several("slogdet"),
)


# --- Cholesky -------------------------------------------------------------------------------------------
def _cholesky_vjp(xp: Any, g: Any, y: Any, x: Any, upper: bool) -> Any:
    if upper:
        g, y = adjoint(xp, g), adjoint(xp, y)
    n = x.shape[-1]
    halved = (np.tri(n) - np.eye(n) / 2).astype(real_dtype(y.dtype))
    inner = halved * (xp.matrix_transpose(y) @ g)
    left = xp.linalg.solve(xp.matrix_transpose(y), inner)
    share = xp.linalg.solve(adjoint(xp, y), xp.matrix_transpose(left))  # its transpose, in truth
    return (xp.matrix_transpose(share) + xp.conj(share)) / 2


matrix_op(
    "cholesky",
    lambda x, upper: x,
    _cholesky_vjp,
    "triangular L with L Lᴴ = x (or, if upper, U with Uᴴ U = x) of a positive definite matrix",
    cost=1 / 3,
)


# --- pseudo-inverse -------------------------------------------------------------------------------------
def _pinv_spec(x: Spec, rtol: Spec) -> Spec:
    if broadcast_shapes(x.shape[:-2], rtol.shape) != x.shape[:-2]:
        raise ValueError(f"rtol of shape {rtol.shape} does not fit matrices of shape {x.shape}")
    return Spec((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)


def _pinv(xp: Any, x: Any, rtol: Any) -> Any:
    return xp.linalg.pinv(x, rtol=rtol)


def _pinv_vjp(xp: Any, g: Any, y: Any, x: Any, rtol: Any) -> Any:
    transposed_y, transposed_g, conjugate = xp.matrix_transpose(y), xp.matrix_transpose(g), adjoint(xp, y)
    left = transposed_g @ y @ conjugate
    right = conjugate @ y @ transposed_g
    rest = xp.conj(left - x @ (y @ left) + right - (right @ y) @ x)
    return rest - transposed_y @ g @ transposed_y


def _pinv_batch(xp: Any, again: Any, size: int, batched: Flags, x: Any, rtol: Any) -> Any:
    lead = inner_ndim(x, batched[0]) - 2
    x = all_batched(xp, size, batched[:1], (x,))[0]
    return again(x, *in_line(xp, batched[1:], (rtol,), lead))


matrix_op(
    "pinv",
    _pinv_spec,
    _pinv_vjp,
    "pseudo-inverse, without the singular values below rtol times the largest",
    cost=22,
    square=False,
    kernel=lambda xp: partial(_pinv, xp),
    batch=_pinv_batch,
)
