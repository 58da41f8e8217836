"""A plan of array operations on threads, again and again: a flat program for several workers.

The legs of each lane (lanes.py) become lists of calls on planned memory, as program.py makes one for a single
worker. But a place in memory may be used again only by who comes later for sure. In a lane each leg waits for
the one before, whoever runs them, so what a single lane writes and reads is laid out as for one worker. What
passes from one lane to another has a place of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

from dagexec.events import Events
from dagexec.executors.calls import UnforeseenError, calls_of
from dagexec.executors.observing import Key, Seen, observed
from dagexec.executors.program import Program, call_all
from dagexec.executors.serial import OBSERVED, unless_stopped
from dagexec.executors.threads import Threads
from dagexec.lanes import lanes_of, legs_of, writers_of
from dagexec.plan import Plan, lay_out
from dagexec.steps import all_steps

TOO_SHORT = 20e-6  # seconds: what gains nothing beside others, since they take turns at the interpreter


class Parallel:
    """Runs a plan of array operations on `workers` threads, which stay for the next run.

    In the tasks of `coarse` at first; the second run is a serial one that shows how values lie in memory, and
    from the third on it is the program made from that, if there can be one.
    """

    def __init__(self, plan: Plan, coarse: Plan, workers: int) -> None:
        self.plan = coarse
        self.program: ParallelProgram | None = None
        self._fine = plan
        self._workers = workers
        self._threads = Threads(coarse, workers)
        self._runs = 0
        self._alone = Lock()  # a program is run by one caller at a time; others go without

    def __call__(self, values: list[Any], log: Events | None, stop: list[BaseException]) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order."""
        if log is not None or not self._alone.acquire(blocking=False):
            return self._threads(values, log, stop)
        try:
            return self._by_program(values, stop)
        finally:
            self._alone.release()

    def _by_program(self, values: list[Any], stop: list[BaseException]) -> list[Any]:
        self._runs += 1
        arguments = [values[slot] for slot in self._fine.inputs]
        if self.program is not None and self.program.fits(arguments):
            return self.program(arguments, stop)
        if self._runs != OBSERVED:
            return self._threads(values, None, stop)
        seen = unless_stopped(stop, observed, self._fine, all_steps(self._fine), values)
        if seen is not None:
            self.program = parallel_program_of(self._fine, seen, self._workers)
        return self._fine.results(values)

    @property
    def story(self) -> list[str]:
        """What has been made of the plan, in lines."""
        return [] if self.program is None else [self.program.summary]

    def close(self) -> None:
        """Let the threads go."""
        self._threads.close()
        if self.program is not None:
            self.program.close()


def worth_a_program(plan: Plan) -> bool:
    """Is it known of the tasks of a plan that most take long enough for several workers?"""
    return plan.is_of_kernels and sum(plan.seconds) > TOO_SHORT * len(plan.tasks)


def parallel_program_of(plan: Plan, seen: Mapping[Key, Seen], workers: int) -> ParallelProgram | None:
    """The program of a plan whose values lay in memory as `seen` tells; None where that is not foreseen."""
    try:
        return ParallelProgram(plan, seen, workers)
    except UnforeseenError:
        return None


class ParallelProgram(Program):
    """A plan's calls, bound, and made by `workers` threads."""

    def __init__(self, plan: Plan, seen: Mapping[Key, Seen], workers: int) -> None:
        self._lanes = lanes_of(plan, workers)
        in_order = replace(plan, tasks=list(self._lanes))
        super().__init__(in_order, seen, *calls_of(in_order, seen))
        places: dict[int, list[int]] = {}
        for place, task in enumerate(self._tasks):
            places.setdefault(task, []).append(place)
        lanes = {task: self._lanes[task] for task in self._lanes if task in places}
        legs, waits = legs_of(lanes, writers_of(in_order, self._through))
        functions = [self._caller([place for task in leg for place in places[task]]) for leg in legs]
        costs = [sum([plan.seconds[task] for task in leg]) for leg in legs]
        self._legs = replace(
            lay_out([*functions], waits, [], constants={}),
            costs=costs,
            members={number: tuple(leg) for number, leg in enumerate(legs)},
        )
        self._threads = Threads(self._legs, workers)
        self._stop: list[BaseException] = []

    def _caller(self, places: Sequence[int]) -> Callable[..., None]:
        """The function that makes some of the calls."""
        calls, tasks = [self._calls[place] for place in places], [self._tasks[place] for place in places]
        return lambda *_: call_all(self._plan, calls, tasks, self._stop)

    def _compute(self, stop: list[BaseException]) -> None:
        self._stop = stop
        self._threads(self._legs.values(), None, stop)

    def _lane_of(self, task: int) -> int:
        return self._lanes[task]

    def close(self) -> None:
        """Let the threads go."""
        self._threads.close()
