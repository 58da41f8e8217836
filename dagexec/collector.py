"""Python's cyclic garbage collector, and the many small objects of a graph that it need not look through."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 1_000_000


@contextmanager
def collector_paused() -> Iterator[None]:
    """Make many small objects without Python's collector looking through them: half of the time.

    To freeze and unfreeze moves them to the collector's oldest generation, so that it does not look through
    all of them at the end either. It is done for very many only, since what is garbage among them stays for
    long, and not if there are frozen objects, which would thaw.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if gc.get_count()[0] > MANY and not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()
