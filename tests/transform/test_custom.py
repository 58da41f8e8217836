"""custom_vjp, call and stop_gradient: rules that replace what the operations would give."""

from __future__ import annotations

import numpy as np
import pytest

import dagexec
from dagexec import Spec, call, custom_vjp, grad, jit, run, stop_gradient, trace, xp

X = np.linspace(-1.0, 1.0, 3)


def wrong_on_purpose():
    """sin, with a gradient of 100."""

    @custom_vjp
    def f(x):
        return xp.sin(x)

    f.defvjp(lambda x: (f(x), None), lambda _, g: (100 * g,))
    return f


def test_the_rule_is_used_and_the_value_is_the_function_s():
    f = wrong_on_purpose()
    assert np.array_equal(f(X), np.sin(X))
    value, gradient = dagexec.value_and_grad(lambda x: xp.sum(f(x)))(X)
    assert value == np.sum(np.sin(X))
    assert np.array_equal(gradient, np.full(3, 100.0))


def test_a_graph_keeps_the_rule():
    f = wrong_on_purpose()
    graph = trace(lambda x: xp.sum(f(x)))(X)
    assert np.array_equal(run(graph.backward(), X)[1], np.full(3, 100.0))
    assert np.array_equal(grad(jit(lambda x: xp.sum(f(x))))(X), np.full(3, 100.0))


def test_trees_residuals_and_nests_are_those_of_jax(agree):
    def program(lib, p, n):
        @lib.custom_vjp
        def f(p, n):
            return {"y": lib.np.sin(p["a"]) * p["b"], "z": p["a"] * n}

        def forward(p, n):
            return f(p, n), (p, {"n": n})

        def backward(residuals, g):
            p, other = residuals
            a = 3 * g["y"] * lib.np.cos(p["a"]) * p["b"] + g["z"] * other["n"]
            return {"a": a, "b": g["y"] * p["a"] ** 2}, None

        f.defvjp(forward, backward)
        out = f(p, n)
        return lib.np.sum(out["y"] ** 2) + lib.np.sum(out["z"])

    p = {"a": X, "b": X + 2}
    agree(lambda lib, p: lib.value_and_grad(lambda p: program(lib, p, 2.0))(p), p)
    agree(lambda lib, p: lib.jacobian(lib.grad(lambda p: program(lib, p, 2.0)))(p), p)
    agree(lambda lib, p: lib.vmap(lib.grad(lambda p: program(lib, p, 2.0)))(p), p)


def test_arguments_that_are_no_arrays_come_first_in_the_rule(agree):
    def program(lib, x):
        def f(how, x):
            return x * 2 if how == "double" else x

        f = lib.custom_vjp(f, nondiff_argnums=(0,))
        f.defvjp(lambda how, x: (f(how, x), x), lambda how, x, g: (g * len(how),))
        return lib.np.sum(f("double", x))

    agree(lambda lib, x: lib.grad(lambda x: program(lib, x))(x), X)


def test_a_rule_that_does_not_fit_is_an_error():
    def with_rule(backward):
        f = custom_vjp(lambda x, y: x * y)
        f.defvjp(lambda x, y: (f(x, y), None), backward)
        return lambda: grad(lambda x: xp.sum(f(x, x)))(X)

    with pytest.raises(ValueError, match=r"argument 0 has shape \(2,\), the argument \(3,\).*test_custom"):
        with_rule(lambda _, g: (g[:2], g))()
    with pytest.raises(TypeError, match="each of the 2 arguments, but returned 1"):
        with_rule(lambda _, g: (g,))()
    with pytest.raises(TypeError, match="argument 1 has structure"):
        with_rule(lambda _, g: (g, {"a": g, "b": g}))()
    with pytest.raises(AttributeError, match="lambda has no rule: give it with"):
        custom_vjp(lambda x: x)(X)


def test_a_closed_over_array_has_no_gradient_and_says_so():
    def loss(w, x):
        f = custom_vjp(lambda x: x * w)
        f.defvjp(lambda x: (f(x), None), lambda _, g: (g,))
        return xp.sum(f(x))

    assert np.array_equal(grad(loss, 1)(X, X), np.ones(3))
    with pytest.raises(TypeError, match=r"custom_vjp function lambda closes over .*test_custom"):
        grad(loss, 0)(X, X)


# --- call -------------------------------------------------------------------------------------------------
def double_and_sum(x, y):
    return {"double": x * 2, "sum": float(np.sum(y))}


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_a_plain_callable_is_a_node(executor):
    spec = {"double": Spec((3,), np.float64), "sum": Spec((), np.float64)}
    graph = trace(lambda x: call(double_and_sum, x, (x + 1)[:2], spec=spec))(X)
    assert "double_and_sum" in {node.op.name for node in graph.nodes}
    result = run(graph, X, executor=executor, workers=2)
    assert np.array_equal(result["double"], 2 * X)
    assert result["sum"] == np.sum((X + 1)[:2])
    assert call(double_and_sum, X, X, spec=spec)["sum"] == 0


def test_a_callable_without_traced_arguments_is_called_in_each_run():
    calls = []
    tick = jit(lambda x: x + call(lambda: calls.append(1) or float(len(calls)), spec=Spec((), np.float64)))
    assert (tick(0.0), tick(0.0)) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (np.ones(2), ValueError, r"lambda returned float64\[2\], but its spec is float64\[3\]"),
        (np.ones(3, np.float32), TypeError, r"lambda returned float32\[3\], but its spec is float64\[3\]"),
        ((np.ones(3),), TypeError, "lambda returned structure"),
    ],
)
def test_a_result_that_is_not_as_promised_is_an_error(returned, error, message):
    for run_it in (jit(lambda x: call(lambda x: returned, x, spec=Spec((3,), np.float64))),):
        with pytest.raises(error, match=message) as caught:
            run_it(X)
        assert any("test_custom.py" in note for note in caught.value.__notes__)
    with pytest.raises(error, match=message):
        call(lambda x: returned, X, spec=Spec((3,), np.float64))


def test_gradients_pass_a_callable_by_custom_vjp_only():
    def sine(x):
        return call(np.sin, x, spec=Spec(x.shape, x.dtype))

    with pytest.raises(TypeError, match=r"no gradient through the Python callable sin .*test_custom"):
        grad(lambda x: xp.sum(sine(x)))(X)
    ruled = custom_vjp(sine)
    ruled.defvjp(lambda x: (ruled(x), x), lambda x, g: (g * xp.cos(x),))
    assert np.allclose(grad(lambda x: xp.sum(ruled(x)))(X), np.cos(X))
    assert grad(lambda x: xp.sum(sine(stop_gradient(x)) * x))(X) == pytest.approx(np.sin(X))


# --- stop_gradient ----------------------------------------------------------------------------------------
def test_gradients_end_at_stop_gradient(agree):
    agree(lambda lib, x: lib.grad(lambda x: lib.np.sum(lib.stop_gradient(x * 2) * x**2))(x), X)
    agree(lambda lib, x: lib.hessian(lambda x: lib.np.sum(lib.stop_gradient(x) * x**2))(x), X)
    agree(lambda lib, x: lib.jvp(lambda x: lib.stop_gradient({"a": x})["a"] * x, (x,), (x,)), X)
