"""Peak memory of a step, in a fresh process: `python -m bench.autodiff.memory PEER WORKLOAD`.

Two measures, the same for each peer. `arrays` are the bytes that the peer asked for arrays during a steady
step, at the peak, above parameters and data: by tracemalloc, to which NumPy reports, what dagexec keeps from
step to step included; by PyTorch's profiler. `grown` is by how much the process has grown at the most since
just before the first step (the high-water mark of its resident memory), with all that libraries need for
themselves; graphs exist by then. Another workload has run before, so that libraries are loaded.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.autodiff.peers import DAGEXEC, PEERS
from bench.autodiff.workloads import TINY, WORKLOADS

STEPS = 6  # a flat program starts at the third
PYTHON = 65_536  # bytes that a call may need for a while for its Python objects


def measure(peer: str, name: str) -> dict[str, int]:
    """Both measures of a workload, in bytes."""
    warm = PEERS[peer](WORKLOADS[TINY](), 1).make()
    for _ in range(STEPS):
        warm()
    ready = PEERS[peer](WORKLOADS[name](), 1)
    run = ready.make()
    gc.collect()
    reset_peak()
    before = resident("VmRSS")
    for _ in range(STEPS):
        run()
    grown = max(0, resident("VmHWM") - before)
    arrays = _traced if peer == DAGEXEC else _profiled
    return {"arrays": arrays(ready.make()), "grown": grown}


def reset_peak() -> None:
    """Let the high-water mark of this process begin anew (Linux)."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def resident(which: str) -> int:
    """VmRSS or VmHWM, in bytes."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(which))
    return int(line.split()[1]) * 1024


def _traced(run: Callable[[], Any]) -> int:
    """What is held for arrays after a step, its result among it, and what was needed for a while."""
    tracemalloc.start()
    for _ in range(STEPS):
        result = run()
    gc.collect()
    del result
    tracemalloc.reset_peak()
    result = run()
    after, peak = tracemalloc.get_traced_memory()
    of_numpy = [tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)]
    found = tracemalloc.take_snapshot().filter_traces(of_numpy)
    tracemalloc.stop()
    del result
    held = sum(statistic.size for statistic in found.statistics("filename"))
    return held + max(0, peak - after - PYTHON)


def _profiled(run: Callable[[], Any]) -> int:
    """The highest sum of what was allocated less what was freed."""
    from torch.profiler import ProfilerActivity, profile

    run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        result = run()
    events = [
        (event.start_ns(), event.nbytes())
        for event in found.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    del result
    live = np.cumsum([size for _, size in sorted(events, key=lambda event: event[0])])
    return int(live.max(initial=0))


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
