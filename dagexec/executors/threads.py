"""Tasks on threads of this process: the caller's thread is worker 0, the others come from a pool.

Every worker does the same: under the lock it reports the task it has finished and takes the most urgent ready
one; outside of the lock it computes. A worker that finds nothing ready sleeps; whoever makes more tasks ready
than it takes on itself wakes one sleeper. An error or an interrupt stops the handing-out, running tasks are
waited for, and the first error is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import Condition
from typing import Any

from dagexec.events import Events
from dagexec.plan import Plan
from dagexec.schedule import Schedule


class Threads:
    """Runs a plan on `workers` threads, which stay for the next run."""

    def __init__(self, plan: Plan, workers: int) -> None:
        self._plan = plan
        self._workers = workers
        self._pool: ThreadPoolExecutor | None = None  # made by the first run

    def __call__(self, values: list[Any], log: Events | None = None) -> Sequence[Any]:
        """Run on `values`, which hold the arguments and constants and take the results."""
        run = _Run(self._plan, values, log)
        helpers: list[Future[None]] = []
        try:
            if self._workers > 1:
                # Each helper sees the caller's context: its numpy.errstate, for one.
                helpers = [
                    self._helpers().submit(copy_context().run, run.work, worker)
                    for worker in range(1, self._workers)
                ]
            run.work(0)
        except BaseException as error:  # an interrupt in the caller's thread
            run.stop(error)
        finally:
            # One that has not begun has nothing to do: it would wait for another run's end.
            wait([helper for helper in helpers if not helper.cancel()])
        if run.error is not None:
            raise run.error
        return values

    def close(self) -> None:
        """Let the threads go."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def _helpers(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers - 1, "dagexec")
        return self._pool


class _Run:
    """What the workers of one run share."""

    def __init__(self, plan: Plan, values: list[Any], log: Events | None) -> None:
        self.plan = plan
        self.values = values
        self.log = log
        self.schedule = Schedule(plan)
        self.changed = Condition()
        self.sleepers = 0
        self.error: BaseException | None = None
        if log is not None:
            log.note_ready(plan.roots, 0)

    def work(self, worker: int) -> None:
        """Take on tasks until there are none."""
        plan, values, log = self.plan, self.values, self.log
        task = self.next_task(None, worker)
        while task is not None:
            try:
                if log is not None:
                    log.note("start", task, worker)
                values[task] = plan.functions[task](*plan.fetch[task](values))
                if log is not None:
                    log.note("end", task, worker, values[task])
            except BaseException as error:
                if log is not None:
                    log.note("error", task, worker)
                self.stop(error)  # first, whatever the error may do
                plan.blame(task, error)
                return
            task = self.next_task(task, worker)

    def next_task(self, finished: int | None, worker: int) -> int | None:
        """Report a finished task, and wait for the next; None when the run is over."""
        schedule = self.schedule
        with self.changed:
            if finished is not None:
                self.report(finished, worker)
            while (task := schedule.ready()) is None and not schedule.finished:
                self.sleepers += 1
                self.changed.wait()
                self.sleepers -= 1
            if schedule.finished:
                self.changed.notify_all()
            elif self.sleepers and schedule.waiting:
                self.changed.notify()
            return task

    def report(self, task: int, worker: int) -> None:
        """Tell the schedule that a task is done, and drop the values that are dead."""
        made_ready, dead = self.schedule.done(task)
        if self.log is not None:
            self.log.note_done(made_ready, dead, self.values, worker)
        for slot in dead:
            self.values[slot] = None

    def stop(self, error: BaseException) -> None:
        """Keep the first error and let the other workers end."""
        with self.changed:
            if self.error is None:
                self.error = error
            self.schedule.failed()
            self.changed.notify_all()
