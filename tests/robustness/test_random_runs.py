"""10,000 random DAGs whose tasks fail, fail at first, hang and cancel: no hang, no task lost or doubled, the
right values or the right error with the right note, nothing left behind.

A seed makes a case. To repeat one: `check_case(Case(seed), "threads", {})`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from concurrent.futures import CancelledError
from random import Random

import numpy as np
import pytest

from dagexec.events import Events
from dagexec.executors import Failure, Runner, TasksFailed, submit
from dagexec.plan import lay_out
from tests.dags import Boom, mix, side_by_side
from tests.robustness.watching import nothing_left, within

CASES = {"serial": 2000, "threads": 4000, "auto": 2000}
PROCESSES_AT_ONCE, PROCESSES_GRAPHS = 200, 10
AT_ONCE = 100  # cases between two looks at what is left behind
LIMIT = 0.005  # seconds that a task may take which hangs until its run is over
ALWAYS = 1_000_000


class Case:
    """A random DAG, what its tasks do, how it is run, and what must come of it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = rng = Random(seed)
        size = rng.randint(1, 16)
        self.edges = random_edges(rng, size)
        self.outputs = rng.sample(range(size), rng.randint(0, min(size, 4)))
        self.arrays = rng.random() < 0.3
        self.labels = [f"t{task}" for task in range(size)] if rng.random() < 0.5 else None
        some = lambda share: {task for task in range(size) if rng.random() < share * (rng.random() < 0.6)}
        self.fails = {task: rng.choice((1, 2, ALWAYS)) for task in some(0.15)}
        self.naps = some(0.1)
        self.hangs = some(0.1) if rng.random() < 0.1 else set()
        self.canceller = rng.randrange(size) if rng.random() < 0.15 else None
        self.cancelled_after = rng.random() * 1e-3 if rng.random() < 0.1 else None
        self.hangs.discard(self.canceller)
        self.retries = {task: rng.randint(1, 2) for task in some(0.5)}
        self.goes_on = rng.random() < 0.5
        self.doomed = self.hangs | {
            task for task, times in self.fails.items() if times > self.retries.get(task, 0)
        }
        self.behind, self.first = fate(self.edges, self.doomed)
        self.workers = rng.randint(1, 5)
        self.calls: list[int] = []
        self.over = threading.Event()
        self.handle = None
        self.logged = rng.random() < 0.15

    def key(self, task: int):
        return task if self.labels is None else self.labels[task]

    def options(self):
        rng, chosen = self.rng, {}
        if self.goes_on:
            chosen["on_error"] = "continue"
        if self.retries:
            chosen["retries"] = {self.key(task): times for task, times in self.retries.items()}
        limits = {self.key(task): LIMIT for task in self.hangs}
        if rng.random() < 0.1:
            limits |= {self.key(task): 60.0 for task in range(len(self.edges)) if task not in self.hangs}
        if limits:
            chosen["timeout"] = limits
        if rng.random() < 0.2:
            chosen["priority"] = {self.key(task): rng.random() for task in range(len(self.edges))}
        if self.arrays and rng.random() < 0.5:
            chosen["max_live_bytes"] = rng.choice((0, 64, 200))
        return chosen

    def function(self, task: int):
        compute = mix(task)

        def call(*values):
            self.calls.append(task)
            if task == self.canceller and self.handle is not None:
                self.handle.cancel()
            if task in self.hangs:
                self.over.wait(60)
            if task in self.naps:
                time.sleep(0.0003)
            if self.calls.count(task) <= self.fails.get(task, 0):
                raise Boom(f"node {task}")
            if not self.arrays:
                return compute(*values)
            return np.full(task % 5 + 1, compute(*[int(value[0]) for value in values]))

        return call

    def plan(self):
        functions = [self.function(task) for task in range(len(self.edges))]
        sources = [tuple(reads) for reads in self.edges]
        return lay_out(
            functions, sources, [(slot, None) for slot in self.outputs], constants={}, labels=self.labels
        )

    def values(self):
        """What each task computes, None where it has no value."""
        values: list[int | None] = []
        for task, reads in enumerate(self.edges):
            values.append(None if task in self.behind else mix(task)(*[values[read] for read in reads]))
        return values


def random_edges(rng: Random, size: int) -> list[list[int]]:
    return [
        [rng.randrange(task) for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))] if task else []
        for task in range(size)
    ]


def fate(edges, doomed) -> tuple[set[int], set[int]]:
    """Of the tasks that get no value: all, and those that fail themselves."""
    behind: set[int] = set()
    first: set[int] = set()
    for task, reads in enumerate(edges):
        if not behind.isdisjoint(reads):
            behind.add(task)
        elif task in doomed:
            behind.add(task)
            first.add(task)
    return behind, first


def check_case(case: Case, executor: str) -> None:
    plan = case.plan()
    log = Events(plan.graph) if case.logged else None
    with Runner(plan, executor, case.workers, case.options()) as runner:
        outcome = outcome_of(case, runner, log)
    case.over.set()
    check_outcome(case, outcome)
    check_calls(case, outcome)
    if log is not None and isinstance(outcome, list):
        started = [event.task for event in log if event.kind == "start"]
        assert sorted(started) == list(range(len(case.edges)))


def outcome_of(case: Case, runner: Runner, log: Events | None):
    try:
        if case.canceller is None and case.cancelled_after is None:
            return runner.run(None, log)
        go = threading.Event()
        case.handle = submit(lambda: go.wait() and runner.run(None, log))
        go.set()
        if case.cancelled_after is not None:
            time.sleep(case.cancelled_after)
            case.handle.cancel()
        return case.handle.result(60)
    except (Boom, TimeoutError, CancelledError, TasksFailed) as error:
        return error


def check_outcome(case: Case, outcome) -> None:
    values = case.values()
    if isinstance(outcome, CancelledError):
        assert case.cancelled_after is not None or case.canceller in case.calls
        return
    if case.canceller in case.calls:
        assert isinstance(outcome, Boom | TimeoutError)
    if isinstance(outcome, list):
        assert not case.behind
        assert [first(value) for value in outcome] == [values[output] for output in case.outputs]
    elif isinstance(outcome, TasksFailed):
        assert case.goes_on
        assert outcome.failed.keys() == {case.key(task) for task in case.first}
        assert set(outcome.skipped) == {case.key(task) for task in case.behind - case.first}
        for task in case.first:
            check_error(case, outcome.failed[case.key(task)])
        for output, result in zip(case.outputs, outcome.results):
            if output in case.behind:
                assert type(result) is Failure
            else:
                assert first(result) == values[output]
    else:
        assert not case.goes_on
        check_error(case, outcome)


def check_error(case: Case, error) -> None:
    """It is the error of a task that fails, and has one note, which names that task."""
    named = [task for task in case.first if names(error, case, task)]
    assert len(error.__notes__) == 1
    assert len(named) == 1
    if isinstance(error, Boom):
        assert str(error) == f"node {named[0]}"
        assert named[0] not in case.hangs
    else:
        assert named[0] in case.hangs


def names(error, case: Case, task: int) -> bool:
    described = f"node %{task} " if case.labels is None else f"task 't{task}'"
    return any(described in note for note in error.__notes__)


def check_calls(case: Case, outcome) -> None:
    """No task is called too often, or before what it reads; unless the run was stopped, none too seldom."""
    calls = Counter(case.calls)
    complete = isinstance(outcome, list | TasksFailed)
    for task in range(len(case.edges)):
        attempts = 1 + min(case.fails.get(task, 0), case.retries.get(task, 0))
        if task in case.hangs:
            attempts = 1 + case.retries.get(task, 0)
        if task in case.behind - case.first:
            attempts = 0
        assert calls[task] <= attempts
        # The thread of a task that hangs may not have begun in time.
        assert calls[task] == attempts or task in case.hangs or not complete
    order = {task: position for position, task in reversed(list(enumerate(case.calls)))}
    last = {task: position for position, task in enumerate(case.calls)}
    for task, reads in enumerate(case.edges):
        if task in order:
            assert all(last[read] < order[task] for read in reads)


def first(value):
    return int(value[0]) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("executor", CASES)
def test_whatever_tasks_do_a_run_ends_with_what_is_right(executor):
    for start in range(0, CASES[executor], AT_ONCE):
        seeds = range(start, start + AT_ONCE)
        at: list[int] = []

        def all_of_them(seeds=seeds, at=at):
            for seed in seeds:
                at[:] = [seed]
                check_case(Case(seed), executor)
            return True

        with nothing_left():
            try:
                within(all_of_them, f"one of {seeds} on {executor}")
            except BaseException as error:
                error.add_note(f"seed {at} on {executor}")
                raise


def told(path: str, number: int, fails: int):
    """A task of another process: it tells a file of each call, and fails at first."""
    compute = mix(number)

    def call(*values):
        with open(path, "ab", buffering=0) as file:
            file.write(number.to_bytes(4, "little"))
        if fails and calls_in(path)[number] <= fails:
            raise Boom(f"node {number}")
        return compute(*values)

    return call


def calls_in(path) -> Counter[int]:
    with open(path, "rb") as file:
        data = file.read()
    return Counter(int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4))


@pytest.mark.parametrize("seed", range(PROCESSES_GRAPHS))
def test_processes_run_each_task_as_often_as_is_right(seed, tmp_path):
    rng = Random(seed)
    path = os.fspath(tmp_path / "calls")
    edges = side_by_side([random_edges(rng, rng.randint(1, 6)) for _ in range(PROCESSES_AT_ONCE)])
    tasks = range(len(edges))
    fails = {task: rng.choice((1, 2, ALWAYS)) for task in tasks if rng.random() < 0.05}
    retries = {task: rng.randint(1, 2) for task in tasks if rng.random() < 0.3}
    behind, failing = fate(edges, {task for task in fails if fails[task] > retries.get(task, 0)})
    functions = [told(path, task, fails.get(task, 0)) for task in tasks]
    plan = lay_out(
        functions, [tuple(reads) for reads in edges], [(task, None) for task in tasks], constants={}
    )

    if seed == 0:  # what the first use of processes leaves for the next: the server that forks them
        run_one = lay_out([mix(0)], [()], [(0, None)], constants={})
        with Runner(run_one, "processes", 2) as runner:
            runner.run()

    def run():
        with Runner(plan, "processes", 2, {"on_error": "continue", "retries": retries}) as runner:
            runner.run()

    with nothing_left(), pytest.raises(TasksFailed) as caught:
        within(run, f"seed {seed} on processes")
    failed = caught.value
    assert failed.failed.keys() == failing
    assert set(failed.skipped) == behind - failing
    assert all(str(failed.failed[task]) == f"node {task}" for task in failing)
    values: list[int] = []
    for task, reads in enumerate(edges):
        values.append(0 if task in behind else mix(task)(*[values[read] for read in reads]))
    assert [value for value in failed.results if type(value) is not Failure] == [
        values[task] for task in tasks if task not in behind
    ]
    expected = {
        task: 1 + min(fails.get(task, 0), retries.get(task, 0))
        for task in tasks
        if task not in behind - failing
    }
    assert calls_in(path) == expected
