"""Graphs within graphs: what `cond`, `scan`, `while_loop` and `checkpoint` have in common.

`subgraphs` records functions as graphs of their own; what they reach of the trace around them becomes further
inputs, so a graph is closed. `inlined` puts a graph's nodes into the current trace, `pulled_back` its
gradient. A `Program` is a graph ready to be computed within one task: flat steps, no nodes, so that it can be
sent to other processes.

>>> import numpy as np
>>> from dagexec.tracing import trace
>>> program = Program(trace(lambda x, y: (x + y, x * y))(1.0, 1.0), np)
>>> tuple(map(float, program(3.0, 4.0)))
(7.0, 12.0)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import numpy as np
import optree

from dagexec import xp
from dagexec.array import ALIAS, CURRENT, Array, Trace, as_nodes, at, current_trace, recording, user_line
from dagexec.backward import derive
from dagexec.graph import INPUT, Graph, Node, Spec, is_scalar_constant, reachable
from dagexec.libraries import NUMPY, Library
from dagexec.ops.table import operations
from dagexec.plan import plan
from dagexec.pytrees import flatten
from dagexec.steps import all_steps, compute
from dagexec.tracing import finish, leaf_spec
from dagexec.transform.batching import vmap

Specs = Sequence[Spec]


class Part(NamedTuple):
    """A function to be recorded: it takes a list of Arrays with these Specs, and returns a list."""

    name: str
    function: Callable[[list[Array]], Sequence[Any]]
    specs: Specs


class _Region(NamedTuple):
    name: str
    nodes: list[Node]
    inputs: list[Node]
    outputs: list[Node]


def subgraphs(*parts: Part) -> tuple[list[Graph], list[Array]]:
    """The functions as graphs, and the arrays of the trace around them that they take after their own."""
    regions = [_recorded(part) for part in parts]
    captured: dict[Node, None] = {}
    for region in regions:
        own = set(region.nodes)
        for node in region.nodes:
            captured.update(dict.fromkeys(source for source in node.inputs if source not in own))
        captured.update(dict.fromkeys(node for node in region.outputs if node not in own))
    taken = [node for node in captured if not is_scalar_constant(node)]
    constants = [node for node in captured if is_scalar_constant(node)]
    return [_closed(region, taken, constants) for region in regions], [Array(node) for node in taken]


def _recorded(part: Part) -> _Region:
    outer = CURRENT.get()
    inputs = [Node(INPUT, spec=spec) for spec in part.specs]
    trace = Trace(inputs)
    if outer is not None:
        trace.scope, trace.counts, trace.where = outer.scope, outer.counts, outer.where
    with recording(trace):
        results = part.function([Array(node) for node in inputs])
        outputs = [as_nodes(trace, (result,))[0] for result in results]
    inner = reachable(trace.nodes, outputs)
    taken = set(inputs)
    return _Region(part.name, [*inputs, *(node for node in inner if node not in taken)], inputs, outputs)


def _closed(region: _Region, taken: Iterable[Node], constants: list[Node]) -> Graph:
    """The graph of a region, with inputs in place of the nodes that it takes from outside."""
    twins = {node: Node(INPUT, spec=node.spec, name=node.name) for node in taken}
    for node in region.nodes:
        if not twins.keys().isdisjoint(node.inputs):
            node.inputs = tuple([twins.get(source, source) for source in node.inputs])
        if node.grad_of in twins:
            node.grad_of = twins[node.grad_of]
    inputs = [*region.inputs, *twins.values()]
    outputs = [twins.get(node, node) for node in region.outputs]
    trace = Trace([*inputs, *constants, *region.nodes[len(region.inputs) :]])
    return finish(trace, inputs, outputs, None, None, region.name)


@dataclass
class Found:
    """What a user's function returned when it was recorded: structure and arrays.

    A Python number takes the dtype that `dtypes` holds at its place.
    """

    dtypes: dict[int, np.dtype[Any]] = field(default_factory=dict)
    tree: Any = None
    leaves: list[Any] = field(default_factory=list)

    def take(self, result: Any) -> list[Any]:
        """Note a result; its arrays."""
        self.leaves, self.tree = flatten(result)
        return [
            np.asarray(leaf, self.dtypes[position]) if is_number(leaf) and position in self.dtypes else leaf
            for position, leaf in enumerate(self.leaves)
        ]


def recorded_tree(fn: Callable[..., Any], structure: optree.PyTreeSpec, specs: Specs, found: Found) -> Part:
    """A user's function of a tree of arguments as a Part."""
    return Part(name_of(fn), lambda leaves: found.take(fn(*optree.tree_unflatten(structure, leaves))), specs)


def is_number(leaf: Any) -> bool:
    """Is it a Python number, whose dtype may give way?"""
    return leaf.__class__ in (bool, int, float, complex)


def name_of(fn: Callable[..., Any]) -> str:
    """What a function is called in a graph."""
    return str(getattr(fn, "__name__", type(fn).__name__)).strip("<>")


def node_of(leaf: Any) -> Array:
    """An array or number as an Array of the current trace, or of define-by-run."""
    return leaf if isinstance(leaf, Array) else Array(current_trace().constant(leaf))


def spec_at(leaf: Any, what: str) -> Spec:
    """The Spec of an operand; TypeError, with the user's line, if it is no number or array."""
    try:
        return leaf_spec(leaf, what)
    except TypeError as error:
        raise TypeError(f"{error} ({at(user_line())})") from None


def specs_out(graph: Graph) -> list[Spec]:
    """The Specs of a graph's results."""
    return [node.spec for node in graph.outputs]


def check_inputs(graph: Graph, specs: Iterable[Spec]) -> None:
    """Raise ValueError unless a graph takes arrays of these Specs."""
    wanted, given = [node.spec for node in graph.inputs], list(specs)
    if wanted != given:
        raise ValueError(f"{graph.name} takes {wanted}, not {given}")


def work(graph: Graph) -> float:
    """Estimated number of arithmetic operations of a graph."""
    return sum(operations(node) for node in graph.nodes)


# --- in the current trace -----------------------------------------------------------------------------------
def inlined(graph: Graph, operands: Sequence[Array]) -> list[Array]:
    """The results of a graph for some operands: copies of its nodes, in the current trace.

    They keep scope and line. What is derived at the moment is backward as a whole.
    """
    trace = current_trace()
    copies: dict[Node, Node] = {node: x.node for node, x in zip(graph.inputs, operands, strict=True)}
    for node in graph.nodes:
        if node.op is INPUT:
            continue
        if is_scalar_constant(node):
            copies[node] = trace.constant(node.params["value"])
            continue
        inputs = tuple([copies[source] for source in node.inputs])
        phase = node.phase if trace.phase == "forward" else trace.phase
        twin = trace.grad_of if node.grad_of is None else copies.get(node.grad_of, trace.grad_of)
        copy = Node(node.op, inputs, node.params, node.spec, node.scope, phase, node.name, twin, node.where)
        trace.nodes.append(copy)
        copies[node] = copy
    return [Array(copies[node]) for node in graph.outputs]


def differentiable(graph: Graph) -> list[bool]:
    """Which inputs of a graph have a gradient: those of floating point that something reads."""
    read = {source for node in graph.nodes for source in node.inputs} | set(graph.outputs)
    return [node.spec.dtype.kind in "fc" and node in read for node in graph.inputs]


def pulled_back(graph: Graph, operands: Sequence[Array], cotangents: Sequence[Any]) -> list[Array | None]:
    """The graph recomputed in the current trace, and from its cotangents those of the operands.

    A cotangent that is no Array is zero; an operand that is not `differentiable` has None.
    """
    trace = current_trace()
    wanted = differentiable(graph)
    start = len(trace.nodes)
    fresh = [
        Array(trace.add(ALIAS, (x.node,), {}, x.node.spec)) if has else x for x, has in zip(operands, wanted)
    ]
    results = inlined(graph, fresh)
    region = trace.nodes[start:]
    seeds = [(y.node, g) for y, g in zip(results, cotangents) if isinstance(g, Array)]
    targets = [x.node for x, has in zip(fresh, wanted) if has]
    shares = iter(derive(trace, region, seeds, targets))
    return [next(shares) if has else None for has in wanted]


def zeros_like(spec: Spec) -> Array:
    """A traced array of zeros: one number, stretched."""
    return cast(Array, xp.zeros(spec.shape, dtype=spec.dtype))


def only_read(graphs: Sequence[Graph], always: int = 0) -> tuple[list[Graph], list[bool]]:
    """Graphs of the same inputs without those that none reads, but `always` the first; which they keep."""
    kept = [position < always for position in range(len(graphs[0].inputs))]
    for graph in graphs:
        read = {source for node in graph.nodes for source in node.inputs} | set(graph.outputs)
        kept = [keep or node in read for keep, node in zip(kept, graph.inputs)]
    return [_without(graph, kept) for graph in graphs], kept


def _without(graph: Graph, kept: Sequence[bool]) -> Graph:
    inputs = [node for node, keep in zip(graph.inputs, kept) if keep]
    dropped = set(graph.inputs) - set(inputs)
    nodes = [node for node in graph.nodes if node not in dropped]
    return Graph(nodes, inputs, graph.outputs, name=graph.name)


def restricted(graph: Graph, wanted: Sequence[bool]) -> Graph:
    """A graph with some of its results; its inputs remain."""
    outputs = [node for node, keep in zip(graph.outputs, wanted) if keep]
    kept = {*reachable(graph.nodes, outputs), *graph.inputs}
    return Graph([node for node in graph.nodes if node in kept], graph.inputs, outputs, name=graph.name)


# --- in batches ---------------------------------------------------------------------------------------------
def dependent(graph: Graph, flags: Sequence[bool]) -> list[bool]:
    """Which results of a graph depend on the inputs that are marked."""
    marked = {node for node, flag in zip(graph.inputs, flags) if flag}
    for node in graph.nodes:
        if not marked.isdisjoint(node.inputs):
            marked.add(node)
    return [node in marked for node in graph.outputs]


def carry_flags(body: Graph, flags: list[bool], carries: int) -> list[bool]:
    """Which inputs of a step come to depend on the marked ones: its first results are its next inputs."""
    while True:
        made = dependent(body, flags)[:carries]
        after = [flag or now for flag, now in zip(flags, made)] + flags[carries:]
        if after == flags:
            return flags
        flags = after


def batched_part(graph: Graph, flags: Sequence[bool], made: Sequence[bool], size: int) -> Part:
    """A graph applied to all slices of the marked inputs; the results in `made` have a batch's axis."""
    axes, out_axes = ([0 if flag else None for flag in marks] for marks in (flags, made))
    specs = [
        Spec((size, *node.spec.shape), node.spec.dtype) if flag else node.spec
        for node, flag in zip(graph.inputs, flags)
    ]

    def function(leaves: list[Array]) -> list[Any]:
        if not any(flags):
            return [spread(x, size) if flag else x for x, flag in zip(inlined(graph, leaves), made)]
        of_one = vmap(lambda given: inlined(graph, given), in_axes=(axes,), out_axes=out_axes)
        return list(of_one(leaves))

    return Part(graph.name, function, specs)


def spread(x: Any, size: int) -> Any:
    """The same array for each slice of a batch."""
    return xp.broadcast_to(x, (size, *x.shape))


# --- when it runs -----------------------------------------------------------------------------------------
class Program:
    """A graph as flat steps, called with its inputs; the results are a list."""

    __slots__ = ("_plan", "_steps")

    def __init__(self, graph: Graph, xp: Any) -> None:
        planned = plan(graph, NUMPY if xp is np else Library(xp))
        labels = [planned.describe(number) for number in range(len(graph.nodes))]
        self._plan = replace(planned, origin=None, labels=labels)
        self._steps = all_steps(self._plan)

    def __call__(self, *inputs: Any) -> list[Any]:
        values = self._plan.values()
        for slot, value in zip(self._plan.inputs, inputs):
            values[slot] = value
        compute(self._plan, self._steps, values, ())
        return self._plan.results(values)
