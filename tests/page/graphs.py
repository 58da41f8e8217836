"""Graphs that the tests of the page look at, and an evaluator that knows nothing of plans and executors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import dagexec
from dagexec.graph import CONSTANT, INPUT, ITEM, Graph

RANDOM = np.random.default_rng(7)
W, X, Y = RANDOM.normal(size=(3, 2)), RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(4, 2))


@dagexec.block
def layer(w, x):
    return np.tanh(x @ w)


def loss(w, x, y):
    """Values with several readers or several results, a broadcast, a parameter that is used twice."""
    h = layer(w, x)
    first, *_, last = h
    with dagexec.scope("loss"):
        return np.mean((h + first * last - y) ** 2) + np.sum(w * w) / 2


def derived() -> tuple[Graph, tuple[Any, ...]]:
    """The derived graph of `loss` and its arguments."""
    return dagexec.trace(loss)(W, X, Y).backward(), (W, X, Y)


def step() -> tuple[Graph, tuple[Any, ...]]:
    """A training step, with all three phases, and its arguments."""

    def descend(w, x, y):
        value, gradient = dagexec.value_and_grad(loss)(w, x, y)
        with dagexec.scope("update", phase="update"):
            return value, w - 0.1 * gradient

    return dagexec.trace(descend)(W, X, Y), (W, X, Y)


def tasks() -> Graph:
    """Plain callables."""
    double = dagexec.task(lambda x: 2 * x)
    return double(double(1)).graph()


def evaluated(
    graph: Graph, args: tuple[Any, ...], instead: Mapping[int, Any] | None = None, last: int | None = None
) -> list[Any]:
    """The value of each node up to `last`, by its definition; `instead` gives some by their numbers."""
    leaves = dict(zip(graph.inputs, graph.in_tree.flatten_up_to(args)))
    values: dict[Any, Any] = {}
    for number, node in enumerate(graph.nodes[: None if last is None else last + 1]):
        if instead and number in instead:
            values[node] = instead[number]
        elif node.op is INPUT:
            values[node] = np.asarray(leaves[node])
        elif node.op is CONSTANT:
            values[node] = node.params["value"]
        elif node.op is ITEM:
            values[node] = values[node.inputs[0]][node.params["index"]]
        else:
            values[node] = node.op.kernel(np, **node.params)(*[values[source] for source in node.inputs])
    return list(values.values())
