"""What the scheduler must show, beside what was measured: one line a demand.

A demand holds on every graph that it names, so what is measured is the worst of them, by name. Ratios are
medians over rounds of the two times of one round; against a peer measured by itself, of the medians.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bench.dags import FULL
from bench.passing import PIPE, seconds_an_array
from bench.peers import (
    AUTO,
    CEILING,
    DASK_PROCESSES,
    DASK_THREADS,
    DISTRIBUTED_PROCESSES,
    DISTRIBUTED_THREADS,
    GET_THREADS,
    LOOP,
    PROCESSES,
    RAY,
    SERIAL,
    THREADS,
)
from bench.rounds import microseconds, times_as_fast

Row = dict[str, Any]
Rows = list[Row]
Figures = dict[str, float]  # by graph

SPEED_UPS = {1_000: 1.9, 200: 1.9, 50: 1.85, 10: 1.4}  # by µs of the payload


def demands(rows: Rows) -> Iterator[Row]:
    """A row a demand: what is demanded, what was measured, and whether it is met (None: not measured)."""
    yield from _on_trivial_callables(rows)
    yield from _speed_ups(rows)
    yield from _of_an_array(rows)
    yield from _of_a_million(rows)


def _on_trivial_callables(rows: Rows) -> Iterator[Row]:
    by_shape = _overhead(rows)
    others = {shape: cells for shape, cells in by_shape.items() if shape != "layered"}
    layered = {shape: cells for shape, cells in by_shape.items() if shape == "layered"}

    def slower(name: str, cells: dict[str, Row]) -> Figures:
        return _figures(cells, lambda row: _ratio(row[LOOP], row[name]))

    def less(name: str, peer: str) -> Figures:
        return _figures(by_shape, lambda row: _ratio(row[name], row[peer]))

    yield at_most("threads, over the bare loop", 2.0, slower(THREADS, others), "×")
    yield at_most("threads, over the bare loop, layered", 3.0, slower(THREADS, layered), "×")
    yield at_most("serial, over the bare loop", 1.0, slower(SERIAL, by_shape), "×")
    yield at_least("threads, less than Dask threads", 100, less(THREADS, DASK_THREADS), "×")
    yield at_least("get on threads, less than Dask threads", 20, less(GET_THREADS, DASK_THREADS), "×")
    costs = _figures(by_shape, lambda row: _first(microseconds(row[PROCESSES])))
    yield at_most("processes, a task", 5.0, costs, " µs")
    yield at_least("processes, less than Dask processes", 20, less(PROCESSES, DASK_PROCESSES), "×")
    for peer in (DISTRIBUTED_THREADS, DISTRIBUTED_PROCESSES, RAY):
        apart = _figures(by_shape, lambda row: _of_medians(row[PROCESSES], row[peer]))  # noqa: B023
        yield at_least(f"processes, less than {peer}", 100, apart, "×")


def _overhead(rows: Rows) -> dict[str, Row]:
    found: dict[str, Row] = {shape: {} for shape in FULL}
    for row in rows:
        if row["section"] == "overhead":
            found[row["shape"]][row["scheduler"]] = row
    return found


def _speed_ups(rows: Rows) -> Iterator[Row]:
    payloads = _payloads(rows, "sha256")
    for length, bound in SPEED_UPS.items():
        cells = payloads.get(length, {})
        ceiling = _figures(cells, lambda row: _ratio(row[CEILING], row[SERIAL]))
        bare = (
            f" (two bare threads: {min(ceiling.values()):.2f} to {max(ceiling.values()):.2f})"
            if ceiling
            else ""
        )
        reached = _figures(cells, lambda row: _ratio(row[THREADS], row[SERIAL]))
        yield at_least(f"speed-up on two threads, {length:,} µs{bare}", bound, reached, "")
    auto = {
        f"{shape}, {length:,} µs": figure
        for length, cells in (*payloads.items(), (0, _overhead(rows)))
        for shape, figure in _figures(cells, lambda row: _ratio(row[AUTO], row[SERIAL])).items()
    }
    yield at_least("auto, speed-up over serial, any payload (0: trivial)", 0.97, auto, "")
    spinning = _payloads(rows, "Python").get(1_000, {})
    reached = _figures(spinning, lambda row: _ratio(row[PROCESSES], row[SERIAL]))
    yield at_least("speed-up on two processes, pure Python, 1,000 µs", 1.85, reached, "")


def _payloads(rows: Rows, kind: str) -> dict[int, dict[str, Row]]:
    found: dict[int, dict[str, Row]] = {}
    for row in rows:
        if row["section"] == "speed-up" and row["payload"] == kind:
            found.setdefault(row["payload_us"], {}).setdefault(row["shape"], {})[row["scheduler"]] = row
    return found


def _of_an_array(rows: Rows) -> Iterator[Row]:
    cells = {row["scheduler"]: row for row in rows if row["section"] == "array"}
    figures = {}
    costs = [seconds_an_array(cells[name], cells[SERIAL]) for name in (PROCESSES, PIPE) if name in cells]
    if len(costs) == 2 and all(costs):
        ours, piped = (cost or 0.0 for cost in costs)
        figures[f"{ours * 1e3:.2f} against {piped * 1e3:.2f} ms"] = piped / ours
    yield at_least("an array of 8 MB between processes, less than through a pipe", 5, figures, "×")


def _of_a_million(rows: Rows) -> Iterator[Row]:
    by_shape = {row["shape"]: row for row in rows if row["section"] == "million"}
    tasks = max((row["tasks"] for row in by_shape.values()), default=0)
    whole = tasks / 1e6
    for part, key, what, bound, unit in (
        ("seconds", "plan", "plan", 1.5 * whole, " s"),
        ("seconds", "threads", "run on two threads", 2.0 * whole, " s"),
        ("bytes", "plan stays", "bytes a task, the plan", 450, ""),
        ("bytes", "threads peak", "bytes a task, at the peak of a run on two threads", 450, ""),
    ):
        figures = _figures(by_shape, lambda row: _first(row[part][key]))  # noqa: B023
        yield at_most(f"{tasks:,} tasks: {what}", bound, figures, unit)


def _figures(cells: dict[str, Row], figure: Callable[[Row], float | None]) -> Figures:
    found = {}
    for name, row in cells.items():
        try:
            value = figure(row)
        except KeyError:  # not measured on this graph
            continue
        if value is not None:
            found[name] = value
    return found


def _ratio(row: Row, other: Row) -> float | None:
    return _first(times_as_fast(row, other))


def _of_medians(row: Row, other: Row) -> float | None:
    ours, theirs = _first(microseconds(row)), _first(microseconds(other))
    return theirs / ours if ours and theirs else None


def _first(figures: list[float] | float | None) -> float | None:
    return figures[0] if isinstance(figures, list) else figures


def at_most(what: str, bound: float, figures: Figures, unit: str) -> Row:
    """The demand that the largest of the figures is not above the bound."""
    return _demand(what, f"≤ {bound:g}{unit}", figures, max, unit, lambda figure: figure / bound - 1)


def at_least(what: str, bound: float, figures: Figures, unit: str) -> Row:
    """The demand that the smallest of the figures is not below the bound."""
    return _demand(what, f"≥ {bound:g}{unit}", figures, min, unit, lambda figure: 1 - figure / bound)


def _demand(
    what: str,
    bound: str,
    figures: Figures,
    worst_of: Callable[[Iterable[float]], float],
    unit: str,
    missed_by: Callable[[float], float],
) -> Row:
    """`missed_by` gives the share of the bound by which a figure misses it, negative where it does not."""
    if not figures:
        return {"what": what, "demanded": bound, "measured": "not measured", "met": None, "figures": {}}
    worst = worst_of(figures.values())
    where = next(name for name, figure in figures.items() if figure == worst)
    return {
        "what": what,
        "demanded": bound,
        "measured": f"{worst:.3g}{unit} ({where})",
        "met": missed_by(worst) <= 0,
        "missed_by": max(0.0, missed_by(worst)),
        "misses": sum(missed_by(figure) > 0 for figure in figures.values()),
        "figures": figures,
    }
