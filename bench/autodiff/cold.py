"""A cold start: `python -m bench.autodiff.cold` traces, derives, rewrites, plans and runs a long RNN once."""

from __future__ import annotations

import json
from time import perf_counter

BEGIN = perf_counter()

from bench.autodiff.peers import dagexec_on  # noqa: E402  (its imports are part of a cold start)
from bench.autodiff.workloads import rnn  # noqa: E402

STEPS = 1_000


def measure() -> dict[str, float]:
    """Seconds of each stage, and the number of nodes."""
    imported = perf_counter()
    ready = dagexec_on("serial")(rnn(STEPS, 16, 1), 1)
    start = perf_counter()
    run = ready.make()
    made = perf_counter()
    run()
    done = perf_counter()
    return {
        "import": imported - BEGIN,
        **ready.stages,
        "run": done - made,
        "all": done - BEGIN - (start - imported),
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
