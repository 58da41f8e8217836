"""Arrays as rows of one array: what turns many small products or sums into one.

The rows of several arrays, one array below the other, are an array again. Often it is there already: the
steps `x[0]`, `x[1]`, ... of a sequence are rows of `x`. Else it is a `concat`, whose parts the flat program
writes straight to their places (executors/parts.py), so time is the first axis: each part is contiguous.

>>> import numpy as np, dagexec
>>> x = dagexec.trace(lambda x: x[1] + x[2])(np.ones((4, 2, 3))).nodes
>>> slice_of(x[1])
Slice(array=<x float64[4,2,3]>, axis=0, start=1, stop=2)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from dagexec import xp
from dagexec.graph import ITEM, Node
from dagexec.ops.indexing import index_of_one_axis
from dagexec.plan import SECONDS_PER_BYTE, SECONDS_PER_CALL, estimated_seconds
from dagexec.rewrite.rebuilding import Rebuilding

# What takes longer is left alone, unless being alone costs it that share of its time: workers can share it.
LONG = 200e-6
SHARE = 1 / 3

SECONDS_TO_TRANSPOSE = 1e-9  # an element, when it is copied


@dataclass(frozen=True, slots=True)
class Rows:
    """The elements of a node, in their order, as `count` rows of `width`; `columns`: as columns that long."""

    node: Node
    count: int
    width: int
    columns: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """A node that is `array[start:stop]` along an axis, perhaps in another shape."""

    array: Node
    axis: int
    start: int
    stop: int


def rows_of(node: Node, count: int, width: int) -> Rows:
    """A node as rows, or rather what it is a reshape of."""
    while _only_reshapes(node):
        node = node.inputs[0]
    return Rows(node, count, width)


def _only_reshapes(node: Node) -> bool:
    """Has a node the elements of its first input in the same order?"""
    match node.op.name:
        case "reshape" | "expand_dims" | "squeeze":
            return True
        case "permute_dims":
            shape = node.inputs[0].spec.shape
            moved = [axis for axis in node.params["axes"] if shape[axis] != 1]
            return moved == sorted(moved)
        case "getitem":
            whole = (None, Ellipsis, slice(None))
            return all(entry in whole for entry in node.params["index"])
    return False


def slice_of(node: Node) -> Slice | None:
    """The slice that a node is, along one axis; None if it is something else."""
    if node.op is ITEM:
        node, number = node.inputs[0], node.params["index"]
        if node.op.name == "unstack":
            return Slice(node.inputs[0], node.params["axis"], number, number + 1)
        return None
    if node.op.name != "getitem" or len(node.inputs) > 1:
        return None
    found = index_of_one_axis(node.params["index"], node.inputs[0].spec.shape)
    return None if found is None else Slice(node.inputs[0], *found)


class Joining:
    """The rows of several nodes of a graph under way as one array, made once for each sequence of them.

    A sequence that is part of a longer one, among those announced, is a slice of that.
    """

    def __init__(self, rebuilding: Rebuilding, announced: Iterable[Sequence[Rows]] = ()) -> None:
        self._rebuilding = rebuilding
        self._made: dict[tuple[Rows, ...], Node] = {}
        self._place: dict[Rows, tuple[Sequence[Rows], int]] = {}  # the longest sequence with it, and where
        for sequence in sorted(announced, key=len, reverse=True):
            for position, part in enumerate(sequence):
                self._place.setdefault(part, (sequence, position))

    def rows(self, like: Node, parts: Sequence[Rows]) -> Node:
        """A node of the new graph, labelled like `like`, with the rows of the parts one below the other."""
        longer, start = self._place.get(parts[0], (parts, 0))
        contained = longer[start : start + len(parts)] == parts
        if not contained or any(part.node not in self._rebuilding.new for part in longer):
            return self._all(like, parts)
        first = sum([part.count for part in longer[:start]])
        end = first + sum([part.count for part in parts])
        whole = self._all(like, longer)
        if len(parts) == len(longer):
            return whole
        return self._rebuilding.make(like, lambda rows: rows[first:end], whole)

    def _all(self, like: Node, parts: Sequence[Rows]) -> Node:
        key = tuple(parts)
        if key not in self._made:
            make, whole = self._rebuilding.make, run_of_slices(parts)
            if whole is None:
                nodes = [self._rebuilding.new[part.node] for part in parts]
                self._made[key] = make(like, partial(_concat, parts), *nodes)
            else:
                shape = (sum([part.count for part in parts]), parts[0].width)
                array = self._rebuilding.new[whole.array]
                self._made[key] = make(like, lambda array: xp.reshape(_moved(array, whole), shape), array)
        return self._made[key]


def _concat(parts: Sequence[Rows], *arrays: Any) -> Any:
    rows = []
    for part, array in zip(parts, arrays):
        if part.columns:
            array = xp.matrix_transpose(xp.reshape(array, (part.width, part.count)))
        rows.append(xp.reshape(array, (part.count, part.width)))
    return xp.concat(rows, axis=0)


def _moved(array: Any, whole: Slice) -> Any:
    """The slice of an array, with its axis as the first one."""
    if (whole.start, whole.stop) != (0, array.shape[whole.axis]):
        array = array[(*(slice(None),) * whole.axis, slice(whole.start, whole.stop))]
    if prod(array.shape[: whole.axis]) == 1:
        return array
    others = [axis for axis in range(array.ndim) if axis != whole.axis]
    return xp.permute_dims(array, (whole.axis, *others))


def run_of_slices(parts: Sequence[Rows]) -> Slice | None:
    """The slice that the parts make together: those of one array, one after the other; else None."""
    slices = [slice_of(part.node) for part in parts]
    first = slices[0]
    if first is None or any(part.columns for part in parts):
        return None
    end = first.start
    for found in slices:
        if found is None or (found.array, found.axis, found.start) != (first.array, first.axis, end):
            return None
        end = found.stop
        if found.stop - found.start > 1 and prod(first.array.spec.shape[: first.axis]) > 1:
            return None  # their rows lie among those of others
    return Slice(first.array, first.axis, first.start, end)


# --- what it costs ---------------------------------------------------------------------------------------
def seconds_to_join(parts: Sequence[Rows]) -> float:
    """What it takes at the most to have the rows of the parts in one array."""
    if run_of_slices(parts) is not None:
        return 0.0
    seconds = SECONDS_PER_CALL
    for part in parts:
        seconds += 2 * part.node.spec.nbytes * SECONDS_PER_BYTE
        if part.columns:
            seconds += part.node.spec.size * SECONDS_TO_TRANSPOSE
    return seconds


def stays_alone(node: Node, saved: float) -> bool:
    """Does a node take so long that workers should have it, rather than save some seconds by batching it?"""
    seconds = estimated_seconds(node)
    return seconds > LONG and saved < SHARE * seconds
