"""cond, scan and while_loop: values and gradients are JAX's, however they nest; errors name both sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import Spec, cond, fori_loop, grad, jit, run, scan, trace, while_loop, xp

X = np.linspace(-1.0, 1.0, 3)
W = np.linspace(-0.5, 1.0, 9).reshape(3, 3)
XS = np.linspace(-1.0, 2.0, 12).reshape(4, 3)


def rnn(lib, w, h, xs):
    """A recurrent network whose step reads `w` from outside."""

    def step(h, x):
        h = lib.np.tanh(h @ w + x)
        return h, lib.np.sum(h**2)

    h, ys = lib.scan(step, h, xs)
    return lib.np.sum(h) + lib.np.sum(ys * ys)


def branches(lib, x):
    """A cond whose branches read different arrays from outside."""
    y, z = x * 2, lib.np.cos(x)
    return lib.cond(
        lib.np.sum(x) > 0, lambda x: lib.np.sum(lib.np.sin(x) * y), lambda x: lib.np.sum(x**3 * z), x
    )


# --- against JAX ------------------------------------------------------------------------------------------
def test_gradient_of_a_scan_is_that_of_jax(agree):
    agree(lambda lib, *args: lib.value_and_grad(lambda *a: rnn(lib, *a), (0, 1, 2))(*args), W, X, XS)


def test_scan_of_a_gradient(agree):
    def descent(lib, x):
        def loss(x):
            return lib.np.sum((x**2 - 1) ** 2)

        return lib.scan(lambda x, _: (x - 0.05 * lib.grad(loss)(x), loss(x)), x, None, length=5)

    agree(descent, X + 2)
    agree(lambda lib, x: lib.grad(lambda x: lib.np.sum(descent(lib, x)[1]))(x), X + 2)


def test_scan_in_scan_with_gradient(agree):
    def nested(lib, w, xs):
        def outer(c, x):
            inner, ys = lib.scan(lambda d, t: (d * t + c, lib.np.sin(d)), c, x)
            return lib.np.tanh(inner + w[0]), ys

        c, ys = lib.scan(outer, w[1], xs)
        return c + lib.np.sum(ys)

    agree(lambda lib, *args: lib.grad(lambda *a: nested(lib, *a), (0, 1))(*args), np.array([0.3, 0.5]), XS)


def test_hessian_and_jvp_of_a_scan(agree):
    def program(lib, w):
        return lib.np.sum(lib.scan(lambda c, _: (lib.np.sin(w * c) + c, c), w, None, length=3)[1])

    agree(lambda lib, w: lib.hessian(lambda w: program(lib, w))(w), X)
    agree(lambda lib, w: lib.jvp(lambda w: program(lib, w), (w,), (w,)), X)


def test_third_derivative_through_a_scan(agree):
    def program(lib, x):
        f = lambda x: lib.scan(lambda c, _: (c * lib.np.sin(c), None), x, None, length=3)[0]
        return lib.grad(lib.grad(lib.grad(f)))(x)

    agree(program, np.float64(0.7), rtol=1e-8)


@pytest.mark.parametrize("shift", [2.0, -2.0])
def test_gradient_of_a_cond_is_that_of_the_branch_taken(agree, shift):
    agree(lambda lib, x: lib.value_and_grad(lambda x: branches(lib, x))(x), X + shift)
    agree(lambda lib, x: lib.hessian(lambda x: branches(lib, x))(x), X + shift)


def test_cond_in_scan_and_scan_in_cond(agree):
    def program(lib, x, xs):
        def step(c, t):
            c = lib.cond(lib.np.sum(c * t) > 0, lambda c: c * t, lambda c: c - t, c)
            return c, lib.np.sum(c)

        total = lib.cond(
            lib.np.sum(x) > -100,
            lambda x: lib.np.sum(lib.scan(step, x, xs)[1]),
            lambda x: lib.np.sum(x),
            x,
        )
        return total + lib.np.sum(lib.scan(step, x, xs)[0] ** 2)

    agree(lambda lib, *args: lib.grad(lambda *a: program(lib, *a), (0, 1))(*args), X, XS)


def test_reverse_scan_and_trees_of_carries(agree):
    def program(lib, x, xs):
        def step(c, x):
            new = {"a": c["a"] * x["t"][0] + c["n"], "n": c["n"] + 1}
            return new, (new["a"], {"n": new["n"]})

        last, ys = lib.scan(step, {"a": x, "n": lib.np.asarray(0)}, {"t": (xs, xs * 2)}, reverse=True)
        return last, ys

    agree(program, X, XS)
    agree(
        lambda lib, x, xs: lib.grad(lambda *a: lib.np.sum(program(lib, *a)[1][0] ** 2), (0, 1))(x, xs), X, XS
    )


def test_checkpoint_inside_scan(agree):
    def program(lib, w, h, xs):
        step = lib.checkpoint(lambda h, x: (lib.np.tanh(h @ w + x), lib.np.sum(lib.np.sin(h))))
        h, ys = lib.scan(step, h, xs)
        return lib.np.sum(h) + lib.np.sum(ys)

    agree(lambda lib, *args: lib.grad(lambda *a: program(lib, *a), (0, 1, 2))(*args), W, X, XS)


def test_while_loop_is_that_of_jax_with_closures_and_in_batches(agree):
    def program(lib, w, x):
        return lib.while_loop(
            lambda pair: lib.np.sum(pair[0]) < 50 + lib.np.sum(w),
            lambda pair: (pair[0] * 2 + lib.np.sum(w**2), pair[1] + 1),
            (lib.np.abs(x), lib.np.asarray(0)),
        )

    agree(program, W, X)
    agree(lambda lib, w, xs: lib.vmap(lambda x: program(lib, w, x))(xs), W, XS)
    agree(lambda lib, ws, x: lib.vmap(lambda w: program(lib, w, x))(ws), np.stack([W, 2 * W]), X)


def test_the_gradient_of_a_loop_with_constant_bounds(agree):
    def program(lib, x):
        return lib.np.sum(lib.fori_loop(1, 4, lambda i, x: lib.np.sin(x) * i, x))

    agree(lambda lib, x: lib.grad(lambda x: program(lib, x))(x), X)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_batches_of_scans_and_conds(agree, axes):
    def one(lib, x, w):
        c, ys = lib.scan(lambda c, t: (lib.np.tanh(c @ w * t), c), x, lib.np.arange(3.0))
        total = lib.np.sum(c) + lib.np.sum(ys**2)
        return lib.cond(total > 2, lambda t: t * lib.np.sum(w), lambda t: t - lib.np.sum(x), total)

    x = XS if axes[0] == 0 else X
    w = np.stack([W, W * 2, -W, W + 1]) if axes[1] == 0 else W
    agree(lambda lib, x, w: lib.vmap(lambda x, w: one(lib, x, w), axes)(x, w), x, w)
    agree(lambda lib, x, w: lib.vmap(lib.grad(lambda x, w: one(lib, x, w), (0, 1)), axes)(x, w), x, w)
    total = lambda lib: lambda x, w: lib.np.sum(lib.vmap(lambda x, w: one(lib, x, w), axes)(x, w))
    agree(lambda lib, x, w: lib.grad(total(lib), (0, 1))(x, w), x, w)


# --- laws ---------------------------------------------------------------------------------------------------
@settings(max_examples=25)
@given(
    length=st.integers(0, 5),
    shape=st.lists(st.integers(0, 3), max_size=2).map(tuple),
    reverse=st.booleans(),
    seed=st.integers(0, 100),
)
def test_a_scan_is_its_unrolled_loop(length, shape, reverse, seed):
    rng = np.random.default_rng(seed)
    init, xs, w = rng.normal(size=shape), rng.normal(size=(length, *shape)), rng.normal(size=shape)

    def loss(init, xs, w, unroll):
        last, ys = scan(lambda c, x: (xp.sin(c * w) + x, c * x), init, xs, reverse=reverse, unroll=unroll)
        return xp.sum(last) + xp.sum(ys**2), (last, ys)

    results = [
        jit(dagexec.value_and_grad(lambda *a, u=unroll: loss(*a, u), (0, 1, 2), has_aux=True))(init, xs, w)
        for unroll in (False, True)
    ]
    (_, (last, ys)), _ = results[0]
    assert last.shape == shape
    assert ys.shape == (length, *shape)
    for one, other in zip(*map(_leaves, results)):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def _leaves(tree):
    from tests.oracle import leaves_of

    return leaves_of(tree)


def both_ways(lib, x):
    y = lib.cond(lib.np.sum(x) > 0, lambda x: lib.np.sin(x) @ W, lambda x: x, x)
    c, ys = lib.scan(lambda c, t: (lib.np.tanh(c + t), c), y, lib.np.asarray(XS))
    z = lib.while_loop(lambda z: lib.np.sum(z) < 9, lambda z: z * 2, lib.np.abs(lib.stop_gradient(c)) + 1)
    return lib.np.sum(c * z) + lib.np.sum(ys)


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_all_executors_give_the_same_bits(executor):
    from tests.transform.conftest import OURS

    graph = trace(dagexec.value_and_grad(lambda x: both_ways(OURS, x)))(X)
    expected = run(graph, X + 1, executor="serial")
    found = run(graph, X + 1, executor=executor, workers=2)
    assert found[0] == expected[0]
    assert np.array_equal(found[1], expected[1])


def test_a_saved_graph_with_graphs_inside_is_the_same(tmp_path):
    pytest.importorskip("safetensors")
    from tests.transform.conftest import OURS

    graph = trace(dagexec.grad(lambda x: both_ways(OURS, x)))(X)
    graph.save(tmp_path / "g.safetensors")
    again = dagexec.load(tmp_path / "g.safetensors")
    assert str(again) == str(graph)
    assert np.array_equal(run(again, X), run(graph, X))


def test_outside_of_a_trace_they_are_python_control_flow():
    seen = []
    cond(np.float64(1) > 0, lambda: seen.append("yes"), lambda: seen.append("no"))
    last, ys = scan(lambda c, x: (seen.append(float(x)) or c + x, None), 0.0, np.arange(3.0))
    assert seen == ["yes", 0.0, 1.0, 2.0]
    assert (last, ys) == (3.0, None)
    assert while_loop(lambda n: n < 10, lambda n: n * 2, 3) == 12
    assert fori_loop(np.int64(1), 4, lambda i, n: n * i, 1) == 6


def test_a_loop_can_be_unrolled_for_a_picture():
    graph = trace(lambda x: scan(lambda c, _: (np.tanh(c), c), x, length=3, unroll=True))(X)
    assert [node.op.name for node in graph.nodes].count("tanh") == 3
    assert {node.scope for node in graph.nodes if node.op.name == "tanh"} == {
        (f"lambda[{i}]",) for i in range(3)
    }


def test_what_nobody_reads_is_not_kept():
    """The carries of each step are results of the node, but only the gradient asks for them."""
    xs = np.ones((1000, 50))
    graph = trace(lambda x, xs: scan(lambda c, t: (c + t, None), x, xs)[0])(xs[0], xs)
    _, events = run(graph, xs[0], xs, executor="serial", events=True)
    assert events.peak_bytes() < 10 * xs[0].nbytes
    _, events = run(graph.backward(cotangent=xs[0]), xs[0], xs, executor="serial", events=True)


def test_a_step_that_gradients_do_not_need_is_not_run():
    calls = []

    def noted(value):
        calls.append(1)
        return value

    def step(c, x):
        return c + x, dagexec.call(noted, x, spec=Spec((), np.float64))

    assert jit(lambda xs: scan(step, 0.0, xs)[0])(np.arange(3.0)) == 3
    assert not calls
    assert jit(lambda xs: scan(step, 0.0, xs)[1])(np.arange(3.0)).tolist() == [0, 1, 2]
    assert len(calls) == 3


def test_a_constant_predicate_chooses_while_tracing():
    graph = trace(lambda x: cond(True, lambda x: np.sin(x), lambda x: np.cos(x), x))(1.0)
    assert [node.op.name for node in graph.nodes] == ["input", "sin"]


def test_a_number_takes_the_dtype_that_the_step_gives_it():
    xs = np.ones(3, np.float32)
    assert (
        scan(lambda c, x: (c + x, None), 0, xs)[0].dtype
        == jit(lambda xs: scan(lambda c, x: (c + x, None), 0, xs)[0])(xs).dtype
    )
    chosen = jit(lambda x: cond(x > 0, lambda x: x, lambda x: 0.0, x))
    assert chosen(np.float32(-1)).dtype == np.float32


def test_the_cost_of_a_scan_is_length_times_body():
    one, ten = (
        dagexec.analyze(
            dagexec.plan(trace(lambda x, n=n: scan(lambda c, _: (c @ W, None), x, length=n)[0])(X))
        ).work
        for n in (1, 10)
    )
    assert ten == 10 * one > 0


def test_it_draws_and_prints(tmp_path):
    pytest.importorskip("pygraphviz")

    def step(c, x):
        return np.tanh(c + x), None

    graph = trace(lambda x: cond(np.sum(x) > 0, lambda x: scan(step, x, XS)[0], lambda x: x, x))(X)
    graph.draw(tmp_path / "graph.svg")
    assert "cond" in (tmp_path / "graph.svg").read_text()
    lines = str(graph).splitlines()
    assert any("on_true: lambda(" in line for line in lines)
    assert any(line.startswith("        body: step(") for line in lines)


# --- errors -----------------------------------------------------------------------------------------------
def _line(message: str) -> str:
    return rf"{message}.*test_control\.py:\d+"


@pytest.mark.parametrize("within", [trace, lambda f: f])
@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            lambda c, _: (c[:2], None),
            r"takes a carry that is float64\[3\], but returns float64\[2\]: the shapes",
        ),
        (
            lambda c, _: (np.float32(1) * xp.astype(c, np.float32), None),
            r"float64\[3\], but returns float32\[3\]",
        ),
        (lambda c, _: ((c, c), None), r"carry of structure .* but returns "),
        (lambda c, _: c, r"must return a pair"),
    ],
)
def test_a_carry_that_changes_is_an_error_with_both_sides(step, message, within):
    with pytest.raises(TypeError, match=_line(message)):
        within(lambda x: scan(step, x, length=3))(X)


def test_what_of_a_carry_changes_is_named():
    with pytest.raises(TypeError, match=_line(r"carry\[1\]\['a'\] is float64\[3\], but returns float64\[\]")):
        trace(lambda x: scan(lambda c, _: ((c[0], {"a": np.sum(c[1]["a"])}), None), (x, {"a": x}), length=2))(
            X
        )
    with pytest.raises(TypeError, match=_line(r"while_loop: .* int64\[\], but returns float64\[\]")):
        trace(lambda x: while_loop(lambda c: c < 3, lambda c: c + x[0], np.asarray(1)))(X)


def test_lengths_that_differ_or_are_missing_are_errors():
    for arguments, message in (
        ({"xs": X, "length": 4}, "the lengths 3, 4 differ"),
        ({"xs": (X, XS)}, "the lengths 3, 4 differ"),
        ({}, "no xs and no length"),
        ({"xs": 1.0}, "scalar, which has no axis"),
    ):
        with pytest.raises(ValueError, match=_line(message)):
            scan(lambda c, x: (c, x), 0.0, **arguments)


def test_branches_that_differ_are_an_error_with_both_sides():
    positive = lambda f, g: trace(lambda x: cond(np.sum(x) > 0, f, g, x))(X)
    with pytest.raises(
        TypeError, match=_line(r"float64\[3\] from lambda \(true\), but float64\[2\] from lambda")
    ):
        positive(lambda x: x, lambda x: x[:2])
    with pytest.raises(TypeError, match=_line(r"lambda \(true\) returns structure")):
        positive(lambda x: (x, x), lambda x: x)
    with pytest.raises(TypeError, match=_line(r"bool\[3\], but must be a scalar")):
        trace(lambda x: cond(x > 0, lambda: 1, lambda: 2))(X)


def test_conditions_must_be_scalar_bools():
    with pytest.raises(TypeError, match=_line(r"must return a scalar bool, but returns bool\[3\]")):
        trace(lambda x: while_loop(lambda c: c > 0, lambda c: c, x))(X)


def test_while_loop_has_no_gradient_and_says_so():
    def loss(x):
        return np.sum(while_loop(lambda c: np.sum(c) < 9, lambda c: c * 2, x + 2))

    with pytest.raises(TypeError, match=_line("no gradient through while_loop")):
        grad(loss)(X)
    assert grad(lambda x: dagexec.stop_gradient(loss(x)) * np.sum(x))(X).shape == (3,)


def test_there_is_no_scalar_form():
    graph = trace(lambda x: scan(lambda c, _: (c, None), x, length=2)[0])(X)
    with pytest.raises(ValueError, match=_line("'scan' has no scalar form")):
        dagexec.scalarize(graph)


def test_an_error_in_a_step_names_the_op_and_the_line():
    def fails(value):
        raise ZeroDivisionError("oh")

    def program(x):
        return scan(lambda c, _: (dagexec.call(fails, c, spec=Spec((3,), np.float64)), None), x, length=2)[0]

    with pytest.raises(ZeroDivisionError) as caught:
        jit(program)(X)
    assert any("fails" in note and "test_control.py" in note for note in caught.value.__notes__)
    assert any("scan" in note for note in caught.value.__notes__)


def test_a_step_that_assigns_in_place_changes_neither_init_nor_earlier_results() -> None:
    def step(carry, x):
        carry += x
        return carry, carry

    init = np.zeros(2)
    _, ys = dagexec.scan(step, init, np.ones(3))
    np.testing.assert_array_equal(ys, [[1, 1], [2, 2], [3, 3]])
    np.testing.assert_array_equal(init, [0, 0])
