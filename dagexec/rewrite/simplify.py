"""Rules put together: what they do to a graph in one pass, each on what the others have made.

`simplify_exactly` changes no bit of a result. `simplify` also does the same sums and products in an order
that takes less, so that they are rounded differently.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: np.mean(np.square(x)))(np.ones(4)).backward()
>>> print(simplify(graph))
lambda.backward(x: float64[4]):
  %1 = square(x)                                 float64[4]
  %2 = mean(%1, axis=(0,), keepdims=False)       float64[]
  # backward
  %4 = multiply(x, 0.5)                          float64[4]
  return %2, %4
"""

from __future__ import annotations

from dagexec.graph import Graph
from dagexec.rewrite import broadcasts, factors, identities, products, reductions
from dagexec.rewrite.fold_constants import RULES as FOLDING
from dagexec.rewrite.rules import by_rules, joined

EXACT = joined(FOLDING, identities.RULES, broadcasts.RULES)
TO_ROUNDING = joined(factors.RULES, reductions.RULES, products.RULES, EXACT)


def simplify_exactly(graph: Graph) -> Graph:
    """The graph with constants folded, after identities and late broadcasts; the same to the last bit."""
    return by_rules(graph, EXACT)


def simplify(graph: Graph) -> Graph:
    """The same with factors gathered, reductions of less and larger matrix products; to rounding."""
    return by_rules(graph, TO_ROUNDING)
