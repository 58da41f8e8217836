"""A million tasks: seconds to build the dictionary, to plan and to run, and bytes a task.

`measure` starts child processes, so that the memory is given back: one that measures time, one that traces
memory (tracing makes everything slower), one for the peers. Peers get smaller graphs, as a million tasks
would take them minutes and more memory than there is; what is extrapolated from them says so. The garbage
collector is on, as it is for a user.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from bench.dags import TRIVIAL, Dag, in_order, layered, wide

TASKS = 1_000_000
WIDTH = 1_000
DASK_TASKS = 10_000  # at 50,000 tasks of this width Dask needs 2.9 GB
NETWORKX_TASKS = 100_000
ROUNDS = 3
SHAPES = {"layered": lambda tasks: layered(tasks, WIDTH), "wide": wide}
PATIENCE = 240.0  # seconds that a child may take


def measure(shape: str, tasks: int = TASKS) -> dict[str, Any]:
    """The row of a shape; a child that fails leaves its error in it."""
    return {"shape": shape, "tasks": tasks} | {part: _in_child(part, shape, tasks) for part in PARTS}


def _in_child(part: str, shape: str, tasks: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.million", part, shape, str(tasks)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except subprocess.CalledProcessError as error:
        return {"error": f"{part}: {' '.join(error.stderr.strip().splitlines()[-1:])}"}
    except subprocess.TimeoutExpired:
        return {"error": f"{part}: took more than {PATIENCE:g} s"}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def build(shape: str, tasks: int) -> Dag:
    """The graph of trivial callables."""
    sources = SHAPES[shape](tasks)
    return Dag(shape, [TRIVIAL[len(inputs)] for inputs in sources], sources)


def seconds(shape: str, tasks: int) -> dict[str, Any]:
    """Medians of some rounds: the dictionary, the plan, a run of each executor, the bare loop."""
    from dagexec.executors import Runner
    from dagexec.interop.dask import plan_of

    dag = build(shape, tasks)
    keys = dag.keys(dag.outputs)
    found: dict[str, list[float]] = {}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        start = perf_counter()
        result = function()
        found.setdefault(name, []).append(perf_counter() - start)
        return result

    for _ in range(ROUNDS):
        dictionary = timed("build", dag.dictionary)
        plan = timed("plan", partial(plan_of, dictionary, keys))
        for executor in ("serial", "threads"):
            with Runner(plan, executor, 2) as runner:
                timed(f"{executor}, first", runner.run)
                timed(executor, runner.run)
        timed("bare loop", partial(in_order, dag))
        del plan, dictionary, runner  # so that the next round has the memory that this one had
    return {name: [median(taken), min(taken), max(taken)] for name, taken in found.items()}


def memory(shape: str, tasks: int) -> dict[str, Any]:
    """Bytes a task beyond the caller's dictionary: what the plan keeps, the peaks of planning and running."""
    from dagexec.executors import Runner
    from dagexec.interop.dask import plan_of

    dag = build(shape, tasks)
    dictionary, keys = dag.dictionary(), dag.keys(dag.outputs)
    tracemalloc.start()
    found = {}
    plan = plan_of(dictionary, keys)
    found["plan stays"], found["plan peak"] = tracemalloc.get_traced_memory()
    for executor in ("serial", "threads"):
        tracemalloc.reset_peak()
        with Runner(plan, executor, 2) as runner:
            runner.run()
            found[f"{executor} peak"] = tracemalloc.get_traced_memory()[1]
        found[f"{executor} stays"] = tracemalloc.get_traced_memory()[0]
    return {name: number / tasks for name, number in found.items()}


def peers(shape: str, tasks: int) -> dict[str, Any]:
    """Dask's seconds on two threads, extrapolated to so many tasks, and networkx's bytes a node."""
    return {**_dask(shape, tasks), **_networkx(shape)}


def _dask(shape: str, tasks: int) -> dict[str, Any]:
    try:
        from dask.threaded import get
    except ImportError as error:
        return {"dask": str(error)}
    small = build(shape, min(tasks, DASK_TASKS))
    dictionary, keys = small.dictionary(), small.keys(small.outputs)
    taken = []
    for _ in range(ROUNDS):
        start = perf_counter()
        get(dictionary, keys, num_workers=2)
        taken.append(perf_counter() - start)
    return {"dask": median(taken) / len(small) * tasks, "dask tasks": len(small)}


def _networkx(shape: str) -> dict[str, Any]:
    import networkx as nx

    dag = build(shape, NETWORKX_TASKS)
    keys = dag.keys(range(len(dag)))
    tracemalloc.start()
    start = perf_counter()
    graph = nx.DiGraph()
    for key, function, sources in zip(keys, dag.functions, dag.sources):
        graph.add_node(key, function=function)
        graph.add_edges_from((keys[source], key) for source in sources)
    taken = perf_counter() - start
    found = tracemalloc.get_traced_memory()[0] / len(graph)
    return {"networkx bytes": found, "networkx nodes": len(graph), "networkx traced seconds": taken}


PARTS: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "seconds": seconds,
    "bytes": memory,
    "peers": peers,
}

if __name__ == "__main__":
    _, part, shape, tasks = sys.argv
    print(json.dumps(PARTS[part](shape, int(tasks))))
