"""Runs that another thread cancels, and the handles they are cancelled by."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest

import dagexec
from dagexec.executors import Runner
from dagexec.plan import lay_out

LOCAL = ("serial", "threads", "auto")
EXECUTORS = (*LOCAL, "processes")
WAIT = 30  # seconds after which a test is taken to hang


def naps(number, seconds, began=None):
    def nap():
        if began is not None:
            began.set()
        time.sleep(seconds)
        return 1

    return lay_out([nap] * number, [()] * number, [(slot, None) for slot in range(number)], constants={})


def run(plan, executor):
    with Runner(plan, executor, 2) as runner:
        return runner.run()


@pytest.mark.parametrize("executor", LOCAL)
def test_a_cancelled_run_begins_no_further_task(executor):
    began = threading.Event()
    handle = dagexec.submit(run, naps(1000, 0.05, began), executor)
    assert began.wait(WAIT)
    assert handle.running()
    assert handle.cancel()
    with pytest.raises(CancelledError):
        handle.result(WAIT)  # all of it would take 25 to 50 seconds
    assert handle.cancelled()
    assert not handle.cancel()


def test_a_cancelled_run_on_processes_ends():
    handle = dagexec.submit(run, naps(1000, 0.05), "processes")
    time.sleep(1.0)
    assert handle.cancel()
    with pytest.raises(CancelledError):
        handle.result(WAIT)


@pytest.mark.parametrize("executor", LOCAL)
def test_what_tasks_run_themselves_is_cancelled_with_them(executor):
    began = threading.Event()
    inner = naps(1000, 0.05, began)

    def nested():
        return run(inner, executor)

    handle = dagexec.submit(run, lay_out([nested], [()], [(0, None)], constants={}), executor)
    assert began.wait(WAIT)
    handle.cancel()
    with pytest.raises(CancelledError):
        handle.result(WAIT)


def test_cancelling_one_run_leaves_others_alone():
    began = threading.Event()
    other = dagexec.submit(run, naps(20, 0.02), "threads")
    handle = dagexec.submit(run, naps(1000, 0.02, began), "threads")
    assert began.wait(WAIT)
    handle.cancel()
    assert other.result(WAIT) == [1] * 20


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_handle_has_the_result_or_the_error(executor):
    handle = dagexec.submit(run, lay_out([lambda: 3], [()], [(0, None)], constants={}), executor)
    assert handle.result(WAIT) == [3]
    assert handle.done()
    assert not handle.cancel()
    assert not handle.cancelled()
    failing = dagexec.submit(run, lay_out([lambda: 1 / 0], [()], [(0, None)], constants={}), executor)
    assert isinstance(failing.exception(WAIT), ZeroDivisionError)
    assert not failing.cancelled()


@pytest.mark.parametrize("executor", LOCAL)
def test_a_runner_can_be_used_again_after_a_cancelled_run(executor):
    began = threading.Event()
    with Runner(naps(20, 0.05, began), executor, 2) as runner:
        handle = dagexec.submit(runner.run)
        assert began.wait(WAIT)
        handle.cancel()
        with pytest.raises(CancelledError):
            handle.result(WAIT)
        assert runner.run() == [1] * 20


def test_a_caller_that_waits_for_busy_processes_can_be_cancelled(tmp_path):
    began, go_on = tmp_path / "began", tmp_path / "go_on"

    def busy():
        with began.open("a") as file:
            file.write("x")
        while not go_on.exists():
            time.sleep(0.01)
        return 3

    with Runner(lay_out([busy], [()], [(0, None)], constants={}), "processes", 1) as runner:
        first = dagexec.submit(runner.run)
        deadline = time.monotonic() + WAIT
        while not began.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        waiting, patient = dagexec.submit(runner.run), dagexec.submit(runner.run)
        waiting.cancel()
        try:
            with pytest.raises(CancelledError):
                waiting.result(WAIT)
            assert not first.done()
            assert not patient.done()
        finally:
            go_on.touch()
        assert [first.result(WAIT), patient.result(WAIT)] == [[3], [3]]
        assert runner.run() == [3]
    assert began.read_text() == "xxx"  # neither the cancelled one, nor any twice
