"""Compiling and running: arguments, results, errors, the choice of `auto`, sizes that break recursion."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass

import numpy as np
import pytest

import dagexec
from dagexec import xp
from dagexec.executors import available_cores
from dagexec.graph import Graph, Node
from dagexec.ops import python_op
from tests.dags import dag

EXECUTORS = ("serial", "threads", "processes", "auto")
LOCAL = ("serial", "threads", "auto")


def test_unknown_executor_lists_the_choices():
    with pytest.raises(ValueError, match="'cluster'; it can be auto, serial, threads, processes"):
        dagexec.compile(dagexec.trace(lambda x: x)(1.0), "cluster")


def test_no_workers_is_an_error():
    with pytest.raises(ValueError, match="workers is 0"):
        dagexec.compile(dagexec.trace(lambda x: x)(1.0), "threads", workers=0)


def test_argument_of_another_shape_is_named_with_both_shapes():
    compiled = dagexec.compile(dagexec.trace(lambda p, x: p["w"] * x)({"w": np.ones(3)}, np.ones(3)))
    with pytest.raises(ValueError, match=r"argument p\.w is float64\[4\], .* traced for float64\[3\]"):
        compiled({"w": np.ones(4)}, np.ones(3))


def test_argument_of_another_dtype_is_an_error_but_a_python_number_is_converted():
    compiled = dagexec.compile(dagexec.trace(lambda x: x * 2)(np.float32(1)))
    assert compiled(3) == 6
    assert compiled(3).dtype == np.float32
    with pytest.raises(ValueError, match="float64"):
        compiled(np.float64(3))


def test_arguments_of_another_structure_are_an_error():
    compiled = dagexec.compile(dagexec.trace(lambda p: p["w"])({"w": 1.0}))
    with pytest.raises(TypeError, match="structure"):
        compiled({"v": 1.0})


@pytest.mark.parametrize("executor", EXECUTORS)
def test_results_have_the_structure_that_the_function_returned(executor):
    graph = dagexec.trace(lambda x: {"twice": (x + x, [x]), "none": None, "three": 3})(np.ones(2))
    result = dagexec.run(graph, np.arange(2.0), executor=executor)
    assert result["none"] is None
    assert result["three"] == 3
    assert np.array_equal(result["twice"][0], [0.0, 2.0])
    assert np.array_equal(result["twice"][1][0], [0.0, 1.0])


@pytest.mark.parametrize("executor", EXECUTORS)
def test_results_can_be_written_to(executor):
    result = dagexec.run(dagexec.trace(lambda x: xp.broadcast_to(x, (3,)))(1.0), 2.0, executor=executor)
    result += 1
    assert np.array_equal(result, [3, 3, 3])


@pytest.mark.parametrize("executor", EXECUTORS)
def test_pieces_of_a_split_reach_their_readers(executor):
    def program(x):
        a, b, c = xp.split(x, 3)
        return a + c, b, xp.unstack(x)[4]

    x = np.arange(6.0)
    first, second, last = dagexec.run(dagexec.trace(program)(x), x, executor=executor)
    assert np.array_equal(first, x[:2] + x[4:])
    assert np.array_equal(second, x[2:4])
    assert last == 4


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_error_keeps_its_type_and_names_op_shapes_scope_and_line(executor):
    def program(x, index):
        with dagexec.scope("layer"):
            return xp.sum(x[index])

    x, index = np.ones(3), np.array([0, 7])
    graph = dagexec.trace(program)(x, index)
    with pytest.raises(IndexError) as caught:
        dagexec.run(graph, x, index, executor=executor)
    (note,) = [note for note in caught.value.__notes__ if note.startswith("raised by")]
    assert "getitem(float64[3], int64[2]) in layer" in note
    assert f"{__file__}:" in note


@pytest.mark.parametrize("executor", LOCAL)
def test_values_are_dropped_when_their_last_reader_is_done(executor):
    class Value:
        pass

    alive: list[weakref.ref[Value]] = []

    def make():
        value = Value()
        alive.append(weakref.ref(value))
        return value

    def count(_):
        return sum(ref() is not None for ref in alive)

    first = Node(python_op(make))
    middle = Node(python_op(lambda value: 1), (first,))
    last = Node(python_op(count), (middle,))
    assert dagexec.run(Graph([first, middle, last], (), [last]), executor=executor) == (0,)


@pytest.mark.parametrize("executor", LOCAL)
def test_workers_see_the_callers_error_state(executor):
    x = np.zeros(4)
    graph = dagexec.trace(lambda x: [1 / (x + number) for number in range(8)])(x)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        dagexec.run(graph, x, executor=executor)
    with np.errstate(divide="ignore"):
        assert np.isinf(dagexec.run(graph, x, executor=executor)[0]).all()


@pytest.fixture(scope="module")
def chain():
    """x + 1 + 1 + ..., and its gradient."""

    def add_ones(x):
        for _ in range(100_000):
            x = x + 1
        return x

    return dagexec.trace(add_ones)(0.0).backward()


@pytest.fixture(scope="module")
def fan():
    """The sum of x * 0, x * 1, ..., and its gradient."""
    return dagexec.trace(lambda x: xp.sum(xp.stack([x * n for n in range(100_000)])))(0.0).backward()


@pytest.mark.parametrize("executor", LOCAL)
def test_a_chain_of_100_000_nodes_runs(chain, executor):
    assert len(chain) > 100_000
    assert dagexec.run(chain, 0.5, executor=executor) == (100_000.5, 1.0)


@pytest.mark.parametrize("executor", LOCAL)
def test_a_fan_of_100_000_nodes_runs(fan, executor):
    expected = sum(range(100_000))
    assert dagexec.run(fan, 2.0, executor=executor) == (2 * expected, expected)


def test_a_compiled_graph_runs_in_several_threads_at_once():
    graph = dagexec.trace(lambda x: np.sum(np.tanh(x @ x) * x))(np.ones((8, 8)))
    compiled = dagexec.compile(graph, "threads", workers=3)
    inputs = np.random.default_rng(0).normal(size=(20, 8, 8))
    results: dict[int, float] = {}

    def work(number: int) -> None:
        results[number] = compiled(inputs[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: dagexec.run(graph, inputs[n], executor="serial") for n in range(20)}


def test_no_thread_is_left_after_close():
    before = set(threading.enumerate())
    with dagexec.compile(dag([[], [], [0, 1]], [2]), "threads", workers=4) as compiled:
        compiled()
    assert set(threading.enumerate()) <= before


def test_auto_stays_serial_for_small_or_narrow_graphs_and_takes_threads_for_wide_heavy_ones():
    def towers(*weights):
        return [np.tanh(w @ w) @ w for w in weights]

    def tower(*weights):
        product = weights[0]
        for w in weights:
            product = product @ w
        return product

    def chosen(fn, n):
        return dagexec.compile(dagexec.trace(fn)(*[np.ones((n, n))] * 8), workers=2).executor

    assert chosen(towers, 256) == "threads"
    assert chosen(towers, 8) == "serial"
    assert chosen(tower, 256) == "serial"
    assert dagexec.compile(dagexec.trace(towers)(np.ones((256, 256))), workers=1).executor == "serial"


def test_workers_default_to_the_cores():
    wide = dagexec.trace(lambda x: [x + number for number in range(available_cores())])(1.0)
    assert dagexec.compile(wide, "threads").workers == available_cores()


INTERRUPTED = """
import sys, time
import dagexec
from dagexec.graph import Graph, Node
from dagexec.ops import python_op

def nap(*_):
    print("running", flush=True)
    time.sleep(0.3)

nodes = [Node(python_op(nap)) for _ in range(200)]
try:
    dagexec.run(Graph(nodes, (), nodes), executor=sys.argv[1], workers=2)
except KeyboardInterrupt:
    print("interrupted")
    raise SystemExit(7)
"""


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_an_interrupt_stops_the_run(executor, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(script), executor], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "running" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)  # all of it would take far longer than was printed
    assert process.returncode == 7, err
    assert out.count("running") < 20
    assert out.endswith("interrupted\n")


@pytest.mark.parametrize("executor", EXECUTORS)
def test_writing_to_a_result_changes_neither_arguments_nor_other_results(executor):
    graph = dagexec.trace(lambda x: (x, x[1:], x.T, [x + 1, xp.reshape(x + 1, (-1,))]))(np.ones((2, 2)))
    x = np.ones((2, 2))
    results = dagexec.run(graph, x, executor=executor)
    for result in (*results[:3], *results[3]):
        result += 1
    assert np.array_equal(x, np.ones((2, 2)))
    assert np.array_equal(results[0], np.full((2, 2), 2.0))
    assert np.array_equal(results[2], np.full((2, 2), 2.0))
    assert np.array_equal(results[3][0], np.full((2, 2), 3.0))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_compiled_graph_runs_again_after_close(executor):
    compiled = dagexec.compile(dagexec.trace(lambda x: [x + 1, x * 2])(1.0), executor, workers=2)
    for _ in range(2):
        assert compiled(3.0) == [4.0, 6.0]
        compiled.close()


def test_a_recorded_serial_run_keeps_the_order_of_the_graph():
    graph = dagexec.trace(lambda x: np.sum(np.sin(x)) + np.sum(x) + np.sum(np.cos(np.sin(x))))(np.ones(3))
    _, events = dagexec.run(graph, np.ones(3), executor="serial", events=True, rewrites=())
    order = [event.task for event in events if event.kind == "start"]
    assert order == list(dagexec.plan(graph).tasks)


@dataclass(frozen=True)
class FrozenError(Exception):
    code: int


def raise_frozen(*_: object) -> None:
    raise FrozenError(7)


@pytest.mark.parametrize("executor", LOCAL)
def test_an_error_that_takes_no_attributes_arrives_with_its_note(executor):
    node = Node(python_op(raise_frozen))
    with pytest.raises(FrozenError) as caught:
        dagexec.run(Graph([node], (), [node]), executor=executor, workers=2)
    assert caught.value.code == 7
    assert any("raise_frozen" in note for note in caught.value.__notes__)


def test_no_more_workers_are_started_than_there_are_tasks():
    compiled = dagexec.compile(dagexec.trace(lambda x: [x + 1, x * 2])(1.0), "threads", workers=10**6)
    assert compiled.workers == 2
    assert compiled(3.0) == [4.0, 6.0]


@pytest.mark.parametrize("rewrite", ["simplify", lambda graph: None, None])
def test_what_is_no_rewrite_is_refused(rewrite):
    graph = dagexec.trace(lambda x: x + 1)(1.0)
    with pytest.raises(TypeError, match="functions from Graph to Graph"):
        dagexec.compile(graph, rewrites=[rewrite])
