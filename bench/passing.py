"""What it costs to pass an array of 8 MB from one process to another: dagexec against a pipe.

Two lanes of tasks: each task reads the newest array of both lanes and makes a new one, so that at every stage
each lane's array is needed in the other lane. Where the lanes are in two processes, two arrays a stage pass
between them. No scheduler is forced to place them so: each array carries the process that made it, and the
tasks count the arrays that came from another one. The same lanes, written by hand, are two processes that
exchange arrays through a `multiprocessing.Pipe`, which pickles them.

What is left of a run's time after half of the tasks' own work (two processes share it; measured with serial
dagexec in the same round) is the cost of passing, divided by the arrays that passed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.dags import Dag

Array = NDArray[np.float64]

NUMBERS = 1_000_000  # 8 MB
STAGES = 20
PIPE = "pickled through a pipe"


def begin() -> Array:
    """The first array of a lane. Number 0 is the process that made it, number 1 the arrays that passed."""
    array = np.full(NUMBERS, 1.0)
    array[:2] = os.getpid(), 0
    return array


def advance(mine: Array, other: Array) -> Array:
    """The next array of a lane."""
    array = np.maximum(mine, other)
    array[:2] = os.getpid(), mine[1] + _passed(mine, other)
    return array


def total(mine: Array, other: Array) -> int:
    """How many arrays have passed between processes on the way here."""
    return int(mine[1] + other[1]) + _passed(mine, other)


def _passed(*arrays: Array) -> int:
    return sum(array[0] != os.getpid() for array in arrays)


def lanes() -> Dag:
    """The graph of two lanes; its output is the number of arrays that passed."""
    functions: list[Callable[..., Any]] = [begin, begin]
    sources: list[tuple[int, ...]] = [(), ()]
    for _ in range(STAGES - 1):
        left, right = len(sources) - 2, len(sources) - 1
        functions += [advance, advance]
        sources += [(left, right), (right, left)]
    return Dag("lanes", [*functions, total], [*sources, (len(sources) - 2, len(sources) - 1)])


@contextmanager
def piped_lanes() -> Iterator[list[Callable[[], Sequence[int]]]]:
    """The same lanes in two processes that send each other their arrays, as an adapter of one graph."""
    context = get_context("spawn")
    left, right = context.Pipe()
    orders = [context.Pipe() for _ in range(2)]
    lanes = [
        context.Process(target=_lane, args=(neighbour, order, first), daemon=True)
        for neighbour, (_, order), first in zip((left, right), orders, (True, False))
    ]
    for lane in lanes:
        lane.start()

    def run() -> list[int]:
        for order, _ in orders:
            order.send(True)
        return [max(order.recv() for order, _ in orders)]

    try:
        yield [run]
    finally:
        for order, _ in orders:
            order.send(False)
        for lane in lanes:
            lane.join()


def _lane(neighbour: Connection[Array, Array], orders: Connection[int, bool], first: bool) -> None:
    def other(mine: Array) -> Array:
        if first:
            neighbour.send(mine)
            return neighbour.recv()
        theirs = neighbour.recv()
        neighbour.send(mine)
        return theirs

    while orders.recv():
        mine = begin()
        for _ in range(STAGES - 1):
            mine = advance(mine, other(mine))
        orders.send(total(mine, other(mine)))


def counted(run: Callable[[], Sequence[int]], counts: list[int]) -> Callable[[], Sequence[int]]:
    """`run`, which also appends to `counts` how many arrays passed."""

    def counting() -> Sequence[int]:
        found = run()
        counts.append(int(found[0]))
        return found

    return counting


def seconds_an_array(row: dict[str, Any], serial: dict[str, Any]) -> float | None:
    """What passing one array costs: a run less half of the serial work in the same round, over what passed.

    >>> seconds_an_array({"seconds": [3.0, 4.0], "passed": [20, 30]}, {"seconds": [2.0, 2.0]})
    0.1
    """
    rounds = zip(row["seconds"], serial["seconds"], row["passed"])
    figures = [(taken - work / 2) / passed for taken, work, passed in rounds if passed]
    return median(figures) if figures else None
