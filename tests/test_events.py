"""The event log and the trace file written from it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import dagexec
from dagexec.coarsen import coarsen
from dagexec.executors.serial import Serial


@pytest.fixture
def recorded():
    graph = dagexec.trace(lambda x: np.sum((x + 1) * (x - 1)))(np.ones(100)).backward()
    with dagexec.compile(graph, "threads", workers=2, events=True) as compiled:
        _, events = compiled(np.ones(100))
        return compiled.plan, events


def test_each_task_is_ready_before_it_starts_and_starts_before_it_ends(recorded):
    plan, events = recorded
    times = {kind: {e.task: e.time for e in events if e.kind == kind} for kind in ("ready", "start", "end")}
    assert set(times["ready"]) == set(times["start"]) == set(times["end"]) == set(plan.tasks)
    for task in plan.tasks:
        assert times["ready"][task] <= times["start"][task] <= times["end"][task]


def test_end_says_how_many_bytes_the_value_holds(recorded):
    plan, events = recorded
    for event in events:
        if event.kind == "end" and event.task not in plan.members:
            assert event.bytes == plan.graph.nodes[event.task].spec.nbytes


def test_peak_bytes_is_the_most_that_was_held_at_a_time():
    def chain(x):
        return ((x + 1) * 2) - 3  # two values of 800 bytes at a time, never three

    _, events = dagexec.run(dagexec.trace(chain)(np.ones(100)), np.ones(100), executor="serial", events=True)
    assert events.peak_bytes() == 1600


def test_busy_time_is_the_sum_of_the_tasks_times(recorded):
    _, events = recorded
    spans = events.spans()
    assert sum(events.busy().values()) == pytest.approx(sum(end - start for _, _, start, end in spans))
    assert set(events.busy()) <= {0, 1}


def test_a_log_of_several_runs_holds_the_time_of_each():
    graph = dagexec.trace(lambda x: x + 1)(1.0)
    events = dagexec.Events(graph)
    with dagexec.compile(graph, "serial", events=events) as compiled:
        for _ in range(3):
            compiled(1.0)
    assert len(events.spans()) == 3
    assert all(start <= end <= later for (*_, start, end), (*_, later, _) in pairwise(events.spans()))


def test_a_worker_runs_one_task_at_a_time(recorded):
    _, events = recorded
    for worker in (0, 1):
        spans = sorted((start, end) for _, by, start, end in events.spans() if by == worker)
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_a_task_of_several_nodes_is_traced_by_what_it_holds(tmp_path):
    @dagexec.block
    def layer(x):
        return np.tanh(x * 2 + 1)

    graph = dagexec.trace(lambda x: (layer(x), np.sum(x)))(np.ones(3))
    plan = dagexec.plan(graph)
    plan = coarsen(replace(plan, costs=[1e-6 if node.scope else 1e-3 for node in graph.nodes]))
    ((task, members),) = plan.members.items()
    log = dagexec.Events(graph)
    log.members = plan.members
    values = plan.values()
    values[plan.inputs[0]] = np.ones(3)
    Serial(plan)(values, log, [])
    assert {row[0] for row in log.spans()} == set(plan.tasks)
    log.to_chrome(tmp_path / "trace.json")
    rows = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    complete = {row["name"]: row["args"] for row in rows if row["ph"] == "X"}
    assert set(complete) == {"multiply … tanh (3 nodes)", "sum"}
    joined = complete["multiply … tanh (3 nodes)"]
    assert joined["task"] == task
    assert joined["members"] == ["layer[0]/multiply", "layer[0]/add", "layer[0]/tanh"]
    assert len(members) == 3
    assert "members" not in complete["sum"]


def test_a_failing_task_ends_in_an_error_event():
    graph = dagexec.trace(lambda x, i: x[i])(np.ones(3), np.array([0]))
    log = dagexec.Events(graph)
    with dagexec.compile(graph, "threads", workers=1, events=log) as compiled, pytest.raises(IndexError):
        compiled(np.ones(3), np.array([5]))
    assert [event.kind for event in log] == ["ready", "start", "error"]
