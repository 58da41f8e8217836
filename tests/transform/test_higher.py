"""jvp, jacobian, hessian and hvp: JAX's values, closed forms, and what ties them to vjp."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagexec import grad, hessian, hvp, jacobian, jit, jvp, trace, value_and_grad, vjp, xp

X = np.linspace(-1.0, 1.0, 3)
W = np.linspace(-0.5, 1.0, 12).reshape(4, 3)


def model(lib, p, x):
    h = lib.np.tanh(p["W"] @ x + p["b"])
    return {"h": h, "loss": lib.np.sum(h**2) * lib.np.max(x)}


P = {"W": W, "b": np.linspace(0.0, 1.0, 4)}


def test_jvp_of_trees_is_that_of_jax(agree, rng):
    tangents = {"W": rng.normal(size=(4, 3)), "b": rng.normal(size=4)}
    agree(lambda lib, p, x, t: lib.jvp(lambda p, x: model(lib, p, x), (p, x), (t, x * 2)), P, X, tangents)


def test_jvp_nests_with_itself_and_the_others(agree):
    def f(lib, x):
        return lib.np.sum(lib.np.sin(x) * lib.np.exp(x[0]))

    agree(lambda lib, x: lib.jvp(lambda x: lib.jvp(lambda x: f(lib, x), (x,), (x,)), (x,), (x + 1,)), X)
    agree(lambda lib, x: lib.grad(lambda x: lib.jvp(lambda x: f(lib, x), (x,), (x,))[1])(x), X)
    agree(lambda lib, x: lib.jvp(lambda x: lib.vjp(lambda x: f(lib, x), x)[1](2.0)[0], (x,), (x,)), X)
    agree(lambda lib, x: lib.jvp(lib.jit(lambda x: f(lib, x)), (x,), (x,)), X)
    agree(lambda lib, xs: lib.vmap(lambda x: lib.jvp(lambda x: f(lib, x), (x,), (x,)))(xs), W)


@settings(max_examples=30)
@given(shape=st.lists(st.integers(0, 4), max_size=2).map(tuple), seed=st.integers(0, 1000))
def test_jvp_agrees_with_vjp(shape, seed):
    """⟨u, J v⟩ = ⟨Jᵀ u, v⟩."""
    rng = np.random.default_rng(seed)
    x, v, u = (rng.normal(size=shape) for _ in range(3))

    def f(x):
        return xp.sin(x) * xp.sum(x**2) + xp.flip(x)

    _, pushed = jvp(f, (x,), (v,))
    (pulled,) = vjp(f, x)[1](u)
    assert np.sum(u * pushed) == pytest.approx(np.sum(pulled * v), rel=1e-10, abs=1e-12)


def test_jvp_leaves_nothing_of_the_pullback_behind():
    """The pushforward of k elementwise steps costs a few nodes a step, and none of them is reversed."""
    graph = trace(lambda x, t: jvp(lambda x: np.sin(np.exp(x)), (x,), (t,))[1])(X, X)
    assert len(graph) <= 10


def test_jvp_of_an_integer_result_is_zero_and_of_an_integer_argument_an_error():
    value, tangent = jvp(lambda x: (x * 2, xp.argmax(x)), (X,), (X,))
    assert np.array_equal(tangent[0], 2 * X)
    assert (value[1], tangent[1]) == (2, 0)
    with pytest.raises(TypeError, match="dtype is int64"):
        jvp(lambda n: n * 2.0, (3,), (1,))


def test_a_tangent_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match=r"tangent float64\[2\] does not fit .* float64\[3\].*test_higher"):
        jvp(np.sin, (X,), (X[:2],))
    with pytest.raises(ValueError, match="structure"):
        jvp(np.sin, (X,), (X, X))


def test_jacobian_and_hessian_of_trees_are_those_of_jax(agree):
    agree(lambda lib, p, x: lib.jacobian(lambda p, x: model(lib, p, x), (0, 1))(p, x), P, X)
    agree(lambda lib, p, x: lib.jacobian(lambda p, x: model(lib, p, x)["h"])(p, x), P, X)
    agree(lambda lib, p, x: lib.hessian(lambda p: model(lib, p, x)["loss"])(p), P, X)
    agree(lambda lib, x: lib.hessian(lambda x: lib.np.sin(x) * x[0])(x), X)
    agree(lambda lib, x: lib.jit(lib.jacobian(lib.jit(lambda x: lib.np.outer(x, x))))(x), X)


def test_jacobian_of_no_elements_and_of_integers():
    assert jacobian(lambda x: x[:0])(X).shape == (0, 3)
    with pytest.raises(TypeError, match=r"real numbers, but the result is int64\[\]"):
        jacobian(np.argmax)(X)
    with pytest.raises(ValueError, match="argnums=1"):
        jacobian(np.sin, 1)(X)


def rosenbrock(p):
    return np.sum(100.0 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2)


@pytest.mark.parametrize("within", [lambda f: f, jit])
def test_hessian_of_rosenbrock_is_the_closed_form(within, rng):
    p = rng.normal(size=5)
    expected = np.diag(-400 * p[:-1], 1)
    expected += expected.T
    expected += np.diag([*(1200 * p[:-1] ** 2 - 400 * p[1:] + 2), 0] + np.array([0, 200, 200, 200, 200]))
    np.testing.assert_allclose(within(hessian(rosenbrock))(p), expected, rtol=1e-12)
    v = rng.normal(size=5)
    np.testing.assert_allclose(hvp(rosenbrock, (p,), (v,)), expected @ v, rtol=1e-12)


def test_hvp_of_trees_and_of_several_arguments():
    def f(p, q):
        return np.sum(p["a"] ** 2 * q) + np.sum(q**3)

    p, q = {"a": X}, X + 2
    first, second = hvp(f, (p, q), ({"a": X + 1}, X - 1))
    np.testing.assert_allclose(first["a"], 2 * q * (X + 1) + 2 * X * (X - 1))
    np.testing.assert_allclose(second, 2 * X * (X + 1) + 6 * q * (X - 1))
    assert hvp(lambda p: f(p, q), (p,), (p,)).keys() == {"a"}


def test_hvp_costs_a_few_gradients():
    """Counted in nodes: in proportion to the gradient's, and not to the number of elements."""

    def loss(w):
        h = X
        for _ in range(10):
            h = np.tanh(w @ h)
        return np.sum(h**2)

    w = np.eye(3)
    gradient = trace(value_and_grad(loss))(w)
    product = trace(lambda w, v: hvp(loss, (w,), (v,)))(w, w)
    assert len(product) <= 4 * len(gradient)


def test_keyword_arguments_are_passed_on():
    def f(x, power=2):
        return np.sum(x**power)

    assert np.array_equal(grad(f)(X, power=3), 3 * X**2)
    assert np.array_equal(jit(grad(f))(X, power=3), 3 * X**2)
    assert np.allclose(hessian(f)(X, power=3), np.diag(6 * X))
    assert jit(f)(X, power=np.float64(2)) == np.sum(X**2)
