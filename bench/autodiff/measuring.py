"""Starts a process for each workload and number of threads, gives it its cores, and gathers the rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from bench.autodiff import peers as by
from bench.autodiff.child import Job, as_json
from bench.autodiff.demands import demands
from bench.autodiff.scalars import MICRO, SCALARS
from bench.autodiff.workloads import QUICK, WORKLOADS

Row = dict[str, Any]
Rows = list[Row]

ONE = [
    by.DAGEXEC,
    by.TORCH,
    by.TORCH_COMPILED,
    by.TORCH_FUSED,
    by.JAX,
    by.JAX_SCAN,
    by.AUTOGRAD,
    by.ONNX,
    MICRO,
]
TWO = [by.DAGEXEC, by.DAGEXEC_AUTO, by.DAGEXEC_THREADS, by.DAGEXEC_BLAS, *ONE[1:6]]
OWN = [by.DAGEXEC, *(peer for peer in by.PEERS if peer == by.NO_REWRITES or peer.startswith(by.WITHOUT))]

QUICK_ARRAYS = [name for name in QUICK if name not in ("VGG", "transformer d 512")]
QUICK_ON_TWO = ["FNN", "transformer d 128", "towers"]
QUICK_SCALARS = ["3×3 matrix-vector", "scalar RNN, 8 steps", "DAG of 10^3"]
QUICK_PEERS = [by.DAGEXEC, by.TORCH, by.JAX, by.AUTOGRAD, MICRO]
QUICK_PEERS_ON_TWO = [by.DAGEXEC, by.DAGEXEC_AUTO, by.DAGEXEC_THREADS, by.TORCH, by.JAX]

SECONDS, ROUNDS = 2.0, 31  # a peer on a workload
QUICK_SECONDS, QUICK_ROUNDS = 0.3, 15
COLD_STARTS = 3
PATIENCE = 1_800.0  # seconds that a process may take

# Cores first: libraries look when they are imported how many there are.
PINNED = """
import os, runpy, sys
os.sched_setaffinity(0, map(int, sys.argv.pop(1).split(",")))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def measure(quick: bool = False) -> Rows:
    """All rows, the demands among them."""
    host = host_row()
    if quick:
        job = partial(Job, seconds=QUICK_SECONDS, rounds=QUICK_ROUNDS)
        rows = [
            *in_child(job(QUICK_ARRAYS, QUICK_PEERS, 1)),
            *in_child(job(QUICK_ON_TWO, QUICK_PEERS_ON_TWO, 2)),
            *in_child(job(QUICK_SCALARS, QUICK_PEERS, 1)),
        ]
    else:
        rows = [
            *_by_workload([*WORKLOADS, *SCALARS], ONE, 1),
            *_by_workload(WORKLOADS, TWO, 2),
            *_gains(QUICK),
            *_memory(QUICK),
            cold_row(),
        ]
    return [host, *rows, *demands(rows)]


def host_row() -> Row:
    """How busy the machine is before anything is measured."""
    return {"section": "host", "load": os.getloadavg()[0]}


def measure_only(part: str) -> Rows:
    """All that there is of the workloads with `part` in their names; ValueError if there are none."""
    names, scalars = ([name for name in known if part in name] for known in (WORKLOADS, SCALARS))
    if not names and not scalars:
        raise ValueError(
            f"no workload has {part!r} in its name; there are {', '.join([*WORKLOADS, *SCALARS])}"
        )
    rows = [host_row(), *_by_workload([*names, *scalars], ONE, 1)]
    return [*rows, *_by_workload(names, TWO, 2), *(_gains(names) if names else ()), *_memory(names)]


def _by_workload(names: Sequence[str], peers: list[str], threads: int) -> Rows:
    rows = []
    for name in names:
        print(f"{name}, {threads} thread{'s' * (threads > 1)}", file=sys.stderr, flush=True)
        rows += in_child(Job([name], peers, threads, SECONDS, ROUNDS))
    return rows


def _gains(names: Sequence[str]) -> Rows:
    """What each rewrite gains: the graphs compiled without it, beside the others."""
    found = in_child(Job(list(names), OWN, 1, SECONDS / 2, ROUNDS))
    return [row | {"section": "rewrite"} if row["section"] == "array" else row for row in found]


def _memory(names: Sequence[str]) -> Rows:
    return [memory_row(peer, name) for name in names for peer in (by.DAGEXEC, by.TORCH)]


def memory_row(peer: str, name: str) -> Row:
    """Peak memory of a peer on a workload, in bytes."""
    return {"section": "memory", "workload": name, "peer": peer, **_alone("memory", peer, name)}


def cold_row() -> Row:
    """A cold start: the median of the whole, and the stages of that run."""
    runs = sorted((_alone("cold") for _ in range(COLD_STARTS)), key=lambda row: row.get("all", 0.0))
    return {"section": "cold", **runs[COLD_STARTS // 2]}


def _alone(module: str, *arguments: str) -> Row:
    """The one row that a module prints, or why there is none."""
    rows, error = process(module, 1, arguments)
    return {"error": error} if error else rows[-1]


def in_child(job: Job) -> Rows:
    """The rows of a job, and one of its failure if it fails."""
    double = set(job.workloads) <= set(SCALARS)  # as Python's numbers are
    rows, error = process("child", job.threads, (), as_json(job), {"JAX_ENABLE_X64": str(int(double))})
    if error:
        rows.append({"section": "failure", "workload": ", ".join(job.workloads), "error": error})
    return rows


def process(
    module: str,
    threads: int,
    arguments: Sequence[str] = (),
    given: str = "",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Rows, str | None]:
    """The rows that a module prints in a process with as many cores as threads; the error if it fails."""
    cores = sorted(os.sched_getaffinity(0))[-threads:]
    if len(cores) < threads:
        return [], f"there are not {threads} cores"
    command = [
        sys.executable,
        "-c",
        PINNED,
        ",".join(map(str, cores)),
        f"bench.autodiff.{module}",
        *arguments,
    ]
    with TemporaryDirectory() as cache:  # an empty one: a first call is one
        environment = os.environ | {
            "OPENBLAS_NUM_THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads),
            "JAX_PLATFORMS": "cpu",
            "TORCHINDUCTOR_CACHE_DIR": cache,
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            **variables,
        }
        try:
            done = subprocess.run(
                command, input=given, capture_output=True, text=True, env=environment, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            return [], f"took more than {PATIENCE:g} s"
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not done.returncode:
        return rows, None
    return rows, f"exit status {done.returncode}: {''.join(done.stderr.strip().splitlines()[-1:])}"
