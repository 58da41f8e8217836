"""What a scheduler costs, and what parallel gains with it: dagexec, its peers, and no scheduler at all.

Four parts, each measured in interleaved rounds, so that ratios hold on a noisy machine:
- overhead: µs a task of trivial callables on five shapes of graph (`bench.dags`);
- speed-up: payloads of known length on two workers (`bench.payloads`), over serial dagexec in the same round;
- array: an array of 8 MB from one process to another (`bench.passing`);
- million: seconds and bytes of a million tasks (`bench.million`).
At the end stands what the project demands of itself, beside what was measured (`bench.demands`).

Slow peers get fewer tasks and fewer rounds; the tasks are in the table. dask.distributed and Ray are measured
after the others, by themselves: their threads and processes do some work even while they wait, and would
disturb the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import click

from bench import million, passing
from bench.dags import FULL, Dag, dag, in_order
from bench.demands import demands
from bench.payloads import hashing, spinning
from bench.peers import (
    ADAPTERS,
    AUTO,
    CEILING,
    DASK,
    DASK_PROCESSES,
    DASK_THREADS,
    DISTRIBUTED_PROCESSES,
    DISTRIBUTED_THREADS,
    GET_SERIAL,
    GET_THREADS,
    GRAPHLIB,
    GRAPHLIB_PROCESSES,
    JOBLIB,
    LOOP,
    PROCESSES,
    RAY,
    SERIAL,
    THREADS,
    Run,
)
from bench.rounds import Cell, play, said

Row = dict[str, Any]

BEGIN = perf_counter()


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds at most, seconds for each contestant on each graph, tasks."""

    rounds: int
    seconds: float
    together: tuple[str, ...]  # measured in turns
    apart: tuple[str, ...]  # measured by themselves
    payloads: dict[int, int]  # tasks by length of the payload in µs
    million: int


CHEAP = (LOOP, SERIAL, THREADS, AUTO, PROCESSES, GET_SERIAL, GET_THREADS, GRAPHLIB, DASK, DASK_THREADS)
THOROUGH = Effort(
    rounds=21,
    seconds=1.0,
    together=(*CHEAP, DASK_PROCESSES, JOBLIB),
    apart=(DISTRIBUTED_THREADS, DISTRIBUTED_PROCESSES, RAY),
    payloads={10: 2_000, 50: 2_000, 200: 1_000, 1_000: 600},
    million=million.TASKS,
)
QUICK = Effort(
    rounds=7, seconds=0.3, together=CHEAP, apart=(), payloads={10: 2_000, 200: 500}, million=100_000
)

# How many tasks a peer gets, at most, and on the chain. Dask fuses a chain into one deeply nested task for
# its processes, which cannot be pickled from some 500 tasks on; joblib pays a call for each level.
LIMITS = {
    GRAPHLIB: (5_000, 2_000),
    DASK: (5_000, 5_000),
    DASK_THREADS: (5_000, 5_000),
    DASK_PROCESSES: (5_000, 200),
    JOBLIB: (5_000, 100),
    DISTRIBUTED_THREADS: (1_000, 100),
    DISTRIBUTED_PROCESSES: (1_000, 100),
    RAY: (1_000, 300),
}

PAYLOAD_SHAPES = ("wide", "layered", "grid")
ON_THREADS = (SERIAL, CEILING, THREADS, AUTO, GRAPHLIB, DASK_THREADS, JOBLIB)
ON_PROCESSES = (SERIAL, PROCESSES, GRAPHLIB_PROCESSES, DASK_PROCESSES)
SPINNING_TASKS = 300


def measure(quick: bool = False) -> list[Row]:
    """All rows; each says in `section` which part it belongs to."""
    effort = QUICK if quick else THOROUGH
    rows = [*overhead(effort), *speed_ups(effort), *array(effort)]
    for shape in million.SHAPES:
        _progress(f"{effort.million:,} tasks: {shape}")
        rows.append({"section": "million", **million.measure(shape, effort.million)})
    return rows + [{"section": "demand", **demand} for demand in demands(rows)]


def overhead(effort: Effort) -> Iterator[Row]:
    """µs a task of trivial callables."""
    for shape in FULL:
        _progress(f"overhead: {shape}")
        dags = {name: dag(shape, _tasks(name, shape)) for name in effort.together}
        for cell in contest(dags, effort, in_order):
            yield cell.row(section="overhead", shape=shape)
    for name in effort.apart:
        _progress(f"overhead: {name}")
        yield from _alone(name, [dag(shape, _tasks(name, shape)) for shape in FULL], effort)


def _tasks(name: str, shape: str) -> int:
    limit, on_chain = LIMITS.get(name, (FULL[shape], FULL[shape]))
    return min(FULL[shape], on_chain if shape == "chain" else limit)


def contest(dags: dict[str, Dag], effort: Effort, expected: Callable[[Dag], list[Any]]) -> list[Cell]:
    """Several schedulers in turns, each on its graph; each result is checked once."""
    with ExitStack() as stack:
        cells = [_seat(stack, name, graph) for name, graph in dags.items()]
        play(cells, effort.seconds, effort.rounds, [expected(graph) for graph in dags.values()])
    return cells


def _seat(stack: ExitStack, name: str, graph: Dag) -> Cell:
    runs, error = entered(stack, ADAPTERS[name]([graph]))
    return Cell(name, len(graph), runs[0] if runs else _no_run, error=error)


def _alone(name: str, dags: list[Dag], effort: Effort) -> Iterator[Row]:
    with ExitStack() as stack:
        runs, error = entered(stack, ADAPTERS[name](dags))
        for graph, run in zip(dags, runs or [_no_run] * len(dags)):
            cell = Cell(name, len(graph), run, error=error)
            play([cell], effort.seconds, effort.rounds, [in_order(graph)])
            yield cell.row(section="overhead", shape=graph.name)


def _no_run() -> Sequence[Any]:
    return []


def entered(
    stack: ExitStack, manager: AbstractContextManager[list[Run]]
) -> tuple[list[Run] | None, str | None]:
    """Enter a scheduler's adapter, to be left with the stack: its runs, or why it could not be had."""
    try:
        runs = manager.__enter__()
    except Exception as error:
        return None, said(error)

    def leave() -> None:
        try:
            manager.__exit__(None, None, None)
        except Exception as error:
            _progress(f"not closed cleanly: {said(error)}")

    stack.callback(leave)
    return runs, None


def speed_ups(effort: Effort) -> Iterator[Row]:
    """Payloads that release the GIL on two threads, and one that holds it on two processes."""
    for microseconds, tasks in effort.payloads.items():
        yield from _speed_up("sha256", hashing(microseconds / 1e6), microseconds, tasks, ON_THREADS, effort)
    yield from _speed_up("Python", spinning(1e-3), 1_000, SPINNING_TASKS, ON_PROCESSES, effort)


def _speed_up(
    kind: str,
    payload: Callable[..., Any],
    microseconds: int,
    tasks: int,
    names: Iterable[str],
    effort: Effort,
) -> Iterator[Row]:
    for shape in PAYLOAD_SHAPES:
        _progress(f"speed-up: {kind}, {microseconds:,} µs, {shape}")
        graph = dag(shape, tasks, payload)
        about = {"section": "speed-up", "payload": kind, "payload_us": microseconds, "shape": shape}
        cells = contest(dict.fromkeys(names, graph), effort, lambda dag: [payload()] * len(dag.outputs))
        for cell in cells:
            yield cell.row(**about)


def array(effort: Effort) -> Iterator[Row]:
    """An array of 8 MB over an edge between processes. `passed` counts the arrays that did pass, a run."""
    _progress("array")
    graph = passing.lanes()
    with ExitStack() as stack:
        cells, passed = [], {}
        managers: dict[str, AbstractContextManager[list[Run]]] = {
            SERIAL: ADAPTERS[SERIAL]([graph]),
            PROCESSES: ADAPTERS[PROCESSES]([graph]),
            passing.PIPE: passing.piped_lanes(),
        }
        for name, manager in managers.items():
            runs, error = entered(stack, manager)
            counts: list[int] = []
            passed[name] = counts
            run = passing.counted(runs[0], counts) if runs else _no_run
            cells.append(Cell(name, 1, run, error=error))
        play(cells, 2 * effort.seconds, effort.rounds)
        for cell in cells:
            yield cell.row(section="array", passed=passed[cell.name][1:])


def _progress(text: str) -> None:
    click.echo(f"{perf_counter() - BEGIN:5.0f} s  {text}", err=True)
