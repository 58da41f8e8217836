"""What `executor="auto"` means for a plan: what is known beforehand, and what is left to be measured.

Of plain Python callables nothing is known, so they are run adaptively (adaptive.py). Of array operations the
op table gives estimates. By these are compared: one worker, one worker with several BLAS threads, several
workers, and several workers on a graph whose work is cut into as many shards (rewrite/split.py). What decides
about the last bits of results, BLAS threads and shards, follows from the estimates alone, so that they are
the same in each run. Whether several workers are faster than one, the first runs show (measured.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from dagexec.coarsen import HAND_OVER, coarsen
from dagexec.executors.parallel import TOO_SHORT
from dagexec.graph import Node
from dagexec.lanes import seconds_in_lanes
from dagexec.ops import are_numbers
from dagexec.plan import Plan, longest_paths
from dagexec.plan import plan as plan_of
from dagexec.rewrite.split import split
from dagexec.simulation import simulate

# Handing a task to a sleeping thread takes some 70 µs; below this it is not worth it.
WORTH_HANDING_OVER = 200e-6
# What it takes BLAS to start its threads and to wait for them.
BLAS_HAND_OVER = 40e-6
# What must be gained, by the estimates, for anything but one worker; and by workers over BLAS threads, which
# lose less where a core is not at hand at once.
WORTH_CHOOSING = 0.9
# A convolution with so many channels in its result multiplies for longer than it gathers columns.
MANY_CHANNELS = 32


@dataclass(frozen=True, slots=True)
class Choice:
    """What a plan runs on. `executor` may be "adaptive" or "measured"; `reasons` are lines for people."""

    executor: str
    workers: int
    blas_threads: int = 1
    reasons: tuple[str, ...] = ()
    plan: Plan | None = None  # what is to be run, if not the plan as it is


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
    if are_numbers(plan.graph.nodes):  # a million tasks are not estimated then
        return Choice("serial", 1, 1, ("nothing but numbers: no task lasts as long as a hand-over",))
    serial, shards = sum(plan.seconds), _in_shards(plan, workers)
    products = _seconds_with_blas(plan, blas_threads)
    threads = _seconds_on(plan, workers)
    split = inf if shards is None else _seconds_on(shards, workers)
    found = {
        "one worker": serial,
        f"with {blas_threads} BLAS threads": products,
        f"{workers} workers": threads,
    }
    if shards is not None:
        found[f"{workers} workers on {workers} shards"] = split
    estimates = ", ".join([f"{what} {seconds * 1e3:.3g}" for what, seconds in found.items()])
    reasons = (f"estimated, in ms: {estimates}",)
    best = min(found.values())
    if best >= WORTH_CHOOSING * serial:
        return Choice("serial", 1, 1, (*reasons, "too little to gain"))
    if products < WORTH_CHOOSING * serial and min(threads, split) > WORTH_CHOOSING * products:
        return Choice("serial", 1, blas_threads, (*reasons, "large products, one after another"))
    return Choice("measured", workers, 1, reasons, plan if threads <= split else shards)


def _in_shards(plan: Plan, workers: int) -> Plan | None:
    """The plan of the graph with its work cut into shards; None where there is nothing to cut."""
    if workers == 1 or not plan.is_of_kernels or plan.costs is not None:  # costs are of the nodes as they are
        return None
    serial = sum(plan.seconds)
    gathering = sum([plan.seconds[task] for task in plan.tasks if _gathers(plan.graph.nodes[task])])
    long = sum([seconds for seconds in plan.seconds if seconds > TOO_SHORT])
    if gathering > serial / 4 or serial - long + long / workers > WORTH_CHOOSING * serial:
        return None
    graph = split(workers)(plan.graph)
    return None if graph is plan.graph else plan_of(graph)


def _gathers(node: Node) -> bool:
    """Does a node copy more than it multiplies? In shards, or with BLAS threads, that takes as long."""
    return node.op.name == "convolution" and node.spec.shape[1] < MANY_CHANNELS


def _seconds_on(plan: Plan, workers: int) -> float:
    """What several workers take."""
    serial = sum(plan.seconds)
    if _shortest(plan, TOO_SHORT if plan.is_of_kernels else WORTH_HANDING_OVER) > WORTH_CHOOSING * serial:
        return serial
    if plan.is_of_kernels:
        return seconds_in_lanes(plan, workers)
    return simulate(coarsen(plan, workers=workers), workers, overhead=HAND_OVER).makespan


def _shortest(plan: Plan, least: float) -> float:
    """The least seconds in which any number of workers can be done that share only what takes so long.

    What is shorter counts as if all of it were on the longest path.
    """
    long = [cost if cost >= least else 0.0 for cost in plan.seconds]
    return sum(plan.seconds) - sum(long) + max(longest_paths(plan.tasks, plan.successors, long), default=0.0)


def _seconds_with_blas(plan: Plan, blas_threads: int) -> float:
    """What one worker takes whose matrix products use several threads where that is faster."""
    nodes, seconds = plan.graph.nodes, plan.seconds
    shared = [
        min(seconds[task], seconds[task] / blas_threads + BLAS_HAND_OVER)
        if nodes[task].op.family == "linear" and not _gathers(nodes[task])
        else seconds[task]
        for task in plan.tasks
    ]
    return sum(shared)
