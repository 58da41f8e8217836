"""Tasks on processes of their own: the caller's thread schedules, workers compute.

The caller hands out batches of tasks (batches.py) of about a millisecond: single tasks at first, more when it
turns out how short they are. A worker has up to two, so that it need not wait for the caller, unless the few
tasks that are ready should go to others. Only descriptions travel: arrays
lie in memory that all processes share, and a value's block is given out again when its last reader is done.
A limit on the bytes that values hold is kept by handing out fewer tasks that wait for no other.

An error is raised when the tasks then running have ended. A worker that dies is replaced and its tasks are
run again; so tasks should have no effect but their result. One that ends three workers is an error.
After an interrupt or a cancellation all workers are ended, the busy ones by force; the next run starts new
ones. Workers stay until `close()`, until the executor is garbage, or until the interpreter exits.
"""

from __future__ import annotations

import pickle
import warnings
import weakref
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from math import inf
from threading import Lock
from typing import Any

import numpy as np

from dagexec.events import Events
from dagexec.executors.arena import Placed, private
from dagexec.executors.batches import Batch, Batches
from dagexec.executors.cancelling import turn
from dagexec.executors.launch import default_method
from dagexec.executors.pool import Pool, Worker
from dagexec.executors.wire import Encoded, Report, Warned, decode, encode
from dagexec.plan import Plan
from dagexec.schedule import Schedule

BATCH_SECONDS = 1.5e-3  # that much work is sent at a time; a message takes a twentieth of it
MESSAGE_SECONDS = 5e-5  # less work than that is not worth a message, if soon there will be more
POLL_SECONDS = 0.05  # how soon a cancellation is noticed
LIVES = 3  # workers that a task may end


class Processes:
    """Runs a plan on `workers` processes, which stay for the next run.

    They are started by `start_method`, "forkserver" (the default on Linux) or "spawn". Above `max_live_bytes`
    no task is begun that waits for no other.
    """

    def __init__(
        self, plan: Plan, workers: int, start_method: str | None = None, max_live_bytes: float = inf
    ) -> None:
        self.plan = plan
        self._max_live_bytes = max_live_bytes
        self._workers = max(1, min(workers, len(plan.tasks)))
        self._method = start_method or default_method()
        self._pool: Pool | None = None
        self._end: weakref.finalize[Any, Any] | None = None
        self._lock = Lock()

    def __call__(self, values: list[Any], log: Events | None, stop: list[BaseException]) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order."""
        if not self.plan.tasks:
            return self.plan.results(values)
        with turn(self._lock, stop):
            try:
                _Run(self.plan, self._started(), values, log, stop, self._max_live_bytes).work()
            except BaseException:  # cancelled, interrupted, or no worker starts: who is at what is not known
                self._stop()
                raise
        if stop:
            raise stop[0]
        return self.plan.results(values)

    def close(self) -> None:
        """Let the processes go."""
        with self._lock:
            self._stop()

    def _started(self) -> Pool:
        if self._pool is not None and self._pool.inherited:
            self._stop()
        if self._pool is None:
            self._pool = Pool(self.plan, self._workers, self._method)
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
    """One run: what is to be done, the live values as they travel, and how many of them lie in each block."""

    def __init__(
        self,
        plan: Plan,
        pool: Pool,
        values: list[Any],
        log: Events | None,
        stop: list[BaseException],
        max_live_bytes: float,
    ) -> None:
        self.plan = plan
        self.pool = pool
        self.arena = pool.arena
        self.values = values
        self.recorder = None if log is None else _Recorder(plan, log, values)
        self.stop = stop
        self.batches = Batches(plan)
        self.pressure = _Pressure(max_live_bytes)
        self.plain: dict[int, Any] = {}
        self.encoded: dict[int, Encoded] = {}
        self.living: Counter[int] = Counter()  # block -> values in it
        self.deaths: Counter[int] = Counter()
        self.holding = False  # are ready tasks held back until there are more?
        self.failed = False  # has a task raised an error?

    def work(self) -> None:
        """Run all tasks, or as many as can be until an error or a cancellation is in `stop`."""
        self.pool.begin(np.geterr(), self.recorder is not None or self.pressure.limited)
        self.take_arguments()
        self.hand_out()
        while any(worker.sent for worker in self.pool.workers):
            told = self.pool.wait(BATCH_SECONDS if self.holding else POLL_SECONDS)
            for worker, speaks in told:
                self.listen(worker, speaks)
            self.hand_out(patiently=bool(told))
            if len(self.stop) > self.failed:  # the caller's doing
                raise self.stop[0]
        if not self.failed:
            self.fetch_results()
        for block in self.living:
            self.free(block)

    def take_arguments(self) -> None:
        """Copy the arguments to the shared memory, all at once: those that overlap must go on to."""
        arguments = {slot: self.values[slot] for slot in self.plan.inputs if self.plan.readers[slot]}
        self.plain, encoded = encode(arguments, self.arena, self.arena.allocate)
        for slot, value in encoded.items():
            self.hold(slot, value)

    def hand_out(self, patiently: bool = True) -> None:
        """Send batches to the workers that can take one; `patiently`: not little when soon there is more."""
        pool, batches = self.pool, self.batches
        self.holding = False
        share = 2 * len(pool.workers)  # as many batches may be under way
        while not self.failed:
            roots = self.roots(share)
            waiting = batches.waiting(roots)
            if not waiting:
                return
            worker = min(pool.workers, key=lambda worker: len(worker.sent))
            # Nobody gets a second batch as long as the others might want it.
            if len(worker.sent) > (waiting >= len(pool.workers)):
                return
            if patiently and waiting * pool.typical < MESSAGE_SECONDS:
                self.holding = any(worker.sent for worker in pool.workers)
                if self.holding:
                    return
            batch = batches.take(BATCH_SECONDS / pool.scale, pool.costs, share, roots)
            if batch is not None:
                self.send(worker, batch)

    def roots(self, share: int) -> float:
        """How many roots one of `share` batches may hold: one at least where else nothing would go on."""
        roots = self.pressure.roots(share)
        if roots or self.batches.waiting(roots=0) or any(worker.sent for worker in self.pool.workers):
            return roots
        return 1

    def send(self, worker: Worker, batch: Batch) -> None:
        """Send a batch and those of the values it reads that do not come from itself."""
        sources = self.plan.sources
        plain, encoded = {}, {}
        for slot in set(chain.from_iterable([sources[task] for task in batch.tasks])).difference(batch.tasks):
            if slot in self.plain:
                plain[slot] = self.plain[slot]
            elif slot in self.encoded:
                encoded[slot] = self.encoded[slot]
        self.pool.send(worker, batch, plain, encoded)

    def listen(self, worker: Worker, speaks: bool) -> None:
        """Take a message from a worker, and go on."""
        try:
            message = self.pool.receive(worker, speaks)
        except EOFError:
            self.bury(worker)
            return
        if message is None:
            return
        sent = worker.sent.popleft()
        report = Report(*message)
        for slot in report.kept:
            self.pool.pinned |= self.pool.blocks(self.encoded[slot])
        if self.recorder is not None:
            self.recorder.note(worker.number, sent.batch.tasks, report)
        held: set[int] = set()
        if not self.failed and self.warn(report.warned):
            if report.kind == "error":
                self.fail(report.task, _unpickled(report.error))
            else:
                held = self.take_results(sent.batch, report)
        for room in sent.rooms:
            if room not in held:
                self.arena.free(room)

    def take_results(self, batch: Batch, report: Report) -> set[int]:
        """Hold the results of a batch, drop what is dead; the blocks that the results lie in."""
        if report.done:
            self.pool.learn(batch.tasks[: report.done], report.seconds, report.encoded)
        self.plain.update(report.plain)
        held = set()
        for slot, value in report.encoded.items():
            held |= self.hold(slot, value)
        dead = self.batches.done(batch, report.done)
        if self.pressure.limited:
            self.pressure.count({task: size for task, (*_, size) in zip(batch.tasks, report.times)}, dead)
        for slot in dead:
            self.drop(slot)
        return held

    def bury(self, worker: Worker) -> None:
        """Replace a worker that has died, and see to the batches that were with it."""
        task = self.pool.task_of(worker)
        lost = self.pool.replace(worker)
        for sent in lost:
            for room in sent.rooms:
                self.arena.free(room)
        if self.failed or not lost:
            return
        for sent in lost[1:]:
            self.batches.give_back(sent.batch.tasks)
        tasks = lost[0].batch.tasks
        self.batches.give_back(tasks, alone=worker.started)
        if task not in tasks:  # it had not begun
            return
        self.deaths[task] += 1
        if self.deaths[task] == LIVES:
            how = worker.process.how_it_ended()
            text = f"{self.plan.describe(task)} has ended {LIVES} worker processes, the last by {how}"
            self.fail(task, RuntimeError(text))

    def fail(self, task: int, error: BaseException) -> None:
        """Keep the first error, and hand out nothing more."""
        self.failed = True
        self.stop.append(error)
        self.plan.blame(task, error)
        self.pool.end_early()

    def warn(self, warned: list[Warned]) -> bool:
        """Give the warnings of tasks, as if they had run here; False if one is an error to the filters."""
        for task, message, category, filename, lineno in warned:
            try:
                warnings.warn_explicit(message, category, filename, lineno, registry=self.pool.registry)
            except Warning as error:
                self.fail(task, error)
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
        if slot in self.plain:
            del self.plain[slot]
            return
        encoded = self.encoded.pop(slot, None)
        if encoded is None:
            return
        for block in self.pool.blocks(encoded):
            self.living[block] -= 1
            if not self.living[block]:
                del self.living[block]
                self.free(block)

    def free(self, block: int) -> None:
        if block not in self.pool.pinned:
            self.arena.free(block)

    def fetch_results(self) -> None:
        """Copy the results of the plan out of the shared memory."""
        for slot, _ in self.plan.outputs:
            if slot in self.plain:
                self.values[slot] = self.plain[slot]
            elif slot in self.encoded and self.plan.functions[slot] is not None:
                try:
                    self.values[slot] = decode(self.encoded.pop(slot), self.copied)
                except Exception as error:  # of a type that cannot be unpickled
                    self.fail(slot, error)
                    return

    def copied(self, placed: Placed) -> Any:
        return private(self.arena.view(placed))


class _Pressure:
    """How much memory the live results hold, and how many tasks that wait for no other may therefore begin.

    Counted as on threads: `held_bytes` at the end of each task, no arguments.
    """

    def __init__(self, most: float) -> None:
        self.limited = most < inf
        self.most = most
        self.live_bytes = 0
        self.held: dict[int, int] = {}
        self.largest: int | None = None  # bytes of a result, so far

    def count(self, sizes: dict[int, int], dead: Sequence[int]) -> None:
        """Tasks are done, whose results have so many bytes; some values are dead."""
        self.held |= sizes
        self.largest = max([self.largest or 0, *sizes.values()])
        self.live_bytes += sum(sizes.values()) - sum([self.held.pop(slot, 0) for slot in dead])

    def roots(self, share: int) -> float:
        """How many may go into one of `share` batches: as many as fit if all results were large."""
        if not self.limited:
            return inf
        free = self.most - self.live_bytes
        if free < 0:
            return 0
        return 1 if self.largest is None else max(1, free // max(1, share * self.largest))


class _Recorder:
    """Writes the log, by going through the schedule again, task for task, with the workers' times."""

    def __init__(self, plan: Plan, log: Events, values: list[Any]) -> None:
        self.plan = plan
        self.schedule = Schedule(plan)
        self.log = log
        self.values = values
        self.sizes: dict[int, int] = {}
        self.ends: dict[int, float] = {}
        log.note_ready(plan.roots, 0)

    def note(self, worker: int, tasks: list[int], report: Report) -> None:
        """Note what has run of a batch, what each task has made ready, and which values are dead."""
        log, plan = self.log, self.plan
        for task, (start, end, size) in zip(tasks, report.times):
            self.sizes[task] = size
            log.note("start", task, worker, time=start)
            if report.kind == "error" and task == report.task:
                log.note("error", task, worker, time=report.seconds)
                continue
            log.note("end", task, worker, _sized(size), time=end)
            self.ends[task] = end
            made_ready, dead = self.schedule.done(task)
            for following in made_ready:
                log.note("ready", following, 0, time=self.last_end(plan.sources[following]))
            for slot in dead:
                value = _sized(self.sizes[slot]) if slot in self.sizes else self.values[slot]
                log.note("free", slot, 0, value, time=self.last_end((slot, *plan.successors[slot])))

    def last_end(self, tasks: Sequence[int]) -> float:
        """When the last of some tasks ended; reports of different workers come in any order."""
        return max([self.ends[task] for task in tasks if task in self.ends])


def _sized(nbytes: int) -> Any:
    """A stand-in for a value of that many bytes, which takes none."""
    return np.broadcast_to(np.uint8(0), nbytes)


def _unpickled(data: bytes) -> BaseException:
    try:
        error: BaseException = pickle.loads(data)
    except Exception as reason:
        return RuntimeError(f"an error in a worker process that cannot be unpickled here: {reason}")
    return error
