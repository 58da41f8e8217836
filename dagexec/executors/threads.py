"""Tasks on threads of this process: the caller's thread is worker 0, the others come from a pool.

Two ways of dispatch serve two kinds of plan. Short tasks need one that costs next to nothing (light.py).
Where tasks take so long that an order pays, where there are priorities, a log or a limit on memory, the most
urgent task comes first (ranked.py).

An error or an interrupt stops the handing-out, running tasks are waited for, and the first error is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from math import inf
from typing import Any, Protocol

from dagexec.coarsen import STOP
from dagexec.events import Events
from dagexec.executors.counting import counters
from dagexec.executors.light import Gate, LightRun
from dagexec.executors.ranked import RankedRun
from dagexec.plan import Plan

# From this mean length of a task on, what the order costs is a few percent at the most.
RANKED_FROM = 50e-6
# The pool grows when runs overlap or nest, so that none waits for another's threads.
MOST_THREADS = 10_000


class Run(Protocol):
    """What workers do together."""

    def begin(self, helpers: Sequence[Gate], /) -> None:
        """Have helpers beside the caller, who begin when they are woken."""

    def work(self, worker: int, /) -> None:
        """Take on tasks until there are none; called by each worker."""

    def end(self) -> None:
        """Let all workers end."""


class Threads:
    """Runs a plan on `workers` threads, which stay for the next run."""

    def __init__(self, plan: Plan, workers: int, max_live_bytes: float = inf) -> None:
        self.plan = plan
        self._workers = workers
        self._max_live_bytes = max_live_bytes
        self._team = Team()
        self._ranked = bool(plan.priority) or max_live_bytes < inf or _tasks_are_long(plan)
        if not self._ranked:
            self._waits, self._reads = counters(plan.unmet), counters(plan.readers)

    def __call__(self, values: list[Any], log: Events | None, stop: list[BaseException]) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order."""
        plan = self.plan
        if self._ranked or log is not None:
            run: Run = RankedRun(plan, values, log, stop, self._max_live_bytes)
        else:
            run = LightRun(plan, values, stop, self._waits, self._reads, plan.roots)
        self._team.run(run, self._workers, stop)
        if stop:
            raise stop[0]
        return self.plan.results(values)

    def close(self) -> None:
        """Let the threads go."""
        self._team.close()


class Team:
    """The caller's thread and those that help it; made when they are first wanted, kept for the next run."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def run(self, run: Run, workers: int, stop: list[BaseException]) -> None:
        """Run until there is nothing left to do, or until it is stopped, and all helpers have ended."""
        helpers: list[Future[None]] = []

        def start(worker: int) -> None:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(MOST_THREADS, "dagexec")
            # Each helper sees the caller's context: its numpy.errstate, for one.
            helpers.append(self._pool.submit(copy_context().run, run.work, worker))

        outer = STOP.set(stop)
        try:
            run.begin([_Starter(partial(start, worker)) for worker in range(1, workers)])
            run.work(0)
        except BaseException as error:  # an interrupt in the caller's thread
            stop.append(error)
        finally:
            STOP.reset(outer)
        while True:
            try:
                run.end()
                while helpers:  # one may have started another
                    wait(helpers[-1:])
                    helpers.pop()
                return
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


def _tasks_are_long(plan: Plan) -> bool:
    """Is it known of the tasks that they take long, compared with the cost of an order?"""
    known = plan.costs is not None or plan.origin is not None
    return known and bool(plan.tasks) and sum(plan.seconds) > RANKED_FROM * len(plan.tasks)
