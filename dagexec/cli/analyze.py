"""`dagexec analyze`: how much parallelism there is, what limits it, and what it is worth on P workers.

All costs are measured: the median seconds of each task in several recorded runs on one worker. The graph is
the one that is run, after its rewrites.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table
from rich.text import Text

from dagexec.cli import charts, show
from dagexec.cli.figures import ENDINGS, draw_study
from dagexec.cli.program import (
    debug_option,
    file_argument,
    forward_option,
    json_option,
    options,
    parameters_option,
    require_apart,
    require_ending,
)
from dagexec.executors import available_cores
from dagexec.files import require_writable
from dagexec.graphfile import as_text, graph_of, load
from dagexec.progress import progress
from dagexec.study import MOST_PARTS, Study, study
from dagexec.timing import machine, machine_line

MOST_WORKERS = 100_000
MOST_LEVELS = 6
WIDEST = 100  # characters of the chart where nobody says how wide the output is
LONGEST_NAME = 50
LIMITS = {
    "width": "no more tasks than workers",
    "slowest": "one slow task",
    "workers": "the number of workers",
}


def _numbers(ctx: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    """The numbers of workers in `1,2,4`, each once, in order."""
    found = set()
    for part in text.split(","):
        part = part.strip()
        if not (part.isascii() and part.isdigit() and 1 <= int(part[:9]) <= MOST_WORKERS):
            said = f"{part!r} is no number of workers" if part else "a number is missing"
            raise click.BadParameter(
                f"{text!r}: {said}; give whole numbers from 1 to {MOST_WORKERS:,} as in 1,2,4", ctx, parameter
            )
        found.add(int(part))
    return tuple(sorted(found))


@click.command()
@file_argument
@options(
    parameters_option,
    click.option(
        "--workers",
        default="1,2,4,8",
        show_default=True,
        callback=_numbers,
        metavar="N,N,...",
        help="Numbers of workers to predict for; measured up to the number of cores.",
    ),
    click.option(
        "--rounds",
        type=click.IntRange(min=1),
        default=5,
        show_default=True,
        help="Recorded runs, and timed runs of each number of workers.",
    ),
    forward_option,
    click.option(
        "--plot", type=click.Path(path_type=Path), help=f"Draw it in one figure: {', '.join(ENDINGS)}."
    ),
    json_option,
    debug_option,
)
def analyze(
    file: Path,
    texts: dict[str, str],
    workers: tuple[int, ...],
    rounds: int,
    forward_only: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Tell how parallel FILE is, what limits it, and what it gains on more workers."""
    if plot is not None:
        require_ending(plot, ENDINGS, "--plot")
        require_writable(plot)
        require_apart(FILE=file, plot=plot)
        if importlib.util.find_spec("matplotlib") is None:
            raise click.ClickException("--plot needs matplotlib: pip install 'dagexec[draw]'")
    loaded = load(file)
    built = loaded.built(texts)
    graph = graph_of(built, forward_only)
    with progress("measuring", 2 * rounds) as advance, np.errstate(all="ignore"):
        found = study(graph, built.args, workers, rounds, advance)
    arguments = {name: as_text(value) for name, value in loaded.arguments(texts).items()}
    given = "  ".join(f"{name}={text}" for name, text in arguments.items())
    if plot is not None:
        draw_study(found, f"{loaded.name}  {given}".rstrip(), plot)
    if as_json:
        show.print_json(_as_json(str(loaded.path), arguments, found))
        return
    show.print_hanging(f"{loaded.name}  ", given, lead_style="bold")
    show.print_facts(list(_facts(found)))
    _print_chart(found)
    _print_path(found)
    _print_levels(found, found.most_workers)
    _print_rows(found)
    click.echo(machine_line())
    if plot is not None:
        click.echo(f"written: {plot}")


# --- for people -----------------------------------------------------------------------------------------
def _facts(found: Study) -> Iterator[tuple[str, str]]:
    analysis = found.analysis
    runs = f"median of {show.plural(found.recorded, 'recorded run')} on one worker"
    yield "work", f"{show.seconds(analysis.work)}  ({show.plural(analysis.tasks, 'task')}; {runs})"
    path = show.plural(len(analysis.critical_path), "task")
    yield "span", f"{show.seconds(analysis.span)}  (the critical path, {path})"
    yield (
        "parallelism",
        f"{show.three_digits(analysis.parallelism)}  (work / span: no run gains more than this)",
    )
    levels = show.plural(analysis.levels, "level")
    mean = analysis.tasks / max(1, analysis.levels)
    yield "width", f"{analysis.width} at the most, {show.three_digits(mean)} on the average of {levels}"


def _print_chart(found: Study) -> None:
    """The width over depth. Where there are more levels than room, a column is the widest of several."""
    widths = found.analysis.widths
    if not widths:
        return
    screen = show.console()
    width = min(screen.width, WIDEST) if screen.is_terminal else WIDEST
    _print_title("tasks side by side, level by level")
    for line in charts.columns(widths, width=width - 2, blocks=_blocks(screen.encoding)):
        screen.print(Text("  " + line), soft_wrap=True)


def _blocks(encoding: str) -> str:
    try:
        (charts.BLOCKS + "┤└─").encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return charts.PLAIN
    return charts.BLOCKS


def _print_path(found: Study) -> None:
    parts = found.critical_path
    if not parts:
        return
    _print_title("critical path, the costliest first")
    table = _table(("share", "right"), ("time", "right"), ("tasks", "right"), ("", "left"))
    for part in parts[:MOST_PARTS]:
        times = f"×{part.tasks}" if part.tasks > 1 else ""
        table.add_row(show.share(part.share), show.seconds(part.cost), times, Text(_short(part.name)))
    if others := parts[MOST_PARTS:]:
        cost, share = sum(part.cost for part in others), sum(part.share for part in others)
        tasks = sum(part.tasks for part in others)
        table.add_row(show.share(share), show.seconds(cost), f"×{tasks}", f"{len(others)} others")
    _print_table(table)


def _print_levels(found: Study, workers: int) -> None:
    """What limits a run level by level: in all, and of the levels that take longest."""
    limits = found.limits(workers)
    whole = sum(limits.values())
    if not whole:
        return
    _print_title(f"what limits {show.plural(workers, 'worker')}, level by level")
    for limit, seconds in sorted(limits.items(), key=lambda item: -item[1]):
        number = sum(level.limit(workers) == limit for level in found.levels)
        words = f"{limit}: {LIMITS[limit]}, on {show.plural(number, 'level')}"
        show.print_hanging(f"  {show.share(seconds / whole):>5}  ", words)
    longest = sorted(enumerate(found.levels), key=lambda item: -item[1].seconds(workers))
    table = _table(("level", "right"), ("tasks", "right"), ("at least", "right"), ("limit", "left"))
    table.add_column("slowest task", no_wrap=True, overflow="ellipsis")
    for number, level in longest[:MOST_LEVELS]:
        name = f"{show.seconds(level.longest)} {_short(_task(found, level.slowest))}"
        least, limit = show.seconds(level.seconds(workers)), level.limit(workers)
        table.add_row(str(number), str(level.tasks), least, limit, Text(name))
    _print_table(table)


def _print_rows(found: Study) -> None:
    _print_title("predicted and measured")
    names = ("workers", "predicted", "speed-up", "at most", "measured", "speed-up")
    table = _table(*[(name, "right") for name in names], ("", "left"))
    for row in found.rows:
        predicted, most = found.predicted_speed_up(row), found.analysis.bound(row.workers)
        measured = found.measured_speed_up(row)
        median = show.seconds(row.measured.median) if row.measured else "–"
        gain = "–" if measured is None else f"{measured:.2f}"
        cells = (show.seconds(row.predicted), f"{predicted:.2f}", f"{most:.2f}", median, gain)
        table.add_row(str(row.workers), *cells, row.executor or "")
    _print_table(table)
    click.echo("Predicted: simulated with the measured costs, handing over costs nothing.")
    click.echo("At most: min(workers, work / span).")
    runs = show.plural(found.recorded, "unrecorded run")
    click.echo(f"Measured: medians of {runs}, in turns, up to the {available_cores()} cores there are.")
    ratio = found.analysis.work / found.alone.median if found.alone else 1.0
    if ratio > 1.25:
        words = "a recorded run notes every task and allocates every value, others reuse one arena"
        click.echo(f"The recorded tasks take {ratio:.2f} times what a run takes: {words}.")


def _print_table(table: Table) -> None:
    """Print a table; into a pipe as wide as it needs to be, and without blanks at the ends of lines."""
    screen = show.console()
    if screen.is_terminal:
        screen.print(table)
        return
    screen.width = 200
    with screen.capture() as captured:
        screen.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _print_title(words: str) -> None:
    screen = show.console()
    screen.print()
    screen.print(Text(words, "bold"), soft_wrap=True)


def _table(*named: tuple[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 2), header_style="dim")
    for name, justify in named:
        table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis", min_width=len(name))
    return table


def _short(name: str) -> str:
    return show.abridged(name, LONGEST_NAME)


def _task(found: Study, task: int) -> str:
    node = found.plan.graph.nodes[task]
    region = f"{'∇' if node.phase == 'backward' else ''}{'/'.join(node.scope)} " if node.scope else ""
    return region + found.plan.name(task)


# --- for programs ---------------------------------------------------------------------------------------
def _as_json(file: str, arguments: dict[str, str], found: Study) -> dict[str, Any]:
    analysis, workers = found.analysis, found.most_workers
    return {
        "file": file,
        "parameters": arguments,
        "machine": machine(),
        "cores": available_cores(),
        "recorded_runs": found.recorded,
        "tasks": analysis.tasks,
        "work_seconds": analysis.work,
        "span_seconds": analysis.span,
        "parallelism": analysis.parallelism,
        "widths": analysis.widths,
        "critical_path": [part._asdict() for part in found.critical_path],
        "levels": [
            {
                "tasks": level.tasks,
                "work_seconds": level.work,
                "slowest": _task(found, level.slowest),
                "slowest_seconds": level.longest,
                "limit": level.limit(workers),
            }
            for level in found.levels
        ],
        "limits_on_workers": workers,
        "workers": list(_rows_as_json(found)),
    }


def _rows_as_json(found: Study) -> Iterable[dict[str, Any]]:
    for row in found.rows:
        taken = row.measured
        yield {
            "workers": row.workers,
            "least_seconds": row.least,
            "predicted_seconds": row.predicted,
            "predicted_speed_up": found.predicted_speed_up(row),
            "bound": found.analysis.bound(row.workers),
            "executor": row.executor,
            "measured_seconds": taken.seconds if taken else None,
            "measured_median": taken.median if taken else None,
            "measured_speed_up": found.measured_speed_up(row),
        }
