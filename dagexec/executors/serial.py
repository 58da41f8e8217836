"""One task after another in the caller's thread, in the order of the graph.

steps.py has the loop for any plan, program.py what becomes of a plan of array operations that is run often,
scalar_program.py what becomes of one of nothing but numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar

from dagexec.events import Events
from dagexec.executors.levels import Levels
from dagexec.executors.observing import observed
from dagexec.executors.program import Program, program_of
from dagexec.executors.scalar_program import scalar_program_of
from dagexec.executors.straight import Straight
from dagexec.plan import Plan
from dagexec.schedule import Schedule
from dagexec.steps import Step, all_steps, compute

T = TypeVar("T")

OBSERVED = 2  # the run that shows how values lie in memory; a single run has nothing to gain


class Serial:
    """Runs a plan in the caller's thread.

    A plan of array operations is run step by step at first; the second run also notes how its values lie in
    memory, and from the third on it is the program made from that, if there can be one. A graph of scalars
    has its program from the first or second run on.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.program: Program | Levels | Straight | None = None
        self._runs = 0
        self._alone = Lock()  # a program is run by one thread at a time; others go without

    @cached_property
    def _steps(self) -> list[Step]:
        return all_steps(self.plan)

    def __call__(self, values: list[Any], log: Events | None, stop: list[BaseException]) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order."""
        if log is not None:
            Recording(self.plan, log).run_steps(self._steps, values, stop)
        elif not (self.plan.is_of_kernels and self._alone.acquire(blocking=False)):
            run_steps(self.plan, self._steps, values, stop)
        else:
            try:
                return self._becoming(values, stop)
            finally:
                self._alone.release()
        return self.plan.results(values)

    def by_program(self, arguments: Sequence[Any], stop: list[BaseException]) -> list[Any] | None:
        """The results, without a list of all values; None if no program takes these arguments, or not now."""
        program = self.program
        if program is None or not program.fits(arguments) or not self._alone.acquire(False):
            return None
        try:
            return unless_stopped(stop, program, arguments)
        finally:
            self._alone.release()

    def _becoming(self, values: list[Any], stop: list[BaseException]) -> list[Any]:
        """Run one of the first times, from which the program is made; later by it, if it fits."""
        self._runs += 1
        arguments = [values[slot] for slot in self.plan.inputs]
        if self._runs <= OBSERVED:
            self.program = scalar_program_of(self.plan, often=self._runs == OBSERVED)
            if self.program is not None:
                return unless_stopped(stop, self.program, arguments)
        if self.program is not None and self.program.fits(arguments):
            return unless_stopped(stop, self.program, arguments)
        if self._runs != OBSERVED:
            run_steps(self.plan, self._steps, values, stop)
            return self.plan.results(values)
        seen = unless_stopped(stop, observed, self.plan, self._steps, values)
        self.program = None if seen is None else program_of(self.plan, seen)
        return self.plan.results(values)

    @property
    def story(self) -> list[str]:
        """What has been made of the plan, in lines."""
        return [] if self.program is None else [self.program.summary]

    def close(self) -> None:
        """Nothing is held between runs but the program's memory."""


def unless_stopped(stop: list[BaseException], function: Callable[..., T], *arguments: Any) -> T:
    """What a function of `arguments` and `stop` gives; what has come into `stop` is raised instead."""
    try:
        result = function(*arguments, stop)
    except BaseException as error:
        if stop:  # cancelled meanwhile
            raise stop[0] from error
        raise
    if stop:
        raise stop[0]
    return result


def run_steps(plan: Plan, steps: Iterable[Step], values: list[Any], stop: list[BaseException]) -> None:
    """Run steps in their order, until `stop` holds an exception, which is raised then."""
    unless_stopped(stop, compute, plan, steps, values)


class Recording:
    """A serial run that is written to a log."""

    def __init__(self, plan: Plan, log: Events) -> None:
        self._plan = plan
        self._log = log
        self._schedule = Schedule(plan)
        log.members = plan.members
        log.note_ready(plan.roots, 0)

    def run_steps(self, steps: Iterable[Step], values: list[Any], stop: list[BaseException]) -> None:
        """The same as the function of this name."""
        log = self._log
        for *step, task, dead in steps:
            log.note("start", task, 0)
            try:
                run_steps(self._plan, [(*step, task, ())], values, stop)
            except BaseException:
                log.note("error", task, 0)
                raise
            log.note("end", task, 0, values[task])
            log.note_done(self._schedule.done(task)[0], dead, values, 0)
            for slot in dead:
                values[slot] = None
