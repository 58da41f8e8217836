"""An interrupt at any moment: the run ends with KeyboardInterrupt, none hangs, the next run is right."""

from __future__ import annotations

import dis
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial
from itertools import product
from random import Random

import pytest

from dagexec.executors import Runner
from dagexec.plan import lay_out
from tests.robustness.watching import nothing_left, within

PATIENCE = 20.0
# Signals are handled after these instructions only, in the main thread.
CHECKING = {
    code
    for name, code in dis.opmap.items()
    if name.startswith(("CALL", "RESUME", "JUMP_BACKWARD")) and "NO_INTERRUPT" not in name
}


@pytest.fixture(autouse=True)
def _no_foreign_callbacks():
    """An interrupt within a callback of the collector (Hypothesis has one) would be swallowed there."""
    callbacks, gc.callbacks[:] = list(gc.callbacks), []
    yield
    gc.callbacks[:] = callbacks


class Interrupt:
    """Raises KeyboardInterrupt in the thread it is installed in, at one of the moments a signal could be
    handled there, the `at`th; counts them."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.moments = 0
        self.where = ""
        self._last: dict[object, int] = {}

    def trace(self, frame, event, arg):
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._local

    def _local(self, frame, event, arg):
        if event == "return":
            self._last.pop(frame, None)
        elif event == "opcode":
            last = self._last.get(frame, -1)
            self._last[frame] = frame.f_lasti
            # What a weak reference's callback raises Python itself swallows.
            if last >= 0 and frame.f_code.co_code[last] in CHECKING and frame.f_code.co_name != "_remove":
                self.moments += 1
                if self.moments == self.at:
                    self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                    sys.settrace(None)
                    raise KeyboardInterrupt
        return self._local


def nap(*values):
    time.sleep(0.0003)
    return 1 + sum(values)


def quick(*values):
    return 1 + sum(values)


def lattice(function):
    """Three rows of three tasks; each reads two of the row before."""
    sources = [(), (), ()]
    for row in range(2):
        sources += [(3 * row + column, 3 * row + (column + 1) % 3) for column in range(3)]
    return lay_out([function] * 9, sources, [(8, None)], constants={})


RIGHT = [7]
RUNS = {
    "serial": (quick, "serial", 1, {}),
    "threads": (quick, "threads", 2, {}),
    "threads-3-naps": (nap, "threads", 3, {}),
    "ranked": (quick, "threads", 2, {"priority": {0: 1.0}}),
    "ranked-3-naps": (nap, "threads", 3, {"priority": {0: 1.0}}),
    "limited": (quick, "threads", 2, {"max_live_bytes": 0}),
    "going-on": (quick, "threads", 2, {"on_error": "continue", "retries": 2}),
    "auto": (quick, "auto", 2, {}),
}


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("how", RUNS)
def test_an_interrupt_at_each_moment_ends_the_run_and_harms_nothing_else(how, warm):
    function, executor, workers, options = RUNS[how]
    plan = lattice(function)

    def interrupted(runner, interrupt):
        sys.settrace(interrupt.trace)
        try:
            return runner.run()
        finally:
            sys.settrace(None)

    def again(runner):
        for _ in range(2):
            assert runner.run() == RIGHT
        runner.close()
        return True

    with nothing_left():
        for at in range(1, 100_000):
            runner = Runner(plan, executor, workers, options)
            if warm:
                within(runner.run)
            interrupt = Interrupt(at)
            try:
                result = within(partial(interrupted, runner, interrupt), f"interrupted, {at}", PATIENCE)
            except KeyboardInterrupt:
                pass
            else:
                assert not interrupt.where, f"swallowed at moment {at}, {interrupt.where}"
                assert result == RIGHT
                runner.close()
                break
            within(partial(again, runner), f"after moment {at}, {interrupt.where}", PATIENCE)
    assert at > 30


ALONE = """
    import sys
    from dagexec.executors import Runner
    from dagexec.executors.blas import blas_threads
    from tests.robustness.test_interrupts import Interrupt, lattice, quick

    runner, before = Runner(lattice(quick), "serial"), blas_threads()
    for at in range(1, 10_000):
        interrupt = Interrupt(at)
        try:
            sys.settrace(interrupt.trace)
            runner.run()
            sys.settrace(None)
            break
        except KeyboardInterrupt:
            sys.settrace(None)
        assert blas_threads() == before, interrupt.where
"""


def test_an_interrupt_leaves_the_number_of_blas_threads_as_it_was():
    """In a process of its own: OpenBLAS obeys the first thread that ever sets the number, and no other."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ALONE)],
        capture_output=True,
        text=True,
        timeout=100,
        env=with_tests(),
    )
    assert done.returncode == 0, done.stderr


def with_tests():
    return os.environ | {"PYTHONPATH": os.pathsep.join([os.curdir, *filter(None, sys.path)])}


def test_an_interrupt_is_told_rather_than_the_error_of_a_task():
    """Whoever presses Ctrl-C while a run winds down after an error must not go on."""
    both = threading.Barrier(2, timeout=PATIENCE)

    def fail():
        both.wait()
        raise ValueError

    def interrupt():
        both.wait()
        time.sleep(0.05)  # for the error to be first
        raise KeyboardInterrupt

    plan = lay_out([fail, interrupt], [(), ()], [(0, None), (1, None)], constants={})
    with Runner(plan, "threads", 2) as runner, pytest.raises(KeyboardInterrupt):
        within(runner.run)


SCRIPT = """
    import sys, threading
    from dagexec.executors import Runner
    from tests.robustness.test_interrupts import RIGHT, lattice, nap, quick

    executor, function = sys.argv[1], {"nap": nap, "quick": quick}[sys.argv[2]]
    plan = lattice(function)

    with Runner(plan, executor, 2) as runner:
        for _ in range(int(sys.argv[3])):
            assert runner.run() == RIGHT
            try:
                print("running", flush=True)  # within `try`: the signal may come before print returns
                while True:
                    assert runner.run() == RIGHT
            except KeyboardInterrupt:
                pass
        assert runner.run() == RIGHT
    assert threading.active_count() == 1, threading.enumerate()
    print("over", flush=True)
"""


@pytest.mark.parametrize(
    ("executor", "function", "signals"),
    [
        *product(["serial", "threads", "auto"], ["quick", "nap"], [50]),
        ("processes", "quick", 15),  # of which each starts the workers anew
    ],
)
def test_many_interrupts_at_random_moments(executor, function, signals, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    rng = Random(executor)
    # As on a terminal, processes get the signal as well: all of the group.
    child = subprocess.Popen(
        [sys.executable, os.fspath(script), executor, function, str(signals)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=with_tests(),
    )
    watch = threading.Timer(PATIENCE + 60, partial(os.killpg, child.pid, signal.SIGKILL))
    watch.start()
    try:
        for _ in range(signals):
            line = child.stdout.readline()
            assert line == "running\n", line + child.stderr.read()
            time.sleep(rng.random() * 0.01)
            os.killpg(child.pid, signal.SIGINT)
        assert child.stdout.read() == "over\n"
        assert child.stderr.read() == ""
        assert child.wait() == 0
    finally:
        watch.cancel()
        watch.join()
        child.kill()
        child.wait()
        child.stdout.close()
        child.stderr.close()
