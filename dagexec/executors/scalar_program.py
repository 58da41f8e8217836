"""Which program a graph of scalars gets: by counting, level by level or straight on.

A group of numbers costs three calls of NumPy, however few they are, a line of Python some thirty nanoseconds.
So wide graphs are run level by level. That program is made as fast as a run by steps, so it serves the first
run already. Lines of Python take longer to be compiled than to be run two hundred times, so they are for what
is run again, and not for very many.
"""

from __future__ import annotations

from dagexec.executors.levels import Levels, groups_of
from dagexec.executors.scalars import scalars_of
from dagexec.executors.straight import Straight, calls_in
from dagexec.plan import Plan

# Measured; what matters are the ratios.
SECONDS_PER_GROUP = 0.7e-6
SECONDS_PER_NUMBER = 5e-9
SECONDS_PER_LINE = 30e-9
SECONDS_PER_CALL = 250e-9  # of NumPy in a line
SECONDS_PER_STEP = 400e-9  # of a run without a program
MOST_LINES = 20_000


def scalar_program_of(plan: Plan, *, often: bool) -> Levels | Straight | None:
    """The program of a graph of scalars that is run `often`, or once; None if none pays, or for others."""
    scalars = scalars_of(plan)
    if scalars is None:
        return None
    groups = groups_of(scalars)
    by_levels = len(groups) * SECONDS_PER_GROUP + len(scalars) * SECONDS_PER_NUMBER
    straight = len(scalars) * SECONDS_PER_LINE + calls_in(scalars) * SECONDS_PER_CALL
    if len(scalars) <= MOST_LINES and straight < by_levels:
        return Straight(scalars) if often else None
    return Levels(scalars, groups) if by_levels < len(scalars) * SECONDS_PER_STEP else None
