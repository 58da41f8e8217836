"""Runs that another thread can cancel: `submit` starts a call in a thread of its own and returns a Handle.

A cancelled run begins no further task and raises CancelledError when those under way have ended (processes
are killed). Which runs belong to a handle is known from the context: all that are started, however deep, by
what was submitted, but for what it submits in turn: that has a handle of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager
from contextvars import ContextVar, copy_context
from threading import Lock, Thread, current_thread, main_thread
from typing import ParamSpec, TypeVar

from dagexec.coarsen import STOP

POLL_SECONDS = 0.05  # how soon a waiting run notices that it is cancelled

P = ParamSpec("P")
R = TypeVar("R")


class _Token:
    """What a handle cancels: the `stop` lists of the runs that are under way."""

    def __init__(self) -> None:
        self.cancelled = False
        self.running: list[list[BaseException]] = []
        self.changing = Lock()

    def cancel(self) -> None:
        with self.changing:
            self.cancelled = True
            for stop in self.running:
                stop.append(CancelledError())


_TOKEN: ContextVar[_Token | None] = ContextVar("dagexec_token", default=None)


def can_be_cancelled() -> bool:
    """Does what runs here belong to a handle?"""
    return _TOKEN.get() is not None


class Stoppable:
    """A block whose value is a list for what stops a run; a cancellation in the meantime is added to it."""

    def __init__(self) -> None:
        self._token = _TOKEN.get()
        self._stop: list[BaseException] = []

    def __enter__(self) -> list[BaseException]:
        self._outer = STOP.set(self._stop)
        token = self._token
        if token is not None:
            with token.changing:
                if token.cancelled:
                    STOP.reset(self._outer)
                    raise CancelledError
                token.running.append(self._stop)
        return self._stop

    def __exit__(self, *_: object) -> None:
        STOP.reset(self._outer)
        token = self._token
        if token is not None:
            with token.changing:
                token.running = [stop for stop in token.running if stop is not self._stop]


class _Turn:
    def __init__(self, lock: Lock, stop: list[BaseException]) -> None:
        self._lock = lock
        self._stop = stop

    def __enter__(self) -> None:
        while not self._lock.acquire(timeout=POLL_SECONDS):
            if self._stop:
                raise self._stop[0]

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def turn(lock: Lock, stop: list[BaseException]) -> AbstractContextManager[object]:
    """A block that holds a lock; what comes into `stop` while it waits for the lock is raised.

    In the main thread it is the lock itself. No run is cancelled there, and Ctrl-C ends the wait, but would
    leave the lock taken if it came within `_Turn`.
    """
    return lock if current_thread() is main_thread() else _Turn(lock, stop)


class Handle(Future[R]):
    """A run under way: a `concurrent.futures.Future` that can be cancelled after it has begun.

    `cancel()` returns at once: True, or False if it is over already. `result()` then raises CancelledError,
    unless the run had just ended by itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self._token = _Token()

    def cancel(self) -> bool:
        """Stop it before its next task."""
        if self.done():
            return False
        self._token.cancel()
        return True

    def cancelled(self) -> bool:
        """Has it been cancelled before its end?"""
        return self.done() and isinstance(self.exception(), CancelledError)


def submit(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
    """Call a function that runs graphs in a thread of its own; the handle has its result, and cancels it.

    >>> import dagexec
    >>> handle = dagexec.submit(dagexec.get, {"x": 1, "y": (abs, "x")}, "y")
    >>> handle.result(), handle.cancel()
    (1, False)
    """
    handle: Handle[R] = Handle()

    def call() -> None:
        _TOKEN.set(handle._token)
        try:
            handle.set_result(function(*args, **kwargs))
        except BaseException as error:
            handle.set_exception(error)

    Thread(target=copy_context().run, args=(call,), name="dagexec submit").start()
    return handle
