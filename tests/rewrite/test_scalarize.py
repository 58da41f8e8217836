"""`scalarize`: the same function, written with operations on numbers only."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import dagexec
from dagexec import xp
from dagexec.graph import Graph, Node
from dagexec.ops import python_op
from dagexec.rewrite import scalarize
from tests.oracle import evaluate, leaves_of
from tests.strategies import arrays

ASSEMBLY = {"input", "getitem", "stack", "reshape"}


def assert_same_function(graph, *arguments, rtol=1e-6):
    scalar = scalarize(graph)
    for node in scalar.nodes:
        assert node.spec.shape == () or node.op.name in ASSEMBLY, f"{node} is no scalar"
    found, expected = leaves_of(evaluate(scalar, *arguments)), leaves_of(evaluate(graph, *arguments))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert_allclose(one, other, rtol=rtol, atol=1e-6)


def computed(graph):
    return Counter(node.op.name for node in graph.nodes if node.op.name not in ASSEMBLY)


def test_a_3_by_3_matrix_times_a_vector_is_nine_products_and_six_sums():
    graph = dagexec.trace(lambda A, x: A @ x)(np.ones((3, 3)), np.ones(3))
    assert computed(scalarize(graph)) == {"multiply": 9, "add": 6}


def test_elements_of_arguments_have_the_line_that_reads_them():
    graph = dagexec.trace(lambda A, x: A @ x)(np.ones((2, 2)), np.ones(2))
    (line,) = {node.where for node in graph.nodes if node.op.name == "matmul"}
    assert {node.where for node in scalarize(graph).nodes if node.op.name != "input"} == {line}


def test_sums_are_balanced_trees():
    scalar = scalarize(dagexec.trace(np.sum)(np.ones(16)))
    depth = {}
    for node in scalar.nodes:
        below = max((depth[source] for source in node.inputs), default=0)
        depth[node] = below + (node.op.name == "add")
    assert computed(scalar) == {"add": 15}
    assert max(depth.values()) == 4


def test_movement_is_no_operation():
    def moved(x):
        return np.flip(np.concatenate([x.T, x[:, ::-1]]).reshape(-1), axis=0)[1::2]

    graph = dagexec.trace(moved)(np.ones((3, 3)))
    assert not computed(scalarize(graph))
    assert_same_function(graph, np.arange(9.0).reshape(3, 3))


UNARY = [
    np.tanh,
    lambda x: x.astype(np.float32),
    lambda x: np.where(x > 0, x, -x),
    lambda x: np.clip(x, -1, 1),
    lambda x: xp.broadcast_to(x[..., None], (*x.shape, 2)),
]
REDUCTIONS = [xp.sum, xp.prod, xp.mean, xp.var, xp.max, xp.min, xp.all, xp.any, xp.logsumexp]


@given(x=arrays(dtypes=["float32", "float64", "int32"], min_side=1), fn=st.sampled_from(UNARY))
def test_elementwise_ops_and_movement_keep_their_values(x, fn):
    assert_same_function(dagexec.trace(fn)(x), x)


@given(
    x=arrays(dtypes=["float32", "float64", "int32", "bool"], min_dims=1, min_side=1),
    fn=st.sampled_from(REDUCTIONS),
    keepdims=st.booleans(),
    last=st.booleans(),
)
def test_reductions_keep_their_values(x, fn, keepdims, last):
    assume(fn is not xp.logsumexp or x.dtype.kind == "f")
    graph = dagexec.trace(lambda x: fn(x, axis=-1 if last else None, keepdims=keepdims))(x)
    assert_same_function(graph, x, rtol=1e-5)


@given(
    x=arrays(dtypes=["float64", "int32"], min_dims=1, min_side=1), name=st.sampled_from(["argmax", "argmin"])
)
def test_positions_of_extrema_are_the_first(x, name):
    if x.dtype.kind == "f" and x.size > 2:
        x.flat[x.size // 2] = np.nan
    assert_same_function(dagexec.trace(lambda x: getattr(xp, name)(x, axis=0))(x), x)


@given(st.data())
def test_matrix_products_keep_their_values(data):
    n, k, m = (data.draw(st.integers(1, 3)) for _ in range(3))
    left = data.draw(st.sampled_from([(k,), (n, k), (2, n, k), (2, 1, n, k)]))
    right = data.draw(st.sampled_from([(k,), (k, m), (2, k, m)]))
    a, b = (
        data.draw(arrays(shape=left, dtypes=["float64"])),
        data.draw(arrays(shape=right, dtypes=["float64"])),
    )
    assert_same_function(dagexec.trace(lambda a, b: a @ b)(a, b), a, b)


def test_a_backward_graph_keeps_its_values_phases_and_scopes():
    @dagexec.block
    def layer(x, w):
        return np.tanh(x @ w)

    def loss(w, x):
        return np.sum(layer(x, w)[np.array([0, 0, 1])] ** 2)

    w, x = np.linspace(-1, 1, 6).reshape(3, 2), np.linspace(0, 1, 6).reshape(2, 3)
    graph = dagexec.trace(loss)(w, x).backward()
    assert_same_function(graph, w, x)
    scalar = scalarize(graph)
    tanh = [node for node in scalar.nodes if node.op.name == "tanh"]
    assert len(tanh) == 4
    assert all(node.scope == ("layer[0]",) and node.phase == "forward" for node in tanh)
    backward = [node for node in scalar.nodes if node.phase == "backward" and node.op.name == "multiply"]
    assert backward
    assert all(node.grad_of in scalar.nodes for node in backward if node.scope)


def test_a_result_that_is_an_argument_stays_it():
    graph = scalarize(dagexec.trace(lambda x: x)(np.ones(3)))
    assert_same_function(graph, np.arange(3.0))


def test_an_op_without_scalar_form_is_named():
    node = Node(python_op(len))
    with pytest.raises(ValueError, match="'len' has no scalar form"):
        scalarize(Graph([node], [], [node]))


def test_an_index_known_only_when_run_is_refused():
    graph = dagexec.trace(lambda x, i: x[i])(np.ones(3), np.array([0, 2]))
    with pytest.raises(ValueError, match="'getitem' by a computed index"):
        scalarize(graph)


def test_a_graph_too_large_to_look_at_is_refused_with_both_numbers():
    graph = dagexec.trace(lambda a: a @ a)(np.ones((30, 30)))
    with pytest.raises(ValueError, match=r"54,000 scalar operations; 20,000 are the limit"):
        scalarize(graph)
