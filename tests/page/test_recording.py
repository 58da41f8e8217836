"""What is recorded of runs and values: against the graph, and an evaluation node by node."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

import dagexec
from dagexec.graph import CONSTANT, INPUT, ITEM
from dagexec.page.recording import EXECUTORS, MOST_MOMENTS, recorded_runs, recorded_values, run_data
from tests.page import graphs


@pytest.fixture(scope="module")
def runs():
    graph, args = graphs.step()
    return graph, recorded_runs(graph, args, workers=2)


def test_there_is_a_run_of_each_executor_in_order(runs):
    _, recorded = runs
    assert [run["executor"] for run in recorded] == list(EXECUTORS)
    assert [run["workers"] for run in recorded] == [1, 2, 2]
    assert json.loads(json.dumps(recorded, allow_nan=False)) == recorded


def test_each_computed_node_is_in_one_task_after_all_that_it_reads(runs):
    graph, recorded = runs
    number = {node: i for i, node in enumerate(graph.nodes)}
    computed = {i for i, node in enumerate(graph.nodes) if node.op not in (INPUT, CONSTANT, ITEM)}
    for run in recorded:
        tasks = run["tasks"]
        members = [node for nodes in tasks["nodes"] for node in nodes]
        assert sorted(members) == sorted(computed)
        task_of = {node: i for i, nodes in enumerate(tasks["nodes"]) for node in nodes}
        for i in computed:
            for source in graph.nodes[i].inputs:
                maker = number[source.inputs[0] if source.op is ITEM else source]
                if maker in computed and task_of[maker] != task_of[i]:
                    # times are rounded to a tenth of a microsecond
                    assert tasks["end"][task_of[maker]] <= tasks["start"][task_of[i]] + 2e-7


def test_tasks_stand_in_the_order_of_their_starts_and_within_the_run(runs):
    for run in runs[1]:
        tasks = run["tasks"]
        assert tasks["start"] == sorted(tasks["start"])
        assert all(0 <= start <= end <= run["seconds"] for start, end in zip(tasks["start"], tasks["end"]))
        assert max(tasks["end"]) == run["seconds"]
        assert set(tasks["worker"]) <= set(range(run["workers"] + 1))


def test_the_critical_path_is_a_path_and_no_other_is_longer(runs):
    graph, recorded = runs
    number = {node: i for i, node in enumerate(graph.nodes)}
    for run in recorded:
        tasks = run["tasks"]
        task_of = {node: i for i, nodes in enumerate(tasks["nodes"]) for node in nodes}
        reads = [set() for _ in tasks["nodes"]]
        for i, nodes in enumerate(tasks["nodes"]):
            for source in {s for node in nodes for s in graph.nodes[node].inputs}:
                maker = task_of.get(number[source.inputs[0] if source.op is ITEM else source], i)
                reads[i] |= {maker} - {i}
        path = run["critical"]
        assert all(before in reads[after] for before, after in pairwise(path))
        seconds = [end - start for start, end in zip(tasks["start"], tasks["end"])]
        longest = []
        for i in range(len(seconds)):  # in the order of starts, so sources come first
            longest.append(seconds[i] + max((longest[source] for source in reads[i]), default=0.0))
        assert sum(seconds[i] for i in path) == pytest.approx(max(longest), abs=1e-6)


def test_memory_rises_from_nothing_in_the_order_of_time(runs):
    for run in runs[1]:
        memory = run["memory"]
        assert memory["time"] == sorted(memory["time"])
        assert len(memory["time"]) == len(memory["bytes"])
        assert min(memory["bytes"]) >= 0 < max(memory["bytes"])


@pytest.mark.parametrize("more", range(3))
def test_of_a_long_run_the_peak_of_memory_stays(more):
    def long(x):
        for step in range(1200):
            x = np.tanh(x) if step != 700 + more else x + np.sum(np.outer(x, x))
        return x

    graph = dagexec.trace(long)(np.ones(20))
    with dagexec.compile(graph, "serial", events=True, rewrites=()) as compiled:
        _, log = compiled(np.ones(20))
    memory = run_data(compiled.plan, log, "serial", 1)["memory"]
    assert len(memory["time"]) <= MOST_MOMENTS + 1
    assert max(memory["bytes"]) == log.peak_bytes()
    assert memory["bytes"][-1] == log.live_bytes()[-1][1]


def test_values_are_those_of_every_node():
    graph, args = graphs.step()
    truth = graphs.evaluated(graph, args)
    found = recorded_values(graph, args)
    for number, node in enumerate(graph.nodes):
        if isinstance(node.spec, tuple):
            assert str(number) not in found
            continue
        value = np.asarray(truth[number])
        told = found[str(number)]
        assert (told["min"], told["max"]) == pytest.approx((value.min(), value.max()), rel=1e-3)
        assert told["mean"] == pytest.approx(value.mean(), rel=1e-3, abs=1e-9)


def test_what_is_not_finite_is_counted():
    graph = dagexec.trace(lambda x: np.log(x))(np.ones(4))
    found = recorded_values(graph, (np.array([0.0, -1.0, 1.0, 1.0]),))
    assert (found["1"]["nan"], found["1"]["inf"], found["1"]["max"]) == (1, 1, 0.0)


def test_plain_callables_are_called_once_for_each_executor():
    calls = []
    note = dagexec.task(lambda x: calls.append(x) or x + 1)
    graph = note(note(1)).graph()
    runs = recorded_runs(graph, (), ["serial", "threads"], 2)
    assert calls == [1, 2, 1, 2]
    assert [run["tasks"]["nodes"] for run in runs] == [[[0], [1]]] * 2
    assert recorded_values(graph, ()) == {}


def test_wrong_arguments_are_refused():
    graph = dagexec.trace(lambda x: np.sum(x))(np.ones(3))
    with pytest.raises(ValueError, match="x"):
        recorded_runs(graph, (np.ones(4),), ["serial"])
