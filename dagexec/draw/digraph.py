"""A graph as a networkx.DiGraph, for whatever networkx can do with one."""

from __future__ import annotations

import networkx as nx

from dagexec.draw.labels import op_label, value_label
from dagexec.graph import INPUT, Graph, Spec, method_of


@method_of(Graph)
def to_networkx(graph: Graph) -> nx.DiGraph:
    """The nodes, numbered by their positions in the graph, and an edge from each to those that read it.

    A node has the attributes `op`, `family`, `name`, `label`, `phase`, `scope`, `shape`, `dtype` (both None
    where a plain Python callable decides), `params`, `grad_of` (a number or None), `where`, and `input` and
    `output` (its place among those of the graph, or None). An edge has `positions`, the places among the
    reader's inputs: two for `x * x`.

    >>> import dagexec
    >>> square = to_networkx(dagexec.trace(lambda x: x * x)(3.0))
    >>> square.nodes[1]["op"], square.edges[0, 1]["positions"]
    ('multiply', (0, 1))
    """
    position = {node: number for number, node in enumerate(graph.nodes)}
    digraph = nx.DiGraph(name=graph.name)
    for node, number in position.items():
        known = isinstance(node.spec, Spec)
        digraph.add_node(
            number,
            op=node.op.name,
            family=node.op.family,
            name=node.name,
            label=value_label(node) if node.op is INPUT else op_label(node),
            phase=node.phase,
            scope=node.scope,
            shape=node.spec.shape if known else None,
            dtype=node.spec.dtype if known else None,
            params=dict(node.params),
            grad_of=position.get(node.grad_of) if node.grad_of is not None else None,
            where=node.where,
        )
        for place, source in enumerate(node.inputs):
            earlier = (
                digraph.edges[position[source], number]["positions"]
                if digraph.has_edge(position[source], number)
                else ()
            )
            digraph.add_edge(position[source], number, positions=(*earlier, place))
    return digraph
