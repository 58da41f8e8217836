"""Rewrites made of rules: each looks at one node and says what computes the same with less.

A rule takes a node and `alone`, which tells whether a node has no reader but one, and returns None or a
function that makes what is to stand for the node. The nodes that it sees read what stands for their inputs
already, so one rule's result is the next one's occasion, and one pass is enough for a chain of any length.

>>> import numpy as np, dagexec
>>> from dagexec import xp
>>> def of_reals(node, alone):
...     return (lambda: Array(node.inputs[0])) if node.inputs[0].spec.dtype.kind == "f" else None
>>> graph = dagexec.trace(lambda x: np.exp(xp.real(x)))(np.ones(3))
>>> print(by_rules(graph, {"real": [of_reals]}))
lambda(x: float64[3]):
  %1 = exp(x)                                    float64[3]
  return %1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dagexec.array import Array, record
from dagexec.collector import collector_paused
from dagexec.graph import CONSTANT, ITEM, Graph, Node, Spec
from dagexec.ops import TABLE
from dagexec.rewrite.rebuilding import Rebuilding, read_counts

Alone = Callable[[Node], bool]
Made = Callable[[], Array] | None
Rule = Callable[[Node, Alone], Made]
Rules = Mapping[str, Sequence[Rule]]  # by the name of the op that they look at

RESHAPES = ("reshape", "expand_dims", "squeeze")  # all keep the elements in their order
MOST_IN_A_ROW = 16  # rules that apply to what the one before has made; a limit only in case of a mistake


@collector_paused()
def by_rules(graph: Graph, rules: Rules) -> Graph:
    """The graph with all rules applied to all nodes, first to last; itself, if none applies."""
    counts = read_counts(graph)

    def alone(node: Node) -> bool:
        return counts.get(node, 1) < 2  # what a rule has made on the way is read by that rule's result

    first = _first_occasion(graph, rules, alone)
    if first is None:
        return graph
    rebuilding = Rebuilding(graph)
    keep, new = rebuilding.keep, rebuilding.new
    for node in graph.nodes:
        keep(node)
        if node.op.name in rules:
            _replace(node, rebuilding, rules, alone)
        twin = new[node]
        if twin is not node:  # and has its readers from now on
            counts[twin] = counts.get(twin, 0) + counts[node]
    return rebuilding.graph()


def _first_occasion(graph: Graph, rules: Rules, alone: Alone) -> Node | None:
    """The first node that some rule applies to."""
    for node in graph.nodes:
        if node.op.name in rules and _made(node, rules, alone) is not None:
            return node
    return None


def _replace(node: Node, rebuilding: Rebuilding, rules: Rules, alone: Alone) -> None:
    """Apply rules to what stands for a node, until none applies."""
    for _ in range(MOST_IN_A_ROW):
        made = _made(rebuilding.new[node], rules, alone)
        if made is None:
            return
        rebuilding.new[node] = rebuilding.make(node, made)


def _made(node: Node, rules: Rules, alone: Alone) -> Made:
    if node.spec.__class__ is Spec:
        for rule in rules.get(node.op.name, ()):
            made = rule(node, alone)
            if made is not None:
                return made
    return None


def joined(*tables: Rules) -> Rules:
    """The rules of several tables as one, those of the first table first."""
    names = dict.fromkeys([name for table in tables for name in table])
    return {name: [rule for table in tables for rule in table.get(name, ())] for name in names}


# --- what rules are written with ------------------------------------------------------------------------
def apply(name: str, *operands: Any, **params: Any) -> Array:
    """The result of an op on nodes, Arrays and numbers."""
    arrays = [Array(operand) if isinstance(operand, Node) else operand for operand in operands]
    return record(TABLE[name], arrays, params)  # type: ignore[no-any-return]


def reshaped(x: Node | Array, shape: tuple[int, ...]) -> Array:
    """An array in another shape; itself, if it has that."""
    node = x if isinstance(x, Node) else x.node
    while node.op.name == "reshape" and not may_copy(node):
        (node,) = node.inputs
    array = Array(node)
    return array if array.shape == shape else apply("reshape", array, shape=shape)


def may_copy(reshape: Node) -> bool:
    """May a reshape have to put elements in order? That of a transpose does, and should be done once."""
    (x,) = reshape.inputs
    return x.op is ITEM or (x.op.family in ("shape", "index") and x.op.name not in RESHAPES)


def stretched(x: Node | Array, shape: tuple[int, ...]) -> Array:
    """An array broadcast to a shape; itself, if it has that."""
    array = Array(x) if isinstance(x, Node) else x
    return array if array.shape == shape else apply("broadcast_to", array, shape=shape)


def number_in(node: Node) -> Any:
    """The number that a constant holds in all its elements' place; None for any other node."""
    if node.op is CONSTANT and node.spec.shape == ():
        return node.params["value"][()]
    return None


def is_float(node: Node) -> bool:
    """Does a node compute real floating-point numbers of single or double precision?"""
    return node.spec.__class__ is Spec and node.spec.dtype.char in "fd"


def padded(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """A shape with axes of length one before it.

    >>> padded((3, 2), 4)
    (1, 1, 3, 2)
    """
    return (1,) * (ndim - len(shape)) + shape
