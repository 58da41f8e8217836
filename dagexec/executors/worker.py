"""A worker process of the `processes` executor: what runs on the other side of the connection.

It is given the plan once, then takes one message after another: a batch of tasks, with the values from
outside that they read and room in the shared memory for their results. It answers, in the order of the
batches, with those values that are read outside of the batch: it counts the readers down, so these are the
ones with readers left, and all others are gone by then. Messages are tuples that begin with their kind:

    from the parent    ("plan", functions, sources, readers, plain constants, encoded constants)
                       ("run", the caller's numpy.geterr(), is there a log?)
                       ("batch", tasks, plain values, encoded values, [(offset, bytes) of rooms])
                       ("room", offset or None)
    to the parent      ("started",) or ("broken", text)
                       ("room", bytes): a result needs more, answer at once
                       ("done" or "error", ...), a Report

A batch is expected to take a millisecond or two. A worker that is still at it after three stops after the
task it is at, and the rest of the batch is for whoever is free; so one long task where short ones were
expected holds up nobody. That is also why a batch need not be told of an error elsewhere: if it has begun it
ends soon, and before it begins the worker looks, at the first byte of the memory, whether the run goes on.

It holds no array between batches but the constants. If a callable keeps one of its inputs, in a cache for
example, a note says so, and the parent does not give out that memory again. It ends when the connection does.
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
from operator import itemgetter
from time import perf_counter
from types import TracebackType
from typing import Any

import cloudpickle
import numpy as np

from dagexec.events import held_bytes
from dagexec.executors.arena import WORD, Array, Memory, Placed
from dagexec.executors.failures import portable
from dagexec.executors.wire import Encoded, Parcel, Warned, decode, pack, unpack

LONGEST = 3e-3  # seconds after which the rest of a batch is left to others
NEVER = 2**62  # readers of a constant

Room = tuple[int, int]  # offset and bytes


def main(socket: int, file: int, size: int, number: int) -> None:
    """Be worker `number`: `socket` leads to the parent, `file` of `size` bytes is the shared memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if "numpy.random" in sys.modules:  # with the state of the process this one was forked from
        np.random.seed()
    os.set_inheritable(socket, False)
    memory = Memory(file, size)
    os.close(file)
    connection: Connection[Any, Any] = Connection(socket)
    # A process that a task forks must not hold the connection open when this one is dead.
    os.register_at_fork(after_in_child=connection.close)
    try:
        worker = _Worker(connection, memory, number, *cloudpickle.loads(connection.recv_bytes())[1:])
    except EOFError:
        return
    except BaseException:
        connection.send_bytes(pickle.dumps(("broken", traceback.format_exc()[-4000:])))
        return
    gc.freeze()  # what is here now stays; so looking for kept inputs is quick
    worker.serve()


class _Worker:
    """The state of a worker: what it has yet to do, and what concerns the batch it is at."""

    def __init__(
        self,
        connection: Connection[Any, Any],
        memory: Memory,
        number: int,
        functions: list[Callable[..., Any]],
        sources: list[tuple[int, ...]],
        readers: list[int],
        plain: dict[int, Any],
        encoded: dict[int, Encoded],
    ) -> None:
        self.connection = connection
        self.memory = memory
        self.functions = functions
        self.sources = sources
        self.readers = readers
        self.left = readers
        self.fetch = [itemgetter(*slots) if len(slots) > 1 else None for slots in sources]
        self.values: list[Any] = [None] * len(functions)
        for slot, value in plain.items():
            self.values[slot] = value
        for slot, sent in encoded.items():
            self.values[slot] = decode(sent, memory.view)
        for slot in (*plain, *encoded):
            readers[slot] = NEVER
        self.inbox: deque[Any] = deque()
        self.recording = False
        self.rooms: list[Room] = []
        # What is at work: the task that runs, or whose value is decoded or encoded. The parent can see it.
        words = memoryview(memory.map)[WORD.size * number : WORD.size * (number + 1)]
        self.task = words.cast("q")
        self.count = 0  # tasks of the batch that are done
        self.times: list[tuple[float, float, int]] = []  # start, end, bytes
        self.warned: dict[Warned, None] = {}
        warnings.simplefilter("always")  # the parent's filters decide
        warnings.showwarning = self.note_warning

    def serve(self) -> None:
        """Do what the messages say until the parent closes the connection."""
        try:
            self.connection.send_bytes(pickle.dumps(("started",)))
            while True:
                kind, *rest = self.inbox.popleft() if self.inbox else self.receive()
                if kind == "run":
                    self.begin(*rest)
                else:
                    answer = self.compute(*rest)
                    self.connection.send_bytes(pack(answer, self.memory, self.allocate))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> Any:
        return unpack(self.connection.recv_bytes(), self.memory)

    def begin(self, error_state: dict[str, Any], recording: bool) -> None:
        """A new run."""
        np.seterr(**error_state)
        self.recording = recording
        self.left = self.readers.copy()

    def compute(
        self, tasks: list[int], plain: dict[int, Any], encoded: dict[int, Encoded], rooms: list[Room]
    ) -> Any:
        """Run a batch; the answer to the parent."""
        self.rooms = rooms
        self.task[0] = tasks[0]
        self.count = 0
        self.times.clear()
        self.warned.clear()
        inputs: dict[int, list[weakref.ref[Array]]] = {}
        what: tuple[Any, ...]
        try:
            seconds = 0.0
            if not self.memory.map[0]:  # else the run is over
                self.values_from(plain, encoded, inputs, tasks)
                seconds = self.run(tasks)
            what = "done", self.count, seconds, *self.results(tasks), -1, b""
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: raised by the task
            data = portable(error.with_traceback(_without_our_frames(error.__traceback__)))
            what = "error", self.count, perf_counter(), {}, {}, self.task[0], data
        for slots in (tasks, plain, encoded):
            for slot in slots:
                self.values[slot] = None
        return *what, _kept(inputs), list(self.warned), list(self.times)  # a Report

    def values_from(
        self,
        plain: dict[int, Any],
        encoded: dict[int, Encoded],
        inputs: dict[int, list[weakref.ref[Array]]],
        tasks: list[int],
    ) -> None:
        """Take the values from outside; whether their arrays go away after the batch is watched."""
        for slot, value in plain.items():
            self.values[slot] = value
        for slot, sent in encoded.items():
            watched = inputs[slot] = []

            def view(placed: Placed, watched: list[weakref.ref[Array]] = watched) -> Array:
                array = self.memory.view(placed)
                watched.append(weakref.ref(array))
                return array

            try:
                self.values[slot] = decode(sent, view)
            except BaseException:
                self.task[0] = next(task for task in tasks if slot in self.sources[task])
                raise

    def run(self, tasks: list[int]) -> float:
        """Compute the tasks, or as many as the time allows; the seconds that it took."""
        functions, sources, fetch = self.functions, self.sources, self.fetch
        values, left, recording, at = self.values, self.left, self.recording, self.task
        start = perf_counter()
        for count, task in enumerate(tasks, 1):
            at[0] = task
            slots = sources[task]
            if recording:
                self.times.append((perf_counter(), 0.0, 0))
            if len(slots) == 1:
                values[task] = functions[task](values[slots[0]])
            elif slots:
                values[task] = functions[task](*fetch[task](values))  # type: ignore[misc]
            else:
                values[task] = functions[task]()
            now = perf_counter()
            self.count = count
            if recording:
                self.times[-1] = self.times[-1][0], now, held_bytes(values[task])
            for slot in slots:
                left[slot] -= 1
                if not left[slot]:
                    values[slot] = None
            if now - start > LONGEST:
                break
        return now - start

    def results(self, tasks: list[int]) -> tuple[dict[int, Any], dict[int, Encoded]]:
        """The values that are read outside of the batch, as they travel."""
        parcel, values, left = Parcel(), self.values, self.left
        for task in tasks[: self.count]:
            if left[task]:
                self.task[0] = task
                parcel.add(task, values[task])
        return parcel.plain, parcel.place(self.memory, self.allocate)

    def allocate(self, nbytes: int) -> int:
        """Room in the shared memory: what came with the batch if that is enough, else the parent is asked."""
        enough = [room for room in self.rooms if room[1] >= nbytes]
        if enough:
            room = min(enough, key=itemgetter(1))
            self.rooms.remove(room)
            return room[0]
        self.connection.send_bytes(pickle.dumps(("room", nbytes)))
        while (message := self.receive())[0] != "room":
            self.inbox.append(message)  # the next batch, sent before the question arrived
        if message[1] is None:
            raise MemoryError(f"the memory that processes share has no room for {nbytes} bytes")
        return int(message[1])

    def note_warning(
        self, message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        """Keep a warning for the parent: its task, text, kind and place, each once a task."""
        known = category.__module__ in ("builtins", "numpy.exceptions")  # else the parent may not have it
        self.warned[self.task[0], str(message), category if known else UserWarning, filename, lineno] = None


def _kept(inputs: dict[int, list[weakref.ref[Array]]]) -> list[int]:
    """The slots of which a task has kept an array."""

    def kept() -> list[int]:
        return [slot for slot, arrays in inputs.items() if any(array() is not None for array in arrays)]

    if kept():
        gc.collect()
    return kept()


def _without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace
