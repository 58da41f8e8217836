"""grad, value_and_grad, vjp and jit: values against closed forms, and how they nest."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import dagexec
from dagexec import grad, jit, value_and_grad, vjp, xp


def test_grad_five_times_of_tanh_is_the_closed_form():
    f = np.tanh
    for _ in range(5):
        f = grad(f)
    t = np.tanh(0.3)
    # d⁵ tanh = 16 s − 120 s² + 120 s³ with s = 1 − t²
    s = 1 - t**2
    assert f(0.3) == pytest.approx(16 * s - 120 * s**2 + 120 * s**3, rel=1e-12)


def test_inner_gradient_does_not_see_the_outer_variable():
    """The classic of perturbation confusion: d/dx (x · d/dy (x + y) at y = 1) = 1."""
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(3.0) == 1.0
    assert grad(lambda x: x * grad(lambda y: x * y)(x))(3.0) == 6.0


def test_jit_and_grad_nest_in_any_order():
    def f(x):
        return np.sum(np.sin(x) * x)

    x = np.linspace(0, 1, 5)
    expected = np.cos(x) * x + np.sin(x)
    for g in (grad(f), jit(grad(f)), grad(jit(f)), jit(grad(jit(f)))):
        assert np.allclose(g(x), expected, rtol=1e-14)
    second = grad(lambda x: np.sum(grad(f)(x)))
    assert np.allclose(second(x), 2 * np.cos(x) - np.sin(x) * x, rtol=1e-14)


def test_jit_traces_once_for_each_set_of_shapes_and_dtypes():
    calls = []

    @jit
    def f(p):
        calls.append(p["x"].shape)
        return p["x"] + 1

    for shape in ((2,), (3,), (2,), (3,)):
        assert f({"x": np.zeros(shape)}).shape == shape
    f({"x": np.zeros(2, np.float32)})
    assert calls == [(2,), (3,), (2,)]


def test_jit_tells_keywords_shapes_and_kinds_of_dict_apart_in_every_call():
    def f(a, b):
        x = b["b"] if isinstance(b, dict) else b + 1
        return x * a, b

    x, fast = np.arange(3.0), jit(f)
    ways = [
        ((x, x), {}),
        ((x,), {"b": x}),
        ((x, {"b": x}), {}),
        ((x, OrderedDict(b=x)), {}),
        ((x[:2], x[:2]), {}),
        ((x, 1.0), {}),
    ]
    for _ in range(4):  # there is a program from the third on
        for args, kwargs in ways:
            (found, given), (wanted, argument) = fast(*args, **kwargs), f(*args, **kwargs)
            assert np.array_equal(found, wanted)
            assert isinstance(argument, float) or type(given) is type(argument)


def test_jit_runs_on_the_executor_asked_for():
    f = jit(lambda x: np.sum(np.tanh(x @ x)), executor="threads", workers=2)
    x = np.eye(4)
    assert f(x) == np.sum(np.tanh(x @ x))


def test_argnums_chooses_arguments():
    def f(x, y):
        return x**2 * y

    assert grad(f, argnums=1)(3.0, 4.0) == 9.0
    assert grad(f, argnums=(1, 0))(3.0, 4.0) == (9.0, 24.0)
    with pytest.raises(ValueError, match="argnums=2: there are 2 arguments"):
        grad(f, argnums=2)(3.0, 4.0)


def test_aux_is_returned_beside_value_or_gradient():
    def f(x):
        return x**2, {"half": x / 2}

    (value, aux), gradient = value_and_grad(f, has_aux=True)(4.0)
    assert (value, aux["half"], gradient) == (16.0, 2.0, 8.0)
    gradient, aux = grad(f, has_aux=True)(4.0)
    assert (aux["half"], gradient) == (2.0, 8.0)


def test_gradient_of_a_vector_or_for_integers_says_what_is_wrong():
    with pytest.raises(TypeError, match=r"real scalar, but the result is float64\[3\]"):
        grad(lambda x: x * 2)(np.ones(3))
    with pytest.raises(TypeError, match="dtype is int64"):
        grad(lambda x: x * 2.0)(3)


def test_vjp_pulls_cotangents_back_as_the_jacobian_says():
    A = np.arange(6.0).reshape(2, 3)
    x, g = np.ones(3), np.array([1.0, -2.0])
    value, pullback = vjp(lambda x: xp.sin(A @ x), x)
    (result,) = pullback(g)
    assert np.allclose(value, np.sin(A @ x))
    assert np.allclose(result, A.T @ (g * np.cos(A @ x)))
    with pytest.raises(ValueError, match="does not fit"):
        pullback(np.ones(3))


def test_vjp_within_a_trace_can_be_pulled_back_twice_and_differentiated():
    def f(x):
        _, pullback = vjp(lambda y: y**3, x)
        return pullback(1.0)[0] + pullback(2.0)[0]

    assert f(2.0) == 3 * 3 * 4
    assert grad(f)(2.0) == 3 * 6 * 2


def test_in_a_step_traced_as_one_graph_forward_backward_and_update_are_told_apart():
    def step(w, x):
        loss, g = value_and_grad(lambda w: np.mean((x @ w) ** 2))(w)
        with dagexec.scope("update", phase="update"):
            return loss, w - 0.1 * g

    graph = dagexec.trace(step)(np.ones(3), np.ones((2, 3)))
    phases = {node.op.name: node.phase for node in graph.nodes}
    assert phases["matmul"] == "backward"  # the last of them
    assert phases["subtract"] == "update"
    assert [node.phase for node in graph.nodes].count("forward") >= 4
    assert "alias" not in phases


def test_negative_argnums_count_from_the_end():
    assert grad(lambda x, y: x**2 * y, argnums=-1)(3.0, 4.0) == 9.0


def test_a_pulled_back_cotangent_has_the_dtype_of_the_argument():
    _, pullback = vjp(lambda x: x, np.float32(1))
    assert pullback(1.0)[0].dtype == np.float32


def test_gradient_flows_through_complex_intermediates():
    assert grad(lambda x: np.abs(x * 1j + 4))(3.0) == pytest.approx(0.6, rel=1e-14)


def test_an_argument_named_twice_and_a_result_of_several_arrays_are_errors():
    with pytest.raises(ValueError, match="names an argument twice"):
        grad(lambda x, y: x * y, argnums=(0, -2))(1.0, 2.0)
    with pytest.raises(TypeError, match="tree of 2 arrays"):
        grad(lambda x: (x, x))(1.0)


def test_no_argument_number_at_all_is_an_error():
    with pytest.raises(TypeError):
        grad(lambda x: x, argnums=None)(1.0)
