"""What rewrites have in common: a graph made from another one, node by node.

A rewrite goes over the nodes of a graph and says of each what stands for it from now on. Most are kept. What
is new is written as array code, like a gradient rule, and labelled like the node that it stands for:

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: np.log(np.exp(x)) + 1)(np.ones(3))
>>> rebuilding = Rebuilding(graph)
>>> for node in graph.nodes:
...     if node.op.name == "log" and node.inputs[0].op.name == "exp":
...         rebuilding.replace(node, lambda x: x, node.inputs[0].inputs[0])
...     else:
...         rebuilding.keep(node)
>>> print(rebuilding.graph())
lambda(x: float64[3]):
  %2 = add(x, 1.0)                               float64[3]
  return %2
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dagexec.array import Array, Trace, as_nodes, recording
from dagexec.graph import CONSTANT, Graph, Node, is_scalar_constant

Rewrite = Callable[[Graph], Graph]


class Rebuilding:
    """A graph under way that computes the same as another.

    `new` has for each node of the old graph that was kept or replaced what stands for it now. New nodes may
    be made in any order that has what they read made before; in the graph they stand as near as can be to
    where the old one had them.
    """

    def __init__(self, graph: Graph) -> None:
        self.old = graph
        self.new: dict[Node, Node] = {}
        self._trace = Trace()
        self._trace.scalars = {
            (node.spec.dtype, node.params["value"].tobytes()): node
            for node in graph.nodes
            if node.op is CONSTANT and is_scalar_constant(node)
        }

    def keep(self, node: Node) -> None:
        """Let a node be as it is, reading what stands for its inputs now."""
        new = self.new
        inputs = tuple(map(new.__getitem__, node.inputs))
        twin = None if node.grad_of is None else self.stands_for(node.grad_of)
        kept = node
        if inputs != node.inputs or twin is not node.grad_of:
            labels = node.scope, node.phase, node.name, twin, node.where
            kept = Node(node.op, inputs, node.params, node.spec, *labels)
        new[node] = kept
        self._trace.nodes.append(kept)

    def replace(self, node: Node, function: Callable[..., Any], *sources: Node) -> None:
        """Let the Array that `function` makes of those of other nodes of the old graph stand for a node."""
        self.new[node] = self.make(node, function, *[self.new[source] for source in sources])

    def merge(self, node: Node, other: Node) -> None:
        """Let another node of the old graph stand for this one as well."""
        self.new[node] = self.new[other]

    def make(self, like: Node, function: Callable[..., Any], *sources: Node) -> Node:
        """The node of the Array that `function` makes of those of nodes of the new graph.

        All that is recorded on the way is labelled like the node `like` of the old graph.
        """
        trace = self._trace
        twin = self.stands_for(like.grad_of) if like.grad_of else None
        trace.scope, trace.phase, trace.grad_of, trace.where = like.scope, like.phase, twin, like.where
        with recording(trace):
            return as_nodes(trace, [function(*map(Array, sources))])[0]

    def stands_for(self, twin: Node) -> Node:
        """What stands for the node whose gradient rule made another one."""
        return self.new.get(twin, twin)

    def graph(self) -> Graph:
        """The new graph, with what its outputs need; the old one itself, if everything was kept."""
        old = self.old
        outputs = [self.new[node] for node in old.outputs]
        inputs = [self.new[node] for node in old.inputs]
        nodes = arranged([*inputs, *needed(self._trace.nodes, outputs)])
        if outputs == [*old.outputs] and set(nodes) == set(old.nodes):
            return old
        return Graph(nodes, inputs, outputs, old.in_tree, old.out_tree, old.name)


def needed(nodes: Sequence[Node], outputs: Iterable[Node]) -> list[Node]:
    """The nodes that results depend on, or plain callables, whoever reads them; in the order given."""
    waiting = [*outputs, *[node for node in nodes if node.op.family == "python"]]
    found: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.inputs
    return [node for node in nodes if node in found]


def arranged(nodes: Iterable[Node]) -> list[Node]:
    """Nodes in topological order: in the order given, but each after all that it reads; each once."""
    order: list[Node] = []
    done: set[Node] = set()
    for node in nodes:
        waiting = [node]
        while waiting:
            node = waiting[-1]
            if node in done:
                waiting.pop()
            elif done.issuperset(node.inputs):
                waiting.pop()
                done.add(node)
                order.append(node)
            else:
                waiting += [source for source in node.inputs if source not in done]
    return order


def read_counts(graph: Graph) -> Counter[Node]:
    """How often each node is read; a result of the graph once more, by the caller."""
    return Counter([*(source for node in graph.nodes for source in node.inputs), *graph.outputs])
