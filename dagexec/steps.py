"""Tasks one after another: the loop of the serial executor, and of a task that consists of several.

The order is known, so everything is worked out beforehand: a step is a function, the slots it reads, the
getter of its inputs if there are several, the slot of its result, and the slots whose last reader it is. The
loop does nothing else.

>>> from dagexec.plan import lay_out
>>> plan = lay_out([None, abs, pow], [(), (0,), (1, 1)], [(2, None)], constants={0: -3})
>>> values = plan.values()
>>> compute(plan, steps_of(plan, plan.tasks, bytearray([0, 0, 1])), values, [])
>>> values
[None, None, 27]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dagexec.collector import collector_paused
from dagexec.plan import Plan

Step = tuple[Callable[..., Any], tuple[int, ...], Any, int, tuple[int, ...]]


@collector_paused()
def steps_of(plan: Plan, tasks: Sequence[int], needed: bytearray) -> list[Step]:
    """The steps of some tasks, with the values that are dead after each: not of slots marked in `needed`.

    What the tasks read and compute is marked there in the end.
    """
    functions: list[Any] = plan.functions
    steps: list[Step] = []
    for task in reversed(tasks):
        slots = plan.sources[task]
        dead = []
        for slot in (task, *slots):
            if not needed[slot]:
                needed[slot] = True
                dead.append(slot)
        steps.append((functions[task], slots, plan.fetch[task], task, tuple(dead)))
    steps.reverse()
    return steps


def all_steps(plan: Plan) -> list[Step]:
    """The steps of a serial run of the plan."""
    needed = bytearray(len(plan.functions))
    for slot, _ in plan.outputs:
        needed[slot] = True
    return steps_of(plan, plan.tasks, needed)


def compute(plan: Plan, steps: Iterable[Step], values: Any, stop: Sequence[BaseException]) -> None:
    """Run steps in their order on `values`, a list or a dict by slot, until `stop` holds an exception."""
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
        raise
