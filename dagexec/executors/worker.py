"""A worker process of the `processes` executor: what runs on the other side of the connection.

It is given all tasks once, then takes one message after another: the inputs of a task, encoded, with room in
the shared memory for its result. It answers with the encoded result, in the order of the tasks. Messages are
tuples that begin with their kind:

    from the parent    ("tasks", cloudpickled list of (task, op's name or None, params or function, parts))
                       ("run", the caller's numpy.geterr())
                       ("task", task, {slot: encoded value}, (offset, bytes) of the room)
                       ("room", offset or None)
    to the parent      ("started",) or ("broken", text)
                       ("room", bytes): the result needs more, answer at once
                       ("done", encoded result, bytes, start, end, kept, warnings)
                       ("error", pickled exception, start, end, warnings)

It holds no array between tasks. If a callable keeps one of its inputs, in a cache for example, the answer
says so (`kept`), and the parent does not give out that memory again. It ends when the connection does.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import traceback
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import cloudpickle
import numpy as np

from dagexec.events import held_bytes
from dagexec.executors.arena import Array, Memory, Placed
from dagexec.executors.wire import decode, encode, pack, unpack
from dagexec.ops.table import TABLE
from dagexec.plan import Source, add_note

Task = tuple[Callable[..., Any], list[Source]]


def main(socket: int, file: int, size: int) -> None:
    """Serve the parent at the other end of `socket`; `file` of `size` bytes is the shared memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.set_inheritable(socket, False)
    memory = Memory(file, size)
    os.close(file)
    connection = Connection(socket)
    try:
        tasks = _bound(cloudpickle.loads(connection.recv_bytes()))
    except EOFError:
        return
    except BaseException:
        connection.send_bytes(pickle.dumps(("broken", traceback.format_exc()[-4000:])))
        return
    gc.freeze()  # what is here now stays; so looking for kept inputs is quick
    _Worker(connection, memory, tasks).serve()


def _bound(listed: list[tuple[int, str | None, Any, list[Source]]]) -> dict[int, Task]:
    """The function of each task: an op of the table comes by name and params, the rest as functions."""
    return {
        task: (what if name is None else TABLE[name].kernel(np, **what), parts)
        for task, name, what, parts in listed
    }


class _Worker:
    """The state of a worker: what it has yet to do, and what concerns the task it is at."""

    def __init__(self, connection: Connection[Any, Any], memory: Memory, tasks: dict[int, Task]) -> None:
        self.connection = connection
        self.memory = memory
        self.tasks = tasks
        self.inbox: deque[Any] = deque()
        self.room = (0, 0)
        self.inputs: list[weakref.ref[Array]] = []
        self.warned: dict[tuple[str, type, str, int], None] = {}
        warnings.simplefilter("always")  # the parent's filters decide
        warnings.showwarning = self.note_warning

    def serve(self) -> None:
        """Do what the messages say until the parent closes the connection."""
        try:
            self.connection.send_bytes(pickle.dumps(("started",)))
            while True:
                message = self.inbox.popleft() if self.inbox else self.receive()
                if message[0] == "run":
                    np.seterr(**message[1])
                else:
                    answer = self.compute(*message[1:])
                    self.connection.send_bytes(pack(answer, self.memory, self.allocate))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> Any:
        return unpack(self.connection.recv_bytes(), self.memory)

    def compute(self, task: int, encoded: dict[int, Any], room: tuple[int, int]) -> Any:
        """Run a task; the answer to the parent."""
        self.room = room
        self.inputs.clear()
        self.warned.clear()
        start = perf_counter()
        try:
            values = {slot: decode(value, self.view) for slot, value in encoded.items()}
            function, parts = self.tasks[task]
            inputs = [values[slot] if item is None else values[slot][item] for slot, item in parts]
            del values
            start = perf_counter()
            result = function(*inputs)
            end = perf_counter()
            sent = encode(result, self.memory, self.allocate)
            size = held_bytes(result)
            del inputs, result
            return "done", sent, size, start, end, self.kept(), list(self.warned)
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: raised by the task
            return "error", _pickled(error), start, perf_counter(), list(self.warned)

    def view(self, placed: Placed) -> Array:
        """An input array; whether it goes away after the task is watched."""
        array = self.memory.view(placed)
        self.inputs.append(weakref.ref(array))
        return array

    def kept(self) -> bool:
        """Has the task kept one of its inputs?"""
        if any(ref() is not None for ref in self.inputs):
            gc.collect()
        return any(ref() is not None for ref in self.inputs)

    def allocate(self, nbytes: int) -> int:
        """Room in the shared memory: what came with the task if that is enough, else the parent is asked."""
        offset, size = self.room
        if nbytes <= size:
            self.room = (0, 0)
            return offset
        self.connection.send_bytes(pickle.dumps(("room", nbytes)))
        while (message := self.receive())[0] != "room":
            self.inbox.append(message)  # the next task, sent before the question arrived
        if message[1] is None:
            raise MemoryError(f"the memory that processes share has no room for {nbytes} bytes")
        return int(message[1])

    def note_warning(
        self, message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        """Keep a warning for the parent: its text, kind and place, each once a task."""
        known = category.__module__ in ("builtins", "numpy.exceptions")  # else the parent may not have it
        self.warned[str(message), category if known else UserWarning, filename, lineno] = None


def _pickled(error: BaseException) -> bytes:
    """An exception as it travels, its traceback a note; one that cannot travel becomes a RuntimeError."""
    frames = error.__traceback__.tb_next if error.__traceback__ else None  # without the worker's own
    text = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    add_note(error, f"traceback in the worker process:\n{text}")
    try:
        data: bytes = cloudpickle.dumps(error)
        cloudpickle.loads(data)
        return data
    except Exception:
        stand_in = RuntimeError(f"{type(error).__name__} that cannot be pickled: {error!r}")
        stand_in.__notes__ = [note for note in error.__notes__ if isinstance(note, str)]
        return cloudpickle.dumps(stand_in)  # type: ignore[no-any-return]
