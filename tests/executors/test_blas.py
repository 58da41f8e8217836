"""BLAS threads are limited while runs overlap, and restored after the last."""

from __future__ import annotations

from threadpoolctl import ThreadpoolController

from dagexec.executors.blas import BlasThreads


def blas_threads() -> list[int]:
    return [pool.num_threads for pool in ThreadpoolController().select(user_api="blas").lib_controllers]


def test_the_limit_holds_until_the_last_of_overlapping_runs_ends():
    before = blas_threads()
    first, second = BlasThreads(1), BlasThreads(1)
    first.__enter__()
    second.__enter__()
    assert set(blas_threads()) == {1}
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == before
