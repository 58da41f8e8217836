"""Reductions of less: the same sums but for rounding, the same means and extrema."""

import numpy as np
import pytest

import dagexec
from dagexec import xp
from dagexec.rewrite import reduce_less
from tests.rewrite.comparing import assert_close, check_close, check_exact, ops

X = np.random.default_rng(0).normal(size=(4, 3))

STRETCHED = {
    "sum over all": (
        lambda x: xp.sum(xp.broadcast_to(x, (5, 4, 3))),
        ["reshape", "sum", "multiply", "reshape"],
    ),
    "sum over what was stretched": (lambda x: xp.sum(xp.broadcast_to(x, (5, 4, 3)), axis=0), ["multiply"]),
    "sum with its axes": (
        lambda x: xp.sum(xp.broadcast_to(x, (5, 4, 3)), axis=(0, 2), keepdims=True),
        ["reshape", "sum", "multiply"],
    ),
    "sum that leaves a stretched axis": (
        lambda x: xp.sum(xp.broadcast_to(x[:, :1], (4, 3)), axis=1),
        ["getitem", "multiply", "reshape"],
    ),
    "mean": (lambda x: xp.mean(xp.broadcast_to(x, (5, 4, 3)), axis=(0, 1)), ["reshape", "mean", "reshape"]),
    "max": (lambda x: xp.max(xp.broadcast_to(x, (5, 4, 3)), axis=0), []),
    "min": (lambda x: xp.min(xp.broadcast_to(x, (5, 4, 3)), axis=0, keepdims=True), ["reshape"]),
}


@pytest.mark.parametrize(("fn", "left"), STRETCHED.values(), ids=STRETCHED)
def test_reductions_of_what_was_stretched(fn, left):
    check_close(reduce_less, fn, X, left=left)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_along_one_element_there_is_nothing_to_reduce(name, keepdims):
    def fn(x):
        return getattr(xp, name)(xp.expand_dims(x, axis=1), axis=1, keepdims=keepdims)

    assert name not in ops(check_exact(reduce_less, fn, X, zeros=name not in ("sum", "mean")))


def test_sums_of_whole_numbers_and_booleans_stay_in_their_dtype():
    check_close(reduce_less, lambda x: xp.sum(xp.broadcast_to(x, (5, 3))), np.arange(3))
    check_close(reduce_less, lambda x: xp.sum(xp.broadcast_to(x > 1, (5, 3))), np.arange(3))
    check_close(reduce_less, lambda x: xp.sum(xp.broadcast_to(x, (5, 3))), np.arange(3, dtype=np.int8))


def test_nothing_is_summed_over_no_elements():
    check_exact(reduce_less, lambda x: xp.sum(xp.broadcast_to(x, (0, 3)), axis=0), np.array([np.nan, 1, 2]))


def test_factors_of_derived_sums_are_multiplied_after_them():
    def normalised(x):
        deviation = x - xp.mean(x, axis=1, keepdims=True)
        return xp.sum(xp.sin(deviation / xp.sqrt(xp.mean(deviation**2, axis=1, keepdims=True))))

    before = dagexec.trace(normalised)(X).backward()
    after = check_close(reduce_less, normalised, X, gradient=True)
    full = [n.op.name for n in before.nodes if n.phase == "backward" and n.spec.shape == X.shape]
    left = [n.op.name for n in after.nodes if n.phase == "backward" and n.spec.shape == X.shape]
    assert full.count("negative") == 2
    assert left.count("negative") == 0
    assert left.count("divide") == full.count("divide") - 1


def test_a_factor_that_keeps_a_sum_from_overflowing_stays_where_it_was_written():
    x = np.full(4, 1e308)
    graph = dagexec.trace(lambda x: xp.sum(x / 4))(x)
    assert reduce_less(graph) is graph


def test_what_others_read_is_not_computed_twice():
    def fn(x, y):
        product = x * y
        return xp.sum(product) + xp.sum(xp.sin(product))

    graph = dagexec.trace(fn)(X, X[:, :1]).backward((0, 1))
    assert_close(
        dagexec.run(graph, X, X[:, :1], rewrites=[reduce_less]), dagexec.run(graph, X, X[:, :1], rewrites=())
    )
