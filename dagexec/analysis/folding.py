"""A long path in few lines: its steps by region and operation, where regions that differ by number are one.

>>> import numpy as np, dagexec
>>> from dagexec.analysis import analyze
>>> @dagexec.block
... def cell(x):
...     return np.tanh(x) * 2
>>> plan = dagexec.plan(dagexec.trace(lambda x: cell(cell(cell(x))) + 1)(1.0))
>>> for part in folded(plan, analyze(plan).critical_path):
...     print(part.name, part.tasks, round(part.share, 2))
cell[0..2] tanh 3 0.88
cell[0..2] multiply 3 0.09
add 1 0.03
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dagexec.analysis.plans import Step
from dagexec.plan import Plan

NUMBERED = re.compile(r"\[(\d+)\]$")
ENOUGH = 0.75  # of a path's cost in the parts that are shown


class Part(NamedTuple):
    """Steps of a path that are alike: what they are called, how many, their cost, their share of the path."""

    name: str
    tasks: int
    cost: float
    share: float


def folded(plan: Plan, path: Iterable[Step], most: int | None = None) -> list[Part]:
    """The steps of a path in parts, the costliest first; what is alike differs in numbers of regions only.

    Where the costliest `most` would leave too much aside, all operations of a region are one part, or all of
    an outermost region.
    """
    path = list(path)
    parts = _parts(plan, path, None, by_op=True)
    for depth in (None, 1):
        if most is None or sum(part.share for part in parts[:most]) >= ENOUGH:
            break
        parts = _parts(plan, path, depth, by_op=False)
    return parts


def _parts(plan: Plan, path: Iterable[Step], depth: int | None, *, by_op: bool) -> list[Part]:
    alike: dict[tuple[str, tuple[str, ...], str | None], list[Step]] = {}
    for step in path:
        node = plan.graph.nodes[step.task]
        regions = tuple([NUMBERED.sub("", name) for name in node.scope[:depth]])
        op = node.op.name if by_op or not regions else None
        alike.setdefault((node.phase, regions, op), []).append(step)
    parts = []
    for (*_, op), steps in alike.items():
        name = _name(plan, steps, depth, by_op=op is not None)
        parts.append(
            Part(name, len(steps), sum(step.cost for step in steps), sum(step.share for step in steps))
        )
    return sorted(parts, key=lambda part: -part.cost)


def _name(plan: Plan, steps: list[Step], depth: int | None, *, by_op: bool) -> str:
    """`∇rnn/cell[0..31] tanh`; of a single task what the plan calls it."""
    nodes = [plan.graph.nodes[step.task] for step in steps]
    scopes = zip(*[node.scope[:depth] for node in nodes])
    scope = "/".join(map(_range, scopes))
    words = ["∇" * (nodes[0].phase == "backward") + scope] if scope else []
    if by_op:
        words.append(plan.name(steps[0].task) if len(steps) == 1 else nodes[0].op.name)
    return " ".join(words)


def _range(names: Sequence[str]) -> str:
    """Names that differ in their numbers only, as one.

    >>> _range(["cell[3]", "cell[1]", "cell[12]"]), _range(["cell[1]", "cell[1]"]), _range(["a", "a"])
    ('cell[1..12]', 'cell[1]', 'a')
    """
    numbers = sorted({int(found[1]) for name in names if (found := NUMBERED.search(name))})
    if len(numbers) < 2:
        return names[0]
    return f"{NUMBERED.sub('', names[0])}[{numbers[0]}..{numbers[-1]}]"
