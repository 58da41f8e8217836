"""What must be shown, beside what was measured: one line a demand, its figure that of the worst workload.

Ratios are medians over rounds of the times of one round. On one thread dagexec runs serially; on two it is
`executor="auto"`, unless workers are named. What it gains on two threads is judged by the process without
peers ("alone"), how it compares with a peer by the one that both are in ("beside peers").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from statistics import median

from bench.autodiff import peers as by
from bench.autodiff.rows import Cells, Row, Rows, by_workload, ratio
from bench.autodiff.scalars import MICRO
from bench.autodiff.workloads import FNN, LENET, LSTM, RNNS, TINY, TOWERS, TRANSFORMERS, VGG
from bench.demands import at_least, at_most

PAGES = 1_000_000  # bytes: a process that grows by less says nothing
RECURRENT = (*RNNS, LSTM)


def _rnns(hidden: int) -> tuple[str, ...]:
    return tuple(name for name in RNNS if f"hidden {hidden}," in name)


# What, against whom, on which workloads, at least how many times as fast.
ON_ONE_THREAD: tuple[tuple[str, str, tuple[str, ...], float], ...] = (
    ("tiny net", by.TORCH, (TINY,), 5),
    ("RNNs of hidden 16", by.TORCH, _rnns(16), 5),
    ("RNNs of hidden 128", by.TORCH, _rnns(128), 2),
    ("LSTM", by.TORCH, (LSTM,), 2.3),
    ("RNNs of hidden 512, FNN", by.TORCH, (*_rnns(512), FNN), 1),
    ("LeNet", by.TORCH, (LENET,), 1.2),
    ("towers", by.TORCH, (TOWERS,), 1 / 1.05),
    ("transformers", by.TORCH, TRANSFORMERS, 1 / 1.2),
    ("VGG", by.TORCH, (VGG,), 1 / 1.3),
    ("tiny net", by.JAX, (TINY,), 2.2),
    ("LSTM", by.JAX, (LSTM,), 3),
    ("LeNet", by.JAX, (LENET,), 2),
    ("FNN, RNNs of hidden 128 and 512", by.JAX, (FNN, *_rnns(128), *_rnns(512)), 1),
    ("transformer d 128", by.JAX, TRANSFORMERS[:1], 1 / 1.1),
    ("transformer d 512", by.JAX, TRANSFORMERS[1:], 1),
)


def demands(rows: Rows) -> Iterator[Row]:
    """A row a demand: what is demanded, what was measured, and whether it is met (None: not measured)."""
    parts = (_one_thread, _scalars, _two_threads, _memory, _cold)
    for row in chain.from_iterable(part(rows) for part in parts):
        yield {"section": "demand", **row}


def _found(cells: Cells, figure: Callable[[dict[str, Row]], float | None]) -> dict[str, float]:
    """The figure of each workload that has one."""
    found = {name: figure(row) for name, row in cells.items()}
    return {name: value for name, value in found.items() if value is not None}


def _of(cells: Cells, names: tuple[str, ...]) -> Cells:
    return {name: row for name, row in cells.items() if name in names}


def _faster(what: str, bound: float, cells: Cells, ours: str, peer: str) -> Row:
    figures = _found(cells, lambda row: ratio(row, ours, peer))
    return at_least(f"{what}: times as fast as {peer}", round(bound, 3), figures, "×")


def _one_thread(rows: Rows) -> Iterator[Row]:
    cells = by_workload(rows, "array", 1)
    scalars = {
        name: row for name, row in by_workload(rows, "scalar", 1).items() if row[by.DAGEXEC]["seconds"]
    }
    yield _faster("all", 3, cells | scalars, by.DAGEXEC, by.AUTOGRAD)
    yield _faster("tiny net", 20, _of(cells, (TINY,)), by.DAGEXEC, by.AUTOGRAD)
    for what, peer, names, bound in ON_ONE_THREAD:
        yield _faster(what, bound, _of(cells, names), by.DAGEXEC, peer)
    sooner = _found(_of(cells, RECURRENT), first_calls)
    yield at_least("unrolled recurrent, first call: times as soon as JAX jit", 10, sooner, "×")


def first_calls(cells: dict[str, Row]) -> float | None:
    """How many times as soon as JAX jit dagexec has its first result."""
    ours, theirs = (cells.get(peer, {}).get("first") for peer in (by.DAGEXEC, by.JAX))
    return theirs / ours if ours and theirs else None


def _scalars(rows: Rows) -> Iterator[Row]:
    cells = by_workload(rows, "scalar", 1)
    large = _of(cells, ("DAG of 10^5", "DAG of 10^6"))
    small = _of(cells, ("3×3 matrix-vector", "scalar RNN, 8 steps"))
    wide = _of(cells, ("circle net, 121 points",))
    for what, part, bound in (
        ("DAGs of 10^5 and 10^6", large, 30),
        ("circle net", wide, 30),
        ("matrix-vector, RNN", small, 60),
    ):
        costs = _found(part, lambda row: nanoseconds(row[by.DAGEXEC]))
        yield at_most(f"scalars, {what}: ns a node", bound, costs, " ns")
    yield _faster("scalars, DAGs of 10^5 and 10^6", 100, large, by.DAGEXEC, MICRO)
    yield _faster("scalars, matrix-vector, RNN", 1, small, by.DAGEXEC, by.JAX)
    plans = _found(large, lambda row: planning(row[by.DAGEXEC]))
    yield at_most("scalars, planning: µs a node", 1.5, plans, " µs")


def nanoseconds(row: Row) -> float | None:
    """ns a node of a scalar row."""
    return median(row["seconds"]) / row["nodes"] * 1e9 if row["seconds"] else None


def planning(row: Row) -> float | None:
    """µs a node to rewrite and plan: compiling, and what the first runs take beyond a steady one."""
    if not row["seconds"]:
        return None
    stages, steady = row["stages"], median(row["seconds"])
    traced = stages["trace"] + stages["derive"] + stages["compile"]
    runs = [row["first"] - traced, *row["warm_up"]]
    extra = sum(max(0.0, taken - steady) for taken in runs)
    return (stages["compile"] + extra) / row["nodes"] * 1e6


def _two_threads(rows: Rows) -> Iterator[Row]:
    alone, beside_peers = by_workload(rows, "choice"), by_workload(rows, "array", 2)
    towers = _of(alone, (TOWERS,)), _of(beside_peers, (TOWERS,))
    best = _found(alone, share_of_the_best)
    yield at_least("two threads, alone, auto: share of the speed of the best choice", 0.95, best, "")
    yield _faster("two threads, alone, towers on workers", 1.9, towers[0], by.DAGEXEC_THREADS, by.DAGEXEC)
    yield _faster("two threads, beside peers, towers", 1, towers[1], by.DAGEXEC_AUTO, by.TORCH)
    for what, names, bound in (
        ("FNN, transformers", (FNN, *TRANSFORMERS), 1.4),
        ("LSTM", (LSTM,), 1.2),
        ("all", tuple(alone), 0.97),
    ):
        cells = _of(alone, names)
        yield _faster(f"two threads, alone, auto, {what}", bound, cells, by.DAGEXEC_AUTO, by.DAGEXEC)


def share_of_the_best(cells: dict[str, Row]) -> float | None:
    """How fast auto is, as a share of how fast the best of the fixed choices is."""
    shares = [ratio(cells, by.DAGEXEC_AUTO, choice) for choice in by.CHOICES]
    known = [share for share in shares if share is not None]
    return min(known) if known else None


def _memory(rows: Rows) -> Iterator[Row]:
    cells = by_workload(rows, "memory")
    for measure, what in (("arrays", "arrays at the peak of a step"), ("grown", "growth of the process")):

        def share(row: dict[str, Row], measure: str = measure) -> float | None:
            ours, theirs = (row.get(peer, {}).get(measure) for peer in (by.DAGEXEC, by.TORCH))
            known = ours and theirs and (measure == "arrays" or max(ours, theirs) > PAGES)
            return ours / theirs if known else None

        yield at_most(f"memory, {what}: times PyTorch's", 1, _found(cells, share), "×")


def _cold(rows: Rows) -> Iterator[Row]:
    found = {
        f"{row['nodes']:,} nodes": row["all"] for row in rows if row["section"] == "cold" and "all" in row
    }
    yield at_most("cold start of an RNN of 1,000 steps", 3, found, " s")
