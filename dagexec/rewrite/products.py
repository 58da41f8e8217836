"""Matrix products: transposes folded into them, a stack times one matrix as one large product.

BLAS reads a transposed matrix as easily as another, so `(Aᵀ @ B)ᵀ` is `Bᵀ @ A`, with no transpose behind it.
A stack of n matrices times one matrix is n products of few rows each; as one product of all rows it takes
a fraction of the time. Results may be rounded differently.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda a, b: a @ b)(np.ones((8, 4, 3)), np.ones((3, 2)))
>>> print(fold_products(graph))
lambda(a: float64[8,4,3], b: float64[3,2]):
  %2 = reshape(a, shape=(32, 3))                 float64[32,3]
  %3 = matmul(%2, b)                             float64[32,2]
  %4 = reshape(%3, shape=(8, 4, 2))              float64[8,4,2]
  return %4
"""

from __future__ import annotations

from math import prod

from dagexec.graph import Graph, Node
from dagexec.rewrite.broadcasts import is_stretched
from dagexec.rewrite.rules import Alone, Made, Rules, apply, by_rules, is_float, reshaped

MOST_ROWS = 256  # of one matrix of a stack; with more, BLAS is as fast on each by itself


def fold_products(graph: Graph) -> Graph:
    """The graph with fewer and larger matrix products, and fewer transposes; to rounding."""
    return by_rules(graph, RULES)


def _stack_times_matrix(node: Node, alone: Alone) -> Made:
    a, b = node.inputs
    shape = a.spec.shape
    if len(shape) < 3 or b.spec.ndim != 2 or not a.spec.size or not is_float(node) or is_stretched(a):
        return None
    stack, rows = prod(shape[:-2]), shape[-2]
    if stack == 1 or rows > MOST_ROWS:
        return None
    return lambda: reshaped(apply("matmul", reshaped(a, (stack * rows, shape[-1])), b), node.spec.shape)


def _swaps(node: Node) -> bool:
    """Does a node transpose matrices, and nothing else?"""
    if node.op.name != "permute_dims":
        return False
    axes = node.params["axes"]
    ndim = len(axes)
    return ndim > 1 and axes == (*range(ndim - 2), ndim - 1, ndim - 2)


def _transposed_product(node: Node, alone: Alone) -> Made:
    (x,) = node.inputs
    if x.op.name != "matmul" or not _swaps(node) or not alone(x):
        return None
    a, b = x.inputs
    if a.spec.ndim != b.spec.ndim or not (_swaps(a) or _swaps(b)):
        return None
    return lambda: apply("matmul", *[_transposed(matrix) for matrix in (b, a)])


def _transposed(x: Node) -> object:
    if _swaps(x):
        return x.inputs[0]
    ndim = x.spec.ndim
    return apply("permute_dims", x, axes=(*range(ndim - 2), ndim - 1, ndim - 2))


RULES: Rules = {"matmul": [_stack_times_matrix], "permute_dims": [_transposed_product]}
