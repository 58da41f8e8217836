"""Rows looked up: those of a section by workload and peer, and ratios of two of them."""

from __future__ import annotations

from typing import Any

from bench.rounds import times_as_fast

Row = dict[str, Any]
Rows = list[Row]
Cells = dict[str, dict[str, Row]]


def by_workload(rows: Rows, section: str, threads: int | None = None) -> Cells:
    """The rows of a section, by workload and peer; of so many threads, if that is given."""
    found: Cells = {}
    for row in rows:
        if row["section"] == section and threads in (None, row.get("threads")):
            found.setdefault(row["workload"], {})[row["peer"]] = row
    return found


def peers_of(cells: Cells) -> list[str]:
    """The peers, in the order in which they come."""
    return list(dict.fromkeys(peer for row in cells.values() for peer in row))


def ratio(cells: dict[str, Row], ours: str, peer: str) -> float | None:
    """How many times as fast `ours` is as `peer`: the median over rounds; None where one was not measured.

    >>> ratio({"a": {"seconds": [1.0], "tasks": 1}, "b": {"seconds": [3.0], "tasks": 1}}, "a", "b")
    3.0
    """
    if ours not in cells or peer not in cells:
        return None
    found = times_as_fast(cells[ours], cells[peer])
    return found[0] if found else None
