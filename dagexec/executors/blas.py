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
_wanted: dict[BlasThreads, int] = {}  # by the blocks that are open
_original: list[tuple[Any, int]] = []  # what each library had before the first of them


@cache
def _libraries() -> Any:
    return ThreadpoolController().select(user_api="blas").lib_controllers


def blas_threads() -> int:
    """How many threads BLAS may use now, as set by the user or by default."""
    return max((library.num_threads for library in _libraries()), default=1)


class BlasThreads:
    """Limits BLAS to `count` threads in a `with` block, which is entered once.

    Blocks may overlap, in any threads; then the lowest count holds, and the last to end restores what was.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> None:
        try:
            with _lock:
                if not _original:
                    _original.extend([(library, library.num_threads) for library in _libraries()])
                _wanted[self] = self._count
                _set()
        except BaseException:  # an interrupt: there is no block that would end
            self.end()
            raise

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the block, if it is open: may be called again after an interrupt."""
        with _lock:
            _wanted.pop(self, None)
            _set()


def _set() -> None:
    if _wanted:
        count = min(_wanted.values())
        for library, _ in _original:
            library.set_num_threads(count)
    else:
        for library, count in _original:
            library.set_num_threads(count)
        # OpenBLAS ignores this in some threads; then the next block's end tries again.
        if all(library.num_threads == count for library, count in _original):
            _original.clear()
