"""Linear algebra against NumPy: values, shapes and dtypes for stacks of matrices, errors, odd gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagexec
from dagexec import xp
from dagexec.ops import TABLE, operations
from dagexec.tracing import trace
from tests.oracle import assert_same, traced

linalg = xp.linalg
KINDS = ("int64", "float32", "float64", "complex64", "complex128")


def matrices(draw: Any, *shape: int, dtypes: Any = KINDS) -> np.ndarray:
    """A stack of matrices of random numbers, with a large diagonal: they are far from singular."""
    batch = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    x = random.uniform(-1, 1, (*batch, *shape)) + 1j * random.uniform(-1, 1, (*batch, *shape))
    x = x + 5 * np.eye(*shape[-2:])
    return x.astype(dtype) if dtype.kind == "c" else x.real.astype(dtype)


def rtol_of(x: np.ndarray) -> float:
    return 1e-3 if x.dtype in (np.float32, np.complex64) else 1e-9


def assert_as_numpy(fn: Callable[..., Any], *arguments: Any, rtol: float) -> None:
    """`fn` of an array namespace gives traced and at once what it gives with NumPy."""
    expected = fn(np, *arguments)
    assert_same(traced(lambda *x: fn(xp, *x), *arguments), expected, rtol)
    assert_same(traced(lambda *x: fn(np, *x), *arguments), expected, rtol)
    assert_same(fn(xp, *arguments), expected, rtol)


SQUARE: dict[str, Callable[..., Any]] = {
    "inv": lambda xp, x: xp.linalg.inv(x),
    "det": lambda xp, x: xp.linalg.det(x),
    "slogdet": lambda xp, x: xp.linalg.slogdet(x),
    "cube": lambda xp, x: xp.linalg.matrix_power(x, 3),
    "power 0": lambda xp, x: xp.linalg.matrix_power(x, 0),
    "power -2": lambda xp, x: xp.linalg.matrix_power(x, -2),
    "hermitian values": lambda xp, x: xp.linalg.eigvalsh(x),
    "hermitian projection": lambda xp, x: (lambda w, v: (w, xp.abs(v)))(*xp.linalg.eigh(x)),
}


@pytest.mark.parametrize("name", SQUARE)
@given(data=st.data())
def test_function_of_square_matrices_is_numpys(name: str, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3))
    x = matrices(data.draw, n, n)
    assert_as_numpy(SQUARE[name], x, rtol=rtol_of(x))


@pytest.mark.parametrize("upper", [False, True])
@given(data=st.data())
def test_cholesky_is_numpys(upper: bool, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3))
    x = matrices(data.draw, n, n, dtypes=KINDS[1:])
    x = x @ np.conj(x.mT)
    assert_as_numpy(lambda xp, x: xp.linalg.cholesky(x, upper=upper), x, rtol=rtol_of(x))


OBLONG: dict[str, Callable[..., Any]] = {
    "svdvals": lambda xp, x: xp.linalg.svdvals(x),
    "svd": lambda xp, x: [xp.abs(part) for part in xp.linalg.svd(x)],
    "thin svd": lambda xp, x: [xp.abs(part) for part in xp.linalg.svd(x, full_matrices=False)],
    "qr": lambda xp, x: xp.linalg.qr(x),
    "complete qr": lambda xp, x: xp.linalg.qr(x, mode="complete"),
    "pinv": lambda xp, x: xp.linalg.pinv(x, rtol=1e-3),
    "rank": lambda xp, x: xp.linalg.matrix_rank(x),
    "rank by rtol": lambda xp, x: xp.linalg.matrix_rank(x, rtol=0.9),
    "trace": lambda xp, x: xp.linalg.trace(x, offset=-1),
    "diagonal": lambda xp, x: xp.linalg.diagonal(x, offset=1),
    **{
        f"norm {ord}": lambda xp, x, ord=ord: xp.linalg.matrix_norm(x, ord=ord, keepdims=ord == 2)
        for ord in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    },
    **{
        f"vector norm {ord}": lambda xp, x, ord=ord: xp.linalg.vector_norm(x, axis=-1, ord=ord)
        for ord in (0, 1, 2, 3, 0.5, -1, np.inf, -np.inf)
    },
}


@pytest.mark.parametrize("name", OBLONG)
@given(data=st.data())
def test_function_of_matrices_is_numpys(name: str, data: st.DataObject) -> None:
    x = matrices(data.draw, data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4)), dtypes=KINDS[1:])
    with np.errstate(divide="ignore"):
        assert_as_numpy(OBLONG[name], x, rtol=rtol_of(x))


@given(data=st.data())
def test_eigenvalues_of_any_matrix_are_numpys_and_always_complex(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3))
    x = matrices(data.draw, n, n)
    found = traced(linalg.eig, x)
    values, vectors = np.linalg.eig(x)
    dtype = np.result_type(values.dtype, np.complex64)
    assert_same(list(found), [values.astype(dtype), vectors.astype(dtype)], rtol_of(x))
    assert_same(traced(np.linalg.eigvals, x), values.astype(dtype), rtol_of(x))


@given(data=st.data())
def test_solve_is_numpys(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3))
    a = matrices(data.draw, n, n)
    b = matrices(data.draw, n, data.draw(st.integers(1, 3)))
    if data.draw(st.booleans()):
        b = b.reshape(-1)[:n] if b.size else np.ones(n)
    try:
        np.linalg.solve(a, b)
    except ValueError:
        with pytest.raises(ValueError, match=r"solve of .*test_linalg\.py"):
            trace(linalg.solve)(a, b)
        return
    assert_as_numpy(lambda xp, a, b: xp.linalg.solve(a, b), a, b, rtol=max(rtol_of(a), rtol_of(b)))


@given(data=st.data())
def test_vecdot_cross_and_outer_are_numpys(data: st.DataObject) -> None:
    a, b = matrices(data.draw, 1, 3), matrices(data.draw, 2, 3)
    rtol = max(rtol_of(a), rtol_of(b))
    try:
        np.linalg.vecdot(a, b)
    except ValueError:
        return
    assert_as_numpy(lambda xp, a, b: xp.linalg.vecdot(a, b), a, b, rtol=rtol)
    assert_as_numpy(lambda xp, a, b: xp.linalg.cross(a, b), a, b, rtol=rtol)
    flat = a.reshape(-1), b.reshape(-1)
    assert_as_numpy(lambda xp, a, b: xp.linalg.outer(a, b), *flat, rtol=rtol)


def test_booleans_are_numbers() -> None:
    assert_as_numpy(lambda xp, x: xp.linalg.inv(x), np.eye(2, dtype=bool), rtol=0)


NUMPY_ARGUMENTS: list[Callable[..., Any]] = [
    lambda x: np.linalg.svd(x, False).S,
    lambda x: np.linalg.svd(x, compute_uv=False),
    lambda x: np.linalg.eigh(x, "U").eigenvalues,
    lambda x: np.linalg.eigvalsh(x, UPLO="L"),
    lambda x: np.linalg.qr(x, "r"),
    lambda x: np.linalg.qr(x).Q,
    lambda x: np.linalg.slogdet(x).logabsdet,
    lambda x: np.linalg.pinv(x),
    lambda x: np.linalg.pinv(x, 0.1),
    lambda x: np.linalg.pinv(x, rtol=None),
    lambda x: np.linalg.matrix_rank(x, tol=2.0),
    lambda x: np.linalg.matrix_rank(x[0]),
    lambda x: np.linalg.diagonal(np.stack([x, x])),
    lambda x: np.linalg.trace(np.stack([x, x])),
]


@pytest.mark.parametrize("number", range(len(NUMPY_ARGUMENTS)))
def test_numpys_own_arguments_are_understood(number: int) -> None:
    x = np.array([[3.0, 1.0, 0.5], [0.2, 2.0, -1.0], [0.1, 0.7, 1.5]])
    assert_same(traced(NUMPY_ARGUMENTS[number], x), NUMPY_ARGUMENTS[number](x), 1e-9)


@pytest.mark.parametrize(
    "fn",
    [
        linalg.inv, linalg.det, linalg.slogdet, linalg.cholesky, linalg.eigh, linalg.eigvalsh, linalg.eig,
        lambda x: linalg.solve(x, np.ones(2)), lambda x: linalg.matrix_power(x, 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 3), (3,), (), (2, 2, 1)])
def test_matrix_that_is_not_square_is_refused_while_tracing(fn: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"needs a square matrix .*test_linalg\.py:\d+"):
        trace(lambda x: fn(x))(np.ones(shape))


def test_shapes_and_modes_that_do_not_fit_are_refused_by_name() -> None:
    refused: list[tuple[Callable[..., Any], str]] = [
        (lambda x: linalg.svd(x[0]), r"svd of float64\[2\]: needs a matrix"),
        (lambda x: linalg.qr(x, mode="raw"), "mode is 'raw'"),
        (lambda x: linalg.solve(x, np.ones(3)), r"needs a right-hand side of 2 rows, not \(3,\)"),
        (lambda x: linalg.pinv(x, rtol=np.ones(2)), "rtol of shape"),
        (lambda x: linalg.matrix_norm(x, ord=7), "ord is 7"),
        (lambda x: linalg.matrix_norm(x[0]), "needs a matrix"),
        (lambda x: linalg.cross(x, x), "three elements"),
        (lambda x: linalg.outer(x, x), "two vectors"),
        (lambda x: linalg.vecdot(x, x[0, :1]), "differ in length"),
        (lambda x: np.linalg.eigh(x, "A"), "UPLO is 'A'"),
    ]
    for fn, message in refused:
        with pytest.raises(ValueError, match=rf"{message}.*test_linalg\.py:\d+"):
            trace(fn)(np.ones((2, 2)))
    with pytest.raises(
        TypeError, match=r"inv of float16\[2,2\]: not defined for float16.*test_linalg\.py:\d+"
    ):
        trace(linalg.inv)(np.ones((2, 2), np.float16))


@pytest.mark.parametrize("executor", ["serial", "threads"])
@pytest.mark.parametrize(
    ("fn", "what"), [(linalg.inv, "Singular matrix"), (linalg.cholesky, "not positive definite")]
)
def test_values_that_do_not_fit_are_linalg_errors_of_the_run(fn: Any, what: str, executor: str) -> None:
    graph = trace(lambda x: fn(x * 1.0) + 1.0)(np.eye(2))
    with pytest.raises(np.linalg.LinAlgError, match=what) as caught:
        dagexec.run(graph, -np.ones((2, 2)), executor=executor)
    notes = "\n".join(caught.value.__notes__)
    assert fn.__name__ in notes
    assert "float64[2,2]" in notes
    assert "test_linalg.py" in notes


# --- gradients where the general formula has a hole -----------------------------------------------------
def test_determinant_of_a_singular_matrix_has_its_gradient() -> None:
    singular = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    expected = np.empty((3, 3))
    for i, j in np.ndindex(3, 3):
        minor = np.delete(np.delete(singular, i, 0), j, 1)
        expected[i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    np.testing.assert_allclose(dagexec.grad(linalg.det)(singular), expected, atol=1e-12)
    np.testing.assert_allclose(dagexec.grad(linalg.det)(np.zeros((3, 3))), 0, atol=1e-12)


@pytest.mark.parametrize("x", [np.eye(3), np.diag([2.0, 2.0, 5.0])])
def test_equal_eigenvalues_have_the_gradient_of_what_does_not_tell_them_apart(x: np.ndarray) -> None:
    def power(x: Any) -> Any:
        values, vectors = xp.linalg.eigh(x)
        return xp.sum((vectors * values**3) @ xp.matrix_transpose(vectors) * np.arange(9.0).reshape(3, 3))

    def direct(x: Any) -> Any:
        return xp.sum(x @ x @ x * np.arange(9.0).reshape(3, 3))

    expected = dagexec.grad(direct)(x)
    found = dagexec.grad(power)(x)
    blocks = (np.diag(x)[:, None] == np.diag(x)) & ~np.eye(3, dtype=bool)
    # Between equal eigenvalues the vectors exchange no share: all else is that of the cube itself.
    np.testing.assert_allclose(found[~blocks], (expected + expected.T)[~blocks] / 2, atol=1e-12)


def test_all_singular_vectors_of_a_matrix_that_is_not_square_have_no_gradient() -> None:
    for fn, cure in (
        (lambda x: linalg.svd(x).U[0, 0], "full_matrices=False"),
        (lambda x: linalg.svd(x.T).Vh[0, 0], "full_matrices=False"),
        (lambda x: linalg.qr(x, mode="complete").Q[0, 0], "mode='reduced'"),
    ):
        with pytest.raises(TypeError, match=rf"no gradient through .*{cure}.*"):
            dagexec.grad(fn)(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]))


def test_gradient_of_values_alone_takes_no_zeros_for_the_vectors() -> None:
    graph = trace(lambda x: xp.sum(linalg.eigh(x)[0]))(np.eye(40)).backward()
    assert max(node.spec.size for node in graph.nodes if node.op.name == "constant") == 1


def test_costs_grow_with_the_third_power() -> None:
    for name in (
        "inv",
        "solve",
        "det",
        "slogdet",
        "cholesky",
        "eigh",
        "eigvalsh",
        "eig",
        "svd",
        "qr",
        "pinv",
    ):
        costs = []
        for n in (10, 20):
            x = np.eye(n)
            fn = getattr(linalg, name)
            graph = trace(lambda x, fn=fn, name=name: fn(x, x) if name == "solve" else fn(x))(x)
            costs.append(sum(operations(node) for node in graph.nodes if node.op is TABLE[name]))
        assert costs[1] == pytest.approx(8 * costs[0]), name
