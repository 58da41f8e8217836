"""What `executor="auto"` means for a plan: what is known beforehand, and what is left to be measured.

Of plain Python callables nothing is known, so they are run adaptively (adaptive.py). Of array operations the
op table gives estimates. By these one worker, one worker with several BLAS threads, and several workers are
compared; the number of BLAS threads follows from the estimates alone, because results may depend on it in
their last bits. Where one worker and several are close, the first runs are timed (measured.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from dagexec.coarsen import HAND_OVER, coarsen
from dagexec.plan import Plan, longest_paths
from dagexec.simulation import simulate

# Handing a task to a sleeping thread takes some 70 µs; below this it is not worth it.
WORTH_HANDING_OVER = 200e-6
# What it takes BLAS to start its threads and to wait for them.
BLAS_HAND_OVER = 40e-6
# What must be gained, by the estimates, for anything but one worker; and for a choice without measuring.
WORTH_CHOOSING = 0.9


@dataclass(frozen=True, slots=True)
class Choice:
    """What a plan runs on. `executor` may be "adaptive" or "measured"; `reasons` are lines for people."""

    executor: str
    workers: int
    blas_threads: int = 1
    reasons: tuple[str, ...] = ()
    coarse: Plan | None = None  # for several workers, if there was reason to make it


def choose(plan: Plan, workers: int, blas_threads: int) -> Choice:
    """The choice for a plan, on up to `workers` workers or up to `blas_threads` BLAS threads."""
    if workers == blas_threads == 1:
        return Choice("serial", 1, 1, ("there is one core",))
    if workers == 1 and plan.has_python:
        return Choice("serial", 1, 1, ("there is one core, or one task",))
    if plan.has_python and plan.costs is None:
        return Choice(
            "adaptive", workers, 1, ("nothing is known of plain Python functions: measured as they run",)
        )
    serial = sum(plan.seconds)
    products = _seconds_with_blas(plan, blas_threads)
    threads, coarse = serial, None
    if max(_shortest(plan), serial / workers) < WORTH_CHOOSING * serial:
        coarse = coarsen(plan, workers=workers)
        threads = simulate(coarse, workers, overhead=HAND_OVER).makespan
    reasons = (
        f"estimated, in ms: one worker {serial * 1e3:.3g}, with {blas_threads} BLAS threads "
        f"{products * 1e3:.3g}, {workers} workers {threads * 1e3:.3g}",
    )
    if products < WORTH_CHOOSING * min(serial, threads):
        return Choice("serial", 1, blas_threads, (*reasons, "large products, one after another"))
    if threads < WORTH_CHOOSING * serial:
        return Choice("measured", workers, 1, reasons, coarse)
    return Choice("serial", 1, 1, (*reasons, "too little to gain"))


def _shortest(plan: Plan) -> float:
    """The least seconds in which any number of workers can be done that share only tasks worth handing over.

    What is too short for that counts as if all of it were on the longest path.
    """
    long = [cost if cost >= WORTH_HANDING_OVER else 0.0 for cost in plan.seconds]
    return sum(plan.seconds) - sum(long) + max(longest_paths(plan.tasks, plan.successors, long), default=0.0)


def _seconds_with_blas(plan: Plan, blas_threads: int) -> float:
    """What one worker takes whose matrix products use several threads where that is faster."""
    nodes, seconds = plan.graph.nodes, plan.seconds
    shared = [
        min(seconds[task], seconds[task] / blas_threads + BLAS_HAND_OVER)
        if nodes[task].op.family == "linear"
        else seconds[task]
        for task in plan.tasks
    ]
    return sum(shared)
