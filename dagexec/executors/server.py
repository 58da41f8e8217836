"""The process that worker processes are forked from: one for each parent, started with its first worker.

It has loaded NumPy and the worker's code, and nothing else happens in it; so a worker forked from it is ready
in milliseconds, and no thread or lock of the parent's can be caught half-way. A worker that is to be spawned
is forked too, and at once replaces itself by a new interpreter.

The parent asks for a worker over one socket, with the files that the worker shall have. For each worker it
also sends one end of a control socket. There it is told the process number and, in the end, the exit status,
each as four bytes. If it writes there, or closes its end, or dies, the worker is killed. When the parent is
gone so is everything here; when this process is gone, the kernel (of Linux) kills the workers.

This file is run as a script, so that it loads nothing of dagexec before it knows the parent's `sys.path`.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import struct
import sys
import traceback
import types
from contextlib import suppress
from typing import Any, NamedTuple

NUMBER = struct.Struct("=i")
DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG
PRELOADED = ("numpy.random", "dagexec.executors.worker")
SPAWNED = (
    "import sys; sys.path[:] = sys.argv[5:]; "
    "from dagexec.executors.worker import main; main(*map(int, sys.argv[1:5]))"
)


class Request(NamedTuple):
    """What a worker is to be: how it starts, its surroundings, the memory it shares, its number."""

    method: str
    path: list[str]
    environment: dict[str, str]
    size: int
    number: int


class Files(NamedTuple):
    """The descriptors that come with a request."""

    connection: int
    memory: int
    directory: int
    output: int
    errors: int
    control: int


def send(channel: socket.socket, request: Request, files: Files) -> None:
    """Ask for a worker."""
    data = pickle.dumps(tuple(request))
    socket.send_fds(channel, [NUMBER.pack(len(data))], files)
    channel.sendall(data)


def receive(channel: socket.socket) -> tuple[Request, Files] | None:
    """The next request; None if the parent is gone."""
    head, descriptors, _, _ = socket.recv_fds(channel, NUMBER.size, len(Files._fields))
    data = b""
    while head and len(data) < NUMBER.unpack(head)[0]:
        more = channel.recv(NUMBER.unpack(head)[0] - len(data))
        if not more:
            return None
        data += more
    return (Request(*pickle.loads(data)), Files(*descriptors)) if head else None


def main(descriptor: int) -> None:
    """Fork workers until the parent is gone; in each of them, be the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    born = _Nursery(socket.socket(fileno=descriptor)).serve()
    if born is not None:
        _become_worker(*born)


class _Nursery:
    """The children, and what is to be listened to."""

    def __init__(self, parent: socket.socket) -> None:
        self.parent = parent
        self.controls: dict[int, int] = {}  # process number -> descriptor
        self.children: dict[int, int] = {}  # and back
        self.woken, self.waker = os.pipe()
        for descriptor in (self.woken, self.waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.poll = select.poll()
        self.poll.register(parent, select.POLLIN)
        self.poll.register(self.woken, select.POLLIN)

    def serve(self) -> tuple[Request, Files] | None:
        """Do what the parent says until it is gone; in a child, what it is to be."""
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor == self.woken:
                    self.bury()
                elif descriptor in self.children:  # its parent wants it dead, or is gone
                    self.poll.unregister(descriptor)
                    os.kill(self.children[descriptor], signal.SIGKILL)
                elif descriptor == self.parent.fileno():
                    asked = receive(self.parent)
                    if asked is None:
                        self.end()
                        return None
                    if self.bear(*asked):
                        return asked

    def bear(self, request: Request, files: Files) -> bool:
        """Fork a child. True in the child."""
        if request.method == "forkserver" and "dagexec" not in sys.modules:
            _load(request.path)
        us = os.getpid()
        child = os.fork()
        if not child:
            self.leave()
            _end_with(us)
            return True
        for descriptor in files[:-1]:
            os.close(descriptor)
        self.controls[child] = files.control
        self.children[files.control] = child
        self.poll.register(files.control, select.POLLIN)
        _tell(files.control, child)
        return False

    def leave(self) -> None:
        """In a child: let go of everything here."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (self.woken, self.waker, *self.children):
            os.close(descriptor)
        self.parent.close()

    def bury(self) -> None:
        """Report the children that have ended."""
        with suppress(BlockingIOError):
            os.read(self.woken, 4096)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                control = self.controls.pop(ended[0])
                del self.children[control]
                with suppress(KeyError):
                    self.poll.unregister(control)
                _tell(control, os.waitstatus_to_exitcode(ended[1]))
                os.close(control)

    def end(self) -> None:
        """Kill all children and wait for their end."""
        for child in self.controls:
            os.kill(child, signal.SIGKILL)
        for child in self.controls:
            os.waitpid(child, 0)


def _tell(control: int, number: int) -> None:
    with suppress(OSError):  # nobody listens any more
        os.write(control, NUMBER.pack(number))


def _load(path: list[str]) -> None:
    """Load what every worker needs. If that fails, it fails again in the worker, which reports it."""
    sys.path[:] = path
    with suppress(BaseException):
        for module in PRELOADED:
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # the children share these pages, and their collectors need not look through them


def _end_with(server: int) -> None:
    """Let the kernel kill this process when the server ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)


def _become_worker(request: Request, files: Files) -> None:
    os.close(files.control)
    os.fchdir(files.directory)
    os.dup2(files.output, 1)
    os.dup2(files.errors, 2)
    for descriptor in (files.directory, files.output, files.errors):
        os.close(descriptor)
    if request.method == "spawn":
        for descriptor in (files.connection, files.memory):
            os.set_inheritable(descriptor, True)
        numbers = map(str, (files.connection, files.memory, request.size, request.number))
        arguments = [sys.executable, "-c", SPAWNED, *numbers, *request.path]
        os.execve(sys.executable, arguments, request.environment)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.path[:] = request.path
    sys.modules["__main__"] = types.ModuleType("__main__")  # not this script
    status = _worked(files.connection, files.memory, request.size, request.number)
    atexit._run_exitfuncs()  # but no teardown of the interpreter, which takes longer than the start
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status)


def _worked(*arguments: Any) -> int:
    """Be a worker to the end; the exit status."""
    try:
        from dagexec.executors.worker import main as work

        work(*arguments)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main(int(sys.argv[1]))
