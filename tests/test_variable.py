"""Define-by-run: values like NumPy's, gradients like a trace's and JAX's, memory that comes back."""

from __future__ import annotations

import copy
import doctest
import gc
import math
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dagexec
from dagexec import TracingError, backward, grad, jit, run, trace, variable, vjp, xp
from tests.oracle import evaluate, leaves_of
from tests.strategies import Program, programs

VECTOR = np.array([0.3, -1.2, 2.0])


def same(ours: Any, theirs: Any) -> bool:
    """The same numbers to the last bit, in the same shape and dtype."""
    one, other = np.asarray(ours), np.asarray(theirs)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@pytest.fixture(scope="module")
def jax() -> Any:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


# --- values ---------------------------------------------------------------------------------------------
OPERATORS = {
    "x + y": lambda x, y: x + y,
    "x - y": lambda x, y: x - y,
    "x * y": lambda x, y: x * y,
    "x / y": lambda x, y: x / y,
    "x // y": lambda x, y: x // y,
    "x % y": lambda x, y: x % y,
    "x ** y": lambda x, y: abs(x) ** y,
    "x @ y": lambda x, y: (x * np.ones(2)) @ (y * np.ones(2)),
    "x < y": lambda x, y: x < y,
    "x <= y": lambda x, y: x <= y,
    "x > y": lambda x, y: x > y,
    "x >= y": lambda x, y: x >= y,
    "x == y": lambda x, y: x == y,
    "x != y": lambda x, y: x != y,
    "-x": lambda x, y: -x,
    "abs": lambda x, y: abs(x),
    "maximum": lambda x, y: np.maximum(x, y),
    "masks": lambda x, y: ((x > 0) & (y > 0)) | ~(x == y) ^ (x < 3),
    "reversed": lambda x, y: 2 - 3 / (1.5 + x) * (2.0**y) + (7 // x) % 5,
}
OPERANDS = [
    (2.5, 1.5),
    (np.float32(2.5), 3),
    (np.array([1.0, -2.0]), np.float64(0.75)),
    (np.array([[1.0], [2.0]]), np.array([3.0, -0.5])),
    (np.array([2.0, 1.0], np.float32), 0.1),
]


@pytest.mark.parametrize("operands", OPERANDS, ids=str)
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_give_what_numpy_gives(name: str, operands: tuple[Any, Any]) -> None:
    operator, (x, y) = OPERATORS[name], operands
    expected = operator(np.asarray(x)[()], y)
    for a, b in ((variable(x), y), (variable(x), variable(y)), (np.asarray(x)[()], variable(y))):
        if isinstance(y, int | float) and not isinstance(b, int | float):
            expected = operator(np.asarray(x)[()], np.asarray(y)[()])  # y is then no Python number
        result = operator(a, b)
        if name not in ("-x", "abs") or a.__class__ is not np.ndarray:
            assert same(result, expected)


def test_integers_shift_and_invert() -> None:
    x = np.array([1, 6, -3])
    n = variable(x)
    for ours, theirs in (
        (n << 2, x << 2),
        (n >> 1, x >> 1),
        (2 << abs(n), 2 << abs(x)),
        (~n, ~x),
        (n ^ 5, x ^ 5),
    ):
        assert same(ours, theirs)


def test_functions_and_methods_run_at_once() -> None:
    matrix = np.array([[2.0, 0.5, 0.0], [0.5, 3.0, 1.0], [0.0, 1.0, 4.0]])
    m, v = variable(matrix), variable(VECTOR)
    pairs = [
        (np.sin(v), np.sin(VECTOR)),
        (xp.sum(m, axis=0), matrix.sum(axis=0)),
        (m.mean(axis=1), matrix.mean(axis=1)),
        (m.T, matrix.T),
        (m.reshape(-1), matrix.reshape(-1)),
        (m[1:, ::2], matrix[1:, ::2]),
        (v[v > 0], VECTOR[VECTOR > 0]),
        (v[variable([2, 0])], VECTOR[[2, 0]]),
        (np.concatenate([v, VECTOR]), np.concatenate([VECTOR, VECTOR])),
        (np.stack([v, v]), np.stack([VECTOR, VECTOR])),
        (np.einsum("ij,j", m, v), np.einsum("ij,j", matrix, VECTOR)),
        (np.where(v > 0, v, 0), np.where(VECTOR > 0, VECTOR, 0)),
        (np.sort(v), np.sort(VECTOR)),
        (np.cumsum(v), np.cumsum(VECTOR)),
        (v.argmax(), VECTOR.argmax()),
        (v.astype(np.float32), VECTOR.astype(np.float32)),
        (np.linalg.norm(v), np.sqrt(np.sum(VECTOR**2))),
        (np.add.reduce(v), np.add.reduce(VECTOR)),
    ]
    for number, (ours, theirs) in enumerate(pairs):
        assert type(ours) is type(v), number
        assert same(ours, theirs), number
    first, second = np.split(variable(np.arange(4.0)), 2)
    assert same(first + second, np.array([2.0, 4.0]))
    assert [float(part) for part in v] == VECTOR.tolist()


def test_python_gets_the_value() -> None:
    x, v, n = variable(2.5), variable(VECTOR), variable(3)
    assert (float(x), int(x), bool(x), complex(x), x.item(), n.tolist(), v.tolist()) == (
        2.5, 2, True, 2.5 + 0j, 2.5, 3, VECTOR.tolist(),
    )  # fmt: skip
    assert list(range(n)) == [0, 1, 2]
    assert len(v) == 3
    assert round(x) == 2
    assert math.sqrt(x) == math.sqrt(2.5)
    assert f"{x:.2f} {v}" == "2.50 [ 0.3 -1.2  2. ]"
    assert repr(v * 1) == "Recorded([ 0.3, -1.2,  2. ])"
    assert repr(variable(np.float32(1))) == "Recorded(1., dtype=float32)"
    assert np.asarray(v, np.float32).dtype == np.float32
    assert same(np.from_dlpack(v), VECTOR)
    assert (v.shape, v.ndim, v.size, v.dtype) == ((3,), 1, 3, np.dtype("float64"))
    with pytest.raises(ValueError, match="truth value"):
        bool(v)
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)


def test_copies_share_the_history_and_pickles_have_none() -> None:
    x = variable(VECTOR, "x")
    y = x * 2
    for twin in (copy.copy(y), copy.deepcopy([y])[0], y.copy()):
        assert same(backward(np.sum(twin), x), np.full(3, 2.0))
        twin[0] = 5
        assert same(y, VECTOR * 2)
    sent = pickle.loads(pickle.dumps(y))
    assert same(sent, y)
    assert len(sent.graph) == 1


def test_nobody_can_change_a_value() -> None:
    mine = VECTOR.copy()
    x = variable(mine)
    y = x * mine
    expected = backward(y.sum(), x)
    mine[:] = 0
    assert same(x, VECTOR)
    assert same(backward(y.sum(), x), np.asarray(expected))
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(y)[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(x[1:])[0] = 1


def test_assignment_rebinds_and_keeps_the_history() -> None:
    x, w = variable(VECTOR), variable(2.0)
    z = x * 3
    before = z[:1]
    z[0] = w
    z[z > 5] = 0
    z += w
    assert same(before, np.array([4.0]))  # a view
    assert same(z, np.array([4.0, 3 * -1.2 + 2, 2.0]))
    gx, gw = backward(np.sum(z), (x, w))
    assert same(gx, np.array([0.0, 3.0, 0.0]))
    assert float(gw) == 4


# --- gradients ------------------------------------------------------------------------------------------
def _total(results: list[Any]) -> Any:
    return sum(np.sum(result) for result in results)


@given(programs())
def test_random_program_has_the_gradients_of_its_trace_to_the_bit(program: Program) -> None:
    graph = trace(lambda *arguments: _total(program.run(*arguments)))(*program.arguments)
    wanted = tuple(range(len(program.arguments)))
    value, gradients = evaluate(graph.backward(wanted), *program.arguments)
    variables = tuple(variable(argument) for argument in program.arguments)
    total = _total(program.run(*variables))
    assume(isinstance(total, dagexec.array.Array))
    assert same(total, value)
    for ours, theirs in zip(backward(total, variables), gradients):
        assert same(ours, theirs)


STEPS = st.tuples(
    st.sampled_from(["add", "product", "ratio", "largest", "mean", "branch", "loop"]),
    st.integers(0, 99),
    st.integers(0, 99),
)


def _branching(np: Any, steps: list[tuple[str, int, int]], x: Any, y: Any) -> Any:
    """A program on vectors that looks at its values to decide what to do."""
    values = [x, y]
    for name, i, j in steps:
        a, b = values[i % len(values)], values[j % len(values)]
        if name == "add":
            result = np.sin(a + 2 * b)
        elif name == "product":
            result = np.tanh(a) * b - 0.5
        elif name == "ratio":
            result = a / (1 + b**2)
        elif name == "largest":
            result = np.maximum(a, b) + a[0]
        elif name == "mean":
            result = a - np.mean(b)
        elif name == "branch":
            # Not at 0: the sum of deviations from a mean is 0 but for rounding.
            result = a * 0.5 if np.sum(a) > 0.123 else np.cos(b)
        else:
            result = a
            while np.sum(result**2) > 0.5:
                result = result * 0.7
        values.append(result)
    return sum(np.sum(value * k) for k, value in enumerate(values, 1))


@given(st.lists(STEPS, max_size=12), st.integers(0, 2**32 - 1))
def test_gradients_of_programs_that_branch_on_values_are_those_of_jax(
    jax: Any, steps: list[tuple[str, int, int]], seed: int
) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, 3))
    x, y = variable(first), variable(second)
    total = _branching(np, steps, x, y)
    assert same(total, _branching(np, steps, first, second))
    expected = jax.grad(lambda *args: _branching(jax.numpy, steps, *args), (0, 1))(first, second)
    for ours, theirs in zip(backward(total, (x, y)), expected):
        assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_newton_iteration_with_while() -> None:
    x = variable(3.0)
    steps = 0
    while abs(residual := x**3 - 2 * x - 5) > 1e-13:
        x = variable(x - residual / backward(residual, x))
        steps += 1
    assert float(x) == pytest.approx(2.0945514815423265, abs=1e-14)
    assert 4 <= steps <= 6


def test_gradient_through_an_iterated_root() -> None:
    a = variable(2.0)
    x = a
    while abs(x * x - a) > 1e-15:
        x = 0.5 * (x + a / x)
    assert float(x) == pytest.approx(math.sqrt(2))
    assert float(backward(x, a)) == pytest.approx(0.5 / math.sqrt(2), rel=1e-12)


def test_higher_derivatives_of_tanh_are_the_closed_forms() -> None:
    x = variable(0.4)
    t = math.tanh(0.4)
    derivative = np.tanh(x)
    closed = [
        1 - t**2,
        -2 * t * (1 - t**2),
        (1 - t**2) * (6 * t**2 - 2),
        8 * t * (1 - t**2) * (2 - 3 * t**2),
        8 * (1 - t**2) * (2 - 15 * t**2 + 15 * t**4),
    ]
    for expected in closed:
        derivative = backward(derivative, x)
        assert float(derivative) == pytest.approx(expected, rel=1e-11)


def test_hessian_vector_product_by_backward_of_backward() -> None:
    a, b = variable(1.5), variable(-0.5)
    (ga, gb) = backward((1 - a) ** 2 + 100 * (b - a**2) ** 2, (a, b))
    direction = 0.3 * ga - 2.0 * gb
    ha, hb = backward(direction, (a, b))
    mixed = -400 * 1.5
    assert float(ha) == pytest.approx(0.3 * (2 - 400 * (-0.5 - 3 * 1.5**2)) - 2.0 * mixed)
    assert float(hb) == pytest.approx(0.3 * mixed - 2.0 * 200)


def test_gradients_have_the_structure_of_wrt() -> None:
    params = {"w": variable(VECTOR), "layers": [variable(2.0), (variable(3.0),)]}
    y = np.sum(params["w"]) * params["layers"][0] * params["layers"][1][0]
    gradients = backward(y, params)
    assert gradients.keys() == params.keys()
    assert [np.asarray(g).tolist() for g in leaves_of(gradients)] == [
        (VECTOR.sum() * 3),
        (VECTOR.sum() * 2),
        [6.0, 6.0, 6.0],
    ]
    assert backward(y, []) == []


def test_gradient_for_an_intermediate_value() -> None:
    x = variable(3.0)
    square = x * x
    y = square * square + x
    assert float(backward(y, square)) == 18
    assert float(backward(y, x)) == 4 * 27 + 1
    assert float(backward(x, x)) == 1


def test_what_y_does_not_depend_on_has_gradient_zero() -> None:
    x, other = variable(2.0), variable(np.ones((2, 3), np.float32))
    g = backward(x * x, other)
    assert same(g, np.zeros((2, 3), np.float32))
    assert same(backward(np.sum(np.sign(x)), x), 0.0)
    assert same(backward(np.sum(g), other), np.zeros((2, 3), np.float32))  # and nests


def test_cotangent_weighs_the_result() -> None:
    x = variable(VECTOR)
    y = x**2
    assert np.allclose(backward(y, x, cotangent=[1.0, 0.0, 2.0]), 2 * VECTOR * [1, 0, 2])
    weights = variable(np.ones(3))
    g = backward(y, x, cotangent=weights)
    assert np.allclose(backward(np.sum(g), weights), 2 * VECTOR)  # the Jacobian's columns, by double backward


def test_complex_variable_has_the_gradient_of_jax(jax: Any) -> None:
    z = 0.6 - 1.1j
    loss = lambda np, z: np.real(np.sin(z) * np.conj(z)) + np.abs(z) ** 2
    x = variable(z)
    assert np.allclose(backward(loss(np, x), x), jax.grad(lambda z: loss(jax.numpy, z))(z))


def test_gradient_flows_through_ops_with_several_results() -> None:
    x = variable(np.arange(6.0))
    left, right = xp.split(x, 2)
    assert same(backward(np.sum(left * right * right), x), np.array([9.0, 16, 25, 0, 8, 20]))


# --- the graph ------------------------------------------------------------------------------------------
def test_the_graph_is_what_was_computed_and_runs_like_any_other() -> None:
    w, x, unused = variable(2.0, "w"), variable(VECTOR, "x"), variable(1.0)
    y = np.sum(np.tanh(x * w)) + 1
    (y * unused).item()
    graph = y.graph
    assert [node.name for node in graph.inputs] == ["w", "x"]
    assert [node.op.name for node in graph.nodes if node.op.name != "constant"] == [
        "input", "input", "multiply", "tanh", "sum", "add",
    ]  # fmt: skip
    assert all(node.where[0] == __file__ for node in graph.nodes if node.op.name != "constant")
    lines = [node.where[1] for node in graph.nodes if node.op.name in ("multiply", "input")]
    assert lines == [lines[0], lines[0], lines[0] + 1]
    (again,) = run(graph, 3.0, 2 * VECTOR, executor="threads")
    assert again == pytest.approx(np.sum(np.tanh(6 * VECTOR)) + 1)
    ((value,), g) = run(graph.backward(), 2.0, VECTOR)
    assert same(value, y)
    assert same(g, backward(y, w))
    assert same(evaluate(graph, 2.0, VECTOR)[0], y)


def test_the_graph_of_a_gradient_has_both_passes() -> None:
    x = variable(0.5, "x")
    g = backward(np.sin(x) ** 2, x)
    graph = g.graph
    assert {node.phase for node in graph.nodes} == {"forward", "backward"}
    assert {node.grad_of.op.name for node in graph.nodes if node.phase == "backward"} == {"square", "sin"}
    assert run(graph, 0.7)[0] == pytest.approx(np.sin(1.4))
    assert same(run(graph.backward(), 0.5)[1], backward(g, x))


def test_pictures_show_the_values() -> None:
    x, w = variable(np.linspace(0.1, 0.6, 6), "x"), variable(1.5707, 'w"<b>')
    big = np.ones((50, 50)) * w
    text = (np.sum(big) * np.sum(np.sin(x * w))).graph.to_dot().to_string()
    assert "= [0.1 0.2 0.3 …]" in text
    assert "= 1.571" in text
    assert 'w\\"<b>' in text
    assert text.count("= [[") == 0
    nodes = variable([[1, 2], [3, 4]]).graph.to_dot(style="bipartite").to_string()
    assert "= [[1 2] [3 4]]" in nodes


def test_pictures_of_a_trace_show_none() -> None:
    assert "= " not in trace(np.sin)(0.5).to_dot().to_string().replace("==", "")


# --- memory ---------------------------------------------------------------------------------------------
def _nodes_alive() -> int:
    return sum(type(thing).__name__ in ("RecordedNode", "Recorded") for thing in gc.get_objects())


def test_memory_returns_with_the_last_reference() -> None:
    gc.collect()
    before = _nodes_alive()
    gc.disable()  # reference counts alone must do it
    try:
        x = variable(VECTOR)
        middle = np.sin(x)
        value = weakref.ref(np.asarray(middle))
        y = np.sum(middle * middle)
        g = backward(y, x)
        del middle
        assert value() is not None  # the history holds it
        del y, g
        assert value() is None
        del x
        assert _nodes_alive() == before
    finally:
        gc.enable()


def test_a_loop_of_updates_does_not_grow() -> None:
    gc.collect()
    before = _nodes_alive()
    w = variable(1.0)
    for step in range(100_000):
        w = variable(w - 0.1 * w * w)
        if step == 10:
            early = _nodes_alive()
    assert _nodes_alive() == early == before + 2


def test_a_loop_with_gradients_does_not_grow() -> None:
    w = variable(VECTOR)
    alive = []
    for _ in range(200):
        w = variable(w - 0.1 * backward(np.sum(np.tanh(w) ** 2), w))
        alive.append(_nodes_alive()) if len(alive) < 2 else None
    assert _nodes_alive() == alive[-1]
    assert np.allclose(w, 0, atol=1e-3)


def test_a_history_of_100_000_nodes_is_differentiated_and_freed_without_recursion() -> None:
    def long_history() -> None:
        x, shrink = variable(1.0), variable(0.99999)
        y = x
        for _ in range(100_000):
            y = y * shrink
        g = backward(y, x)
        results.append((float(y), float(g)))
        results.append(len(g.graph))
        del g, y

    results: list[Any] = []
    old = threading.stack_size(256 * 1024)  # a recursion in C would end here at the latest
    try:
        thread = threading.Thread(target=long_history)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(old)
    assert results[0] == (pytest.approx(0.99999**100_000), pytest.approx(0.99999**100_000))
    assert results[1] > 99_000


# --- with traces and transformations --------------------------------------------------------------------
def test_within_a_trace_a_recorded_array_is_a_constant() -> None:
    w = variable(np.array([1.0, 2.0, 3.0]))
    product = w * 2

    def f(x: Any) -> Any:
        assert float(np.sum(w * w)) == 14
        assert [float(part) for part in w] == [1, 2, 3]
        return np.sum(x * w + product - w) + w[0] + (w @ x)

    graph = trace(f)(VECTOR)
    assert len(graph.inputs) == 1
    assert run(graph, VECTOR) == pytest.approx(f(VECTOR))
    assert np.allclose(grad(f)(VECTOR), 2 * np.array([1.0, 2.0, 3.0]))


def test_a_recorded_array_cannot_take_a_traced_value() -> None:
    w = variable(VECTOR) * 1

    def f(x: Any) -> Any:
        w[0] = x
        return w

    with pytest.raises(TracingError, match="constant within a trace"):
        trace(f)(1.0)

    def g(x: Any) -> Any:
        y = xp.zeros(3) + x
        y[...] = w
        return y

    assert same(run(trace(g)(1.0), 1.0), VECTOR)


def test_transformations_of_recorded_arrays_are_recorded() -> None:
    x = variable(VECTOR)
    f = lambda v: np.sum(np.sin(v) * v)
    second = 2 * np.cos(VECTOR) - VECTOR * np.sin(VECTOR)
    assert same(grad(f)(x), grad(f)(VECTOR))
    assert np.allclose(backward(np.sum(grad(f)(x)), x), second)
    assert np.allclose(backward(jit(f)(x), x), grad(f)(VECTOR))
    value, pullback = vjp(f, x)
    assert same(value, f(VECTOR))
    assert np.allclose(pullback(1.0)[0], backward(f(x), x))
    assert np.allclose(backward(value, x), backward(f(x), x))


def test_a_run_takes_recorded_arrays_by_their_value() -> None:
    x = variable(VECTOR)
    result = run(trace(lambda v: v * 2)(x), x)
    assert type(result) is np.ndarray
    assert same(result, VECTOR * 2)


def test_backward_within_a_trace_is_recorded() -> None:
    def f(x: Any) -> Any:
        return backward(np.sum(x**3), x)

    assert np.allclose(run(trace(f)(VECTOR), VECTOR), 3 * VECTOR**2)
    assert np.allclose(grad(lambda x: np.sum(f(x)))(VECTOR), 6 * VECTOR)
    w = variable(2.0)
    assert float(run(trace(lambda x: x * backward(w**2, w))(3.0), 3.0)) == 12


# --- threads --------------------------------------------------------------------------------------------
def test_threads_compute_and_differentiate_side_by_side() -> None:
    shared = variable(np.linspace(0, 1, 5))
    base = np.sin(shared) * 2 + 1

    def work(k: int) -> Any:
        y = np.sum(base * k)
        for _ in range(50):
            y = y + np.sum(shared) * 0.01
        return np.asarray(backward(y, shared))

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(40)))
    for k, g in enumerate(results):
        assert np.allclose(g, 2 * np.cos(np.linspace(0, 1, 5)) * k + 0.5)


# --- errors ---------------------------------------------------------------------------------------------
ERRORS = {
    "wrt is no variable": (lambda x: backward(x * x, 2.0), TypeError, "wrt holds 2.0, which is no variable"),
    "y is no array": (lambda x: backward(float(x), x), TypeError, "y is a float, which remembers no history"),
    "y is no scalar": (lambda x: backward(x * VECTOR, x), TypeError, "that of a real scalar"),
    "y is complex": (lambda x: backward(x * 1j, x), TypeError, "that of a real scalar"),
    "integers": (lambda x: backward(x, variable(3, "n")), TypeError, "respect to n: its dtype is int64"),
    "cotangent": (
        lambda x: backward(x * VECTOR, x, cotangent=np.ones(2)),
        ValueError,
        r"a cotangent of shape \(2,\) does not fit y of shape \(3,\)",
    ),
    "text": (lambda x: variable("3"), TypeError, "no number or numeric array"),
    "operand": (lambda x: x + np.array(["a"]), TypeError, "no number or numeric array"),
    "shapes": (lambda x: (x * VECTOR) + np.ones(2), ValueError, r"add of float64\[3\] and float64\[2\]: "),
    "index": (lambda x: (x * VECTOR)[5], IndexError, "getitem of .*out of bounds"),
    "matmul": (lambda x: x @ x, ValueError, r"matmul of float64\[\] and float64\[\]"),
    "floats have no bits": (lambda x: x & x, TypeError, "bitwise_and of float64"),
    "function": (lambda x: xp.reshape(x * VECTOR, (2, 2)), ValueError, r"reshape.*\(3,\).*\(2, 2\)"),
    "list": (lambda x: VECTOR[:2] * x + [x, 1.0], TypeError, "make it one with xp.stack"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_error_names_the_culprit_and_the_line(name: str) -> None:
    wrong, error, message = ERRORS[name]
    with pytest.raises(error, match=message) as caught:
        wrong(variable(2.0))
    assert "test_variable.py" in str(caught.value)


def test_traced_arrays_are_refused_by_name() -> None:
    x = variable(1.0)
    with pytest.raises(TracingError, match="has none"):
        trace(lambda t: variable(t))(1.0)
    with pytest.raises(TypeError, match="which is a constant in a trace"):
        trace(lambda t: backward(t * x, x))(1.0)
    with pytest.raises(TypeError, match="which is traced"):
        trace(lambda t: backward(x * x, t))(1.0)
    kept = []
    trace(lambda t: kept.append(t) or t)(1.0)
    with pytest.raises(TracingError, match="after its trace has ended"):
        x * kept[0]


def test_errors_of_a_class_of_their_own_keep_it() -> None:
    with pytest.raises(np.linalg.LinAlgError) as caught:
        np.linalg.cholesky(variable(-np.eye(2)))
    assert "float64[2,2]: Matrix is not positive definite" in str(caught.value)


# --- the documentation ----------------------------------------------------------------------------------
def test_the_page_runs_as_it_stands() -> None:
    page = Path(__file__).parent.parent / "docs" / "define-by-run.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 20
    assert not found.failed
