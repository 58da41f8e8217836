"""Tasks on threads of this process: the caller's thread is worker 0, the others come from a pool.

Two ways of dispatch serve two kinds of plan. Short tasks need one that costs next to nothing (light.py).
Where tasks take so long that an order pays, where there are priorities, a log or a limit on memory, the most
urgent task comes first (ranked.py).

An error or an interrupt stops the handing-out, running tasks are waited for, and the first error is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any

from dagexec.events import Events
from dagexec.executors.counting import counters
from dagexec.executors.light import LightRun
from dagexec.executors.ranked import RankedRun
from dagexec.plan import Plan

Work = Callable[[], None]

# From this mean length of a task on, what the order costs is a few percent at the most.
RANKED_FROM = 50e-6
# The pool grows when runs overlap or nest, so that none waits for another's threads.
MOST_THREADS = 10_000


class Threads:
    """Runs a plan on `workers` threads, which stay for the next run."""

    def __init__(self, plan: Plan, workers: int, max_live_bytes: float = float("inf")) -> None:
        self.plan = plan
        self._workers = workers
        self._max_live_bytes = max_live_bytes
        self._team = Team()
        self._ranked = bool(plan.priority) or max_live_bytes < float("inf") or _tasks_are_long(plan)
        if not self._ranked:
            self._waits, self._reads = counters(plan.unmet), counters(plan.readers)

    def __call__(self, values: list[Any], log: Events | None, stop: list[BaseException]) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order."""
        if self._ranked or log is not None:
            ranked = RankedRun(self.plan, values, log, stop, self._max_live_bytes)
            with self._team.helping(ranked.end, stop) as start:
                for worker in range(1, self._workers):
                    start(partial(ranked.work, worker))
                ranked.work(0)
        else:
            light = LightRun(self.plan, values, stop, self._waits, self._reads, self.plan.roots)
            work_together(light, self._workers, self._team, stop)
        if stop:
            raise stop[0]
        return self.plan.results(values)

    def close(self) -> None:
        """Let the threads go."""
        self._team.close()


class Team:
    """Threads that help the caller's; made when they are first wanted, kept for the next run."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    @contextmanager
    def helping(self, end: Work, stop: list[BaseException]) -> Iterator[Callable[[Work], None]]:
        """A block whose value starts a helper; what it raises stops the run, and helpers end with it."""
        helpers: list[Future[None]] = []

        def start(work: Work) -> None:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(MOST_THREADS, "dagexec")
            # Each helper sees the caller's context: its numpy.errstate, for one.
            helpers.append(self._pool.submit(copy_context().run, work))

        try:
            yield start
        except BaseException as error:  # an interrupt in the caller's thread
            stop.append(error)
        while helpers:  # one may have started another
            try:
                end()
                wait(helpers[-1:])
                helpers.pop()
            except BaseException as error:
                if stop:
                    raise
                stop.append(error)

    def close(self) -> None:
        """Let the threads go."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()


class _Starter:
    """Stands for a worker that has not begun; to wake it is to start it."""

    def __init__(self, start: Callable[[], None]) -> None:
        self._start = start

    def put(self, item: None, /) -> None:
        self._start()


def work_together(run: LightRun, workers: int, team: Team, stop: list[BaseException]) -> None:
    """Run until there is nothing left to do, or until it is stopped."""
    with team.helping(run.end, stop) as start:
        run.begin([_Starter(partial(start, run.work)) for _ in range(1, workers)])
        run.work()


def _tasks_are_long(plan: Plan) -> bool:
    """Is it known of the tasks that they take long, compared with the cost of an order?"""
    known = plan.costs is not None or plan.origin is not None
    return known and bool(plan.tasks) and sum(plan.seconds) > RANKED_FROM * len(plan.tasks)
