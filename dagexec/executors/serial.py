"""One task after another in the caller's thread, in the order of the graph.

The order is known, so everything is worked out beforehand: a step is a function, the getter of its inputs,
the slot of its result, and the slots whose last reader it is. The loop does nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagexec.events import Events
from dagexec.executors.threads import Threads
from dagexec.plan import Plan


class Serial:
    """Runs a plan in the caller's thread."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        unread = list(plan.readers)
        steps = []
        for task in plan.tasks:
            dead = [] if unread[task] else [task]
            for slot in plan.sources[task]:
                unread[slot] -= 1
                if not unread[slot]:
                    dead.append(slot)
            steps.append((plan.functions[task], plan.fetch[task], task, tuple(dead)))
        self._steps = steps
        self._recorded = Threads(plan, workers=1)

    def __call__(self, values: list[Any], log: Events | None = None) -> Sequence[Any]:
        """Run on `values`, which hold the arguments and constants and take the results."""
        if log is not None:
            return self._recorded(values, log)
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

    def close(self) -> None:
        """Nothing is held between runs."""
