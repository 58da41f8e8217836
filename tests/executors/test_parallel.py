"""Flat programs for several workers: the bits of a serial run, on memory of their own."""

from collections import Counter
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.coarsen import coarsen
from dagexec.events import Events
from dagexec.executors.lifetimes import places_of
from dagexec.executors.observing import observed
from dagexec.executors.parallel import Parallel, parallel_program_of
from dagexec.executors.serial import Serial
from dagexec.rewrite.split import split
from dagexec.steps import all_steps
from tests.executors.test_program import lodging
from tests.oracle import leaves_of
from tests.rewrite.comparing import assert_same_bits
from tests.strategies import programs

RANDOM = np.random.default_rng(0)


def values(*shape):
    return RANDOM.uniform(-1, 1, shape)


def network(w, v, x):
    hidden = np.tanh(x @ w)
    return np.mean((np.tanh(hidden @ v) - hidden) ** 2)


def step(size=32, shards=2):
    args = values(size, size), values(size, size), values(2 * size, size)
    graph = dagexec.trace(network)(*args).backward(wrt=(0, 1))
    return split(shards, -1e9)(graph), args


def program_for(plan, args, workers=2):
    seen = observed(plan, all_steps(plan), plan.values(leaves_of(args)), [])
    return parallel_program_of(plan, seen, workers)


def every_task_takes(plan, seconds):
    """The plan with costs that make lanes of it, whatever its size."""
    plan.__dict__["seconds"] = [seconds * (n + 1 in plan.tasks) for n in range(len(plan.functions))]
    return plan


# --- bits -----------------------------------------------------------------------------------------------
@settings(max_examples=40)
@given(program=programs(), workers=st.integers(1, 3), seed=st.integers(0, 99), always=st.booleans())
def test_random_programs_have_the_bits_of_a_serial_run(program, workers, seed, always):
    def total(arguments):
        return sum(np.sum(result) for result in program.run(*arguments))

    graph = dagexec.trace(total)(program.arguments).backward()
    plan = dagexec.plan(graph)
    plan.__dict__["seconds"] = np.random.default_rng(seed).uniform(1e-6, 1e-4, len(graph)).tolist()
    arguments = leaves_of(program.arguments)
    expected = Serial(plan)(plan.values(arguments), None, [])
    with lodging(always):
        made = program_for(plan, arguments, workers)
    if made is None:
        return
    for _ in range(2):
        assert_same_bits(made(arguments, []), expected)
    made.close()


def test_each_run_has_the_same_bits_and_results_of_its_own():
    graph, args = step()
    plan = dagexec.plan(graph)
    parallel = Parallel(plan, coarsen(plan), 2)
    runs = [parallel(plan.values(args), None, []) for _ in range(5)]
    assert parallel.program is not None
    for run in runs[1:]:
        assert_same_bits(run, runs[0])
    runs[4][1][:] = 0
    assert runs[3][1].any()
    parallel.close()


def test_other_arguments_and_other_strides():
    graph, args = step()
    plan = dagexec.plan(graph)
    parallel = Parallel(plan, coarsen(plan), 2)
    for _ in range(3):
        parallel(plan.values(args), None, [])
    for others in ([x + 1 for x in args], [np.asfortranarray(x) for x in args], list(args)):
        expected = Serial(plan)(plan.values(others), None, [])
        assert_same_bits(parallel(plan.values(others), None, []), expected)
    parallel.close()


def test_callers_from_several_threads_do_not_disturb_each_other():
    graph, args = step()
    plan = dagexec.plan(graph)
    parallel = Parallel(plan, coarsen(plan), 2)
    inputs = [[x + k for x in args] for k in range(4)]
    expected = [Serial(plan)(plan.values(each), None, []) for each in inputs]
    found = {}

    def call(k):
        found[k] = [parallel(plan.values(inputs[k]), None, []) for _ in range(8)]

    threads = [Thread(target=call, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        for run in found[k]:
            assert_same_bits(run, expected[k])
    parallel.close()


def test_a_recorded_run_goes_by_tasks():
    graph, args = step()
    plan = dagexec.plan(graph)
    parallel = Parallel(plan, coarsen(plan), 2)
    for _ in range(3):
        parallel(plan.values(args), None, [])
    log = Events(graph)
    parallel(parallel.plan.values(args), log, [])
    assert Counter(event.kind for event in log)["end"] == len(parallel.plan.tasks)
    parallel.close()


# --- memory ---------------------------------------------------------------------------------------------
def test_what_two_lanes_use_shares_its_place_with_nothing(monkeypatch):
    graph, args = step()
    plan = every_task_takes(dagexec.plan(graph), 1e-4)
    kept = {}

    def watched(found, given, results, elsewhere, fresh, lane_of):
        places = places_of(found, given, results, elsewhere, fresh, lane_of)
        users = {key: set() for key, place in places.of.items() if place.result is None}
        for call in found.calls:
            for key in call.keys:
                whole = found.root(found.seen[key].owner).whole
                if whole in users:
                    users[whole].add(lane_of(call.task))
        for key, lanes in users.items():
            offset = places.of[key].offset
            kept[key] = (offset, offset + found.seen[key].nbytes, lanes)
        return places

    monkeypatch.setattr("dagexec.executors.program.places_of", watched)
    program = program_for(plan, args)
    assert {lane for *_, lanes in kept.values() for lane in lanes} == {0, 1}
    assert any(len(lanes) == 2 for *_, lanes in kept.values())
    for key, (start, end, lanes) in kept.items():
        for other, (begin, stop, lanes_too) in kept.items():
            if key != other and start < stop and begin < end:
                assert lanes == lanes_too, (key, other)
                assert len(lanes) == 1, (key, other)
    program.close()


def test_memory_of_two_lanes_is_not_much_more_than_that_of_one():
    args = values(64, 64), values(64, 64), values(1024, 64)
    graph = split(2)(dagexec.trace(network)(*args).backward(wrt=(0, 1)))
    plan = dagexec.plan(graph)
    two, one = program_for(plan, args, 2), program_for(plan, args, 1)
    assert len(set(two._lanes.values())) == 2
    assert two.nbytes <= 1.3 * one.nbytes
    two.close(), one.close()


# --- errors ---------------------------------------------------------------------------------------------
def test_an_error_names_its_node_and_stops_the_run():
    def fn(x):
        return np.linalg.cholesky(x) + 1, np.sum(x @ x)

    good, bad = np.eye(4), -np.eye(4)
    plan = every_task_takes(dagexec.plan(dagexec.trace(fn)(good)), 1e-4)
    parallel = Parallel(plan, coarsen(plan), 2)
    for _ in range(3):
        parallel(plan.values([good]), None, [])
    assert parallel.program is not None
    with pytest.raises(np.linalg.LinAlgError) as caught:
        parallel(plan.values([bad]), None, [])
    assert len(caught.value.__notes__) == 1
    assert "cholesky(float64[4,4])" in caught.value.__notes__[0]
    parallel(plan.values([good]), None, [])
    parallel.close()


def test_a_run_that_is_stopped_raises_what_stopped_it():
    graph, args = step()
    plan = dagexec.plan(graph)
    program = program_for(plan, args)
    with pytest.raises(KeyboardInterrupt):
        program(args, [KeyboardInterrupt()])
    program.close()


def test_workers_see_the_callers_error_state():
    plan = dagexec.plan(split(2, -1e9)(dagexec.trace(lambda x: np.sum(np.log(x)))(np.ones(8))))
    plan = every_task_takes(plan, 1e-4)
    program = program_for(plan, [np.ones(8)])
    with np.errstate(divide="ignore"):
        assert program([np.zeros(8)], [])[0] == -np.inf
    program.close()


def test_threads_become_a_program_where_tasks_are_long():
    args = values(64, 64), values(64, 64), values(1024, 64)
    graph = dagexec.trace(network)(*args).backward(wrt=(0, 1))
    with dagexec.compile(graph, "threads", workers=2) as compiled:
        runs = [compiled(*args) for _ in range(4)]
        assert "a flat program" in compiled.explain()
        assert "bytes" in compiled.source
    for run in runs:
        assert_same_bits(run, dagexec.run(graph, *args, executor="serial"))
    small, arguments = step(8)
    with dagexec.compile(small, "threads", workers=2) as compiled:
        for _ in range(4):
            compiled(*arguments)
        assert compiled.source == ""
