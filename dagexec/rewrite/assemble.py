"""Pieces that cover an array are put together instead of being added to zeros.

The gradient of what was indexed or split is made by `scatter_add`: zeros, to which the gradient of each piece
is added in its place. Where the pieces cover the array along one axis, and none overlap, they are a `concat`
or a `stack`: the gates of an LSTM cut from one product, the steps `x[0]`, `x[1]`, ... of a sequence.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: np.sum(np.sin(x[:2]) * np.cos(x[2:])))(np.ones(4)).backward()
>>> print(str(assemble(graph)).splitlines()[-2])
  %16 = concat(%15, %13, axis=0)                 float64[4]

What lies between pieces is filled with zeros. A piece's −0 stays −0, which added to zero would be +0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

from dagexec import xp
from dagexec.collector import collector_paused
from dagexec.graph import Graph, Node
from dagexec.ops.indexing import SCATTER_ADD, index_of_one_axis
from dagexec.rewrite.rebuilding import Rebuilding

Place = tuple[int, int]  # start and stop along an axis


@dataclass(frozen=True, slots=True)
class _Pieces:
    """What an array is made of along an axis: values, and their places in ascending order."""

    axis: int
    places: Sequence[Place]
    values: Sequence[Node]


@collector_paused()
def assemble(graph: Graph) -> Graph:
    """The graph with a `concat` or `stack` in the place of each `scatter_add` of disjoint pieces."""
    found = {node: pieces for node in graph.nodes if (pieces := _pieces_of(node)) is not None}
    if not found:
        return graph
    rebuilding = Rebuilding(graph)
    for node in graph.nodes:
        if node in found:
            pieces = found[node]
            join = partial(_joined, node.spec.shape, pieces.axis, pieces.places)
            rebuilding.replace(node, join, *pieces.values)
        else:
            rebuilding.keep(node)
    return rebuilding.graph()


def _pieces_of(node: Node) -> _Pieces | None:
    if node.op is not SCATTER_ADD or not 1 < len(node.inputs) == len(node.params["indices"]):
        return None
    shape = node.spec.shape
    axes: set[int] = set()
    pieces: list[tuple[Place, Node]] = []
    for value, index in zip(node.inputs, node.params["indices"]):
        found = index_of_one_axis(index, shape)
        if found is None:
            return None
        axis, start, stop = found
        axes.add(axis)
        pieces.append(((start, stop), value))
        whole = prod(shape[:axis]) * (stop - start) * prod(shape[axis + 1 :])
        if value.spec.size != whole or value.spec.dtype != node.spec.dtype:
            return None
    pieces.sort(key=lambda piece: piece[0])
    places = [place for place, _ in pieces]
    if len(axes) > 1 or any(one[1] > other[0] for one, other in pairwise(places)):
        return None
    return _Pieces(axes.pop(), places, [value for _, value in pieces])


def _joined(shape: tuple[int, ...], axis: int, places: Sequence[Place], *values: Any) -> Any:
    before, after = shape[:axis], shape[axis + 1 :]
    if len(places) == shape[axis]:  # each of length one
        return xp.stack([xp.reshape(value, before + after) for value in values], axis=axis)
    parts = []
    end = 0
    for (start, stop), value in zip(places, values):
        if start > end:
            parts.append(xp.zeros((*before, start - end, *after), dtype=value.dtype))
        parts.append(xp.reshape(value, (*before, stop - start, *after)))
        end = stop
    if end < shape[axis]:
        parts.append(xp.zeros((*before, shape[axis] - end, *after), dtype=values[0].dtype))
    return xp.concat(parts, axis=axis)
