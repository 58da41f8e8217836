"""NumPy code on traced arrays: functions, operators, methods and attributes give what NumPy gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dagexec import xp
from dagexec.tracing import trace
from tests.oracle import assert_same, check_gradient, leaves_of, traced

RANDOM = np.random.default_rng(3)
X = RANDOM.uniform(0.5, 2.0, (2, 3))
Y = RANDOM.uniform(0.5, 2.0, (2, 3))
W = RANDOM.normal(size=(3, 4))
V = RANDOM.normal(size=3)
S = RANDOM.normal(size=(3, 3))

CODE: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    # operators
    "arithmetic": (lambda x, y: (x + y - 2) * 3 / y // 0.3 % 5, (X, Y)),
    "powers": (lambda x, y: (x**2, x**3, x**-1, x**0.5, x**y, 2**x, x**1, x**0, x**2.0), (X, Y)),
    "signs": (lambda x: (-x, +x, abs(x - 1)), (X,)),
    "comparisons": (lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y, x > 1, x == 1), (X, Y)),
    "logic": (lambda x, y: ((x > 1) & (y > 1), (x > 1) | (y > 1), (x > 1) ^ (y > 1), ~(x > 1)), (X, Y)),
    "ndarray first": (lambda x: (X + x, X - x, X * x, X / x, X**x, np.greater(X, x), X[0] @ x.T, X @ x.T),
    (Y,)),
    "ndarray second": (lambda x: (x + X, x - X, x * X, x / X, x**X, x > X, x.T @ X), (Y,)),
    "numpy scalar": (lambda x: (np.float64(2) * x, x / np.float64(3), np.int64(1) + x), (X,)),
    "list": (lambda x: (x + [1, 2, 3], [1, 2, 3] * x), (X,)),
    "in place": (lambda x, y: _in_place(x, y), (X, Y)),
    "matmul": (lambda x, w: (x @ w, np.matmul(x, w), np.tanh(x) @ w, x[0] @ w), (X, W)),
    "divmod parts": (lambda x: (np.floor_divide(x, 0.4), np.remainder(x, 0.4), np.mod(x, 0.4)), (X,)),
    # elementwise functions
    "ufuncs": (
        lambda x: (
            np.exp(x), np.log(x), np.sin(x), np.cos(x), np.tan(x), np.tanh(x), np.sqrt(x), np.square(x),
            np.abs(x),
            np.absolute(x), np.sign(x), np.floor(x), np.ceil(x), np.trunc(x), np.rint(x), np.negative(x),
            np.positive(x), np.reciprocal(x), np.expm1(x), np.log1p(x), np.log2(x), np.log10(x), np.exp2(x),
            np.arctan(x), np.arcsinh(x), np.sinh(x), np.cosh(x), np.arcsin(x / 4), np.arccos(x / 4),
            np.arctanh(x / 4), np.arccosh(x + 1), np.isnan(x), np.isinf(x), np.isfinite(x), np.logical_not(x),
        ),
        (X,),
    ),
    "binary ufuncs": (
        lambda x, y: (
            np.add(x, y), np.subtract(x, y), np.multiply(x, y), np.divide(x, y), np.true_divide(x, y),
            np.power(x, y), np.maximum(x, y), np.minimum(x, 1), np.hypot(x, y), np.arctan2(x, y),
            np.logaddexp(x, y), np.equal(x, y), np.not_equal(x, 1), np.less(x, y), np.greater_equal(x, y),
            np.logical_and(x, y), np.logical_or(x, 0), np.logical_xor(x, y), np.add(X, x), np.maximum(0, x),
        ),
        (X, Y),
    ),
    "where": (lambda x, y: (np.where(x > y, x, y), np.where(x > 1, x, 0), np.where(x > 1, 0.0, 1)), (X, Y)),
    "clip": (
        lambda x: (
            np.clip(x, 0.7, 1.5), np.clip(x, None, 1), x.clip(1), x.clip(0.7, 1.5), x.clip(max=1.0),
            np.clip(x, a_min=0.7, a_max=1.5), np.clip(x, min=0.8),
        ),
        (X,),
    ),
    "astype": (lambda x: (x.astype(np.float32), x.astype("int64"), x.astype(bool)), (X,)),
    # reductions
    "sums": (
        lambda x: (
            np.sum(x), np.sum(x, axis=0), np.sum(x, 1, keepdims=True), x.sum(), x.sum(axis=-1), x.sum(0),
            x.sum(axis=(0, 1), keepdims=True), np.sum(x, dtype=np.float32),
        ),
        (X,),
    ),
    "statistics": (
        lambda x: (
            np.mean(x), np.mean(x, axis=0), x.mean(-1), np.var(x, axis=0), x.var(ddof=1), np.std(x),
            x.std(axis=1, keepdims=True), np.average(x), np.average(x, axis=1),
        ),
        (X,),
    ),
    "weighted": (
        lambda x, v: (np.average(x, axis=1, weights=v), np.average(x, weights=X), np.average(x, 0, X[:, 0])),
        (X, V + 3),
    ),
    "extrema": (
        lambda x: (
            np.max(x), np.min(x, axis=0), x.max(axis=1, keepdims=True), x.min(), np.amax(x, axis=0),
            np.amin(x),
            np.argmax(x), np.argmin(x, axis=1), x.argmax(axis=0),
        ),
        (X,),
    ),
    "products and tests": (
        lambda x: (np.prod(x), x.prod(axis=0), np.all(x > 1), np.any(x > 1, axis=0), (x > 1).all(),
        (x > 1).any(0)),
        (X,),
    ),
    "norms": (
        lambda x, v: (np.linalg.norm(x), np.linalg.norm(v), np.linalg.norm(x, axis=1), np.linalg.norm(v, 2)),
        (X, V),
    ),
    "differences": (lambda x: (np.diff(x), np.diff(x, axis=0), np.diff(x, 2, axis=1), np.diff(x > 1)), (X,)),
    # products
    "products": (
        lambda x, w, v: (
            np.dot(x, w), np.dot(x, v), np.dot(v, v), x.dot(w), np.outer(v, v), np.inner(x, x), np.inner(v,
            v),
            np.tensordot(x, w, axes=1), np.tensordot(x, x, axes=([0, 1], [0, 1])), np.vecdot(x, x),
            np.einsum("ij,jk->ik", x, w), np.einsum("ij->j", x), np.einsum("ij,ij->", x, x, optimize=True),
            np.linalg.matmul(x, w), np.linalg.outer(v, v),
        ),
        (X, W, V),
    ),
    # shapes
    "shapes": (
        lambda x: (
            x.T, np.transpose(x), x.transpose(), x.transpose(1, 0), x.transpose((1, 0)), np.transpose(x,
            (1, 0)),
            x.mT, np.swapaxes(x, 0, 1), x.swapaxes(0, 1), np.moveaxis(x, 0, 1), np.matrix_transpose(x),
            x.reshape(3, 2), x.reshape((3, 2)), x.reshape(-1), np.reshape(x, (6,)), x.ravel(), x.flatten(),
            np.ravel(x), np.expand_dims(x, 0), np.expand_dims(x, axis=(0, 3)), np.squeeze(x[:, :1]),
            x[:1].squeeze(0), np.broadcast_to(x, (4, 2, 3)), np.flip(x), np.flip(x, 0), np.roll(x, 1),
            x.copy(),
            np.copy(x), np.atleast_1d(x[0, 0]), np.atleast_2d(x[0]), np.atleast_2d(x),
        ),
        (X,),
    ),
    "joined": (
        lambda x, y: (
            np.concatenate([x, y]), np.concatenate((x, X), axis=1), np.concat([x, y], axis=None),
            np.stack([x, y]),
            np.stack((x, y, X), axis=-1), np.vstack([x, y]), np.vstack([x[0], y]), np.hstack([x, y]),
            np.hstack([x[0], y[0]]), np.column_stack([x[0], y[1]]), np.column_stack([x, y[:, 0]]),
        ),
        (X, Y),
    ),
    "split": (lambda x: (list(np.split(x, 3, axis=1)), list(np.array_split(x, 2, axis=1)),
    list(np.unstack(x))), (X,)),
    "repeated": (
        lambda x: (
            np.tile(x, 2), np.tile(x, (2, 1)), np.tile(x, (2, 1, 3)), np.repeat(x, 2), np.repeat(x, 3,
            axis=0),
            np.repeat(x, [1, 0, 2], axis=1), x.repeat(2, axis=1), np.tile(x[0], 0),
        ),
        (X,),
    ),
    "padded": (
        lambda x: (np.pad(x, 1), np.pad(x, (1, 2)), np.pad(x, ((0, 1), (2, 0))), np.pad(x, [(1, 1), (0,
        0)])), (X,)
    ),
    "triangles": (
        lambda x, s: (
            np.tril(x), np.triu(x), np.tril(x, -1), np.triu(s, 1), np.trace(s), np.diagonal(s), np.trace(x,
            1),
            np.diagonal(x, -1), np.diagonal(x, 2), np.diagonal(s, 5), s.trace(), s.diagonal(1),
            np.tril(s > 0),
            np.linalg.trace(s), np.linalg.diagonal(s),
        ),
        (X, S),
    ),
    "like": (
        lambda x: (
            x + np.zeros_like(x), x * np.ones_like(x), x + np.full_like(x, 3), np.zeros_like(x,
            dtype=np.float32) + x
        ),
        (X,),
    ),
    # indexing
    "indexed": (
        lambda x: (
            x[0], x[-1, 1], x[1:, None], x[..., 0], x[:, ::-1], x[np.array([1, 0, 1])], x[[0, 1], [1, 2]],
            x[X > 1],
            np.take(x, [0, 2], axis=1), x.take(np.array([0, 5])), np.take_along_axis(x, np.argsort(X, 1), 1),
        ),
        (X,),
    ),
    "indexed by traced": (lambda x, k: (x[:, k], x[0][k + 1], np.take(x, k, axis=1)), (X, np.array([1, 0]))),
    "iteration": (lambda x: (sum(row for row in x), [a * b for a, b in zip(x, x)], [*x]), (X,)),
    "unpacking": (lambda x: _unpack(x), (X,)),
}  # fmt: skip


def _in_place(x: Any, y: Any) -> Any:
    x = np.copy(x)
    z = x
    z += y
    z *= 2
    z -= 1
    z /= y
    z **= 2
    return x, z


def _unpack(x: Any) -> Any:
    first, second = x
    (a, b, c) = first
    return second, a, b, c


@pytest.mark.parametrize("name", CODE)
def test_numpy_code_gives_what_numpy_gives(name: str) -> None:
    fn, arguments = CODE[name]
    assert_same(leaves_of(traced(fn, *arguments)), leaves_of(fn(*arguments)))


@pytest.mark.parametrize("function", [np.sum, np.prod, np.max, np.min])
def test_reductions_take_their_arguments_by_place(function: Any) -> None:
    dtype = (None,) if function in (np.sum, np.prod) else ()

    def fn(x: Any) -> Any:
        return function(x, 0, *dtype, None, True), function(x, 1, *dtype, None, False, 1.5)

    assert_same(list(traced(fn, X)), list(fn(X)))


COMPOSED = (
    "weighted", "norms", "differences", "products", "shapes", "joined", "repeated", "padded", "triangles",
    "clip",
)  # fmt: skip


@pytest.mark.parametrize("name", COMPOSED)
def test_gradient_of_numpy_code_is_that_of_central_differences(name: str) -> None:
    fn, arguments = CODE[name]
    check_gradient(trace(fn)(*arguments), *arguments, tolerance=1e-6)


def test_shape_and_dtype_are_known_while_tracing() -> None:
    seen = []

    def fn(x: Any) -> Any:
        seen.append((x.shape, x.ndim, x.size, x.dtype, len(x), x.device))
        seen.append(
            (np.shape(x), np.ndim(x), np.size(x), np.result_type(x, np.int8), np.size(x, 1), np.size(x, -2))
        )
        assert isinstance(np.zeros_like(x), xp.Array)  # so it can be assigned to
        assert isinstance(x, xp.Array)
        assert x.__array_namespace__() is xp
        return x

    trace(fn)(np.ones((2, 3), np.float32))
    float32 = np.dtype(np.float32)
    assert seen == [((2, 3), 2, 6, float32, 2, "cpu"), ((2, 3), 2, 6, float32, 3, 2)]


def test_namespace_computes_at_once_without_traced_arrays() -> None:
    assert_same(xp.sum(np.ones((2, 3)), axis=0), np.full(3, 2.0))
    assert_same(xp.concat([np.ones(1), np.zeros(1)]), np.array([1.0, 0.0]))
    assert_same(np.asarray(xp.asarray([1, 2])), np.array([1, 2]))
    assert_same(traced(lambda x: xp.asarray(x, dtype=np.float32), X), X.astype(np.float32))
    for name in ("tril", "triu", "diagonal", "trace", "diff", "tile", "repeat", "pad"):
        argument = () if name in ("tril", "triu", "diagonal", "trace", "diff") else (2,)
        assert_same(np.asarray(getattr(xp, name)(S, *argument)), np.asarray(getattr(np, name)(S, *argument)))


@pytest.mark.parametrize(
    "name", [name for name in vars(xp) if callable(getattr(xp, name)) and not name.startswith("_")]
)
def test_every_function_of_the_namespace_is_documented(name: str) -> None:
    assert getattr(xp, name).__doc__
