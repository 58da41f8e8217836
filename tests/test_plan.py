"""The plan's counts against the graph's edges."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import dagexec
from dagexec import xp
from dagexec.plan import plan
from tests.dags import dag, edge_lists, some_of


@given(st.data(), edge_lists())
def test_counts_are_those_of_the_edges(data, edges):
    outputs = data.draw(some_of(edges))
    p = plan(dag(edges, outputs))
    reads = Counter(source for sources in edges for source in sources)
    leaves = Counter(outputs)
    for number, sources in enumerate(edges):
        assert p.unmet[number] == len(sources)
        assert p.readers[number] == reads[number] + leaves[number]
        following = Counter(p.successors[number])
        assert following == Counter(reader for reader, read in enumerate(edges) for s in read if s == number)


@given(edge_lists())
def test_ranks_put_no_task_before_one_with_a_longer_path(edges):
    p = plan(dag(edges, []))
    assert sorted(p.by_rank) == list(range(len(edges)))
    assert [p.rank[task] for task in p.by_rank] == list(range(len(edges)))
    for number, sources in enumerate(edges):
        assert all(p.rank[source] < p.rank[number] for source in sources)


def test_arguments_constants_and_items_have_no_task():
    def program(x):
        a, b = xp.split(x, 2)
        return a * 2 + b

    graph = dagexec.trace(program)(np.ones(4))
    p = plan(graph)
    assert [graph.nodes[task].op.name for task in p.tasks] == ["split", "multiply", "add"]
    split, multiply, add = p.tasks
    assert p.successors[split] == (multiply, add)
    assert p.unmet[add] == 2
    assert p.readers[split] == 2


def test_a_value_read_twice_by_one_task_counts_twice():
    p = plan(dagexec.trace(lambda x: x * x)(1.0))
    assert p.readers[0] == 2
    p = plan(dag([[], [0, 0]], [1]))
    assert p.unmet[1] == 2
    assert p.successors[0] == (1, 1)
