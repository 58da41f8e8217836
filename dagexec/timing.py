"""How long runs take, and parallel against serial: timed in turns, so that a slow minute hits both alike.

A time alone means little, so each comes with its spread; a speed-up alone means little, so it comes with the
bound that the graph and the number of workers set: min(workers, work / span), work and span in seconds as
measured on one worker.

>>> import numpy as np, dagexec
>>> x = np.ones((50, 50))
>>> found = compare(dagexec.trace(lambda x: x @ x + x.T @ x)(x), (x,), "threads", workers=2, rounds=3)
>>> len(found.serial.seconds), found.workers, 1 <= found.bound <= 2
(3, 2, True)
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_info

from dagexec.analysis import Analysis, analyze, measured_seconds
from dagexec.events import Events
from dagexec.executors import available_cores, compile
from dagexec.graph import Graph
from dagexec.plan import Plan

RECORDED_RUNS = 3  # to measure the tasks; the median of each is taken
# Above these it hardly counts that a run is the first.
LONG = 3.0  # seconds
MANY = 5_000  # tasks


@dataclass(frozen=True, slots=True)
class Times:
    """The seconds that equal runs took."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The time in the middle."""
        return median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """The lower and the upper quartile: half of the times lie between."""
        low, high = np.percentile(self.seconds, (25, 75))
        return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same graph on one worker and on several. `measured` is the analysis in measured seconds."""

    executor: str
    workers: int
    serial: Times
    parallel: Times
    measured: Analysis

    @property
    def speed_up(self) -> float:
        """How many times as fast the parallel runs were, by the medians."""
        return self.serial.median / self.parallel.median

    @property
    def bound(self) -> float:
        """The most that the speed-up could be: min(workers, work / span)."""
        return self.measured.bound(self.workers)


def take_turns(
    runs: Sequence[Callable[[], Any]], rounds: int, on_round: Callable[[], None] = lambda: None
) -> list[Times]:
    """Call each of `runs` once a round, in turns, and return the times of each."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, taken in zip(runs, seconds):
            start = perf_counter()
            run()
            taken.append(perf_counter() - start)
        on_round()
    return [Times(tuple(taken)) for taken in seconds]


def compare(
    graph: Graph,
    args: tuple[Any, ...],
    executor: str = "threads",
    workers: int | None = None,
    rounds: int = 10,
    on_round: Callable[[], None] = lambda: None,
) -> Comparison:
    """Time a graph on `executor` against serial, after a first run of each that is not counted."""
    with compile(graph, "serial") as serial, compile(graph, executor, workers) as parallel:
        serial(*args)
        parallel(*args)
        measured = analyze(*measured_costs(graph, args, RECORDED_RUNS))
        both = [lambda: serial(*args), lambda: parallel(*args)]
        serial_times, parallel_times = take_turns(both, rounds, on_round)
        return Comparison(parallel.executor, parallel.workers, serial_times, parallel_times, measured)


def measured_costs(
    graph: Graph, args: tuple[Any, ...], rounds: int, on_round: Callable[[], None] = lambda: None
) -> tuple[Plan, list[float]]:
    """The plan of a graph as it is run on one worker, and for each task the median of its seconds in `rounds`
    recorded runs, after one that does not count."""
    with compile(graph, "serial", events=True) as compiled:
        compiled(*args)
        runs = []
        for _ in range(rounds):
            runs.append(measured_seconds(compiled.plan, compiled(*args)[1]))
            on_round()
        return compiled.plan, [median(seconds) for seconds in zip(*runs)]


class Recorded(NamedTuple):
    """The events of a run, the plan that they are of, and what it ran on."""

    plan: Plan
    events: Events
    executor: str
    workers: int


def recorded(graph: Graph, args: Sequence[Any], executor: str, workers: int | None = None) -> Recorded:
    """A recorded run of a graph as it is, without rewrites, so numbers of tasks are numbers of nodes.

    A graph is run twice, and the second run is kept: the first also starts workers and meets cold caches; but
    not if the first took long, or has so many tasks that this does not count. Plain callables, which may do
    anything, are called once. Raises what `compile` and the run raise.
    """
    with (
        np.errstate(all="ignore"),
        compile(graph, executor, workers, events=True, rewrites=()) as compiled,
    ):
        begin = perf_counter()
        events: Events = compiled(*args)[1]
        is_short = perf_counter() - begin < LONG and len(compiled.plan.tasks) < MANY
        if is_short and not compiled.plan.has_python:
            events = compiled(*args)[1]
        return Recorded(compiled.plan, events, compiled.executor, compiled.workers)


def machine() -> dict[str, Any]:
    """What the times depend on: processor, cores, Python, NumPy, BLAS.

    >>> sorted(machine())
    ['blas', 'cores', 'gil', 'numpy', 'processor', 'python', 'system']
    """
    blas = [
        f"{pool['internal_api']} {pool['version']}"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "system": platform.system(),
        "python": platform.python_version(),
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "numpy": np.__version__,
        "blas": ", ".join(blas) or "unknown",
    }


def machine_line() -> str:
    """The machine in a line, for people: processor, cores, Python, NumPy."""
    about = machine()
    return f"{about['processor']}, {about['cores']} cores; Python {about['python']}, NumPy {about['numpy']}"


def _processor() -> str:
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
