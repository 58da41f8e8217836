"""Dispatch without a lock: each task once, whoever helps, sleeps or comes too late."""

from __future__ import annotations

from random import Random
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagexec.executors.counting import counters
from dagexec.executors.light import LightRun
from dagexec.executors.team import Team
from dagexec.plan import lay_out
from tests.dags import Boom, edge_lists, mix, values_of

PATIENCE = 30


class Late:
    """Stands for a helper that is asked to start, and never does."""

    def __init__(self):
        self.asked = 0

    def put(self, item):
        self.asked += 1


def plan_of(edges, calls=None, before=None):
    """A plan of `edges` that appends each task to `calls`, and calls `before` with its number."""

    def function(number):
        compute = mix(number)

        def call(*values):
            if calls is not None:
                calls.append(number)
            if before is not None:
                before(number)
            return compute(*values)

        return call

    functions = [function(number) for number in range(len(edges))]
    outputs = [(number, None) for number in range(len(edges))]
    return lay_out(functions, [tuple(sources) for sources in edges], outputs, constants={})


def run_of(plan, stop=None):
    stop = [] if stop is None else stop
    return LightRun(plan, plan.values(), stop, counters(plan.unmet), counters(plan.readers), plan.roots)


def work_alone(run):
    run.begin([])
    run.work(0)


@pytest.mark.parametrize("workers", [1, 2, 4])
@given(edges=edge_lists())
def test_each_task_runs_once_with_any_number_of_workers(workers, edges):
    calls: list[int] = []
    run, team, stop = run_of(plan_of(edges, calls)), Team(), []
    team.run(run, workers, stop)
    team.close()
    assert run.values == values_of(edges)
    assert sorted(calls) == list(range(len(edges)))
    assert not stop


@given(data=st.data(), edges=edge_lists())
def test_a_run_that_begins_in_the_middle_computes_the_rest(data, edges):
    """As `auto` does after some serial steps."""
    done = data.draw(st.integers(0, len(edges)))
    calls: list[int] = []
    plan = plan_of(edges, calls)
    expected = values_of(edges)
    values = [*expected[:done], *[None] * (len(edges) - done)]
    unmet = [sum(read >= done for read in reads) for reads in edges]
    ready = [task for task in range(done, len(edges)) if not unmet[task]]
    run, team = LightRun(plan, values, [], counters(unmet), counters(plan.readers), ready), Team()
    team.run(run, 2, [])
    team.close()
    assert run.values == expected
    assert sorted(calls) == list(range(done, len(edges)))


def test_on_one_worker_what_became_ready_last_comes_first():
    calls: list[int] = []
    work_alone(run_of(plan_of([[], [], [0], [0], [2]], calls)))
    assert calls == [0, 2, 4, 3, 1]


def test_helpers_are_asked_for_roots_the_caller_does_not_take():
    for roots in range(1, 5):
        run = run_of(plan_of([[]] * roots))
        helpers = [Late() for _ in range(3)]
        run.begin(helpers)
        assert sum(helper.asked for helper in helpers) == min(3, roots - 1)


def test_a_helper_that_comes_when_all_is_done_finds_the_run_over():
    calls: list[int] = []
    run = run_of(plan_of([[], [], [0, 1]], calls))
    starts: list[Thread] = []

    class Slow:
        def put(self, item):
            starts.append(Thread(target=run.work, args=(1,)))

    run.begin([Slow()])
    caller = Thread(target=run.work, args=(1,))
    caller.start()  # computes all, and waits for the helper it has asked for
    while len(calls) < 3:
        caller.join(0.001)
    (helper,) = starts
    helper.start()
    for thread in (caller, helper):
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert sorted(calls) == [0, 1, 2]
    assert run.over


def test_helpers_nobody_asks_for_do_not_keep_a_chain_from_its_end():
    run = run_of(plan_of([[], [0], [1], [2]]))
    helpers = [Late() for _ in range(4)]
    run.begin(helpers)
    run.work(0)
    assert run.values == values_of([[], [0], [1], [2]])
    assert not any(helper.asked for helper in helpers)


def test_the_end_of_a_run_lets_those_go_who_are_asleep():
    run = run_of(plan_of([[], [0]]))
    run.begin([Late(), Late()])
    run.ready.clear()
    sleepers = [Thread(target=run.work, args=(1,)) for _ in range(2)]
    run.idle.clear()
    for thread in sleepers:
        thread.start()
    while len(run.idle) < 2:
        sleepers[0].join(0.001)
    run.end()
    for thread in sleepers:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_nothing_is_begun_after_stop_holds_something(workers):
    stop: list[BaseException] = []
    calls: list[int] = []
    plan = plan_of([[], *[[0]] * 50], calls, lambda number: stop.append(Boom()) if number == 0 else None)
    run, team = run_of(plan, stop), Team()
    team.run(run, workers, stop)
    team.close()
    assert calls == [0]


def test_the_first_error_stops_a_run_and_names_its_task():
    def before(number):
        if number == 3:
            raise Boom("three")

    stop: list[BaseException] = []
    team = Team()
    team.run(run_of(plan_of([[], [0], [1], [2], [3]], None, before), stop), 2, stop)
    team.close()
    (error,) = stop
    assert str(error) == "three"
    assert any("node %3 " in note for note in error.__notes__)


def test_a_needless_waking_does_no_harm():
    rng = Random(0)
    edges = [rng.sample(range(n), min(n, rng.randint(0, 2))) for n in range(300)]
    run = run_of(plan_of(edges, None, lambda number: run.wake() or run.wake()))
    team = Team()
    team.run(run, 4, [])
    team.close()
    assert run.values == values_of(edges)


def test_a_helper_that_cannot_be_started_ends_the_run():
    class Broken:
        def put(self, item):
            raise RuntimeError("can't start new thread")

    stop: list[BaseException] = []
    run = run_of(plan_of([[], [0], [0], [0]]), stop)
    run.begin([Broken()])
    thread = Thread(target=run.work, args=(1,))
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert str(stop[0]) == "can't start new thread"
