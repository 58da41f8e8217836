"""`python -m bench NAME [--json] [--quick] [--plot FILE] [--save FILE | --from FILE]`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench import choice, figure, models, order, overhead, prediction, report, schedulers, training
from bench.autodiff import figure as autodiff_figure
from bench.autodiff import measuring as autodiff
from bench.autodiff import report as autodiff_report
from dagexec.files import require_writable, written_whole
from dagexec.timing import machine, machine_line

Row = dict[str, Any]
Rows = list[Row]


@dataclass(frozen=True)
class Benchmark:
    """What measures, what makes text of it; where there are such, a quick form, a picture, a choice.

    What measures may give its rows one by one, so that they can be kept as they come.
    """

    measure: Callable[[], Iterable[Row]]
    table: Callable[[Rows], str]
    quick: Callable[[], Iterable[Row]] | None = None
    plot: Callable[[Rows, str, str], None] | None = None
    only: Callable[[str], Iterable[Row]] | None = None
    markdown: Callable[[Rows], str] | None = None


BENCHMARKS = {
    "autodiff": Benchmark(
        autodiff.measure,
        autodiff_report.table,
        lambda: autodiff.measure(quick=True),
        autodiff_figure.draw,
        autodiff.measure_only,
        autodiff_report.markdown,
    ),
    "choice": Benchmark(choice.measure, choice.table),
    "models": Benchmark(models.measure, models.table),
    "order": Benchmark(order.measure, order.table),
    "overhead": Benchmark(overhead.measure, overhead.table),
    "prediction": Benchmark(prediction.measure, prediction.table),
    "schedulers": Benchmark(
        schedulers.measure, report.table, lambda: schedulers.measure(quick=True), figure.draw
    ),
    "training": Benchmark(training.measure, training.table, lambda: training.measure(quick=True)),
}


FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("name", type=click.Choice(sorted(BENCHMARKS)))
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--quick", is_flag=True, help="A minute instead of many: fewer rounds, no slow peers.")
@click.option("--only", help="Measure only what has this in its name, where that can be chosen.")
@click.option("--plot", type=click.Path(dir_okay=False, writable=True), help="Draw the figures into FILE.")
@click.option("--save", type=FILE, help="Write the figures into FILE, as JSON, whenever there are more.")
@click.option("--from", "saved", type=FILE, help="Measure nothing: take the figures that are saved in FILE.")
@click.option("--markdown", is_flag=True, help="Print tables in Markdown.")
def main(
    name: str,
    as_json: bool,
    quick: bool,
    only: str | None,
    plot: str | None,
    save: Path | None,
    saved: Path | None,
    markdown: bool,
) -> None:
    """Run the benchmark NAME and print its figures."""
    benchmark = BENCHMARKS[name]
    for asked, there, what in (
        (quick, benchmark.quick, f"{name} has no quick form."),
        (plot, benchmark.plot, f"{name} has no picture."),
        (only, benchmark.only, f"{name} is measured as a whole."),
        (markdown, benchmark.markdown, f"{name} has no tables in Markdown."),
    ):
        if asked and there is None:
            raise click.UsageError(what)
    if saved:
        found = _loaded(saved, name)
    else:
        if only and benchmark.only:
            rows = _only(benchmark.only, only)
        else:
            rows = (benchmark.quick if quick and benchmark.quick else benchmark.measure)()
        found = _gathered(name, rows, save)
    if plot and benchmark.plot:
        benchmark.plot(found["rows"], plot, found["machine_line"])
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(found["machine_line"])
    click.echo((benchmark.markdown if markdown and benchmark.markdown else benchmark.table)(found["rows"]))


def _only(measure: Callable[[str], Iterable[Row]], part: str) -> Iterable[Row]:
    try:
        return measure(part)
    except ValueError as error:  # nothing has this in its name
        raise click.UsageError(str(error)) from None


def _gathered(name: str, rows: Iterable[Row], save: Path | None) -> dict[str, Any]:
    """The rows and what they depend on; kept in a file with each that comes."""
    found: dict[str, Any] = {
        "benchmark": name,
        "machine": machine(),
        "machine_line": machine_line(),
        "rows": [],
    }
    if save:
        require_writable(save)
    for row in rows:
        found["rows"].append(row)
        if save:
            with written_whole(save) as file:
                file.write(json.dumps(found))  # at once: what is measured goes on meanwhile
    return found


def _loaded(path: Path, name: str) -> dict[str, Any]:
    """What `--save` has written; a UsageError for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"cannot read {path}: {error}") from None
    if not isinstance(found, dict) or found.get("benchmark") != name or "machine_line" not in found:
        raise click.UsageError(f"{path} has no figures of {name}: python -m bench {name} --save writes them")
    try:
        BENCHMARKS[name].table(found["rows"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise click.UsageError(
            f"{path} has figures of {name}, but not as this version saves them: measure again"
        ) from None
    return found


if __name__ == "__main__":
    main(prog_name="python -m bench")
