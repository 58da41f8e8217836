"""What a run holds: values die with their last reader, and nothing of a run outlives it."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from dagexec.events import Events
from dagexec.executors import Runner, submit
from dagexec.executors.ranked import RankedRun
from dagexec.plan import lay_out
from tests.dags import Boom
from tests.robustness.watching import nothing_left, within

WAYS = {
    "serial": ("serial", {}),
    "threads": ("threads", {}),
    "ranked": ("threads", {"priority": {0: 1.0}}),
    "limited": ("threads", {"max_live_bytes": 1000}),
    "auto": ("auto", {}),
    "going-on": ("threads", {"on_error": "continue"}),
    "timed": ("threads", {"timeout": 60.0}),
}
WORKERS = 3


class Value:
    """Can be watched."""


def watched(sources, outputs, failing=()):
    """A plan whose tasks return Values, and the references to those that have been made."""
    made: list[weakref.ref[Value]] = []

    def function(number):
        def compute(*_):
            if number in failing:
                raise Boom(f"node {number}")
            value = Value()
            made.append(weakref.ref(value))
            return value

        return compute

    functions = [function(number) for number in range(len(sources))]
    return lay_out(functions, sources, [(slot, None) for slot in outputs], constants={}), made


def alive(made):
    return sum(reference() is not None for reference in made)


FAN = [(), *[(0,)] * 20, tuple(range(1, 21)), (21, 0), ()]


@pytest.mark.parametrize("logged", [False, True], ids=["bare", "logged"])
@pytest.mark.parametrize("way", WAYS)
def test_only_results_outlive_a_run_and_nothing_outlives_the_results(way, logged):
    executor, options = WAYS[way]
    plan, made = watched(FAN, [22, 5])
    with Runner(plan, executor, WORKERS, options) as runner:
        gc.disable()  # so that nothing is held by a cycle either
        try:
            for _ in range(3):
                results = runner.run(None, Events(plan.graph) if logged else None)
                assert len(made) == len(FAN)
                assert alive(made) == 2
                del results
                assert alive(made) == 0
                made.clear()
        finally:
            gc.enable()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_outlives_the_error_of_a_run(way):
    executor, options = WAYS[way]
    plan, made = watched(FAN, [22, 5], failing={15})
    with nothing_left(), Runner(plan, executor, WORKERS, options) as runner:
        with pytest.raises(Exception, match=r"node 15|1 task failed"):
            runner.run()
        gc.collect()
        assert alive(made) == 0


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_needed_any_more_is_dropped_during_the_run(way):
    executor, options = WAYS[way]
    most = 0

    def look(*_):
        nonlocal most
        most = max(most, alive(made))
        value = Value()
        made.append(weakref.ref(value))
        return value

    made: list[weakref.ref[Value]] = []
    length = 50
    plan = lay_out([look] * length, [(), *[(n,) for n in range(length - 1)]], [(49, None)], constants={})
    with Runner(plan, executor, WORKERS, options) as runner:
        runner.run()
    assert most <= 2


ROOTS, SIZE = 60, 10_000


def pairs():
    """Many roots, each with one reader."""
    lock = threading.Lock()
    live = [0, 0]

    def make():
        with lock:
            live[0] += SIZE
            live[1] = max(live)
        return np.zeros(SIZE, np.uint8)

    def read(array):
        time.sleep(0.0002)
        with lock:
            live[0] -= array.nbytes
        return 0

    sources = [()] * ROOTS + [(n,) for n in range(ROOTS)]
    outputs = [(n, None) for n in range(ROOTS, 2 * ROOTS)]
    return lay_out([make] * ROOTS + [read] * ROOTS, sources, outputs, constants={}), live


@pytest.mark.parametrize("most", [0, SIZE // 2, 2 * SIZE, 5 * SIZE])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_bytes_alive_stay_below_the_limit_and_what_is_under_way(most, workers):
    plan, live = pairs()
    log = Events(plan.graph)
    with Runner(plan, "threads", workers, {"max_live_bytes": most}) as runner:
        assert within(lambda: runner.run(None, log)) == [0] * ROOTS
    # A value may be begun while the limit is just not exceeded, by each worker.
    assert log.peak_bytes() <= most + (workers + 1) * SIZE
    assert live[1] <= most + (workers + 1) * SIZE


def test_without_a_limit_more_is_alive():
    plan, live = pairs()
    with Runner(plan, "threads", 1, {"priority": dict.fromkeys(range(ROOTS), 1.0)}) as runner:
        runner.run()
    assert live[1] == ROOTS * SIZE


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_values_beyond_the_limit_do_not_stop_a_run(workers):
    big = lambda *_: np.zeros(SIZE)
    sources = [(), (), (), (0, 1), (1, 2), (3, 4), ()]
    plan = lay_out([big] * 7, sources, [(n, None) for n in range(7)], constants={})
    with Runner(plan, "threads", workers, {"max_live_bytes": 1}) as runner:
        assert len(within(runner.run)) == 7


def test_a_list_that_its_reader_empties_is_not_held_against_the_run():
    """Bytes are counted when a task ends; what a reader then takes out of the list is gone all the same."""
    order = []

    def make(number):
        return lambda: order.append(number) or [np.zeros(SIZE, np.uint8)]

    count = 20
    functions = [make(n) for n in range(count)] + [lambda values: values.clear()] * count
    # Roots stand before the readers in the order of urgency, so only the limit holds them back.
    plan = lay_out(functions, [()] * count + [(n,) for n in range(count)], [], constants={})
    run = RankedRun(plan, plan.values(), None, [], 5 * SIZE)
    within(lambda: run.work(0) or True)
    assert order == list(range(count))
    assert run.live_bytes == 0


def test_many_runners_and_handles_leave_nothing():
    plan, _ = watched(FAN, [22])
    with nothing_left():
        for way, (executor, options) in WAYS.items():
            for _ in range(20):
                with Runner(plan, executor, WORKERS, options) as runner:
                    assert len(submit(runner.run).result(60)) == 1, way


def test_a_runner_that_nobody_closed_lets_its_threads_go():
    plan, _ = watched(FAN, [22])
    with nothing_left():
        for _ in range(10):
            Runner(plan, "threads", WORKERS).run()
