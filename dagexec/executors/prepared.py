"""What `compile` does before the first run, once for all graphs that are the same node by node.

A function that is made anew in a loop, such as a lambda given to `jit`, is traced anew; but what the trace
gives has the same operations, parameters, shapes, names and lines, so it is not rewritten and planned again.

>>> import dagexec
>>> from dagexec.rewrite import REWRITES
>>> first, again = (prepared(dagexec.trace(lambda x: x * 1 + 2)(1.0), REWRITES) for _ in range(2))
>>> first.plan is again.plan
True
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from dagexec.graph import CONSTANT, Graph, Node
from dagexec.plan import Plan, plan
from dagexec.rewrite import Rewrite
from dagexec.rewrite.merge_common import key_of

REMEMBERED = 32  # graphs, each of at most:
MOST_NODES = 20_000
MOST_BYTES = 2**20  # of constants, which are kept with it


class Prepared(NamedTuple):
    """A graph, the name of each rewrite with the graph after it, and the plan of the last graph."""

    graph: Graph
    stages: tuple[tuple[str, Graph], ...]
    plan: Plan


def prepared(graph: Graph, rewrites: Sequence[Rewrite]) -> Prepared:
    """The graph after each of the rewrites, and planned.

    Raises TypeError for a rewrite that is none, or makes no graph.
    """
    asked = _Asked(graph, rewrites)
    if not rewrites or len(graph.nodes) > MOST_NODES or _constant_bytes(graph) > MOST_BYTES:
        return _prepare(asked)
    found = _remembered(asked)
    if found.plan.graph is not found.graph:
        return found
    # Nothing was rewritten, so it is this very graph that is run.
    return Prepared(
        graph, tuple([(name, graph) for name, _ in found.stages]), replace(found.plan, origin=graph)
    )


class _Asked:
    """A graph and rewrites; equal to others where all nodes and the rewrites are."""

    def __init__(self, graph: Graph, rewrites: Sequence[Rewrite]) -> None:
        self.graph = graph
        self.rewrites = tuple(rewrites)
        self._key: Hashable = None

    @property
    def key(self) -> Hashable:
        """All that there is to know of the nodes, with numbers in the place of nodes."""
        if self._key is None:
            graph = self.graph
            number = {node: position for position, node in enumerate(graph.nodes)}
            ends = [number[node] for node in (*graph.inputs, *graph.outputs)]
            self._key = (graph.name, len(graph.inputs), *ends, *[_key(node, number) for node in graph.nodes])
        return self._key

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Asked)
            and [*map(id, self.rewrites)] == [*map(id, other.rewrites)]
            and self.key == other.key
        )

    def __hash__(self) -> int:
        return hash(self.key)


def _key(node: Node, number: dict[Node, int]) -> Hashable:
    inputs = tuple([number[source] for source in node.inputs])
    params = key_of(node.params) if node.params else ()
    made_for = None if node.grad_of is None else number.get(node.grad_of)
    return node.op, inputs, params, node.spec, node.scope, node.phase, node.name, made_for, node.where


def _constant_bytes(graph: Graph) -> int:
    values = [node.params["value"] for node in graph.nodes if node.op is CONSTANT]
    return sum([getattr(value, "nbytes", 0) for value in values])


def _prepare(asked: _Asked) -> Prepared:
    graph = asked.graph
    stages: list[tuple[str, Graph]] = []
    for rewrite in asked.rewrites:
        name, graph = _applied(rewrite, graph)
        stages.append((name, graph))
    return Prepared(asked.graph, tuple(stages), plan(graph))


_remembered = lru_cache(REMEMBERED)(_prepare)


def _applied(rewrite: Rewrite, graph: Graph) -> tuple[str, Graph]:
    """The name of a rewrite and what it makes of a graph; TypeError if it is none, or makes none."""
    name = getattr(rewrite, "__name__", repr(rewrite))
    found: Any = rewrite(graph) if callable(rewrite) else None
    if not isinstance(found, Graph):
        raise TypeError(f"rewrites are functions from Graph to Graph, but {name} gives {found!r:.60}")
    return name, found
