"""What is measured, in which order: a job for each number of threads and kind of workload.

On two threads there are two. What auto could choose from is compared in a process that imports no peer, so
that no threads but dagexec's and those of NumPy's BLAS want the cores. Auto is compared with peers in a
process that has them all.

The rows come as they are measured, so that none is lost when the whole is interrupted. A peer that compiles
for too long ends its process; the next process goes on without it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from time import strftime

from bench.autodiff import peers as by
from bench.autodiff.child import BEGUN, TURNS, Job, as_json
from bench.autodiff.demands import demands
from bench.autodiff.process import Child
from bench.autodiff.rows import Row
from bench.autodiff.scalars import MICRO, SCALARS
from bench.autodiff.workloads import (
    CHOSEN,
    FNN,
    LENET,
    LSTM,
    TINY,
    TOWERS,
    TRANSFORMERS,
    WORKLOADS,
)

OTHERS = [by.TORCH, by.JAX, by.JAX_SCAN, by.TORCH_FUSED, by.TORCH_COMPILED]
ONE = [by.DAGEXEC, *OTHERS, by.AUTOGRAD, by.ONNX, MICRO]
TWO = [by.DAGEXEC_AUTO, *OTHERS]
ALONE = [*by.CHOICES, by.DAGEXEC_AUTO]
OWN = [by.DAGEXEC, *(peer for peer in by.PEERS if peer == by.NO_REWRITES or peer.startswith(by.WITHOUT))]

SMALL_RNN, MIDDLE_RNN, NARROW_RNN = (
    "RNN 32 steps, hidden 16, batch 1",
    "RNN 32 steps, hidden 128, batch 32",
    "RNN 32 steps, hidden 512, batch 1",
)
# torch.compile takes some 15 s for a workload, JAX some 10 s for a long recurrent network: in the whole run
# they take part in these alone, on so many threads.
TAKING_PART = {
    1: {by.TORCH_COMPILED: {TINY, FNN, SMALL_RNN, MIDDLE_RNN, LSTM, LENET, TRANSFORMERS[0], TOWERS}},
    2: {
        by.TORCH_COMPILED: {FNN, TRANSFORMERS[0]},
        by.JAX: {FNN, MIDDLE_RNN, LENET, *TRANSFORMERS, TOWERS},
    },
}
LEFT_OUT = "left out to save time (--only has it)"
REWRITTEN = [TINY, FNN, SMALL_RNN, MIDDLE_RNN, NARROW_RNN, LSTM, LENET, TRANSFORMERS[0], TOWERS]
QUICK_ONE = [TINY, FNN, SMALL_RNN, MIDDLE_RNN, LSTM, LENET, TRANSFORMERS[0], TOWERS]
QUICK_TWO = [FNN, TRANSFORMERS[0], TOWERS]
QUICK_LOST = {LSTM: {by.JAX: LEFT_OUT}}  # it compiles for 9 s
QUICK_SCALARS = ["3×3 matrix-vector", "circle net, 121 points", "scalar RNN, 8 steps"]
QUICK_PEERS = [by.DAGEXEC, by.TORCH, by.JAX, by.AUTOGRAD, MICRO]
QUICK_PEERS_ON_TWO = [by.DAGEXEC_AUTO, by.TORCH]

ROUNDS, QUICK_ROUNDS = 31, 9
SECONDS, QUICK_SECONDS = 8.0, 1.5  # of the turns on a workload
PATIENCE_WITH_SCALARS = 300.0  # seconds for a first call: of a million nodes
COLD_STARTS = 3


def measure(quick: bool = False) -> Iterator[Row]:
    """All rows, the demands at the end."""
    rows = []
    for row in _quick() if quick else _full():
        rows.append(row)
        yield row
    yield from demands(rows)


def _quick() -> Iterator[Row]:
    job = partial(Job, seconds=QUICK_SECONDS, rounds=QUICK_ROUNDS)
    yield host_row()
    yield from in_child(job(QUICK_ONE, QUICK_PEERS, 1, lost=QUICK_LOST))
    yield from in_child(job(QUICK_SCALARS, QUICK_PEERS, 1))
    yield from in_child(job(QUICK_TWO, QUICK_PEERS_ON_TWO, 2))
    yield from in_child(job(QUICK_TWO, ALONE, 2, section="choice"))


def _full() -> Iterator[Row]:
    yield host_row()
    for threads, peers in ((1, ONE), (2, TWO)):
        taking_part = TAKING_PART[threads].items()
        lost = {name: {peer: LEFT_OUT for peer, names in taking_part if name not in names} for name in CHOSEN}
        yield from in_child(Job(list(CHOSEN), peers, threads, SECONDS, ROUNDS, lost=lost))
    yield from _choices(CHOSEN)
    yield from in_child(Job(list(SCALARS), ONE, 1, SECONDS, ROUNDS, PATIENCE_WITH_SCALARS))
    yield cold_row()
    yield from _memory(CHOSEN)
    yield from _gains(REWRITTEN)


def measure_only(part: str) -> Iterator[Row]:
    """All that there is of the workloads with `part` in their names; ValueError if there are none."""
    names, scalars = ([name for name in known if part in name] for known in (WORKLOADS, SCALARS))
    if not names and not scalars:
        raise ValueError(
            f"no workload has {part!r} in its name; there are {', '.join([*WORKLOADS, *SCALARS])}"
        )
    return _only(names, scalars)


def _only(names: list[str], scalars: list[str]) -> Iterator[Row]:
    yield host_row()
    if names:
        yield from in_child(Job(names, ONE, 1, SECONDS, ROUNDS))
        yield from in_child(Job(names, TWO, 2, SECONDS, ROUNDS))
        yield from _choices(names)
        yield from _memory(names)
        yield from _gains(names)
    if scalars:
        yield from in_child(Job(scalars, ONE, 1, SECONDS, ROUNDS, PATIENCE_WITH_SCALARS))


def host_row() -> Row:
    """How busy the machine is before anything is measured."""
    return {"section": "host", "load": os.getloadavg()[0]}


def _choices(names: Sequence[str]) -> Iterator[Row]:
    """dagexec alone on two threads: auto beside what it could choose from."""
    return in_child(Job(list(names), ALONE, 2, SECONDS, ROUNDS, section="choice"))


def _gains(names: Sequence[str]) -> Iterator[Row]:
    """What each rewrite gains: the graphs compiled without it, beside the others."""
    return in_child(Job(list(names), OWN, 1, SECONDS, ROUNDS, section="rewrite"))


def _memory(names: Sequence[str]) -> Iterator[Row]:
    for name in names:
        for peer in (by.DAGEXEC, by.TORCH):
            yield memory_row(peer, name)


def memory_row(peer: str, name: str) -> Row:
    """Peak memory of a peer on a workload, in bytes."""
    return {"section": "memory", "workload": name, "peer": peer, **_alone("memory", peer, name)}


def cold_row() -> Row:
    """A cold start: the median of the whole, and the stages of that run."""
    runs = sorted((_alone("cold") for _ in range(COLD_STARTS)), key=lambda row: row.get("all", 0.0))
    return {"section": "cold", **runs[COLD_STARTS // 2]}


def _alone(module: str, *arguments: str) -> Row:
    """The one row that a module prints, or why there is none."""
    child = Child(module, 1, arguments)
    rows = list(child.rows())
    return {"error": child.error} if child.error else rows[-1]


def in_child(job: Job) -> Iterator[Row]:
    """The rows of a job as they come. What ends its process is left out of the next; a row says so."""
    double = set(job.workloads) <= set(SCALARS)  # as Python's numbers are
    child = Child("child", job.threads, (), as_json(job), {"JAX_ENABLE_X64": str(int(double))})
    begun = None
    for row in child.rows():
        if row["section"] == BEGUN:
            if begun is None or begun["workload"] != row["workload"]:
                about = f"{job.threads} thread" + "s" * (job.threads > 1)
                print(f"{strftime('%H:%M:%S')} {row['workload']}, {about}", file=sys.stderr, flush=True)
            begun = row
        else:
            yield row
    if child.error is None:
        return
    if begun is None:
        yield {"section": "failure", "workload": ", ".join(job.workloads), "error": child.error}
        return
    name, peer = begun["workload"], begun["peer"]
    left = job.workloads[job.workloads.index(name) :]
    if peer == TURNS:
        yield {"section": "failure", "workload": name, "error": child.error}
        left = left[1:]
    lost = job.lost | {name: job.lost.get(name, {}) | {peer: child.error}}
    if left:
        yield from in_child(replace(job, workloads=left, lost=lost))
