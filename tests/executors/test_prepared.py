"""What is rewritten and planned once for graphs that are the same node by node."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given

import dagexec
from dagexec.executors.prepared import MOST_BYTES, _Asked, prepared
from dagexec.rewrite import REWRITES
from tests.strategies import programs


def traced(fn, *args):
    return dagexec.trace(fn)(*args)


@given(programs())
def test_a_program_traced_again_is_not_planned_again(drawn):
    first, again = (prepared(traced(drawn.run, *drawn.arguments), REWRITES) for _ in range(2))
    assert first.plan.functions is again.plan.functions
    assert [name for name, _ in again.stages] == [rewrite.__name__ for rewrite in REWRITES]


def times(factor):
    return lambda x: np.exp(x * factor) * 1


def within(name):
    def fn(x):
        with dagexec.scope(name):
            return np.exp(x)

    return fn


def variants():
    base = np.arange(3.0)
    yield from (traced(times(factor), base) for factor in (2.0, 3.0, -0.0, 0.0, np.ones(3), base))
    yield traced(times(2.0), np.arange(4.0))
    yield traced(times(2.0), np.arange(3.0, dtype=np.float32))
    yield traced(lambda x: np.exp(x * 2.0) * 1, base)  # on another line
    yield traced(lambda x: np.sum(x, axis=0), base)
    yield traced(lambda x: np.sum(x, axis=0, keepdims=True), base)
    yield traced(lambda x, y: x - y, base, base)
    yield traced(lambda x, y: y - x, base, base)
    yield from (traced(within(name), base) for name in ("here", "there"))
    yield traced(lambda x: np.sum(x * x), base)
    yield traced(lambda x: np.sum(x * x), base).backward()


def test_graphs_that_differ_in_anything_are_told_apart():
    asked = [_Asked(graph, REWRITES) for graph in variants()]
    for position, one in enumerate(asked):
        assert [one == other for other in asked] == [number == position for number in range(len(asked))]


def test_the_rewrites_are_part_of_what_is_asked():
    graph = traced(lambda x: x * 1, 1.0)
    assert _Asked(graph, REWRITES) == _Asked(graph, list(REWRITES))
    assert _Asked(graph, REWRITES) != _Asked(graph, REWRITES[1:])


def test_what_is_not_rewritten_is_the_graph_that_was_given():
    for _ in range(2):
        graph = traced(lambda x: np.exp(np.tanh(x)), np.ones(3))
        compiled = dagexec.compile(graph, "serial", events=True)
        assert compiled.plan.graph is graph
        assert compiled(np.ones(3))[1].graph is graph


def test_each_keeps_its_own_results_and_errors():
    def made():
        def fn(x, y):
            return np.linalg.inv(x * 1 + y)

        return dagexec.compile(traced(fn, np.eye(2), np.eye(2)), "serial")

    first, again = made(), made()
    kept = first(np.eye(2), np.eye(2))
    assert np.array_equal(again(3 * np.eye(2), np.eye(2)), np.eye(2) / 4)
    assert np.array_equal(kept, np.eye(2) / 2)
    with pytest.raises(np.linalg.LinAlgError) as raised:
        again(np.eye(2), -np.eye(2))
    assert "test_prepared.py" in "".join(raised.value.__notes__)


def test_large_constants_are_not_kept():
    large = np.ones(MOST_BYTES // 8 + 1)
    gone = weakref.ref(large)
    compiled = dagexec.compile(traced(times(large), 1.0), "serial")
    compiled(1.0)
    del compiled, large
    gc.collect()
    assert gone() is None
