"""Graph -> Plan: what an executor needs to run a graph, worked out once and used for every run.

Each node of the graph has a number, its position, which is also the number of the slot its value is kept in
and, if there is something to compute, of its task. A plan is a set of flat lists indexed by that number:

- `functions[n](*fetch[n](values))` computes task `n` from the list of values;
- `unmet[n]` counts the edges from other tasks into `n`, `successors[n]` are the tasks it leads to (twice, if
  it is read twice), so that counting down tells when a task is ready;
- `readers[n]` counts all who read the value of `n`, so that counting down tells when it can be dropped; a
  result of the graph has one reader more, the caller;
- `rank[n]` orders the tasks by urgency: the longest path to the end first, by estimated seconds.

Arguments and constants are there from the start and have no task. Nor has an `item` of a node with several
results: whoever reads it fetches it from that node's slot.

>>> import numpy as np
>>> from dagexec.tracing import trace
>>> p = plan(trace(lambda x: np.sin(x) + np.cos(x) * x)(1.0))
>>> [(n, p.graph.nodes[n].op.name, p.unmet[n], p.successors[n], p.readers[n]) for n in p.tasks]
[(1, 'sin', 0, (4,), 1), (2, 'cos', 0, (3,), 1), (3, 'multiply', 1, (4,), 1), (4, 'add', 2, (), 1)]
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from dagexec.graph import CONSTANT, INPUT, ITEM, Graph, Node
from dagexec.ops import bytes_moved, operations

Source = tuple[int, int | None]  # a slot, and the item of it that is read (None: all)

# A node's time, estimated from its row of the op table: the call, the arithmetic, the memory traffic.
SECONDS_PER_CALL = 0.7e-6
SECONDS_PER_OPERATION = 0.2e-9
SECONDS_PER_PRODUCT_BYTE = 2.5e-12  # BLAS: an operation of a matrix product, for each byte of its dtype
SECONDS_PER_BYTE = 0.1e-9
# Below this many operations OpenBLAS computes with one thread whatever it is told.
BLAS_THREADS_FROM = 10_000.0


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The flat lists that executors work on; the module's docstring says what each holds."""

    graph: Graph
    tasks: tuple[int, ...]  # in topological order
    start: tuple[Any, ...]  # the values before a run: constants, None elsewhere
    inputs: tuple[int, ...]
    outputs: tuple[Source, ...]
    functions: list[Callable[..., Any]]
    fetch: list[Callable[[list[Any]], Sequence[Any]]]
    sources: list[tuple[int, ...]]
    unmet: list[int]
    successors: list[tuple[int, ...]]
    readers: list[int]
    seconds: list[float]
    rank: list[int]
    by_rank: tuple[int, ...]  # the task of each rank
    threaded_blas: bool  # may BLAS use threads of its own for some task?

    @property
    def roots(self) -> list[int]:
        """The tasks that wait for no other."""
        return [task for task in self.tasks if not self.unmet[task]]

    def describe(self, task: int) -> str:
        """Op, input shapes, scope and user's line of a task, for messages."""
        node = self.graph.nodes[task]
        shapes = ", ".join(str(source.spec) for source in node.inputs if source.spec is not None)
        scope = f" in {'/'.join(node.scope)}" if node.scope else ""
        place = f", at {node.where[0]}:{node.where[1]}" if node.where else ""
        phase = "" if node.phase == "forward" else f" ({node.phase})"
        return f"node %{task} {node.name or node.op.name}({shapes}){phase}{scope}{place}"

    def blame(self, task: int, error: BaseException) -> None:
        """Add a note to `error` that says which task raised it."""
        add_note(error, f"raised by {self.describe(task)}")


def add_note(error: BaseException, note: str) -> None:
    """`error.add_note(note)`, also where the class allows no new attributes, as a frozen dataclass does."""
    error.__dict__.setdefault("__notes__", []).append(note)


def estimated_seconds(node: Node) -> float:
    """How long a node takes on one worker, by the op table; not measured."""
    linear = node.op.family == "linear"
    rate = SECONDS_PER_PRODUCT_BYTE * node.spec.dtype.itemsize if linear else SECONDS_PER_OPERATION
    return SECONDS_PER_CALL + rate * operations(node) + SECONDS_PER_BYTE * bytes_moved(node)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Make many small objects without Python's collector looking through them: 40 % of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_collector_paused()
def plan(graph: Graph) -> Plan:
    """Work out the plan of a graph, to be run on NumPy arrays."""
    nodes = graph.nodes
    number_of = {node: number for number, node in enumerate(nodes)}
    given = {number for number, node in enumerate(nodes) if node.op in (INPUT, CONSTANT, ITEM)}
    tasks = tuple(number for number in range(len(nodes)) if number not in given)
    item_of: dict[int, Source] = {
        number: (number_of[node.inputs[0]], node.params["index"])
        for number, node in enumerate(nodes)
        if node.op is ITEM
    }
    functions: list[Callable[..., Any]] = [_nothing] * len(nodes)
    fetch: list[Callable[[list[Any]], Sequence[Any]]] = [_nothing] * len(nodes)
    sources: list[tuple[int, ...]] = [()] * len(nodes)
    for task in tasks:
        node = nodes[task]
        slots = [number_of[value] for value in node.inputs]
        if item_of.keys().isdisjoint(slots):
            fetch[task] = _fetcher(slots)
        else:
            parts = [item_of.get(slot, (slot, None)) for slot in slots]
            fetch[task] = _item_fetcher(parts)
            slots = [slot for slot, _ in parts]
        functions[task] = node.op.kernel(np, **node.params)
        sources[task] = tuple(slots)
    outputs = tuple(item_of.get(slot, (slot, None)) for slot in (number_of[node] for node in graph.outputs))
    unmet, successors, readers = _counts(tasks, sources, given)
    for slot, _ in outputs:
        readers[slot] += 1
    seconds = [0.0 if number in given else estimated_seconds(node) for number, node in enumerate(nodes)]
    rank, by_rank = _ranks(tasks, successors, seconds)
    return Plan(
        graph=graph,
        tasks=tasks,
        start=tuple(node.params["value"] if node.op is CONSTANT else None for node in nodes),
        inputs=tuple(number_of[node] for node in graph.inputs),
        outputs=outputs,
        functions=functions,
        fetch=fetch,
        sources=sources,
        unmet=unmet,
        successors=successors,
        readers=readers,
        seconds=seconds,
        rank=rank,
        by_rank=by_rank,
        threaded_blas=any(_may_thread(nodes[task]) for task in tasks),
    )


def _counts(
    tasks: tuple[int, ...], sources: list[tuple[int, ...]], given: set[int]
) -> tuple[list[int], list[tuple[int, ...]], list[int]]:
    """Unmet dependencies, successors and readers, by the edges: one that is there twice counts twice."""
    unmet = [0] * len(sources)
    readers = [0] * len(sources)
    leads_to: list[list[int]] = [[] for _ in sources]
    for task in tasks:
        for slot in sources[task]:
            readers[slot] += 1
            if slot not in given:
                unmet[task] += 1
                leads_to[slot].append(task)
    return unmet, [tuple(following) for following in leads_to], readers


def _nothing(*_: Any) -> Any:
    raise AssertionError("only tasks are computed")


def _item_fetcher(parts: list[Source]) -> Callable[[list[Any]], Sequence[Any]]:
    return lambda values: [values[slot] if item is None else values[slot][item] for slot, item in parts]


def _fetcher(slots: list[int]) -> Callable[[list[Any]], Sequence[Any]]:
    """The function that takes a task's inputs out of the list of values."""
    if len(slots) > 1:
        return itemgetter(*slots)
    return itemgetter(slice(slots[0], slots[0] + 1) if slots else slice(0, 0))  # a sequence, also for one


def longest_paths(
    tasks: Sequence[int], successors: Sequence[Sequence[int]], costs: Sequence[float]
) -> list[float]:
    """For each task the cost of the longest path that starts with it; what is no task keeps its cost."""
    longest = list(costs)
    for task in reversed(tasks):
        if successors[task]:
            longest[task] += max([longest[following] for following in successors[task]])
    return longest


def _ranks(
    tasks: tuple[int, ...], successors: list[tuple[int, ...]], seconds: list[float]
) -> tuple[list[int], tuple[int, ...]]:
    """Each task's rank by the longest path that starts with it, and the task of each rank."""
    longest = longest_paths(tasks, successors, seconds)
    by_rank = tuple(sorted(tasks, key=lambda task: (-longest[task], task)))
    rank = [-1] * len(seconds)
    for position, task in enumerate(by_rank):
        rank[task] = position
    return rank, by_rank


def _may_thread(node: Node) -> bool:
    return node.op.family == "python" or (node.op.family == "linear" and operations(node) > BLAS_THREADS_FROM)
