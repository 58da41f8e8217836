"""What depends on no argument is computed once, when the graph is made ready.

Left to each run are the results that would be large, what takes long, what only stretches (a view costs
nothing), and what raises an error or would warn: both belong to the run, where they name the line.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: 3 * x)(np.ones(2)).backward(cotangent=np.array([1.0, 10.0]))
>>> print(fold_constants(graph))
lambda.backward(x: float64[2]):
  %2 = multiply(3.0, x)                          float64[2]
  %3 = constant()                                float64[2]
  return %2, %3
"""

from __future__ import annotations

import numpy as np

from dagexec.array import Array, current_trace
from dagexec.graph import CONSTANT, Graph, Node
from dagexec.ops import TABLE, operations
from dagexec.rewrite.rules import Alone, Made, by_rules

FAMILIES = ("elementwise", "shape", "index", "reduction", "linear")
LARGEST = 1 << 16  # bytes of a result
LONGEST = 1e6  # operations


def fold_constants(graph: Graph) -> Graph:
    """The graph with constants in the place of what is made of constants only."""
    return by_rules(graph, RULES)


def _computed(node: Node, alone: Alone) -> Made:
    inputs = node.inputs
    if not inputs or inputs[0].op is not CONSTANT or any(source.op is not CONSTANT for source in inputs):
        return None
    if node.spec.nbytes > LARGEST or operations(node) > LONGEST:
        return None
    try:
        with np.errstate(all="raise"):
            value = node.op.kernel(np, **node.params)(*[source.params["value"] for source in inputs])
    except Exception:
        return None
    return lambda: Array(current_trace().constant(value))


RULES = {op.name: [_computed] for op in TABLE.values() if op.family in FAMILIES and op.name != "broadcast_to"}
