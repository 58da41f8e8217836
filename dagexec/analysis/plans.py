"""Work, span, width and critical path of a plan, for given costs of its tasks.

>>> import numpy as np, dagexec
>>> plan = dagexec.plan(dagexec.trace(lambda x: np.sin(x) + np.cos(x) * x)(1.0))
>>> found = of_plan(plan, costs=[0, 2, 3, 1, 2])          # %1 = sin, %2 = cos, %3 = multiply, %4 = add
>>> found.work, found.span, found.widths
(8.0, 6.0, (2, 1, 1))
>>> found.profile                                         # sin and cos; cos alone; multiply; add; nothing
((0.0, 2), (2.0, 1), (6.0, 0))
>>> [(plan.name(step.task), step.share) for step in found.critical_path]
[('cos', 0.5), ('multiply', 0.16666666666666666), ('add', 0.3333333333333333)]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dagexec.collector import collector_paused
from dagexec.graph import PHASES, Node
from dagexec.ops import operations
from dagexec.plan import Plan, longest_paths


class Step(NamedTuple):
    """A task on the critical path, what it costs, and the share of the span that this is."""

    task: int
    cost: float
    share: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """What `analyze` finds of a plan.

    `nodes` counts the graph's nodes by phase, `tasks` what is to be computed; `work` and `span` are in the
    unit of the costs. `widths` holds the number of tasks on each level: a task's level is the number of tasks
    on the longest path to it, so the levels are the steps that it takes with a worker for every task, if all
    take equally long. `profile` says the same for the costs: its pairs (moment, tasks) tell how many tasks
    run from that moment on, if each starts as soon as it is ready; the area under it is the work, its length
    the span. `critical_path` is the longest path, first task first; the first such path if there are several.
    """

    nodes: Mapping[str, int]
    tasks: int
    work: float
    span: float
    widths: tuple[int, ...]
    profile: tuple[tuple[float, int], ...]
    critical_path: tuple[Step, ...]

    @property
    def levels(self) -> int:
        """How many levels there are."""
        return len(self.widths)

    @property
    def width(self) -> int:
        """The number of tasks on the fullest level."""
        return max(self.widths, default=0)

    @property
    def parallelism(self) -> float:
        """Work / span; 1 where nothing costs anything."""
        return self.work / self.span if self.span else 1.0

    def bound(self, workers: int) -> float:
        """The most that `workers` can be faster than one: min(workers, work / span)."""
        return min(float(workers), self.parallelism)

    def guaranteed(self, workers: int) -> float:
        """The least that `workers` are faster than one if none idles while a task is ready (Graham's bound).

        Only where handing a task over costs nothing.
        """
        longest = self.work / workers + (1 - 1 / workers) * self.span
        return self.work / longest if longest else 1.0


@collector_paused()
def of_plan(plan: Plan, costs: Sequence[float] | None = None) -> Analysis:
    """The analysis of a plan. `costs` holds each task's cost at its number; else operations are counted."""
    costs = operation_counts(plan) if costs is None else costs
    level = earliest_starts(plan, [1.0] * len(plan.functions))
    widths = Counter([level[task] for task in plan.tasks])
    path = _longest_path(plan, costs)
    span = float(sum([costs[task] for task in path]))
    return Analysis(
        nodes=_nodes_by_phase(plan),
        tasks=len(plan.tasks),
        work=float(sum([costs[task] for task in plan.tasks])),
        span=span,
        widths=tuple(widths[step] for step in sorted(widths)),
        profile=_profile(plan, costs),
        critical_path=tuple(Step(task, costs[task], costs[task] / span if span else 0.0) for task in path),
    )


def critical_path(plan: Plan, costs: Sequence[float] | None = None) -> list[Node]:
    """The nodes of the longest path, from its start to its end; the first such path if there are several."""
    costs = operation_counts(plan) if costs is None else costs
    return [plan.graph.nodes[task] for task in _longest_path(plan, costs)]


def operation_counts(plan: Plan) -> list[float]:
    """The arithmetic operations of each task, by the op table.

    One for a plain Python callable, of which nothing is known: so the work of a DAG of callables is the
    number of its tasks, and its span the number of its levels.
    """
    counts = [0.0] * len(plan.functions)
    for task in plan.tasks:
        counts[task] = sum([_operations(plan, node) for node in plan.members.get(task, (task,))])
    return counts


def _operations(plan: Plan, number: int) -> float:
    node = None if plan.origin is None else plan.origin.nodes[number]
    return 1.0 if node is None or node.op.family == "python" else operations(node)


def _nodes_by_phase(plan: Plan) -> dict[str, int]:
    if plan.origin is None:  # a million callables are counted without a node for each
        return {"forward": len(plan.functions)} if plan.functions else {}
    phases = Counter(node.phase for node in plan.origin.nodes)
    return {phase: phases[phase] for phase in PHASES if phases[phase]}


def earliest_starts(plan: Plan, costs: Sequence[float]) -> list[float]:
    """For each task the moment at which it starts with a worker for every task; 0 for what is no task."""
    start = [0.0] * len(plan.functions)
    for task in plan.tasks:
        end = start[task] + costs[task]
        for following in plan.successors[task]:
            if start[following] < end:
                start[following] = end
    return start


def _longest_path(plan: Plan, costs: Sequence[float]) -> list[int]:
    longest = longest_paths(plan.tasks, plan.successors, costs)
    path: list[int] = []
    candidates: Sequence[int] = plan.tasks
    while candidates:
        path.append(max(candidates, key=lambda task: (longest[task], -task)))
        candidates = plan.successors[path[-1]]
    return path


def _profile(plan: Plan, costs: Sequence[float]) -> tuple[tuple[float, int], ...]:
    """(moment, tasks that run from then on), where that changes: a task is one more at its start, one less
    at its end."""
    start = earliest_starts(plan, costs)
    starts = np.array([start[task] for task in plan.tasks])
    # Summed as `earliest_starts` sums, so that an end and the start that it allows are the same moment.
    ends = starts + np.array([costs[task] for task in plan.tasks])
    moments, place = np.unique(np.concatenate([starts, ends]), return_inverse=True)
    change = np.bincount(place, np.repeat([1, -1], len(starts))).astype(int)
    changed = change != 0
    return tuple(zip(moments[changed].tolist(), np.cumsum(change)[changed].tolist()))
