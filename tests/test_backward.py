"""The backward graph: right gradients, how it is labelled, and that only what is needed is built."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings

import dagexec
from dagexec import xp
from dagexec.graph import Graph, Node
from dagexec.tracing import block, scope, trace
from tests.oracle import (
    assert_same,
    central_differences,
    check_gradient,
    evaluate,
    leaves_of,
    relative_error,
)
from tests.strategies import Program, programs

RANDOM = np.random.default_rng(11)


def backward_nodes(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.phase == "backward"]


def names(nodes: Any) -> list[str]:
    return [node.op.name for node in nodes]


def gradient(fn: Any, *arguments: Any, wrt: Any = 0) -> Any:
    return evaluate(trace(fn)(*arguments).backward(wrt), *arguments)[1]


def depth_of(node: Node, names: set[str]) -> int:
    """The number of nodes of these ops on the longest path that ends in `node` and has no other op."""
    depths: dict[Node, int] = {}
    pending = [node]
    while pending:
        one = pending[-1]
        sources = [source for source in one.inputs if one.op.name in names]
        missing = [source for source in sources if source not in depths]
        if missing:
            pending += missing
            continue
        depths[one] = 1 + max((depths[source] for source in sources), default=-1)
        pending.pop()
    return depths[node]


# --- the gradient of random programs --------------------------------------------------------------------
@settings(max_examples=80)
@given(programs())
def test_gradient_of_a_random_program_is_that_of_central_differences(program: Program) -> None:
    graph = trace(program.run)(*program.arguments)
    check_gradient(graph, *program.arguments, tolerance=1e-6)


@settings(max_examples=60)
@given(programs(max_steps=6))
def test_second_derivative_of_a_random_program_is_that_of_central_differences(program: Program) -> None:
    graph = trace(program.run)(*program.arguments)
    first = check_gradient(graph, *program.arguments, tolerance=1e-6)
    check_gradient(first, *program.arguments, tolerance=1e-4)


@settings(max_examples=100)
@given(programs())
def test_backward_graph_of_a_random_program_is_well_formed(program: Program) -> None:
    graph = trace(program.run)(*program.arguments)
    back = graph.backward(tuple(range(len(program.arguments))), cotangent=_ones_like(graph))
    forward = set(graph.nodes)
    places = {node: k for k, node in enumerate(back.nodes)}
    assert back.inputs == graph.inputs
    for node in back.nodes:
        assert all(places[source] < places[node] for source in node.inputs)
        if node in forward or node.op.name == "constant":
            continue
        assert node.phase == "backward"
        assert node.grad_of in forward
        assert node.scope == node.grad_of.scope
        readers = [reader for reader in graph.nodes if node.grad_of in reader.inputs]
        lines = {one.where for one in (readers if node.grad_of in graph.inputs else [node.grad_of])}
        assert node.where in lines or not lines  # an input that nothing reads has none
    needed = set(back.outputs)
    for node in reversed(back.nodes):
        if node in needed:
            needed.update(node.inputs)
    assert set(back.nodes) <= needed | set(back.inputs)


@settings(max_examples=50)
@given(programs())
def test_derivation_gives_the_same_graph_every_time(program: Program) -> None:
    graph = trace(program.run)(*program.arguments)
    first, second = [graph.backward(0, cotangent=_ones_like(graph)) for _ in range(2)]
    assert str(first) == str(second)
    for one, other in zip(
        leaves_of(evaluate(first, *program.arguments)), leaves_of(evaluate(second, *program.arguments))
    ):
        assert one.tobytes() == other.tobytes()


def _ones_like(graph: Graph) -> Any:
    import optree

    return optree.tree_unflatten(graph.out_tree, [np.ones(node.spec.shape) for node in graph.outputs])


# --- against JAX ----------------------------------------------------------------------------------------
def _mlp(xp: Any, p: Any, x: Any) -> Any:
    for w, b in p["layers"]:
        x = xp.maximum(x @ w + b, 0)
    return xp.sum(x * x)


def _rnn(xp: Any, p: Any, xs: Any) -> Any:
    h = xp.zeros((2, 3))
    for x in xs:
        h = xp.tanh(h @ p["w"] + x @ p["u"] + p["b"])
    return xp.mean(h**2)


def _attention(xp: Any, p: Any, x: Any) -> Any:
    q, k, v = x @ p["q"], x @ p["k"], x @ p["v"]
    scores = xp.einsum("bid,bjd->bij", q, k) / 3**0.5
    scores = xp.where(np.tri(4, dtype=bool), scores, -1e9)
    weights = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    weights = weights / xp.sum(weights, axis=-1, keepdims=True)
    return xp.sum(xp.einsum("bij,bjd->bid", weights, v) ** 2)


def _norm_and_gather(xp: Any, p: Any, x: Any) -> Any:
    embedded = p["table"][np.array([[0, 2, 2], [1, 0, 2]])]
    centred = embedded - xp.mean(embedded, axis=-1, keepdims=True)
    scaled = centred / xp.sqrt(xp.var(embedded, axis=-1, keepdims=True) + 1e-5)
    joined = xp.concat([scaled, xp.broadcast_to(x, (2, 3, 2))], axis=-1)
    return xp.sum(xp.stack([joined, joined**2]) * xp.reshape(p["gain"], (1, 1, 1, -1)))


MODELS = {
    "mlp": (_mlp, {"layers": [((5, 4), (4,)), ((4, 3), (3,))]}, (6, 5)),
    "rnn": (_rnn, {"w": (3, 3), "u": (2, 3), "b": (3,)}, (5, 2, 2)),
    "attention": (_attention, {"q": (3, 3), "k": (3, 3), "v": (3, 2)}, (2, 4, 3)),
    "norm and gather": (_norm_and_gather, {"table": (3, 4), "gain": (6,)}, (2,)),
}


def _made(shapes: Any) -> Any:
    if isinstance(shapes, dict):
        return {name: _made(shape) for name, shape in shapes.items()}
    if isinstance(shapes, list):
        return [tuple(_made(shape) for shape in pair) for pair in shapes]
    return RANDOM.normal(size=shapes)


@pytest.fixture(scope="module")
def jax() -> Any:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


@pytest.mark.parametrize("name", MODELS)
def test_gradient_of_a_model_is_that_of_jax(jax: Any, name: str) -> None:
    fn, shapes, shape = MODELS[name]
    p, x = _made(shapes), RANDOM.normal(size=shape)
    value, gradients = evaluate(trace(lambda p, x: fn(xp, p, x))(p, x).backward((0, 1)), p, x)
    expected, wanted = jax.value_and_grad(lambda p, x: fn(jax.numpy, p, x), argnums=(0, 1))(p, x)
    assert relative_error(value, expected) < 1e-12
    for one, other in zip(leaves_of(gradients), leaves_of(wanted), strict=True):
        assert relative_error(one, other) < 1e-12


@settings(max_examples=25)
@given(program=programs(max_steps=8))
def test_gradient_of_a_random_program_is_that_of_jax(jax: Any, program: Program) -> None:
    wrt = tuple(range(len(program.arguments)))
    graph = trace(program.run)(*program.arguments)
    back = graph.backward(wrt, cotangent=_ones_like(graph))

    def total(*arguments: Any) -> Any:
        return sum(result.sum() for result in program.run(*arguments, namespace=jax.numpy))

    for one, other in zip(evaluate(back, *program.arguments)[1], jax.grad(total, wrt)(*program.arguments)):
        assert relative_error(one, other) < 1e-9


def test_gradient_of_abs_at_zero_is_zero() -> None:
    assert_same(gradient(lambda x: np.sum(np.abs(x)), np.array([0.0, -2.0])), np.array([0.0, -1.0]))


def test_gradient_of_zero_to_the_power_zero_is_zero() -> None:
    found = gradient(lambda x, y: x**y, 0.0, 0.0, wrt=(0, 1))
    assert_same(list(found), [np.zeros(()), np.zeros(())])


TIES = {
    "maximum": (lambda xp, x, y: xp.maximum(x, y), [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]),
    "minimum": (lambda xp, x, y: xp.minimum(x, y), [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]),
    "relu at zero": (lambda xp, x, y: xp.maximum(x, 0) * y, [0.0, -1.0, 1.0], [1.0, 1.0, 1.0]),
    "max": (lambda xp, x, y: xp.max(x * y), [2.0, 2.0, 1.0], [1.0, 1.0, 2.0]),
    "min": (lambda xp, x, y: xp.min(x) * y, [2.0, 1.0, 1.0], [1.0, 1.0, 2.0]),
    "zero to a power": (lambda xp, x, y: xp.pow(x, y), [0.0, 0.0, 2.0], [1.0, 2.0, 0.0]),
    "sign": (lambda xp, x, y: xp.sign(x) * y, [0.0, -1.0, 1.0], [1.0, 2.0, 3.0]),
    "where": (lambda xp, x, y: xp.where(x > y, x, y), [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]),
    "product with zeros": (lambda xp, x, y: xp.prod(x * y), [0.0, 2.0, 3.0], [1.0, 1.0, 1.0]),
    "product of zeros": (lambda xp, x, y: xp.prod(x) * y, [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]),
}


@pytest.mark.parametrize("name", TIES)
def test_gradient_at_ties_kinks_and_zeros_is_that_of_jax(jax: Any, name: str) -> None:
    fn, x, y = TIES[name]
    x, y = np.array(x), np.array(y)
    gradients = gradient(lambda x, y: xp.sum(fn(xp, x, y)), x, y, wrt=(0, 1))
    wanted = jax.grad(lambda x, y: jax.numpy.sum(fn(jax.numpy, x, y)), argnums=(0, 1))(x, y)
    for one, other in zip(gradients, wanted):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gradient_has_the_dtype_of_its_argument(dtype: str) -> None:
    x, other = np.array([[0.7, 1.0, 1.6], [0.2, 1.2, 0.9]], dtype), np.ones(3, np.float64)

    def fn(x: Any, other: Any) -> Any:
        y = (x * 2.0 + 1) ** 2 / 3 - x**3 + np.mean(x, axis=0) + np.maximum(x, 0.5)
        return np.sum(np.tanh(y) * other) + np.var(x) + np.prod(x) + np.max(x)

    first, second = gradient(fn, x, other, wrt=(0, 1))
    assert (first.dtype, second.dtype) == (x.dtype, other.dtype)
    wanted = central_differences(lambda x: fn(x, other), [x])[0]
    assert relative_error(first, wanted) < {"float16": 3e-2, "float32": 1e-5, "float64": 1e-8}[dtype]


# --- what is built --------------------------------------------------------------------------------------
def test_gradient_for_one_argument_does_not_build_that_for_another() -> None:
    graph = trace(lambda x, w: np.sum(x @ w))(np.ones((2, 3)), np.ones((3, 4)))
    built = {number: names(backward_nodes(graph.backward(number))) for number in (0, 1)}
    assert built[0].count("matmul") == built[1].count("matmul") == 1
    both = names(backward_nodes(graph.backward((0, 1))))
    assert both.count("matmul") == 2


def test_join_does_not_derive_the_parts_that_are_not_asked_for() -> None:
    graph = trace(lambda x, y: np.sum(np.concatenate([x, np.exp(y)])))(np.ones(2), np.ones(2))
    assert "multiply" not in names(backward_nodes(graph.backward(0)))
    assert "multiply" in names(backward_nodes(graph.backward(1)))


def test_branch_without_the_argument_is_not_derived() -> None:
    def fn(x: Any, y: Any) -> Any:
        costly = y
        for _ in range(50):
            costly = np.tanh(costly @ costly)
        return np.sum(x * costly)

    back = trace(fn)(np.ones((2, 2)), np.ones((2, 2))).backward(0)
    assert len(backward_nodes(back)) <= 3


def test_value_that_the_result_does_not_need_is_not_derived() -> None:
    def fn(x: Any) -> Any:
        np.exp(x) * np.log(x)
        return np.sum(np.sin(x))

    assert set(names(trace(fn)(np.ones(2)).backward().nodes)) == {
        "input", "sin", "sum", "cos", "multiply", "broadcast_to", "constant"
    }  # fmt: skip


def test_forward_values_are_shared_with_the_backward_graph() -> None:
    graph = trace(lambda x: np.sum(np.exp(x)))(np.ones(2))
    back = graph.backward()
    assert names(back.nodes).count("exp") == 1
    assert back.nodes[: len(graph)] == graph.nodes


def test_unused_argument_has_gradient_zero_of_its_shape_and_dtype() -> None:
    arguments = (np.ones(2), np.ones((3, 4), np.float32), 1.0)
    _, gradients = evaluate(trace(lambda x, y, z: np.sum(x))(*arguments).backward((0, 1, 2)), *arguments)
    assert_same(list(gradients), [np.ones(2), np.zeros((3, 4), np.float32), np.zeros(())])


@pytest.mark.parametrize(
    "fn",
    [lambda x: np.sum(np.floor(x)), lambda x: np.sum(x > 1) * 1.0, lambda x: np.sum(np.sign(x) + np.rint(x))],
)
def test_argument_behind_a_piecewise_constant_op_has_gradient_zero(fn: Any) -> None:
    assert_same(gradient(fn, np.full((2, 2), 1.5)), np.zeros((2, 2)))


def test_argument_that_is_the_result_has_gradient_one() -> None:
    assert_same(gradient(lambda x: x, 3.0), np.ones(()))


def test_constant_result_has_gradient_zero() -> None:
    assert_same(gradient(lambda x: 3.0, np.ones(2)), np.zeros(2))


@pytest.mark.parametrize(("uses", "depth"), [(2, 1), (3, 2), (4, 2), (5, 3), (64, 6), (65, 7)])
def test_gradients_of_a_parameter_are_summed_in_a_balanced_tree(uses: int, depth: int) -> None:
    def fn(w: Any, xs: Any) -> Any:
        return sum(np.sum(np.sin(x * w)) for x in xs)

    w, xs = np.ones(3), [np.full(3, float(k)) for k in range(uses)]
    back = trace(fn)(w, xs).backward()
    assert depth_of(back.outputs[1], {"add"}) == depth
    assert names(backward_nodes(back)).count("add") == uses - 1
    assert_same(evaluate(back, w, xs)[1], sum(np.cos(x * w) * x for x in xs))


def test_piece_and_whole_of_one_array_sum_their_gradients() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])

    def fn(x: Any) -> Any:
        first, second = np.split(x, 2)
        return np.sum(first * first) + np.sum(first * second) + np.sum(x[1:] * x[:-1])

    assert relative_error(gradient(fn, x), central_differences(fn, [x])[0]) < 1e-9


def test_iteration_over_an_empty_array_has_gradient_zero() -> None:
    def fn(x: Any, scale: Any) -> Any:
        return sum((np.sum(row) for row in x), scale)

    x = np.ones((0, 2))
    assert_same(list(gradient(fn, x, 2.0, wrt=(0, 1))), [x, np.ones(())])


# --- labels ---------------------------------------------------------------------------------------------
def test_backward_nodes_stand_in_the_scope_and_line_of_their_forward_node() -> None:
    @block
    def cell(x: Any, w: Any) -> Any:
        return np.tanh(x @ w)

    def fn(x: Any, w: Any) -> Any:
        with scope("rnn"):
            for _ in range(2):
                x = cell(x, w)
        return np.sum(x)

    graph = trace(fn)(np.ones((2, 2)), np.ones((2, 2)))
    back = graph.backward((0, 1))
    scopes = {node.scope for node in backward_nodes(back)}
    assert scopes == {("rnn", "cell[0]"), ("rnn", "cell[1]"), ()}
    for node in backward_nodes(back):
        assert node.grad_of in graph.nodes
        assert node.scope == node.grad_of.scope
        assert node.where == node.grad_of.where or node.grad_of in graph.inputs
    assert all(node.grad_of is None and node.phase == "forward" for node in graph.nodes)
    tanhs = [node for node in graph.nodes if node.op.name == "tanh"]
    assert all(any(node.grad_of is tanh for node in backward_nodes(back)) for tanh in tanhs)


def test_sum_of_gradients_belongs_to_the_value_that_was_used_often() -> None:
    graph = trace(lambda x: np.sum(np.sin(x) * np.cos(x)))(np.ones(2))
    adds = [node for node in backward_nodes(graph.backward()) if node.op.name == "add"]
    assert [node.grad_of for node in adds] == [graph.inputs[0]]


def test_graph_is_not_changed_by_its_derivation() -> None:
    graph = trace(lambda x: np.sum(np.prod(x, axis=0) * 2))(np.ones((2, 3)))
    before = str(graph), graph.nodes, [node.inputs for node in graph.nodes]
    graph.backward()
    assert (str(graph), graph.nodes, [node.inputs for node in graph.nodes]) == before


# --- arguments of backward ------------------------------------------------------------------------------
class Params(NamedTuple):
    w: Any
    b: Any


def test_gradients_have_the_structure_of_the_argument() -> None:
    p, x = Params(np.ones((2, 2)), {"inner": [np.ones(2), None]}), np.ones((3, 2))
    graph = trace(lambda p, x: np.sum((x @ p.w + p.b["inner"][0]) ** 2))(p, x)
    _, found = evaluate(graph.backward(), p, x)
    assert isinstance(found, Params)
    assert found.w.shape == (2, 2)
    assert found.b["inner"][0].shape == (2,)
    assert found.b["inner"][1] is None
    _, (first, second) = evaluate(graph.backward((1, 0)), p, x)
    assert first.shape == x.shape
    assert isinstance(second, Params)
    _, nothing = evaluate(graph.backward(()), p, x)
    assert nothing == ()


def test_argument_may_be_asked_for_twice() -> None:
    _, (first, second) = evaluate(trace(lambda x: x * x)(3.0).backward((0, 0)), 3.0)
    assert float(first) == float(second) == 6.0


def test_cotangent_weights_the_result() -> None:
    x = RANDOM.normal(size=(2, 3))
    weights = {"a": RANDOM.normal(size=(2, 3)), "b": 2.0}
    graph = trace(lambda x: {"a": np.sin(x), "b": np.sum(x)})(x)
    value, found = evaluate(graph.backward(cotangent=weights), x)
    assert_same(value["a"], np.sin(x))
    assert_same(found, weights["a"] * np.cos(x) + 2.0)


@pytest.mark.parametrize("wrt", [2, -1, (0, 5), (-3,)])
def test_argument_that_is_not_there_is_refused(wrt: Any) -> None:
    graph = trace(lambda x, y: x * y)(1.0, 2.0)
    with pytest.raises(ValueError, match=r"wrt=-?\d: the graph has 2 arguments, counted from 0"):
        graph.backward(wrt)


@pytest.mark.parametrize("wrt", ["x", None, 0.5, ("x",)])
def test_argument_that_is_no_number_is_refused(wrt: Any) -> None:
    with pytest.raises(TypeError):
        trace(lambda x: x * x)(1.0).backward(wrt)


@pytest.mark.parametrize(("argument", "dtype"), [(2, "int64"), (True, "bool")])
def test_argument_that_is_not_floating_point_is_refused_by_name(argument: Any, dtype: str) -> None:
    graph = trace(lambda p: p["k"] * 1.0)({"k": argument})
    with pytest.raises(TypeError, match=rf"no gradient with respect to 'p\.k': its dtype is {dtype}"):
        graph.backward()


@pytest.mark.parametrize("fn", [lambda x: x * 2, lambda x: np.sum(x) > 0, lambda x: np.sum(x > 1)])
def test_result_that_is_no_real_scalar_needs_a_cotangent(fn: Any) -> None:
    with pytest.raises(TypeError, match=r"real scalar, but the result is .*test_backward\.py:\d+\)"):
        trace(fn)(np.ones(2)).backward()


def test_several_results_need_a_cotangent() -> None:
    with pytest.raises(TypeError, match="a result of 2 arrays needs a cotangent="):
        trace(lambda x: (x, x))(1.0).backward()


def test_cotangent_that_does_not_fit_is_refused() -> None:
    graph = trace(lambda x: (x, np.sum(x)))(np.ones(2))
    for wrong in (np.ones(2), (np.ones(2),), [np.ones(2), 1.0], (np.ones(2), {"a": 1.0})):
        with pytest.raises(ValueError, match=r"structure .* is not the result's"):
            graph.backward(cotangent=wrong)
    with pytest.raises(ValueError, match=r"cotangent of shape \(3,\) does not fit the result float64\[2\]"):
        graph.backward(cotangent=(np.ones(3), 1.0))


# --- higher orders and size -----------------------------------------------------------------------------
def test_third_derivative_by_backward_of_backward_of_backward() -> None:
    graph = trace(lambda x: x**4 + np.sin(2 * x))(0.7)
    for _ in range(3):
        graph = trace_of_gradient(graph)
    assert float(evaluate(graph, 0.7)[0]) == pytest.approx(24 * 0.7 - 8 * np.cos(1.4), rel=1e-12)


def trace_of_gradient(graph: Graph) -> Graph:
    """The graph of the gradient alone: the second half of what backward returns."""
    back = graph.backward(cotangent=None if graph.out_tree.num_nodes == 1 else (1.0,))
    return Graph(back.nodes, back.inputs, back.outputs[1:], back.in_tree)


def test_hessian_of_a_quadratic_form_is_its_matrix() -> None:
    a, x = RANDOM.normal(size=(4, 4)), RANDOM.normal(size=4)
    first = trace(lambda x: x @ a @ x)(x).backward()
    rows = [evaluate(first.backward(cotangent=(0.0, one)), x)[1] for one in np.eye(4)]
    assert relative_error(np.array(rows), a + a.T) < 1e-12


def test_nodes_of_a_second_derivative_name_the_backward_nodes_they_come_from() -> None:
    first = trace(lambda x: np.sum(np.sin(x) ** 3))(np.ones(2)).backward()
    second = first.backward(cotangent=(1.0, np.ones(2)))
    new = [node for node in second.nodes if node not in set(first.nodes) and node.op.name != "constant"]
    assert all(node.grad_of in first.nodes for node in new)
    assert any(node.grad_of.phase == "backward" for node in new)


def test_chain_of_20000_nodes_is_derived_without_recursion() -> None:
    def fn(x: Any) -> Any:
        for _ in range(10_000):
            x = np.sin(x) + 1e-3
        return x

    value, derivative = evaluate(trace(fn)(0.5).backward(), 0.5)
    x, expected = 0.5, 1.0
    for _ in range(10_000):
        x, expected = np.sin(x) + 1e-3, expected * np.cos(x)
    assert float(value) == x
    assert float(derivative) == pytest.approx(expected, rel=1e-9)


def test_wide_and_shared_graph_grows_linearly() -> None:
    """Each of n uses adds the same number of backward nodes."""

    def fn(n: int) -> Any:
        return lambda x: np.sum(np.stack([np.sin(x * k) for k in range(n)]))

    sizes = [len(trace(fn(n))(np.ones(2)).backward()) for n in (10, 20, 40)]
    assert sizes[2] - sizes[1] == 2 * (sizes[1] - sizes[0])


def test_pieces_taken_by_index_are_put_back_by_one_node() -> None:
    def fn(x: Any) -> Any:
        pieces = [x[n] * (n + 1) for n in range(20)]
        rows = np.array([[3, 3], [0, 5]])
        return sum(np.sum(piece) for piece in pieces) + np.sum(x[rows]) + np.sum(x * x)

    graph = dagexec.trace(fn)(np.ones((20, 2))).backward()
    assert [node.op.name for node in graph.nodes].count("scatter_add") == 1
    x = np.random.default_rng(0).normal(size=(20, 2))
    expected = 2 * x + np.arange(1, 21)[:, None]
    for row in (3, 3, 0, 5):
        expected[row] += 1
    assert np.allclose(dagexec.run(graph, x)[1], expected, rtol=1e-14)
    second = dagexec.trace(lambda x: np.sum(dagexec.grad(fn)(x)[::2] * x[::2]))(x).backward()
    again = np.zeros_like(x)
    again[::2] = expected[::2] + 2 * x[::2]
    assert np.allclose(dagexec.run(second, x)[1], again, rtol=1e-13)


@pytest.mark.parametrize("reduce", [np.prod, np.sum])
def test_the_gradient_of_an_empty_reduction_is_empty(reduce: Any) -> None:
    assert dagexec.grad(lambda x: np.sum(reduce(x, axis=1)))(np.ones((2, 0))).shape == (2, 0)
