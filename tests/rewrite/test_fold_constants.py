"""Constant folding: computed once, but nothing large, nothing random, and nothing that goes wrong."""

import numpy as np
import pytest

import dagexec
from dagexec.graph import CONSTANT, Graph, Node, Spec
from dagexec.ops import TABLE
from dagexec.rewrite import fold_constants
from tests.oracle import evaluate
from tests.rewrite.comparing import assert_same_bits, check_exact, ops


def graph_of_constants(name, *values, **params):
    nodes = [Node(CONSTANT, params={"value": value}, spec=Spec(value.shape, value.dtype)) for value in values]
    op = TABLE[name]
    result = Node(op, tuple(nodes), params, op.infer(*[node.spec for node in nodes], **params))
    return Graph([*nodes, result], [], [result])


def test_what_is_made_of_constants_is_one():
    graph = dagexec.trace(lambda x: 3 * np.sin(x))(np.ones(2)).backward(cotangent=np.array([1.0, 10.0]))
    folded = fold_constants(graph)
    assert ops(folded) == ["sin", "multiply", "cos", "multiply"]
    x = np.array([0.1, 0.2])
    assert_same_bits(evaluate(folded, x), evaluate(graph, x))


@pytest.mark.parametrize(
    ("name", "values", "params"),
    [
        ("add", [np.ones(2), np.arange(2.0)], {}),
        ("matmul", [np.eye(3), np.arange(9.0).reshape(3, 3)], {}),
        ("sum", [np.arange(9.0)], {"axis": (0,), "keepdims": False}),
        ("reshape", [np.arange(9.0)], {"shape": (3, 3)}),
    ],
)
def test_ops_on_constants(name, values, params):
    graph = graph_of_constants(name, *values, **params)
    folded = fold_constants(graph)
    assert ops(folded) == []
    assert_same_bits(evaluate(folded), evaluate(graph))


@pytest.mark.parametrize(
    ("name", "values", "params"),
    [
        ("broadcast_to", [np.ones(2)], {"shape": (5, 2)}),
        ("multiply", [np.ones((200, 1)), np.ones(200)], {}),
        ("random_uniform", [np.zeros(2, np.uint64)], {"shape": (3,), "dtype": np.dtype(float)}),
        ("divide", [np.ones(2), np.zeros(2)], {}),  # warns, which is the run's to do
        ("getitem", [np.ones(2), np.array([7])], {"index": ("array",)}),  # raises
    ],
)
def test_what_is_left_to_the_run(name, values, params):
    graph = graph_of_constants(name, *values, **params)
    assert fold_constants(graph) is graph


def test_what_depends_on_an_argument_is_left_alone():
    check_exact(fold_constants, lambda x: np.sin(x) * 2, np.ones(3), left=["sin", "multiply"])
