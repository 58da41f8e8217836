"""One task after another in the caller's thread, in the order of the graph; steps.py has the loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dagexec.events import Events
from dagexec.plan import Plan
from dagexec.schedule import Schedule
from dagexec.steps import Step, compute, steps_of


class Serial:
    """Runs a plan in the caller's thread."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._steps = all_steps(plan)

    def __call__(self, values: list[Any], log: Events | None, stop: list[BaseException]) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order."""
        if log is None:
            run_steps(self.plan, self._steps, values, stop)
        else:
            Recording(self.plan, log).run_steps(self._steps, values, stop)
        return self.plan.results(values)

    def close(self) -> None:
        """Nothing is held between runs."""


def all_steps(plan: Plan) -> list[Step]:
    """The steps of a serial run of the plan."""
    needed = bytearray(len(plan.functions))
    for slot, _ in plan.outputs:
        needed[slot] = True
    return steps_of(plan, plan.tasks, needed)


def run_steps(plan: Plan, steps: Iterable[Step], values: list[Any], stop: list[BaseException]) -> None:
    """Run steps in their order, until `stop` holds an exception, which is raised then."""
    try:
        compute(plan, steps, values, stop)
    except BaseException as error:
        if stop:  # cancelled meanwhile
            raise stop[0] from error
        raise
    if stop:
        raise stop[0]


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
