"""One task after another in the caller's thread, in the order of the graph.

The order is known, so everything is worked out beforehand: a step is a function, the slots it reads, the
getter of its inputs if there are several, the slot of its result, and the slots whose last reader it is. The
loop does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dagexec.events import Events
from dagexec.plan import Plan, collector_paused
from dagexec.schedule import Schedule

Step = tuple[Callable[..., Any], tuple[int, ...], Any, int, tuple[int, ...]]


class Serial:
    """Runs a plan in the caller's thread."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._steps = steps_of(plan)

    def __call__(self, values: list[Any], log: Events | None, stop: list[BaseException]) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order."""
        if log is None:
            run_steps(self.plan, self._steps, values, stop)
        else:
            Recording(self.plan, log).run_steps(self._steps, values, stop)
        return self.plan.results(values)

    def close(self) -> None:
        """Nothing is held between runs."""


@collector_paused()
def steps_of(plan: Plan) -> list[Step]:
    """The steps of a serial run, with the values that are dead after each."""
    functions: list[Any] = plan.functions
    needed = bytearray(len(functions))
    for slot, _ in plan.outputs:
        needed[slot] = True
    steps: list[Step] = []
    for task in reversed(plan.tasks):
        slots = plan.sources[task]
        dead = [] if needed[task] else [task]
        for slot in slots:
            if not needed[slot]:
                needed[slot] = True
                dead.append(slot)
        steps.append((functions[task], slots, plan.fetch[task], task, tuple(dead)))
    steps.reverse()
    return steps


def run_steps(plan: Plan, steps: Iterable[Step], values: list[Any], stop: list[BaseException]) -> None:
    """Run steps in their order, until `stop` holds an exception, which is raised then."""
    task = -1
    try:
        for function, slots, fetch, task, dead in steps:
            count = len(slots)
            if count == 1:
                values[task] = function(values[slots[0]])
            elif count == 2:  # unpacking is cheaper than a call with *
                first, second = slots
                values[task] = function(values[first], values[second])
            elif count:
                values[task] = function(*fetch(values))
            else:
                values[task] = function()
            for slot in dead:
                values[slot] = None
            if stop:
                break
    except BaseException as error:
        plan.blame(task, error)
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
