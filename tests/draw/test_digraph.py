"""A graph as a networkx.DiGraph."""

import networkx as nx
import numpy as np

import dagexec


def test_nodes_are_numbered_as_in_the_graph_and_tell_all():
    graph = dagexec.trace(lambda x: np.sum(np.tanh(x)))(np.ones((2, 3), np.float32)).backward()
    digraph = graph.to_networkx()
    assert list(digraph) == list(range(len(graph)))
    for number, node in enumerate(graph.nodes):
        shown = digraph.nodes[number]
        assert (shown["op"], shown["phase"], shown["scope"]) == (node.op.name, node.phase, node.scope)
        assert (shown["shape"], shown["dtype"]) == (node.spec.shape, node.spec.dtype)
        if node.grad_of is not None:
            assert graph.nodes[shown["grad_of"]] is node.grad_of
    assert any(shown["grad_of"] is not None for _, shown in digraph.nodes(data=True))


def test_edges_hold_every_place_a_value_is_read_at():
    graph = dagexec.trace(lambda x, y: np.where(x > y, x, x))(np.ones(2), np.ones(2))
    digraph = graph.to_networkx()
    assert nx.is_directed_acyclic_graph(digraph)
    (where,) = [number for number in digraph if digraph.nodes[number]["op"] == "where"]
    assert digraph.edges[0, where]["positions"] == (1, 2)
    for number, node in enumerate(graph.nodes):
        places = [p for _, _, places in digraph.in_edges(number, data="positions") for p in places]
        assert sorted(places) == list(range(len(node.inputs)))


def test_a_plain_callable_has_no_shape():
    from dagexec.graph import Graph, Node
    from dagexec.ops import python_op

    node = Node(python_op(len))
    shown = Graph([node], [], [node]).to_networkx().nodes[0]
    assert (shown["op"], shown["shape"], shown["dtype"], shown["grad_of"]) == ("len", None, None, None)
