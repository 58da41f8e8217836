"""Which nodes compute the same of different values: the same ops on the same shapes, from the arguments on.

Each node gets a number for its kind, made of its op, its parameters and the kinds of what it reads. Arguments
are of one kind if shapes and dtypes agree; so are the slices of one array that are as wide, and what slices
of one kind of array are read from the same place. Nodes of one kind do not wait for each other.

>>> import numpy as np, dagexec
>>> def fn(x, u, v):
...     return np.tanh(x @ u) @ u, np.tanh(x @ v) @ v
>>> graph = dagexec.trace(fn)(np.ones((2, 3)), np.ones((3, 3)), np.ones((3, 3)))
>>> [[node.op.name for node in nodes] for nodes in alike(graph, 1000)]
[['matmul', 'matmul'], ['tanh', 'tanh'], ['matmul', 'matmul']]

Beside these branches there are elementwise ops on the same shapes that happen not to wait for each other: the
derivatives of tanh at all steps of a recurrent network, once the steps are done.
"""

from __future__ import annotations

from collections.abc import Hashable

from dagexec.graph import CONSTANT, INPUT, Graph, Node, Spec, is_scalar_constant
from dagexec.rewrite.joining import slice_of
from dagexec.rewrite.merge_common import ALONE, key_of
from dagexec.rewrite.merging import independent

# Families of ops that compute on many arrays at once what they compute on each, element by element or row by
# row; and matrix products, the one op of their family that does.
STACKED = ("elementwise", "reduction")


def kinds_of(graph: Graph) -> dict[Node, int]:
    """For each node the number of its kind; what is of a kind of its own has a number below zero."""
    number_of: dict[Hashable, int] = {}
    kinds: dict[Node, int] = {}
    kind = kinds.__getitem__
    for node in graph.nodes:
        op, inputs = node.op, node.inputs
        key: Hashable
        if op.family in ALONE or is_scalar_constant(node):
            kinds[node] = -1 - len(kinds)
            continue
        if op is INPUT or op is CONSTANT:
            key = op, node.spec
        elif op.family in STACKED and not node.params:
            key = op, node.phase, *map(kind, inputs)
        elif (found := slice_of(node)) is not None:
            key = "slice", node.phase, node.spec, kind(found.array), found.axis
        else:
            key = op, node.phase, key_of(node.params), *map(kind, inputs)
        kinds[node] = number_of.setdefault(key, len(number_of))
    return kinds


def alike(graph: Graph, largest: int) -> list[list[Node]]:
    """Groups of nodes that can be computed together, those of a kind first; each node in one at the most.

    Left out are nodes whose values have more than so many bytes.
    """
    of_kind: dict[int, list[Node]] = {}
    for node, kind in kinds_of(graph).items():
        if _can_be_stacked(node) and node.spec.nbytes <= largest:
            of_kind.setdefault(kind, []).append(node)
    of_shapes: dict[Hashable, list[Node]] = {}
    for node, *others in of_kind.values():
        if not others and node.op.family == "elementwise" and not node.params:
            dtypes = [source.spec.dtype.char for source in node.inputs]
            key = node.op, node.phase, *dtypes, *[source.spec.shape for source in node.inputs]
            of_shapes.setdefault(key, []).append(node)
    several = [nodes for nodes in of_shapes.values() if len(nodes) > 1]
    return [nodes for nodes in of_kind.values() if len(nodes) > 1] + independent(graph, several)


def _can_be_stacked(node: Node) -> bool:
    return (node.op.family in STACKED or node.op.name == "matmul") and node.spec.__class__ is Spec
