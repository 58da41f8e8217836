"""The levels of a plan, and what limits each on a number of workers.

A task's level is the number of tasks on the longest path to it, so the tasks of a level do not read one
another. A level of work W whose slowest task takes s is done by P workers in max(W / P, s) at the least, and
one of these two is what limits it:

- "workers": W / P is more; with more workers it would be done sooner;
- "width": there are no more tasks than workers, so another worker would have nothing to do;
- "slowest": there are tasks enough, but one takes longer than all of them shared out.

>>> import numpy as np, dagexec
>>> plan = dagexec.plan(dagexec.trace(lambda x: np.tanh(np.sin(x) + np.cos(x) + np.exp(x)))(1.0))
>>> [(node, plan.name(node)) for node in plan.tasks]
[(1, 'sin'), (2, 'cos'), (3, 'add'), (4, 'exp'), (5, 'add'), (6, 'tanh')]
>>> for level in levels_of(plan, [0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0]):
...     print(level.tasks, level.work, plan.name(level.slowest), level.limit(2), level.seconds(2))
3 5.0 sin slowest 3.0
1 1.0 add width 1.0
1 1.0 add width 1.0
1 1.0 tanh width 1.0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dagexec.analysis.plans import earliest_starts
from dagexec.plan import Plan


class Level(NamedTuple):
    """How many tasks there are on a level, their work, and the one that costs most, with its cost."""

    tasks: int
    work: float
    slowest: int
    longest: float

    def seconds(self, workers: int) -> float:
        """The least that so many workers need for the level, in the unit of the costs."""
        return max(self.work / workers, self.longest)

    def limit(self, workers: int) -> str:
        """What keeps so many workers from being done sooner, as the module's docstring has it."""
        if self.tasks <= workers:
            return "width"
        return "slowest" if self.longest > self.work / workers else "workers"


def levels_of(plan: Plan, costs: Sequence[float]) -> list[Level]:
    """The levels of a plan from the first on, with each task's cost at its number; O(tasks + edges)."""
    level_of = earliest_starts(plan, [1.0] * len(plan.functions))
    found: list[Level] = []
    for task in sorted(plan.tasks, key=lambda task: level_of[task]):
        cost, number = float(costs[task]), int(level_of[task])
        if number == len(found):
            found.append(Level(1, cost, task, cost))
            continue
        tasks, work, slowest, longest = found[number]
        slowest, longest = (task, cost) if cost > longest else (slowest, longest)
        found[number] = Level(tasks + 1, work + cost, slowest, longest)
    return found
