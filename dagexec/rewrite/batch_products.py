"""Products with the same matrix become one: what all time steps read from their inputs, in one product.

A recurrent network multiplies the input of each step with the same weights, `x_t @ W`. None of these products
waits for another one, so they are one: all `x_t`, one below the other, times `W`. Backward the same holds for
the cotangents that a layer passes down, `g_t @ W.T`. What waits for each other, as `h_t @ U` does, stays.

>>> import numpy as np, dagexec
>>> def fn(x, w):
...     return [np.tanh(x[t] @ w) for t in range(2)]
>>> print(batch_products(dagexec.trace(fn)(np.ones((2, 3, 4)), np.ones((4, 5)))))
fn(x: float64[2,3,4], w: float64[4,5]):
  %2 = reshape(x, shape=(6, 4))                  float64[6,4]
  %3 = matmul(%2, w)                             float64[6,5]
  %4 = getitem(%3, index=(slice(0, 3, None),))   float64[3,5]
  %5 = getitem(%3, index=(slice(3, 6, None),))   float64[3,5]
  %6 = tanh(%4)                                  float64[3,5]
  %7 = tanh(%5)                                  float64[3,5]
  return %6, %7

A bias that is added in each step is added to all of them at once. A larger product may round differently.
Long products are left to the workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dagexec import xp
from dagexec.collector import collector_paused
from dagexec.graph import CONSTANT, INPUT, Graph, Node
from dagexec.plan import SECONDS_PER_BYTE, SECONDS_PER_CALL
from dagexec.rewrite.joining import (
    Joining,
    Rows,
    rows_of,
    seconds_to_join,
    slice_of,
    stays_alone,
)
from dagexec.rewrite.merging import in_merged_order, independent
from dagexec.rewrite.rebuilding import Rebuilding, read_counts

Matrix = tuple[Node, bool]  # and whether it is transposed


@dataclass(frozen=True, slots=True)
class _Product:
    """A node that is `rows @ matrix`."""

    node: Node
    rows: Rows
    matrix: Matrix


@collector_paused()
def batch_products(graph: Graph) -> Graph:
    """The graph with products of the same matrix that do not wait for each other made one."""
    products = {node: product for node in graph.nodes if (product := _product(node)) is not None}
    of_matrix: dict[Matrix, list[Node]] = {}
    for node, product in products.items():
        of_matrix.setdefault(product.matrix, []).append(node)
    groups = independent(graph, [group for group in of_matrix.values() if len(group) > 1])
    groups = [group for group in groups if _seconds_saved([products[node] for node in group]) > 0]
    if not groups:
        return graph
    rebuilding = Rebuilding(graph)
    joining = Joining(rebuilding)
    added = Added(graph)
    for nodes in in_merged_order(graph, groups):
        if len(nodes) > 1:
            _batch([products[node] for node in nodes], rebuilding, joining, added)
        elif (before := added.already.get(nodes[0])) is not None:
            rebuilding.merge(nodes[0], before)
        else:
            rebuilding.keep(nodes[0])
    return rebuilding.graph()


def _product(node: Node) -> _Product | None:
    if node.op.name != "matmul":
        return None
    left, right = node.inputs
    if any(source.spec.dtype != node.spec.dtype or not source.spec.size for source in node.inputs):
        return None
    match left.spec.ndim, right.spec.ndim:
        case ((1 | 2), 2):
            return _Product(node, _rows(left), _matrix(right))
        case 2, 1:  # a matrix times a column is that row times the matrix's transpose
            matrix, transposed = _matrix(left)
            return _Product(node, _rows(right), (matrix, not transposed))
    return None


def _rows(node: Node) -> Rows:
    width = node.spec.shape[-1]
    return rows_of(node, node.spec.size // width, width)


def _matrix(node: Node) -> Matrix:
    transposed = False
    while node.op.name == "permute_dims" and node.params["axes"] == (1, 0):
        node, transposed = node.inputs[0], not transposed
    return node, transposed


def _seconds_saved(products: Sequence[_Product]) -> float:
    """What it gains to compute them together: each but one has cost a call, and to read the matrix."""
    if len(products) < 2:
        return 0.0
    matrix, _ = products[0].matrix
    saved: float = SECONDS_PER_CALL + matrix.spec.nbytes * SECONDS_PER_BYTE
    heights = {product.rows.count: product.node for product in products}  # what is as tall takes as long
    if any(stays_alone(node, saved) for node in heights.values()):
        return 0.0
    saved *= len(products) - 1
    return saved - seconds_to_join([product.rows for product in _by_time(products)])


def _by_time(products: Sequence[_Product]) -> list[_Product]:
    """The products in the order of the slices, if those of one array are multiplied."""
    slices = [slice_of(product.rows.node) for product in products]
    starts = [found.start for found in slices if found is not None]
    if len(starts) < len(products) or len({found and found.array for found in slices}) > 1:
        return list(products)
    return [product for _, product in sorted(zip(starts, products), key=lambda pair: pair[0])]


def _batch(products: Sequence[_Product], rebuilding: Rebuilding, joining: Joining, added: Added) -> None:
    products = _by_time(products)
    matrix, transposed = products[0].matrix
    rows = joining.rows(products[0].node, [product.rows for product in products])
    biases = added.to_all([product.node for product in products])
    for bias in biases:
        rebuilding.keep(bias)

    def together(x: Any, w: Any, *biases: Any) -> Any:
        return sum(biases, x @ (xp.matrix_transpose(w) if transposed else w))

    sources = rebuilding.new[matrix], *[rebuilding.new[bias] for bias in biases]
    result = rebuilding.make(products[0].node, together, rows, *sources)
    start = 0
    for product in products:
        stop = start + product.rows.count
        cut = partial(_cut, start, stop, product.node.spec.shape)
        rebuilding.new[product.node] = rebuilding.make(product.node, cut, result)
        start = stop


def _cut(start: int, stop: int, shape: tuple[int, ...], rows: Any) -> Any:
    return rows[start] if len(shape) == 1 else rows[start:stop]


class Added:
    """What is added to products: a bias that all of a batch have is added to the batch.

    `already` has the additions that are done with that, and what stands for them.
    """

    def __init__(self, graph: Graph) -> None:
        self.already: dict[Node, Node] = {}
        counts = read_counts(graph)
        self._addition = {  # the only reader of a node
            source: node
            for node in graph.nodes
            if node.op.name == "add"
            for source in node.inputs
            if counts[source] == 1 and source.spec == node.spec
        }

    def to_all(self, products: Sequence[Node]) -> list[Node]:
        """The biases that are added to each of the products, which need not be added any more."""
        chains = [dict(self._chain(product)) for product in products]
        common = [bias for bias in chains[0] if all(bias in chain for chain in chains)]
        for chain in chains:
            for bias in common:
                addition = chain[bias]
                one, other = addition.inputs
                self.already[addition] = other if one is bias else one
        return common

    def _chain(self, node: Node) -> Iterator[tuple[Node, Node]]:
        """What is added to a node: biases, with their additions."""
        width, dtype = node.spec.shape[-1], node.spec.dtype
        while (addition := self._addition.get(node)) is not None:
            one, other = addition.inputs
            bias = other if one is node else one
            is_row = bias.spec.shape[-1:] == (width,) and bias.spec.size == width and bias.spec.dtype == dtype
            if is_row and bias.op in (INPUT, CONSTANT):
                yield bias, addition
            node = addition
