"""The same op on the same inputs is computed once.

Each node is looked up by op, inputs, params and dtype; the first of its kind stands for the others (a forward
node never for the sake of a backward one). What a plain callable, a loop or a branch does is not known,
so it is left alone; so is what `checkpoint` computes again, which reads its arguments through a barrier.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: np.exp(x) / (1 + np.exp(x)))(np.ones(3))
>>> print(merge_common(graph))
lambda(x: float64[3]):
  %1 = exp(x)                                    float64[3]
  %3 = add(1.0, %1)                              float64[3]
  %4 = divide(%1, %3)                            float64[3]
  return %4
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from dagexec.collector import collector_paused
from dagexec.graph import INPUT, PHASES, Graph, Node
from dagexec.rewrite.rebuilding import Rebuilding

ALONE = ("python", "control")
LARGEST = 1 << 12  # bytes of an array whose content is compared; larger ones are the same only if identical


@collector_paused()
def merge_common(graph: Graph) -> Graph:
    """The graph with one node in the place of all that compute the same."""
    same = _same(graph)
    if not same:
        return graph
    rebuilding = Rebuilding(graph)
    for node in graph.nodes:
        if node in same:
            rebuilding.merge(node, same[node])
        else:
            rebuilding.keep(node)
    return rebuilding.graph()


def _same(graph: Graph) -> dict[Node, Node]:
    """For each node that computes what an earlier one does, the first that does."""
    first: dict[Hashable, Node] = {}
    same: dict[Node, Node] = {}
    for node in graph.nodes:
        op = node.op
        if op is INPUT or op.family in ALONE:
            continue
        inputs = node.inputs
        if same and not same.keys().isdisjoint(inputs):
            inputs = tuple([same.get(source, source) for source in inputs])
        params = key_of(node.params) if node.params else ()
        other = first.setdefault((op, inputs, params), node)
        if other is not node and PHASES.index(other.phase) <= PHASES.index(node.phase):
            same[node] = other
    return same


def key_of(params: Mapping[str, Any]) -> Hashable:
    """Something hashable that is equal for equal parameters only."""
    return tuple([(name, _key(value)) for name, value in params.items()])


def _key(value: Any) -> Hashable:
    """Something hashable that is equal for equal params only."""
    kind = value.__class__
    if kind is int or kind is str or kind is bool or value is None:
        return kind, value  # 1, 1.0 and True are not the same
    if kind is tuple or kind is list:
        return kind, tuple(map(_key, value))
    if kind is slice:
        return kind, value.start, value.stop, value.step
    if kind is float or isinstance(value, np.generic):
        return kind, value.tobytes() if kind is not float else value.hex()
    if kind is np.ndarray and value.nbytes <= LARGEST and not value.dtype.hasobject:
        return kind, value.dtype, value.shape, value.tobytes()
    if isinstance(value, np.dtype):
        return value
    return kind, _Identity(value)


class _Identity:
    """A value that equals itself only, whatever its class says."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
