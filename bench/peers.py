"""One small adapter a scheduler: the same graph, the same callables, in the form that this scheduler takes.

An adapter is a context manager. It is given the graphs, starts what the scheduler keeps alive between runs
(a pool, a cluster), and yields one function a graph; each call of that runs the graph once and returns the
values of its outputs. What is in the call is what the scheduler does for every run: graphlib's sorter is used
up by a run and is made anew, Dask's `get` orders the graph each time. What a user does once is outside: the
dictionary, dagexec's plan (but for the adapters named `get`, which plan in every run), pools and clusters.

Peers are imported when their adapter is entered, so that one that is not installed costs one cell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from graphlib import TopologicalSorter
from itertools import count
from multiprocessing import get_context
from queue import SimpleQueue
from threading import Thread
from typing import Any

from bench.dags import Dag

Run = Callable[[], Sequence[Any]]
Adapter = Callable[[Sequence[Dag]], AbstractContextManager[list[Run]]]

WORKERS = 2


@contextmanager
def bare_loop(dags: Sequence[Dag]) -> Iterator[list[Run]]:
    """The planned list of (function, sources), called in order; values are kept to the end."""

    def runner(dag: Dag) -> Run:
        tasks = list(zip(dag.functions, dag.sources))
        outputs = dag.outputs

        def run() -> list[Any]:
            values: list[Any] = []
            for function, sources in tasks:
                values.append(function(*[values[source] for source in sources]))
            return [values[task] for task in outputs]

        return run

    yield [runner(dag) for dag in dags]


@contextmanager
def bare_threads(dags: Sequence[Dag]) -> Iterator[list[Run]]:
    """Two threads without a scheduler, each of which makes half of the calls, in no order: the ceiling.

    Only for callables that take no inputs into account.
    """

    def call_all(calls: list[tuple[Callable[..., Any], tuple[int, ...]]], values: list[Any]) -> None:
        for function, inputs in calls:
            values.append(function(*inputs))

    def runner(dag: Dag) -> Run:
        calls = list(zip(dag.functions, dag.sources))
        halves = (calls[::2], calls[1::2])
        is_output = set(dag.outputs)

        def run() -> list[Any]:
            values: tuple[list[Any], list[Any]] = ([], [])
            other = Thread(target=call_all, args=(halves[1], values[1]))
            other.start()
            call_all(halves[0], values[0])
            other.join()
            return [values[task % 2][task // 2] for task in range(len(calls)) if task in is_output]

        return run

    yield [runner(dag) for dag in dags]


@contextmanager
def graphlib_threads(dags: Sequence[Dag]) -> Iterator[list[Run]]:
    """The standard library: a TopologicalSorter feeds a ThreadPoolExecutor, one future a task."""
    with ThreadPoolExecutor(WORKERS) as pool:
        yield [partial(_sorted_into, pool, dag) for dag in dags]


@contextmanager
def graphlib_processes(dags: Sequence[Dag]) -> Iterator[list[Run]]:
    """The standard library: a TopologicalSorter feeds a ProcessPoolExecutor, one future a task."""
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        yield [partial(_sorted_into, pool, dag) for dag in dags]


def _sorted_into(pool: Executor, dag: Dag) -> list[Any]:
    sorter = TopologicalSorter(dict(enumerate(dag.sources)))
    sorter.prepare()
    values: list[Any] = [None] * len(dag)
    finished: SimpleQueue[tuple[int, Future[Any]]] = SimpleQueue()
    while sorter.is_active():
        for task in sorter.get_ready():
            inputs = [values[source] for source in dag.sources[task]]
            future = pool.submit(dag.functions[task], *inputs)
            future.add_done_callback(partial(_put, finished, task))
        task, future = finished.get()
        values[task] = future.result()
        sorter.done(task)
    return [values[task] for task in dag.outputs]


def _put(finished: SimpleQueue[tuple[int, Future[Any]]], task: int, future: Future[Any]) -> None:
    finished.put((task, future))


@contextmanager
def dask_synchronous(dags: Sequence[Dag]) -> Iterator[list[Run]]:
    """`dask.get`: Dask's scheduler in the calling thread."""
    import dask

    yield [partial(dask.get, dag.dictionary(), dag.keys(dag.outputs)) for dag in dags]


@contextmanager
def dask_threads(dags: Sequence[Dag]) -> Iterator[list[Run]]:
    """`dask.threaded.get`, whose pool Dask keeps between calls."""
    from dask.threaded import get

    yield [partial(get, dag.dictionary(), dag.keys(dag.outputs), num_workers=WORKERS) for dag in dags]


@contextmanager
def dask_processes(dags: Sequence[Dag]) -> Iterator[list[Run]]:
    """`dask.multiprocessing.get` with a pool that lives on; by itself it starts one in every call."""
    from dask.multiprocessing import get

    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        yield [partial(get, dag.dictionary(), dag.keys(dag.outputs), pool=pool) for dag in dags]


@contextmanager
def distributed(dags: Sequence[Dag], workers: int, threads: int) -> Iterator[list[Run]]:
    """A local cluster of dask.distributed; keys are new in each run, as it remembers what it computed."""
    import dask
    from distributed import Client, LocalCluster

    quiet = {"distributed.logging.distributed": "critical", "distributed.worker.daemon": True}
    numbers = count()

    def run(client: Any, dag: Dag) -> list[Any]:
        prefix = f"run{next(numbers)}-"
        found: list[Any] = client.get(dag.dictionary(prefix), dag.keys(dag.outputs, prefix))
        return found

    with (
        dask.config.set(quiet),
        LocalCluster(workers, threads_per_worker=threads, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield [partial(run, client, dag) for dag in dags]


@contextmanager
def joblib_levels(dags: Sequence[Dag]) -> Iterator[list[Run]]:
    """joblib knows no graph: one `Parallel` call a level, all in one thread pool that stays open."""
    from joblib import Parallel, delayed

    def run(parallel: Any, dag: Dag, levels: list[list[int]]) -> list[Any]:
        values: list[Any] = [None] * len(dag)
        for level in levels:
            found = parallel(
                delayed(dag.functions[task])(*[values[source] for source in dag.sources[task]])
                for task in level
            )
            for task, value in zip(level, found):
                values[task] = value
        return [values[task] for task in dag.outputs]

    with Parallel(WORKERS, backend="threading") as parallel:
        yield [partial(run, parallel, dag, dag.levels) for dag in dags]


@contextmanager
def ray_tasks(dags: Sequence[Dag]) -> Iterator[list[Run]]:
    """Ray: a remote call a task, inputs passed as references."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its new default; silences the warning
    import ray

    def runner(dag: Dag) -> Run:
        remote = {function: ray.remote(function) for function in set(dag.functions)}

        def run() -> list[Any]:
            found: list[Any] = []
            for function, sources in zip(dag.functions, dag.sources):
                found.append(remote[function].remote(*[found[source] for source in sources]))
            values: list[Any] = ray.get([found[task] for task in dag.outputs])
            return values

        return run

    ray.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=200 * 2**20,
    )
    try:
        yield [runner(dag) for dag in dags]
    finally:
        ray.shutdown()


@contextmanager
def dagexec_planned(dags: Sequence[Dag], executor: str) -> Iterator[list[Run]]:
    """dagexec, planned once; workers live on between runs; freeing and cancellation are on."""
    from dagexec.executors import Runner
    from dagexec.interop.dask import plan_of

    with ExitStack() as stack:
        plans = [plan_of(dag.dictionary(), dag.keys(dag.outputs)) for dag in dags]
        yield [stack.enter_context(Runner(plan, executor, WORKERS)).run for plan in plans]


@contextmanager
def dagexec_get(dags: Sequence[Dag], executor: str) -> Iterator[list[Run]]:
    """`dagexec.get` from the dictionary: planned in every call, and its threads started."""
    from dagexec import get

    yield [
        partial(get, dag.dictionary(), dag.keys(dag.outputs), executor=executor, workers=WORKERS)
        for dag in dags
    ]


LOOP = "bare Python loop"
CEILING = "two bare threads"
SERIAL, THREADS, PROCESSES, AUTO = (
    f"dagexec {executor}" for executor in ("serial", "threads", "processes", "auto")
)
GET_SERIAL, GET_THREADS = "dagexec.get, serial", "dagexec.get, threads"
GRAPHLIB, GRAPHLIB_PROCESSES = "graphlib + threads", "graphlib + processes"
DASK, DASK_THREADS, DASK_PROCESSES = "Dask synchronous", "Dask threads", "Dask processes"
DISTRIBUTED_THREADS, DISTRIBUTED_PROCESSES = "Dask distributed 1×2", "Dask distributed 2×1"
JOBLIB, RAY = "joblib by level", "Ray"

ADAPTERS: dict[str, Adapter] = {
    LOOP: bare_loop,
    SERIAL: partial(dagexec_planned, executor="serial"),
    THREADS: partial(dagexec_planned, executor="threads"),
    AUTO: partial(dagexec_planned, executor="auto"),
    PROCESSES: partial(dagexec_planned, executor="processes"),
    GET_SERIAL: partial(dagexec_get, executor="serial"),
    GET_THREADS: partial(dagexec_get, executor="threads"),
    CEILING: bare_threads,
    GRAPHLIB: graphlib_threads,
    GRAPHLIB_PROCESSES: graphlib_processes,
    DASK: dask_synchronous,
    DASK_THREADS: dask_threads,
    DASK_PROCESSES: dask_processes,
    JOBLIB: joblib_levels,
    DISTRIBUTED_THREADS: partial(distributed, workers=1, threads=2),
    DISTRIBUTED_PROCESSES: partial(distributed, workers=2, threads=1),
    RAY: ray_tasks,
}
