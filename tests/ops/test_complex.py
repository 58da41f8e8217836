"""Gradients of complex functions: JAX's, and by their definition, for random functions and shapes."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import xp
from dagexec.ops import TABLE
from dagexec.tracing import trace

jax.config.update("jax_enable_x64", True)
jnp = jax.numpy
Function = Callable[..., Any]

# Functions of one complex array and the namespace. JAX has no derivative of `sign`, and that of `acosh` on
# the wrong branch left of 0: these two are compared with central differences alone.
ONE: dict[str, Function] = {
    **{
        name: lambda xp, z, name=name: getattr(xp, name)(z)
        for name in (
            "exp", "log", "log1p", "expm1", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan",
            "sinh", "cosh", "tanh", "asinh", "atanh", "sqrt", "square", "reciprocal", "abs", "conj", "real",
            "imag", "sum", "mean", "prod", "var", "std",
        )
    },
    "squared size": lambda xp, z: xp.real(z * xp.conj(z)),
    "powers": lambda xp, z: z**3 + z**0.5 + z**-1 + 2**z,
    "power of itself": lambda xp, z: z**z,
    "of the real part": lambda xp, z: xp.real(z) * z + xp.exp(1j * xp.imag(z)),
    "choice": lambda xp, z: xp.where(xp.real(z) > 0, z * z, xp.abs(z)),
    "cast": lambda xp, z: xp.astype(xp.real(z), xp.complex128) * z,
    "norm": lambda xp, z: xp.linalg.vector_norm(z),
    "norm of order 3": lambda xp, z: xp.linalg.vector_norm(z, ord=3, axis=-1),
    "fft": lambda xp, z: xp.fft.fft(z, n=3),
    "ifftn": lambda xp, z: xp.fft.ifftn(z),
    "irfft": lambda xp, z: xp.fft.irfft(z, n=5, norm="ortho"),
    "hfft": lambda xp, z: xp.fft.hfft(z, n=4),
    "rfft of the size": lambda xp, z: xp.fft.rfft(xp.abs(z)),
}  # fmt: skip
TWO: dict[str, Function] = {
    **{
        name: lambda xp, a, b, name=name: getattr(xp, name)(a, b)
        for name in ("add", "subtract", "multiply", "divide", "pow")
    },
    "real times complex": lambda xp, a, b: xp.abs(a) * b,
    "choice": lambda xp, a, b: xp.where(xp.abs(a) > 1, a, xp.real(b)),
}
MATRIX: dict[str, Function] = {
    "matmul": lambda xp, z: z @ z @ z[0],
    "vecdot": lambda xp, z: xp.vecdot(z, z * z),
    "inv": lambda xp, z: xp.linalg.inv(z),
    "solve": lambda xp, z: xp.linalg.solve(z, xp.exp(z)),
    "det": lambda xp, z: xp.linalg.det(z),
    "logabsdet": lambda xp, z: xp.linalg.slogdet(z)[1],
    "sign of det": lambda xp, z: xp.linalg.slogdet(z)[0],
    "cholesky": lambda xp, z: xp.linalg.cholesky(z @ xp.conj(z.mT)),
    "eigh": lambda xp, z: xp.abs(xp.linalg.eigh(z @ xp.conj(z.mT))[1]),
    "eigvalsh": lambda xp, z: xp.linalg.eigvalsh(z @ xp.conj(z.mT)),
    "eigvals": lambda xp, z: xp.sum(xp.linalg.eigvals(z) ** 3),
    "svd": lambda xp, z: xp.abs(xp.linalg.svd(z, full_matrices=False)[0]),
    "svdvals": lambda xp, z: xp.linalg.svd(z, full_matrices=False)[1],
    "qr": lambda xp, z: xp.linalg.qr(z)[0] @ xp.linalg.qr(z)[1] ** 2,
    "pinv": lambda xp, z: xp.linalg.pinv(z),
    "matrix power": lambda xp, z: xp.linalg.matrix_power(z, -3),
    "nuclear norm": lambda xp, z: xp.linalg.matrix_norm(z, ord="nuc"),
    "spectral norm": lambda xp, z: xp.linalg.matrix_norm(z, ord=2),
}


def loss(fn: Function, xp: Any, *arguments: Any) -> Any:
    """A real number in which real and imaginary part of each element count with another weight."""
    y = fn(xp, *arguments)
    weights = np.linspace(0.5, 1.5, max(1, int(np.prod(y.shape)))).reshape(y.shape or ())
    return xp.sum(xp.real(y) * weights) + xp.sum(xp.imag(y) * weights**2)


def sample(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Complex numbers away from 0 and from the branch cuts, on which libraries may differ."""
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    return random.uniform(0.3, 1.2, shape) * np.exp(
        1j * random.uniform(0.2, 1.3, shape) * random.choice([-1, 1], shape)
    )


@cache
def gradients(fn: Function, count: int) -> tuple[Function, Function]:
    """Ours and JAX's, compiled once for each shape."""
    numbers = tuple(range(count))
    return (
        dagexec.jit(dagexec.grad(lambda *x: loss(fn, xp, *x), numbers), executor="serial"),
        jax.jit(jax.grad(lambda *x: loss(fn, jnp, *x), numbers)),
    )


@cache
def of_real_numbers(fn: Function) -> Function:
    """The function of complex numbers that are made of real ones."""
    return lambda xp, x: fn(xp, x + 0.4j * x * x)


def assert_gradients_are_those_of_jax(fn: Function, *arguments: np.ndarray) -> None:
    ours, theirs = gradients(fn, len(arguments))
    found, expected = ours(*arguments), theirs(*arguments)
    for one, other, argument in zip(found, expected, arguments):
        assert one.dtype == argument.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


few = settings(max_examples=5)
SHAPES = [((2, 3), (3,)), ((2, 1), (1, 3))]  # JAX compiles for each


@pytest.mark.parametrize("name", ONE)
@few
@given(data=st.data())
def test_gradient_of_a_complex_function_is_that_of_jax(name: str, data: st.DataObject) -> None:
    z = sample(data.draw, (2, 3))
    assert_gradients_are_those_of_jax(ONE[name], z)
    assert_gradients_are_those_of_jax(of_real_numbers(ONE[name]), np.abs(z))


@pytest.mark.parametrize("name", TWO)
@few
@given(data=st.data())
def test_gradient_of_two_complex_arguments_is_that_of_jax(name: str, data: st.DataObject) -> None:
    first, second = data.draw(st.sampled_from(SHAPES))
    a, b = sample(data.draw, first), sample(data.draw, second)
    assert_gradients_are_those_of_jax(TWO[name], a, b)
    assert_gradients_are_those_of_jax(TWO[name], np.abs(a), b)


@pytest.mark.parametrize("name", MATRIX)
@few
@given(data=st.data())
def test_gradient_of_a_function_of_complex_matrices_is_that_of_jax(name: str, data: st.DataObject) -> None:
    z = sample(data.draw, (2, 3, 3)) * 0.4 + np.diag([1, 2, 3])
    assert_gradients_are_those_of_jax(MATRIX[name], z)
    assert_gradients_are_those_of_jax(of_real_numbers(MATRIX[name]), z.real)


@pytest.mark.parametrize("name", ["abs", "sign", "acosh", "squared size", "power of itself", "norm"])
@given(data=st.data())
def test_gradient_has_the_slopes_of_both_parts(name: str, data: st.DataObject) -> None:
    """By definition it is the slope along the real axis minus i times that along the imaginary one."""
    fn = ONE.get(name, lambda xp, z: getattr(xp, name)(z))
    z, step = sample(data.draw, (3,)) * data.draw(st.sampled_from([1, -1])), 1e-6
    expected = np.empty(3, complex)
    for k in range(3):
        slopes = []
        for way in (step, 1j * step):
            moved = [loss(fn, xp, np.concatenate([z[:k], z[k : k + 1] + d, z[k + 1 :]])) for d in (way, -way)]
            slopes.append((moved[0] - moved[1]) / (2 * step))
        expected[k] = slopes[0] - 1j * slopes[1]
    np.testing.assert_allclose(dagexec.grad(lambda z: loss(fn, xp, z))(z), expected, rtol=1e-5, atol=1e-6)


def test_gradient_at_zero_is_finite_where_the_size_has_a_kink() -> None:
    for fn in (xp.abs, xp.sign):
        assert dagexec.grad(lambda z, fn=fn: xp.sum(xp.real(fn(z))))(np.zeros(2, complex)).tolist() in (
            [0, 0],
            [1, 1],
        )


def test_complex64_stays_complex64() -> None:
    z = np.array([1 + 2j, 3 - 1j], np.complex64)
    for fn in (xp.abs, xp.var, xp.sqrt, xp.fft.fft, xp.linalg.vector_norm):
        graph = trace(lambda z, fn=fn: xp.sum(xp.real(fn(z))))(z).backward()
        assert {node.spec.dtype.itemsize for node in graph.nodes if node.spec.dtype.kind in "fc"} <= {4, 8}
        assert graph.outputs[1].spec.dtype == np.complex64
        assert all(node.spec.dtype not in (np.float64, np.complex128) for node in graph.nodes)


@pytest.mark.parametrize("name", ["abs", "var", "sqrt", "pow", "divide", "sum", "matmul", "logsumexp"])
def test_real_graphs_have_no_node_for_complex_numbers(name: str) -> None:
    x = np.array([[1.0, 2.0], [3.0, 5.0]])
    operands = 2 if name in ("pow", "divide", "matmul") else 1
    graph = trace(lambda *x: xp.sum(getattr(xp, name)(*x)))(*[x] * operands).backward(tuple(range(operands)))
    names = {node.op.name for node in graph.nodes}
    assert not names & {"conj", "real", "imag", "astype"}
    assert name in TABLE


def test_transpose_of_a_cast_to_real_is_the_real_part() -> None:
    z = np.array([1 + 2j, 3 - 1j])
    found = dagexec.grad(lambda z: xp.sum(xp.astype(xp.real(z), np.float32) ** 2))(z)
    np.testing.assert_allclose(found, [2, 6])


def test_second_derivatives_pass_through_complex_numbers() -> None:
    def energy(x: Any) -> Any:
        return xp.sum(xp.abs(xp.fft.fft(x * x)) ** 2)

    x = np.array([0.3, -0.5, 0.8])
    direction = np.array([1.0, 2.0, -1.0])
    ours = dagexec.grad(lambda x: xp.sum(dagexec.grad(energy)(x) * direction))(x)
    theirs = jax.grad(
        lambda x: jnp.sum(jax.grad(lambda x: jnp.sum(jnp.abs(jnp.fft.fft(x * x)) ** 2))(x) * direction)
    )(x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
