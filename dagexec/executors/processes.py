"""Tasks on processes of their own: the caller's thread schedules, workers compute.

The caller hands the most urgent ready task to a worker that has nothing to do. While tasks are short, each
worker is sent one more in advance, so that it need not wait for the caller. Only descriptions travel: arrays
lie in memory that all processes share, and a value's block is given out again when its last reader is done.

An error is raised when the tasks then running have ended. A worker that dies is replaced and its tasks are
run again; so tasks should have no effect but their result. One that kills three workers is an error. After an
interrupt all workers are killed; the next run starts new ones. Workers stay until `close()`, until the
executor is garbage, or until the interpreter exits.
"""

from __future__ import annotations

import pickle
import warnings
import weakref
from collections import Counter
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np

from dagexec.events import Events
from dagexec.executors.arena import ALIGNMENT, Placed, private
from dagexec.executors.pool import Pool, Worker
from dagexec.executors.wire import Encoded, decode, encode, is_array
from dagexec.ops.table import specs_of
from dagexec.plan import Plan
from dagexec.schedule import Schedule

SHORT = 1e-3  # seconds: with tasks shorter than that, a worker is sent the next one in advance
UNKNOWN_BYTES = 4096  # room for the result of a task whose shape is not known
LIVES = 3  # workers that a task may kill

Warned = tuple[str, type[Warning], str, int]  # text, category, file and line


class Processes:
    """Runs a plan on `workers` processes, which stay for the next run."""

    def __init__(self, plan: Plan, workers: int) -> None:
        self._plan = plan
        self._workers = max(1, min(workers, len(plan.tasks)))
        self._room = [0] * len(plan.graph.nodes)
        for task in plan.tasks:
            specs = specs_of(plan.graph.nodes[task])
            self._room[task] = sum(spec.nbytes for spec in specs) + ALIGNMENT if specs else UNKNOWN_BYTES
        self._pool: Pool | None = None
        self._end: weakref.finalize[Any, Any] | None = None
        self._lock = Lock()

    def __call__(self, values: list[Any], log: Events | None = None) -> Sequence[Any]:
        """Run on `values`, which hold the arguments and constants and take the results."""
        if not self._plan.tasks:
            return values
        with self._lock:
            try:
                error = _Run(self._plan, self._started(), values, log, self._room).work()
            except BaseException:  # an interrupt, or no worker starts: what the workers are at is not known
                self._stop()
                raise
        if error is not None:
            raise error
        return values

    def close(self) -> None:
        """Let the processes go."""
        with self._lock:
            self._stop()

    def _started(self) -> Pool:
        if self._pool is not None and self._pool.inherited:
            self._stop()
        if self._pool is None:
            self._pool = Pool(self._plan, self._workers)
            self._end = weakref.finalize(self, self._pool.stop)
        return self._pool

    def _stop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if self._end is not None:  # None after an interrupt in `_started`
            self._end.detach()
        pool.stop()


class _Run:
    """One run: the schedule, the live values as they travel, and how many of them lie in each block."""

    def __init__(
        self, plan: Plan, pool: Pool, values: list[Any], log: Events | None, room: list[int]
    ) -> None:
        self.plan = plan
        self.pool = pool
        self.arena = pool.arena
        self.values = values
        self.log = log
        self.room = room
        self.schedule = Schedule(plan)
        self.encoded = dict(pool.constants)
        self.sizes: dict[int, int] = {}
        self.living: Counter[int] = Counter()  # block -> values in it
        self.again: list[int] = []  # tasks that were with a worker when it died
        self.deaths: Counter[int] = Counter()
        self.error: BaseException | None = None

    def work(self) -> BaseException | None:
        """Run all tasks; the error that stopped the run, if one did."""
        self.pool.tell(("run", np.geterr()))
        self.take_arguments()
        if self.log is not None:
            self.log.note_ready(self.plan.roots, 0)
        self.hand_out()
        while any(worker.sent for worker in self.pool.workers):
            for worker in self.pool.wait():
                self.listen(worker)
        if self.error is None:
            self.fetch_results()
        for block in self.living:
            self.free(block)
        return self.error

    def take_arguments(self) -> None:
        """Copy the arguments to the shared memory, all at once: those that overlap must go on to."""
        slots = [slot for slot in self.plan.inputs if self.plan.readers[slot]]
        arrays = [slot for slot in slots if is_array(self.values[slot])]
        places = self.arena.place([self.values[slot] for slot in arrays], self.arena.allocate)
        for slot, placed in zip(arrays, places):
            self.hold(slot, ("array", None, [placed]))
        for slot in slots:
            if slot not in self.encoded:
                self.hold(slot, encode(self.values[slot], self.arena, self.arena.allocate))

    def hand_out(self) -> None:
        """Send ready tasks to the workers that can take one."""
        pool = self.pool
        most = 2 if pool.typical < SHORT else 1
        while True:
            worker = min(pool.workers, key=lambda worker: len(worker.sent))
            if len(worker.sent) >= most:
                return
            task = self.again.pop() if self.again else self.schedule.ready()
            if task is None:
                return
            inputs = {slot: self.encoded[slot] for slot in self.plan.sources[task]}
            pool.send(worker, task, inputs, self.room[task])

    def listen(self, worker: Worker) -> None:
        """Take a message from a worker, and go on."""
        try:
            message = self.pool.receive(worker)
        except EOFError:
            self.bury(worker)
            self.hand_out()
            return
        if message is None:
            return
        sent = worker.sent.popleft()
        if message[0] == "error":
            self.note_error(worker, sent.task, *message[1:])
            held: set[int] = set()
        else:
            held = self.note_done(worker, sent.task, *message[1:])
        for room in sent.rooms:
            if room not in held:
                self.arena.free(room)
        self.hand_out()

    def note_done(
        self,
        worker: Worker,
        task: int,
        encoded: Encoded,
        size: int,
        start: float,
        end: float,
        kept: bool,
        warned: list[Warned],
    ) -> set[int]:
        """Take a result, tell the schedule, drop what is dead; the blocks that the result lies in."""
        self.pool.typical = (self.pool.typical + end - start) / 2
        if kept:
            for slot in self.plan.sources[task]:
                self.pool.pinned |= self.pool.blocks(self.encoded[slot])
        if self.error is not None or not self.warn(task, warned):
            return set()
        held = self.hold(task, encoded)
        self.sizes[task] = size
        made_ready, dead = self.schedule.done(task)
        if self.log is not None:
            self.log.note("start", task, worker.number, time=start)
            self.log.note("end", task, worker.number, _sized(size), time=end)
            self.log.note_ready(made_ready, 0)
        for slot in dead:
            self.drop(slot)
        return held

    def note_error(
        self, worker: Worker, task: int, data: bytes, start: float, end: float, warned: list[Warned]
    ) -> None:
        """Stop the run with the error that a task has raised."""
        if self.log is not None:
            self.log.note("start", task, worker.number, time=start)
            self.log.note("error", task, worker.number, time=end)
        if self.error is None and self.warn(task, warned):
            self.stop(task, _unpickled(data))

    def bury(self, worker: Worker) -> None:
        """Replace a worker that has died, and see to the tasks that were with it."""
        lost = self.pool.replace(worker)
        for sent in lost:
            for room in sent.rooms:
                self.arena.free(room)
        if not lost or self.error is not None:
            return
        self.again += [sent.task for sent in lost]
        task = lost[0].task  # the one it was at
        self.deaths[task] += 1
        if self.deaths[task] == LIVES:
            self.stop(
                task,
                RuntimeError(
                    f"{self.plan.describe(task)} has ended {LIVES} worker processes, "
                    f"the last by {worker.how_it_ended()}"
                ),
            )

    def stop(self, task: int, error: BaseException) -> None:
        """Keep the first error, and hand out nothing more."""
        self.plan.blame(task, error)
        self.error = error
        self.again.clear()
        self.schedule.failed()

    def warn(self, task: int, warned: list[Warned]) -> bool:
        """Give the warnings of a task, as if it had run here; False if one is an error to the filters."""
        try:
            for message, category, filename, lineno in warned:
                warnings.warn_explicit(message, category, filename, lineno, registry=self.pool.registry)
        except Warning as error:
            self.stop(task, error)
            return False
        return True

    def hold(self, slot: int, encoded: Encoded) -> set[int]:
        """Keep a value and the blocks that it lies in."""
        self.encoded[slot] = encoded
        blocks = self.pool.blocks(encoded)
        self.living.update(blocks)
        return blocks

    def drop(self, slot: int) -> None:
        """Drop a dead value, and the blocks in which no other lies."""
        if self.log is not None:
            value = _sized(self.sizes[slot]) if slot in self.sizes else self.values[slot]
            self.log.note("free", slot, 0, value)
        self.values[slot] = None
        for block in self.pool.blocks(self.encoded.pop(slot)):
            self.living[block] -= 1
            if not self.living[block]:
                del self.living[block]
                self.free(block)

    def free(self, block: int) -> None:
        if block not in self.pool.pinned:
            self.arena.free(block)

    def fetch_results(self) -> None:
        """Copy the results of the graph out of the shared memory."""
        for slot in {slot for slot, _ in self.plan.outputs} & self.sizes.keys():
            try:
                self.values[slot] = decode(self.encoded[slot], self.copied)
            except Exception as error:  # of a type that cannot be unpickled
                self.stop(slot, error)

    def copied(self, placed: Placed) -> Any:
        return private(self.arena.view(placed))


def _sized(nbytes: int) -> Any:
    """A stand-in for a value of that many bytes, which takes none."""
    return np.broadcast_to(np.uint8(0), nbytes)


def _unpickled(data: bytes) -> BaseException:
    try:
        error: BaseException = pickle.loads(data)
    except Exception as reason:
        return RuntimeError(f"an error in a worker process that cannot be unpickled here: {reason}")
    return error
