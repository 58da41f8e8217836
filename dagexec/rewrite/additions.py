"""Trees of additions: what is added in them, whatever the order, to be added in another one.

>>> import dagexec
>>> from dagexec.rewrite.rebuilding import read_counts
>>> graph = dagexec.trace(lambda a, b, c: (a + b) + (c + a))(1.0, 2.0, 3.0)
>>> [(root, terms)] = additions(graph, read_counts(graph))
>>> terms
[<a float64[]>, <b float64[]>, <c float64[]>, <a float64[]>]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dagexec.graph import Graph, Node


def additions(graph: Graph, readers: Mapping[Node, int]) -> Iterator[tuple[Node, list[Node]]]:
    """The trees of additions of arrays of one shape, each with its root and its terms in their order.

    `readers` says how often each node is read: what is read once only is an inner node.
    """
    inner: set[Node] = set()
    for root in reversed(graph.nodes):
        if root.op.name != "add" or root in inner or not _is_addition(root):
            continue
        terms: list[Node] = []
        waiting = [*reversed(root.inputs)]
        while waiting:
            node = waiting.pop()
            if readers[node] == 1 and node.spec == root.spec and _is_addition(node):
                inner.add(node)
                waiting += reversed(node.inputs)
            else:
                terms.append(node)
        yield root, terms


def _is_addition(node: Node) -> bool:
    return node.op.name == "add" and node.inputs[0].spec == node.inputs[1].spec


def added(*parts: Any) -> Any:
    """The sum as a balanced tree, neighbours first."""
    while len(parts) > 1:
        pairs = [left + right for left, right in zip(parts[::2], parts[1::2])]
        parts = (*pairs, *parts[len(pairs) * 2 :])
    return parts[0]
