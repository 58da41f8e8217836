"""What a plan computes where that is nothing but numbers: a few arrays that tell it of all of them at once.

In a graph of scalars every value is one number: that of a node with shape (), or an element of an array that
is given. Each has an id: a node has its position, elements have those that follow. What only moves numbers
(`getitem`, `stack`, `reshape`) is done here, once, by the op's own kernel on arrays of ids; nothing of it is
left for a run. What is left are the tasks that compute a number from numbers. Tasks that do anything else
after them, such as the mean of stacked numbers, are the `rest`.

>>> import dagexec
>>> graph = dagexec.trace(lambda x: np.stack([x[0] * x[1], np.tanh(x[1])]))(np.ones(2))
>>> scalars = scalars_of(dagexec.plan(graph))
>>> [(scalars.kind_of(task).op.name, scalars.operands[:, task].tolist()) for task in scalars.tasks]
[('multiply', [7, 8, 0]), ('tanh', [8, 0, 0])]
>>> scalars.ids(6)  # of the stack
array([3, 5])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from dagexec.collector import collector_paused
from dagexec.graph import CONSTANT, INPUT, ITEM, Node, Op, Spec
from dagexec.ops import specs_of
from dagexec.plan import Picking, Plan

Ints = np.ndarray[Any, np.dtype[np.int64]]

# By NumPy's number for each. Half precision is not among them: its vectors and its numbers differ in bits.
DTYPES: dict[int, np.dtype[Any]] = {
    np.dtype(name).num: np.dtype(name) for name in ("bool", "int32", "int64", "float32", "float64")
}
MOST_OPERANDS = 3
LARGEST_REST = 0.1  # of the nodes
NO_KIND = -1


@dataclass(frozen=True, slots=True)
class Kind:
    """An operation on numbers: a row of the op table, its static parameters, and the function of both."""

    op: Op
    params: Mapping[str, Any]
    function: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Scalars:
    """The numbers that a plan computes.

    `tasks` are those that compute one, in their order, `rest` those that do something else. For each id
    `kind` is the position of its Kind in `kinds` (-1 for what is no such task), `dtype` NumPy's number for
    its dtype, `level` the number of tasks on the longest way to it, and `operands` has the ids that it is
    computed from, in up to three rows (0 where there are fewer). `elements` has the ids of arrays, and of
    numbers that were only moved.
    """

    plan: Plan
    tasks: Ints
    rest: list[int]
    kinds: list[Kind]
    kind: Ints
    dtype: Ints
    level: Ints
    operands: Ints
    elements: Mapping[int, Any]

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def leaves(self) -> list[int]:
        """The slots of arguments and constants."""
        return [*self.plan.inputs, *self.plan.constants]

    @property
    def used(self) -> Ints:
        """The ids of all leaves and tasks."""
        return np.concatenate([self.tasks, *[np.ravel(self.ids(slot)) for slot in self.leaves]])

    def ids(self, slot: int) -> Any:
        """The id of a number, or the ids of an array's elements."""
        return self.elements.get(slot, slot)

    def kind_of(self, task: int) -> Kind:
        """What a task does."""
        return self.kinds[int(self.kind[task])]

    def operands_of(self, task: int) -> list[int]:
        """The ids that a task computes its number from."""
        found: list[int] = self.operands[: len(self.plan.sources[task]), task].tolist()
        return found


@collector_paused()
def scalars_of(plan: Plan) -> Scalars | None:
    """The numbers that a plan computes; None if it computes other things, but for a few at the end."""
    reading = _Reading(plan)
    return reading.scalars() if reading.read() else None


class _Reading:
    """Goes through the nodes of a plan in their order."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.nodes = plan.graph.nodes
        self.end = len(self.nodes)  # of the ids
        self.kinds: list[Kind] = []
        self.kind = [NO_KIND] * self.end
        self.dtype = [0] * self.end
        self.level = [0] * self.end
        self.sources = list(plan.sources)
        self.elements: dict[int, Any] = {}
        self.rest: set[int] = set()
        self._several: dict[Node, Any] = {}  # the ids of nodes with several results, which only move numbers
        self._items: dict[Node, int] = {}  # the numbers of nodes that fetch one of these
        self._special: set[int] = set()  # the slots of the rest and of those
        self._plain: dict[Op, int] = {}  # the kinds without parameters
        self._others: dict[Any, int] = {}

    def read(self) -> bool:
        """Are these numbers, but for a few tasks at the end?"""
        sources, plain, special, most = self.sources, self._plain, self._special, LARGEST_REST * self.end
        kind, dtype, level = self.kind, self.dtype, self.level
        for number, node in enumerate(self.nodes):
            slots, spec = sources[number], node.spec
            code = NO_KIND if node.params else plain.get(node.op, NO_KIND)
            if code == NO_KIND or spec.shape or (special and not special.isdisjoint(slots)):
                code = self._other(number, node)
                if len(self.rest) > most:
                    return False
                if code == NO_KIND:
                    continue
                slots = sources[number]
            kind[number] = code
            dtype[number] = spec.dtype.num
            if len(slots) == 2:
                one, other = level[slots[0]], level[slots[1]]
                level[number] = one + 1 if one > other else other + 1
            else:
                level[number] = 1 + max([level[slot] for slot in slots])
        return self.kinds != []

    def _other(self, number: int, node: Node) -> int:
        """The kind of a node that computes a number; what else it may be is noted."""
        slots = self.sources[number]
        if node.op is INPUT or node.op is CONSTANT:
            if node.spec is not None and node.spec.shape:
                ids = np.arange(self.end, self.end + node.spec.size)
                self.elements[number] = ids.reshape(node.spec.shape)
                self.end += node.spec.size
            return NO_KIND
        if node.op is ITEM and node.inputs[0] in self._several:
            self._items[node] = number
            self._move(number, self._several[node.inputs[0]][node.params["index"]])
            return NO_KIND
        if node.op is ITEM or not self.rest.isdisjoint(slots):
            self._leave(number)
            return NO_KIND
        function: Any = self.plan.functions[number]
        if isinstance(function, Picking):
            slots = tuple([self._items.get(source, slot) for source, slot in zip(node.inputs, slots)])
            function = function.function
        if _only_moves(node):
            ids = function(*[np.asarray(self.elements.get(slot, slot)) for slot in slots])
            if isinstance(node.spec, Spec):
                self._move(number, ids)
            else:
                self._several[node] = ids
                self._special.add(number)
            return NO_KIND
        if node.op.family != "elementwise" or node.spec.shape or len(slots) > MOST_OPERANDS:
            self._leave(number)
            return NO_KIND
        self.sources[number] = slots
        return self._kind(node, function)

    def _move(self, number: int, ids: Any) -> None:
        self.elements[number] = ids if ids.flags.writeable else ids.copy()
        if not ids.shape:
            self.level[number] = self.level[ids] if ids < len(self.nodes) else 0

    def _leave(self, number: int) -> None:
        """Leave a node to the rest, and what has several results, of which it reads one."""
        left = {number, *(slot for slot in self.plan.sources[number] if slot in self._special)}
        self.rest |= left
        self._special |= left

    def _kind(self, node: Node, function: Any) -> int:
        key = (node.op, *[(name, str(value)) for name, value in node.params.items()])
        code = self._others.setdefault(key, len(self.kinds))
        if code == len(self.kinds):
            self.kinds.append(Kind(node.op, node.params, function))
        if not node.params:
            self._plain[node.op] = code
        return code

    def scalars(self) -> Scalars | None:
        """What was found; None if there are numbers of a dtype that is not foreseen."""
        size = len(self.nodes)
        kind, dtype, level = np.full(self.end, NO_KIND), np.zeros(self.end, int), np.zeros(self.end, int)
        kind[:size], dtype[:size], level[:size] = self.kind, self.dtype, self.level
        for slot in (*self.plan.inputs, *self.plan.constants):
            dtype[self.elements.get(slot, slot)] = self.nodes[slot].spec.dtype.num
        tasks = np.flatnonzero(kind != NO_KIND)
        if not np.isin(dtype, list(DTYPES)).all():
            return None
        self._leave_views()
        rest = [task for task in sorted(self.rest) if self.plan.functions[task] is not None]
        operands = self._operands(tasks)
        return Scalars(self.plan, tasks, rest, self.kinds, kind, dtype, level, operands, self.elements)

    def _leave_views(self) -> None:
        """Leave to the rest what gives several results, and views that do not lie as new arrays do."""
        self.rest.update([slot for slot, item in self.plan.outputs if item is not None])
        waiting = [slot for slot, _ in self.plan.outputs]
        waiting += [slot for task in self.rest for slot in self.plan.sources[task]]
        while waiting:
            slot = waiting.pop()
            if slot in self.elements and slot not in self.rest and self.sources[slot]:
                ids = np.asarray(self.elements[slot])
                if np.empty_like(ids).strides != ids.strides:
                    self.rest.add(slot)
                    waiting += self.plan.sources[slot]

    def _operands(self, tasks: Ints) -> Ints:
        slots = [self.sources[task] for task in tasks.tolist()]
        counts = np.fromiter(map(len, slots), np.int64, len(slots))
        flat = np.fromiter(chain.from_iterable(slots), np.int64, counts.sum())
        moved_to = np.arange(self.end)
        for number, ids in self.elements.items():
            if not np.ndim(ids):
                moved_to[number] = ids
        starts = np.cumsum(counts) - counts
        operands = np.zeros((MOST_OPERANDS, self.end), np.int64)
        for row in range(MOST_OPERANDS):
            has = counts > row
            operands[row, tasks[has]] = moved_to[flat[starts[has] + row]]
        return operands


def _only_moves(node: Node) -> bool:
    """Are the results among the operands, whatever these are?"""
    moves = node.op.family == "shape" or (node.op.name == "getitem" and len(node.inputs) == 1)
    dtypes = {spec.dtype for one in (node, *node.inputs) for spec in specs_of(one)}
    return moves and len(dtypes) == 1
