"""Starting worker processes, and learning of their end: the parent's side of server.py.

The server is started with the first worker, serves all executors of this process, and ends with it. A forked
child of this process has nothing to do with its parent's server: it would start one of its own.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from subprocess import DEVNULL, Popen
from threading import Lock
from typing import Any

from dagexec.executors import server
from dagexec.executors.server import NUMBER, Files, Request

METHODS = ("forkserver", "spawn")
BLAS_LIMITS = dict.fromkeys(
    (
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)


def default_method() -> str:
    """How workers start if nobody says: forked, but not where system libraries do not stand that."""
    return "forkserver" if sys.platform == "linux" else "spawn"


class Process:
    """A worker process: its number, and its exit status once it has ended (negative: the signal)."""

    def __init__(self, control: Connection[Any, Any]) -> None:
        self.control = control
        self._told: list[int] = []
        self._orphaned = False

    @property
    def pid(self) -> int:
        """The process number; waits until it is started."""
        while not self._told and not self._orphaned:
            self._listen(None)
        return self._told[0]

    @property
    def ended(self) -> bool:
        """Is it known to have ended?"""
        return len(self._told) == 2 or self._orphaned

    def poll(self) -> bool:
        """Has it ended?"""
        while not self.ended and self._listen(0):
            pass
        return self.ended

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended, at most so long; has it?"""
        while not self.ended:
            if not self._listen(seconds):
                return False
        return True

    def kill(self) -> None:
        """Kill it, if it has not ended."""
        with suppress(OSError):
            os.write(self.control.fileno(), b"k")

    @property
    def killed(self) -> bool:
        """Has it ended by a signal?"""
        return self._orphaned or self._told[1] < 0

    def how_it_ended(self) -> str:
        """The exit status in words."""
        if len(self._told) < 2:
            return "the end of the process that had started it"
        status = self._told[1]
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def _listen(self, seconds: float | None) -> bool:
        """Take in what the server tells; False if it told nothing."""
        waiting = select.poll()
        waiting.register(self.control, select.POLLIN)
        if not waiting.poll(None if seconds is None else seconds * 1000):
            return False
        data = b""
        with suppress(ConnectionError):
            data = os.read(self.control.fileno(), NUMBER.size)
        if data:
            self._told += NUMBER.unpack(data)
        else:
            self._orphaned = True
        return True


class _Server:
    """The server process and the socket on which it takes requests."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs, interrupts_held():  # the server inherits that, until it has learnt to ignore them
            self.process = Popen(
                [sys.executable, server.__file__, str(theirs.fileno())],
                stdin=DEVNULL,
                stdout=DEVNULL,
                env=os.environ | BLAS_LIMITS,
                pass_fds=(theirs.fileno(),),
            )
        self.stop = weakref.finalize(self, _stop, self.socket, self.process)


def _stop(channel: socket.socket, process: Popen[bytes]) -> None:
    channel.close()
    process.wait()


_server: _Server | None = None
_lock = Lock()


def launch(method: str, number: int, connection: int, memory: int, size: int) -> Process:
    """Start worker `number` with the other end of a connection, and `memory` of `size` bytes to share."""
    ours, theirs = Pipe()
    directory = os.open(".", os.O_RDONLY)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        request = Request(method, list(map(str, sys.path)), os.environ | BLAS_LIMITS, size, number)
        streams = (_usable(1, nowhere), _usable(2, nowhere))
        with interrupts_held(), _lock:
            _ask(request, Files(connection, memory, directory, *streams, theirs.fileno()))
    finally:
        theirs.close()
        os.close(directory)
        os.close(nowhere)
    return Process(ours)


def _ask(request: Request, files: Files) -> None:
    """Send a request to the server; to a new one if there is none, or it was killed."""
    global _server
    try:
        if _server is not None:
            with suppress(OSError):
                server.send(_server.socket, request, files)
                return
            _server.stop()
        _server = _Server()
        server.send(_server.socket, request, files)
    except BaseException:  # an interrupt in the middle of a request: the server would wait for the rest
        if _server is not None:
            _server.stop()
            _server = None
        raise


def _usable(descriptor: int, otherwise: int) -> int:
    try:
        os.fstat(descriptor)
    except OSError:  # closed
        return otherwise
    return descriptor


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forget() -> None:
    """In a forked child: the server is its parent's."""
    global _server, _lock
    _lock = Lock()
    if _server is not None:
        _server.stop.detach()
        _server.socket.close()
        _server.process.returncode = 0  # it is not this process's to wait for
        _server = None


os.register_at_fork(after_in_child=_forget)
