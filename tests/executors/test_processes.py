"""Processes: the same bits as serial, plain callables, large values, errors as they were raised."""

from __future__ import annotations

import functools
import os
import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import xp
from dagexec.executors import arena as arena_module
from dagexec.graph import Node
from dagexec.ops import python_op
from dagexec.plan import plan
from tests.dags import Boom, dag, edge_lists, values_of
from tests.executors.callables import call, compiled, graph_of, identical, run

# --- the same bits as serial ----------------------------------------------------------------------------
X = np.random.default_rng(0).normal(size=(61, 61))
PROGRAMS = {
    "products of an array and its transpose": lambda x: [x @ x.T, x.T @ x, (x @ x.T)[::2] @ x],
    "products of views": lambda x: [x[::2] @ x[:, ::2], x[::-1] @ x.T[:, ::-1], x[3] @ x],
    "sums of views": lambda x: [np.sum(v, axis=0) for v in (x.T, x[::2], x[:, ::-3], x + 1)],
    "computed from transposes": lambda x: [x.T * 2, np.exp(x.T), np.sum((x.T + x.T) * 3, axis=1)],
    "broadcast": lambda x: [
        xp.broadcast_to(x[0], (9, 61)) * 2,
        np.sum(xp.broadcast_to(x, (3, 61, 61)), axis=1),
    ],
    "split": lambda x: [piece @ piece.T for piece in xp.split(x, [7, 20])],
    "unstacked": lambda x: [row @ x for row in xp.unstack(x)[:3]] + [xp.unstack(x[0])[1] * 2],
    "0-d and empty": lambda x: [np.sum(x), np.sum(x) * x, x[:0] @ x, np.sum(x[:0]), x[2, 3] + 1],
    "dtypes": lambda x: [
        np.sum(xp.astype(x, d), axis=1) for d in (np.float32, np.int8, np.bool_, np.complex64)
    ],
    "joined": lambda x: [np.concatenate([x, x.T])[::2], xp.stack([x, x[::-1]], axis=1), xp.roll(x, 3)],
    "the argument itself": lambda x: [x, x.T, x[1:], xp.reshape(x, (-1,))],
    "constants": lambda x: [x @ X[::-1], X.T + x, x * np.arange(61.0)],
    "indexed": lambda x: [x[np.array([3, 3, 1])] @ x.T, x[:, np.array([0, -1])]],
}


@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_array_programs_have_the_same_bits_and_layout_as_serial(order):
    wide = np.random.default_rng(1).normal(size=(122, 183))
    x = wide[::2, ::-3] if order == "strided" else np.asarray(X, order=order)
    graph = dagexec.trace(lambda x: [program(x) for program in PROGRAMS.values()])(x)
    expected = dagexec.run(graph, x, executor="serial")
    with compiled(graph) as executor:
        for _ in range(2):
            for name, value, right in zip(PROGRAMS, executor(x), expected):
                assert identical(value, right), name
    gradients = dagexec.trace(lambda x: sum(np.sum(np.tanh(x @ x.T[:, :k])) for k in (3, 61)))(x).backward()
    assert identical(
        dagexec.run(gradients, x, executor="processes", workers=2),
        dagexec.run(gradients, x, executor="serial"),
    )


def test_arguments_that_share_memory_still_do():
    def program(x, y):
        return [x @ y, y @ x, x @ x.T]

    graph = dagexec.trace(program)(X, X.T)
    with compiled(graph) as executor:
        assert identical(executor(X, X.T), dagexec.run(graph, X, X.T, executor="serial"))
        assert identical(executor(X, X), dagexec.run(graph, X, X, executor="serial"))


UNARY = (
    lambda a: a.T,
    lambda a: a[::-1],
    lambda a: a[:, ::-1] * 1.5,
    lambda a: a @ a.T,
    lambda a: np.tanh(a),
    lambda a: xp.broadcast_to(np.sum(a, axis=0), (7, 7)),
    lambda a: np.concatenate([a, a.T])[1:14:2],
    lambda a: xp.stack(xp.unstack(a)[::-1], axis=1),
)
BINARY = (lambda a, b: a @ b, lambda a, b: a.T + b, lambda a, b: np.maximum(a, b[::-1]))


@settings(max_examples=8)
@given(steps=st.lists(st.tuples(st.integers(0, 10), st.integers(0, 99), st.integers(0, 99)), max_size=20))
def test_random_programs_have_the_same_bits_as_serial(steps):
    def program(x):
        values = [x]
        for choice, first, second in steps:
            a, b = values[first % len(values)], values[second % len(values)]
            values.append(UNARY[choice](a) if choice < 8 else BINARY[choice - 8](a, b))
        return values

    x = np.random.default_rng(2).normal(size=(7, 7)) / 4
    graph = dagexec.trace(program)(x)
    with np.errstate(all="ignore"):
        expected = dagexec.run(graph, x, executor="serial")
        assert identical(dagexec.run(graph, x, executor="processes", workers=2), expected)


@settings(max_examples=5)
@given(edges=edge_lists(), workers=st.integers(1, 3))
def test_random_dags_of_callables_compute_what_they_must(edges, workers):
    everything = range(len(edges))
    results = dagexec.run(dag(edges, everything), executor="processes", workers=workers)
    assert list(results) == values_of(edges)


def test_results_stay_and_can_be_written_to_when_the_executor_is_closed():
    graph = dagexec.trace(lambda x: [x * 2, x.T, xp.broadcast_to(x[0], (3, 61))])(X)
    with compiled(graph) as executor:
        results = executor(X)
        executor(X * 0)
    for value, expected in zip(results, dagexec.run(graph, X, executor="serial")):
        assert identical(value, expected)
        value += 1
    assert X[0, 0] == np.random.default_rng(0).normal()


# --- plain callables ------------------------------------------------------------------------------------
def test_lambdas_and_closures_run_in_other_processes():
    offset = 5
    one = call(os.getpid)
    two = call(lambda: {"x": np.arange(3) + offset, "y": "text"})
    three = call(lambda d: (d["x"].sum(), d["y"] * 3), two)
    pid, first, second = run(one, two, three)
    assert pid != os.getpid()
    assert identical(first["x"], np.array([5, 6, 7]))
    assert second == (18, "texttexttext")


def test_arrays_inside_of_results_reach_their_readers_as_views_of_one_another():
    def make():
        x = np.arange(12.0).reshape(3, 4)
        return {"x": x, "view": [x.T]}

    shared = call(make)
    told = call(lambda d: (np.shares_memory(d["x"], d["view"][0]), d["view"][0].strides), shared)
    assert run(told) == ((True, (8, 32)),)


def test_a_callable_that_cannot_be_pickled_is_named():
    lock = threading.Lock()
    node = Node(python_op(lambda: lock), name="guarded")
    with pytest.raises(TypeError, match=r"node %0 guarded\(\) cannot be sent to another process: .*lock"):
        run(node)


def test_a_result_that_cannot_be_pickled_is_named():
    with pytest.raises(TypeError, match="cannot pickle 'generator' object") as caught:
        run(Node(python_op(lambda: (i for i in range(3))), name="endless"))
    assert any("raised by node %0 endless()" in note for note in caught.value.__notes__)


def test_memory_that_a_callable_keeps_is_not_given_out_again():
    cache: list[np.ndarray] = []

    def keep(x):
        cache.append(x[1:])
        return len(cache)

    def check(*_):
        return [set(x) for x in cache] == [{number} for number in range(30)]

    chain = None
    counts = []
    for number in range(30):
        made = call(lambda *_, number=number: np.full(100_000, float(number)), *([chain] if chain else []))
        chain = call(keep, made)
        counts.append(chain)
    *counts, right = run(*counts, call(check, chain), workers=1)
    assert counts == list(range(1, 31))
    assert right
    assert not cache


# --- memory -----------------------------------------------------------------------------------------------
def test_large_arrays_go_both_ways_without_a_jam():
    size = 1_000_000
    made = [call(lambda n=n: np.full(size, float(n))) for n in range(100)]
    doubled = [call(lambda x: x * 2, node) for node in made]
    total = call(lambda *xs: float(sum(x[-1] for x in xs)), *made, *doubled)
    assert run(total) == (float(sum(range(100)) * 3),)


def test_long_messages_go_both_ways_without_a_jam():
    texts = [call(lambda n=n: [str(n) * 100] * 3000 + list(range(50_000))) for n in range(20)]
    lengths = [call(len, node) for node in texts]
    many = [call(lambda n=n: n) for n in range(3000)]
    total = call(lambda *values: sum(values), *many)
    pieces = call(lambda: tuple(np.arange(3000.0) for _ in range(2000)))
    count = call(len, pieces)
    *lengths, total, count = run(*lengths, total, count)
    assert lengths == [53_000] * 20
    assert total == sum(range(3000))
    assert count == 2000


def test_blocks_are_used_again():
    node = call(lambda: np.ones(1_000_000))
    for _ in range(100):
        node = call(lambda x: x + 1, node)
    with compiled(graph_of(node)) as executor:
        for _ in range(2):
            assert executor()[0][0] == 101
            pages = os.fstat(executor._runner._execute._pool.arena.file).st_blocks * 512
            assert pages < 6 * 8_000_000


def test_every_block_is_free_after_a_run_also_one_that_failed():
    def fail(x):
        raise Boom

    x = call(lambda: np.ones(1000))
    with compiled(graph_of(call(lambda x: [x, x[1:], "text" * 2000], x), call(len, x))) as executor:
        executor()
        assert executor._runner._execute._pool.arena._used_bytes == 0
    with compiled(graph_of(call(fail, x), *[call(len, x) for _ in range(9)])) as executor:
        for _ in range(3):
            with pytest.raises(Boom):
                executor()
            assert executor._runner._execute._pool.arena._used_bytes == 0


def test_a_machine_with_less_address_space_is_served(monkeypatch):
    monkeypatch.setattr(arena_module, "LARGEST_FILE", 2**60)  # no kernel maps that
    assert run(call(lambda: np.arange(3).sum())) == (3,)


def test_a_plan_too_long_for_a_pipe_is_sent():
    graph = dagexec.trace(lambda x: functools.reduce(lambda y, n: y * 2 + n, range(3000), x))(0.0)
    assert len(plan(graph).tasks) > 5000
    with np.errstate(over="ignore"):
        expected = dagexec.run(graph, 0.5, executor="serial")
        assert dagexec.run(graph, 0.5, executor="processes", workers=2) == expected


# --- errors ---------------------------------------------------------------------------------------------
class UnsendableError(Exception):
    def __init__(self, one, two):
        super().__init__(one)


@pytest.mark.parametrize("kind", [Boom, KeyError, SystemExit, KeyboardInterrupt])
def test_an_error_keeps_its_type_and_has_the_workers_traceback_and_the_node(kind):
    def fails():
        raise kind("reason")

    bad = Node(python_op(fails), name="bad")
    with compiled(graph_of(bad)) as executor:
        for _ in range(2):
            with pytest.raises(kind, match="reason") as caught:
                executor()
            traceback, blame = caught.value.__notes__
            assert "in fails" in traceback
            assert "raised by node %0 bad()" in blame


def test_an_error_that_cannot_travel_becomes_a_runtime_error():
    def fails():
        raise UnsendableError("one", "two")

    with pytest.raises(
        RuntimeError, match=r"UnsendableError that cannot be pickled: UnsendableError\('one'\)"
    ) as caught:
        run(call(fails))
    assert "in fails" in caught.value.__notes__[0]


def test_the_executor_works_on_after_an_error():
    graph = dagexec.trace(lambda x, i: np.tanh(x)[i])(np.ones(3), np.array([0]))
    with compiled(graph) as executor:
        for _ in range(5):
            with pytest.raises(IndexError, match="out of bounds"):
                executor(np.ones(3), np.array([7]))
            assert executor(np.zeros(3), np.array([1])) == [0]


def test_workers_see_the_callers_error_state_and_the_caller_sees_their_warnings():
    x = np.zeros(4)
    graph = dagexec.trace(lambda x: [1 / (x + number) for number in range(8)])(x)
    with compiled(graph) as executor:
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
            executor(x)
        with np.errstate(divide="ignore"):
            assert np.isinf(executor(x)[0]).all()
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            executor(x)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(RuntimeWarning, match="divide by zero") as caught:
                executor(x)
    assert "raised by node" in caught.value.__notes__[-1]


# --- events and threads -----------------------------------------------------------------------------------
def test_events_have_the_workers_numbers_and_times_and_the_bytes_of_values():
    x = call(lambda: np.ones(1000))
    more = [call(lambda x: (time.sleep(0.01), x[1:])[1], x) for _ in range(6)]
    before = time.perf_counter()
    _, events = compiled(graph_of(*more), events=True)()
    after = time.perf_counter()
    assert {event.worker for event in events if event.kind == "start"} == {1, 2}
    assert {event.bytes for event in events if event.kind == "end"} == {8000, 7992}
    assert [(event.task, event.bytes) for event in events if event.kind == "free"] == [(0, 8000)]
    assert all(before < event.time < after for event in events)


def test_several_threads_may_call_one_executor():
    graph = dagexec.trace(lambda x: np.sum(np.tanh(x @ x) * x))(X)
    results: dict[int, float] = {}
    with compiled(graph) as executor:
        threads = [
            threading.Thread(target=lambda n=n: results.update({n: executor(X * n)})) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {n: dagexec.run(graph, X * n, executor="serial") for n in range(8)}
