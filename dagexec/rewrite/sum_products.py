"""Sums of products become one product: the gradient of a weight that all time steps share.

Each step of a recurrent network adds its part to a weight's gradient, `x_0.T @ g_0 + x_1.T @ g_1 + ...`. That
is one product of tall matrices: the `x_t`, one below the other, transposed, times the `g_t`, one below the
other. The gradient of a bias, a sum over the batch for each step and then over the steps, is one sum over the
same `g_t`.

>>> import numpy as np, dagexec
>>> def fn(x, g):
...     return x[0].T @ g[0] + x[1].T @ g[1]
>>> print(sum_products(dagexec.trace(fn)(np.ones((2, 3, 4)), np.ones((2, 3, 5)))))
fn(x: float64[2,3,4], g: float64[2,3,5]):
  %2 = reshape(g, shape=(6, 5))                  float64[6,5]
  %3 = reshape(x, shape=(6, 4))                  float64[6,4]
  %4 = permute_dims(%3, axes=(1, 0))             float64[4,6]
  %5 = matmul(%4, %2)                            float64[4,5]
  return %5

The sum has another order, so the last bits change; the order is fixed. Long products are
left to the workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dagexec import xp
from dagexec.collector import collector_paused
from dagexec.graph import Graph, Node
from dagexec.plan import SECONDS_PER_BYTE, SECONDS_PER_CALL
from dagexec.rewrite.additions import added, additions
from dagexec.rewrite.joining import (
    Joining,
    Rows,
    rows_of,
    seconds_to_join,
    slice_of,
    stays_alone,
)
from dagexec.rewrite.rebuilding import Rebuilding, read_counts


@dataclass(frozen=True, slots=True)
class _Term:
    """`left.T @ right`; without `left` the sum of the rows of `right`, as if all of `left` were ones."""

    node: Node
    left: Rows | None
    right: Rows


@dataclass(slots=True)
class _Sum:
    """A tree of additions; each group of its terms is to become one."""

    root: Node
    groups: list[list[_Term]]
    others: list[Node]


@collector_paused()
def sum_products(graph: Graph) -> Graph:
    """The graph with sums of small products, and sums of sums over rows, each made one."""
    readers = read_counts(graph)
    sums = [_sorted_out(root, terms, readers) for root, terms in additions(graph, readers)]
    _add_single_rows(sums)
    sums = _worthwhile(sums)
    if not sums:
        return graph
    _put_in_order([group for total in sums for group in total.groups], graph)
    rebuilding = Rebuilding(graph)
    joining = Joining(rebuilding, _sequences(sums))
    sum_at = {total.root: total for total in sums}
    for node in graph.nodes:
        if node in sum_at:
            rebuilding.new[node] = _rebuilt(sum_at[node], rebuilding, joining)
        else:
            rebuilding.keep(node)
    return rebuilding.graph()


# --- what is there --------------------------------------------------------------------------------------
def _sorted_out(root: Node, terms: Sequence[Node], readers: Mapping[Node, int]) -> _Sum:
    products, sums, others = [], [], []
    for node in terms:
        term = _term(node) if readers[node] == 1 else None
        if term is None:
            others.append(node)
        elif term.left is None:
            sums.append(term)
        else:
            products.append(term)
    return _Sum(root, [products, sums], others)


def _term(node: Node) -> _Term | None:
    if node.op.name == "matmul":
        return _product(node)
    return _sum_of_rows(node) if node.op.name == "sum" else None


def _product(node: Node) -> _Term | None:
    """A product of matrices as `left.T @ right`."""
    left, right = node.inputs
    specs = left.spec, right.spec
    if any(spec.ndim != 2 or spec.dtype != node.spec.dtype or not spec.size for spec in specs):
        return None
    (height, count), width = left.spec.shape, right.spec.shape[1]
    if left.op.name == "permute_dims" and left.params["axes"] == (1, 0):
        rows = rows_of(left.inputs[0], count, height)
    elif 1 in left.spec.shape:
        rows = rows_of(left, count, height)
    else:
        rows = Rows(left, count, height, columns=True)
    return _Term(node, rows, rows_of(right, count, width))


def _sum_of_rows(node: Node) -> _Term | None:
    """A sum over the first axes."""
    source, axes = node.inputs[0], node.params["axis"]
    if axes != tuple(range(len(axes))) or not axes or node.params["keepdims"]:
        return None
    if source.spec.dtype != node.spec.dtype or not source.spec.size:
        return None
    return _Term(node, None, rows_of(source, source.spec.size // node.spec.size, node.spec.size))


def _add_single_rows(sums: Sequence[_Sum]) -> None:
    """Count terms that are one row each, reshaped, among the sums of rows, if products have them as well."""
    rights = {term.right for total in sums for term in total.groups[0]}
    for total in sums if rights else ():
        others = total.others
        total.others = []
        for node in others:
            row = rows_of(node, 1, node.spec.size)
            if row in rights:
                total.groups[1].append(_Term(node, None, row))
            else:
                total.others.append(node)


# --- what is gained -------------------------------------------------------------------------------------
def _worthwhile(sums: Sequence[_Sum]) -> list[_Sum]:
    """The sums that get faster; the terms of groups that would not are among their others."""
    joined: set[Rows] = set()
    for total in sorted(sums, key=lambda total: -len(total.groups[0])):  # products first, the longest first
        for group in total.groups:
            if _seconds_saved(group, joined) > 0:
                joined.update([term.right for term in group])
            else:
                total.others += [term.node for term in group]
                group.clear()
    for total in sums:
        total.groups = [group for group in total.groups if group]
    return [total for total in sums if total.groups]


def _seconds_saved(group: Sequence[_Term], joined: set[Rows]) -> float:
    """What it gains to make one of the terms, when the rows in `joined` need not be joined again."""
    if len(group) < 2:
        return 0.0
    # Each term but one has cost two calls: its own, which wrote a result, and an addition of two.
    saved: float = 2 * SECONDS_PER_CALL + 4 * group[0].node.spec.nbytes * SECONDS_PER_BYTE
    heights = {term.right.count: term.node for term in group}  # what is as tall takes as long
    if any(stays_alone(node, saved) for node in heights.values()):
        return 0.0
    saved *= len(group) - 1
    rights = [term.right for term in group]
    if not joined.issuperset(rights):
        saved -= seconds_to_join(rights)
    lefts = [term.left for term in group if term.left is not None]
    return saved - seconds_to_join(lefts) if lefts else saved


# --- in which order -------------------------------------------------------------------------------------
def _put_in_order(groups: Sequence[list[_Term]], graph: Graph) -> None:
    """Sort the terms of each group by time, so that groups have the same rows in the same order.

    Time is the order of the slices of a sequence, if such are multiplied. Groups with the same cotangents
    follow the first; what is left takes the order of the graph.
    """
    number = {node: number for number, node in enumerate(graph.nodes)}
    place: dict[Rows, int] = {}
    for group in sorted(groups, key=lambda group: (not _of_one_sequence(group), -len(group))):
        if not all(term.right in place for term in group):
            _sort_by_time(group, number)
            for position, term in enumerate(group):
                place.setdefault(term.right, position)
        group.sort(key=lambda term: place[term.right])


def _sort_by_time(group: list[_Term], number: Mapping[Node, int]) -> None:
    def time(term: _Term) -> tuple[int, int]:
        node = (term.left or term.right).node
        found = slice_of(node)
        return (number[node], 0) if found is None else (number[found.array], found.start)

    group.sort(key=time)


def _of_one_sequence(group: list[_Term]) -> bool:
    arrays = {found and found.array for term in group if (found := slice_of((term.left or term.right).node))}
    return len(arrays) == 1


def _sequences(sums: Sequence[_Sum]) -> Iterator[list[Rows]]:
    """The rows that are to be joined."""
    for group in [group for total in sums for group in total.groups]:
        yield [term.right for term in group]
        if lefts := [term.left for term in group if term.left is not None]:
            yield lefts


# --- what becomes of it ---------------------------------------------------------------------------------
def _rebuilt(total: _Sum, rebuilding: Rebuilding, joining: Joining) -> Node:
    parts = [rebuilding.new[node] for node in total.others]
    for group in total.groups:
        rights = joining.rows(total.root, [term.right for term in group])
        lefts = [term.left for term in group if term.left is not None]
        if lefts:
            left = joining.rows(total.root, lefts)
            parts.append(rebuilding.make(total.root, lambda a, b: xp.matrix_transpose(a) @ b, left, rights))
        else:
            parts.append(rebuilding.make(total.root, partial(_summed, group), rights))
    return parts[0] if len(parts) == 1 else rebuilding.make(total.root, added, *parts)


def _summed(group: Sequence[_Term], rows: Any) -> Any:
    """The sum of the rows, over steps and then over the rows of a step: fewer roundings in each sum."""
    counts = {term.right.count for term in group}
    width = rows.shape[1]
    if len(counts) == 1 and counts != {1}:
        rows = xp.sum(xp.reshape(rows, (len(group), -1, width)), axis=0)
    return xp.reshape(xp.sum(rows, axis=0), group[0].node.spec.shape)
