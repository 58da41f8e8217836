"""The matrix product. `tensordot` and `einsum` are written with it, in the namespace."""

from __future__ import annotations

from typing import Any

from dagexec.graph import Op, Spec
from dagexec.ops.elementwise import ufunc_dtype
from dagexec.ops.table import broadcast_shapes, declare


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
    return Spec(batch + rows + columns, ufunc_dtype("matmul", a.dtype, b.dtype))


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
    matrix_g, matrix_a, _ = _as_matrices(xp, g, a, b)
    result = xp.matrix_transpose(matrix_a) @ matrix_g
    return result[..., 0] if b.ndim == 1 else result


declare(
    Op(
        "matmul",
        _matmul_spec,
        lambda xp: xp.matmul,
        (_matmul_vjp_a, _matmul_vjp_b),
        cost=lambda out, a, b: 2.0 * out.size * a.shape[-1],
        family="linear",
        onnx="MatMul",
        doc="matrix product over the last two axes, batched over the others",
    )
)
