"""`dagexec bench`: parallel against serial, beside the bound that each graph sets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table
from rich.text import Text

from dagexec.cli import show
from dagexec.cli.list import default_folder, graph_files
from dagexec.cli.program import (
    debug_option,
    forward_option,
    json_option,
    options,
    parameters_option,
    workers_option,
)
from dagexec.executors import CHOICES
from dagexec.graphfile import graph_of, load
from dagexec.progress import progress
from dagexec.timing import Comparison, Times, compare, machine, machine_line

PARALLEL = [name for name in CHOICES if name != "serial"]


@click.command()
@click.argument(
    "files", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@options(
    parameters_option,
    click.option(
        "--executor",
        type=click.Choice(PARALLEL),
        default="threads",
        show_default=True,
        help="Against serial.",
    ),
    workers_option,
    click.option(
        "--rounds", type=click.IntRange(min=1), default=10, show_default=True, help="Timed runs of each."
    ),
    forward_option,
    json_option,
    debug_option,
)
def bench(
    files: tuple[Path, ...],
    texts: dict[str, str],
    executor: str,
    workers: int | None,
    rounds: int,
    forward_only: bool,
    as_json: bool,
) -> None:
    """Time each FILE (by default those that `list` shows) in parallel and serially, in turns."""
    paths = files or tuple(path for path, _ in graph_files(default_folder()))
    if not paths:
        raise click.UsageError(f"there are no graph files in {default_folder()}: name one")
    built = [(path, load(path).built(texts)) for path in paths]
    found: dict[Path, Comparison] = {}
    with progress("timing", rounds * len(built)) as advance, np.errstate(all="ignore"):
        for path, program in built:
            graph = graph_of(program, forward_only)
            on_round = partial(advance, path.name)
            found[path] = compare(graph, program.args, executor, workers, rounds, on_round)
    if as_json:
        show.print_json(
            {"machine": machine(), "rounds": rounds, "files": list(map(_as_json, found, found.values()))}
        )
        return
    _print_table(found)
    click.echo(machine_line())
    click.echo(f"BLAS: {machine()['blas']}, one thread for each worker")


def _print_table(found: dict[Path, Comparison]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("file", overflow="fold")
    for name in ("serial", "parallel", "on", "speed-up", "bound"):
        table.add_column(name, justify="right", no_wrap=True)
    for path, one in found.items():
        table.add_row(
            Text(path.name),  # a name is no markup
            _median(one.serial),
            _median(one.parallel),
            f"{one.workers} {one.executor}",
            f"{one.speed_up:.2f}",
            f"{one.bound:.2f}",
        )
    show.console().print(table)
    click.echo("Medians ± half the distance of the quartiles. Bound: min(workers, work / span), as measured.")


def _median(times: Times) -> str:
    low, high = times.spread
    return f"{show.seconds(times.median)} ± {(high - low) / 2 / times.median:.0%}"


def _as_json(path: Path, one: Comparison) -> dict[str, Any]:
    return {
        "file": str(path),
        "executor": one.executor,
        "workers": one.workers,
        "serial": _times(one.serial),
        "parallel": _times(one.parallel),
        "speed_up": one.speed_up,
        "bound": one.bound,
        "measured": {
            "tasks": one.measured.tasks,
            "work": one.measured.work,
            "span": one.measured.span,
            "parallelism": one.measured.parallelism,
        },
    }


def _times(times: Times) -> dict[str, Any]:
    low, high = times.spread
    return {"median": times.median, "quartiles": [low, high], "seconds": times.seconds}
