"""How much of a plan can run at the same time.

Two numbers say it. The work is the cost of all tasks; the span is the cost of the longest path through them,
the critical path, which no number of workers makes shorter. With P workers a run takes at least
max(work / P, span), so it is at most min(P, work / span) times as fast as on one. Work / span is called the
parallelism.

The cost of a task is its number of arithmetic operations by the op table, unless others are given, such as
the seconds that were measured.

>>> import numpy as np, dagexec
>>> x = np.ones(1000)
>>> plan = dagexec.plan(dagexec.trace(lambda x: (x + 1) * (x - 1))(x))
>>> analysis = analyze(plan)
>>> analysis.work, analysis.span, analysis.parallelism, analysis.bound(8)
(3000.0, 2000.0, 1.5, 1.5)
>>> [node.op.name for node in critical_path(plan)]
['add', 'multiply']
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagexec.graph import PHASES, Node
from dagexec.ops import operations
from dagexec.plan import Plan, longest_paths


@dataclass(frozen=True, slots=True)
class Analysis:
    """What `analyze` finds.

    `nodes` counts the graph's nodes by phase, `tasks` what is to be computed. `levels` are the steps that it
    takes with a worker for every task, if all take equally long: a task's level is the number of tasks on the
    longest path to it. `width` is the number of tasks on the fullest level.
    """

    nodes: Mapping[str, int]
    tasks: int
    work: float
    span: float
    levels: int
    width: int

    @property
    def parallelism(self) -> float:
        """Work / span; 1 where nothing costs anything."""
        return self.work / self.span if self.span else 1.0

    def bound(self, workers: int) -> float:
        """The most that `workers` can be faster than one."""
        return min(float(workers), self.parallelism)


def analyze(plan: Plan, costs: Sequence[float] | None = None) -> Analysis:
    """Work, span, levels and counts of a plan. `costs` holds a task's cost at its number."""
    costs = operation_counts(plan) if costs is None else costs
    phases = Counter(node.phase for node in plan.graph.nodes)
    level = _levels(plan)
    levels = Counter(level[task] for task in plan.tasks)
    return Analysis(
        nodes={phase: phases[phase] for phase in PHASES if phases[phase]},
        tasks=len(plan.tasks),
        work=float(sum(costs[task] for task in plan.tasks)),
        span=float(max(longest_paths(plan.tasks, plan.successors, costs), default=0.0)),
        levels=len(levels),
        width=max(levels.values(), default=0),
    )


def critical_path(plan: Plan, costs: Sequence[float] | None = None) -> list[Node]:
    """The nodes of the longest path, from its start to its end; the first such path if there are several."""
    costs = operation_counts(plan) if costs is None else costs
    longest = longest_paths(plan.tasks, plan.successors, costs)
    path: list[Node] = []
    candidates: Sequence[int] = plan.tasks
    while candidates:
        task = max(candidates, key=lambda task: (longest[task], -task))
        path.append(plan.graph.nodes[task])
        candidates = plan.successors[task]
    return path


def operation_counts(plan: Plan) -> list[float]:
    """The arithmetic operations of each task, by the op table."""
    return [operations(node) for node in plan.graph.nodes]


def _levels(plan: Plan) -> list[int]:
    """For each task the number of tasks on the longest path that ends with it; 0 for what is no task."""
    level = [0] * len(plan.graph)
    for task in plan.tasks:
        level[task] += 1
        for following in plan.successors[task]:
            level[following] = max(level[following], level[task])
    return level
