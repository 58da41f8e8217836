"""The worker processes of one executor and the memory they share, seen from the parent.

A worker is a fork of a server process that has loaded all modules, or a new interpreter; it has the parent's
`sys.path`, environment, working directory and output at the time it starts. The user's main module is not run
again, so a script needs no `if __name__ == "__main__"`. It uses one BLAS thread, and ignores Ctrl-C. The plan
is sent once. A worker ends when its connection is closed, which the kernel does when the parent dies; one
that is busy is killed then. POSIX only: connection and memory are passed on as file descriptors.

Nothing here knows the schedule: `send`, `wait`, `receive`, `replace` a dead one, `stop` all.
"""

from __future__ import annotations

import os
import pickle
import selectors
from collections import deque
from contextlib import suppress
from math import prod
from multiprocessing.connection import Connection, Pipe
from typing import Any, NamedTuple
from weakref import WeakSet

import cloudpickle
import numpy as np

from dagexec.executors.arena import LONG, WORD, Arena, aligned
from dagexec.executors.batches import Batch
from dagexec.executors.launch import Process, launch
from dagexec.executors.wire import Encoded, encode, pack, unpack
from dagexec.plan import Plan

OVERHEAD = 0.5e-6  # seconds for a task beside its own work
NO_TASK = -1
UNKNOWN_BYTES = 4096  # room for results of which nothing is known
SECONDS_TO_END = 5.0
STARTS = 30  # workers that may be killed before they begin, one after the other


class Sent(NamedTuple):
    """A batch that is with a worker, and the blocks of memory that came with it or were asked for."""

    batch: Batch
    rooms: list[int]


class Worker:
    """A worker process and the batches it has been sent, the one it is at first."""

    def __init__(self, number: int, process: Process, connection: Connection[Any, Any]) -> None:
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
        if not self.process.wait(SECONDS_TO_END):  # what a task has left behind does not end
            self.process.kill()
            self.process.wait()
        self.process.control.close()


class Pool:
    """Workers for the tasks of a plan.

    The blocks in `pinned` are never to be freed: constants lie there, or what a task has kept. `costs` are
    the seconds that each task should take, `scale` is the running mean of what they really take, as a
    multiple of that; if nothing was measured before, it begins at a second a task. `registry` holds the
    warnings given.
    """

    def __init__(self, plan: Plan, workers: int, method: str) -> None:
        self._method = method
        self._told = b""
        self.arena = Arena()
        self.costs = [OVERHEAD + seconds for seconds in plan.seconds]
        self._mean_cost = sum(self.costs) / len(self.costs)
        self.scale = 1.0 if plan.costs is not None else 1.0 / max(self.costs)
        self._sizes: dict[int, int] = {}  # bytes that results have taken
        self.registry: dict[Any, Any] = {}
        self.pinned: set[int] = set()
        self.workers: list[Worker] = []
        self._stillborn = 0  # workers that ended before they could begin, one after the other
        self.inherited = False  # is this a forked child's copy of its parent's pool?
        self._selector = selectors.DefaultSelector()
        _pools.add(self)
        try:
            for number in range(1, workers + 1):
                self._start(number)
            self._plan = self._pickled(plan)
            for worker in self.workers:  # all are loading their modules by now
                self._brief(worker)
        except BaseException:
            self.stop()
            raise

    def _start(self, number: int) -> Worker:
        """Start a worker."""
        WORD.pack_into(self.arena.map, WORD.size * number, NO_TASK)
        ours, theirs = Pipe()
        with theirs:
            process = launch(self._method, number, theirs.fileno(), self.arena.file, self.arena.size)
        worker = Worker(number, process, ours)
        self.workers.append(worker)
        for connection in (ours, process.control):
            self._selector.register(connection, selectors.EVENT_READ, worker)
        return worker

    def _pickled(self, plan: Plan) -> bytes:
        """The plan as a worker takes it; TypeError naming the task whose callable cannot be pickled."""
        plain, encoded = encode(plan.constants, self.arena, self.arena.allocate)
        for value in encoded.values():
            self.pinned |= self.blocks(value)
        try:
            data: bytes = cloudpickle.dumps(
                ("plan", plan.functions, plan.sources, plan.readers, plain, encoded)
            )
        except Exception:
            for task in plan.tasks:
                try:
                    cloudpickle.dumps(plan.functions[task])
                except Exception as error:
                    raise TypeError(
                        f"{plan.describe(task)} cannot be sent to another process: {error}"
                    ) from error
            raise
        return data

    def _brief(self, worker: Worker) -> None:
        """Send a worker the plan, and what the others were told last."""
        self._write(worker, self._plan)
        if self._told:
            self._write(worker, self._told)

    def blocks(self, encoded: Encoded) -> set[int]:
        """The blocks of memory that hold the arrays of a value."""
        return {self.arena.block_of(placed[0]) for placed in encoded[2] if placed[0]}

    def begin(self, *told: Any) -> None:
        """Tell every worker, and those that will replace them, of a new run."""
        self.arena.map[0] = False
        self._told = pickle.dumps(("run", *told))
        for worker in self.workers:
            self._write(worker, self._told)

    def end_early(self) -> None:
        """Let the workers begin none of the batches that they have."""
        self.arena.map[0] = True

    def send(self, worker: Worker, batch: Batch, plain: dict[int, Any], encoded: dict[int, Encoded]) -> None:
        """Send a batch with the values from outside that it reads, and with room for its results."""
        rooms = []
        short = UNKNOWN_BYTES
        for size in map(self._sizes.get, batch.tasks):
            if size is None:
                continue
            if size < LONG:
                short += aligned(size)
            else:
                rooms.append((self.arena.allocate(size), size))
        rooms.append((self.arena.allocate(short), short))
        blocks = [room for room, _ in rooms]
        worker.sent.append(Sent(batch, blocks))

        def allocate(nbytes: int) -> int:
            blocks.append(self.arena.allocate(nbytes))
            return blocks[-1]

        self._write(worker, pack(("batch", batch.tasks, plain, encoded, rooms), self.arena, allocate))

    def _write(self, worker: Worker, data: bytes) -> None:
        with suppress(ConnectionError):  # it is dead; receive() will say so
            worker.connection.send_bytes(data)

    def learn(self, tasks: list[int], seconds: float, encoded: dict[int, Encoded]) -> None:
        """Tasks have taken so long, and their results these places: next time there will be room for them."""
        self.scale = (self.scale + seconds / sum([self.costs[task] for task in tasks])) / 2
        for slot, (_, _, places) in encoded.items():
            self._sizes[slot] = sum(
                [prod(shape) * np.dtype(dtype).itemsize for _, shape, _, dtype, _ in places]
            )

    @property
    def typical(self) -> float:
        """The seconds that a task of the plan takes, on average."""
        return self.scale * self._mean_cost

    def wait(self, seconds: float) -> list[tuple[Worker, bool]]:
        """The workers that have something to say (True) or may have died (False); at most so long."""
        ready: dict[Worker, bool] = {}
        for key, _ in self._selector.select(seconds):
            worker = key.data
            ready[worker] = ready.get(worker, False) or key.fileobj is worker.connection
        return list(ready.items())

    def receive(self, worker: Worker, speaks: bool) -> Any:
        """The report on a batch, from a worker that `wait` has told; None if it was something else.

        Raises EOFError if the worker has died.
        """
        try:
            if not speaks:
                # A dead one's connection may be held open by a process that its task has started.
                if worker.process.poll() and not worker.connection.poll():
                    raise EOFError
                return None
            message = unpack(worker.connection.recv_bytes(), self.arena)
        except OSError:
            raise EOFError from None
        if message[0] == "started":
            worker.started = True
            self._stillborn = 0
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

    def task_of(self, worker: Worker) -> int:
        """The task that a worker was at last."""
        (task,) = WORD.unpack_from(self.arena.map, WORD.size * worker.number)
        return int(task)

    def replace(self, worker: Worker) -> list[Sent]:
        """Start another in a dead one's place; the batches that were with it."""
        lost = list(worker.sent)
        for connection in (worker.connection, worker.process.control):
            self._selector.unregister(connection)
        self.workers.remove(worker)
        worker.process.kill()
        worker.let_go()
        worker.wait()
        if not worker.started:
            self._stillborn += 1
            if not worker.process.killed or self._stillborn == STARTS:
                how = worker.process.how_it_ended()
                raise RuntimeError(f"a worker process could not start ({how}); see its error output")
        self._brief(self._start(worker.number))
        return lost

    def stop(self) -> None:
        """End all workers and give the memory back."""
        if self.inherited:
            return
        self._selector.close()
        for worker in self.workers:
            worker.let_go()
        for worker in self.workers:
            worker.wait()
        self.workers.clear()
        self.arena.close()

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's."""
        if not self.inherited:
            self.inherited = True
            self._selector.close()
            for worker in self.workers:
                worker.connection.close()
                worker.process.control.close()
            self.workers.clear()
            self.arena.close()


_pools: WeakSet[Pool] = WeakSet()


def _abandon_all() -> None:
    for pool in list(_pools):
        pool.abandon()


os.register_at_fork(after_in_child=_abandon_all)
