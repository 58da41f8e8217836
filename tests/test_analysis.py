"""Work, span, parallelism and the critical path of plans."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagexec
from dagexec.analysis import analyze, critical_path, operation_counts


def diamonds(choices):
    """A graph of 1-element additions: each reads two of the earlier values."""

    def fn(x):
        values = [x]
        for left, right in choices:
            values.append(values[left % len(values)] + values[right % len(values)])
        return values

    return dagexec.plan(dagexec.trace(fn)(np.ones(1)))


def test_a_chain_has_no_parallelism():
    plan = dagexec.plan(dagexec.trace(lambda x: np.sin(np.cos(np.tanh(x))))(np.ones(4)))
    found = analyze(plan)
    assert found.work == found.span > 0
    assert (found.parallelism, found.levels, found.width) == (1, 3, 1)


def test_independent_tasks_have_as_much_parallelism_as_there_are():
    plan = dagexec.plan(dagexec.trace(lambda x: [x + number for number in range(8)])(np.ones(4)))
    found = analyze(plan)
    assert (found.parallelism, found.levels, found.width) == (8, 1, 8)
    assert (found.bound(3), found.bound(100)) == (3, 8)


def test_nodes_are_counted_by_phase():
    graph = dagexec.trace(lambda x: np.sum(x * x))(np.ones(3)).backward()
    found = analyze(dagexec.plan(graph))
    assert sum(found.nodes.values()) == len(graph)
    assert list(found.nodes) == ["forward", "backward"]


def test_a_graph_without_tasks_has_parallelism_one():
    found = analyze(dagexec.plan(dagexec.trace(lambda x: x)(1.0)))
    assert (found.tasks, found.work, found.span, found.parallelism, found.width) == (0, 0, 0, 1, 0)
    assert critical_path(dagexec.plan(dagexec.trace(lambda x: x)(1.0))) == []


def test_given_costs_replace_the_estimates():
    plan = dagexec.plan(dagexec.trace(lambda x: np.sin(x) + np.cos(x))(1.0))
    costs = [0.0, 5.0, 2.0, 1.0]
    assert (analyze(plan, costs).work, analyze(plan, costs).span) == (8, 6)
    assert [node.op.name for node in critical_path(plan, costs)] == ["sin", "add"]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=30))
def test_the_critical_path_is_a_path_whose_cost_is_the_span(choices):
    plan = diamonds(choices)
    found, path = analyze(plan), critical_path(plan)
    assert all(earlier in later.inputs for earlier, later in pairwise(path))
    costs = dict(zip(plan.graph.nodes, operation_counts(plan)))
    assert sum(costs[node] for node in path) == found.span <= found.work
    assert found.tasks / found.levels <= found.width <= found.tasks
    assert 1 <= found.parallelism <= found.tasks


def test_training_has_more_parallelism_backward_than_forward():
    def loss(w, x):
        for layer in w:
            x = np.tanh(x @ layer)
        return np.sum(x)

    graph = dagexec.trace(loss)([np.ones((20, 20))] * 4, np.ones((20, 20)))
    forward, both = analyze(dagexec.plan(graph)), analyze(dagexec.plan(graph.backward()))
    assert forward.parallelism == 1
    assert both.parallelism == pytest.approx(1.5, abs=0.2)
