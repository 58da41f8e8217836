"""Where nothing is known of the tasks: begin serially, measure, and go on with threads if that pays.

The tasks are run in the order of the graph, some at a time, and timed. When they turn out long enough to be
handed over, the rest goes to threads, for a few milliseconds at first. In that time the processor must have
been busier than one thread can make it; else the tasks hold the interpreter lock, and the caller's thread
goes on alone, to try again later. Tasks that wait, for a disk for example, need no such proof.

What a run has shown settles the next ones: threads where they paid, and processes, if the tasks can be sent
there, where the lock was held for seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, Timer
from time import perf_counter, process_time, thread_time
from typing import Any

import cloudpickle

from dagexec.events import Events
from dagexec.executors.counting import counters
from dagexec.executors.light import LightRun
from dagexec.executors.processes import Processes
from dagexec.executors.serial import Serial, run_steps, steps_of
from dagexec.executors.threads import Team, Threads, work_together
from dagexec.plan import Plan, longest_paths

# Shorter tasks lose more by two threads' taking turns at the interpreter than they gain.
WORTH_SHARING = 8e-6
# So much of a run is timed at once, and must be left to be worth the switch.
CHUNK = 1e-3
# How long threads are tried, and how long the caller goes on alone after a trial that failed.
TRIAL = 10e-3
ALONE = 0.2
# Processor seconds a second: what one thread reaches at the most, with some noise.
ONE_THREAD = 1.2
# Below this share of processor time, tasks wait for something else.
WAITING = 0.5
# The length of a run from which starting processes for the next one pays.
WORTH_PROCESSES = 2.0
# A graph with fewer tasks side by side, on the average, is left to one worker.
LEAST_PARALLELISM = 1.3


class Adaptive:
    """Runs a plan in the caller's thread, and on up to `workers` threads or processes when they pay.

    `chosen` names what the last run ended on; `story` tells, a line each, what has been found.
    """

    def __init__(self, plan: Plan, workers: int) -> None:
        self.plan = plan
        self._workers = workers
        self._steps = steps_of(plan)
        self._team = Team()
        self._settled: Threads | Processes | None = None
        self._settling = Lock()
        self._parallelism: float | None = None
        self.chosen = "serial"
        self.story: list[str] = []

    def __call__(self, values: list[Any], log: Events | None, stop: list[BaseException]) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order."""
        if self._settled is not None:
            return self._settled(values, log, stop)
        if log is not None:
            return Serial(self.plan)(values, log, stop)
        self.story = []
        start = perf_counter()
        done, waits = self._serially(values, stop)
        if done < len(self._steps):
            if self._together(self._rest(done, values, stop), stop, sure=waits):
                self._settle("threads", Threads(self.plan, self._workers))
            elif perf_counter() - start > WORTH_PROCESSES and not stop and _can_be_sent(self.plan):
                self._settle("processes", Processes(self.plan, self._workers))
        if stop:
            raise stop[0]
        return self.plan.results(values)

    def close(self) -> None:
        """Let threads and processes go."""
        self._team.close()
        if self._settled is not None:
            self._settled.close()

    def _settle(self, name: str, executor: Threads | Processes) -> None:
        with self._settling:
            if self._settled is None:  # runs may overlap
                self.chosen, self._settled = name, executor
                self.story.append(f"{name} from the next run on")

    def _serially(self, values: list[Any], stop: list[BaseException]) -> tuple[int, bool]:
        """Run until tasks turn out worth sharing: how many have been run, and whether they wait."""
        steps, position, size = self._steps, 0, 1
        walls = busies = before = 0.0
        while position < len(steps):
            chunk = steps[position : position + size]
            wall, busy = perf_counter(), thread_time()
            run_steps(self.plan, chunk, values, stop)
            wall, busy = perf_counter() - wall, thread_time() - busy
            walls, busies = walls + wall, busies + busy
            position += len(chunk)
            mean = wall / len(chunk)
            left = mean * (len(steps) - position)
            long = min(mean, before) > WORTH_SHARING  # one slow chunk may be the machine's doing
            if long and walls > CHUNK and left > CHUNK and self._is_wide():
                self.story.append(f"{position} tasks run serially, the last took {mean * 1e6:.0f} µs each")
                return position, busies < WAITING * walls
            before = mean
            size = max(1, min(2 * size, int(CHUNK / max(mean, 1e-9))))
        self.story.append(f"all {position} tasks run serially: too short, or too few side by side")
        return position, False

    def _is_wide(self) -> bool:
        if self._parallelism is None:
            plan = self.plan
            ones = [1.0] * len(plan.functions)
            levels = max(longest_paths(plan.tasks, plan.successors, ones))
            self._parallelism = len(plan.tasks) / levels
        return self._parallelism > LEAST_PARALLELISM

    def _rest(self, done: int, values: list[Any], stop: list[BaseException]) -> LightRun:
        """The run of what is left after the first `done` steps."""
        plan = self.plan
        unmet, readers = plan.unmet.copy(), plan.readers.copy()
        for task in plan.tasks[:done]:
            for following in plan.successors[task]:
                unmet[following] -= 1
            for slot in plan.sources[task]:
                readers[slot] -= 1
        ready = [task for task in plan.tasks[done:] if not unmet[task]]
        return LightRun(plan, values, stop, counters(unmet), counters(readers), ready)

    def _together(self, run: LightRun, stop: list[BaseException], sure: bool) -> bool:
        """Run the rest, on threads where they pay; whether they did in the end."""
        if sure:
            self.story.append(f"they wait for something, so then {self._workers} threads")
            work_together(run, self._workers, self._team, stop)
            return True
        alone = ALONE
        while run.ready and not stop:
            busyness = _busyness(lambda: self._for_a_while(run, self._workers, stop, TRIAL))
            if busyness > ONE_THREAD:
                self.story.append(f"then {self._workers} threads: they keep {busyness:.2f} cores busy")
                work_together(run, self._workers, self._team, stop)
                return True
            self.story.append(
                f"threads tried: only {busyness:.2f} cores busy, so the tasks hold the interpreter's lock"
            )
            self._for_a_while(run, 1, stop, alone)
            alone *= 2
        return False

    def _for_a_while(self, run: LightRun, workers: int, stop: list[BaseException], seconds: float) -> None:
        timer = Timer(seconds, run.pause.append, (True,))
        timer.daemon = True
        timer.start()
        try:
            work_together(run, workers, self._team, stop)
        finally:
            timer.cancel()


def _busyness(work: Callable[[], None]) -> float:
    """How many cores a piece of work kept busy."""
    wall, busy = perf_counter(), process_time()
    work()
    return (process_time() - busy) / (perf_counter() - wall)


def _can_be_sent(plan: Plan) -> bool:
    try:
        cloudpickle.dumps(plan.functions)
    except Exception:  # whatever a callable's own pickling may raise
        return False
    return True
