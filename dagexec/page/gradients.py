"""Which node of a derived graph holds the gradient of which forward node.

A graph does not say it. But derivation is a function of the forward nodes, so it is run again, on a trace
that makes no node where the graph has the same one already: that way each gradient that is met on the way is
a node of the graph, unless it was left out of it or rewritten.

>>> import dagexec
>>> graph = dagexec.trace(lambda w, x: dagexec.xp.tanh(w * x))(1.0, 2.0).backward()
>>> [node.op.name for node in graph.nodes]
['input', 'input', 'multiply', 'tanh', 'constant', 'square', 'subtract', 'multiply', 'multiply']
>>> gradients(graph)  # of tanh: the 1 that it starts with
{3: 4, 2: 7, 0: 8}
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from dagexec.array import Array, Trace, recording
from dagexec.backward import derive, seed_of
from dagexec.collector import collector_paused
from dagexec.draw.picture import loss_of
from dagexec.graph import CONSTANT, INPUT, Graph, Node, Op, Spec, is_scalar_constant

MOST_COMPARED = 10_000  # elements of a constant


@collector_paused()
def gradients(graph: Graph) -> dict[int, int]:
    """For the number of a forward node that of the node that is its gradient, where there is one.

    Empty for a graph without a real scalar that the backward nodes are derived from.
    """
    forward = [node for node in graph.nodes if node.phase == "forward"]
    losses = losses_of(graph)
    if len(forward) == len(graph.nodes) or len(losses) != 1 or not _is_real(losses[0]):
        return {}
    sources = [node for node in forward if _may_be_varied(node)]
    found: dict[Node, Any] = {}
    trace = _Again(graph)
    with recording(trace):
        seed = Array(trace.constant(seed_of(losses[0])))
        with suppress(Exception):  # of a rule that cannot be run on its own: what was found before it stands
            derive(trace, forward, [(losses[0], seed)], sources, found)
    number = {node: place for place, node in enumerate(graph.nodes)}
    return {
        number[node]: number[gradient.node]
        for node, gradient in found.items()
        if isinstance(gradient, Array) and gradient.node in number
    }


def losses_of(graph: Graph) -> list[Node]:
    """The scalar that the backward nodes are derived from, if it is clear which; else all that it may be."""
    found = loss_of(graph)
    if not found and graph.name.endswith(".backward") and _is_real(graph.outputs[0]):
        return [graph.outputs[0]]  # an item of a node with several results
    return [node for node in graph.nodes if node in found] if found else []


def _is_real(node: Node) -> bool:
    return isinstance(node.spec, Spec) and node.spec.shape == () and node.spec.dtype.kind == "f"


def _may_be_varied(node: Node) -> bool:
    """Might gradients have been derived for this? More than there were do no harm."""
    is_source = node.op is INPUT or (node.op is CONSTANT and not is_scalar_constant(node))
    return is_source and isinstance(node.spec, Spec) and node.spec.dtype.kind in "fc"


class _Again(Trace):
    """A trace that gives, instead of a new node, the node of a graph that was made in the same way.

    Of constants with the same value, which a rule may make anew each time, one stands for all: `_first`.
    """

    __slots__ = ("_arrays", "_first", "_made")

    def __init__(self, graph: Graph) -> None:
        super().__init__(())
        self._made: dict[Any, list[Node]] = {}
        self._arrays: dict[Any, Node] = {}
        self._first: dict[Node, Node] = {}
        for node in graph.nodes:
            if node.op is not CONSTANT:
                self._made.setdefault(self._key(node.op, node.inputs, node.grad_of), []).append(node)
            elif is_scalar_constant(node):
                self.scalars[node.spec.dtype, node.params["value"].tobytes()] = node
            elif isinstance(node.spec, Spec) and node.spec.size <= MOST_COMPARED:
                self._first[node] = self._arrays.setdefault(_value_of(node.params["value"]), node)

    def _key(self, op: Op, inputs: tuple[Node, ...], grad_of: Node | None) -> Any:
        return op.name, tuple([self._first.get(source, source) for source in inputs]), grad_of

    def add(self, op: Op, inputs: tuple[Node, ...], params: Any, spec: Any) -> Node:
        """The node of the graph if there is one, else a new one."""
        alike = self._made.get(self._key(op, inputs, self.grad_of), [])
        for place, node in enumerate(alike):
            if node.spec == spec and _same(node.params, params):
                return alike.pop(place)
        return super().add(op, inputs, params, spec)

    def constant(self, value: Any) -> Node:
        """The constant of the graph with this value if there is one, else a new one."""
        array = np.asarray(value)
        is_known = array.ndim > 0 and array.size <= MOST_COMPARED and _value_of(array) in self._arrays
        return self._arrays[_value_of(array)] if is_known else super().constant(value)


def _value_of(array: np.ndarray[Any, Any]) -> Any:
    return array.shape, array.dtype, array.tobytes()


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Are static parameters equal? Graphs and arrays among them are not compared."""
    if one.keys() != other.keys():
        return False
    for key, value in one.items():
        if not isinstance(value, Graph | np.ndarray) and not _equal(value, other[key]):
            return False
    return True


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except (TypeError, ValueError):  # an array in a tuple
        return True
