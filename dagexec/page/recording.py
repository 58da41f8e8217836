"""What a page tells of runs: which task ran where and when, on each executor, and what the values were.

The graph that is run is the one that is shown, and nothing is rewritten: so numbers of tasks are numbers of
nodes. Plain callables, which may do anything, are called once for each executor and no more.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: np.sum(x * x))(np.ones(3))
>>> (run,) = recorded_runs(graph, (np.ones(3),), ["serial"])
>>> run["executor"], run["workers"], run["tasks"]["nodes"], run["critical"]
('serial', 1, [[1], [2]], [0, 1])
>>> recorded_values(graph, (np.array([1.0, 2.0, 3.0]),))["1"]
{'min': 1.0, 'max': 9.0, 'mean': 4.667, 'std': 3.3, 'nan': 0, 'inf': 0, 'grid': [[1.0, 4.0, 9.0]]}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dagexec.analysis import analyze, measured_seconds
from dagexec.collector import collector_paused
from dagexec.events import Events
from dagexec.graph import ITEM, Graph
from dagexec.page.statistics import has_statistics, side_for, statistics
from dagexec.plan import Plan, plan
from dagexec.steps import all_steps, compute
from dagexec.timing import recorded

EXECUTORS = ("serial", "threads", "processes")
DECIMALS = 7  # of a time in seconds: a tenth of a microsecond
MOST_MOMENTS = 1000  # at which the memory is told; of the moments between two of them, the highest counts


# --- runs -----------------------------------------------------------------------------------------------
def recorded_runs(
    graph: Graph,
    args: Sequence[Any],
    executors: Sequence[str] = EXECUTORS,
    workers: int | None = None,
    started: Callable[[str], None] = lambda executor: None,
) -> list[dict[str, Any]]:
    """A run of the graph on each of `executors`, as the page takes it; times are in seconds.

    `started` is called with the name of an executor before it runs. Raises what `compile` and the run raise.
    """
    runs = []
    for executor in executors:
        started(executor)
        try:
            runs.append(run_data(*recorded(graph, args, executor, workers)))
        except Exception as error:
            error.add_note(f"in the run on {executor}; --executors (runs=) says what a page replays")
            raise
    return runs


@collector_paused()
def run_data(of: Plan, log: Events, executor: str, workers: int) -> dict[str, Any]:
    """A recorded run: its tasks in the order of their starts, the critical path by measured times, memory."""
    spans = sorted(log.spans(), key=lambda span: span[2])
    place = {task: number for number, (task, *_) in enumerate(spans)}
    path = analyze(of, measured_seconds(of, log)).critical_path
    times, held = _memory(log)
    return {
        "executor": executor,
        "workers": workers,
        "seconds": round(max([end for *_, end in spans], default=0.0), DECIMALS),
        "tasks": {
            "nodes": [list(log.members.get(task, (task,))) for task, *_ in spans],
            "worker": [worker for _, worker, _, _ in spans],
            "start": [round(start, DECIMALS) for _, _, start, _ in spans],
            "end": [round(end, DECIMALS) for *_, end in spans],
        },
        "critical": [place[step.task] for step in path if step.task in place],
        "memory": {"time": times, "bytes": held},
    }


def _memory(log: Events) -> tuple[list[float], list[int]]:
    """Moments, and the bytes that computed values held from then on."""
    series = log.live_bytes()
    step = max(1, -(-len(series) // MOST_MOMENTS))
    kept = [
        max(series[first : first + step], key=lambda pair: pair[1]) for first in range(0, len(series), step)
    ]
    if series and kept[-1] != series[-1]:
        kept.append(series[-1])
    return [round(time, DECIMALS) for time, _ in kept], [held for _, held in kept]


# --- values ---------------------------------------------------------------------------------------------
@collector_paused()
def recorded_values(graph: Graph, args: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """The statistics of each node's value, by the node's number as text; see `statistics`.

    A node has none if its value is no array of real numbers, or a very large one; a graph with plain
    callables has none at all. Raises TypeError or ValueError for arguments that are not the graph's.
    """
    if any(node.spec is None for node in graph.nodes):
        return {}
    side = side_for([node.spec for node in graph.nodes if has_statistics(node.spec)])
    with np.errstate(all="ignore"):
        return {
            str(number): statistics(np.asarray(value), side)
            for number, value in _computed(graph, args)
            if has_statistics(graph.nodes[number].spec)
        }


def _computed(graph: Graph, args: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """The number and value of each node; no value is kept for longer than it is read."""
    of = plan(graph)
    given: Any = tuple(args)
    leaves: list[Any] = graph.in_tree.flatten_up_to(given)
    values = of.values([np.asarray(leaf, node.spec.dtype) for leaf, node in zip(leaves, graph.inputs)])
    number_of = {node: number for number, node in enumerate(graph.nodes)}
    items: dict[int, list[tuple[int, int]]] = {}
    for number, node in enumerate(graph.nodes):
        if node.op is ITEM:
            items.setdefault(number_of[node.inputs[0]], []).append((number, node.params["index"]))
    for slot in (*of.constants, *of.inputs):
        yield slot, values[slot]
    for function, slots, fetch, task, dead in all_steps(of):
        compute(of, [(function, slots, fetch, task, ())], values, ())
        yield task, values[task]
        for number, index in items.get(task, ()):
            yield number, values[task][index]
        for slot in dead:
            values[slot] = None
