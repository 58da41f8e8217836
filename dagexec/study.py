"""What the parallelism of a program is worth: measured costs, what they predict, and what runs really take.

The costs are the seconds of each task on one worker, the median of several recorded runs. From these come
work, span and critical path, and by simulation the time on any number of workers if handing a task over cost
nothing. Beside that stands what unrecorded runs take here: one worker, and threads up to the number of cores,
in turns, so that a slow minute hits all alike.

>>> import numpy as np, dagexec
>>> x = np.ones((100, 100))
>>> found = study(dagexec.trace(lambda x: x @ x + x.T @ x)(x), (x,), workers=(1, 2, 64), rounds=2)
>>> found.analysis.tasks, [(row.workers, row.measured is not None) for row in found.rows if row.workers != 2]
(4, [(1, True), (64, False)])
>>> all(row.least <= row.predicted for row in found.rows)
True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from dagexec.analysis import Analysis, analyze
from dagexec.analysis.folding import Part, folded
from dagexec.analysis.levels import Level, levels_of
from dagexec.executors import Compiled, available_cores, compile
from dagexec.graph import Graph
from dagexec.plan import Plan
from dagexec.simulation import simulate
from dagexec.timing import Times, measured_costs, take_turns

MOST_PARTS = 8  # of the critical path that are shown
WARM_UP_RUNS, WARM_UP_SECONDS = 3, 1.0  # the third run of a compiled graph is by its program


@dataclass(frozen=True, slots=True)
class Row:
    """A number of workers: the least a run takes, max(work / P, span), what the simulation predicts, and the
    times of real runs, where there are cores for them."""

    workers: int
    least: float
    predicted: float
    measured: Times | None

    @property
    def executor(self) -> str | None:
        """What the real runs were on, if there were such."""
        if self.measured is None:
            return None
        return _executor(self.workers)


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A plan with measured costs, what follows from them, and a row for each number of workers.

    `analysis` is in seconds, `recorded` the number of runs that the costs are medians of.
    """

    plan: Plan
    recorded: int
    analysis: Analysis
    levels: tuple[Level, ...]
    critical_path: tuple[Part, ...]
    rows: tuple[Row, ...]

    @property
    def alone(self) -> Times | None:
        """The times of real runs on one worker, if there were such."""
        return next((row.measured for row in self.rows if row.workers == 1), None)

    def predicted_speed_up(self, row: Row) -> float:
        """How many times as fast as one worker the simulation is."""
        return self.analysis.work / row.predicted if row.predicted else 1.0

    def measured_speed_up(self, row: Row) -> float | None:
        """How many times as fast as those on one worker the real runs were; None where either is missing."""
        alone = self.alone
        return alone.median / row.measured.median if alone and row.measured else None

    @property
    def most_workers(self) -> int:
        """The largest number of workers that was asked for."""
        return max(row.workers for row in self.rows)

    def limits(self, workers: int) -> dict[str, float]:
        """The time of a run level by level on so many workers, by what limits each level."""
        found: dict[str, float] = {}
        for level in self.levels:
            limit = level.limit(workers)
            found[limit] = found.get(limit, 0.0) + level.seconds(workers)
        return found


def study(
    graph: Graph,
    args: tuple[Any, ...],
    workers: Sequence[int] = (1, 2, 4, 8),
    rounds: int = 5,
    on_round: Callable[[], None] = lambda: None,
) -> Study:
    """Record `rounds` runs of a graph on `args`, and time as many for each number of workers there are cores
    for; 2 × `rounds` times `on_round` is called.

    Raises ValueError for numbers that make no sense, and what the graph raises.
    """
    if rounds < 1 or not workers or min(workers) < 1:
        raise ValueError(f"rounds={rounds}, workers={workers}: each must be at least one")
    plan, costs = measured_costs(graph, args, rounds, on_round)
    real = [number for number in workers if number <= available_cores()]
    times = dict(zip(real, _timed(graph, args, real, rounds, on_round)))
    found = analyze(plan, costs)
    return Study(
        plan=plan,
        recorded=rounds,
        analysis=found,
        levels=tuple(levels_of(plan, costs)),
        critical_path=tuple(folded(plan, found.critical_path, MOST_PARTS)),
        rows=tuple(
            Row(
                number,
                max(found.work / number, found.span),
                simulate(plan, number, costs=costs).makespan,
                times.get(number),
            )
            for number in workers
        ),
    )


def _timed(
    graph: Graph, args: tuple[Any, ...], workers: Sequence[int], rounds: int, on_round: Callable[[], None]
) -> list[Times]:
    """The times of runs on each number of workers, in turns."""
    with ExitStack() as opened:
        runs = []
        for number in workers:
            compiled = opened.enter_context(compile(graph, _executor(number), number))
            _warm_up(compiled, args)
            runs.append(lambda compiled=compiled: compiled(*args))
        return take_turns(runs, rounds, on_round)


def _executor(workers: int) -> str:
    return "serial" if workers == 1 else "threads"


def _warm_up(compiled: Compiled, args: tuple[Any, ...]) -> None:
    begin = perf_counter()
    for _ in range(WARM_UP_RUNS):
        compiled(*args)
        if perf_counter() - begin > WARM_UP_SECONDS:
            return
