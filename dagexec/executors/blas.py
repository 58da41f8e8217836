"""How many threads BLAS uses while a plan runs.

NumPy's matrix product may use threads of its own. Beside several workers they would fight for the cores, and
a sum split among threads may round differently; with one thread for each worker, every executor computes the
same bits. A graph of large products, one after another, is better off with one worker and several of these.
"""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = Lock()
_wanted: list[int] = []  # by the blocks that are open
_limit: Any = None


@cache
def _controller() -> Any:
    return ThreadpoolController().select(user_api="blas")


def blas_threads() -> int:
    """How many threads BLAS may use now, as set by the user or by default."""
    return max((library.num_threads for library in _controller().lib_controllers), default=1)


class BlasThreads:
    """Limits BLAS to `count` threads in a `with` block.

    Blocks may overlap, in any threads; then the lowest count holds, and the last to end restores what was.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> None:
        global _limit
        with _lock:
            if not _wanted:
                _limit = _controller().limit(limits=self._count)
            elif self._count < min(_wanted):
                _set(self._count)
            _wanted.append(self._count)

    def __exit__(self, *_: object) -> None:
        global _limit
        with _lock:
            _wanted.remove(self._count)
            if not _wanted:
                _limit.restore_original_limits()
                _limit = None
            elif self._count < min(_wanted):
                _set(min(_wanted))


def _set(count: int) -> None:
    for library in _controller().lib_controllers:
        library.set_num_threads(count)
