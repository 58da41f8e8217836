"""Products of vectors and matrices that NumPy has beside those of the Array API, and norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dagexec.array import shape_of
from dagexec.ops.table import as_tuple, one_axis
from dagexec.xp import linalg, products
from dagexec.xp.numpy_functions.reductions import as_array
from dagexec.xp.registry import implements


@implements(np.dot)
def dot(a: Any, b: Any) -> Any:
    """The last axis of `a` with the second last of `b`; with a scalar, the product."""
    return products.dot(a, b)


@implements(np.vdot)
def vdot(a: Any, b: Any) -> Any:
    """The sum of products of the flattened arrays, the first conjugated."""
    return np.dot(np.conj(np.ravel(a)), np.ravel(b))


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """Each element of `a` times all of `b`, side by side."""
    a, b = as_array(a), as_array(b)
    ndim = max(a.ndim, b.ndim)
    a_shape = (1,) * (ndim - a.ndim) + a.shape
    b_shape = (1,) * (ndim - b.ndim) + b.shape
    apart = np.reshape(a, [n for length in a_shape for n in (length, 1)])
    inner = np.reshape(b, [n for length in b_shape for n in (1, length)])
    return np.reshape(apart * inner, [m * n for m, n in zip(a_shape, b_shape)])


@implements(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector product of vectors of length 3 along an axis."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    product = linalg.cross(a, b)
    return np.moveaxis(product, -1, axisc)


@implements(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers of a vector in columns, from the highest down."""
    x = as_array(x)
    powers = np.arange(x.size if N is None else N)
    columns = np.power(x[:, None], powers)
    return columns if increasing else np.flip(columns, 1)


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Any]) -> Any:
    """The product of several matrices, in the order that costs the fewest multiplications."""
    first, last = arrays[0], arrays[-1]
    matrices = [
        np.atleast_2d(first),
        *arrays[1:-1],
        last if np.ndim(last) == 2 else np.reshape(last, (-1, 1)),
    ]
    lengths = [matrix.shape[0] for matrix in matrices] + [matrices[-1].shape[1]]
    product = _in_best_order(matrices, _best_splits(lengths), 0, len(matrices) - 1)
    if np.ndim(first) == 1:
        product = product[0]
    return product[..., 0] if np.ndim(last) == 1 else product


def _best_splits(lengths: list[int]) -> dict[tuple[int, int], int]:
    """Where to cut each chain of matrices, by dynamic programming over longer and longer chains."""
    n = len(lengths) - 1
    cost: dict[tuple[int, int], int] = {(i, i): 0 for i in range(n)}
    cut: dict[tuple[int, int], int] = {}
    for span in range(1, n):
        for i in range(n - span):
            j = i + span
            costs = {
                k: cost[i, k] + cost[k + 1, j] + lengths[i] * lengths[k + 1] * lengths[j + 1]
                for k in range(i, j)
            }
            cut[i, j] = min(costs, key=costs.__getitem__)
            cost[i, j] = costs[cut[i, j]]
    return cut


def _in_best_order(matrices: list[Any], cut: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return matrices[i]
    k = cut[i, j]
    return np.matmul(_in_best_order(matrices, cut, i, k), _in_best_order(matrices, cut, k + 1, j))


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A norm of vectors (over one axis, or without `ord`) or of matrices (over two)."""
    x = as_array(x)
    axes = tuple(range(x.ndim)) if axis is None else tuple(one_axis(n, x.ndim) for n in as_tuple(axis))
    if ord is None or len(axes) == 1:
        return linalg.vector_norm(x, axis=axes, keepdims=keepdims, ord=2 if ord is None else ord)
    if len(axes) != 2:
        raise ValueError(f"ord={ord!r} is a norm of vectors or matrices, not over {len(axes)} axes")
    value = linalg.matrix_norm(np.moveaxis(x, axes, (-2, -1)), ord=ord)
    return np.expand_dims(value, axes) if keepdims else value


def _squares(x: Any) -> Any:
    return np.square(np.real(x)) + np.square(np.imag(x)) if x.dtype.kind == "c" else np.square(x)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """The condition number: of singular values, or the norm `p` of a matrix times that of its inverse."""
    if p is None or p in (2, -2):
        values = np.linalg.svd(x, compute_uv=False)
        ratio = values[..., 0] / values[..., -1]
        return 1 / ratio if p == -2 else ratio
    return np.linalg.norm(x, p, (-2, -1)) * np.linalg.norm(np.linalg.inv(x), p, (-2, -1))


@implements(np.einsum_path)
def einsum_path(subscripts: str, *operands: Any, **options: Any) -> Any:
    """NumPy's plan for a contraction: it needs only the shapes."""
    return np.einsum_path(subscripts, *[np.broadcast_to(0.0, shape_of(x)) for x in operands], **options)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of a tensor as a map from its last axes to its first `ind`."""
    first, last = shape_of(a)[:ind], shape_of(a)[ind:]
    rows = int(np.prod(last, dtype=np.int64))
    return np.reshape(np.linalg.inv(np.reshape(a, (rows, -1))), last + first)


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """The tensor `x` with a · x = b, summed over the last axes of `a`."""
    if axes is not None:
        ndim = len(shape_of(a))
        moved = [one_axis(axis, ndim) for axis in axes]
        a = np.permute_dims(a, [n for n in range(ndim) if n not in moved] + moved)
    unknown = shape_of(a)[len(shape_of(b)) :]
    matrix = np.reshape(a, (-1, int(np.prod(unknown, dtype=np.int64))))
    return np.reshape(np.linalg.solve(matrix, np.ravel(b)), unknown)


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: float | None = None) -> tuple[Any, Any, Any, Any]:
    """The solution with the smallest sum of squares, by the pseudoinverse; residuals, rank, singular values.

    The residuals have the shape that they have for a matrix of full rank: a trace does not know the rank.
    """
    a, b = as_array(a), as_array(b)
    m, n = a.shape
    values = np.linalg.svd(a, compute_uv=False)
    cutoff = np.finfo(values.dtype).eps * max(m, n) if rcond is None else rcond
    x = np.linalg.pinv(a, rcond=cutoff) @ b
    rest = np.sum(_squares(b - a @ x), axis=0)
    residuals = np.reshape(rest, (-1,)) if m > n else np.zeros(0, values.dtype)
    return x, residuals, np.sum(values > cutoff * values[0]), values
