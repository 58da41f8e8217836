"""The rows as tables: one a part, what failed below them, and the demands as a check-list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from bench.autodiff import peers as by
from bench.autodiff.demands import demands, first_calls, nanoseconds, planning, share_of_the_best
from bench.autodiff.grid import Grid
from bench.autodiff.rows import Cells, Row, Rows, by_workload, peers_of, ratio
from bench.autodiff.scalars import MICRO
from bench.report import MARKS

MEGA = 1e6
SPREAD = "median ± half of the distance of the quartiles"
PROCESSES = {  # by the section of their rows and their threads
    ("array", 1): "one thread: a core; dagexec serial and its peers",
    ("scalar", 1): "scalar graphs: a core; dagexec serial and its peers",
    ("rewrite", 1): "rewrites: a core; dagexec serial, no peer is imported",
    ("array", 2): "two threads, beside peers: two cores; dagexec auto and its peers",
    ("choice", 2): "two threads, dagexec alone: two cores; auto and its choices, no peer is imported",
}
BUSY = 0.5  # processes that ran on average before anything was measured


def table(rows: Rows) -> str:
    """All parts that there are, for a terminal."""
    return "\n\n".join(grid.text() for grid in parts(rows))


def markdown(rows: Rows) -> str:
    """All parts that there are, for a document."""
    return "\n\n".join(grid.markdown() for grid in parts(rows))


def parts(rows: Rows) -> Iterator[Grid]:
    """A table for each part of what was measured."""
    one, two, scalars = (by_workload(rows, *key) for key in (("array", 1), ("array", 2), ("scalar", 1)))
    choices, rewrites, memory = (by_workload(rows, section) for section in ("choice", "rewrite", "memory"))
    yield _conditions(rows)
    if one:
        yield _by_peer(
            f"Value and gradients, ms, one thread, {SPREAD}",
            one,
            _milliseconds,
        )
    if one | scalars:
        yield _ratios("dagexec on one thread: times as fast as", one | scalars, by.DAGEXEC)
    if scalars:
        yield _by_peer("Scalar graphs, value and gradients, ns a node", scalars, _nanoseconds)
    if two:
        yield _by_peer(
            f"Value and gradients, ms, two threads, beside peers, {SPREAD}",
            two,
            _milliseconds,
        )
        yield _ratios("dagexec auto on two threads, beside peers: times as fast as", two, by.DAGEXEC_AUTO)
    if choices:
        yield _by_peer(
            f"Value and gradients, ms, two threads, dagexec alone, {SPREAD}",
            choices,
            _milliseconds,
        )
        yield _choices(choices)
    if one | scalars:
        yield _by_peer("First call, s: trace, derive, rewrite, plan or compile, run", one | scalars, _first)
        yield _stages(one | scalars)
    if rewrites:
        yield _gains(rewrites)
    if memory:
        yield _memory(memory)
    yield from _cold(rows)
    yield _demands(rows)
    yield from _errors(rows)


def _conditions(rows: Rows) -> Grid:
    """In which processes, with how many threads there, and whether the machine had time."""
    processes = {
        (row["section"], row["threads"]): row["blas_threads"]
        for row in rows
        if (row["section"], row.get("threads")) in PROCESSES
    }
    where = [f"- {PROCESSES[key]}; BLAS threads there: {count}" for key, count in processes.items()]
    busy = [
        f"THE MACHINE IS BUSY, load {row['load']:.1f}: ratios mean little, on two threads nothing."
        for row in rows
        if row["section"] == "host" and row["load"] > BUSY
    ]
    dagexec = "dagexec is serial with one BLAS thread, unless auto, threads or BLAS threads are named."
    title = "A process for each; BLAS, OpenMP, PyTorch and XLA have as many threads as it has cores"
    return Grid(title, notes=[*where, dagexec, *busy])


def _by_peer(title: str, cells: Cells, text: Callable[[Row], str]) -> Grid:
    """A line a workload, a column a peer."""
    peers = [
        peer for peer in _in_order(cells) if any(row.get(peer, {}).get("first") for row in cells.values())
    ]
    return Grid(
        title,
        peers,
        {name: [text(row[peer]) if peer in row else "" for peer in peers] for name, row in cells.items()},
    )


def _in_order(cells: Cells) -> list[str]:
    """The peers that there are, in the order of the tables."""
    return sorted(peers_of(cells), key=[*by.PEERS, MICRO].index)


def _milliseconds(row: Row) -> str:
    """The median, and half of what lies between the quartiles.

    >>> _milliseconds({"seconds": [0.0018, 0.002, 0.0022]}), _milliseconds({"seconds": []})
    ('2.00 ±5%', '–')
    """
    if not row["seconds"]:
        return "–"
    low, middle, high = np.percentile(row["seconds"], (25, 50, 75)) * 1e3
    digits = 3 if middle < 1 else 2 if middle < 100 else 1
    return f"{middle:,.{digits}f} ±{(high - low) / 2 / middle:.0%}"


def _nanoseconds(row: Row) -> str:
    cost = nanoseconds(row)
    return "–" if cost is None else f"{cost:,.1f}"


def _first(row: Row) -> str:
    return "–" if row["first"] is None else f"{row['first']:.3f}"


def _times(figure: float | None) -> str:
    """A ratio in two digits, or three above ten.

    >>> _times(0.8415), _times(3.5741), _times(35.741), _times(None)
    ('0.84', '3.6', '36', '')
    """
    if figure is None:
        return ""
    return f"{figure:.2f}" if figure < 2 else f"{figure:.1f}" if figure < 10 else f"{figure:,.0f}"


def _ratios(title: str, cells: Cells, ours: str) -> Grid:
    """The medians of ratios from the same round, above 1 where dagexec is faster."""
    found = {
        peer: {name: ratio(row, ours, peer) for name, row in cells.items()}
        for peer in _in_order(cells)
        if peer != ours
    }
    known = {peer: column for peer, column in found.items() if any(column.values())}
    lines = {name: [_times(column[name]) for column in known.values()] for name in cells}
    return Grid(title, list(known), lines)


def _choices(cells: Cells) -> Grid:
    """What auto gains over one thread, beside what it could have chosen."""
    lines = {}
    for name, row in cells.items():
        gains = [_times(ratio(row, choice, by.DAGEXEC)) for choice in (*by.CHOICES[1:], by.DAGEXEC_AUTO)]
        best = share_of_the_best(row)
        lines[name] = [*gains, _times(best), row.get(by.DAGEXEC_AUTO, {}).get("chosen", "")]
    heads = ["BLAS threads", "workers", "workers on shards", "auto", "auto, of the best", "auto has chosen"]
    return Grid("Two threads, dagexec alone: times as fast as serial with one BLAS thread", heads, lines)


def _stages(cells: Cells) -> Grid:
    """Where dagexec's first call goes, in ms."""
    lines = {}
    for name, row in cells.items():
        if stages := row.get(by.DAGEXEC, {}).get("stages"):
            times = [f"{stages[stage] * 1e3:.1f}" for stage in ("trace", "derive", "compile")]
            sooner = first_calls(row)
            cost = planning(row[by.DAGEXEC]) if "nodes" in row[by.DAGEXEC] else None
            lines[name] = [
                f"{stages['nodes']:,}", *times, "" if cost is None else f"{cost:.2f}", _times(sooner)
            ]  # fmt: skip
    heads = ["nodes", "trace, ms", "derive, ms", "compile, ms", "planning, µs a node", "sooner than JAX, ×"]
    notes = ["Planning: all one-time cost after deriving, by a node of the loss; for scalar graphs."]
    return Grid(
        "dagexec before its first run; how many times sooner the first result is there", heads, lines, notes
    )


def _gains(cells: Cells) -> Grid:
    """How many times as fast all rewrites are as all but one: a line a rewrite, a column a workload."""
    peers = [peer for peer in _in_order(cells) if peer != by.DAGEXEC]
    lines = {
        peer.removeprefix(by.WITHOUT): [_times(ratio(row, by.DAGEXEC, peer)) for row in cells.values()]
        for peer in peers
    }
    known = {name: texts for name, texts in lines.items() if any(texts)}
    idle = [name for name in by.REWRITE_NAMES if name not in known]
    notes = [
        "Empty: the graph is the same without it. simplify is all of the rules whose names are below it.",
        f"Change none of these graphs: {', '.join(idle)}." if idle else "",
    ]
    title = "What each rewrite gains: times as fast with it as without it, one thread"
    return Grid(title, [short(name) for name in cells], known, [note for note in notes if note])


def short(workload: str) -> str:
    """A workload's name for the head of a narrow column.

    >>> short("RNN 32 steps, hidden 16, batch 1"), short("LSTM 32 steps, hidden 128, batch 32")
    ('RNN 32×16×1', 'LSTM')
    >>> short("tiny net 16-32-1, batch 4"), short("transformer d 128, two layers"), short("towers")
    ('tiny net', 'transformer d 128', 'towers')
    """
    words = workload.partition(",")[0].split()
    if words[0] == "RNN":
        return "RNN " + "×".join(word.strip(",") for word in workload.split() if word.strip(",").isdigit())
    kept = words[: 2 if words[0] == "tiny" else 3 if words[0] == "transformer" else 1]
    return " ".join(kept)


def _memory(cells: Cells) -> Grid:
    """Two measures of both, and how many times PyTorch's dagexec's is."""
    lines = {}
    for name, row in cells.items():
        texts = []
        for part in ("arrays", "grown"):
            ours, theirs = (row.get(peer, {}).get(part) for peer in (by.DAGEXEC, by.TORCH))
            texts += ["–" if size is None else f"{size / MEGA:.3f}" for size in (ours, theirs)]
            texts.append(_times(ours / theirs) if ours is not None and theirs else "–")
        lines[name] = texts
    heads = [
        f"{part}, {who}" for part in ("arrays", "growth") for who in ("dagexec", "PyTorch", "times PyTorch's")
    ]
    notes = [
        "Arrays: bytes asked for arrays at the peak of a steady step, gradients and what stays from step to",
        "step included (dagexec: tracemalloc; PyTorch: its profiler). Growth: of the resident memory of the",
        "process, at its highest, since before the first step.",
    ]
    return Grid("Peak memory of a step, MB, beyond parameters and data", heads, lines, notes)


def _cold(rows: Rows) -> Iterator[Grid]:
    for row in rows:
        if row["section"] == "cold" and "all" in row:
            stages = ", ".join(
                f"{name} {row[name]:.2f}" for name in ("import", "trace", "derive", "compile", "run")
            )
            yield Grid(
                f"Cold start, RNN of 1,000 steps, {row['nodes']:,} nodes: {row['all']:.2f} s ({stages})"
            )


def _errors(rows: Rows) -> Iterator[Grid]:
    """Each error once, with the workloads on which it came."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.get("error"):
            name = f"{row.get('peer', row['section'])}: {row['error']}"
            found.setdefault(name, []).append(row.get("workload", ""))
    if found:
        lines = [f"- {error} ({_few(workloads)})" for error, workloads in found.items()]
        yield Grid("What was not measured, and why", notes=lines)


def _few(workloads: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(workloads))


def _demands(rows: Rows) -> Grid:
    """A line a demand: met, or by how much it is missed."""
    lines = {}
    for row in demands(rows):
        mark = MARKS[row["met"]]
        if row["met"] is False:
            mark += f" by {max(row['missed_by'], 0.01):.0%} ({row['misses']} of {len(row['figures'])})"
        lines[row["what"]] = [row["demanded"], row["measured"], mark]
    return Grid("What is demanded", ["demanded", "measured (the worst workload)", "met?"], lines)
