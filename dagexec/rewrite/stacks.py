"""Values of the same shape as one array of them: where they lie in one already, and what it takes if not.

A stack has one axis more than what stands in it, the first. Nodes stand in one already if they are members of
a stack that is to be made, one after the other; if they are slices of one array; or if they are the same view
of what does. Else they are joined, which copies them, unless the flat program computes them in their places
(executors/parts.py).

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: x[0].T @ x[1].T)(np.ones((2, 3, 3)))
>>> Places(graph).source(graph.outputs[0].inputs)
Source(base=Slice(array=<x float64[2,3,3]>, axis=0, start=0, stop=2), views=(<permute_dims float64[3,3]>,))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dagexec.graph import CONSTANT, INPUT, ITEM, Graph, Node
from dagexec.plan import SECONDS_PER_BYTE, SECONDS_PER_CALL
from dagexec.rewrite.joining import Slice, slice_of

Nodes = tuple[Node, ...]

SECONDS_PER_PART = 0.15e-6  # of a join, beside its bytes
VIEWS = ("reshape", "permute_dims", "expand_dims", "squeeze", "broadcast_to", "getitem")


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Nodes that are computed together, in the order in which they lie in one array."""

    members: Nodes


@dataclass(frozen=True, slots=True)
class Range:
    """The members of a stack from `start` to `stop`."""

    stack: Stack
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Joined:
    """Nodes that stand nowhere together yet."""

    nodes: Nodes


@dataclass(frozen=True, slots=True)
class Source:
    """Where the values of some nodes are found together: in `base`, seen through `views`, the last one first.

    A Node as the base is the value of all of them; a Slice has them one after the other.
    """

    base: Node | Range | Slice | Joined
    views: Nodes = ()


class Places:
    """The members of stacks, in their order, and what is found there."""

    def __init__(self, graph: Graph) -> None:
        self.stack_of: dict[Node, tuple[Stack, int]] = {}  # and the place in it
        self._number = {node: number for number, node in enumerate(graph.nodes)}
        self._slices: dict[Node, Slice | None] = {}

    def add(self, stack: Stack) -> None:
        """Let nodes be the members of a stack."""
        for number, node in enumerate(stack.members):
            self.stack_of[node] = stack, number

    def remove(self, stack: Stack) -> None:
        """Let the members of a stack be alone again."""
        for node in stack.members:
            del self.stack_of[node]

    def source(self, nodes: Nodes) -> Source:
        """Where the values of nodes of one shape are found together."""
        views: Nodes = ()
        joined = Source(Joined(nodes))
        while True:
            first = nodes[0]
            if nodes.count(first) == len(nodes):  # nodes are equal only to themselves
                return Source(first, views)
            base = self._range(nodes) or self._slice(nodes)
            if base is not None:
                return Source(base, views)
            if not _are_same_view(nodes):
                return joined
            nodes = tuple([node.inputs[0] for node in nodes])
            if joined.views == views and nodes[0].spec.size <= first.spec.size:  # it is joined as it lies
                joined = Source(Joined(nodes), (*views, first))
            views = (*views, first)

    def in_order(self, nodes: Sequence[Node]) -> Nodes:
        """Nodes in the order in which operands of theirs lie in one array; else in which these are computed.

        So what is read in backward steps lies as the forward steps have left it.
        """
        for operands in zip(*[node.inputs for node in nodes]):
            places = [place for node in operands if (place := self._place(node)) is not None]
            numbers = {number for _, number in places}
            if len(numbers) == len(nodes) and len({array for array, _ in places}) == 1:
                number_of = {node: number for node, (_, number) in zip(nodes, places)}
                return tuple(sorted(nodes, key=number_of.__getitem__))
        return tuple(sorted(nodes, key=lambda node: [self._number[source] for source in node.inputs]))

    def _place(self, node: Node) -> tuple[Node | Stack, int] | None:
        """Which stack or array a node is a part of, and where."""
        while (found := self.stack_of.get(node)) is None:
            if (cut := self._slice_of(node)) is not None and cut.array not in self.stack_of:
                return cut.array, cut.start
            if not is_view(node):
                return None
            node = node.inputs[0]
        return found

    def _range(self, nodes: Nodes) -> Range | None:
        if nodes[0] not in self.stack_of:
            return None
        stack, start = self.stack_of[nodes[0]]
        stop = start + len(nodes)
        return Range(stack, start, stop) if stack.members[start:stop] == nodes else None

    def _slice(self, nodes: Nodes) -> Slice | None:
        """The slice of one array that nodes make together."""
        first = self._slice_of(nodes[0])
        if first is None:
            return None
        end = first.start
        for node in nodes:
            cut = self._slice_of(node)
            if cut is None or (cut.array, cut.axis, cut.start) != (first.array, first.axis, end):
                return None
            end += first.stop - first.start
            if cut.stop != end or node.spec != nodes[0].spec:
                return None
        return Slice(first.array, first.axis, first.start, end)

    def _slice_of(self, node: Node) -> Slice | None:
        if node not in self._slices:
            self._slices[node] = slice_of(node)
        return self._slices[node]


def is_view(node: Node) -> bool:
    """Does a node read its one input without computing anything?"""
    return node.op.name in VIEWS and len(node.inputs) == 1


def _are_same_view(nodes: Nodes) -> bool:
    first = nodes[0]
    op, params, spec = first.op, first.params, first.inputs[0].spec if first.inputs else None
    return is_view(first) and all(
        node.op is op and node.params == params and node.inputs[0].spec == spec for node in nodes
    )


def seconds_to_stack(source: Source) -> float:
    """What it takes to have values in one array: nothing, unless they are joined and must be copied."""
    if not isinstance(source.base, Joined):
        return 0.0
    copied = [node for node in source.base.nodes if node.op in (INPUT, CONSTANT, ITEM) or is_view(node)]
    if not copied:
        return SECONDS_PER_PART
    nbytes: int = sum([node.spec.nbytes for node in copied])
    return SECONDS_PER_CALL + len(copied) * SECONDS_PER_PART + nbytes * SECONDS_PER_BYTE
