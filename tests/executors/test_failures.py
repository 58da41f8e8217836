"""Errors as values, retries, time limits: what is run, what is told, and what stays as it was."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from itertools import count
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.executors import Runner, TasksFailed
from dagexec.executors.failures import Failure
from dagexec.plan import lay_out
from tests.dags import Boom, boom, dag, edge_lists, mix, some_of, values_of

EXECUTORS = ("serial", "threads", "processes", "auto")
LOCAL = ("serial", "threads", "auto")


def plan_of(functions, sources, outputs, labels=None):
    return lay_out(functions, sources, [(slot, None) for slot in outputs], constants={}, labels=labels)


def run(plan, executor, **options):
    with Runner(plan, executor, 2, options) as runner:
        return runner.run()


def double(x):
    return 2 * x


def one():
    return 1


def fail(*_):
    raise Boom("no")


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_does_not_depend_on_a_failed_task_still_runs(executor):
    plan = plan_of([one, fail, double, double, max], [(), (), (0,), (1,), (2, 3)], [2, 4], "abcde")
    with pytest.raises(TasksFailed, match=r"1 task failed: 'b'; 2 tasks skipped: 'd', 'e'") as caught:
        run(plan, executor, on_error="continue")
    failed = caught.value
    assert isinstance(failed.failed["b"], Boom)
    assert failed.failed.keys() == {"b"}
    assert failed.skipped == ["d", "e"]
    assert failed.results[0] == 2
    assert isinstance(failed.results[1], Failure)
    assert any("raised by task 'b'" in note for note in failed.failed["b"].__notes__)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_going_on_without_a_failure_changes_nothing(executor):
    plan = plan_of([one, double], [(), (0,)], [1])
    assert run(plan, executor, on_error="continue") == [2]


@pytest.mark.parametrize("executor", LOCAL)
@settings(max_examples=100, deadline=None)
@given(data=st.data(), edges=edge_lists())
def test_failed_and_skipped_are_exactly_the_failing_and_those_behind_them(executor, data, edges):
    outputs = data.draw(some_of(edges))
    failing = data.draw(st.frozensets(st.integers(0, len(edges) - 1), max_size=3))
    functions = [boom(number) if number in failing else mix(number) for number in range(len(edges))]
    plan = plan_of(functions, [tuple(sources) for sources in edges], outputs)
    behind: set[int] = set()
    for number, sources in enumerate(edges):
        if number in failing or not behind.isdisjoint(sources):
            behind.add(number)
    values = values_of(edges)
    first = {number for number in failing if not behind & set(edges[number])}
    if not behind:
        assert run(plan, executor, on_error="continue") == [values[output] for output in outputs]
        return
    with pytest.raises(TasksFailed) as caught:
        run(plan, executor, on_error="continue")
    failed = caught.value
    assert failed.failed.keys() == first
    assert set(failed.skipped) == behind - first
    assert all(str(error) == f"node {number}" for number, error in failed.failed.items())
    for output, result in zip(outputs, failed.results):
        if output in behind:
            assert isinstance(result, Failure)
        else:
            assert result == values[output]


@pytest.mark.parametrize("executor", LOCAL)
def test_a_task_is_called_again_as_often_as_it_may_be(executor):
    calls = count(1)

    def third_time_lucky():
        if next(calls) < 3:
            raise Boom("not yet")
        return 5

    plan = plan_of([third_time_lucky, double], [(), (0,)], [1], "xy")
    assert run(plan, executor, retries=2) == [10]
    calls = count(1)
    with pytest.raises(Boom):
        run(plan, executor, retries=1)
    calls = count(1)
    assert run(plan, executor, retries={"x": 2}) == [10]
    calls = count(1)
    with pytest.raises(Boom):
        run(plan, executor, retries={"y": 2})


def sleep_long():
    time.sleep(1.5)
    return 1


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_task_that_takes_too_long_is_given_up_and_named(executor):
    plan = plan_of([one, sleep_long, double], [(), (), (1,)], [0, 2], "xyz")
    with pytest.raises(TimeoutError, match=r"after 0.2 seconds") as caught:
        run(plan, executor, timeout=0.2)
    assert any("task 'y'" in note for note in caught.value.__notes__)
    with pytest.raises(TasksFailed) as failed:
        run(plan, executor, timeout={"y": 0.2}, on_error="continue")
    assert failed.value.results[0] == 1
    assert failed.value.skipped == ["z"]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_task_in_time_gives_its_value_or_its_own_error(executor):
    assert run(plan_of([one, double], [(), (0,)], [1]), executor, timeout=60) == [2]
    with pytest.raises(Boom):
        run(plan_of([fail], [()], [0]), executor, timeout=60)


def test_an_option_for_what_is_no_task_is_an_error():
    with pytest.raises(KeyError, match="retries is given for 'q', which is no task"):
        Runner(plan_of([one], [()], [0], "x"), "serial", None, {"retries": {"q": 1}})


def test_options_that_make_no_sense_are_errors():
    plan = plan_of([one], [()], [0])
    with pytest.raises(ValueError, match="on_error is 'ignore'; it can be stop, continue"):
        Runner(plan, "serial", None, {"on_error": "ignore"})
    with pytest.raises(TypeError, match="no option 'retry'"):
        Runner(plan, "serial", None, {"retry": 3})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(ValueError, match="retries is -1"):
        Runner(plan, "serial", None, {"retries": -1})
    with pytest.raises(ValueError, match="timeout is 0"):
        Runner(plan, "serial", None, {"timeout": 0})
    with pytest.raises(ValueError, match="max_live_bytes is -5"):
        Runner(plan, "serial", None, {"max_live_bytes": -5})


@pytest.mark.parametrize("executor", LOCAL)
def test_more_failures_than_fit_a_line_are_counted(executor):
    with pytest.raises(TasksFailed, match=r"30 tasks failed: .* and 20 more; 0 tasks skipped$"):
        run(plan_of([fail] * 30, [()] * 30, range(30)), executor, on_error="continue")


def test_options_reach_graphs_by_their_nodes_numbers():
    graph = dag([[], [0]], [1], failing=frozenset({1}))
    with pytest.raises(TasksFailed) as caught:
        dagexec.run(graph, on_error="continue", retries={1: 1})
    assert caught.value.failed.keys() == {1}


def test_a_cancelled_task_is_not_called_again():
    calls = count(1)
    began = Event()

    def never():
        next(calls)
        began.set()
        time.sleep(0.05)
        raise Boom("again")

    for executor in ("serial", "threads"):
        calls = count(1)
        began.clear()
        handle = dagexec.submit(run, plan_of([never], [()], [0]), executor, retries=1000)
        assert began.wait(30)
        handle.cancel()
        with pytest.raises(CancelledError):
            handle.result(30)
        assert next(calls) < 20


def test_an_option_for_a_key_that_is_not_needed_is_left_out_but_an_unknown_one_is_an_error():
    dsk = {"x": (double, 3), "y": (fail,), "data": 5}
    assert dagexec.get(dsk, "x", retries={"y": 3, "data": 1, "x": 1}) == 6
    with pytest.raises(KeyError, match="'z', which is no task"):
        dagexec.get(dsk, "x", retries={"z": 3})


def test_priority_holds_on_one_worker_as_well():
    order: list[str] = []
    plan = plan_of([lambda name=name: order.append(name) for name in "abc"], [()] * 3, range(3), "abc")
    run(plan, "serial", priority={"c": 2, "b": 1})
    assert order == ["c", "b", "a"]


def test_costs_of_an_earlier_run_are_taken_for_estimates():
    graph = dag([[], [0]], [1])
    with dagexec.compile(graph, "threads", costs=[1.0, 2.0]) as compiled:
        assert sum(compiled.plan.seconds) == 3.0
    with pytest.raises(ValueError, match="3 costs for 2 nodes"):
        dagexec.compile(graph, costs=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_failure_of_a_run_within_a_task_is_a_value_to_the_run_around_it(executor):
    def inner():
        with pytest.raises(TasksFailed) as caught:
            run(plan_of([fail, one], [(), ()], [0, 1]), "serial", on_error="continue")
        return caught.value.results  # [Failure, 1]

    def told(value):
        return [repr(error) for error in value.errors.values()]

    def first(values):
        return values[0]

    functions = [inner, first, told, fail, double]
    sources = [(), (0,), (1,), (), (3,)]
    plan = plan_of(functions, sources, range(5), "abcde")
    with pytest.raises(TasksFailed) as caught:
        run(plan, executor, on_error="continue")
    assert caught.value.failed.keys() == {"d"}
    assert caught.value.skipped == ["e"]
    held, value, text, *missing = caught.value.results
    assert [type(held[0]), type(value)] == [Failure] * 2
    assert (held[1], text) == (1, told(value))
    assert [type(value) for value in missing] == [Failure] * 2

    plan = lay_out(functions[:3], sources[:3], [(1, None), (0, 0), (2, None)], constants={})
    assert [type(value) for value in run(plan, executor, on_error="continue")] == [Failure, Failure, list]


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_processes_start_by_the_method_that_is_asked_for(method):
    assert run(plan_of([one, double], [(), (0,)], [1]), "processes", start_method=method) == [2]


def test_an_unknown_start_method_is_an_error():
    with pytest.raises(ValueError, match="start_method is 'fork'; it can be forkserver, spawn"):
        Runner(plan_of([one], [()], [0]), "processes", None, {"start_method": "fork"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retries": 1.5}, "retries is 1.5; it must be a whole number, at least 0"),
        ({"retries": {"x": "2"}}, "retries is '2'; it must be a whole number, at least 0"),
        ({"timeout": "1"}, "timeout is '1'; it must be a positive number of seconds"),
        ({"max_live_bytes": float("nan")}, "max_live_bytes is nan; it must be a number, at least 0"),
    ],
)
def test_an_option_that_is_no_number_is_an_error_before_the_run(options, message):
    with pytest.raises(ValueError, match=message):
        Runner(plan_of([one], [()], [0], "x"), "serial", None, options)


@pytest.mark.parametrize("workers", [2.5, "two", 0])
def test_workers_that_are_no_whole_number_are_an_error(workers):
    with pytest.raises(ValueError, match=f"workers is {workers!r}; it must be a whole number, at least one"):
        Runner(plan_of([one], [()], [0]), "threads", workers)
