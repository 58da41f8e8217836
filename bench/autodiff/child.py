"""Measures some workloads in a process of its own: `python -m bench.autodiff.child` reads a Job as JSON.

The parent gives the process its cores and its threads, as JAX reads both when it starts. Each workload's
peers first make their first call, which is timed; then they take turns, in the time that the workload has.
A turn is a burst: one call that is not counted, as the peer before has filled the caches, then some that
are, of which the median counts. So a figure is a median of medians. A longer call is a turn by itself, on
several threads with one before that is not counted.

A row a peer goes to standard output, as a line of JSON, workload by workload. What compiles for too long
cannot be stopped but with the process, so a line before says what has begun: the parent goes on without it.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np
import optree
from threadpoolctl import threadpool_info

from bench.autodiff.peers import NO_REWRITES, PEERS, NotApplicableError, Ready
from bench.autodiff.scalars import LONGEST, MICRO, SCALAR_PEERS, SCALARS, Scalars
from bench.autodiff.workloads import WORKLOADS, Workload
from bench.rounds import said, time_limit

WARM_UP = 12  # calls: a flat program starts at the third, and auto may try each choice five times
SLOW = 2.0  # seconds of warming up that are enough
AT_LEAST = 3  # bursts, however slow; of calls so long that they need no other, one
BURST = 0.02  # seconds
PAUSE = 0.01  # seconds: two ticks of the clock by which Linux tells how long other threads have computed
PAUSES = 50  # at most, before a turn
GRACE = 5.0  # seconds after which a call that does not stop ends with the process
BEGUN = "begun"  # the section of a line that is no result
TURNS = "turns"  # what has begun after the first calls
# Relative to the largest element of an array. Rounding gives 2e-6, but of millions of units some have an
# input so near 0 that rounding decides whether relu lets them through; one of them changes gradients by 5e-4.
TOLERANCE = 2e-3


@dataclass
class Job:
    """What to measure: workloads and peers by name, on so many threads.

    `seconds` are for the turns on a workload, `patience` is for a peer's first call. `lost` says for some
    workloads which peers are left out, and why. `section` is that of the rows of arrays.
    """

    workloads: list[str]
    peers: list[str]
    threads: int
    seconds: float
    rounds: int
    patience: float = 60.0
    lost: dict[str, dict[str, str]] = field(default_factory=dict)
    section: str = "array"


@dataclass
class Contestant:
    """A peer on a workload: the seconds of its first call and of its bursts, or why there are none."""

    peer: str
    ready: Ready | None = None
    run: Callable[[], Any] = lambda: None
    first: float | None = None
    warm_up: list[float] = field(default_factory=list)
    difference: float | None = None
    seconds: list[float] = field(default_factory=list)
    calls: int = 1
    bursts: int = 0
    error: str | None = None

    def row(self, **about: Any) -> dict[str, Any]:
        """What was found, as a row of the benchmark."""
        kept = ("peer", "first", "warm_up", "difference", "seconds", "error")
        found = {name: getattr(self, name) for name in kept}
        stages, chosen = (self.ready.stages, self.ready.chosen()) if self.ready else ({}, "")
        return {**about, **found, "stages": stages, "chosen": chosen, "tasks": 1}


def measure(job: Job) -> Iterator[dict[str, Any]]:
    """The rows of all workloads, with lines of what has begun between them."""
    process = {"threads": job.threads, "blas_threads": _blas_threads()}
    for name in job.workloads:
        if name in WORKLOADS:
            workload: Any = WORKLOADS[name]()
            contestants = list(_contestants(name, workload, PEERS, job))
            about: dict[str, Any] = {"section": job.section}
        else:
            workload = SCALARS[name]()
            about = {"section": "scalar", "nodes": workload.nodes}
            contestants = list(_contestants(name, workload, SCALAR_PEERS, job, about["nodes"]))
        results = {}
        for contestant in contestants:
            yield {"section": BEGUN, "workload": name, "peer": contestant.peer}
            results[contestant.peer] = _first_call(contestant, job.patience)
        yield {"section": BEGUN, "workload": name, "peer": TURNS}
        expected = results.get(MICRO) or _expected(workload)  # afterwards: it is no first call's warm-up
        for contestant in contestants:
            _compare(contestant, results[contestant.peer], expected)
        del results, expected
        _take_turns(contestants, job)
        for contestant in contestants:
            yield contestant.row(**about, **process, workload=name)
        del workload, contestants  # before the next ones are made


def _blas_threads() -> int:
    """How many threads NumPy's BLAS has in this process, before peers bring a BLAS of their own."""
    counts = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return max(counts, default=1)


def _contestants(about: str, workload: Any, peers: Any, job: Job, nodes: int = 0) -> Iterator[Contestant]:
    lost = job.lost.get(about, {})
    for name in job.peers:
        if name not in peers:
            continue
        if name in lost:
            yield Contestant(name, error=lost[name])
            continue
        if nodes > LONGEST.get(name, nodes):
            yield Contestant(name, error=f"left out above {LONGEST[name]:,} nodes")
            continue
        try:
            yield Contestant(name, peers[name](workload, job.threads))
        except NotApplicableError:
            continue
        except Exception as error:
            yield Contestant(name, error=said(error))


def _first_call(contestant: Contestant, patience: float) -> list[np.ndarray] | None:
    """Time the first call, and some more to warm up; the result."""
    if contestant.ready is None:
        return None
    try:
        with _stopped_after(patience):
            start = perf_counter()
            contestant.run = contestant.ready.make()
            result = contestant.run()
            contestant.first = perf_counter() - start
        found = contestant.ready.arrays(result)
        for _ in range(WARM_UP):
            start = perf_counter()
            contestant.run()
            contestant.warm_up.append(perf_counter() - start)
            if sum(contestant.warm_up) > SLOW:
                break
    except Exception as error:
        contestant.error = said(error)
        return None
    contestant.calls = max(1, min(1_000, int(BURST / contestant.warm_up[-1])))
    return found


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the body after so long; end the process where compiled code does not heed it."""
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True)
    try:
        with time_limit(seconds):
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _expected(workload: Workload | Scalars) -> list[np.ndarray] | None:
    """What is to come out: of numbers by the small engine, of arrays by dagexec in float64."""
    if isinstance(workload, Scalars):
        ready: Ready = SCALAR_PEERS[MICRO](workload, 1)
    else:
        params, data = optree.tree_map(_double, (workload.params, workload.data))  # type: ignore[misc]
        ready = PEERS[NO_REWRITES](Workload(workload.loss, params, data, workload.recurrent), 1)
    try:
        return ready.arrays(ready.make()())
    except Exception:  # dagexec's own rows say what it is
        return None


def _double(leaf: np.ndarray) -> np.ndarray:
    return leaf.astype(np.float64) if leaf.dtype.kind == "f" else leaf


def _compare(
    contestant: Contestant, found: list[np.ndarray] | None, expected: list[np.ndarray] | None
) -> None:
    if found is None or expected is None:
        return
    try:
        contestant.difference = largest_difference(found, expected)
    except ValueError as error:
        contestant.error = said(error)
        return
    if not contestant.difference <= TOLERANCE:
        contestant.error = f"WrongResult: off by {contestant.difference:.1e}"


def largest_difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference of two lists of arrays, each relative to the largest element expected.

    A gradient that ought to be zero (that of the bias of attention's keys) is nothing but rounding errors, so
    what is small is measured by a hundredth of the largest of all.

    >>> largest_difference([np.array([1.0, 2.5])], [np.array([1.0, 2.0])])
    0.25
    """
    if [array.shape for array in found] != [array.shape for array in expected]:
        raise ValueError("the results have other shapes than expected")
    scales = [float(np.max(np.abs(array), initial=0.0)) for array in expected]
    least = 1e-2 * max(scales) or 1.0
    return max(
        float(np.max(np.abs(f - e), initial=0.0)) / max(scale, least)
        for f, e, scale in zip(found, expected, scales)
    )


def _take_turns(contestants: list[Contestant], job: Job) -> None:
    playing = [contestant for contestant in contestants if contestant.error is None]
    gc.collect()
    gc.freeze()  # what the libraries are made of need not be looked through in each round
    rounds = 0
    while rounds < job.rounds:
        left = [one for one in playing if one.error is None and rounds < (one.bursts or 1)]
        if not left:
            break
        gc.collect()
        for contestant in left:
            if job.threads > 1:
                _wait_for_threads()
            _burst(contestant, job.seconds / len(playing), job.threads)
        rounds += 1
    gc.unfreeze()


def _wait_for_threads() -> None:
    """Wait until the threads of the turn before sleep: OpenBLAS's spin for 0.1 s, on cores others need."""
    for _ in range(PAUSES):
        before = process_time()
        sleep(PAUSE)
        if process_time() - before < PAUSE / 4:
            return


def _burst(contestant: Contestant, seconds: float, threads: int) -> None:
    """One turn; after the first it is known how many there are in so many seconds."""
    run, times = contestant.run, []
    try:
        if contestant.calls > 1 or threads > 1:
            run()  # while the caches are filled again, and after a pause the cores wake up
        for _ in range(contestant.calls):
            start = perf_counter()
            run()
            times.append(perf_counter() - start)
    except Exception as error:
        contestant.error = said(error)
        contestant.seconds.clear()
        return
    contestant.seconds.append(median(times))
    if not contestant.bursts:
        least = AT_LEAST if times[0] < SLOW else 1
        contestant.bursts = max(least, int(seconds / (median(times) * (contestant.calls + 1))))


def main() -> None:
    """Read a job, print rows."""
    warnings.simplefilter("ignore")  # what peers say is not for standard output
    for row in measure(Job(**json.load(sys.stdin))):
        print(json.dumps(row), flush=True)


def as_json(job: Job) -> str:
    """A job for standard input."""
    return json.dumps(asdict(job))


if __name__ == "__main__":
    main()
