"""A matrix that is read transposed by many small products is transposed in memory, once.

Backward, each step of a recurrent network multiplies with the same `W.T`. BLAS reads a transposed matrix too,
but copies it to its own format more slowly: with 16 to 64 rows on the left a product takes 1.3 to 2 times as
long as with a matrix that lies row by row (OpenBLAS, one thread). For many products one copy pays.

>>> import numpy as np, dagexec
>>> def fn(xs, w):
...     for t in range(MANY):
...         xs = np.tanh(xs @ w.T)
...     return xs
>>> for line in str(transpose_once(dagexec.trace(fn)(np.ones((16, 4)), np.ones((4, 4))))).splitlines()[1:5]:
...     print(line)
  %2 = permute_dims(w, axes=(1, 0))              float64[4,4]
  %3 = reshape(%2, shape=(16,))                  float64[16]
  %4 = reshape(%3, shape=(4, 4))                 float64[4,4]
  %5 = matmul(xs, %4)                            float64[16,4]
"""

from __future__ import annotations

from typing import Any

from dagexec import xp
from dagexec.collector import collector_paused
from dagexec.graph import Graph, Node
from dagexec.rewrite.rebuilding import Rebuilding

MANY = 8  # products that read a matrix: a copy of it takes as long as what three of them lose
ROWS = 16  # on the left: with fewer, BLAS does not copy the matrix


@collector_paused()
def transpose_once(graph: Graph) -> Graph:
    """The graph with a copy of each matrix that many products read transposed."""
    readers: dict[Node, int] = {}  # for each matrix the number of such products
    for node in graph.nodes:
        if (matrix := _read_transposed(node)) is not None:
            readers[matrix] = readers.get(matrix, 0) + 1
    if not any(count >= MANY for count in readers.values()):
        return graph
    rebuilding = Rebuilding(graph)
    copies: dict[Node, Node] = {}
    for node in graph.nodes:
        matrix = _read_transposed(node)
        if matrix is None or readers[matrix] < MANY:
            rebuilding.keep(node)
            continue
        if matrix not in copies:
            copies[matrix] = rebuilding.make(node, _transposed, rebuilding.new[matrix])
        left = rebuilding.new[node.inputs[0]]
        rebuilding.new[node] = rebuilding.make(node, lambda a, b: a @ b, left, copies[matrix])
    return rebuilding.graph()


def _read_transposed(node: Node) -> Node | None:
    """The matrix whose transpose is the right operand of a product of matrices."""
    if node.op.name != "matmul":
        return None
    left, right = node.inputs
    if right.op.name != "permute_dims" or right.params["axes"] != (1, 0) or left.spec.ndim != 2:
        return None
    return right.inputs[0] if left.spec.shape[0] >= ROWS else None


def _transposed(matrix: Any) -> Any:
    # All elements in one row have to be copied together, in the order of the transpose.
    turned = xp.matrix_transpose(matrix)
    return xp.reshape(xp.reshape(turned, (-1,)), turned.shape)
