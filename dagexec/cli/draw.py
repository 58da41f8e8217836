"""`dagexec draw`: the picture of a graph file's graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dagexec.cli.program import (
    debug_option,
    executor_option,
    file_argument,
    forward_option,
    options,
    parameters_option,
    require_apart,
    require_ending,
    workers_option,
)
from dagexec.cli.show import plural
from dagexec.draw.dot import CHOICES
from dagexec.draw.measured import MEASURED
from dagexec.draw.render import FORMATS
from dagexec.files import require_writable
from dagexec.graphfile import graph_of, load
from dagexec.rewrite import rewritten
from dagexec.timing import recorded


def _choice(name: str, help: str) -> Any:
    choices = [choice for choice in CHOICES[name] if choice is not None]
    return click.option(f"--{name}", type=click.Choice(choices), help=help)


@click.command()
@file_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help=f"Image: {', '.join(FORMATS)}."
)
@options(
    parameters_option,
    _choice("level", "Regions folded, operations, or scalars; by default what the size allows."),
    click.option(
        "--depth",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Regions kept at level high.",
    ),
    _choice("style", "Operations with arrows, or operations and values."),
    _choice("group", "Frame what can run at the same time, or what runs as one task."),
    _choice("color", "What the colours tell; time, memory and worker run it, to measure them."),
    _choice("theme", "Light or dark ground."),
    executor_option,
    workers_option,
    click.option("--rewrites", is_flag=True, help="Draw it rewritten, as it is run."),
    forward_option,
    debug_option,
)
def draw(
    file: Path,
    output: Path,
    texts: dict[str, str],
    depth: int,
    executor: str,
    workers: int | None,
    forward_only: bool,
    rewrites: bool,
    **chosen: str | None,
) -> None:
    """Draw the graph of FILE, with its backward graph."""
    require_image(output, "-o")
    require_apart(FILE=file, output=output)
    built = load(file).built(texts)
    graph = graph_of(built, forward_only)
    graph = rewritten(graph) if rewrites else graph
    choices: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if choices.get("color") in MEASURED:
        alone = "threads" if choices["color"] == "worker" else "serial"
        on = alone if executor == "auto" else executor
        choices["events"] = recorded(graph, built.args, on, workers).events
        graph = choices["events"].graph
    graph.draw(output, depth=depth, **choices)
    click.echo(f"{output}: {plural(len(graph), 'node')}", err=True)


def require_image(path: Path, option: str) -> None:
    """Raise UsageError or OSError unless an image can be written to `path`."""
    require_ending(path, FORMATS, option)
    require_writable(path)
