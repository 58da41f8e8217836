"""Batches on processes: each task exactly once, in the log as it ran, and nobody waits for a long one."""

from __future__ import annotations

import os
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.executors.processes import Processes
from dagexec.plan import lay_out, plan
from tests.dags import Boom, dag, edge_lists, side_by_side, some_of, values_of
from tests.executors.callables import call, compiled, graph_of, run


def lengthy(edges):
    """The same DAG eight times over: enough for batches of some length."""
    return side_by_side([edges] * 8)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data(), parts=st.lists(edge_lists(), min_size=10, max_size=10))
def test_each_task_runs_exactly_once_and_every_value_is_right(data, parts):
    edges = lengthy(side_by_side(parts))
    outputs = data.draw(some_of(edges))
    expected = values_of(edges)
    with compiled(dag(edges, outputs), events=True) as executor:
        for _ in range(4):  # from single tasks to long batches
            results, events = executor()
            assert list(results) == [expected[number] for number in outputs]
            check_log(edges, outputs, list(events))


def check_log(edges, outputs, events):
    def times(kind):
        noted = [(event.task, event.time) for event in events if event.kind == kind]
        assert len(dict(noted)) == len(noted)
        return dict(noted)

    ready, start, end, free = map(times, ("ready", "start", "end", "free"))
    assert ready.keys() == start.keys() == end.keys() == set(range(len(edges)))
    assert free.keys() == set(range(len(edges))) - set(outputs)
    for number, sources in enumerate(edges):
        assert start[number] <= end[number]
        if sources:  # roots are ready before the workers' first message
            assert ready[number] == max(end[source] for source in sources)
        assert ready[number] <= start[number]
        for source in sources:
            assert source not in free or free[source] >= end[number]
    busy: dict[int, list[tuple[float, float]]] = {}
    worker = {event.task: event.worker for event in events if event.kind == "start"}
    for number in worker:
        busy.setdefault(worker[number], []).append((start[number], end[number]))
    for spans in busy.values():
        spans.sort()
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data(), edges=edge_lists())
def test_an_error_inside_of_a_batch_names_its_task(data, edges):
    edges = lengthy(edges)
    failing = frozenset(data.draw(st.sets(st.integers(0, len(edges) - 1), min_size=1, max_size=3)))

    def make(number):
        def checked(armed, *values):
            if armed and number in failing:
                raise Boom(f"node {number}")
            return number

        return checked

    count = len(edges)
    p = lay_out(
        [*map(make, range(count)), None],
        [*((count, *sources) for sources in edges), ()],
        [(number, None) for number in range(count)],
        constants={},
        inputs=(count,),
        labels=[f"n{number}" for number in range(count + 1)],
    )
    execute = Processes(p, 2)
    try:
        for armed in (False, False, True, False, True):
            values = [*[None] * count, armed]
            if not armed:
                assert execute(values, None, []) == list(range(count))
                continue
            with pytest.raises(Boom) as caught:
                execute(values, None, [])
            number = int(str(caught.value).removeprefix("node "))
            assert number in failing
            assert f"raised by task 'n{number}'" in caught.value.__notes__
    finally:
        execute.close()


def test_after_an_error_the_rest_of_a_batch_and_the_batches_behind_it_do_not_run(tmp_path):
    log = tmp_path / "log"

    def note(armed):
        with log.open("a") as file:
            file.write("x")

    def fails(armed, before):
        if armed:
            raise Boom

    # A chain: whatever is batched, what follows the failing task must not run.
    functions = [None, note, *[lambda armed, before: note(armed)] * 50, fails]
    functions += [lambda armed, before: note(armed)] * 50
    sources = [(), (0,), *[(0, number) for number in range(1, len(functions) - 1)]]
    p = lay_out(
        functions, sources, [(len(functions) - 1, None)], constants={}, inputs=(0,), labels=range(103)
    )
    execute = Processes(p, 2)
    try:
        for _ in range(6):
            execute([False, *[None] * (len(functions) - 1)], None, [])
        log.write_text("")
        with pytest.raises(Boom):
            execute([True, *[None] * (len(functions) - 1)], None, [])
        assert len(log.read_text()) == 51
    finally:
        execute.close()


def test_a_long_task_where_short_ones_were_expected_holds_up_nobody():
    def work(naps, number):
        time.sleep(naps[number])
        return os.getpid()

    count = 200
    p = lay_out(
        [None, *[work] * count, *[None] * count],
        [(), *[(0, 1 + count + number) for number in range(count)], *[()] * count],
        [(1 + number, None) for number in range(count)],
        constants={1 + count + number: number for number in range(count)},
        inputs=(0,),
    )
    execute = Processes(p, 2)

    def pids(naps):
        return execute([naps, *[None] * count, *range(count)], None, [])

    try:
        for _ in range(10):
            pids([0.0] * count)
        assert execute._pool.typical < 1e-3  # a batch holds many of them
        lasting = pids([0.05] * 40 + [0.0] * (count - 40))[:40]
        assert 5 < lasting.count(lasting[0]) < 35  # both workers have their part of the forty
    finally:
        execute.close()


def test_few_long_tasks_are_spread_from_the_first_run_on():
    def nap():
        time.sleep(0.1)
        return os.getpid()

    pids = run(*[call(nap) for _ in range(8)])
    assert pids.count(pids[0]) in (3, 4, 5)


def test_values_inside_of_a_batch_stay_in_the_worker(monkeypatch):
    class Unsendable:
        def __reduce__(self):
            raise TypeError("not to be sent")

    made = call(Unsendable)
    graph = graph_of(call(lambda value: type(value).__name__, made), call(lambda: 1))
    monkeypatch.setattr("dagexec.executors.pool.OVERHEAD", 1e-9)
    p = plan(graph)
    p.__dict__["costs"] = [1e-9] * len(p.functions)  # known to be short: made and read in one batch
    execute = Processes(p, 1)
    try:
        assert execute(p.values(), None, [])[0] == "Unsendable"
    finally:
        execute.close()


def test_arrays_of_one_batch_that_overlap_go_on_to_in_another():
    whole = call(lambda: np.arange(1000.0))
    part = call(lambda x: x[10:20], whole)
    same = call(lambda x, y: bool(np.shares_memory(x, y)), whole, part)
    assert run(same, whole, part, *[call(lambda n=n: n) for n in range(100)])[0] is True


def test_a_plan_of_one_function_is_short_on_its_way():
    p = lay_out([abs] * 20_000, [()] + [(0,)] * 19_999, [(1, None)], constants={})
    execute = Processes(p, 1)
    try:
        execute._started()
        assert len(execute._pool._plan) < 20 * 20_000
    finally:
        execute.close()


def test_a_graph_keeps_its_bits_when_its_batches_grow():
    x = np.random.default_rng(0).normal(size=(40, 40))

    def program(x):
        for number in range(30):
            x = np.tanh(x @ x.T / 40) + x[::-1] * number
        return np.sum(x * x)

    graph = dagexec.trace(program)(x).backward()
    expected, gradient = dagexec.run(graph, x, executor="serial")
    with compiled(graph) as executor:
        for _ in range(8):
            value, computed = executor(x)
            assert value == expected
            assert np.array_equal(computed, gradient)
