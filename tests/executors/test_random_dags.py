"""Random DAGs on every executor: the right values, each node once, in order, everything freed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dagexec
from tests.dags import Boom, dag, edge_lists, side_by_side, some_of, values_of

# Worker processes take a while to start, so there many DAGs, side by side, make one graph.
DAGS, GRAPHS, AT_ONCE = 1000, 25, 40

RUNS = {
    "serial": {"executor": "serial"},
    "threads-1": {"executor": "threads", "workers": 1},
    "threads-2": {"executor": "threads", "workers": 2},
    "threads-5": {"executor": "threads", "workers": 5},
    "processes-2": {"executor": "processes", "workers": 2},
    "auto": {"executor": "auto"},
}
LOCAL = {name: how for name, how in RUNS.items() if name != "processes-2"}


@pytest.mark.parametrize("executor", ["serial", "threads", "auto"])
@settings(max_examples=DAGS)
@given(data=st.data(), edges=edge_lists(), workers=st.sampled_from([1, 2, 5]))
def test_each_node_runs_once_after_its_inputs_and_every_value_is_freed(executor, data, edges, workers):
    check_run({"executor": executor, "workers": workers}, edges, data.draw(some_of(edges)))


@settings(max_examples=GRAPHS, suppress_health_check=list(HealthCheck))
@given(data=st.data(), parts=st.lists(edge_lists(), min_size=AT_ONCE, max_size=AT_ONCE))
def test_processes_run_each_node_once_after_its_inputs_and_free_every_value(data, parts):
    edges = side_by_side(parts)
    check_run(RUNS["processes-2"], edges, data.draw(some_of(edges)))


def check_run(how, edges, outputs):
    results, events = dagexec.run(dag(edges, outputs), **how, events=True)
    values = values_of(edges)
    assert list(results) == [values[number] for number in outputs]
    ended: set[int] = set()
    started: list[int] = []
    for event in events:
        if event.kind == "start":
            started.append(event.task)
        if event.kind == "end":
            ended.add(event.task)
    assert sorted(started) == list(range(len(edges)))
    assert ended == set(started)
    begin = {event.task: event.time for event in events if event.kind == "start"}
    end = {event.task: event.time for event in events if event.kind == "end"}
    ready = [event.task for event in events if event.kind == "ready"]
    assert sorted(ready) == list(range(len(edges)))
    for number, sources in enumerate(edges):
        assert all(end[source] <= begin[number] for source in sources)
    freed = [event.task for event in events if event.kind == "free"]
    assert sorted(freed) == sorted(set(range(len(edges))) - set(outputs))


@pytest.mark.parametrize("how", LOCAL.values(), ids=LOCAL)
@settings(max_examples=100)
@given(data=st.data(), edges=edge_lists())
def test_the_first_error_stops_the_run_and_names_its_node(how, data, edges):
    check_failure(how, data, edges)


@settings(max_examples=10)
@given(data=st.data(), edges=edge_lists())
def test_the_first_error_stops_a_run_on_processes_and_names_its_node(data, edges):
    check_failure(RUNS["processes-2"], data, edges)


def check_failure(how, data, edges):
    failing = frozenset(data.draw(st.sets(st.integers(0, len(edges) - 1), min_size=1, max_size=3)))
    with pytest.raises(Boom) as caught:
        dagexec.run(dag(edges, [], failing), **how)
    number = int(str(caught.value).removeprefix("node "))
    assert number in failing
    assert any(f"node %{number} n{number}(" in note for note in caught.value.__notes__)


ARRAY_OPS = (
    lambda a, b: np.tanh(a @ b),
    lambda a, b: a.T * b,
    lambda a, b: np.flip(a, axis=0) - b[::-1],
    lambda a, b: np.sum(a, axis=0) + b,
    lambda a, b: np.concatenate([a, b])[::2],
)


@pytest.mark.parametrize("how", RUNS.values(), ids=RUNS)
@settings(max_examples=20)
@given(edges=edge_lists(12), choices=st.lists(st.integers(0, len(ARRAY_OPS) - 1), min_size=12, max_size=12))
def test_array_programs_and_their_gradients_have_the_same_bits_as_serial(how, edges, choices):
    def program(x, y):
        values = [x, y]
        for sources, choice in zip(edges, choices):
            picked = [values[source] for source in sources[:2]] + values[-2:]
            values.append(ARRAY_OPS[choice](picked[0], picked[1]))
        return np.mean(values[-1] * values[-2])

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6, 6))
    graph = dagexec.trace(program)(x, y).backward(wrt=(0, 1))
    value, (gx, gy) = dagexec.run(graph, x, y, **how)
    expected, (ex, ey) = dagexec.run(graph, x, y, executor="serial")
    assert np.array_equal(value, expected)
    assert np.array_equal(gx, ex)
    assert np.array_equal(gy, ey)
