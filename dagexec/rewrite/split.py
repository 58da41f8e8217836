"""Work is cut into shards that do not wait for each other: so a graph of one long path fills several workers.

All axes that run along with each other (axes.py) are one dimension: the batch of a training step is the first
axis of the data and of every layer's values, and what the gradients of the weights are summed over. A
dimension that is worth it is cut: each node that lies along it becomes one node for each shard; a product or
a sum over it becomes one for each shard, and the sum of these. What others need whole is joined for them;
what is whole is read in slices, which costs nothing.

>>> import numpy as np, dagexec
>>> x, w = np.ones((4000, 300)), np.ones((300, 20))
>>> print(split(2)(dagexec.trace(lambda x, w: np.sum(np.tanh(x @ w)))(x, w)))
lambda(x: float64[4000,300], w: float64[300,20]):
  %2 = getitem(x, index=(slice(0, 2000, None),)) float64[2000,300]
  %3 = getitem(x, index=(slice(2000, 4000, None),)) float64[2000,300]
  %4 = matmul(%2, w)                             float64[2000,20]
  %5 = matmul(%3, w)                             float64[2000,20]
  %6 = tanh(%4)                                  float64[2000,20]
  %7 = tanh(%5)                                  float64[2000,20]
  %8 = sum(%6, axis=(0, 1), keepdims=False)      float64[]
  %9 = sum(%7, axis=(0, 1), keepdims=False)      float64[]
  %10 = add(%8, %9)                              float64[]
  return %10

It needs no name for the batch. What saves the most time is cut first, be it the batch, the rows of one large
product, the features of a layer, or the elements of a long vector; then what still saves enough. Sums get
another order, so the last bits change; the order is fixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import gcd
from typing import Any

from dagexec.array import Array, record
from dagexec.graph import Graph, Node, Op
from dagexec.ops.table import TABLE, specs_of
from dagexec.plan import SECONDS_PER_BYTE, estimated_seconds
from dagexec.rewrite.axes import Axis, axes_of, combined, resized
from dagexec.rewrite.rebuilding import Rebuilding, Rewrite
from dagexec.xp import concat

WORTH = 0.05  # what cutting a dimension must save, of the time of the graph
TURN = 3e-6  # seconds of one more call: of its own, and of the turns at the interpreter
MOST_DIMENSIONS = 8


def split(shards: int, worth: float = WORTH) -> Rewrite:
    """The rewrite that cuts work into so many shards along each dimension that is worth it.

    What is saved is that the shards run side by side, less the additional calls, sums and copies, by the
    estimates of the op table; it must be the share `worth` of the time of the graph. Raises ValueError for
    less than two shards, TypeError for what is no number of them.
    """
    if not isinstance(shards, int):
        raise TypeError(f"split takes a number of shards, a whole one of two or more, not {shards!r:.60}")
    if shards < 2:
        raise ValueError(f"nothing is split into {shards} shards; it must be two or more")

    def split_into_shards(graph: Graph) -> Graph:
        cuts = _Dimensions(graph, shards).cuts(worth)
        return _cut(graph, cuts) if cuts else graph

    return split_into_shards


@dataclass(frozen=True, slots=True)
class Cut:
    """How a node is cut: its result's `axis`, or None for what it folds, and `operands` axes with that.

    `ends` are those of the shards, with a 0 before, of a `dimension` of as many equal units as the last says.
    """

    dimension: int
    ends: tuple[int, ...]
    axis: int | None
    operands: tuple[Axis, ...]

    def pieces(self, length: int) -> Iterator[tuple[int, int]]:
        """Where the shards of an axis begin and end."""
        unit = length // self.ends[-1]
        return pairwise([end * unit for end in self.ends])


# --- where to cut ---------------------------------------------------------------------------------------
class _Dimensions:
    """Which axes of all nodes of a graph run along with each other, and what cutting them would save."""

    def __init__(self, graph: Graph, shards: int) -> None:
        self._graph = graph
        self._shards = shards
        self._axes = {node: axes_of(node) for node in graph.nodes}
        self._first: dict[Node, int] = {}  # the number of a node's first axis; the others follow
        self._lengths: list[int] = []
        for node in graph.nodes:
            self._first[node] = len(self._lengths)
            for spec in specs_of(node)[:1]:
                self._lengths += spec.shape
        self._parent = list(range(len(self._lengths)))
        self._unit = self._lengths.copy()  # of each dimension, at its root: what all lengths are multiples of
        for node in graph.nodes:
            self._unite(node)
        self._seconds = {node: estimated_seconds(node) for node in graph.nodes}
        self._options = {node: dict(self._ways(node)) for node in graph.nodes}

    def _unite(self, node: Node) -> None:
        axes, first = self._axes[node], self._first
        for axis, together in enumerate(axes.kept):
            for number, other in together or ():
                self._join(first[node] + axis, first[node.inputs[number]] + other)
        for (number, axis), *others in axes.folded:
            for another, other in others:
                self._join(first[node.inputs[number]] + axis, first[node.inputs[another]] + other)

    def _root(self, axis: int) -> int:
        parent = self._parent
        while parent[axis] != axis:
            parent[axis] = axis = parent[parent[axis]]
        return axis

    def _join(self, one: int, other: int) -> None:
        one, other = self._root(one), self._root(other)
        self._parent[other] = one
        self._unit[one] = gcd(self._unit[one], self._unit[other])

    def _ways(self, node: Node) -> Iterator[tuple[int, Cut]]:
        """The cuts that are possible for a node, by dimension: along its result, else of what it folds."""
        axes, first = self._axes[node], self._first
        along = [self._root(first[node] + axis) for axis in range(len(axes.kept))]
        for (number, axis), *others in axes.folded:
            dimension = self._root(first[node.inputs[number]] + axis)
            if dimension not in along and self._unit[dimension] >= self._shards:
                yield dimension, self._cut(dimension, None, [(number, axis), *others])
        for axis, together in enumerate(axes.kept):
            dimension = along[axis]
            if together is not None and along.count(dimension) == 1 and self._unit[dimension] >= self._shards:
                yield dimension, self._cut(dimension, axis, together)

    def _cut(self, dimension: int, axis: int | None, together: Sequence[Axis]) -> Cut:
        unit, shards = self._unit[dimension], self._shards
        ends = tuple([unit * number // shards for number in range(shards)])
        return Cut(dimension, (*ends, unit), axis, tuple(together))

    def cuts(self, worth: float) -> dict[Node, Cut]:
        """The nodes that are to be cut, and how: each along the dimension that saves the most in all."""
        concerned: dict[int, list[Node]] = {}  # by a dimension: who lies along it or reads what does
        for node in self._graph.nodes:
            dimensions = set(self._options[node]).union(*[self._options[source] for source in node.inputs])
            for dimension in dimensions:
                concerned.setdefault(dimension, []).append(node)
        least = worth * sum(self._seconds.values())
        chosen: dict[Node, Cut] = {}
        saved = {dimension: self._saved(dimension, nodes, chosen) for dimension, nodes in concerned.items()}
        best = sorted(saved, key=saved.__getitem__, reverse=True)
        for dimension in best[:MOST_DIMENSIONS]:
            if self._saved(dimension, concerned[dimension], chosen) > least:
                for node in concerned[dimension]:
                    if dimension in self._options[node]:
                        chosen.setdefault(node, self._options[node][dimension])
        return chosen

    def _saved(self, dimension: int, concerned: Sequence[Node], taken: dict[Node, Cut]) -> float:
        """The seconds saved by cutting a dimension, for nodes that are not cut along another."""
        more = self._shards - 1
        saved = 0.0
        joined: set[Node] = set()
        for node in concerned:
            cut = None if node in taken else self._options[node].get(dimension)
            if cut is not None:
                saved += self._seconds[node] * more / self._shards - TURN * more
                if cut.axis is None:
                    saved -= more * (TURN + 3 * SECONDS_PER_BYTE * node.spec.nbytes)
            for number, source in enumerate(node.inputs):
                other = None if source in taken else self._options[source].get(dimension)
                if other is None or other.axis is None or (cut and (number, other.axis) in cut.operands):
                    continue
                joined.add(source)
        copies: int = sum([spec.nbytes for node in joined for spec in specs_of(node)])
        return saved - len(joined) * TURN - 2 * SECONDS_PER_BYTE * copies


# --- cutting --------------------------------------------------------------------------------------------
def _cut(graph: Graph, cuts: dict[Node, Cut]) -> Graph:
    cutting = _Cutting(graph, cuts)
    for node in graph.nodes:
        if node in cuts:
            cutting.cut(node)
        else:
            for source in node.inputs:
                cutting.whole(source)
            cutting.keep(node)
    for node in graph.outputs:
        cutting.whole(node)
    return cutting.graph()


class _Cutting(Rebuilding):
    """A graph under way. Nodes that are cut have parts; they stand in `new` only if they are joined."""

    def __init__(self, graph: Graph, cuts: dict[Node, Cut]) -> None:
        super().__init__(graph)
        self._cuts = cuts
        self._parts: dict[Node, list[Node]] = {}
        self._slices: dict[tuple[Node, int, int], list[Node]] = {}

    def whole(self, node: Node) -> Node:
        """What stands for a node in one piece."""
        if node not in self.new:
            axis = self._cuts[node].axis
            self.new[node] = self.make(node, lambda *parts: concat(parts, axis=axis), *self._parts[node])
        return self.new[node]

    def cut(self, node: Node) -> None:
        """Make the parts of a node; and combine them, if each has something of every element."""
        cut, linked = self._cuts[node], dict(self._cuts[node].operands)
        columns = [
            self._pieces(source, linked[number], cut) if number in linked else [self.whole(source)]
            for number, source in enumerate(node.inputs)
        ]
        length = 0 if cut.axis is None else specs_of(node)[0].shape[cut.axis]
        parts = []
        for number, (start, end) in enumerate(cut.pieces(length)):
            params = node.params if cut.axis is None else resized(node, cut.axis, end - start)
            operands = [column[number % len(column)] for column in columns]
            parts.append(self.make(self._shard(node, number), partial(_applied, node.op, params), *operands))
        if cut.axis is None:
            shares = [(end - start) / cut.ends[-1] for start, end in pairwise(cut.ends)]
            self.new[node] = self.make(node, lambda *parts: combined(node.op.name, parts, shares), *parts)
        self._parts[node] = parts

    def _pieces(self, source: Node, axis: int, cut: Cut) -> list[Node]:
        """The parts of an operand, or slices of it."""
        other = self._cuts.get(source)
        if other is not None and other.dimension == cut.dimension:  # so along the same axis: it has but one
            return self._parts[source]
        key = source, axis, cut.dimension
        if key not in self._slices:
            before = (slice(None),) * axis
            self._slices[key] = [
                self.make(
                    self._shard(source, number),
                    partial(_applied, TABLE["getitem"], {"index": (*before, slice(*piece))}),
                    self.whole(source),
                )
                for number, piece in enumerate(cut.pieces(source.spec.shape[axis]))
            ]
        return self._slices[key]

    def _shard(self, node: Node, number: int) -> Node:
        """What a shard's node is to be labelled like."""
        twin = self._parts[node.grad_of][number] if node.grad_of in self._parts else node.grad_of
        scope = (f"shard[{number}]", *node.scope)
        return Node(node.op, (), node.params, node.spec, scope, node.phase, node.name, twin, node.where)


def _applied(op: Op, params: Mapping[str, Any], *operands: Array) -> Array:
    """An op's result; of several, the node that they are items of."""
    result = record(op, operands, params)
    return Array(result[0].node.inputs[0]) if isinstance(result, tuple) else result
