"""The worker processes of one executor and the memory they share, seen from the parent.

A worker is a new interpreter, started with the parent's `sys.path`; the user's main module is not run again,
so a script needs no `if __name__ == "__main__"`. It starts with one BLAS thread, and ignores Ctrl-C. The
tasks are sent once. A worker ends when its connection is closed, which the kernel does when the parent dies.
POSIX only: connection and memory are inherited file descriptors.

Nothing here knows the schedule: `send`, `wait`, `receive`, `replace` a dead one, `stop` all.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any, NamedTuple

import cloudpickle

from dagexec.executors.arena import Arena
from dagexec.executors.wire import Encoded, encode, pack, unpack
from dagexec.graph import CONSTANT, ITEM
from dagexec.ops.table import TABLE
from dagexec.plan import Plan, Source

START = (
    "import sys; sys.path[:] = sys.argv[4:]; "
    "from dagexec.executors.worker import main; main(*map(int, sys.argv[1:4]))"
)
BLAS_LIMITS = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
SECONDS_TO_END = 5.0


class Sent(NamedTuple):
    """A task that is with a worker, and the blocks of memory that came with it or were asked for."""

    task: int
    rooms: list[int]


class Worker:
    """A worker process and the tasks it has been sent, the one it is at first."""

    def __init__(self, number: int, process: Popen[bytes], connection: Connection[Any, Any]) -> None:
        self.number = number
        self.process = process
        self.connection = connection
        self.sent: deque[Sent] = deque()
        self.started = False

    def let_go(self) -> None:
        """Let an idle one exit; kill any other."""
        if self.sent or not self.started:
            self.process.kill()
        self.connection.close()

    def wait(self) -> None:
        """Wait until it is gone."""
        try:
            self.process.wait(SECONDS_TO_END)
        except TimeoutExpired:  # a thread that a task has started, for example
            self.process.kill()
            self.process.wait()

    def how_it_ended(self) -> str:
        """The exit status in words, of one that has ended."""
        status = self.process.returncode
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


class Pool:
    """Workers for the tasks of a plan.

    `constants` are the plan's constants, encoded. The blocks in `pinned` are never to be freed: constants lie
    there, or what a task has kept. `typical` is a running mean of the seconds that a task takes, `registry`
    the warnings that were given.
    """

    def __init__(self, plan: Plan, workers: int) -> None:
        self._pid = os.getpid()
        self._tasks = _pickled_tasks(plan)
        self._told = b""
        self.arena = Arena()
        self.typical = 1.0
        self.registry: dict[Any, Any] = {}
        self.pinned: set[int] = set()
        self.constants: dict[int, Encoded] = {}
        self.workers: list[Worker] = []
        self._selector = selectors.DefaultSelector()
        try:
            self._place_constants(plan)
            for number in range(1, workers + 1):
                self._start(number)
            for worker in self.workers:  # all are loading their modules by now
                self._brief(worker)
        except BaseException:
            self.stop()
            raise

    def _place_constants(self, plan: Plan) -> None:
        for slot, node in enumerate(plan.graph.nodes):
            if node.op is CONSTANT and plan.readers[slot]:
                encoded = encode(plan.start[slot], self.arena, self.arena.allocate)
                self.constants[slot] = encoded
                self.pinned |= self.blocks(encoded)

    def _start(self, number: int) -> Worker:
        """Start a worker."""
        ours, theirs = Pipe()
        inherited = (theirs.fileno(), self.arena.file)
        arguments = [*map(str, inherited), str(self.arena.size), *map(str, sys.path)]
        with _interrupts_held():  # and the worker inherits that, until it has learnt to ignore them
            process = Popen(
                [sys.executable, "-c", START, *arguments],
                stdin=DEVNULL,
                env=os.environ | dict.fromkeys(BLAS_LIMITS, "1"),
                pass_fds=inherited,
            )
            worker = Worker(number, process, ours)
            self.workers.append(worker)
            self._selector.register(ours, selectors.EVENT_READ, worker)
        theirs.close()
        return worker

    def _brief(self, worker: Worker) -> None:
        """Send a worker the tasks, and what the others were told last."""
        try:
            worker.connection.send_bytes(self._tasks)
            if self._told:
                worker.connection.send_bytes(self._told)
        except ConnectionError:
            raise self.not_started(worker) from None

    def blocks(self, encoded: Encoded) -> set[int]:
        """The blocks of memory that hold the arrays of a value."""
        return {self.arena.block_of(placed[0]) for placed in encoded[2] if placed[0]}

    def tell(self, message: Any) -> None:
        """Send a short message to every worker, and to those that will replace them."""
        self._told = pickle.dumps(message)
        for worker in self.workers:
            self._write(worker, self._told)

    def send(self, worker: Worker, task: int, inputs: dict[int, Encoded], nbytes: int) -> None:
        """Send a task with its encoded inputs and room for `nbytes` of result."""
        rooms = [self.arena.allocate(nbytes)]
        worker.sent.append(Sent(task, rooms))

        def allocate(length: int) -> int:
            rooms.append(self.arena.allocate(length))
            return rooms[-1]

        self._write(worker, pack(("task", task, inputs, (rooms[0], nbytes)), self.arena, allocate))

    def _write(self, worker: Worker, data: bytes) -> None:
        with suppress(ConnectionError):  # it is dead; receive() will say so
            worker.connection.send_bytes(data)

    def wait(self) -> list[Worker]:
        """The workers that have something to say, or have died; waits for one."""
        while True:
            ready = [key.data for key, _ in self._selector.select(1.0)]
            # A dead one's connection may be held open by a process that its task has started.
            ready = ready or [worker for worker in self.workers if worker.process.poll() is not None]
            if ready:
                return ready

    def receive(self, worker: Worker) -> Any:
        """The report on a task, from a worker that has something to say; None if it was something else.

        Raises EOFError if the worker has died.
        """
        try:
            if worker.process.returncode is not None and not worker.connection.poll():
                raise EOFError
            message = unpack(worker.connection.recv_bytes(), self.arena)
        except OSError:
            raise EOFError from None
        if message[0] == "started":
            worker.started = True
        elif message[0] == "broken":
            raise RuntimeError(f"a worker process cannot load the tasks:\n{message[1]}")
        elif message[0] == "room":
            self._give_room(worker, message[1])
        else:
            return message
        return None

    def _give_room(self, worker: Worker, nbytes: int) -> None:
        offset = None
        with suppress(MemoryError):
            offset = self.arena.allocate(nbytes)
            worker.sent[0].rooms.append(offset)
        self._write(worker, pickle.dumps(("room", offset)))

    def replace(self, worker: Worker) -> list[Sent]:
        """Start another in a dead one's place; the tasks that were with it."""
        lost = list(worker.sent)
        self._selector.unregister(worker.connection)
        self.workers.remove(worker)
        worker.process.kill()
        worker.let_go()
        worker.wait()
        if not worker.started:
            raise self.not_started(worker)
        self._brief(self._start(worker.number))
        return lost

    def not_started(self, worker: Worker) -> RuntimeError:
        """The error to raise when a worker ended before it could begin."""
        worker.process.wait()
        return RuntimeError(
            f"a worker process could not start ({worker.how_it_ended()}); see its error output"
        )

    def stop(self) -> None:
        """End all workers and give the memory back; in a forked child, let go of the parent's."""
        self._selector.close()
        for worker in self.workers:
            if self.inherited:
                worker.connection.close()
                worker.process.returncode = 0  # it is not this process's to wait for
            else:
                worker.let_go()
        for worker in self.workers:
            if not self.inherited:
                worker.wait()
        self.workers.clear()
        self.arena.close()

    @property
    def inherited(self) -> bool:
        """Is this a forked child's copy of its parent's pool?"""
        return os.getpid() != self._pid


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pickled_tasks(plan: Plan) -> bytes:
    """All tasks as a worker takes them; TypeError naming the node whose callable cannot be pickled."""
    listed: list[tuple[int, str | None, Any, list[Source]]] = []
    for task in plan.tasks:
        node = plan.graph.nodes[task]
        items = [source.params["index"] if source.op is ITEM else None for source in node.inputs]
        parts = list(zip(plan.sources[task], items))
        if TABLE.get(node.op.name) is node.op and node.op.kernel.__module__.startswith("dagexec."):
            listed.append((task, node.op.name, dict(node.params), parts))
        else:
            listed.append((task, None, plan.functions[task], parts))
    try:
        return cloudpickle.dumps(listed)  # type: ignore[no-any-return]
    except Exception:
        for entry in listed:
            try:
                cloudpickle.dumps(entry)
            except Exception as error:
                raise TypeError(
                    f"{plan.describe(entry[0])} cannot be sent to another process: {error}"
                ) from error
        raise
