"""One BLAS thread for each worker while a plan runs.

NumPy's matrix product may use threads of its own. Beside several workers they would fight for the cores, and
a sum split among threads may round differently; with one thread each, every executor computes the same bits.
"""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = Lock()
_runs = 0
_limit: Any = None


@cache
def _controller() -> Any:
    return ThreadpoolController()


class OneBlasThread:
    """Limits BLAS to one thread in a `with` block; blocks may overlap, the last to end restores what was."""

    def __enter__(self) -> None:
        global _runs, _limit
        with _lock:
            if not _runs:
                _limit = _controller().limit(limits=1, user_api="blas")
            _runs += 1

    def __exit__(self, *_: object) -> None:
        global _runs, _limit
        with _lock:
            _runs -= 1
            if not _runs:
                _limit.restore_original_limits()
                _limit = None
