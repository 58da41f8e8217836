"""Random runs on processes with time limits and cancellations: no hang, the right value or error."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from random import Random
from threading import Timer

import pytest

import dagexec
from dagexec.executors import Runner, TasksFailed
from dagexec.plan import lay_out
from tests.dags import mix, values_of
from tests.robustness.watching import nothing_left, within

RUNS = 50
LIMIT, TOO_LONG = 0.1, 0.6  # far apart: a slow machine is no reason to fail


def slow(number: int) -> Callable[..., int]:
    """A function that takes too long."""

    def naps(*values: int) -> int:
        time.sleep(TOO_LONG)
        return mix(number)(*values)

    return naps


@pytest.fixture(scope="module", autouse=True)
def _server():
    """The server that workers are forked from is there before anything is counted."""
    dagexec.get({"x": (abs, -1)}, "x", executor="processes")


def test_time_limits_and_cancellations_end_as_they_should():
    with nothing_left():
        for seed in range(RUNS):
            within(lambda seed=seed: check(Random(seed)), f"seed {seed}")


def check(choice: Random) -> None:
    """One run, with some tasks that take too long, cancelled at a random moment or not at all."""
    size = choice.randrange(1, 40)
    edges = [[choice.randrange(n) for _ in range(choice.randrange(min(n, 3) + 1))] for n in range(size)]
    late = {number for number in range(size) if choice.random() < 0.05}
    functions = [slow(number) if number in late else mix(number) for number in range(size)]
    outputs = [(number, None) for number in range(size)]
    plan = lay_out(functions, [tuple(sources) for sources in edges], outputs, constants={})
    options: dict = {"timeout": LIMIT, "on_error": choice.choice(["stop", "continue"])}
    cancelled_after = choice.choice([None, choice.uniform(0, 0.2)])
    with Runner(plan, "processes", choice.randrange(1, 4), options) as runner:
        handle = dagexec.submit(runner.run)
        canceller = None if cancelled_after is None else Timer(cancelled_after, handle.cancel)
        if canceller is not None:
            canceller.start()
        error = handle.exception()
        if canceller is not None:
            canceller.cancel()
            canceller.join()
    if error is None:
        assert handle.result() == values_of(edges)
        assert not late
    elif isinstance(error, CancelledError):
        assert cancelled_after is not None
    elif isinstance(error, TasksFailed):
        assert options["on_error"] == "continue"
        assert error.failed.keys() <= late
        assert all(isinstance(one, TimeoutError) for one in error.failed.values())
    else:
        assert isinstance(error, TimeoutError)
        assert options["on_error"] == "stop"
        assert any(f"node %{number} " in note for number in late for note in error.__notes__)
