"""Tasks in any order, of which some are wanted, as a Plan of just those that are needed.

A graph that comes from elsewhere is read into flat lists first: `functions[n]` computes task `n` from the
values of the tasks `sources[n]`, as in a Plan, but a task may stand before one that it reads. Most graphs
stand in order already and are wanted whole, and so nothing is done for those.

>>> plan = arranged("yxz", [abs, None, None], [(1,), (), ()], {1: -2, 2: 0}, [0], in_order=False)
>>> plan.tasks, plan.sources, plan.constants, plan.labels
([1], [(), (0,)], {0: -2}, ['x', 'y'])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError
from itertools import repeat
from typing import Any

from dagexec.plan import Function, Plan, lay_out

NEW, ENTERED, LEFT = range(3)  # how far the search has come with a task


def arranged(
    labels: Sequence[Any],
    functions: list[Function | None],
    sources: list[tuple[int, ...]],
    constants: Mapping[int, Any],
    wanted: Sequence[int],
    *,
    in_order: bool,
) -> Plan:
    """The plan that computes the values of `wanted`; `graphlib.CycleError` if they wait for each other."""
    if in_order:
        outputs = list(zip(wanted, repeat(None)))
        plan = lay_out(functions, sources, outputs, constants=constants, labels=labels)
        # Every value is read in the end by one that nobody reads: if those are wanted, all are needed.
        unread = {slot for slot in wanted if not plan.successors[slot]}
        if plan.successors.count(()) == len(unread):
            return plan
    order = topological_order(labels, sources, wanted)
    if in_order:
        order.sort()
    place = {slot: number for number, slot in enumerate(order)}
    return lay_out(
        [functions[slot] for slot in order],
        [tuple([place[source] for source in sources[slot]]) for slot in order],
        [(place[slot], None) for slot in wanted],
        constants={place[slot]: value for slot, value in constants.items() if slot in place},
        labels=[labels[slot] for slot in order],
    )


def topological_order(
    labels: Sequence[Any], sources: Sequence[Sequence[int]], wanted: Iterable[int]
) -> list[int]:
    """`wanted` and all that they need, each after what it reads, found depth first."""
    state = bytearray(len(sources))
    order: list[int] = []
    stack = list(wanted)
    stack.reverse()
    while stack:
        slot = stack[-1]
        if state[slot] == NEW:
            state[slot] = ENTERED
            for source in reversed(sources[slot]):
                if state[source] == NEW:
                    stack.append(source)
                elif state[source] == ENTERED:
                    members = [labels[member] for member in _cycle(sources, state, source)]
                    raise CycleError("nodes are in a cycle", members)
        else:
            stack.pop()
            if state[slot] == ENTERED:
                state[slot] = LEFT
                order.append(slot)
    return order


def _cycle(sources: Sequence[Sequence[int]], state: bytearray, slot: int) -> list[int]:
    """A cycle, each member before one that reads it, and the first once more at the end.

    Whatever has been entered and not left reads another such, so that a walk along them comes back.
    """
    walk: dict[int, None] = {}
    while slot not in walk:
        walk[slot] = None
        slot = next(source for source in sources[slot] if state[source] == ENTERED)
    members = list(walk)
    members = [*members[members.index(slot) :], slot]
    return members[::-1]
