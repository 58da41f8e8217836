"""Dead code: gone, but for plain callables and what they read."""

import numpy as np

import dagexec
from dagexec.graph import Graph, Node
from dagexec.ops import python_op
from dagexec.rewrite import drop_unread, simplify
from tests.rewrite.comparing import assert_same_bits, ops


def test_what_no_result_needs_is_dropped():
    graph = dagexec.trace(lambda x: (np.exp(x), np.sin(np.cos(x))))(np.ones(3))
    half = Graph(graph.nodes, graph.inputs, graph.outputs[:1])
    assert ops(drop_unread(half)) == ["exp"]
    assert drop_unread(graph) is graph
    x = np.arange(3.0)
    assert_same_bits(dagexec.run(half, x)[0], np.exp(x))


def test_inputs_stay_though_nobody_reads_them():
    graph = dagexec.trace(lambda x, y: np.exp(x))(np.ones(3), np.ones(3))
    assert len(drop_unread(graph).inputs) == 2


def test_plain_callables_are_called_for_what_they_do():
    told = []
    source, result = Node(python_op(lambda: 3)), Node(python_op(lambda: 4))
    telling = Node(python_op(told.append), (source,))
    graph = Graph([source, telling, result], [], [result])
    assert drop_unread(graph) is graph
    dagexec.run(graph)
    assert told == [3]


def test_nor_are_they_lost_when_something_else_is_rewritten():
    told = []
    traced = dagexec.trace(lambda x: x * 1)(np.ones(2))
    telling = Node(python_op(told.append), (traced.outputs[0],))
    graph = Graph([*traced.nodes, telling], traced.inputs, traced.outputs)
    assert ops(simplify(graph)) == ["append"]
    dagexec.run(graph, np.ones(2))
    assert len(told) == 1
