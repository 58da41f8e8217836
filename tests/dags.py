"""Random DAGs of plain Python callables, and what they must compute, for tests of scheduling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from dagexec.graph import Graph, Node
from dagexec.ops import python_op


class Boom(Exception):
    """Raised by the nodes of a DAG that are to fail."""


def mix(number: int) -> Callable[..., int]:
    """A function whose result depends on its number and on each argument and its position."""

    def mixed(*values: int) -> int:
        total = number + 1
        for value in values:
            total = (total * 1_000_003 + value) % (2**61 - 1)
        return total

    return mixed


def boom(number: int) -> Callable[..., int]:
    """A function that fails."""

    def fails(*values: int) -> int:
        raise Boom(f"node {number}")

    return fails


def dag(
    edges: Sequence[Sequence[int]],
    outputs: Sequence[int],
    failing: frozenset[int] = frozenset(),
    make: Callable[[int], Callable[..., Any]] = mix,
) -> Graph:
    """The graph in which node n reads the nodes `edges[n]`, in that order."""
    nodes: list[Node] = []
    for number, sources in enumerate(edges):
        function = boom(number) if number in failing else make(number)
        nodes.append(Node(python_op(function), tuple(nodes[source] for source in sources), name=f"n{number}"))
    return Graph(nodes, (), [nodes[number] for number in outputs])


def values_of(edges: Sequence[Sequence[int]]) -> list[int]:
    """What the nodes of `dag(edges, ...)` compute, by calling them in order."""
    values: list[int] = []
    for number, sources in enumerate(edges):
        values.append(mix(number)(*(values[source] for source in sources)))
    return values


def side_by_side(parts: Sequence[Sequence[Sequence[int]]]) -> list[list[int]]:
    """Several DAGs as one, with no edge between them."""
    edges: list[list[int]] = []
    for part in parts:
        start = len(edges)
        edges += [[start + source for source in sources] for sources in part]
    return edges


@st.composite
def edge_lists(draw: st.DrawFn, max_size: int = 30) -> list[list[int]]:
    """The sources of each node: any earlier nodes, also one of them twice, also none."""
    size = draw(st.integers(1, max_size))
    return [
        draw(st.lists(st.integers(0, number - 1), max_size=4)) if number else [] for number in range(size)
    ]


def some_of(edges: Sequence[Any]) -> st.SearchStrategy[list[int]]:
    """Some node numbers of a DAG, in any order, perhaps twice."""
    return st.lists(st.integers(0, len(edges) - 1), max_size=4)
