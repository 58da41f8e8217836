"""The rows as text: a table a part, what failed below, and the demands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bench.autodiff import peers as by
from bench.autodiff.demands import nanoseconds, planning
from bench.autodiff.rows import Cells, Row, Rows, by_workload, peers_of, ratio
from bench.report import MARKS, spread

FIRST = 36  # characters of the first column
MEGA = 1e6
BUSY = 0.5  # processes that ran on average before anything was measured


def table(rows: Rows) -> str:
    """All parts that there are."""
    one, two, scalars = (by_workload(rows, *key) for key in (("array", 1), ("array", 2), ("scalar", 1)))
    parts: list[Iterator[str]] = [
        _conditions(rows),
        _grid("Value and gradients, ms, one thread: median [quartiles]", one, _milliseconds, 24),
        _grid("Value and gradients, ms, two threads: median [quartiles]", two, _milliseconds, 24),
        _grid("Scalar graphs, value and gradients, ns a node", scalars, _nanoseconds, 16),
        _ratios("dagexec, one thread: times as fast as", one | scalars, by.DAGEXEC),
        _ratios("dagexec auto, two threads: times as fast as", two, by.DAGEXEC_AUTO),
        _grid("First call, s: trace, derive, rewrite, plan or compile, and run", one | scalars, _first, 16),
        _stages(one | scalars),
        _gains(by_workload(rows, "rewrite")),
        _memory(by_workload(rows, "memory")),
        _cold(rows),
        _errors(rows),
        _demands(rows),
    ]
    texts = ("\n".join(part) for part in parts)
    return "\n\n".join(text for text in texts if text)


def _conditions(rows: Rows) -> Iterator[str]:
    """How many threads there were, and whether the machine had time."""
    yield "One thread: a process on one core, with one thread for BLAS, OpenMP, PyTorch and XLA; two: on two."
    yield "dagexec is serial with one BLAS thread, unless auto, threads or BLAS threads are named."
    for row in rows:
        if row["section"] == "host" and row["load"] > BUSY:
            yield f"THE MACHINE IS BUSY, load {row['load']:.1f}: ratios mean little, on two threads nothing."


def _grid(
    title: str, cells: Cells, text: Callable[[Row], str], width: int, peers: list[str] | None = None
) -> Iterator[str]:
    """A line a workload, a column a peer."""
    if not cells:
        return
    peers = peers or peers_of(cells)
    yield title
    yield f"{'':<{FIRST}}" + "".join(f"{peer:>{width}}" for peer in peers)
    for workload, row in cells.items():
        line = "".join(f"{text(row[peer]) if peer in row else '':>{width}}" for peer in peers)
        yield f"{workload:<{FIRST}}{line}"


def _milliseconds(row: Row) -> str:
    if not row["seconds"]:
        return "–"
    figures = [float(np.percentile(row["seconds"], part)) * 1e3 for part in (50, 25, 75)]
    return spread(figures, 3 if figures[0] < 1 else 2)


def _nanoseconds(row: Row) -> str:
    cost = nanoseconds(row)
    return "–" if cost is None else f"{cost:,.1f}"


def _first(row: Row) -> str:
    return "–" if row["first"] is None else f"{row['first']:.3f}"


def _ratios(title: str, cells: Cells, ours: str) -> Iterator[str]:
    """The medians of ratios from the same round, above 1 where dagexec is faster."""
    peers = [peer for peer in peers_of(cells) if peer != ours]
    if not any(ours in row for row in cells.values()):
        return
    yield title
    yield f"{'':<{FIRST}}" + "".join(f"{peer:>22}" for peer in peers)
    for workload, row in cells.items():
        found = (ratio(row, ours, peer) for peer in peers)
        line = "".join(f"{'' if figure is None else f'{figure:.2f}':>22}" for figure in found)
        yield f"{workload:<{FIRST}}{line}"


def _stages(cells: Cells) -> Iterator[str]:
    """Where dagexec's first call goes, in ms."""
    found = {name: row[by.DAGEXEC] for name, row in cells.items() if row.get(by.DAGEXEC, {}).get("stages")}
    if not found:
        return
    yield "dagexec before its first run, ms; all one-time cost after deriving, µs a node of a scalar graph"
    heads = "".join(f"{head:>12}" for head in ("nodes", "trace", "derive", "compile", "planning"))
    yield f"{'':<{FIRST}}{heads}"
    for name, row in found.items():
        stages = row["stages"]
        times = "".join(f"{stages[stage] * 1e3:>12.1f}" for stage in ("trace", "derive", "compile"))
        cost = planning(row) if "nodes" in row else None
        yield f"{name:<{FIRST}}{stages['nodes']:>12,}{times}{'' if cost is None else f'{cost:.2f}':>12}"


def _gains(cells: Cells) -> Iterator[str]:
    """How many times as fast all rewrites are as all but one."""
    others = [peer for peer in peers_of(cells) if peer != by.DAGEXEC]
    if not others:
        return
    yield "What each rewrite gains: times as fast as without it, one thread"
    yield f"{'':<{FIRST}}" + "".join(f"{peer.removeprefix(by.WITHOUT):>18}" for peer in others)
    for workload, row in cells.items():
        gains = (ratio(row, by.DAGEXEC, peer) for peer in others)
        line = "".join(f"{'–' if gain is None else f'{gain:.2f}':>18}" for gain in gains)
        yield f"{workload:<{FIRST}}{line}"


def _memory(cells: Cells) -> Iterator[str]:
    if not cells:
        return
    yield "Peak memory of a step, MB beyond parameters and data: arrays, and growth of the process"
    yield f"{'':<{FIRST}}" + "".join(
        f"{f'{peer}, {part}':>22}" for part in ("arrays", "grown") for peer in peers_of(cells)
    )
    for workload, row in cells.items():
        sizes = (row[peer].get(part) for part in ("arrays", "grown") for peer in peers_of(cells))
        line = "".join(f"{'–' if size is None else f'{size / MEGA:.3f}':>22}" for size in sizes)
        yield f"{workload:<{FIRST}}{line}"


def _cold(rows: Rows) -> Iterator[str]:
    for row in rows:
        if row["section"] == "cold" and "all" in row:
            stages = ", ".join(
                f"{name} {row[name]:.2f}" for name in ("import", "trace", "derive", "compile", "run")
            )
            yield f"Cold start, RNN of 1,000 steps, {row['nodes']:,} nodes: {row['all']:.2f} s ({stages})"


def _errors(rows: Rows) -> Iterator[str]:
    """Each error once, with the workloads on which it came."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.get("error"):
            name = f"{row.get('peer', row['section'])}: {row['error']}"
            found.setdefault(name, []).append(row.get("workload", ""))
    for error, workloads in found.items():
        yield f"  {error} ({'; '.join(dict.fromkeys(workloads))})"


def _demands(rows: Rows) -> Iterator[str]:
    found = [row for row in rows if row["section"] == "demand"]
    if found:
        yield "Demanded, measured (the worst workload), met?"
    for row in found:
        yield f"  {row['what']:<72}{row['demanded']:>10}   {row['measured']:<48}{MARKS[row['met']]}"
