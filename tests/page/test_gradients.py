"""Which node is the gradient of which: by finite differences of the loss in each forward value."""

from __future__ import annotations

import numpy as np
import pytest

import dagexec
from dagexec.page.gradients import gradients
from dagexec.page.model import model
from tests.page import graphs

STEP = 1e-6


def through_rules(w, x):
    """Rules that hand on the cotangent itself, give it back twice, change its sign, or cut the flow."""
    a = x @ w - w[0]
    b = np.concatenate([a, -a, a * a])
    c = dagexec.stop_gradient(b) * b + np.where(b > 0, b, 0.1 * b)
    return np.sum(c.T @ c) - np.max(b)


def by_rules():
    return dagexec.trace(through_rules)(graphs.W, graphs.X).backward((0, 1)), (graphs.W, graphs.X)


def of_a_part():
    """Of a rule that makes two alike, the one that nobody needs is not in the graph."""
    args = graphs.W, graphs.X[:3, :2]
    code = dagexec.trace(lambda w, x: np.sum(np.concatenate([np.exp(x), np.tanh(np.sin(w) * w)]) ** 2))
    return code(*args).backward(), args


@pytest.mark.parametrize("made", [graphs.derived, graphs.step, by_rules, of_a_part])
def test_the_gradient_of_a_value_is_what_the_loss_changes_by(made):
    graph, args = made()
    found = gradients(graph)
    loss = model(graph)["loss"]
    values = graphs.evaluated(graph, args)
    still = {i: values[i] for i, node in enumerate(graph.nodes) if node.op.name == "stop_gradient"}
    assert len(found) >= 7
    for number, gradient in found.items():
        way = np.random.default_rng(number).normal(size=np.shape(values[number]))
        above, below = (
            graphs.evaluated(graph, args, still | {number: values[number] + step * way}, loss)[loss]
            for step in (STEP, -STEP)
        )
        change = (above - below) / (2 * STEP)
        assert np.sum(values[gradient] * way) == pytest.approx(change, rel=1e-5, abs=1e-6), graph.nodes[
            number
        ]


def test_every_value_between_argument_and_loss_has_its_gradient():
    graph, _ = graphs.derived()
    found = gradients(graph)
    depends = {graph.inputs[0]}
    for node in graph.nodes:
        if node.phase == "forward" and depends.intersection(node.inputs):
            depends.add(node)
    several = {node for node in depends if isinstance(node.spec, tuple)}
    numbers = {graph.nodes.index(node) for node in depends - several}
    assert numbers <= found.keys()
    assert graph.nodes[found[0]] is graph.outputs[1]


@pytest.mark.parametrize(
    "graph",
    [
        dagexec.trace(lambda x: np.sum(x * x))(np.ones(3)),
        dagexec.trace(lambda x: x * x)(np.ones(3)),
        graphs.tasks(),
    ],
    ids=["no backward nodes", "no scalar", "callables"],
)
def test_without_a_derivation_there_are_none(graph):
    assert gradients(graph) == {}


def test_a_rewritten_graph_keeps_those_that_are_left():
    graph, args = graphs.derived()
    rewritten = dagexec.rewrite.rewritten(graph)
    values = graphs.evaluated(rewritten, args)
    originals = graphs.evaluated(graph, args)
    position = {node: number for number, node in enumerate(graph.nodes)}
    truth = {graph.nodes[i]: originals[j] for i, j in gradients(graph).items()}
    for number, gradient in gradients(rewritten).items():
        node = rewritten.nodes[number]
        if node in position and node in truth:
            np.testing.assert_allclose(values[gradient], truth[node])
