"""Many runs at once: each has its own result, and its own error."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import dagexec
from dagexec.executors import Runner
from dagexec.plan import lay_out
from tests.dags import Boom, mix
from tests.robustness.watching import nothing_left, within

LOCAL = ("serial", "threads", "auto")
EXECUTORS = (*LOCAL, "processes")
AT_ONCE = 20


def at_once(function):
    """The results of `function(0)`, `function(1)`, ... which begin together."""
    together = threading.Barrier(AT_ONCE)

    def call(number):
        together.wait(60)
        return function(number)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return within(lambda: list(pool.map(call, range(AT_ONCE))), "calls at once")


def ladder(number, steps=40):
    """A dictionary, a key of it, and that key's value."""
    dsk, values = {("a", 0): number, ("b", 0): -number}, {("a", 0): number, ("b", 0): -number}
    for step in range(1, steps):
        for letter, task in (("a", mix(2 * step)), ("b", mix(2 * step + 1))):
            sources = [("a", step - 1), ("b", step - 1)]
            dsk[letter, step] = (task, *sources)
            values[letter, step] = task(*[values[source] for source in sources])
    key = ("b", steps - 1)
    return dsk, key, values[key]


@pytest.mark.parametrize("executor", LOCAL)
def test_twenty_threads_may_call_get(executor):
    def call(number):
        for round_ in range(5):
            dsk, key, value = ladder(100 * round_ + number)
            assert dagexec.get(dsk, key, executor=executor, workers=3) == value
        return True

    with nothing_left():
        assert all(at_once(call))


def test_twenty_threads_may_call_get_on_processes():
    def call(number):
        dsk, key, value = ladder(number, 5)
        return dagexec.get(dsk, key, executor="processes", workers=1) == value

    assert all(at_once(call))


def nap(*values):
    time.sleep(0.0002)
    return sum(values)


@pytest.mark.parametrize("task", [sum, nap], ids=["short", "waiting"])
@pytest.mark.parametrize("executor", LOCAL)
def test_twenty_threads_may_share_a_runner(executor, task):
    function = (lambda *values: sum(values)) if task is sum else nap
    sources = [(), *[(0,)] * 20, tuple(range(1, 21))]
    plan = lay_out([None, *[function] * 21], sources, [(21, None)], constants={}, inputs=(0,))
    with nothing_left(), Runner(plan, executor, 3) as runner:

        def call(number):
            results = []
            for _ in range(10):
                values = plan.values()
                values[0] = number
                results += runner.run(values)
            return results

        assert at_once(call) == [[20 * number] * 10 for number in range(AT_ONCE)]


def test_a_runner_on_processes_may_be_shared():
    plan = lay_out([None, abs, abs], [(), (0,), (1,)], [(2, None)], constants={}, inputs=(0,))

    def call(number):
        values = plan.values()
        values[0] = -number
        return runner.run(values)

    with Runner(plan, "processes", 2) as runner:
        assert at_once(call) == [[number] for number in range(AT_ONCE)]


@pytest.mark.parametrize("executor", LOCAL)
def test_the_error_of_one_run_is_no_others(executor):
    def task(number):
        if number % 2:
            raise Boom(f"run {number}")
        return number

    plan = lay_out([None, task], [(), (0,)], [(1, None)], constants={}, inputs=(0,), labels=["x", "y"])
    with Runner(plan, executor, 2) as runner:

        def call(number):
            values = plan.values()
            values[0] = number
            try:
                return runner.run(values)
            except Boom as error:
                return str(error), error.__notes__

        assert at_once(call) == [
            (f"run {n}", ["raised by task 'y'"]) if n % 2 else [n] for n in range(AT_ONCE)
        ]
