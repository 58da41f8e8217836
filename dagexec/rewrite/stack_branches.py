"""Branches that do the same on other values become one, on stacked arrays: `k` small calls are one.

A call of NumPy takes about a microsecond, however small its arrays are. The towers of an ensemble, the heads
of an attention layer, the gates of a cell apply the same ops to arrays of the same shapes, which do not wait
for each other: so do they with an axis more, for all of them at once. Their gradients as well.

>>> import numpy as np, dagexec
>>> def fn(x, w):
...     return np.concatenate([np.tanh(x @ w[k]) for k in range(3)], axis=1)
>>> print(stack_branches(dagexec.trace(fn)(np.ones((2, 4)), np.ones((3, 4, 4)))))
fn(x: float64[2,4], w: float64[3,4,4]):
  %2 = matmul(x, w)                              float64[3,2,4]
  %3 = tanh(%2)                                  float64[3,2,4]
  %4 = permute_dims(%3, axes=(1, 0, 2))          float64[2,3,4]
  %5 = reshape(%4, shape=(2, 12))                float64[2,12]
  return %5

What is read together lies together: a stack is read by the next one, and what stays alone reads its place in
it, a view. It is done where calls take a good part of the time. What takes so long that workers could share
it is left to them, unless calls take a third of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from dagexec import xp
from dagexec.array import Array, record
from dagexec.collector import collector_paused
from dagexec.graph import Graph, Node, Op
from dagexec.ops.batched import OF_FAMILY
from dagexec.plan import SECONDS_PER_BYTE, SECONDS_PER_CALL, estimated_seconds
from dagexec.rewrite.additions import added, additions
from dagexec.rewrite.isomorphic import alike
from dagexec.rewrite.joining import LONG, SHARE, Slice
from dagexec.rewrite.merging import in_merged_order
from dagexec.rewrite.rebuilding import Rebuilding, read_counts
from dagexec.rewrite.rules import reshaped
from dagexec.rewrite.stacks import Joined, Nodes, Places, Range, Source, Stack, is_view, seconds_to_stack

WORTH = 0.05  # what must be saved, of the time of the nodes
NOTICED = 0.01  # and of that of the graph
LARGEST = 1 << 18  # bytes of a stack: what is larger does not stay in the processor's cache between calls
# What is no call of a small elementwise op, in such calls:
CALLS_OF_A_PRODUCT = 2  # what NumPy takes before BLAS begins
CALLS_OF_A_COPY = 3  # of a result that lies in a stack
JOINS = ("concat", "stack")


@collector_paused()
def stack_branches(graph: Graph) -> Graph:
    """The graph with nodes of the same kind, of small arrays, made one on a stack of them."""
    places = Places(graph)
    stacks = _worthwhile(graph, alike(graph, LARGEST // 2), places)
    if not stacks:
        return graph
    order = in_merged_order(graph, [stack.members for stack in stacks])
    together = {node for node, *others in order if others}
    for stack in stacks:
        if stack.members[0] not in together:
            places.remove(stack)
    stacking = _Stacking(graph, places)
    sums = _sums(graph, places)
    for node, *others in order:
        if others:
            stacking.stack(places.stack_of[node][0])
        elif node in sums:
            stacking.add(node, *sums[node])
        else:
            stacking.alone(node)
    for node in graph.outputs:
        stacking.whole(node)
    return stacking.graph()


# --- what is gained -------------------------------------------------------------------------------------
def _worthwhile(graph: Graph, groups: Sequence[Sequence[Node]], places: Places) -> list[Stack]:
    """The stacks that make nodes of the same kind faster; `places` knows of them."""
    seconds = [estimated_seconds(nodes[0]) for nodes in groups]
    share = SHARE if sum(seconds) > LONG else WORTH  # the sum is the time of one branch
    gain_of: dict[Stack, tuple[float, float]] = {}  # what is saved, and what must be
    results = Counter(graph.outputs)
    for nodes, one in zip(groups, seconds):
        call = (CALLS_OF_A_PRODUCT if nodes[0].op.name == "matmul" else 1) * SECONDS_PER_CALL
        saved, least = call * (len(nodes) - 1), share * one * len(nodes)
        nbytes = nodes[0].spec.nbytes
        if saved > least and len(nodes) * nbytes <= LARGEST:
            copied = sum([results[node] for node in nodes])  # as each result has memory of its own
            saved -= copied * (CALLS_OF_A_COPY * SECONDS_PER_CALL + 2 * nbytes * SECONDS_PER_BYTE)
            stack = Stack(places.in_order(nodes))
            places.add(stack)
            gain_of[stack] = saved, least
    while dear := _too_dear(gain_of, places):
        for stack in dear:
            places.remove(stack)
            del gain_of[stack]
    all_saved = sum([saved for saved, _ in gain_of.values()])
    is_noticed = bool(gain_of) and all_saved > NOTICED * sum(map(estimated_seconds, graph.nodes))
    return list(gain_of) if is_noticed else []


def _too_dear(gain_of: Mapping[Stack, tuple[float, float]], places: Places) -> list[Stack]:
    """The stacks that save less than their share of what it takes to stack what they read."""
    sources = {
        stack: [places.source(nodes) for nodes in zip(*[node.inputs for node in stack.members])]
        for stack in gain_of
    }
    readers = Counter([source.base for found in sources.values() for source in found])
    dear = []
    for stack, (saved, least) in gain_of.items():
        shares = [seconds_to_stack(source) / readers[source.base] for source in sources[stack]]
        are_one = all(isinstance(source.base, Node) for source in sources[stack])  # or will be
        if are_one or saved - sum(shares) <= least:
            dear.append(stack)
    return dear


def _sums(graph: Graph, places: Places) -> dict[Node, tuple[list[Range], list[Node]]]:
    """The sums of members of stacks, by the last addition: ranges of stacks, and the other terms."""
    found = {}
    for root, terms in additions(graph, read_counts(graph)):
        ranges: list[Range] = []
        if root not in places.stack_of:
            numbers_in: dict[Stack, list[int]] = {}
            for stack, number in [places.stack_of[node] for node in terms if node in places.stack_of]:
                numbers_in.setdefault(stack, []).append(number)
            for stack, numbers in numbers_in.items():
                start, stop = min(numbers), max(numbers) + 1
                if len(numbers) > 2 and sorted(numbers) == list(range(start, stop)):
                    ranges.append(Range(stack, start, stop))
        if ranges:
            together = {node for part in ranges for node in part.stack.members[part.start : part.stop]}
            found[root] = ranges, [node for node in terms if node not in together]
    return found


# --- what becomes of it ---------------------------------------------------------------------------------
class _Stacking(Rebuilding):
    """A graph under way. Members of stacks, and views of them, are in `new` once they are read alone."""

    def __init__(self, graph: Graph, places: Places) -> None:
        super().__init__(graph)
        self._places = places
        self._found: dict[object, Node] = {}  # what is read together, by Source, by its base and by stack

    def stack(self, stack: Stack) -> None:
        """Make one node of the members of a stack."""
        first, like = stack.members[0], _label(stack.members)
        operands, flags = [], []
        for nodes in zip(*[node.inputs for node in stack.members]):
            source = self._places.source(nodes)
            flags.append(not isinstance(source.base, Node))
            operands.append(self._together(like, source, nodes) if flags[-1] else self.whole(nodes[0]))
        apply = partial(_applied, first.op, first.params, len(stack.members), tuple(flags))
        self._found[stack] = self.make(like, apply, *operands)

    def add(self, root: Node, ranges: Sequence[Range], others: Sequence[Node]) -> None:
        """Make a sum of ranges of stacks and of other terms."""
        parts = []
        for part in ranges:
            nodes = part.stack.members[part.start : part.stop]
            stack = self._together(root, Source(part), nodes)
            parts.append(self.make(root, lambda stack: xp.sum(stack, axis=0, dtype=stack.dtype), stack))
        self.new[root] = self.make(root, added, *[self.whole(node) for node in others], *parts)

    def alone(self, node: Node) -> None:
        """Keep a node; what joins members of a stack in their order is a view of it."""
        if is_view(node) and node.inputs[0] not in self.new:
            return
        if node.op.name in JOINS and node.inputs:
            source = self._places.source(node.inputs)
            if isinstance(source.base, Range):
                self.new[node] = self.make(
                    node, partial(_joined, node), self._together(node, source, node.inputs)
                )
                return
        for read in node.inputs:
            if read not in self.new:
                self.whole(read)
        self.keep(node)

    def whole(self, node: Node) -> Node:
        """What stands for one node alone."""
        views = []
        while node not in self.new and node not in self._places.stack_of:
            views.append(node)
            node = node.inputs[0]
        if node not in self.new:
            stack, number = self._places.stack_of[node]
            self.new[node] = self.make(node, lambda stack: stack[number], self._found[stack])
        for view in reversed(views):
            self.keep(view)
            node = view
        return self.new[node]

    def stands_for(self, twin: Node) -> Node:
        if twin in self._places.stack_of:
            return self._found.get(self._places.stack_of[twin][0], twin)
        return super().stands_for(twin)

    def _together(self, like: Node, source: Source, nodes: Nodes) -> Node:
        """The values of nodes as one array, from where they are found."""
        if source not in self._found:
            base = self._base(like, source, nodes)
            size = len(nodes)
            for view in reversed(source.views):
                base = self.make(like, partial(_applied, view.op, view.params, size, (True,)), base)
            self._found[source] = base
        return self._found[source]

    def _base(self, like: Node, source: Source, nodes: Nodes) -> Node:
        base = source.base
        if base in self._found:
            return self._found[base]
        match base:
            case Range(stack, start, stop):
                found = self._found[stack]
                if stop - start < len(stack.members):
                    found = self.make(like, lambda whole: whole[start:stop], found)
            case Slice():
                spec = nodes[0].spec if not source.views else source.views[-1].inputs[0].spec
                found = self.make(
                    like, partial(_sliced, base, len(nodes), spec.shape), self.whole(base.array)
                )
            case Joined(members):
                found = self.make(like, _stacked, *[self.whole(node) for node in members])
        self._found[base] = found
        return found


def _label(members: Nodes) -> Node:
    """What the node for the members of a stack is labelled like: in the scope that all of them are in."""
    first = members[0]
    names = takewhile(lambda names: len({*names}) == 1, zip(*[node.scope for node in members]))
    labels = tuple([name for name, *_ in names]), first.phase, first.name, first.grad_of, first.where
    return Node(first.op, (), first.params, first.spec, *labels)


def _applied(op: Op, params: Mapping[str, Any], size: int, flags: tuple[bool, ...], *arrays: Array) -> Any:
    """The result of an op for all of a stack; `flags` marks the arrays that are stacks."""
    rule = op.batch or OF_FAMILY[op.family]
    return rule(xp, lambda *inputs, **params: record(op, inputs, params), size, flags, *arrays, **params)


def _joined(join: Node, stack: Array) -> Array:
    """The result of a `concat` or `stack` of the members of a stack."""
    return reshaped(xp.moveaxis(stack, 0, join.params["axis"]), join.spec.shape)


def _sliced(base: Slice, size: int, shape: tuple[int, ...], array: Array) -> Array:
    """The slice of an array as a stack of so many slices, of some shape."""
    before, axis = (slice(None),) * base.axis, base.axis
    if (base.start, base.stop) != (0, array.shape[axis]):
        array = array[(*before, slice(base.start, base.stop))]
    width = (base.stop - base.start) // size
    array = reshaped(array, (*array.shape[:axis], size, width, *array.shape[axis + 1 :]))
    return reshaped(xp.moveaxis(array, axis, 0), (size, *shape))


def _stacked(*arrays: Array) -> Any:
    """A stack as a concatenation, which takes less of NumPy's time, where there is an axis for that."""
    if not arrays[0].shape:
        return xp.stack(arrays)
    return reshaped(xp.concat(arrays, axis=0), (len(arrays), *arrays[0].shape))
