"""The adaptive choice: whatever it decides, the values are the same and each task runs once."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagexec.events import Events
from dagexec.executors import Runner, adaptive
from dagexec.executors.adaptive import Adaptive
from dagexec.plan import lay_out
from tests.dags import Boom, edge_lists, mix, values_of

INF = float("inf")
# Constants of the module that force a path through it.
AT_ONCE = {"WORTH_SHARING": 0, "CHUNK": 1e-9, "LEAST_PARALLELISM": 0}
DECISIONS = {
    "never share": {"WORTH_SHARING": INF},
    "share at once": {**AT_ONCE, "KNOCKS": 0, "PATIENCE": INF},
    "knock for ever": {**AT_ONCE, "KNOCKS": INF, "PATIENCE": 0, "ALONE": 1e-9},
}


@pytest.fixture(params=DECISIONS)
def decision(request, monkeypatch):
    for name, value in DECISIONS[request.param].items():
        monkeypatch.setattr(adaptive, name, value)
    return request.param


def plan_of(edges, calls, seconds=0.0):
    def function(number):
        compute = mix(number)

        def call(*values):
            calls.append(number)
            if seconds:
                time.sleep(seconds)
            return compute(*values)

        return call

    functions = [function(number) for number in range(len(edges))]
    outputs = [(number, None) for number in range(len(edges))]
    return lay_out(functions, [tuple(reads) for reads in edges], outputs, constants={})


LATTICE = [[], [], [], *[[n, n + 1 if n % 3 < 2 else n - 2] for n in range(60)]]


@pytest.mark.parametrize("name", DECISIONS)
@settings(max_examples=50)
@given(edges=edge_lists(), workers=st.integers(1, 4))
def test_whatever_it_decides_each_task_runs_once_and_values_are_right(name, edges, workers):
    calls: list[int] = []
    plan = plan_of(edges, calls)
    with pytest.MonkeyPatch.context() as patch:
        for constant, value in DECISIONS[name].items():
            patch.setattr(adaptive, constant, value)
        execute = Adaptive(plan, workers)
        for _ in range(3):
            assert list(execute(plan.values(), None, [])) == values_of(edges)
            assert sorted(calls) == list(range(len(edges)))
            calls.clear()
        execute.close()


def test_what_it_decided_is_told(decision):
    calls: list[int] = []
    plan = plan_of(LATTICE, calls, 20e-6)
    execute = Adaptive(plan, 2)
    assert list(execute(plan.values(), None, [])) == values_of(LATTICE)
    execute.close()
    story = "\n".join(execute.story)
    told = {
        "never share": "all 63 tasks run serially",
        "share at once": "so then 2 threads",
        "knock for ever": "hold the interpreter's lock",
    }
    assert told[decision] in story
    assert execute.chosen == ("threads" if decision == "share at once" else "serial")


def test_a_recorded_run_has_every_event_and_decides_nothing(decision):
    calls: list[int] = []
    plan = plan_of(LATTICE, calls)
    execute = Adaptive(plan, 2)
    for _ in range(2):
        log = Events(plan.graph)
        assert list(execute(plan.values(), log, [])) == values_of(LATTICE)
        assert sorted(event.task for event in log if event.kind == "end") == list(range(len(LATTICE)))
        execute(plan.values(), None, [])
    execute.close()


def test_an_error_is_raised_wherever_it_comes(decision):
    for failing in (0, 5, 30, 62):
        functions = [mix(number) for number in range(len(LATTICE))]

        def fail(*values, failing=failing):
            raise Boom(f"node {failing}")

        functions[failing] = fail
        plan = lay_out(functions, [tuple(reads) for reads in LATTICE], [(62, None)], constants={})
        with Runner(plan, "auto", 2) as runner:
            for _ in range(2):
                with pytest.raises(Boom, match=rf"node {failing}\b") as caught:
                    runner.run()
                assert any(f"node %{failing} " in note for note in caught.value.__notes__)


def test_a_run_stopped_wherever_it_is_begins_no_more(decision):
    for at in (0, 5, 30):
        calls: list[int] = []
        stop: list[BaseException] = []
        plan = plan_of(LATTICE, calls)
        functions = plan.functions.copy()
        functions[at] = lambda *values, stop=stop: stop.append(Boom("stopped"))
        plan = lay_out(functions, plan.sources, [(62, None)], constants={})
        execute = Adaptive(plan, 2)
        with pytest.raises(Boom, match="stopped"):
            execute(plan.values(), None, stop)
        execute.close()
        assert len(calls) < len(LATTICE) - 1


def test_a_plan_without_tasks_has_nothing_to_decide(decision):
    plan = lay_out([None], [()], [(0, None)], constants={0: 5})
    execute = Adaptive(plan, 2)
    assert list(execute(plan.values(), None, [])) == [5]
    execute.close()


def test_no_knocking_outlives_a_run(decision):
    before = threading.active_count()
    plan = plan_of(LATTICE, [])
    execute = Adaptive(plan, 2)
    for _ in range(20):
        execute(plan.values(), None, [])
    execute.close()
    for _ in range(1000):
        if threading.active_count() == before:
            return
        time.sleep(0.005)
    raise AssertionError(threading.enumerate())
