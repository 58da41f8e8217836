"""Which nodes can be computed together, and when: what is merged waits for all that any of it waits for.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: (np.tan(np.sin(x)), np.cos(x)))(1.0)
>>> x, sin, tan, cos = graph.nodes
>>> independent(graph, [[sin, tan]]), independent(graph, [[sin, cos]])
([], [[<sin float64[]>, <cos float64[]>]])
>>> in_merged_order(graph, [[tan, cos]])
[[<x float64[]>], [<sin float64[]>], [<tan float64[]>, <cos float64[]>]]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dagexec.graph import Graph, Node

MOST_GROUPS = 256  # that are looked at: each is one bit of a number for each node
MOST_TRIES = 8  # each is a pass over the graph


def independent(graph: Graph, groups: Sequence[Sequence[Node]]) -> list[list[Node]]:
    """Of each group the nodes that wait for no other one of it; the largest groups first."""
    groups = sorted(groups, key=len, reverse=True)[:MOST_GROUPS]
    bit_of = {node: 1 << number for number, group in enumerate(groups) for node in group}
    waits_for: dict[Node, int] = {}  # for each node the groups, as bits
    alone: dict[int, list[Node]] = {}
    for node in graph.nodes:
        bits = 0
        for source in node.inputs:
            bits |= waits_for[source]
        if bit := bit_of.get(node):
            if not bits & bit:
                alone.setdefault(bit, []).append(node)
            bits |= bit
        waits_for[node] = bits
    return [group for group in alone.values() if len(group) > 1]


def in_merged_order(graph: Graph, groups: Sequence[Sequence[Node]]) -> list[list[Node]]:
    """The nodes in topological order, those of a group together; as near as can be to the graph's order.

    Two groups may wait for each other, though each by itself could be merged. Then one is not; none, where
    that happens too often.
    """
    kept = list(groups)
    for tries_left in reversed(range(MOST_TRIES)):
        group_of = {node: list(group) for group in kept for node in group}
        order: list[list[Node]] = []
        loop = _arrange(graph, group_of, order)
        if loop is None:
            return order
        kept = [group for group in kept if loop not in group] if tries_left > 1 else []
    return [[node] for node in graph.nodes]


def _arrange(graph: Graph, group_of: Mapping[Node, list[Node]], order: list[list[Node]]) -> Node | None:
    """Fill `order`; the first node of a group that would wait for itself, if there is one."""
    done: set[Node] = set()
    for node in graph.nodes:
        if node in done:
            continue
        if node not in group_of and done.issuperset(node.inputs):
            done.add(node)
            order.append([node])
            continue
        path = [_Visit(node, group_of)]
        under_way = {*path[0].nodes}
        while path:
            visit = path[-1]
            source = next((source for source in visit.sources if source not in done), None)
            if source is None:
                path.pop()
                done.update(visit.nodes)
                under_way.difference_update(visit.nodes)
                order.append(visit.nodes)
            elif source in under_way:
                return _first_group(path, source)
            else:
                path.append(_Visit(source, group_of))
                under_way.update(path[-1].nodes)
    return None


def _first_group(path: Sequence[_Visit], source: Node) -> Node:
    """A node of a group among the visits from the one that `source` belongs to."""
    start = next(number for number, visit in enumerate(path) if source in visit.nodes)
    return next(visit.nodes[0] for visit in path[start:] if len(visit.nodes) > 1)


class _Visit:
    """A node, or all those of its group, and what remains to be visited before."""

    __slots__ = ("nodes", "sources")

    def __init__(self, node: Node, group_of: Mapping[Node, list[Node]]) -> None:
        self.nodes = group_of.get(node) or [node]
        self.sources: Iterator[Node] = iter([source for node in self.nodes for source in node.inputs])
