"""The threads that help the caller's, and what becomes of an interrupt among them.

Threads are made when they are first wanted and rest between runs; when runs overlap or nest there are more of
them, so that none waits for another's. An interrupt may come anywhere in the caller's thread, also within the
standard library's pools and conditions, and leave their locks taken. So there are only bare locks and queues
here, whose methods are over before an interrupt is noticed, and jobs that can be withdrawn.
"""

from __future__ import annotations

from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Protocol

from dagexec.executors.light import Gate

Work = Callable[[], None]


class Run(Protocol):
    """What workers do together."""

    def begin(self, helpers: Sequence[Gate], /) -> None:
        """Have helpers beside the caller, who begin when they are woken."""

    def work(self, worker: int, /) -> None:
        """Take on tasks until there are none; called by each worker."""

    def end(self) -> None:
        """Let all workers end."""


class Team:
    """The caller's thread and those that help it; made when they are first wanted, kept for the next run."""

    def __init__(self) -> None:
        self._resting: deque[Jobs] = deque()
        self._all: list[tuple[Jobs, Thread, _Job]] = []

    def run(self, run: Run, workers: int, stop: list[BaseException]) -> None:
        """Run until there is nothing left to do, or until it is stopped, and all helpers have ended.

        Who is interrupted a second time does not wait for them.
        """
        helpers: list[_Job] = []

        def work(worker: int) -> None:
            try:
                run.work(worker)
            except BaseException as error:
                stop.append(error)

        def start(worker: int) -> None:
            # Each helper sees the caller's context: its numpy.errstate, for one.
            job = _Job(partial(copy_context().run, work, worker))
            helpers.append(job)
            self._hand_over(job)

        def finish() -> None:
            run.end()
            while helpers:  # one may have started another
                job = helpers[-1]
                job.wait()
                helpers.remove(job)

        try:
            run.begin([_Starter(partial(start, worker)) for worker in range(1, workers)])
            run.work(0)
            finish()
        except BaseException as error:  # an interrupt in the caller's thread
            stop.append(error)
            try:
                finish()
            except BaseException:
                run.end()
                raise

    def _hand_over(self, job: _Job) -> None:
        try:
            jobs = self._resting.pop()
        except IndexError:
            jobs = SimpleQueue()
            thread = Thread(target=_serve, args=(jobs, self._resting), name="dagexec", daemon=True)
            starting = _Job(thread.start)
            self._all.append((jobs, thread, starting))
            start_new_thread(_do, (starting,))  # Thread.start() may be interrupted, but not in a thread
        jobs.put(job)

    def close(self) -> None:
        """Let the threads go."""
        self._resting = deque()  # the threads keep the old one
        threads, self._all = self._all, []
        for jobs, _, _ in threads:
            jobs.put(None)
        for _, thread, starting in threads:
            if starting.wait():
                thread.join()

    def __del__(self) -> None:
        for jobs, _, _ in self._all:
            jobs.put(None)


class _Job:
    """Something to be done in a thread: begun there, or withdrawn, once."""

    def __init__(self, work: Work) -> None:
        self._work = [work]  # whoever pops it has it
        self._done = Lock()
        self._done.acquire()

    def run(self) -> None:
        """Do it, unless it was withdrawn."""
        try:
            work = self._work.pop()
        except IndexError:
            return
        work()

    def ended(self) -> None:
        """Let go who waits."""
        self._done.release()

    def wait(self) -> bool:
        """Withdraw it, or wait for its end: was it begun? May be called again after an interrupt."""
        try:
            self._work.pop()
        except IndexError:
            with self._done:
                return True
        return False


def _do(job: _Job) -> None:
    try:
        job.run()
    finally:
        job.ended()


def _serve(jobs: Jobs, resting: deque[Jobs]) -> None:
    """What a thread does: the jobs it is given."""
    while (job := jobs.get()) is not None:
        job.run()
        resting.append(jobs)  # first, so that the next run finds it
        job.ended()
        del job


Jobs = SimpleQueue[_Job | None]


class _Starter:
    """Stands for a worker that has not begun; to wake it is to start it."""

    def __init__(self, start: Callable[[], None]) -> None:
        self._start = start

    def put(self, item: None, /) -> None:
        self._start()


def raise_first(stop: list[BaseException]) -> None:
    """Raise what stopped a run, if anything did: an interrupt, else the first error."""
    if stop:
        raise next((error for error in stop if isinstance(error, KeyboardInterrupt)), stop[0])
