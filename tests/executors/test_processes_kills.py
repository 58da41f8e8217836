"""Processes whose workers are killed at any moment, and tasks that do their worst: right, nothing left."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest

import dagexec
from dagexec.executors.launch import METHODS
from dagexec.executors.processes import Processes
from dagexec.graph import Node
from dagexec.ops import python_op
from dagexec.plan import lay_out
from tests.executors.callables import call, compiled, graph_of, run, state

KILLS = 200


@pytest.fixture(autouse=True, scope="module")
def _server_is_there():
    """The process that workers are forked from stays for later executors: not a leftover of a test."""
    run(call(os.getpid))


def layers(width, depth, seed=0):
    """Edges of a layered DAG: each node reads two or three of the layer before."""
    choice = random.Random(seed)
    edges = [[] for _ in range(width)]
    for layer in range(1, depth):
        before = range(width * (layer - 1), width * layer)
        edges += [choice.choices(before, k=choice.choice((2, 3))) for _ in range(width)]
    return edges


# --- kills --------------------------------------------------------------------------------------------------
def test_hundreds_of_kills_at_random_moments_leave_the_results_right_and_nothing_behind(monkeypatch):
    def nap(number, *values):  # defined here, so that a new worker need not import this module and pytest
        time.sleep(1e-4)
        return hash((number, *values))

    edges = layers(20, 100)
    outputs = range(len(edges) - 20, len(edges))
    count = len(edges)
    numbers = range(count, 2 * count)  # the slots of constants: each task's own number
    sources = [(number, *inputs) for number, inputs in zip(numbers, edges)] + [()] * count
    plan = lay_out(
        [nap] * count + [None] * count,
        sources,
        [(n, None) for n in outputs],
        constants=dict(zip(numbers, range(count))),
        labels=range(2 * count),
    )
    monkeypatch.setattr("dagexec.executors.processes.LIVES", KILLS)  # none of the tasks is to blame
    expected: list[int] = []
    for number, inputs in enumerate(edges):
        expected.append(nap(number, *(expected[source] for source in inputs)))
    before = state()
    execute = Processes(plan, 2)
    choice = random.Random(1)
    kills = 0
    over = threading.Event()

    def kill():
        nonlocal kills
        while not over.wait(choice.uniform(0.0, 0.06)):
            for worker in list(execute._pool.workers if execute._pool else ()):
                # Now and then one that has not begun: not always, or on a slow day none ever would.
                if choice.random() < (0.5 if worker.started else 0.1):
                    worker.process.kill()
                    kills += 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        while kills < KILLS:
            assert execute(plan.values(), None, []) == [expected[number] for number in outputs]
    finally:
        over.set()
        killer.join()
        execute.close()
    assert state() == before


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_killed_while_it_starts_is_replaced(method):
    plan = lay_out([lambda: 1, lambda x: x + 1], [(), (0,)], [(1, None)], constants={})
    execute = Processes(plan, 2, method)
    try:
        execute._started()
        for worker in execute._pool.workers:
            worker.process.kill()
        assert execute(plan.values(), None, []) == [2]
    finally:
        execute.close()


def test_the_server_may_be_killed_too():
    from dagexec.executors import launch

    plan = lay_out([os.getpid] * 20, [()] * 20, [(n, None) for n in range(20)], constants={})
    execute = Processes(plan, 2)
    try:
        first = set(execute(plan.values(), None, []))
        launch._server.process.kill()
        launch._server.process.wait()
        assert not first & set(execute(plan.values(), None, []))
    finally:
        execute.close()


def how_to_die():
    return {
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "exit": lambda: os._exit(3),
        "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    }


@pytest.mark.parametrize("how", how_to_die())
def test_the_third_death_blames_the_right_task_inside_of_a_batch(how, tmp_path):
    die = how_to_die()[how]
    log = tmp_path / "log"

    def deadly(x):
        with log.open("a") as file:
            file.write("x")
        if os.path.exists(log.with_name("armed")):
            die()
        return x + 1

    node = call(lambda: 0)
    for number in range(400):
        node = call(deadly, node) if number == 200 else call(lambda x: x + 1, node)
        if number == 200:
            node.name = "deadly"
    others = [call(lambda n=n: n) for n in range(400)]
    with compiled(graph_of(node, *others)) as executor:
        for _ in range(3):  # now that it knows how short they are, the batches are long
            assert executor() == (400, *range(400))
        log.with_name("armed").touch()
        log.write_text("")
        with pytest.raises(
            RuntimeError, match=r"node %201 deadly\(\) has ended 3 worker processes, the last"
        ):
            executor()
        assert log.read_text() == "xxx"
        log.with_name("armed").unlink()
        assert executor() == (400, *range(400))


def test_each_of_several_deadly_tasks_may_kill_twice(tmp_path):
    def dies_twice(number):
        marks = tmp_path / str(number)
        with marks.open("a") as file:
            file.write("x")
        if len(marks.read_text()) <= 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    nodes = [call(lambda n=n: dies_twice(n)) for n in range(5)]
    assert run(*nodes, call(lambda *xs: sum(xs), *nodes)) == (0, 1, 2, 3, 4, 10)


def test_a_death_while_a_value_is_unpickled_is_blamed_on_a_task():
    class Bomb:
        def __reduce__(self):
            return os._exit, (5,)

    with pytest.raises(RuntimeError, match=r"reader.* has ended 3 worker .* by exit status 5"):
        run(Node(python_op(len), (call(Bomb),), name="reader"), call(lambda: 1))


# --- tasks that do their worst ------------------------------------------------------------------------------
def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (lambda: sys.exit(3), SystemExit),
        (lambda: deep(10**6), RecursionError),
        (lambda: (_ for _ in ()), TypeError),
        (lambda: np.empty(2**55), MemoryError),
        (lambda: bytearray(2**62), (MemoryError, OverflowError)),
        (lambda: threading.Lock(), TypeError),
    ],
    ids=["exit", "recursion", "unpicklable", "array too large", "bytes too many", "lock"],
)
def test_an_error_in_the_middle_of_batches_names_its_task_and_lets_the_next_run_go_on(bad, kind):
    graph = dagexec.trace(lambda x: x)(0.0)
    nodes = [Node(python_op(lambda x, n=n: x + n), (graph.inputs[0],)) for n in range(300)]
    worst = Node(python_op(lambda x: bad() if x else 0), (graph.inputs[0],), name="worst")
    reader = call(lambda x: 1, worst)
    everything = [*graph.nodes, *nodes, worst, reader]
    graph = dagexec.Graph(everything, graph.inputs, [*nodes, worst, reader], graph.in_tree)
    with compiled(graph) as executor:
        for _ in range(2):
            assert executor(0.0)[:300] == tuple(range(300))
            with pytest.raises(kind) as caught:
                executor(1.0)
            assert any("raised by node %301 worst" in note for note in caught.value.__notes__)


def test_tasks_may_run_graphs_themselves():
    def nested(executor):
        inner = [call(lambda n=n: n * n) for n in range(10)]
        return sum(dagexec.run(graph_of(*inner), executor=executor, workers=2))

    nodes = [call(lambda e=e: nested(e)) for e in ("serial", "threads", "processes", "auto")]
    assert run(*nodes) == (285,) * 4


def test_workers_have_random_numbers_of_their_own():
    def numbers():
        time.sleep(0.05)
        return os.getpid(), random.random(), float(np.random.random())

    drawn = run(*[call(numbers) for _ in range(4)])
    assert len({pid for pid, _, _ in drawn}) == 2
    assert len({number for _, number, _ in drawn}) == len({number for _, _, number in drawn}) == 4


# --- surroundings -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", METHODS)
def test_workers_have_the_surroundings_of_the_time_they_start(method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGEXEC_SAMPLE", "set")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "sample_module.py").write_text("value = 5")

    def look():
        import sample_module

        return os.getcwd(), os.environ.get("DAGEXEC_SAMPLE"), sample_module.value

    plan = lay_out([look], [()], [(0, None)], constants={})
    execute = Processes(plan, 1, method)
    try:
        assert execute(plan.values(), None, []) == [(str(tmp_path), "set", 5)]
    finally:
        execute.close()


def test_what_a_task_prints_goes_where_the_output_goes_when_the_workers_start(capfd):
    run(call(lambda: print("printed")), call(lambda: print("complained", file=sys.stderr)))
    assert capfd.readouterr() == ("printed\n", "complained\n")


# --- cancellation -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seconds", [0.0, 300.0])
def test_a_cancelled_run_kills_busy_workers_at_once_and_the_next_run_is_right(seconds):
    plan = lay_out(
        [None, *[lambda nap, n=n: time.sleep(nap) or n for n in range(2000)]],
        [(), *[(0,)] * 2000],
        [(n, None) for n in range(1, 2001)],
        constants={},
        inputs=(0,),
    )
    execute = Processes(plan, 2)
    values = plan.values()
    values[0] = seconds or 1e-3
    stop: list[BaseException] = []
    canceller = threading.Timer(0.2, lambda: stop.append(InterruptedError("enough")))
    canceller.start()
    try:
        with pytest.raises(InterruptedError, match="enough"):
            execute(values, None, stop)
        values = plan.values()
        values[0] = 0.0
        assert execute(values, None, []) == list(range(2000))
    finally:
        canceller.join()
        execute.close()
