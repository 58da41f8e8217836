"""Is `auto` right: its times on the samples beside those of every other choice, all in the same rounds.

The samples are small graph files of `graphs/`, with their gradients where they have any. The choices are one
worker, one worker with as many BLAS threads as there are cores (where there are products that use them), two
threads, two processes, and `auto` after the runs that it needs to make up its mind. A round of a short graph
is many runs of it, so that each takes some milliseconds. What counts is the median of the rounds' ratios of
the best other choice to auto: 0.95 or more means that no choice would have been 5 % better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from operator import truediv
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import numpy as np

from dagexec.executors import Runner
from dagexec.executors.blas import BlasThreads, blas_threads
from dagexec.executors.serial import Serial
from dagexec.graphfile import graph_of, load
from dagexec.plan import plan
from dagexec.pytrees import flatten
from dagexec.timing import Times, take_turns

ROUNDS = 31
WORKERS = 2
WARM_UP = 12  # runs of each: auto has decided after ten
ROUND_SECONDS = 5e-3
GRAPHS = Path(__file__).parent.parent / "graphs"
SAMPLES = ("circle", "fnn", "matrix_vector", "rnn", "vector_self_sum", "word_count")

Row = dict[str, Any]


def measure() -> list[Row]:
    """One row a sample."""
    with np.errstate(all="ignore"):
        return [_row(GRAPHS / f"{name}.py") for name in SAMPLES]


def _row(path: Path) -> Row:
    built = load(path).built({})
    graph = graph_of(built)
    p = plan(graph)
    arguments = list(map(np.asarray, flatten(built.args)[0]))
    with ExitStack() as stack:
        runners = {
            name: stack.enter_context(Runner(p, name, WORKERS))
            for name in ("serial", "threads", "processes", "auto")
        }
        runs: dict[str, Callable[[], Any]] = {
            name: partial(runner.run, arguments) for name, runner in runners.items()
        }
        if p.threaded_blas:
            runs["BLAS threads"] = partial(_with_blas_threads, Serial(p), arguments)
        for run in runs.values():
            for _ in range(WARM_UP):
                run()
        start = perf_counter()
        runs["serial"]()
        number = max(1, int(ROUND_SECONDS / (perf_counter() - start)))
        repeated = {name: partial(_repeat, run, number) for name, run in runs.items()}
        times = _in_random_order(repeated)
        seconds = {name: taken.median / number for name, taken in times.items()}
        best = min((name for name in runs if name != "auto"), key=seconds.__getitem__)
        ratios = Times(tuple(map(truediv, times[best].seconds, times["auto"].seconds)))
        return {
            "sample": path.stem,
            "tasks": len(p.tasks),
            "seconds": seconds,
            "best": best,
            "auto": runners["auto"].explain().splitlines(),
            "best_over_auto": [ratios.median, *ratios.spread],
        }


def _in_random_order(runs: dict[str, Callable[[], Any]]) -> dict[str, Times]:
    """Times of so many rounds, each in another order: who comes after the processes finds cold caches."""
    random, names = Random(0), list(runs)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        random.shuffle(names)
        for name, times in zip(names, take_turns([runs[name] for name in names], 1)):
            seconds[name] += times.seconds
    return {name: Times(tuple(taken)) for name, taken in seconds.items()}


def _with_blas_threads(serial: Serial, arguments: Sequence[Any]) -> None:
    with BlasThreads(blas_threads()):
        serial(serial.plan.values(arguments), None, [])


def _repeat(run: Callable[[], Any], number: int) -> None:
    for _ in range(number):
        run()


def table(rows: list[Row]) -> str:
    """The rows as text."""
    names = ("serial", "threads", "processes", "BLAS threads", "auto")
    lines = [
        f"{'ms a run':<18}" + "".join(f"{name:>14}" for name in names) + f"{'best / auto':>14}  auto took"
    ]
    for row in rows:
        cells = [f"{row['seconds'][name] * 1e3:.3f}" if name in row["seconds"] else "" for name in names]
        middle, low, high = row["best_over_auto"]
        ratio = f"{middle:.2f} ± {(high - low) / 2:.2f}"
        lines.append(
            f"{row['sample']:<18}"
            + "".join(f"{cell:>14}" for cell in cells)
            + f"{ratio:>14}  {row['auto'][0]}"
        )
    return "\n".join(lines)
