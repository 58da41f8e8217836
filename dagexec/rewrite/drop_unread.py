"""What no result depends on is not computed.

A traced graph has nothing of that kind; one that was put together by hand, or cut out of another, may. Plain
callables are called all the same: they may be there for what they do.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: (np.exp(x), np.sin(x)))(np.ones(3))
>>> half = dagexec.Graph(graph.nodes, graph.inputs, graph.outputs[:1])
>>> len(half), len(drop_unread(half))
(3, 2)
"""

from __future__ import annotations

from dagexec.graph import Graph
from dagexec.rewrite.rebuilding import needed


def drop_unread(graph: Graph) -> Graph:
    """The graph without the nodes that no result, and no plain callable, depends on."""
    kept = needed(graph.nodes, [*graph.inputs, *graph.outputs])
    if len(kept) == len(graph.nodes):
        return graph
    return Graph(kept, graph.inputs, graph.outputs, graph.in_tree, graph.out_tree, graph.name)
