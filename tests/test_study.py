"""Levels and what limits them, a path folded, and a program studied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.analysis import analyze
from dagexec.analysis.folding import ENOUGH, folded
from dagexec.analysis.levels import levels_of
from dagexec.executors import available_cores
from dagexec.study import study
from dagexec.timing import compare, measured_costs
from tests.dags import dag, edge_lists


def planned(edges):
    return dagexec.plan(dag(edges, range(len(edges))))


def costs_of(edges):
    return st.lists(st.integers(0, 9), min_size=len(edges), max_size=len(edges))


weighted = edge_lists().flatmap(lambda edges: st.tuples(st.just(edges), costs_of(edges)))


# --- levels ---------------------------------------------------------------------------------------------
@settings(max_examples=30)
@given(weighted)
def test_levels_are_steps_in_which_nothing_reads_another(case):
    edges, costs = case
    level: list[int] = []
    for sources in edges:
        level.append(1 + max((level[source] for source in sources), default=-1))
    found = levels_of(planned(edges), costs)
    assert len(found) == max(level) + 1
    for number, row in enumerate(found):
        members = [task for task in range(len(edges)) if level[task] == number]
        assert (row.tasks, row.work) == (len(members), sum(costs[task] for task in members))
        assert row.slowest in members
        assert row.longest == costs[row.slowest] == max(costs[task] for task in members)


@settings(max_examples=30)
@given(weighted, st.integers(1, 9))
def test_what_limits_a_level_is_what_more_workers_would_change(case, workers):
    for level in levels_of(planned(case[0]), case[1]):
        gains = level.seconds(workers + 1) < level.seconds(workers)
        if gains:
            assert level.limit(workers) == "workers"
        if level.limit(workers) == "slowest":
            assert level.tasks > workers
            assert level.seconds(workers) == level.longest
        if level.tasks <= workers:
            assert level.limit(workers) == "width"


# --- the critical path in few lines ---------------------------------------------------------------------
@dagexec.block
def cell(x, w):
    return np.tanh(x @ w + x)


@dagexec.block
def outer(x, w):
    return cell(cell(x, w), w)


def rnn_path():
    def fn(x, w):
        for _ in range(6):
            x = outer(x, w)
        return np.sum(x)

    plan = dagexec.plan(dagexec.trace(fn)(np.ones((2, 2)), np.ones((2, 2))).backward())
    return plan, analyze(plan).critical_path


@pytest.mark.parametrize("most", [None, 1, 2, 4, 100])
def test_parts_hold_the_whole_path(most):
    plan, path = rnn_path()
    parts = folded(plan, path, most)
    assert sum(part.tasks for part in parts) == len(path)
    assert sum(part.cost for part in parts) == pytest.approx(analyze(plan).span)
    assert sum(part.share for part in parts) == pytest.approx(1)
    assert [part.cost for part in parts] == sorted([part.cost for part in parts], reverse=True)
    assert len({part.name for part in parts}) == len(parts)


def test_parts_are_named_by_regions_and_operation_and_coarser_where_that_leaves_too_much_aside():
    plan, path = rnn_path()
    fine = folded(plan, path)
    assert "outer[0..5]/cell[0..1] tanh" in [part.name for part in fine]
    assert sum(part.share for part in fine[:1]) < ENOUGH
    assert "outer[0..5]" in [part.name for part in folded(plan, path, 1)]
    assert folded(plan, path, len(fine)) == fine


def test_tasks_of_a_dag_are_called_by_their_keys_and_several_by_their_function():
    dsk = {"a": (abs, -1), "b": (abs, "a"), "c": (str, "b")}
    plan = dagexec.plan(dagexec.from_dask(dsk, "c"))
    assert [(part.name, part.tasks) for part in folded(plan, analyze(plan).critical_path)] == [
        ("abs", 2),
        ("c", 1),
    ]


# --- studies --------------------------------------------------------------------------------------------
def test_a_study_holds_what_was_measured_and_what_follows():
    rounds = []
    x = np.ones((20, 20))
    graph = dagexec.trace(lambda x: np.sum(np.tanh(x @ x) + np.sin(x)))(x).backward()
    found = study(graph, (x,), (1, 3, 10**5), rounds=2, on_round=lambda: rounds.append(1))
    assert len(rounds) == 4
    assert found.recorded == 2
    work, span = found.analysis.work, found.analysis.span
    assert [row.workers for row in found.rows] == [1, 3, 10**5]
    for row in found.rows:
        assert row.least == max(work / row.workers, span)
        assert row.least <= row.predicted * (1 + 1e-9)
        assert row.predicted <= (work / row.workers + span) * (1 + 1e-9)
        assert (row.measured is not None) == (row.workers <= available_cores())
    assert found.rows[0].predicted == pytest.approx(work)
    assert found.rows[-1].predicted == pytest.approx(span)
    assert len(found.rows[0].measured.seconds) == 2
    assert sum(level.work for level in found.levels) == pytest.approx(work)
    assert sum(found.limits(1).values()) == pytest.approx(work)


def test_costs_are_medians_of_recorded_runs_that_are_not_the_first(monkeypatch):
    ticks = iter([100.0, 3.0, 1.0, 50.0])
    clock = [0.0]

    def slow(x):
        clock[0] += next(ticks)
        return x

    monkeypatch.setattr("dagexec.events.perf_counter", lambda: clock[0])
    graph = dagexec.from_dask({"x": (slow, 1)}, "x")
    plan, costs = measured_costs(graph, (), 3)
    assert [costs[task] for task in plan.tasks] == [3.0]


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"workers": ()}, {"workers": (1, 0)}])
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="at least one"):
        study(dagexec.trace(np.sin)(1.0), (1.0,), **wrong)


def test_a_graph_that_rewriting_makes_longer_is_compared():
    x = np.array([0.2, 0.4])
    graph = dagexec.trace(lambda x: np.sum(x) + np.sum(np.flip(np.sin(x))))(x).backward()
    plan, costs = measured_costs(graph, (x,), 1)
    assert len(costs) == len(plan.graph.nodes) > len(graph.nodes)
    assert 1 <= compare(graph, (x,), "threads", workers=2, rounds=1).bound <= 2
