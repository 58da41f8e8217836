"""Processes that die, are interrupted or are closed: runs go on, nothing is left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import dagexec
from dagexec.executors.launch import METHODS
from dagexec.graph import Node
from dagexec.ops import python_op
from tests.executors.callables import call, compiled, graph_of, identical, run, segments

WATCHDOG = 60  # seconds; only a hang takes that long


@pytest.fixture(autouse=True, scope="module")
def _server_is_there():
    """The process that workers are forked from stays for later executors: not a leftover of a test."""
    run(call(os.getpid))


# --- workers that die -----------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["kill", "exit"])
def test_a_killed_worker_is_replaced_and_its_tasks_run_again(how, tmp_path):
    marker = tmp_path / "dead"

    def dies_once(x):
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL) if how == "kill" else os._exit(3)
        return x + 1

    start = call(lambda: np.arange(1000.0))
    middle = [call(lambda x, n=n: x * n, start) for n in range(20)]
    end = call(dies_once, middle[3])
    result, *others = run(end, *middle)
    assert marker.exists()
    assert identical(result, np.arange(1000.0) * 3 + 1)
    assert identical(others, [np.arange(1000.0) * n for n in range(20)])


def test_a_task_that_kills_three_workers_is_blamed_by_name(tmp_path):
    log = tmp_path / "log"

    def deadly():
        with log.open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)

    bad = Node(python_op(deadly), name="bad")
    with compiled(graph_of(bad, *[call(lambda: 1) for _ in range(5)])) as executor:
        with pytest.raises(
            RuntimeError, match=r"node %0 bad\(\) has ended 3 worker .* signal SIGKILL"
        ) as caught:
            executor()
        assert "raised by node %0 bad" in caught.value.__notes__[0]
        assert log.read_text() == "xxx"


def test_a_worker_that_dies_between_runs_is_replaced():
    with compiled(graph_of(*[call(os.getpid) for _ in range(8)])) as executor:
        pids = set(executor())
        for worker in executor._runner._execute._pool.workers:
            worker.process.kill()
            worker.process.wait()
        assert not pids & set(executor())


def test_a_dead_worker_is_noticed_although_its_child_lives(tmp_path):
    marker = tmp_path / "dead"

    def leaves_a_child():
        if not marker.exists():
            marker.touch()
            if os.fork() == 0:
                time.sleep(5)
                os._exit(0)
            os._exit(1)
        return 7

    assert run(call(leaves_a_child)) == (7,)


# --- nothing is left ------------------------------------------------------------------------------------
def alive(pids):
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_close_leaves_no_process_descriptor_thread_or_segment():
    def state():
        gc.collect()
        return os.listdir("/dev/fd"), segments(), threading.active_count()

    before = state()
    executor = compiled(graph_of(*[call(lambda: np.ones(10**6)) for _ in range(8)]), workers=3)
    executor()
    pids = [worker.process.pid for worker in executor._runner._execute._pool.workers]
    assert len(alive(pids)) == 3
    executor.close()
    executor.close()
    assert not alive(pids)
    assert state() == before


def test_an_executor_that_is_garbage_leaves_nothing():
    before = os.listdir("/dev/fd")
    executor = compiled(graph_of(call(lambda: 1)))
    executor()
    pids = [worker.process.pid for worker in executor._runner._execute._pool.workers]
    del executor
    gc.collect()
    assert not alive(pids)
    assert os.listdir("/dev/fd") == before


def test_nothing_starts_before_the_first_run_or_for_a_plan_without_tasks():
    graph = dagexec.trace(lambda x: x)(1.0)
    with compiled(graph) as executor:
        assert executor(2.0) == 2.0
        assert executor._runner._execute._pool is None


HEAD = """
import os, sys, time
import numpy as np
import dagexec
from dagexec.graph import Graph, Node
from dagexec.ops import python_op

class Mine(Exception):
    pass

class Pair:
    def __init__(self, x):
        self.x = x

def call(function, *sources):
    return Node(python_op(function), sources)

"""


def script(tmp_path, body):
    """The command that runs a script elsewhere, without a main guard."""
    path = tmp_path / "script.py"
    path.write_text(HEAD + textwrap.dedent(body))
    return [sys.executable, "-W", "error", str(path)]


def ran(tmp_path, body):
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        script(tmp_path, body),
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
        env=environment,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_a_script_without_main_guard_that_forgets_to_close_runs_and_leaves_nothing(tmp_path):
    out = ran(
        tmp_path,
        """
        print("once")
        a = call(lambda: np.ones(1000))
        b = call(lambda x: Pair(x * 2), a)
        c = call(lambda pair: (isinstance(pair, Pair), pair.x.sum()), b)
        run = dagexec.compile(Graph([a, b, c], (), [b, c]), "processes", 2)
        pair, told = run()
        print(isinstance(pair, Pair), told)
        print(*(worker.process.pid for worker in run._runner._execute._pool.workers))
        """,
    )
    once, told, pids = out.splitlines()
    assert once == "once"
    assert told == "True (True, np.float64(2000.0))"
    assert not alive(pids.split())


def test_an_error_class_of_the_main_module_is_caught_as_itself(tmp_path):
    out = ran(
        tmp_path,
        """
        def fails():
            raise Mine("no")
        node = call(fails)
        try:
            dagexec.run(Graph([node], (), [node]), executor="processes", workers=2)
        except Mine as error:
            print("caught", error)
        """,
    )
    assert out == "caught no\n"


def test_what_tasks_print_is_seen(tmp_path):
    out = ran(
        tmp_path,
        """
        node = call(print, call(lambda: "printed"))
        dagexec.run(Graph([node.inputs[0], node], (), [node]), executor="processes")
        """,
    )
    assert out == "printed\n"


def test_a_forked_child_has_workers_of_its_own_and_leaves_its_parents(tmp_path):
    out = ran(
        tmp_path,
        """
        node = call(os.getpid)
        run = dagexec.compile(Graph([node], (), [node]), "processes", 2)
        first = run()
        child = os.fork()
        if child == 0:
            mine = run()
            run.close()
            os._exit(0 if mine != first else 1)
        print(os.waitpid(child, 0)[1], run() == first)
        """,
    )
    assert out == "0 True\n"


INTERRUPTED = """
def nap():
    if not os.path.exists("rested"):
        os.write(1, f"{os.getpid()}\\n".encode())  # at once: two workers write
        time.sleep(300)
    return "rested"

naps = [call(nap) for _ in range(3)]
run = dagexec.compile(Graph(naps, (), naps), "processes", 2)
try:
    run()
except KeyboardInterrupt:
    print("interrupted", flush=True)
open("rested", "w").close()
print(*run())
raise SystemExit(7)
"""


def test_an_interrupt_ends_long_tasks_leaves_nothing_and_lets_the_next_run_begin(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(
        script(tmp_path, INTERRUPTED),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
        start_new_session=True,
    )
    assert process.stdout is not None
    pids = [int(process.stdout.readline()) for _ in range(2)]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    out, err = process.communicate(timeout=WATCHDOG)
    assert (out, err, process.returncode) == ("interrupted\nrested rested rested\n", "", 7)
    assert not alive(pids)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seconds", [0, 300], ids=["idle", "busy"])
def test_workers_and_their_server_end_when_the_parent_is_killed(method, seconds, tmp_path):
    body = f"""
    import threading
    from dagexec.executors import launch
    from dagexec.executors.processes import Processes
    from dagexec.plan import lay_out

    def work(seconds):
        time.sleep(seconds)

    plan = lay_out([None, work, work], [(), (0,), (0,)], [], constants={{}}, inputs=(0,))
    execute = Processes(plan, 2, {method!r})
    execute([0, None, None], None, [])
    pids = [worker.process.pid for worker in execute._pool.workers]
    threading.Timer(0.2, lambda: print(*pids, launch._server.process.pid, flush=True)).start()
    execute([{seconds}, None, None], None, [])
    time.sleep(300)
    """
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(script(tmp_path, body), stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    pids = process.stdout.readline().split()
    process.kill()
    process.communicate(timeout=WATCHDOG)  # until the workers, which have its stdout, have ended too
    deadline = time.monotonic() + WATCHDOG
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(pids) == 3
    assert not alive(pids)
