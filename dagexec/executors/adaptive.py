"""Where nothing is known of the tasks: begin serially, measure, and go on with threads if that pays.

The tasks are run in the order of the graph, some at a time, and timed. When they turn out long enough to be
handed over, a second thread knocks: it asks for the interpreter's lock again and again, and does nothing with
it. If it gets in while the tasks run, so would other tasks, and the rest goes to threads. If it has to wait
for the lock, the tasks hold it, and the caller's thread goes on alone, to find out again later.

What a run has shown settles the next ones: threads where they paid, processes, if the tasks can be sent
there, where the lock was held for seconds, and where all tasks were short one serial run in one go.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from threading import Lock, Thread
from time import perf_counter, sleep
from typing import Any

import cloudpickle

from dagexec.events import Events
from dagexec.executors.processes import Processes
from dagexec.executors.serial import Recording, run_steps
from dagexec.executors.threads import Threads
from dagexec.plan import Plan, longest_paths
from dagexec.steps import all_steps

# Shorter tasks lose more by two threads' taking turns at the interpreter than they gain.
WORTH_SHARING = 8e-6
# So much of a run is timed at once, and must be left to be worth the switch.
CHUNK = 1e-3
# Between two knocks. A lock that is free is there at once, one that is held only every 5 ms.
PAUSE = 1e-4
# A lock is free if so many knocks are answered in this time.
KNOCKS = 10
PATIENCE = 10e-3
# How long the caller goes on alone before the next try, at first.
ALONE = 0.2
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
        self._steps = all_steps(plan)
        self._settled: Threads | Processes | None = None
        self._settling = Lock()
        self._parallelism: float | None = None
        self._may_send = True
        self._all_short = False
        self._alone, self._quiet_until = ALONE, 0.0
        self.chosen = "serial"
        self.story: list[str] = []

    def __call__(self, values: list[Any], log: Events | None, stop: list[BaseException]) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order."""
        if self._settled is not None:
            try:
                return self._settled(values.copy(), log, stop)
            except Exception as error:
                if self.chosen != "processes" or "pickle" not in str(error):
                    raise
                self._unsettle(error, stop)
        self.story = []
        start = perf_counter()
        run = partial(run_steps, self.plan) if log is None else Recording(self.plan, log).run_steps
        number, held = self._serially(run, values, stop)
        if number < len(self._steps):
            threads = Threads(self.plan, self._workers)
            self._settle("threads", threads)
            return threads(values, log, stop, self.plan.tasks[:number])
        if held and self._may_send and perf_counter() - start > WORTH_PROCESSES and _can_be_sent(self.plan):
            self._settle("processes", Processes(self.plan, self._workers))
        return self.plan.results(values)

    def close(self) -> None:
        """Let threads and processes go."""
        if self._settled is not None:
            self._settled.close()

    def _settle(self, name: str, executor: Threads | Processes) -> None:
        with self._settling:
            if self._settled is None:  # runs may overlap
                self.chosen, self._settled = name, executor
                self.story.append(f"{name} from the next run on")

    def _unsettle(self, error: Exception, stop: list[BaseException]) -> None:
        """Stay in this process: a value cannot be sent to another."""
        stop.remove(error)
        with self._settling:
            self.chosen, self._settled, self._may_send = "serial", None, False

    def _serially(
        self, run: Callable[..., None], values: list[Any], stop: list[BaseException]
    ) -> tuple[int, bool]:
        """Run until threads would pay: how many tasks have been run, and whether they hold the lock."""
        steps, position = self._steps, 0
        size = len(steps) if self._all_short else 1
        all_short = True
        following = iter(steps)
        held = False
        before, quiet_until = 0.0, max(self._quiet_until, perf_counter() + CHUNK)
        knocking: _Knocking | None = None
        try:
            while position < len(steps):
                start = perf_counter()
                number = min(size, len(steps) - position)
                # Counting steps off costs 2 % of trivial tasks.
                run(following if number == len(steps) else islice(following, number), values, stop)
                position += number
                now = perf_counter()
                mean = (now - start) / number
                all_short &= mean < WORTH_SHARING
                if knocking is not None:
                    if knocking.is_let_in() and position < len(steps):
                        self.story.append(f"{position} tasks run serially, the last took {_us(mean)} each")
                        self.story.append(f"they leave the interpreter free, so then {self._workers} threads")
                        return position, False
                    if now > knocking.since + PATIENCE:
                        self.story.append(f"tasks of {_us(mean)} hold the interpreter's lock")
                        held = True
                        knocking.end()
                        knocking, quiet_until = None, self._go_on_alone(now)
                elif now > quiet_until:
                    # Of two, because one slow chunk may be the machine's doing.
                    long = min(mean, before) > WORTH_SHARING
                    if long and mean * (len(steps) - position) > CHUNK and self._is_wide():
                        knocking = _Knocking()
                before = mean
                size = max(1, min(4 * size, int(CHUNK / max(mean, 1e-9))))
            if knocking is not None:  # a run too short to tell
                self._go_on_alone(now)
        finally:
            if knocking is not None:
                knocking.end()
        self._all_short = all_short
        self.story.append(f"all {position} tasks run serially")
        return position, held

    def _go_on_alone(self, now: float) -> float:
        """Until when nobody knocks, in this run and the next ones."""
        self._quiet_until, self._alone = now + self._alone, 2 * self._alone
        return self._quiet_until

    def _is_wide(self) -> bool:
        if self._parallelism is None:
            plan = self.plan
            ones = [1.0] * len(plan.functions)
            levels = max(longest_paths(plan.tasks, plan.successors, ones))
            self._parallelism = len(plan.tasks) / levels
        return self._parallelism > LEAST_PARALLELISM


class _Knocking:
    """A thread that asks for the interpreter's lock, so often and no longer, and notes when it has got it.

    It ends by itself, so that none is left where an interrupt keeps anybody from ending it.
    """

    def __init__(self) -> None:
        self.since = self.latest = perf_counter()
        self.answered = 0
        self._over = False
        self._thread = Thread(target=self._knock, name="dagexec knocking", daemon=True)
        self._thread.start()

    def is_let_in(self) -> bool:
        """Has it got the lock often enough, and soon enough, to say that it is free?"""
        return self.answered >= KNOCKS and self.latest - self.since <= PATIENCE

    def _knock(self) -> None:
        while self.answered < KNOCKS and not self._over:
            sleep(PAUSE)
            self.latest = perf_counter()
            self.answered += 1

    def end(self) -> None:
        """Stop it."""
        self._over = True
        self._thread.join()


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs"


def _can_be_sent(plan: Plan) -> bool:
    try:
        cloudpickle.dumps(plan.functions)
    except Exception:  # whatever a callable's own pickling may raise
        return False
    return True
