"""The graphs within a graph, of `scan`, `cond` and `while_loop`, are rewritten like the graph around them.

>>> import numpy as np, dagexec
>>> def step(carry, x):
...     return carry * 1 + x, None
>>> graph = dagexec.trace(lambda xs: dagexec.scan(step, 0.0, xs)[0])(np.ones(3))
>>> loop = next(node for node in rewrite_bodies(graph).nodes if node.op.name == "scan")
>>> [node.op.name for node in loop.params["body"].nodes]
['input', 'input', 'add']
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagexec.graph import Graph, Node
from dagexec.rewrite.assemble import assemble
from dagexec.rewrite.batch_products import batch_products
from dagexec.rewrite.drop_unread import drop_unread
from dagexec.rewrite.merge_common import merge_common
from dagexec.rewrite.rebuilding import Rebuilding, Rewrite
from dagexec.rewrite.safer import compute_safely
from dagexec.rewrite.simplify import simplify
from dagexec.rewrite.stack_branches import stack_branches
from dagexec.rewrite.sum_products import sum_products
from dagexec.rewrite.transpose_once import transpose_once

# What is done to a graph and to those within it, in this order.
EVERYWHERE: tuple[Rewrite, ...] = (
    drop_unread,
    merge_common,
    compute_safely,
    simplify,
    merge_common,
    assemble,
    sum_products,
    batch_products,
    stack_branches,
    transpose_once,
    merge_common,
)


def rewrite_bodies(graph: Graph) -> Graph:
    """The graph with rewritten graphs in its loops and branches, and in theirs."""
    done: dict[Graph, Graph] = {}
    changed = {}
    for node in graph.nodes:
        if node.op.family == "control":
            params = {key: _rewritten(value, done) for key, value in node.params.items()}
            if any(params[key] is not value for key, value in node.params.items()):
                changed[node] = params
    if not changed:
        return graph
    rebuilding = Rebuilding(graph)
    for node in graph.nodes:
        rebuilding.keep(node)
        if node in changed:
            rebuilding.new[node] = _with_params(rebuilding.new[node], changed[node])
    return rebuilding.graph()


def _rewritten(value: Any, done: dict[Graph, Graph]) -> Any:
    if not isinstance(value, Graph):
        return value
    if value not in done:
        body = value
        for rewrite in EVERYWHERE:
            body = rewrite(body)
        done[value] = rewrite_bodies(body)
    return done[value]


def _with_params(node: Node, params: Mapping[str, Any]) -> Node:
    labels = node.scope, node.phase, node.name, node.grad_of, node.where
    return Node(node.op, node.inputs, params, node.spec, *labels)
