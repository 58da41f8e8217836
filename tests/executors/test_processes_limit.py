"""A limit on the bytes that values hold, on processes: roots wait, nothing hangs, results are right."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagexec.events import Events
from dagexec.executors import Runner, TasksFailed
from dagexec.plan import lay_out
from tests.dags import edge_lists, mix, side_by_side, values_of
from tests.executors.callables import state

ROOTS = 60
SIZE = 10_000
WORKERS = 2


def reduced_at_once(seconds):
    """Roots that each make an array, and for each a task that reads it; by urgency all roots come first."""

    def make():
        time.sleep(seconds)
        return np.ones(SIZE, np.uint8)

    def read(array):
        return int(array.sum())

    sources = [()] * ROOTS + [(root,) for root in range(ROOTS)]
    outputs = [(task, None) for task in range(ROOTS, 2 * ROOTS)]
    return lay_out([make] * ROOTS + [read] * ROOTS, sources, outputs, constants={})


def peak(runner, plan):
    log = Events(plan.graph)
    assert runner.run(None, log) == [SIZE] * ROOTS
    return log.peak_bytes()


@pytest.mark.parametrize("most", [0, SIZE // 2, 5 * SIZE])
def test_the_bytes_alive_stay_near_the_limit(most):
    plan = reduced_at_once(0.002)  # too long for two of them to share a batch
    with Runner(plan, "processes", WORKERS, {"max_live_bytes": most}) as runner:
        for _ in range(2):
            # Each worker may be at one batch and have another, sent when the limit was just not exceeded.
            assert peak(runner, plan) <= most + 2 * WORKERS * SIZE


def test_without_a_limit_more_is_alive():
    plan = reduced_at_once(0.002)
    with Runner(plan, "processes", WORKERS) as runner:
        assert peak(runner, plan) > ROOTS * SIZE / 2


def reduced_after(seconds):
    """Roots that each make an array at once, read when another root has ended."""

    def gate():
        time.sleep(seconds)

    def make():
        return np.ones(SIZE, np.uint8)

    def read(_, array):
        return int(array.sum())

    sources = [(), *[()] * ROOTS, *[(0, root) for root in range(1, ROOTS + 1)]]
    outputs = [(task, None) for task in range(ROOTS + 1, 2 * ROOTS + 1)]
    return lay_out([gate, *[make] * ROOTS, *[read] * ROOTS], sources, outputs, constants={})


def test_roots_that_travel_together_are_held_back_as_well():
    plan = reduced_after(0.05)
    with Runner(plan, "processes", WORKERS, {"max_live_bytes": 24 * SIZE}) as runner:
        for _ in range(5):  # from single tasks to long batches
            assert peak(runner, plan) <= 2 * 24 * SIZE


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(edges=edge_lists(), most=st.sampled_from([0, 1, 300]))
def test_no_limit_stops_a_run(edges, most):
    edges = side_by_side([edges] * 4)

    def function(number):
        compute = mix(number)
        return lambda *values: np.full(number % 7, compute(*[int(v.sum()) for v in values]) % 1000)

    plan = lay_out(
        list(map(function, range(len(edges)))),
        list(map(tuple, edges)),
        [(number, None) for number in range(0, len(edges), 3)],
        constants={},
    )
    with Runner(plan, "serial") as runner:
        expected = runner.run()
    with Runner(plan, "processes", WORKERS, {"max_live_bytes": most}) as runner:
        for _ in range(3):
            assert all(map(np.array_equal, runner.run(), expected))


def test_a_limit_on_what_holds_no_bytes_changes_nothing():
    edges = side_by_side([[[], [0], [0, 1]]] * 100)
    plan = lay_out(
        list(map(mix, range(len(edges)))),
        list(map(tuple, edges)),
        [(n, None) for n in range(len(edges))],
        constants={},
    )
    with Runner(plan, "processes", WORKERS, {"max_live_bytes": 1}) as runner:
        for _ in range(3):
            assert runner.run() == values_of(edges)


def test_beyond_the_limit_failures_and_dead_workers_do_not_stop_a_run(tmp_path):
    """Roots whose values stay alive, of which one fails, and one ends its first worker."""
    killed = tmp_path / "killed"

    def make(number):
        def root():
            if number == 3:
                raise ValueError
            if number == 7 and not killed.exists():
                killed.touch()
                os._exit(1)
            return np.full(SIZE, number)

        return root

    plan = lay_out(list(map(make, range(20))), [()] * 20, [(n, None) for n in range(20)], constants={})
    before = state()
    options = {"max_live_bytes": 1, "on_error": "continue"}
    with Runner(plan, "processes", WORKERS, options) as runner, pytest.raises(TasksFailed) as caught:
        runner.run()
    assert caught.value.failed.keys() == {3}
    for number, value in enumerate(caught.value.results):
        assert number == 3 or (value == number).all()
    assert state() == before
