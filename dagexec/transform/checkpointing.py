"""`checkpoint`: what lies between arguments and result is computed again for the gradient, not kept.

The function's nodes stand in the graph as without it. Its results pass through a node that is the identity,
and whose gradient rule does not go back through them: it records the function once more, behind a barrier
that waits for the cotangent, so nothing is recomputed before it is needed, and derives that.

>>> import numpy as np
>>> from dagexec.tracing import trace
>>> from dagexec.transform.reverse import grad
>>> graph = trace(grad(checkpoint(lambda x: np.sin(np.sin(x)))))(1.0)
>>> [(node.op.name, node.phase) for node in graph.nodes].count(("sin", "backward"))
1

The trade of time for memory is Griewank's (1992); the form is that of jax.checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import optree

from dagexec.array import CURRENT, Array
from dagexec.array import call as apply
from dagexec.graph import Graph, Op
from dagexec.ops.table import declare
from dagexec.pytrees import flatten
from dagexec.transform.compiling import positional
from dagexec.transform.identities import after, firsts_kernel, firsts_spec
from dagexec.transform.subgraphs import (
    Found,
    batched_part,
    inlined,
    node_of,
    pulled_back,
    recorded_tree,
    spec_at,
    spread,
    subgraphs,
)


def _recomputed(xp: Any, g: Any, y: Any, *inputs: Any, graph: Graph, results: int) -> list[Any]:
    cotangents = [part for part in g if isinstance(part, Array)]
    operands = after(inputs[results:], cotangents)
    return [*[None] * results, *pulled_back(graph, operands, g)]


def _batched(
    xp: Any,
    again: Any,
    size: int,
    batched: Sequence[bool],
    *inputs: Array,
    graph: Graph,
    results: int,
) -> Any:
    made = [x if flag else spread(x, size) for x, flag in zip(inputs[:results], batched)]
    (of_batch,), _ = subgraphs(batched_part(graph, batched[results:], [True] * results, size))
    return again(*made, *inputs[results:], graph=of_batch, results=results)


CHECKPOINT = declare(
    Op(
        "checkpoint",
        firsts_spec,
        firsts_kernel,
        _recomputed,
        _batched,
        cost=lambda out, *specs, **params: 0.0,
        family="structure",
        doc="the first inputs, the results of a graph on the others, which the gradient computes again",
    )
)


def checkpoint(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, but its gradient recomputes what lies inside instead of keeping it.

    Arguments and result are pytrees of arrays. The gradients are the same; memory is saved for about the time
    of one more run of `fn`. Outside of a trace nothing changes.

    >>> from dagexec.transform.reverse import grad
    >>> float(grad(checkpoint(lambda x: x**3))(2.0))
    12.0
    """

    @wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is None:
            return fn(*args, **kwargs)
        function, args = positional(fn, args, kwargs)
        leaves, structure = flatten(args)
        specs = [spec_at(leaf, "of a checkpoint function") for leaf in leaves]
        found = Found()
        (graph,), captured = subgraphs(recorded_tree(function, structure, specs, found))
        operands = [*map(node_of, leaves), *captured]
        results = inlined(graph, operands)
        passed = apply(CHECKPOINT, *results, *operands, graph=graph, results=len(results)) if results else ()
        return optree.tree_unflatten(found.tree, passed)

    return wrapped
