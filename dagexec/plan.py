"""Graph -> Plan: what an executor needs to run a graph, worked out once and used for every run.

Each node of the graph has a number, its position, which is also the number of the slot its value is kept in
and, if there is something to compute, of its task. A plan is a set of flat lists indexed by that number:

- `functions[n]` computes task `n` from the values of the slots `sources[n]`;
- `successors[n]` are the tasks that read slot `n` (twice, if one reads it twice), and `unmet[n]` counts the
  edges from other tasks into `n`, so that counting down tells when a task is ready;
- `readers[n]` counts all who read the value of `n`, so that counting down tells when it can be dropped; a
  result of the graph has one reader more, the caller;
- `rank[n]` orders the tasks by urgency: the longest path to the end first, by measured or estimated seconds.

Arguments and constants are there from the start and have no task. Nor has an `item` of a node with several
results: whoever reads it picks it from that node's value. What not every run needs (successors, readers,
costs, ranks) is worked out when it is first asked for.

`plan(graph)` plans a Graph. `lay_out(...)` makes a plan of plain functions, without a node for each: a
million of them are planned in a second, and `plan.graph` is there once somebody asks for it.

>>> import numpy as np
>>> from dagexec.tracing import trace
>>> p = plan(trace(lambda x: np.sin(x) + np.cos(x) * x)(1.0))
>>> [(n, p.graph.nodes[n].op.name, p.unmet[n], p.successors[n], p.readers[n]) for n in p.tasks]
[(1, 'sin', 0, (4,), 1), (2, 'cos', 0, (3,), 1), (3, 'multiply', 1, (4,), 1), (4, 'add', 2, (), 1)]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from operator import itemgetter
from typing import Any

import numpy as np

from dagexec.collector import collector_paused
from dagexec.graph import CONSTANT, INPUT, ITEM, Graph, Node, Op, Spec
from dagexec.libraries import NUMPY, Library
from dagexec.ops import bytes_moved, operations, python_op, specs_of

Function = Callable[..., Any]
Output = tuple[int, int | None]  # a slot, and the item of it that is meant (None: all)

# A node's time, estimated from its row of the op table: the call, the arithmetic, the memory traffic.
SECONDS_PER_CALL = 0.7e-6
SECONDS_PER_OPERATION = 0.2e-9
SECONDS_PER_PRODUCT_BYTE = 2.5e-12  # BLAS: an operation of a matrix product, for each byte of its dtype
SECONDS_PER_BYTE = 0.1e-9
# Below this many operations OpenBLAS computes with one thread whatever it is told.
BLAS_THREADS_FROM = 10_000.0


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The flat lists that executors work on; the module's docstring says what each holds.

    `labels` names the slots in messages where there was no graph to begin with. `members` is there for a
    coarse plan: the nodes that a task computes, in their order. `costs` are measured seconds, `priority`
    hints that come before the longest path.
    """

    tasks: Sequence[int]  # in topological order
    functions: list[Function | None]
    sources: list[tuple[int, ...]]
    constants: Mapping[int, Any]
    inputs: tuple[int, ...]
    outputs: tuple[Output, ...]
    origin: Graph | None = None
    labels: Sequence[Any] | None = None
    members: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    costs: list[float] | None = None
    priority: Mapping[int, float] = field(default_factory=dict)
    is_of_kernels: bool = False  # are the functions those of the op table, for NumPy's arrays?

    def __repr__(self) -> str:
        return f"<Plan: {len(self.tasks)} tasks>"

    def values(self, arguments: Sequence[Any] = ()) -> list[Any]:
        """The list of values as it is before a run: constants and arguments, None elsewhere."""
        values = self._before_a_run.copy()
        for slot, argument in zip(self.inputs, arguments):
            values[slot] = np.asarray(argument) if isinstance(argument, float) else argument
        return values

    @cached_property
    def _before_a_run(self) -> list[Any]:
        values: list[Any] = [None] * len(self.functions)
        for slot, value in self.constants.items():
            values[slot] = value
        return values

    def results(self, values: Sequence[Any] | Mapping[int, Any]) -> list[Any]:
        """The results, in their order, from the values of a run by slot."""
        return [values[slot] if item is None else values[slot][item] for slot, item in self.outputs]

    @cached_property
    def fetch(self) -> list[Callable[[list[Any]], Sequence[Any]] | None]:
        """For each task that reads several slots, the function that takes them out of the list of values."""
        return [itemgetter(*slots) if len(slots) > 1 else None for slots in self.sources]

    @cached_property
    def successors(self) -> list[tuple[int, ...]]:
        """For each slot the tasks that read it, as often as they do."""
        leads_to: list[Any] = [[] for _ in self.sources]
        for task in self.tasks:
            for slot in self.sources[task]:
                leads_to[slot].append(task)
        for slot, following in enumerate(leads_to):
            leads_to[slot] = tuple(following)
        return leads_to

    @cached_property
    def unmet(self) -> list[int]:
        """For each task the number of edges from other tasks into it."""
        unmet = list(map(len, self.sources))
        for slot in (*self.constants, *self.inputs):
            for task in self.successors[slot]:
                unmet[task] -= 1
        return unmet

    @cached_property
    def readers(self) -> list[int]:
        """For each slot the number of those who read its value."""
        readers = list(map(len, self.successors))
        for slot, _ in self.outputs:
            readers[slot] += 1
        return readers

    @cached_property
    def drops(self) -> list[tuple[int, ...]]:
        """For each task the slots that it may be the last to need: what it reads, and itself if unread."""
        unread = [task for task in self.tasks if not self.readers[task]]
        if not unread:
            return self.sources
        drops = self.sources.copy()
        for task in unread:
            drops[task] += (task,)
        return drops

    @cached_property
    def seconds(self) -> list[float]:
        """For each task what it takes on one worker, measured or estimated; 0 for what is no task."""
        if self.costs is not None:
            return self.costs
        seconds = [0.0] * len(self.functions)
        for task in self.tasks:
            members = self.members.get(task, (task,))
            seconds[task] = sum([self._estimated(member) for member in members])
        return seconds

    def _estimated(self, task: int) -> float:
        return SECONDS_PER_CALL if self.origin is None else estimated_seconds(self.origin.nodes[task])

    @cached_property
    def rank(self) -> list[int]:
        """Each task's place in the order of urgency; -1 for what is no task."""
        rank = [-1] * len(self.functions)
        for position, task in enumerate(self.by_rank):
            rank[task] = position
        return rank

    @cached_property
    def by_rank(self) -> list[int]:
        """The tasks in the order of urgency: by priority, then by the longest path that starts with them."""
        longest = longest_paths(self.tasks, self.successors, self.seconds)
        hint = self.priority.get
        return sorted(self.tasks, key=lambda task: (-hint(task, 0.0), -longest[task], task))

    @cached_property
    def roots(self) -> list[int]:
        """The tasks that wait for no other."""
        unmet = self.unmet
        return [task for task in self.tasks if not unmet[task]]

    @cached_property
    def graph(self) -> Graph:
        """The graph that this is the plan of."""
        return _graph_of(self) if self.origin is None else self.origin

    @cached_property
    def threaded_blas(self) -> bool:
        """May BLAS use threads of its own for some task?"""
        return self.origin is None or any(map(_may_thread, self.origin.nodes))

    @cached_property
    def has_python(self) -> bool:
        """Is there a plain Python callable among the tasks, of which nothing is known?"""
        return self.origin is None or any(op.family == "python" for op in {n.op for n in self.origin.nodes})

    def key(self, task: int) -> Any:
        """What a user calls a task in options and reports: its label, else its number."""
        return task if self.labels is None else self.labels[task]

    def name(self, task: int) -> str:
        """What a task is called: its label, or the name or op of its node."""
        if self.labels is not None:
            return str(self.labels[task])
        node = self.graph.nodes[task]
        return node.name or node.op.name

    def describe(self, task: int) -> str:
        """Op, input shapes, scope and user's line of a task, for messages."""
        if self.labels is not None:
            return f"task {self.labels[task]!r}"
        node = self.graph.nodes[task]
        shapes = ", ".join(str(source.spec) for source in node.inputs if source.spec is not None)
        scope = f" in {'/'.join(node.scope)}" if node.scope else ""
        place = f", at {node.where[0]}:{node.where[1]}" if node.where else ""
        phase = "" if node.phase == "forward" else f" ({node.phase})"
        return f"node %{task} {self.name(task)}({shapes}){phase}{scope}{place}"

    def blame(self, task: int, error: BaseException) -> None:
        """Add a note to `error` that says which task raised it."""
        if task not in self.members:  # the member that failed is named where it ran
            add_note(error, f"raised by {self.describe(task)}")


class Picking:
    """A function of which some arguments come as tuples that it takes one item of."""

    __slots__ = ("function", "items")

    def __init__(self, function: Function, items: tuple[int | None, ...]) -> None:
        self.function = function
        self.items = items

    def __call__(self, *values: Any) -> Any:
        return self.function(
            *[value if item is None else value[item] for value, item in zip(values, self.items)]
        )


def add_note(error: BaseException, note: str) -> None:
    """`error.add_note(note)`, also where the class allows no new attributes, as a frozen dataclass does."""
    error.__dict__.setdefault("__notes__", []).append(note)


def estimated_seconds(node: Node) -> float:
    """How long a node takes on one worker, by the op table; not measured."""
    if node.op.family == "python":
        return SECONDS_PER_CALL
    linear = node.op.family == "linear"
    itemsize = max((spec.dtype.itemsize for spec in specs_of(node)), default=1)
    rate = SECONDS_PER_PRODUCT_BYTE * itemsize if linear else SECONDS_PER_OPERATION
    return SECONDS_PER_CALL + rate * operations(node) + SECONDS_PER_BYTE * bytes_moved(node)


@collector_paused()
def plan(graph: Graph, library: Library = NUMPY) -> Plan:
    """Work out the plan of a graph, to be run on arrays of a library."""
    nodes = graph.nodes
    number_of: dict[Node, int] = {}
    functions: list[Any] = [None] * len(nodes)
    sources: list[tuple[int, ...]] = [()] * len(nodes)
    constants: dict[int, Any] = {}
    item_of: dict[int, tuple[int, int]] = {}
    picked: dict[int, tuple[int | None, ...]] = {}  # of tasks that read items: which ones
    read_of: dict[int, set[int]] = {}  # of control ops: which results, since they may leave out the others
    made: dict[Op, Function] = {}  # of ops without parameters
    for task, node in enumerate(nodes):  # once: in a large graph each look at a node is a cache miss
        number_of[node] = task
        op, inputs = node.op, node.inputs
        function = None if node.params else made.get(op)
        if function is None:
            if op is INPUT:
                continue
            if op is CONSTANT:
                constants[task] = library.array(node.params["value"])
                continue
            if op is ITEM:
                item_of[task] = source, index = number_of[inputs[0]], node.params["index"]
                if source in read_of:
                    read_of[source].add(index)
                continue
            if op.family == "control":
                read_of[task] = set()
            else:
                function = op.kernel(library.xp, **node.params)
            if function is not None and not node.params:
                made[op] = function
        slots: tuple[int, ...]
        if len(inputs) == 2:  # faster than the general way
            slots = number_of[inputs[0]], number_of[inputs[1]]
        else:
            slots = tuple(map(number_of.__getitem__, inputs))
        if item_of and not item_of.keys().isdisjoint(slots):
            picked[task] = tuple([item_of.get(slot, (slot, None))[1] for slot in slots])
            slots = tuple([item_of.get(slot, (slot, None))[0] for slot in slots])
        functions[task] = function
        sources[task] = slots
    for task, read in read_of.items():
        functions[task] = nodes[task].op.kernel(library.xp, **nodes[task].params, read=tuple(sorted(read)))
    for task, items in picked.items():
        functions[task] = Picking(functions[task], items)
    given = tuple([number_of[node] for node in graph.inputs])
    outputs = [item_of.get(slot, (slot, None)) for slot in (number_of[node] for node in graph.outputs)]
    found = lay_out(functions, sources, outputs, constants=constants, inputs=given, origin=graph)
    known = library is NUMPY and not found.has_python
    return replace(found, is_of_kernels=True) if known else found


@collector_paused()
def lay_out(
    functions: list[Function | None],
    sources: list[tuple[int, ...]],
    outputs: Sequence[Output],
    *,
    constants: Mapping[int, Any],
    inputs: tuple[int, ...] = (),
    origin: Graph | None = None,
    labels: Sequence[Any] | None = None,
) -> Plan:
    """The plan of functions that stand in topological order; what has no function is given or not computed.

    >>> p = lay_out([None, abs, pow], [(), (0,), (1, 1)], [(2, None)], constants={0: -3}, labels="xyz")
    >>> p.tasks, p.successors, p.unmet, p.roots
    ([1, 2], [(1,), (2, 2), ()], [0, 0, 2], [1])
    """
    tasks = [task for task, function in enumerate(functions) if function is not None]
    return Plan(tasks, functions, sources, constants, inputs, tuple(outputs), origin, labels)


def longest_paths(
    tasks: Sequence[int], successors: Sequence[Sequence[int]], costs: Sequence[float]
) -> list[float]:
    """For each task the cost of the longest path that starts with it; what is no task keeps its cost."""
    longest = list(costs)
    for task in reversed(tasks):
        if successors[task]:
            longest[task] += max([longest[following] for following in successors[task]])
    return longest


def _graph_of(plan: Plan) -> Graph:
    """The graph of a plan that was laid out without one."""
    nodes: list[Node] = []
    ops: dict[int, Op] = {}  # by identity: a callable need not be hashable
    for slot, function in enumerate(plan.functions):
        name = "" if plan.labels is None else str(plan.labels[slot])
        if slot in plan.constants:
            value = plan.constants[slot]
            nodes.append(Node(CONSTANT, params={"value": value}, spec=_spec_of(value), name=name))
            continue
        if function is None:
            nodes.append(Node(INPUT, name=name))
            continue
        if id(function) not in ops:
            ops[id(function)] = python_op(function)
        inputs = tuple([nodes[source] for source in plan.sources[slot]])
        nodes.append(Node(ops[id(function)], inputs, name=name))
    return Graph(nodes, [nodes[slot] for slot in plan.inputs], [nodes[slot] for slot, _ in plan.outputs])


def _spec_of(value: Any) -> Spec | None:
    if isinstance(value, np.ndarray | np.generic | int | float | complex):
        array = np.asarray(value)
        return None if array.dtype.hasobject else Spec(array.shape, array.dtype)
    return None


def _may_thread(node: Node) -> bool:
    if node.op.family != "linear":
        return node.op.family == "python"
    calls = prod(node.spec.shape[:-2]) if node.op.name == "matmul" else 1  # of BLAS, for a stack
    return operations(node) > BLAS_THREADS_FROM * calls
