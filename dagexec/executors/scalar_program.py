"""Which program a graph of scalars gets: by counting, level by level or straight on.

A group of numbers costs three calls of NumPy, however few they are, an operation in a line of Python some
twenty nanoseconds. So wide graphs are run level by level. That program is made as fast as a run by steps, so
it serves the first run already. Lines of Python take longer to be compiled than to be run two hundred times,
so they are for what is run again, and not for very many.
"""

from __future__ import annotations

from collections.abc import Sequence

from dagexec.executors.levels import Group, Levels, groups_of
from dagexec.executors.lines import form_of, is_one_call
from dagexec.executors.scalars import Scalars, scalars_of
from dagexec.executors.straight import Straight
from dagexec.plan import Plan

# Measured; what matters are the ratios.
SECONDS_PER_GROUP = 0.7e-6
SECONDS_PER_NUMBER = 5e-9
SECONDS_PER_OPERATION = 18e-9  # in a line of Python
SECONDS_PER_CALL = 800e-9  # of NumPy in a line of Python
SECONDS_PER_CALLED = 100e-9  # for each number that it gives
SECONDS_PER_STEP = 400e-9  # of a run without a program
MOST_OPERATIONS = 20_000


def scalar_program_of(plan: Plan, *, often: bool) -> Levels | Straight | None:
    """The program of a graph of scalars that is run `often`, or once; None if none pays, or for others."""
    scalars = scalars_of(plan)
    if scalars is None:
        return None
    groups = groups_of(scalars)
    by_levels = len(groups) * SECONDS_PER_GROUP + len(scalars) * SECONDS_PER_NUMBER
    straight = _seconds_straight_on(scalars, groups)
    if len(scalars) <= MOST_OPERATIONS and straight < by_levels:
        return Straight(scalars, groups) if often else None
    return Levels(scalars, groups) if by_levels < len(scalars) * SECONDS_PER_STEP else None


def _seconds_straight_on(scalars: Scalars, groups: Sequence[Group]) -> float:
    """An estimate of the time that the lines of Python take."""
    called = [group for group in groups if form_of(scalars, group.ids[0]) is None]
    numbers = sum([len(group.ids) for group in called])
    calls = sum([1 if is_one_call(scalars, group) else len(group.ids) for group in called])
    operations = len(scalars) - numbers
    return operations * SECONDS_PER_OPERATION + calls * SECONDS_PER_CALL + numbers * SECONDS_PER_CALLED
