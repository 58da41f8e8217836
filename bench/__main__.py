"""`python -m bench NAME [--json] [--quick] [--plot FILE]`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from bench import choice, figure, models, order, overhead, prediction, report, schedulers, training
from bench.autodiff import figure as autodiff_figure
from bench.autodiff import measuring as autodiff
from bench.autodiff import report as autodiff_report
from dagexec.timing import machine, machine_line

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Benchmark:
    """What measures, what makes text of it; where there are such, a quick form, a picture, a choice."""

    measure: Callable[[], Rows]
    table: Callable[[Rows], str]
    quick: Callable[[], Rows] | None = None
    plot: Callable[[Rows, str, str], None] | None = None
    only: Callable[[str], Rows] | None = None


BENCHMARKS = {
    "autodiff": Benchmark(
        autodiff.measure,
        autodiff_report.table,
        lambda: autodiff.measure(quick=True),
        autodiff_figure.draw,
        autodiff.measure_only,
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


@click.command()
@click.argument("name", type=click.Choice(sorted(BENCHMARKS)))
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--quick", is_flag=True, help="A minute instead of many: fewer rounds, no slow peers.")
@click.option("--only", help="Measure only what has this in its name, where that can be chosen.")
@click.option("--plot", type=click.Path(dir_okay=False, writable=True), help="Draw the figures into FILE.")
def main(name: str, as_json: bool, quick: bool, only: str | None, plot: str | None) -> None:
    """Run the benchmark NAME and print its figures."""
    benchmark = BENCHMARKS[name]
    if quick and benchmark.quick is None:
        raise click.UsageError(f"{name} has no quick form.")
    if plot and benchmark.plot is None:
        raise click.UsageError(f"{name} has no picture.")
    if only and benchmark.only is None:
        raise click.UsageError(f"{name} is measured as a whole.")
    if only and benchmark.only:
        rows = benchmark.only(only)
    else:
        rows = (benchmark.quick if quick and benchmark.quick else benchmark.measure)()
    if plot and benchmark.plot:
        benchmark.plot(rows, plot, machine_line())
    if as_json:
        click.echo(json.dumps({"benchmark": name, "machine": machine(), "rows": rows}, indent=2))
        return
    click.echo(machine_line())
    click.echo(benchmark.table(rows))


if __name__ == "__main__":
    main(prog_name="python -m bench")
