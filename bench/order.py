"""Where the order of ready tasks matters: a long chain beside many independent tasks, on two workers.

Whoever takes the most recent ready task, or the oldest, comes to the chain late, and one worker goes through
it alone at the end. Taking the longest remaining path first starts the chain at once. On graphs without such
a path the three are level, and last in, first out costs least: that is why short tasks are run in that order.

Tasks hash a buffer, which releases the interpreter lock. Each graph is run by last in, first out (the threads
executor with nothing known of the tasks) and by the longest path first (the same with measured costs), in
turns; simulated speed-ups of all policies stand beside.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from random import Random
from time import perf_counter
from typing import Any

from dagexec.executors import Runner
from dagexec.plan import Plan, lay_out
from dagexec.simulation import simulate
from dagexec.timing import take_turns

ROUNDS = 9
TASK_SECONDS = 1e-3
POLICIES = ("lifo", "fifo", "random", "critical-path")


def hash_once(buffer: bytes, *_: Any) -> int:
    """One task."""
    hashlib.sha256(buffer).digest()
    return 1


def buffer_for(seconds: float) -> bytes:
    """A buffer that takes about so long to hash."""
    buffer = bytes(1 << 20)
    taken = []
    for _ in range(5):
        start = perf_counter()
        hash_once(buffer)
        taken.append(perf_counter() - start)
    return bytes(int(len(buffer) * seconds / min(taken)))


def shapes() -> dict[str, list[tuple[int, ...]]]:
    """The sources of each task: independent tasks with a chain behind them, and a layered graph."""
    half, links = 100, 200  # the chain begins between two halves of the others
    chain: list[tuple[int, ...]] = [()] * (2 * half + 1)
    chain += [(half,), *((number,) for number in range(2 * half + 1, 2 * half + links - 1))]
    random, width = Random(0), 20
    layered = [
        tuple(random.sample(range(n - n % width - width, n - n % width), 2)) if n >= width else ()
        for n in range(400)
    ]
    return {"chain beside 200 others": chain, "layered, width 20": layered}


def plan_of(sources: list[tuple[int, ...]], buffer: bytes) -> Plan:
    """The plan of a shape; every task is needed."""
    read = {slot for slots in sources for slot in slots}
    outputs = [(slot, None) for slot in range(len(sources)) if slot not in read]
    return lay_out([partial(hash_once, buffer)] * len(sources), list(sources), outputs, constants={})


def measure() -> list[dict[str, Any]]:
    """One row a shape."""
    buffer = buffer_for(TASK_SECONDS)
    rows = []
    for name, sources in shapes().items():
        plan = plan_of(sources, buffer)
        costs = [TASK_SECONDS] * len(sources)
        known = replace(plan, costs=costs)
        with (
            Runner(plan, "serial") as serial,
            Runner(plan, "threads", 2) as lifo,
            Runner(known, "threads", 2) as ranked,
        ):
            times = take_turns([serial.run, lifo.run, ranked.run], ROUNDS)
        alone = times[0].median
        rows.append(
            {
                "shape": name,
                "lifo": alone / times[1].median,
                "longest_path_first": alone / times[2].median,
                "simulated": {
                    policy: sum(costs) / simulate(plan, 2, policy, costs).makespan for policy in POLICIES
                },
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    titles = ("lifo", "longest path first", *(f"simulated {policy}" for policy in POLICIES))
    lines = [f"{'speed-up on two workers':<26}" + "".join(f"{title:>25}" for title in titles)]
    for row in rows:
        cells = (row["lifo"], row["longest_path_first"], *row["simulated"].values())
        lines.append(f"{row['shape']:<26}" + "".join(f"{cell:>25.2f}" for cell in cells))
    return "\n".join(lines)
