"""What dagexec costs beside the array operations: µs a node to trace and derive, to plan, and to run.

The cost of a run is the time of a serial run less that of the bare NumPy calls: the same functions, called in
the same order on the same arrays, which are all there beforehand. Rounds are interleaved; each figure is the
median of the rounds, with the quartiles beside it. In a round a small graph is run often enough to be
measured warm. BLAS has one thread in all of them. The last row is an operation on two variables, recorded as
it is computed: it stands in the column of the runs.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np

import dagexec
from dagexec.executors.blas import BlasThreads
from dagexec.graphfile import load
from dagexec.pytrees import flatten
from dagexec.timing import Times, take_turns

ROUNDS = 15
TASKS_A_ROUND = 20_000


def chain(x: Any) -> Any:
    """A thousand elementwise operations, one after another."""
    for _ in range(1000):
        x = np.sin(x)
    return np.sum(x)


def _sample(name: str, **parameters: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    built = load(f"graphs/{name}.py").built(parameters)
    return built.fn, built.args


def workloads() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """The functions measured, with their arguments; arrays are small, so that the overhead shows."""
    return {
        "rnn, 1,000 steps, hidden 16, batch 1": _sample(
            "rnn", steps="1000", hidden="16", batch="1", features="16", outputs="8"
        ),
        "fnn 16-32-32-4, batch 4": _sample("fnn", layers="16,32,32,4", batch="4"),
        "chain of 1,000 sines": (chain, (np.ones(16),)),
    }


def bare_calls(plan: dagexec.Plan, args: list[Any]) -> list[tuple[Callable[..., Any], Any]]:
    """Each task's function with its input arrays, all computed beforehand."""
    values = plan.values()
    for slot, value in zip(plan.inputs, args):
        values[slot] = value
    calls = []
    for task in plan.tasks:
        inputs = [values[slot] for slot in plan.sources[task]]
        values[task] = plan.functions[task](*inputs)
        calls.append((plan.functions[task], tuple(inputs)))
    return calls


def call_all(calls: list[tuple[Callable[..., Any], Any]]) -> None:
    """The bare NumPy calls, as a loop."""
    for function, inputs in calls:
        function(*inputs)


def repeated(function: Callable[[], Any], times: int) -> Callable[[], None]:
    """The function that calls `function` so many times."""

    def repeat() -> None:
        for _ in range(times):
            function()

    return repeat


def measure() -> list[dict[str, Any]]:
    """One row a workload, and one of operations recorded as they are computed."""
    return [*(_row(name, fn, args) for name, (fn, args) in workloads().items()), _recorded()]


def _recorded() -> dict[str, Any]:
    """`x * y` of two variables that hold a number each, against NumPy's multiply of two 0-d arrays."""
    x, y = np.asarray(1.5), np.asarray(2.5)
    a, b = dagexec.variable(x), dagexec.variable(y)
    multiply = np.multiply
    measured = take_turns(
        [repeated(lambda: a * b, TASKS_A_ROUND), repeated(lambda: multiply(x, y), TASKS_A_ROUND)], ROUNDS
    )
    recorded, bare = (Times(tuple(taken / TASKS_A_ROUND for taken in m.seconds)) for m in measured)
    return {
        "workload": "x * y, recorded as computed",
        "nodes": 1,
        "tasks": 1,
        "recorded_us": _per(recorded, 1),
        "bare_numpy_us": _per(bare, 1),
        "overhead_us": (recorded.median - bare.median) * 1e6,
    }


def _row(name: str, fn: Callable[..., Any], args: tuple[Any, ...]) -> dict[str, Any]:
    graph = dagexec.trace(fn)(*args).backward()
    compiled = dagexec.compile(graph, "serial")
    calls = bare_calls(compiled.plan, flatten(args)[0])
    nodes, tasks = len(graph), len(compiled.plan.tasks)
    times = max(1, TASKS_A_ROUND // tasks)
    gc.collect()
    with BlasThreads(1):
        measured = take_turns(
            [
                repeated(lambda: dagexec.trace(fn)(*args).backward(), times),
                repeated(lambda: dagexec.plan(graph), times),
                repeated(lambda: compiled(*args), times),
                repeated(lambda: call_all(calls), times),
            ],
            ROUNDS,
        )
    derive, plan, run, bare = (Times(tuple(taken / times for taken in m.seconds)) for m in measured)
    return {
        "workload": name,
        "nodes": nodes,
        "tasks": tasks,
        "trace_and_derive_us": _per(derive, nodes),
        "plan_us": _per(plan, nodes),
        "serial_us": _per(run, tasks),
        "bare_numpy_us": _per(bare, tasks),
        "overhead_us": (run.median - bare.median) / tasks * 1e6,
    }


def _per(times: Times, count: int) -> list[float]:
    """Median and quartiles in µs a node."""
    return [seconds / count * 1e6 for seconds in (times.median, *times.spread)]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    titles = ("trace and derive", "plan", "serial run", "bare NumPy", "run − bare")
    lines = [
        f"{'µs a node, median [quartiles]':<38}{'nodes':>8}" + "".join(f"{title:>22}" for title in titles)
    ]
    for row in rows:
        found = [
            row.get("trace_and_derive_us"),
            row.get("plan_us"),
            row.get("serial_us", row.get("recorded_us")),
            row["bare_numpy_us"],
        ]
        cells = [
            f"{figures[0]:.2f} [{figures[1]:.2f}, {figures[2]:.2f}]" if figures else "" for figures in found
        ]
        cells.append(f"{row['overhead_us']:.2f}")
        lines.append(f"{row['workload']:<38}{row['nodes']:>8}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)
