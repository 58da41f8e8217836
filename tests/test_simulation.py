"""Simulated runs: greedy, within the bounds that theory sets, and near the optimum where that is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan
from time import sleep

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagexec
from dagexec.analysis import analyze, measured_seconds
from dagexec.plan import Plan, lay_out
from dagexec.simulation import POLICIES, simulate, speedups
from tests.dags import dag, edge_lists

policies = st.sampled_from(sorted(POLICIES))


def planned(edges: Sequence[Sequence[int]]) -> Plan:
    """The plan of a DAG of callables whose results are all wanted."""
    return dagexec.plan(dag(edges, range(len(edges))))


def cases(max_size: int = 30) -> st.SearchStrategy[tuple[list[list[int]], list[int]]]:
    """A DAG and its costs: whole numbers, so that sums are exact; some are zero."""
    return edge_lists(max_size).flatmap(
        lambda edges: st.tuples(
            st.just(edges), st.lists(st.integers(0, 9), min_size=len(edges), max_size=len(edges))
        )
    )


def optimum(edges: Sequence[Sequence[int]], costs: Sequence[int], workers: int) -> float:
    """The shortest makespan, by trying all tasks on all workers in all orders of their starts."""
    best = inf

    def search(ends: dict[int, int], free: tuple[int, ...], latest: int) -> None:
        nonlocal best
        if len(ends) == len(edges):
            best = min(best, max(ends.values()))
            return
        for task, sources in enumerate(edges):
            if task in ends or not all(source in ends for source in sources):
                continue
            for worker in range(workers):
                start = max([free[worker], latest, *(ends[source] for source in sources)])
                end = start + costs[task]
                if end < best:
                    then = tuple(sorted((*free[:worker], *free[worker + 1 :], end)))
                    search(ends | {task: end}, then, start)

    search({}, (0,) * workers, 0)
    return best


# --- what every policy keeps ----------------------------------------------------------------------------
@given(cases(), policies, st.integers(1, 5), st.integers(0, 3))
def test_each_task_runs_once_after_what_it_reads_on_one_worker_at_a_time(case, policy, workers, overhead):
    edges, costs = case
    found = simulate(planned(edges), workers, policy, costs, overhead=overhead)
    ends = {task: end for task, _, _, end in found.spans}
    assert len(found.spans) == len(ends) == len(edges)
    busy_until = dict.fromkeys(range(workers), 0.0)
    for task, worker, start, end in found.spans:  # in the order of their starts
        assert end == start + costs[task]
        assert start >= busy_until[worker] + overhead
        assert all(ends[source] + overhead <= start for source in edges[task])
        busy_until[worker] = end
    assert found.makespan == max(ends.values())
    assert found.spans == tuple(sorted(found.spans, key=lambda span: span[2]))


@given(cases(), policies, st.integers(1, 5))
def test_no_worker_idles_while_a_task_is_ready(case, policy, workers):
    edges, costs = case
    plan = planned(edges)
    found = simulate(plan, workers, policy, costs)
    for worker in analyze(plan, events=found.events()).workers:
        assert worker.hand_over == 0


@given(cases(), policies, st.integers(1, 5))
def test_the_makespan_is_within_grahams_bounds(case, policy, workers):
    edges, costs = case
    plan = planned(edges)
    found, limits = simulate(plan, workers, policy, costs), analyze(plan, costs)
    work, span = limits.work, limits.span
    assert max(work / workers, span) <= found.makespan * (1 + 1e-12)
    assert found.makespan <= (work / workers + (1 - 1 / workers) * span) * (1 + 1e-12)


@given(cases(), policies, st.integers(0, 3))
def test_one_worker_takes_the_work_and_the_overhead(case, policy, overhead):
    edges, costs = case
    found = simulate(planned(edges), 1, policy, costs, overhead=overhead)
    assert found.makespan == sum(costs) + overhead * len(edges)
    assert found.idle == (overhead * len(edges),)


@given(cases(), policies)
def test_a_worker_for_every_task_takes_the_span(case, policy):
    edges, costs = case
    plan = planned(edges)
    found = simulate(plan, len(edges) + 3, policy, costs)
    assert found.makespan == analyze(plan, costs).span
    assert found.idle[-3:] == (found.makespan,) * 3
    assert sum(found.idle) == found.makespan * found.workers - sum(costs)


@given(cases(max_size=6), policies, st.integers(2, 3))
def test_no_policy_beats_the_optimum_or_misses_it_by_grahams_factor(case, policy, workers):
    edges, costs = case
    plan = planned(edges)
    best, limits = optimum(edges, costs, workers), analyze(plan, costs)
    assert max(limits.work / workers, limits.span) <= best
    assert best <= simulate(plan, workers, policy, costs).makespan <= (2 - 1 / workers) * best


# --- policies -------------------------------------------------------------------------------------------
def order(plan: Plan, policy: str, costs: Sequence[float], **options: int) -> list[int]:
    """The order in which one worker takes the tasks."""
    return [task for task, *_ in simulate(plan, 1, policy, costs, **options).spans]


def test_each_policy_takes_the_ready_task_that_it_says():
    #  0 > 3, 4    1    2 > 5
    plan, costs = planned([[], [], [], [0], [0], [2]]), [1, 2, 1, 1, 3, 9]
    assert order(plan, "fifo", costs) == [0, 1, 2, 3, 4, 5]
    assert order(plan, "lifo", costs) == [2, 5, 1, 0, 4, 3]
    assert order(plan, "critical-path", costs) == [2, 5, 0, 4, 1, 3]


@given(edge_lists())
def test_the_critical_path_policy_is_the_plans_own_order(edges):
    plan = planned(edges)
    found = simulate(plan, 1)
    schedule = dagexec.Schedule(plan)
    for task, *_ in found.spans:
        assert schedule.ready() == task
        schedule.done(task)


def test_a_priority_hint_comes_before_the_longest_path():
    plan = replace(planned([[], [], [1]]), priority={0: 1.0})
    assert order(plan, "critical-path", [1, 1, 1]) == [0, 1, 2]


def test_what_ends_at_the_same_moment_is_done_before_a_task_is_chosen():
    # 0 and 2 end together at 3: then 4 and 5 are ready, which are longer than 3
    plan = planned([[], [], [1], [0], [2], [2]])
    found = simulate(plan, 2, "critical-path", [3, 1, 2, 1, 5, 5])
    assert {task: start for task, _, start, _ in found.spans} == {0: 0, 1: 0, 2: 1, 4: 3, 5: 3, 3: 8}


def test_random_depends_on_the_seed_only():
    plan, costs = planned([[]] * 20), [1] * 20
    assert order(plan, "random", costs, seed=3) == order(plan, "random", costs, seed=3)
    assert order(plan, "random", costs, seed=3) != order(plan, "random", costs, seed=4)


@pytest.mark.parametrize("workers", [2, 8])
def test_a_chain_beside_independent_tasks_needs_a_policy_that_looks_ahead(workers):
    length = 100
    chain = [[number - 1] if number else [] for number in range(length)]
    plan = planned(chain + [[] for _ in range(length * (workers - 1))])
    costs = [1] * len(plan.tasks)
    makespans = {policy: simulate(plan, workers, policy, costs).makespan for policy in POLICIES}
    assert makespans["critical-path"] == length  # no schedule is shorter
    for blind in ("fifo", "lifo"):
        assert makespans[blind] > (2 - 1 / workers - 0.03) * length  # nearly the worst that is possible


# --- speed-ups ------------------------------------------------------------------------------------------
@given(cases(), policies)
def test_the_speed_up_lies_between_what_is_guaranteed_and_what_is_possible(case, policy):
    edges, costs = case
    rows = speedups(planned(edges), (1, 2, 3, 7), policy, costs)
    assert [row.workers for row in rows] == [1, 2, 3, 7]
    assert rows[0] == (1, 1, 1, 1)
    for row in rows:
        assert row.guaranteed <= row.simulated * (1 + 1e-12)
        assert row.simulated <= row.bound * (1 + 1e-12)
        assert row.bound <= row.workers


def test_speed_ups_of_independent_tasks_and_of_a_chain():
    independent, chain = planned([[]] * 12), planned([[], [0], [1], [2]])
    assert [row.simulated for row in speedups(independent, (2, 3, 4), costs=[1] * 12)] == [2, 3, 4]
    assert [row[1:] for row in speedups(chain, (2, 4), costs=[1] * 4)] == [(1, 1, 1), (1, 1, 1)]


def test_without_costs_the_plans_seconds_count():
    plan = dagexec.plan(dagexec.trace(lambda x: np.sin(x @ x) + x)(np.ones((50, 50))))
    assert simulate(plan, 1).makespan == pytest.approx(sum(plan.seconds))
    assert speedups(plan, (1, 2)) == speedups(plan, (1, 2), costs=plan.seconds)


# --- events ---------------------------------------------------------------------------------------------
@given(cases(), policies, st.integers(1, 4), st.integers(0, 2))
def test_the_events_of_a_simulation_tell_what_was_simulated(case, policy, workers, overhead):
    edges, costs = case
    plan = planned(edges)
    found = simulate(plan, workers, policy, costs, overhead=overhead)
    log = found.events()
    begin = log.begin
    spans = [(task, worker, start + begin, end + begin) for task, worker, start, end in log.spans()]
    assert sorted(spans) == sorted(found.spans)
    run = analyze(plan, events=log)
    assert (run.makespan, run.work, run.span) == (found.makespan, sum(costs), analyze(plan, costs).span)
    for worker in run.workers:
        assert worker.idle == found.idle[worker.worker]
        assert worker.hand_over >= overhead * worker.tasks
    # What was measured, simulated again, is what it was.
    again = simulate(plan, workers, policy, measured_seconds(plan, log), overhead=overhead)
    assert again.spans == found.spans


@given(cases(), policies, st.integers(1, 4))
def test_the_log_of_a_simulation_is_in_causal_order(case, policy, workers):
    edges, costs = case
    plan = dagexec.plan(dag(edges, [len(edges) - 1]))
    log = list(simulate(plan, workers, policy, costs).events())
    assert [event.time for event in log] == sorted(event.time for event in log)
    place = {(event.kind, event.task): number for number, event in enumerate(log)}
    assert len(place) == len(log)  # nothing twice
    for task, sources in enumerate(edges):
        assert place["ready", task] < place["start", task] < place["end", task]
        for source in sources:
            assert place["end", source] < place["ready", task]
            if source != len(edges) - 1:
                assert place["end", task] < place["free", source]
    assert ("free", len(edges) - 1) not in place  # the result is the caller's
    assert {task for kind, task in place if kind == "free"} == set(range(len(edges) - 1))


def test_memory_of_a_simulation_is_by_the_specs(tmp_path):
    graph = dagexec.trace(lambda x: np.sum((x + 1) * (x - 1)))(np.ones(1000))
    plan = dagexec.plan(graph)
    log = simulate(plan, 2).events()
    assert log.peak_bytes() == 24_000
    assert analyze(plan, events=log).freed_late == 0
    log.to_chrome(tmp_path / "trace.json")
    rows = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert sum(row["ph"] == "X" for row in rows) == len(plan.tasks)


def test_costs_measured_in_a_recorded_run_predict_one_on_fewer_or_more_workers():
    edges = [[], [], [0, 1], [0, 1], [2, 3]]
    graph = dag(edges, [4], make=lambda number: lambda *values: sleep(0.002 * (number + 1)))
    with dagexec.compile(graph, "threads", 2, events=True) as compiled:
        _, log = compiled()
        plan = compiled.plan
    measured = analyze(plan, events=log)
    costs = measured_seconds(plan, log)
    assert all(seconds >= 0.002 * (number + 1) for number, seconds in enumerate(costs))
    assert simulate(plan, 1, costs=costs).makespan == pytest.approx(measured.work)
    assert simulate(plan, 9, costs=costs).makespan == pytest.approx(measured.span)
    assert measured.span <= simulate(plan, 2, costs=costs).makespan <= measured.work


# --- limits ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"policy": "best"}, "'best'; it can be critical-path, fifo, lifo, random"),
        ({"overhead": -1.0}, "overhead is -1.0"),
        ({"costs": [1.0]}, "1 costs, but the plan has 2 slots"),
        ({"costs": [1.0, -2.0]}, "cost of node %1 n1.* is -2.0"),
        ({"costs": [nan, 1.0]}, "cost of node %0 n0.* is nan"),
        ({"costs": [1.0, inf]}, "cost of node %1 n1.* is inf"),
    ],
)
def test_what_makes_no_sense_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        simulate(planned([[], [0]]), **({"workers": 2} | options))


def test_nothing_takes_no_time():
    plan = dagexec.plan(dagexec.trace(lambda x: x)(1.0))
    found = simulate(plan, 3)
    assert (found.makespan, found.spans, found.idle, len(found.events())) == (0, (), (0, 0, 0), 0)
    assert speedups(plan, (4,))[0].simulated == 1


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_deep_and_a_wide_plan_are_simulated_without_recursion(policy):
    size = 100_000
    deep = lay_out(
        [abs] * size, [(number - 1,) if number else () for number in range(size)], [], constants={}
    )
    wide = lay_out([abs] * size, [()] * size, [], constants={})
    costs = [1.0] * size
    assert simulate(deep, 4, policy, costs).makespan == size
    assert simulate(wide, 4, policy, costs).makespan == size / 4
    assert analyze(deep, costs).span == size
    assert analyze(wide, costs).profile == ((0, size), (1, 0))
