"""The Array API's linear algebra extension: solving, decompositions, norms, on stacks of matrices.

The last two axes are a matrix's, all before them are batched over. Integers are computed with in float64.
Shapes that do not fit are a ValueError while tracing; what only the values tell (singular, not positive
definite) is NumPy's `LinAlgError`, in the run.

>>> import numpy as np, dagexec
>>> from dagexec import xp
>>> energy = lambda A: xp.linalg.slogdet(A).logabsdet
>>> dagexec.grad(energy)(np.array([[2.0, 0.0], [1.0, 4.0]]))
array([[ 0.5  , -0.125],
       [ 0.   ,  0.25 ]])
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from dagexec.array import Array, call, naming_the_line, shape_of
from dagexec.ops import TABLE
from dagexec.ops.elementwise import real_dtype
from dagexec.ops.linear import lapack_dtype
from dagexec.ops.table import one_axis
from dagexec.xp import composed, products
from dagexec.xp.computing import FUNCTIONS, astype, conj, pow, real
from dagexec.xp.moving import broadcast_to, expand_dims, roll
from dagexec.xp.moving import matrix_transpose as _matrix_transpose
from dagexec.xp.standard import SIGNATURES, with_signature

__all__ = [
    "cholesky", "cofactors", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv",
    "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr",
    "slogdet", "solve", "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip

# NumPy's own named tuples: what is traced returns the same as what is computed at once.
_one: Any = np.ones((1, 1))
EigResult: Any = type(np.linalg.eig(_one))
EighResult: Any = type(np.linalg.eigh(_one))
QRResult: Any = type(np.linalg.qr(_one))
SlogdetResult: Any = type(np.linalg.slogdet(_one))
SVDResult: Any = type(np.linalg.svd(_one))

matmul = with_signature(products.matmul, SIGNATURES["matmul"])
matrix_transpose = with_signature(_matrix_transpose, SIGNATURES["matrix_transpose"])
tensordot = with_signature(products.tensordot, SIGNATURES["tensordot"])
vecdot = with_signature(products.vecdot, SIGNATURES["vecdot"])


def _dtype_of(x: Any) -> np.dtype[Any]:
    return x.dtype if isinstance(x, Array) else np.asarray(x).dtype


def _precision(x: Any) -> float:
    """The relative size of the singular values that count as zero, where nothing else is said."""
    return float(max(shape_of(x)[-2:]) * np.finfo(lapack_dtype(_dtype_of(x))).eps)


def _require_square(x: Any) -> None:
    shape = shape_of(x)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"needs a square matrix or a stack of them, not shape {shape}")


# --- solving --------------------------------------------------------------------------------------------
def inv(x: Any, /) -> Any:
    """The inverse of a square matrix. Raises LinAlgError in the run if it is singular.

    >>> inv(np.array([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return call(TABLE["inv"], x)


def solve(x1: Any, x2: Any, /) -> Any:
    """The solution of `x1 @ y = x2`: for a vector if `x2` has one axis, else for the columns of matrices.

    Raises ValueError where shapes do not fit, LinAlgError in the run if `x1` is singular.

    >>> solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([1.0, 1.0]))
    array([0.5 , 0.25])
    """
    return call(TABLE["solve"], x1, x2)


def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """The triangular L with `L @ adjoint(L) = x`, or U with `adjoint(U) @ U = x` if `upper`.

    Of the Hermitian matrix only that triangle is read; its gradient is Hermitian. Raises LinAlgError in the
    run if it is not positive definite.

    >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]]))
    array([[2., 0.],
           [1., 2.]])
    """
    return call(TABLE["cholesky"], x, upper=operator.truth(upper))


def det(x: Any, /) -> Any:
    """The determinant. Its gradient, the matrix of cofactors, is right for singular matrices too.

    >>> float(det(np.array([[0.0, 2.0], [1.0, 0.0]])))
    -2.0
    """
    return call(TABLE["det"], x)


def cofactors(x: Any, /) -> Any:
    """The gradient of the determinant; not in the standard.

    >>> np.round(cofactors(np.array([[2.0, 0.0], [1.0, 4.0]])), 9) + 0.0
    array([[ 4., -1.],
           [ 0.,  2.]])
    """
    return call(TABLE["cofactors"], x)


def slogdet(x: Any, /) -> Any:
    """The determinant as (sign, logabsdet): sign (of absolute value one if complex) and log of its size.

    >>> sign, logabsdet = slogdet(np.diag([-2.0, 3.0]))
    >>> float(sign), float(np.exp(logabsdet))
    (-1.0, 6.0)
    """
    return SlogdetResult(*call(TABLE["slogdet"], x))


def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """The pseudo-inverse: without the singular values up to `rtol` times the largest.

    `rtol` is a number or one for each matrix; None stands for the larger side times the dtype's precision.
    Its gradient holds where the rank does not change.

    >>> pinv(np.array([[2.0], [0.0]]))
    array([[0.5, 0. ]])
    """
    if not isinstance(rtol, Array):
        rtol = np.asarray(_precision(x) if rtol is None else rtol, real_dtype(lapack_dtype(_dtype_of(x))))
    return call(TABLE["pinv"], x, rtol)


def matrix_power(x: Any, n: int, /) -> Any:
    """A square matrix multiplied by itself `n` times, by repeated squaring; its inverse, if `n` is negative.

    >>> matrix_power(np.array([[1, 1], [0, 1]]), 5)
    array([[1, 5],
           [0, 1]])
    """
    _require_square(x)
    n = operator.index(n)
    if n == 0:
        return broadcast_to(np.eye(shape_of(x)[-1], dtype=_dtype_of(x)), shape_of(x))
    power = inv(x) if n < 0 else x
    result = None
    for place, digit in enumerate(reversed(f"{abs(n):b}")):
        power = matmul(power, power) if place else power
        if digit == "1":
            result = power if result is None else matmul(result, power)
    return result


# --- decompositions -------------------------------------------------------------------------------------
def eigh(x: Any, /) -> Any:
    """(eigenvalues, eigenvectors) of a Hermitian matrix: ascending, and the columns of a unitary matrix.

    Only the lower triangle is read; the gradient is Hermitian, and right for what does not depend on the sign
    or phase of the vectors.

    >>> eigh(np.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    array([1., 2.])
    """
    return EighResult(*call(TABLE["eigh"], x))


def eigvalsh(x: Any, /) -> Any:
    """The eigenvalues of a Hermitian matrix, ascending; only the lower triangle is read.

    >>> eigvalsh(np.array([[2.0, 0.0], [0.0, 1.0]]))
    array([1., 2.])
    """
    return call(TABLE["eigvalsh"], x)


def eig(x: Any, /) -> Any:
    """(eigenvalues, eigenvectors) of a square matrix, complex: in no order, and columns of length one.

    >>> eig(np.diag([2.0, 1.0])).eigenvalues
    array([2.+0.j, 1.+0.j])
    """
    return EigResult(*call(TABLE["eig"], x))


def eigvals(x: Any, /) -> Any:
    """The eigenvalues of a square matrix, complex, in no order.

    >>> eigvals(np.diag([2.0, 1.0]))
    array([2.+0.j, 1.+0.j])
    """
    return eig(x).eigenvalues


def svd(x: Any, /, *, full_matrices: bool = True) -> Any:
    """(U, S, Vh) with `x = U @ diag(S) @ Vh`: singular values descend, U and Vh are unitary.

    With `full_matrices=False` U and Vh have no more columns and rows than there are singular values, and a
    gradient for a matrix that is not square; it is right for what does not depend on the vectors' phases.

    >>> svd(np.diag([1.0, 3.0])).S
    array([3., 1.])
    """
    return SVDResult(*call(TABLE["svd"], x, full_matrices=operator.truth(full_matrices)))


def svdvals(x: Any, /) -> Any:
    """The singular values, descending.

    >>> svdvals(np.diag([1.0, 3.0]))
    array([3., 1.])
    """
    return call(TABLE["svdvals"], x)


def qr(x: Any, /, *, mode: str = "reduced") -> Any:
    """(Q, R) with `x = Q @ R`: orthonormal columns, and an upper triangle.

    `mode` is "reduced", or "complete" for a square Q (which has no gradient for more rows than columns).

    >>> np.abs(qr(np.array([[3.0], [4.0]])).R)
    array([[5.]])
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"mode is {mode!r}; it can be 'reduced' or 'complete'")
    return QRResult(*call(TABLE["qr"], x, mode=mode))


# --- norms and ranks ------------------------------------------------------------------------------------
def _sizes(x: Any) -> Any:
    x = x if isinstance(x, Array) else np.asarray(x)
    return FUNCTIONS["abs"](x if x.dtype.kind in "fc" else astype(x, np.float64))


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """The `ord`-norm over an axis, several or all: the root of the sum of the powers of absolute values.

    `inf` and `-inf` give the largest and smallest absolute value, 0 the number of elements that are not 0.

    >>> float(vector_norm(np.array([3.0, 4.0]))), float(vector_norm(np.array([3.0, -4.0]), ord=1))
    (5.0, 7.0)
    """
    over: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
    if ord == 2:
        x = x if isinstance(x, Array) else np.asarray(x)
        complex_ones = x.dtype.kind == "c"
        squares = real(call(TABLE["multiply"], x, conj(x))) if complex_ones else call(TABLE["square"], x)
        squares = squares if squares.dtype.kind == "f" else astype(squares, np.float64)
        return call(TABLE["sqrt"], FUNCTIONS["sum"](squares, **over))
    sizes = _sizes(x)
    if ord in (np.inf, -np.inf):
        return FUNCTIONS["max" if ord > 0 else "min"](sizes, **over)
    if ord == 0:
        return FUNCTIONS["sum"](astype(call(TABLE["not_equal"], sizes, 0), sizes.dtype), **over)
    if ord == 1:
        return FUNCTIONS["sum"](sizes, **over)
    return pow(FUNCTIONS["sum"](pow(sizes, float(ord)), **over), 1 / ord)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """A norm of each matrix: "fro" (Frobenius), "nuc" (sum of singular values), 2 and -2 (the largest and the
    smallest of them), 1 and -1 (of the columns' sums of absolute values), inf and -inf (of the rows').

    >>> float(matrix_norm(np.diag([3.0, 4.0]))), float(matrix_norm(np.diag([3.0, 4.0]), ord=2))
    (5.0, 4.0)
    """
    if len(shape_of(x)) < 2:
        raise ValueError(f"needs a matrix or a stack of them, not shape {shape_of(x)}")
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord not in ("nuc", 1, -1, 2, -2, np.inf, -np.inf):
        raise ValueError(f"ord is {ord!r}; it can be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf")
    if ord in ("nuc", 2, -2):
        values = svdvals(x)
    else:
        values = FUNCTIONS["sum"](_sizes(x), axis=-2 if ord in (1, -1) else -1)
    reduce = FUNCTIONS["sum" if ord == "nuc" else "max" if ord > 0 else "min"]
    result = reduce(values, axis=-1)
    return expand_dims(result, (-2, -1)) if keepdims else result


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """How many singular values are larger than `rtol` times the largest. No gradient flows through it.

    `rtol` is a number or one for each matrix; None stands for the larger side times the dtype's precision.

    >>> int(matrix_rank(np.diag([1.0, 0.0])))
    1
    """
    values = svdvals(x)
    largest = FUNCTIONS["max"](values, axis=-1, keepdims=True)
    if rtol is None:
        rtol = _precision(x)
    elif shape_of(rtol):
        rtol = expand_dims(rtol, -1)
    large = call(TABLE["greater"], values, call(TABLE["multiply"], largest, rtol))
    return FUNCTIONS["sum"](large, axis=-1)


# --- products and diagonals -----------------------------------------------------------------------------
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The cross product of vectors of three elements, which lie along `axis`.

    >>> cross(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]))
    array([0., 0., 1.])
    """
    for shape in (shape_of(x1), shape_of(x2)):
        if shape[one_axis(axis, len(shape))] != 3:
            raise ValueError(f"needs three elements along axis {axis}, which shape {shape} has not")
    left = call(TABLE["multiply"], roll(x1, -1, axis=axis), roll(x2, -2, axis=axis))
    right = call(TABLE["multiply"], roll(x1, -2, axis=axis), roll(x2, -1, axis=axis))
    return call(TABLE["subtract"], left, right)


def outer(x1: Any, x2: Any, /) -> Any:
    """All products of an element of one vector and one of the other.

    >>> outer(np.array([1, 2]), np.array([3, 4]))
    array([[3, 4],
           [6, 8]])
    """
    if len(shape_of(x1)) != 1 or len(shape_of(x2)) != 1:
        raise ValueError(f"needs two vectors, not shapes {shape_of(x1)} and {shape_of(x2)}")
    return products.outer(x1, x2)


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The elements on a diagonal of each matrix: the main one, or one above it (below it if negative).

    >>> diagonal(np.array([[1, 2], [3, 4]]), offset=1)
    array([2])
    """
    return composed.diagonal(x, operator.index(offset), -2, -1)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sum of a diagonal of each matrix.

    >>> int(trace(np.array([[1, 2], [3, 4]])))
    5
    """
    return FUNCTIONS["sum"](diagonal(x, offset=offset), axis=-1, dtype=dtype)


globals().update({name: naming_the_line(globals()[name], f"linalg.{name}") for name in __all__})
