"""The figures of the schedulers' benchmark as text: a table a part, and what failed below it."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from bench.dags import FULL
from bench.passing import seconds_an_array
from bench.peers import SERIAL
from bench.rounds import microseconds, times_as_fast

Row = dict[str, Any]
Rows = list[Row]

MARKS = {True: "met", False: "NOT MET", None: "–"}
UNIT_OF_PART = {"seconds": "s", "bytes": "bytes a task"}


def table(rows: Rows) -> str:
    """The parts, each as a table, and the demands."""
    parts = (overhead, speed_ups, array, million, demands)
    return "\n\n".join("\n".join(part(rows)) for part in parts)


def _of(rows: Rows, section: str) -> Rows:
    return [row for row in rows if row["section"] == section]


def spread(figures: list[float] | None, digits: int = 2) -> str:
    """Median and quartiles.

    >>> spread([1.234, 1.2, 1.31]), spread([1234.5, 1230.0, 1240.0]), spread(None)
    ('1.23 [1.20, 1.31]', '1,234 [1,230, 1,240]', 'failed')
    """
    if figures is None:
        return "failed"
    digits = 0 if figures[0] >= 1000 else 1 if figures[0] >= 100 else digits
    middle, low, high = (f"{figure:,.{digits}f}" for figure in figures)
    return f"{middle} [{low}, {high}]"


def overhead(rows: Rows) -> Iterator[str]:
    """µs a task, a line a scheduler, a column a shape."""
    cells: dict[str, dict[str, Row]] = {}
    for row in _of(rows, "overhead"):
        cells.setdefault(row["scheduler"], {})[row["shape"]] = row
    yield "µs a task of trivial callables, median [quartiles]; two workers"
    heads = "".join(f"{f'{shape} {tasks:,}':>22}" for shape, tasks in FULL.items())
    yield f"{'':<22}{heads}  tasks"
    for name, by_shape in cells.items():
        figures = "".join(f"{spread(microseconds(by_shape[shape])):>22}" for shape in FULL)
        yield f"{name:<22}{figures}  {_tasks(by_shape)}"
    yield "The bare loop goes over a planned list of (function, sources) and keeps every value; dagexec frees"
    yield "them. dagexec.get plans in every call, the other lines of dagexec were planned once. joblib makes"
    yield "one call of Parallel (threads) a level. Slow schedulers get fewer tasks, as the last column says."
    yield from _errors(_of(rows, "overhead"))


def _tasks(by_shape: dict[str, Row]) -> str:
    """How many tasks were run, where it was fewer than the full graph."""
    fewer = {shape: row["tasks"] for shape, row in by_shape.items() if row["tasks"] < FULL[shape]}
    return ", ".join(f"{shape} {tasks:,}" for shape, tasks in fewer.items()) or "all"


def _errors(rows: Rows) -> Iterator[str]:
    """Each error once, with the graphs on which it came."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["error"]:
            found.setdefault((row["scheduler"], row["error"]), []).append(row["shape"])
    for (name, error), shapes in found.items():
        yield f"  {name} on {', '.join(dict.fromkeys(shapes))}: {error}"


def speed_ups(rows: Rows) -> Iterator[str]:
    """Over serial dagexec in the same round: a table for what releases the GIL, one for what holds it."""
    for kind, says in (
        ("sha256", "that release the GIL (SHA-256), two threads"),
        ("Python", "in pure Python, two processes"),
    ):
        found = [row for row in _of(rows, "speed-up") if row["payload"] == kind]
        yield f"Speed-up over serial dagexec of payloads {says}, median [quartiles]"
        yield from _speed_ups(found)
        yield from _errors(found)


def _speed_ups(rows: Rows) -> Iterator[str]:
    lines: dict[tuple[int, str, int], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row["payload_us"], row["shape"], row["tasks"]), {})[row["scheduler"]] = row
    names = list(dict.fromkeys(row["scheduler"] for row in rows))
    others = [name for name in names if name != SERIAL]
    yield f"{'µs':>6} {'graph':<8}{'tasks':>6}{'serial, µs a task':>24}" + "".join(
        f"{name:>22}" for name in others
    )
    for (length, shape, tasks), cells in lines.items():
        figures = "".join(f"{spread(times_as_fast(cells[name], cells[SERIAL])):>22}" for name in others)
        serial = spread(microseconds(cells[SERIAL]))
        yield f"{length:>6,} {shape:<8}{tasks:>6,}{serial:>24}{figures}"


def array(rows: Rows) -> Iterator[str]:
    """Milliseconds an array of 8 MB."""
    found = _of(rows, "array")
    serial = next(row for row in found if row["scheduler"] == SERIAL)
    yield "An array of 8 MB from one process to another: two lanes of tasks that read each other's arrays"
    for row in found:
        if row["error"]:
            yield f"{row['scheduler']:<30}{row['error']}"
            continue
        run = f"{median(row['seconds']) * 1e3:8.1f} ms a run, {median(row['passed']):g} arrays passed"
        cost = seconds_an_array(row, serial)
        yield f"{row['scheduler']:<30}{run}" + (f", {cost * 1e3:.2f} ms each" if cost else "")
    yield "Each: the run less half of the tasks' own work, as serial shows it, by the arrays that passed."


def million(rows: Rows) -> Iterator[str]:
    """Seconds and bytes of the big graphs."""
    for row in _of(rows, "million"):
        yield f"{row['tasks']:,} tasks, {row['shape']}"
        for part, unit in UNIT_OF_PART.items():
            if "error" in row[part]:
                yield f"  {row[part]['error']}"
                continue
            for name, figure in row[part].items():
                yield f"  {name:<24}{_million_figure(figure)} {unit}"
        yield from _million_peers(row)


def _million_figure(figure: Any) -> str:
    if isinstance(figure, list):
        return "{:8.2f} [{:.2f}, {:.2f}]".format(*figure)
    return f"{figure:8.0f}"


def _million_peers(row: Row) -> Iterator[str]:
    peers = row["peers"]
    if "error" in peers:
        yield f"  {peers['error']}"
        return
    if "dask tasks" in peers:
        small = f"extrapolated from {peers['dask tasks']:,} tasks"
        yield f"  {'Dask, two threads':<24}{peers['dask']:8.0f} s, {small}"
    nodes = f"measured on {peers['networkx nodes']:,} nodes"
    yield f"  {'networkx':<24}{peers['networkx bytes']:8.0f} bytes a node, {nodes}"


def demands(rows: Rows) -> Iterator[str]:
    """A line a demand."""
    yield "Demanded, measured (the worst graph), met?"
    for row in _of(rows, "demand"):
        yield f"  {row['what']:<82}{row['demanded']:>10}   {row['measured']:<34}{MARKS[row['met']]}"
