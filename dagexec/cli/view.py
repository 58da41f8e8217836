"""`dagexec view`: the interactive page of a graph file's graph, with recorded runs to replay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dagexec.cli.program import (
    debug_option,
    file_argument,
    forward_option,
    options,
    parameters_option,
    require_apart,
    require_ending,
    workers_option,
)
from dagexec.cli.show import nbytes, plural
from dagexec.files import require_writable
from dagexec.graphfile import graph_of, load
from dagexec.page.recording import EXECUTORS
from dagexec.progress import progress
from dagexec.rewrite import rewritten

PAGES = (".html", ".htm")


def _executors(ctx: click.Context, _: click.Parameter, text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in EXECUTORS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(EXECUTORS)}", ctx)
    return tuple(dict.fromkeys(names))


@click.command()
@file_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The page: .html.")
@options(
    parameters_option,
    click.option(
        "--executors",
        default=",".join(EXECUTORS),
        show_default=True,
        callback=_executors,
        help="What to run on; the page replays each.",
    ),
    workers_option,
    click.option("--no-run", is_flag=True, help="Run nothing: no replay, and no values."),
    click.option("--rewrites", is_flag=True, help="Show and run it rewritten."),
    forward_option,
    debug_option,
)
def view(
    file: Path,
    output: Path,
    texts: dict[str, str],
    executors: Sequence[str],
    workers: int | None,
    no_run: bool,
    rewrites: bool,
    forward_only: bool,
) -> None:
    """Write an interactive page of the graph of FILE: its derivation, its runs, its values."""
    require_ending(output, PAGES, "-o")
    require_apart(FILE=file, output=output)
    require_writable(output)
    built = load(file).built(texts)
    graph = graph_of(built, forward_only)
    graph = rewritten(graph) if rewrites else graph
    runs = () if no_run else executors
    with progress("recording", len(runs)) as started:  # a run is counted, and named, when it begins
        graph.to_html(output, *built.args, runs=runs, workers=workers, file=file, started=started)
    on = f", runs on {', '.join(runs)}" if runs else ""
    click.echo(f"{output}: {plural(len(graph), 'node')}{on}, {nbytes(output.stat().st_size)}", err=True)
