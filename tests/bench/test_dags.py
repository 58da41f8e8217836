"""The shapes of graphs on which schedulers are compared."""

import pytest

from bench.dags import FULL, SHAPES, dag, in_order, layered


@pytest.mark.parametrize("shape", SHAPES)
def test_tasks_read_earlier_tasks_only(shape):
    for tasks in (1, 2, 7, 100, 500):
        sources = SHAPES[shape](tasks)
        assert 0 < len(sources) <= tasks
        assert all(0 <= source < task for task, inputs in enumerate(sources) for source in inputs)


def test_the_full_sizes_are_those_of_the_published_table():
    assert {shape: len(SHAPES[shape](tasks)) for shape, tasks in FULL.items()} == {
        "wide": 20_000,
        "chain": 20_000,
        "tree": 32_767,
        "layered": 20_000,
        "grid": 19_600,
    }


def test_a_tree_joins_its_leaves_pairwise_to_one_root():
    tree = dag("tree", 100)
    assert [len(level) for level in tree.levels] == [32, 16, 8, 4, 2, 1]
    assert tree.outputs == [62]


def test_a_layered_graph_reads_two_or_three_tasks_of_the_layer_before():
    sources = layered(1_000, width=200)
    for task, inputs in enumerate(sources):
        layer = task // 200
        assert len(set(inputs)) == len(inputs) in ((2, 3) if layer else (0,))
        assert all(source // 200 == layer - 1 for source in inputs)
    assert sources == layered(1_000, width=200)


def test_a_grid_reads_above_and_left():
    grid = dag("grid", 12)
    assert grid.sources == [(), (0,), (1,), (0,), (1, 3), (2, 4), (3,), (4, 6), (5, 7)]
    assert [len(level) for level in grid.levels] == [1, 2, 3, 2, 1]


def test_every_task_counts_in_the_outputs():
    """The callable returns how many ways lead to a task, so that each edge is seen in the values."""
    ways = dag("grid", 16, lambda *counts: sum(counts) or 1)
    assert in_order(ways) == [20]  # the paths of right and down steps through 4×4: 6 choose 3
    assert in_order(dag("tree", 15, lambda *counts: sum(counts) or 1)) == [8]
    assert in_order(dag("chain", 15, lambda *counts: sum(counts) + 1)) == [15]
    assert in_order(dag("wide", 15, lambda: 1)) == [1] * 15


@pytest.mark.parametrize("shape", SHAPES)
def test_the_dictionary_is_the_same_graph(shape):
    graph = dag(shape, 60)
    dictionary = graph.dictionary()

    def value(key):
        function, *inputs = dictionary[key]
        return function(*map(value, inputs))

    assert [value(key) for key in graph.keys(graph.outputs)] == in_order(graph)
