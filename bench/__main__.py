"""`python -m bench NAME [--json] [--quick] [--plot FILE]`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from bench import choice, figure, models, order, overhead, prediction, report, schedulers, training
from dagexec.timing import machine, machine_line

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Benchmark:
    """What measures, what makes text of it; and, where there is one, a quick form and a picture."""

    measure: Callable[[], Rows]
    table: Callable[[Rows], str]
    quick: Callable[[], Rows] | None = None
    plot: Callable[[Rows, str, str], None] | None = None


BENCHMARKS = {
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
@click.option("--plot", type=click.Path(dir_okay=False, writable=True), help="Draw the figures into FILE.")
def main(name: str, as_json: bool, quick: bool, plot: str | None) -> None:
    """Run the benchmark NAME and print its figures."""
    benchmark = BENCHMARKS[name]
    if quick and benchmark.quick is None:
        raise click.UsageError(f"{name} has no quick form.")
    if plot and benchmark.plot is None:
        raise click.UsageError(f"{name} has no picture.")
    rows = benchmark.quick() if quick and benchmark.quick else benchmark.measure()
    if plot and benchmark.plot:
        benchmark.plot(rows, plot, machine_line())
    if as_json:
        click.echo(json.dumps({"benchmark": name, "machine": machine(), "rows": rows}, indent=2))
        return
    click.echo(machine_line())
    click.echo(benchmark.table(rows))


if __name__ == "__main__":
    main(prog_name="python -m bench")
