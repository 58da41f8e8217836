"""What tests of robustness watch: that nothing hangs, and that nothing is left behind."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from multiprocessing import active_children
from typing import Any

PATIENCE = 60.0  # seconds after which something is taken to hang
SETTLING = 10.0  # seconds that threads and processes may take to be gone


def within(function: Callable[[], Any], what: str = "", seconds: float = PATIENCE) -> Any:
    """The result of a call that must end in time; where every thread is, if it does not."""
    outcome: list[Any] = []
    caught: list[BaseException] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=copy_context().run, args=(call,), name="watched", daemon=True)
    thread.start()
    thread.join(seconds)
    if caught:
        raise caught.pop()
    if not outcome:
        faulthandler.dump_traceback(file=sys.__stderr__)
        raise AssertionError(f"hangs: {what or function}")
    return outcome[0]


@contextmanager
def nothing_left() -> Iterator[None]:
    """A block after which there are no more threads, file descriptors and processes than before.

    There may be fewer: what an earlier test has given up may end meanwhile.
    """
    before = _held()
    yield
    deadline = time.monotonic() + SETTLING
    while (left := _held() - before) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert not left, f"left behind: {dict(left)}"


def _held() -> Counter[str]:
    held = Counter(f"thread {thread.name}" for thread in threading.enumerate())
    held["descriptor"] = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    held["process"] = len(active_children())
    return held
