"""The matrix product, and what the ops on matrices have in common.

All work on stacks of matrices: the last two axes are a matrix's, the others are batched over. `tensordot`,
`einsum` and the norms are written with these ops, in the namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.batched import Flags, in_line, inner_ndim
from dagexec.ops.elementwise import ufunc_dtype
from dagexec.ops.table import Rule, broadcast_shapes, declare

SMALL = 2**17  # multiplications, which take a few microseconds


def _matmul_spec(a: Spec, b: Spec) -> Spec:
    if not a.shape or not b.shape:
        raise ValueError("both need at least one dimension; use * to multiply by a scalar")
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise ValueError(
            f"the last axis of the first has length {a.shape[-1]}, "
            f"the {'second last' if b.ndim > 1 else 'only'} axis of the second {inner}"
        )
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rows = a.shape[-2:-1] if a.ndim > 1 else ()
    columns = b.shape[-1:] if b.ndim > 1 else ()
    return Spec(batch + rows + columns, ufunc_dtype(np.matmul, a.dtype, b.dtype))


def _as_matrices(xp: Any, g: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Vectors as matrices of one row (the first operand) or one column (the second), and g to fit."""
    if b.ndim == 1:
        b, g = b[:, None], g[..., None]
    if a.ndim == 1:
        a, g = a[None, :], g[..., None, :]
    return g, a, b


def _matmul_vjp_a(xp: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    matrix_g, _, matrix_b = _as_matrices(xp, g, a, b)
    result = matrix_g @ xp.matrix_transpose(matrix_b)
    return result[..., 0, :] if a.ndim == 1 else result


def _matmul_vjp_b(xp: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 2 and a.ndim > 2:  # one product over all rows, not a sum of one product for each matrix
        a, g = (xp.reshape(x, (prod(x.shape[:-1]), x.shape[-1])) for x in (a, g))
    matrix_g, matrix_a, _ = _as_matrices(xp, g, a, b)
    result = xp.matrix_transpose(matrix_a) @ matrix_g
    return result[..., 0] if b.ndim == 1 else result


def _is_small(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Are these matrices so small that what it takes to call NumPy counts?"""
    return len(a) == len(b) == 2 and a[0] * a[1] * b[1] <= SMALL


def _product(a: Any, b: Any) -> Any:
    """NumPy's product of matrices; to call `dot` takes half a microsecond less than `matmul`."""
    return np.dot(a, b) if _is_small(a.shape, b.shape) else np.matmul(a, b)


def _product_into(inputs: Any, out: Any) -> Any:
    a, b = inputs
    return [(np.dot if _is_small(a.shape, b.shape) else np.matmul, (a, b, out))]


def _matmul_batch(xp: Any, again: Any, size: int, batched: Flags, a: Any, b: Any) -> Any:
    ndims = tuple(map(inner_ndim, (a, b), batched))
    if batched == (False, True) and ndims[1] == 1 and ndims[0] <= 2:  # many vectors are one matrix
        return again(b, a if ndims[0] == 1 else xp.matrix_transpose(a))
    if batched == (True, False) and ndims[0] == 1 and ndims[1] <= 2:
        return again(a, b)
    if ndims[0] == 1:
        a = a[..., None, :]
    if ndims[1] == 1:
        b = b[..., :, None]
    result = again(*in_line(xp, batched, (a, b)))
    ones = tuple(axis for axis, ndim in zip((-2, -1), ndims) if ndim == 1)
    return xp.squeeze(result, axis=ones) if ones else result


declare(
    Op(
        "matmul",
        _matmul_spec,
        lambda xp: _product if xp is np else xp.matmul,
        (_matmul_vjp_a, _matmul_vjp_b),
        _matmul_batch,
        cost=lambda out, a, b: 2.0 * out.size * a.shape[-1],
        into=_product_into,
        family="linear",
        onnx="MatMul",
        doc="matrix product over the last two axes, batched over the others",
    )
)


# --- what the solvers and decompositions share ----------------------------------------------------------
def lapack_dtype(*dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which LAPACK computes; TypeError where it has none.

    >>> lapack_dtype(np.dtype(int), np.dtype(np.complex64))
    dtype('complex128')
    """
    for dtype in dtypes:
        if dtype.kind in "fc" and dtype.char not in "fdFD":
            raise TypeError(f"not defined for {dtype.name}, only for single and double precision")
    return np.result_type(*[np.dtype(np.float64) if dtype.kind in "biu" else dtype for dtype in dtypes])


def require_matrices(x: Spec, square: bool = True) -> None:
    """Raise ValueError unless an array of this Spec is a matrix or a stack of them."""
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        raise ValueError(
            f"needs a {'square ' if square else ''}matrix or a stack of them, not shape {x.shape}"
        )


def matrix_op(
    name: str,
    infer: Callable[..., Any],
    vjp: Rule,
    doc: str,
    *,
    cost: float,
    square: bool = True,
    kernel: Callable[..., Any] | None = None,
    batch: Callable[..., Any] | None = None,
) -> Op:
    """Declare an op on a matrix or a stack of them.

    `infer` is given the Spec with LAPACK's dtype; the kernel, if none is given, is the function of this name
    in the array library's `linalg`. `cost` is in operations for each element and row (or column, if fewer).
    """

    def checked(x: Spec, *others: Spec, **params: Any) -> Any:
        require_matrices(x, square)
        return infer(Spec(x.shape, lapack_dtype(x.dtype)), *others, **params)

    return declare(
        Op(
            name,
            checked,
            kernel or (lambda xp, **params: partial(getattr(xp.linalg, name), **params)),
            (vjp,),
            batch,
            cost=lambda out, x, *others, **params: cost * x.size * min(x.shape[-2:]),
            family="linear",
            doc=doc,
        )
    )


def several(name: str) -> Callable[..., Any]:
    """The kernel of an op with several results: the library's named tuple as a plain one."""
    return lambda xp, **params: partial(_as_tuple, getattr(xp.linalg, name), params)


def _as_tuple(function: Callable[..., Any], params: dict[str, Any], x: Any) -> tuple[Any, ...]:
    return tuple(function(x, **params))


def adjoint(xp: Any, x: Any) -> Any:
    """The conjugate transpose."""
    return xp.conj(xp.matrix_transpose(x))


def diagonal_matrix(xp: Any, x: Any) -> Any:
    """Matrices with the vectors `x` on their diagonals."""
    return xp.where(np.eye(x.shape[-1], dtype=np.bool), x[..., None, :], 0)


def inverse_or_zero(xp: Any, x: Any) -> Any:
    """1 / x, but 0 where x is 0."""
    zero = xp.equal(x, 0)
    return xp.where(zero, 0, 1 / xp.where(zero, 1, x))


def is_read(g: Any) -> bool:
    """Whether one of several results is used: the derivation gives zeros, a NumPy array, for what is not."""
    return not isinstance(g, np.ndarray)
