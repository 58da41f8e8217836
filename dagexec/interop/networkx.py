"""A networkx.DiGraph with callables on its nodes, as a Graph.

A node has the attribute `function`, called with the values of its predecessors in the order in which the
edges were added, or else `value`, a constant. An edge may say with `arg` which argument it is, a position or
a name, or in a tuple several of these; edges that do not say take the positions that are left.

>>> import dagexec
>>> digraph = nx.DiGraph()
>>> digraph.add_node("base", value=2)
>>> digraph.add_node("power", function=pow)
>>> digraph.add_node("exponent", value=10)
>>> digraph.add_edge("exponent", "power", arg="exp")
>>> digraph.add_edge("base", "power")
>>> dagexec.run(from_networkx(digraph))
(1024,)
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import networkx as nx

from dagexec.graph import Graph
from dagexec.interop.arranging import arranged, topological_order
from dagexec.interop.dask import flat, with_structure
from dagexec.interop.expressions import Keywords
from dagexec.plan import Function


def from_networkx(digraph: nx.DiGraph[Any], outputs: Any = None) -> Graph:
    """The Graph of a directed graph with callables on its nodes.

    `outputs` is one node, whose value running the graph gives, or a list of nodes and of such lists, which
    gives tuples. Without it, the outputs are all nodes without successors, in their order.

    Raises TypeError or ValueError, naming the node, where it has neither a callable nor a value, or where
    its arguments do not fit together; `graphlib.CycleError` with the members of a cycle.
    """
    if not digraph.is_directed() or digraph.is_multigraph():
        raise TypeError(f"the graph is a {type(digraph).__name__}, but must be a networkx.DiGraph")
    labels = list(digraph)
    number = {node: slot for slot, node in enumerate(labels)}
    functions: list[Function | None] = []
    sources: list[tuple[int, ...]] = []
    constants: dict[int, Any] = {}
    for slot, (node, given) in enumerate(digraph.nodes(data=True)):
        function = _function(node, given)
        arguments: list[Any] = []
        if function is None:
            constants[slot] = given["value"]
            if digraph.in_degree(node):
                raise ValueError(f"node {node!r} has a value, and so no predecessors")
        else:
            function, arguments = _arguments(node, function, digraph.pred[node])
        functions.append(function)
        sources.append(tuple([number[argument] for argument in arguments]))
    if outputs is None:
        wanted = [number[node] for node in labels if not digraph.out_degree(node)]
        topological_order(labels, sources, range(len(labels)))  # a cycle may lead to no output
        return arranged(labels, functions, sources, constants, wanted, in_order=False).graph
    for node in flat(outputs):
        if node not in number:
            raise KeyError(f"{node!r} is not a node of the graph")
    wanted = [number[node] for node in flat(outputs)]
    return with_structure(
        arranged(labels, functions, sources, constants, wanted, in_order=False).graph, outputs
    )


def _function(node: Any, given: Mapping[str, Any]) -> Function | None:
    """The callable of a node; None if it has a value."""
    if "function" in given and "value" in given:
        raise ValueError(f"node {node!r} has a function and a value; it can have one of them")
    if "value" in given:
        return None
    if "function" not in given:
        raise ValueError(f"node {node!r} has neither the attribute function nor value")
    function = given["function"]
    if not callable(function):
        raise TypeError(f"the function of node {node!r} is not callable: {function!r}")
    return function  # type: ignore[no-any-return]


def _arguments(
    node: Any, function: Function, edges: Mapping[Any, Mapping[str, Any]]
) -> tuple[Function, list[Any]]:
    """What is called, and the predecessors that its arguments come from, those with names at the end."""
    by_position: dict[int, Any] = {}
    by_name: dict[str, Any] = {}
    unplaced = []
    for source, edge in edges.items():
        given = edge.get("arg")
        if given is None:
            unplaced.append(source)
            continue
        for place in given if isinstance(given, tuple) else (given,):
            by: dict[Any, Any] = by_name if isinstance(place, str) else by_position
            if not isinstance(place, str) and not (isinstance(place, int) and place >= 0):
                raise TypeError(
                    f"the edge from {source!r} to {node!r} has arg {place!r}: no position and no name"
                )
            if place in by:
                raise ValueError(f"node {node!r} has argument {place!r} from {by[place]!r} and {source!r}")
            by[place] = source
    left = (place for place in count() if place not in by_position)
    by_position.update([(next(left), source) for source in unplaced])
    for place in range(len(by_position)):
        if place not in by_position:
            raise ValueError(f"node {node!r} has an argument {max(by_position)}, but no argument {place}")
    if by_name:
        function = Keywords(function, tuple(by_name))
    return function, [by_position[place] for place in range(len(by_position))] + list(by_name.values())
