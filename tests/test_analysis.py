"""Work, span, parallelism and the critical path of plans; what a run did with its workers' time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagexec
from dagexec.analysis import analyze, critical_path, measured_seconds, operation_counts
from dagexec.events import Events
from dagexec.plan import Plan
from tests.dags import dag, edge_lists


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


# --- width profile and shares ---------------------------------------------------------------------------
def planned(edges: Sequence[Sequence[int]]) -> Plan:
    """The plan of a DAG of callables whose results are all wanted."""
    return dagexec.plan(dag(edges, range(len(edges))))


def costs_for(edges: Sequence[Sequence[int]]) -> st.SearchStrategy[list[int]]:
    """Whole numbers, so that sums are exact; some are zero."""
    return st.lists(st.integers(0, 9), min_size=len(edges), max_size=len(edges))


weighted = edge_lists().flatmap(lambda edges: st.tuples(st.just(edges), costs_for(edges)))


def test_the_profile_of_a_fork_and_join_by_hand():
    #       1 (cost 2)
    #  0 <             > 3        0 costs 1, 3 costs 4
    #       2 (cost 5)
    found = analyze(planned([[], [0], [0], [1, 2]]), [1, 2, 5, 4])
    assert found.profile == ((0, 1), (1, 2), (3, 1), (10, 0))
    assert found.widths == (1, 2, 1)
    assert found.critical_path == ((0, 1, 0.1), (2, 5, 0.5), (3, 4, 0.4))


@given(weighted)
def test_the_profile_has_the_work_as_area_and_the_span_as_length(case):
    edges, costs = case
    found = analyze(planned(edges), costs)
    area = sum(tasks * (until - since) for (since, tasks), (until, _) in pairwise(found.profile))
    assert area == found.work == sum(costs)
    assert found.span == (found.profile[-1][0] if found.profile else 0)
    assert all(tasks > 0 for _, tasks in found.profile[:-1])


@given(edge_lists())
def test_callables_of_which_nothing_is_known_count_one_each(edges):
    found = analyze(planned(edges))
    assert (found.work, found.span) == (len(edges), found.levels)
    assert sum(found.widths) == len(edges)
    # With equal costs the levels are the profile.
    steps = [
        tasks for (since, tasks), (until, _) in pairwise(found.profile) for _ in range(int(until - since))
    ]
    assert tuple(steps) == found.widths


@given(weighted)
def test_shares_of_the_critical_path_add_up(case):
    edges, costs = case
    found = analyze(planned(edges), costs)
    path = found.critical_path
    assert sum(step.cost for step in path) == found.span
    assert sum(step.share for step in path) == pytest.approx(1 if found.span else 0)
    assert all(earlier.task in edges[later.task] for earlier, later in pairwise(path))


def test_a_coarse_task_counts_all_the_nodes_joined_in_it():
    plan = dagexec.plan(dagexec.trace(lambda x: np.sin(x * x) + 1)(np.ones(10)))
    last = plan.tasks[-1]
    members = (plan.tasks[0], plan.tasks[1], last)
    single = operation_counts(plan)
    assert operation_counts(replace(plan, members={last: members}))[last] == sum(single[m] for m in members)


# --- runs, by hand --------------------------------------------------------------------------------------
def log_of(plan: Plan, *rows: tuple[str, int, int, float], held: int = 0) -> Events:
    """The events (kind, task, worker, time); a value has `held` bytes."""
    log = Events(plan.graph)
    for kind, task, worker, time in rows:
        value = np.empty(held, np.uint8) if kind in ("end", "free") else None
        log.note(kind, task, worker, value, time)
    return log


def reasons(plan: Plan, log: Events) -> dict[int, tuple[float, float, float]]:
    """For each worker: busy, idle with no ready task, idle in a hand-over."""
    found = analyze(plan, events=log)
    return {w.worker: (w.busy, w.no_ready_task, w.hand_over) for w in found.workers}


def test_waiting_for_another_workers_task_is_no_ready_task():
    plan = planned([[], [], [0, 1]])
    log = log_of(
        plan,
        *[("ready", 0, 0, 10.0), ("ready", 1, 0, 10.0), ("start", 0, 0, 10.0), ("start", 1, 1, 10.0)],
        *[("end", 1, 1, 11.0), ("end", 0, 0, 14.0), ("ready", 2, 0, 14.0), ("start", 2, 1, 14.0)],
        ("end", 2, 1, 16.0),
    )
    assert reasons(plan, log) == {0: (4, 2, 0), 1: (3, 3, 0)}
    found = analyze(plan, events=log)
    assert (found.makespan, found.work, found.span) == (6, 7, 6)
    assert (found.workers[1].utilisation, found.workers[0].idle) == (0.5, 2)
    assert found.utilisation == pytest.approx(7 / 12)


def test_a_ready_task_that_waits_is_a_hand_over_of_the_worker_that_takes_it():
    plan = planned([[], []])
    log = log_of(
        plan,
        *[("ready", 0, 0, 0.0), ("ready", 1, 0, 0.0), ("start", 0, 0, 1.0), ("end", 0, 0, 4.0)],
        *[("start", 1, 1, 3.0), ("end", 1, 1, 5.0)],
    )
    assert reasons(plan, log) == {0: (3, 1, 1), 1: (2, 0, 3)}


def test_one_waiting_task_keeps_one_worker_idle_not_all():
    # A chain whose links follow each other after a moment: the second worker could not have helped.
    plan = planned([[], [], [0], [2]])
    log = log_of(
        plan,
        *[("ready", 0, 0, 0.0), ("ready", 1, 0, 0.0), ("start", 0, 0, 0.0), ("start", 1, 1, 0.0)],
        *[("end", 0, 0, 2.0), ("end", 1, 1, 2.0), ("ready", 2, 0, 2.0), ("start", 2, 0, 3.0)],
        *[("end", 2, 0, 5.0), ("ready", 3, 0, 5.0), ("start", 3, 0, 6.0), ("end", 3, 0, 8.0)],
    )
    assert reasons(plan, log) == {0: (6, 0, 2), 1: (2, 6, 0)}


def test_a_task_left_waiting_for_a_busy_worker_counts_against_the_idle_one():
    # Task 2 waits from 0 for worker 0, which is busy until 4, while worker 1 sleeps until 6.
    plan = planned([[], [], [], []])
    log = log_of(
        plan,
        *[("ready", task, 0, 0.0) for task in (0, 1, 2)],
        *[("start", 0, 0, 0.0), ("start", 1, 1, 0.0), ("end", 1, 1, 1.0), ("end", 0, 0, 4.0)],
        *[("start", 2, 0, 4.0), ("ready", 3, 0, 5.0), ("start", 3, 1, 6.0), ("end", 2, 0, 7.0)],
        ("end", 3, 1, 7.0),
    )
    assert reasons(plan, log) == {0: (7, 0, 0), 1: (2, 1, 4)}


def test_tasks_that_were_never_started_do_not_count_as_waiting():
    plan = planned([[], [], []])
    log = log_of(
        plan,
        *[("ready", task, 0, 0.0) for task in (0, 1, 2)],
        *[("start", 0, 0, 0.0), ("start", 1, 1, 0.0), ("error", 1, 1, 1.0), ("end", 0, 0, 3.0)],
    )
    assert reasons(plan, log) == {0: (3, 0, 0), 1: (1, 2, 0)}


def test_a_task_noted_as_ready_after_its_start_was_ready_at_its_start():
    plan = planned([[], [0]])  # a process reports a batch when it has worked through it
    log = log_of(
        plan,
        *[("ready", 0, 0, 0.0), ("start", 0, 1, 1.0), ("end", 0, 1, 2.0), ("start", 1, 1, 2.0)],
        *[("ready", 1, 0, 9.0), ("end", 1, 1, 4.0)],
    )
    assert reasons(plan, log) == {1: (3, 0, 1)}


def test_each_try_of_a_task_is_busy_time_and_one_cut_off_is_not():
    plan = planned([[], []])
    log = log_of(
        plan,
        *[("ready", 0, 0, 0.0), ("start", 0, 1, 0.0), ("error", 0, 1, 2.0), ("ready", 0, 0, 2.0)],
        *[("start", 0, 1, 3.0), ("end", 0, 1, 7.0), ("start", 1, 2, 1.0), ("start", 1, 1, 8.0)],
        ("end", 1, 1, 9.0),
    )
    assert reasons(plan, log) == {1: (7, 1, 1)}
    assert measured_seconds(plan, log) == [6, 1]
    assert analyze(plan, events=log).span == 6


def test_by_clocks_that_disagree_a_worker_still_does_one_thing_at_a_time():
    plan = planned([[], []])
    log = log_of(
        plan,
        *[("ready", 0, 0, 0.0), ("start", 0, 0, 0.0), ("end", 0, 0, 4.0), ("ready", 1, 0, 3.0)],
        *[("start", 1, 0, 3.0), ("end", 1, 0, 6.0)],
    )
    assert reasons(plan, log) == {0: (6, 0, 0)}
    assert measured_seconds(plan, log) == [4, 2]


def test_freed_late_is_from_the_last_readers_end_times_the_bytes():
    plan = dagexec.plan(dag([[], [0], [0], []], [1, 2]))
    rows = [
        *[
            (kind, task, 0, time)
            for task, at in ((0, 0.0), (1, 2.0), (2, 4.0))
            for kind, time in (("start", at), ("end", at + 1))
        ],
        *[("free", 0, 0, 7.5), ("start", 3, 0, 8.0), ("end", 3, 0, 9.0), ("free", 3, 0, 9.25)],
    ]  # 0 is read last by 2, which ends at 5; 3 is read by none
    assert analyze(plan, events=log_of(plan, *rows, held=100)).freed_late == 100 * (2.5 + 0.25)


@pytest.mark.parametrize("at", [2.0, 1.5])  # or a little before, by clocks that disagree
def test_what_is_freed_at_once_or_kept_for_the_caller_is_not_late(at):
    plan = dagexec.plan(dag([[], [0]], [1]))
    rows = [
        ("start", 0, 0, 0.0),
        ("end", 0, 0, 1.0),
        ("start", 1, 0, 1.0),
        ("end", 1, 0, 2.0),
        ("free", 0, 0, at),
    ]
    assert analyze(plan, events=log_of(plan, *rows, held=100)).freed_late == 0


def test_a_run_of_nothing_has_no_workers():
    plan = dagexec.plan(dagexec.trace(lambda x: x)(1.0))
    found = analyze(plan, events=Events(plan.graph))
    assert (found.makespan, found.workers, found.utilisation, found.freed_late) == (0, (), 0, 0)


def test_costs_of_a_run_cannot_be_given():
    plan = planned([[]])
    with pytest.raises(TypeError, match="not both"):
        analyze(plan, [1.0], events=Events(plan.graph))


# --- runs, at random ------------------------------------------------------------------------------------
@st.composite
def timetables(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """(worker, ready, start, end) of tasks: each worker does one after another, with gaps."""
    tries = []
    for worker in range(draw(st.integers(1, 4))):
        now = draw(st.integers(0, 5))
        for _ in range(draw(st.integers(1, 6))):
            start = now + draw(st.integers(0, 6))
            now = start + draw(st.integers(0, 6))
            tries.append((worker, draw(st.integers(0, start)), start, now))
    return draw(st.permutations(tries))


def log_of_timetable(tries: list[tuple[int, int, int, int]]) -> tuple[Plan, Events]:
    plan = planned([[] for _ in tries])
    order = count()
    rows = []
    for task, (worker, ready, start, end) in sorted(enumerate(tries), key=lambda item: item[1][2:]):
        rows += [
            (ready, next(order), "ready", task, 0),
            (start, next(order), "start", task, worker),
            (end, next(order), "end", task, worker),
        ]
    return plan, log_of(
        plan, *[(kind, task, worker, float(at)) for at, _, kind, task, worker in sorted(rows)]
    )


@given(timetables())
def test_busy_and_idle_by_reason_are_the_makespan_for_each_worker(tries):
    plan, log = log_of_timetable(tries)
    found = analyze(plan, events=log)
    begin = min(ready for _, ready, _, _ in tries)
    assert found.makespan == max(end for *_, end in tries) - begin
    assert [w.worker for w in found.workers] == sorted({worker for worker, *_ in tries})
    for w in found.workers:
        assert w.busy + w.no_ready_task + w.hand_over == found.makespan
        assert w.no_ready_task >= 0 <= w.hand_over
        assert w.busy == sum(end - start for worker, _, start, end in tries if worker == w.worker)
    assert sum(w.busy for w in found.workers) == found.work


@given(timetables())
def test_at_each_moment_as_many_idle_workers_hand_over_as_tasks_wait(tries):
    plan, log = log_of_timetable(tries)
    expected = dict.fromkeys({worker for worker, *_ in tries}, 0)
    for moment in range(min(row[1] for row in tries), max(row[3] for row in tries)):  # a unit of time each
        waiting = sum(ready <= moment < start for _, ready, start, _ in tries)
        next_start = {
            worker: min(
                [start for who, _, start, _ in tries if who == worker and start > moment], default=1e9
            )
            for worker in expected
            if not any(who == worker and start <= moment < end for who, _, start, end in tries)
        }
        for worker in sorted(next_start, key=lambda worker: next_start[worker])[:waiting]:
            expected[worker] += 1
    found = {w.worker: w.hand_over for w in analyze(plan, events=log).workers}
    assert sum(found.values()) == sum(expected.values())
    starts = [start for _, _, start, _ in tries]
    if len(set(starts)) == len(starts):  # else it is open which of two that start together comes first
        assert found == expected


@pytest.mark.parametrize(("executor", "workers"), [("serial", 1), ("threads", 1), ("threads", 2)])
def test_a_recorded_run_adds_up(executor, workers):
    edges = [[], [0], [0], [1, 2], [3], [3], [4, 5]]
    with dagexec.compile(dag(edges, [6]), executor, workers, events=True) as compiled:
        _, log = compiled()
    found = analyze(compiled.plan, events=log)
    assert found.tasks == sum(w.tasks for w in found.workers) == len(edges)
    assert 0 < found.span <= found.work <= found.makespan * workers
    assert found.span <= found.makespan
    assert found.freed_late == 0  # numbers hold no bytes
    for w in found.workers:
        assert w.busy + w.idle == pytest.approx(found.makespan)
    assert sum(measured_seconds(compiled.plan, log)) == pytest.approx(found.work)
