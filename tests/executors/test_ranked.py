"""Dispatch by urgency: priorities, longest paths, the limit on bytes."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagexec.events import Events
from dagexec.executors import Runner
from dagexec.executors.ranked import RankedRun
from dagexec.executors.threads import Threads
from dagexec.plan import lay_out, longest_paths
from tests.dags import edge_lists, mix, values_of

INF = float("inf")
PATIENCE = 30


def plan_of(edges, calls, labels=None):
    def function(number):
        compute = mix(number)
        return lambda *values: calls.append(number) or compute(*values)

    functions = [function(number) for number in range(len(edges))]
    outputs = [(number, None) for number in range(len(edges))]
    sources = [tuple(reads) for reads in edges]
    return lay_out(functions, sources, outputs, constants={}, labels=labels)


def greedy(edges, urgency):
    """The order in which one worker takes the most urgent ready task."""
    done: list[int] = []
    while len(done) < len(edges):
        ready = [n for n, reads in enumerate(edges) if n not in done and set(reads) <= set(done)]
        done.append(min(ready, key=urgency))
    return done


@given(data=st.data(), edges=edge_lists(15))
def test_one_worker_takes_the_ready_task_of_the_highest_priority(data, edges):
    priority = data.draw(st.lists(st.integers(-2, 2), min_size=len(edges), max_size=len(edges)))
    priority[0] = 3  # lest all be 0
    calls: list[int] = []
    plan = plan_of(edges, calls)
    with Runner(plan, "threads", 1, {"priority": dict(enumerate(map(float, priority)))}) as runner:
        assert runner.run() == values_of(edges)
    length = longest_paths(plan.tasks, plan.successors, [1.0] * len(edges))
    assert calls == greedy(edges, lambda n: (-priority[n], -length[n], n))


@given(data=st.data(), edges=edge_lists(15))
def test_one_worker_takes_the_longest_path_where_tasks_are_long(data, edges):
    costs = data.draw(st.lists(st.integers(1, 9), min_size=len(edges), max_size=len(edges)))
    calls: list[int] = []
    plan = replace(plan_of(edges, calls), costs=[float(cost) for cost in costs])
    threads = Threads(plan, 1)
    assert list(threads(plan.values(), None, [])) == values_of(edges)
    threads.close()

    def remaining(n):
        return costs[n] + max((remaining(m) for m in range(len(edges)) if n in edges[m]), default=0)

    assert calls == greedy(edges, lambda n: (-remaining(n), n))


@pytest.mark.parametrize("workers", [2, 3, 5])
@given(edges=edge_lists())
def test_several_workers_run_each_task_once_and_report_it(workers, edges):
    calls: list[int] = []
    plan = plan_of(edges, calls)
    log = Events(plan.graph)
    threads = Threads(plan, workers)
    assert list(threads(plan.values(), log, [])) == values_of(edges)
    threads.close()
    assert sorted(calls) == list(range(len(edges)))
    for kind in ("ready", "start", "end"):
        assert sorted(event.task for event in log if event.kind == kind) == sorted(calls)
    assert {event.worker for event in log} <= set(range(workers))


def test_a_run_whose_helpers_never_come_is_done_by_the_caller():
    calls: list[int] = []
    edges = [[], [], [0, 1], [2], [2]]
    plan = plan_of(edges, calls)
    run = RankedRun(plan, plan.values(), None, [], INF)
    thread = Thread(target=run.work, args=(0,))
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert run.values == values_of(edges)
    run.work(1)  # too late: it finds nothing to do
    assert len(calls) == len(edges)


def arrays(calls):
    """Four roots of 100 bytes, each with a reader of it."""
    make = lambda n: lambda *_: calls.append(n) or np.zeros(0 if n % 2 else 100, np.uint8)
    sources = [() if n % 2 == 0 else (n - 1,) for n in range(8)]
    return lay_out([make(n) for n in range(8)], sources, [], constants={})


@pytest.mark.parametrize(
    ("most", "order"),
    [(0, [0, 1, 2, 3, 4, 5, 6, 7]), (150, [0, 2, 1, 4, 3, 6, 5, 7]), (INF, [0, 2, 4, 6, 1, 3, 5, 7])],
)
def test_above_the_limit_no_root_is_begun(most, order):
    calls: list[int] = []
    plan = arrays(calls)
    run = RankedRun(plan, plan.values(), None, [], most)
    run.work(0)
    assert calls == order
    assert run.live_bytes == 0


def test_arguments_and_constants_do_not_count():
    sources = [(), (), (0, 1), ()]
    plan = lay_out(
        [None, None, np.add, lambda: 1], sources, [(2, None)], constants={0: np.ones(9)}, inputs=(1,)
    )
    values = plan.values()
    values[1] = np.ones(9)
    run = RankedRun(plan, values, None, [], 10)
    run.work(0)
    assert run.live_bytes == 72
