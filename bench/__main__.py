"""`python -m bench NAME [--json]`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from bench import overhead
from dagexec.timing import machine, machine_line

BENCHMARKS: dict[str, tuple[Callable[[], list[dict[str, Any]]], Callable[[list[dict[str, Any]]], str]]] = {
    "overhead": (overhead.measure, overhead.table),
}


@click.command()
@click.argument("name", type=click.Choice(sorted(BENCHMARKS)))
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(name: str, as_json: bool) -> None:
    """Run the benchmark NAME and print its figures."""
    measure, table = BENCHMARKS[name]
    rows = measure()
    if as_json:
        click.echo(json.dumps({"benchmark": name, "machine": machine(), "rows": rows}, indent=2))
        return
    click.echo(machine_line())
    click.echo(table(rows))


if __name__ == "__main__":
    main(prog_name="python -m bench")
