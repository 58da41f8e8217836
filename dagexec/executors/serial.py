"""One task after another in the caller's thread, in the order of the graph.

The order is known, so everything is worked out beforehand: a step is a function, the getter of its inputs,
the slot of its result, and the slots whose last reader it is. The loop does nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagexec.events import Events
from dagexec.plan import Plan
from dagexec.schedule import Schedule


class Serial:
    """Runs a plan in the caller's thread."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        schedule = Schedule(plan)
        self._steps = [
            (plan.functions[task], plan.fetch[task], task, tuple(schedule.done(task)[1]))
            for task in plan.tasks
        ]

    def __call__(self, values: list[Any], log: Events | None = None) -> Sequence[Any]:
        """Run on `values`, which hold the arguments and constants and take the results."""
        if log is not None:
            return self._record(values, log)
        task = -1
        try:
            for function, fetch, task, dead in self._steps:
                values[task] = function(*fetch(values))
                for slot in dead:
                    values[slot] = None
        except BaseException as error:
            self._plan.blame(task, error)
            raise
        return values

    def _record(self, values: list[Any], log: Events) -> Sequence[Any]:
        plan, schedule = self._plan, Schedule(self._plan)
        log.note_ready(plan.roots, 0)
        for task in plan.tasks:
            log.note("start", task, 0)
            try:
                values[task] = plan.functions[task](*plan.fetch[task](values))
            except BaseException as error:
                log.note("error", task, 0)
                plan.blame(task, error)
                raise
            log.note("end", task, 0, values[task])
            made_ready, dead = schedule.done(task)
            log.note_done(made_ready, dead, values, 0)
            for slot in dead:
                values[slot] = None
        return values

    def close(self) -> None:
        """Nothing is held between runs."""
