"""Tasks and values that do what they should not: all that is expected of a task is that it can be called."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest

from dagexec.events import Events
from dagexec.executors import Runner, TasksFailed
from dagexec.plan import lay_out
from tests.dags import Boom
from tests.robustness.watching import nothing_left, within

LOCAL = ("serial", "threads", "auto")
EXECUTORS = (*LOCAL, "processes")
# Each way of dispatch, beside the executors' own choice.
WAYS = {
    "serial": ("serial", {}),
    "threads": ("threads", {}),
    "ranked": ("threads", {"priority": {"t0": 1.0}}),
    "limited": ("threads", {"max_live_bytes": 10}),
    "auto": ("auto", {}),
    "going-on": ("threads", {"on_error": "continue"}),
}


class Awkward(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Worst(Mute):
    __repr__ = Mute.__str__


ERRORS = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": lambda: StopIteration(5),
    "StopAsyncIteration": StopAsyncIteration,
    "Awkward": lambda: Awkward(1, 2),
    "Mute": Mute,
    "Worst": Worst,
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "ExceptionGroup": lambda: ExceptionGroup("two", [Boom(), Boom()]),
}


def plan_of(functions, sources, outputs):
    labels = [f"t{slot}" for slot in range(len(functions))]
    return lay_out(functions, sources, [(slot, None) for slot in outputs], constants={}, labels=labels)


def run(plan, executor, options=None, log=None):
    def call():
        with Runner(plan, executor, 2, options) as runner:
            return runner.run(None, log)

    return within(call)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("way", [way for way in WAYS if way != "going-on"])
def test_whatever_a_task_raises_is_what_the_run_raises(way, error):
    raised = ERRORS[error]()

    def fail(*_):
        raise raised

    executor, options = WAYS[way]
    plan = plan_of([lambda: 1, fail, lambda x: x, *[lambda: 2] * 5], [(), (0,), (1,), *[()] * 5], [2])
    with nothing_left():
        with pytest.raises(type(raised)) as caught:
            run(plan, executor, options)
        assert caught.value is raised
        assert raised.__notes__ == ["raised by task 't1'"]


@pytest.mark.parametrize("error", [name for name in ERRORS if name not in ("KeyboardInterrupt",)])
def test_whatever_a_task_raises_comes_from_processes(error):
    def fail():
        raise ERRORS[error]()

    with pytest.raises(BaseException) as caught:  # noqa: PT011
        run(plan_of([fail], [()], [0]), "processes")
    assert isinstance(caught.value, type(ERRORS[error]()) | RuntimeError)
    assert any("raised by task 't0'" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("executor", LOCAL)
def test_what_is_no_exception_is_not_gone_on_from(executor):
    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        run(plan_of([leave], [()], [0]), executor, {"on_error": "continue", "retries": 3})


@pytest.mark.parametrize("executor", LOCAL)
def test_errors_that_cannot_be_shown_are_reported_all_the_same(executor):
    def fail():
        raise Worst

    with pytest.raises(TasksFailed) as caught:
        run(plan_of([fail, lambda: 1], [(), ()], [0, 1]), executor, {"on_error": "continue"})
    assert caught.value.failed.keys() == {"t0"}
    assert caught.value.results[1] == 1


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_task_that_recurses_too_deeply_fails_and_one_that_does_not_works(executor):
    def deep(n=0):
        return deep(n + 1)

    def countdown(n=200):
        return n and countdown(n - 1)

    with pytest.raises(RecursionError):
        run(plan_of([deep], [()], [0]), executor)
    assert run(plan_of([countdown], [()], [0]), executor) == [0]


@pytest.mark.parametrize("way", WAYS)
def test_values_can_be_anything(way):
    def itself():
        return itself

    recursive: list[object] = []
    recursive.append(recursive)
    values = [itself, (x for x in "ab"), threading.Lock(), lambda: 3, recursive, NotImplemented, None, type]
    functions = [lambda value=value: value for value in values] + [lambda value: value for _ in values]
    count = len(values)
    sources = [()] * count + [(number,) for number in range(count)]
    plan = plan_of(functions, sources, range(count, 2 * count))
    executor, options = WAYS[way]
    for log in (None, Events(plan.graph)):
        results = run(plan, executor, options, log)
        assert all(result is value for result, value in zip(results, values))


class Touchy:
    """Can be passed on, and nothing else."""

    def _no(self, *_):
        raise AssertionError("touched")

    __eq__ = __ne__ = __lt__ = __bool__ = __len__ = __iter__ = __hash__ = __getitem__ = __repr__ = _no  # type: ignore[assignment]


class TouchyFunction(Touchy):
    def __call__(self, *values):
        return values[0] if values else Touchy()


@pytest.mark.parametrize("logged", [False, True], ids=["bare", "logged"])
@pytest.mark.parametrize("way", WAYS)
def test_neither_values_nor_functions_are_compared_or_tested_for_truth(way, logged):
    executor, options = WAYS[way]
    functions = [TouchyFunction() for _ in range(5)]
    plan = plan_of(functions, [(), (0,), (0, 0), (1, 2), (3, 3, 1)], [4, 4])
    log = Events(plan_of([abs] * 5, plan.sources, [4]).graph) if logged else None
    results = run(plan, executor, options, log)
    assert type(results[0]) is Touchy
    assert results[0] is results[1]


@pytest.mark.parametrize("way", WAYS)
def test_values_that_compare_to_arrays_are_passed_on(way):
    executor, options = WAYS[way]
    plan = plan_of([lambda: np.arange(3)] * 2 + [np.add, np.add], [(), (), (0, 1), (2, 2)], [3, 2])
    first, second = run(plan, executor, options)
    assert (first == [0, 4, 8]).all()
    assert (second == [0, 2, 4]).all()


class Mourned:
    """Runs a graph when it is dropped, and then raises."""

    dropped = 0

    def __del__(self):
        inner = plan_of([lambda: 1, abs], [(), (0,)], [1])
        for executor in ("serial", "threads"):
            with Runner(inner, executor, 2) as runner:
                assert runner.run() == [1]
        Mourned.dropped += 1
        raise Boom("dropped")


@pytest.mark.parametrize("way", WAYS)
def test_a_value_may_run_a_graph_when_it_is_dropped_and_raise(way, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    executor, options = WAYS[way]
    count, Mourned.dropped = 5, 0
    functions = [lambda: Mourned()] * count + [lambda _: 1] * count + [lambda *values: sum(values)]
    sources = [()] * count + [(n,) for n in range(count)] + [tuple(range(count, 2 * count))]
    assert run(plan_of(functions, sources, [2 * count]), executor, options) == [count]
    gc.collect()
    assert Mourned.dropped == count


@pytest.mark.parametrize("executor", LOCAL)
def test_tasks_may_set_how_numpy_treats_errors(executor):
    def strict():
        with np.errstate(divide="raise"):
            try:
                np.float64(1) / np.float64(0)
            except FloatingPointError:
                return True
        return False

    with np.errstate(divide="ignore"):
        plan = plan_of([strict, lambda: float(np.float64(1) / np.float64(0))] * 20, [()] * 40, range(40))
        assert run(plan, executor) == [True, float("inf")] * 20
        assert np.geterr()["divide"] == "ignore"


@pytest.mark.parametrize("executor", LOCAL)
def test_tasks_may_change_the_recursion_limit(executor):
    before = sys.getrecursionlimit()

    def change(*_):
        sys.setrecursionlimit(before + 100)
        return sys.getrecursionlimit()

    try:
        plan = plan_of([change, change, lambda *x: x], [(), (0,), (0, 1)], [2])
        assert run(plan, executor) == [(before + 100,) * 2]
    finally:
        sys.setrecursionlimit(before)


def test_what_tasks_print_is_printed(capfd):
    for executor in LOCAL:
        run(plan_of([lambda: print("said so")], [()], [0]), executor)
        assert capfd.readouterr().out == "said so\n"


NOT_SENT = {
    "lock": threading.Lock,
    "generator": lambda: (x for x in "ab"),
}


@pytest.mark.parametrize("name", NOT_SENT)
def test_a_value_that_cannot_be_sent_names_its_task(name):
    make = NOT_SENT[name]
    with pytest.raises(Exception, match="pickle") as caught:
        run(plan_of([make, lambda _: 1], [(), (0,)], [0, 1]), "processes")
    assert any("task 't0'" in note for note in caught.value.__notes__)
