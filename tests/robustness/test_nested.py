"""Tasks that run graphs themselves: no run waits for another's threads, so none waits for ever."""

from __future__ import annotations

import pytest

import dagexec
from dagexec.executors import Runner
from dagexec.plan import lay_out
from tests.dags import Boom
from tests.robustness.watching import nothing_left, within

LOCAL = ("serial", "threads", "auto")
EXECUTORS = (*LOCAL, "processes")


def fan(function, count):
    """`count` calls of a function, and the sum of what they return."""
    functions = [function] * count + [lambda *values: sum(values)]
    return lay_out(functions, [()] * count + [tuple(range(count))], [(count, None)], constants={})


def run(plan, executor, options=None):
    with Runner(plan, executor, 2, options) as runner:
        return runner.run()[0]


@pytest.mark.parametrize("inner", LOCAL)
@pytest.mark.parametrize("outer", EXECUTORS)
def test_three_levels_on_two_workers(outer, inner):
    def lowest():
        return run(fan(lambda: 1, 3), inner)

    def middle():
        return run(fan(lowest, 3), inner)

    assert within(lambda: run(fan(middle, 3), outer)) == 27


@pytest.mark.parametrize("options", [{}, {"priority": {0: 1.0}}], ids=["light", "ranked"])
def test_three_levels_of_the_order_that_costs_a_lock(options):
    def lowest():
        return run(fan(lambda: 1, 3), "threads", options)

    def middle():
        return run(fan(lowest, 3), "threads", options)

    with nothing_left():
        assert within(lambda: run(fan(middle, 3), "threads", options)) == 27


@pytest.mark.parametrize("executor", LOCAL)
def test_a_task_may_call_get(executor):
    def inner(x):
        return dagexec.get({"a": x, "b": (abs, "a"), "c": (max, "a", "b")}, "c", executor=executor, workers=2)

    dsk = {("x", n): (inner, -n) for n in range(10)} | {"sum": (sum, [("x", n) for n in range(10)])}
    assert within(lambda: dagexec.get(dsk, "sum", executor=executor, workers=2)) == 45


@pytest.mark.parametrize("executor", LOCAL)
def test_a_runner_may_be_run_by_its_own_tasks(executor):
    def task(level):
        if level == 0:
            return 1
        values = plan.values()
        values[0] = level - 1
        return runner.run(values)[0]

    sources = [(), (0,), (0,), (0,), (1, 2, 3)]
    functions = [None, task, task, task, lambda *values: sum(values)]
    plan = lay_out(functions, sources, [(4, None)], constants={}, inputs=(0,))
    with nothing_left(), Runner(plan, executor, 2) as runner:
        values = plan.values()
        values[0] = 3
        assert within(lambda: runner.run(values)) == [3**4]


@pytest.mark.parametrize("executor", LOCAL)
def test_an_error_deep_down_names_the_task_of_each_level(executor):
    def fail():
        raise Boom("deep")

    def level(name, function):
        plan = lay_out([function], [()], [(0, None)], constants={}, labels=[name])
        return lambda: run(plan, executor)

    with pytest.raises(Boom) as caught:
        within(level("outer", level("middle", level("inner", fail))))
    notes = [f"raised by task '{name}'" for name in ("inner", "middle", "outer")]
    assert caught.value.__notes__ == notes
