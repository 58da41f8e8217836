"""Every adapter computes what the graph says, more than once, and leaves nothing behind."""

import threading
from importlib.util import find_spec
from multiprocessing import active_children

import pytest

from bench.dags import SHAPES, dag, in_order
from bench.peers import (
    ADAPTERS,
    CEILING,
    DASK,
    DASK_PROCESSES,
    DASK_THREADS,
    DISTRIBUTED_PROCESSES,
    DISTRIBUTED_THREADS,
    JOBLIB,
    RAY,
)

NEEDS = {
    DASK: "dask",
    DASK_THREADS: "dask",
    DASK_PROCESSES: "dask",
    DISTRIBUTED_THREADS: "distributed",
    DISTRIBUTED_PROCESSES: "distributed",
    JOBLIB: "joblib",
    RAY: "ray",
}


def mixed(*values):
    """Depends on each value and its position."""
    total = len(values) + 1
    for value in values:
        total = (total * 1_000_003 + value) % (2**61 - 1)
    return total


@pytest.mark.filterwarnings("default")  # what a peer warns about is its own affair
@pytest.mark.parametrize("name", [name for name in ADAPTERS if name != CEILING])
def test_an_adapter_computes_every_shape(name):
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    before = set(active_children())
    dags = [dag(shape, 50, mixed) for shape in SHAPES]
    with ADAPTERS[name](dags) as runs:
        for graph, run in zip(dags, runs, strict=True):
            expected = in_order(graph)
            assert [list(run()), list(run())] == [expected, expected], graph.name
    assert set(active_children()) <= before


def test_the_ceiling_makes_every_call_once():
    lock, calls = threading.Lock(), []

    def payload(*inputs):
        with lock:
            calls.append(threading.get_ident())
        return 7

    graph = dag("grid", 49, payload)
    with ADAPTERS[CEILING]([graph]) as (run,):
        assert run() == [7]
    assert len(calls) == 49
    assert len(set(calls)) == 2
