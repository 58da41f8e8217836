"""Random numbers: the same on every executor, of the right distribution, and independent from key to key."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import dagexec
from dagexec import random, xp

EXECUTORS = ["serial", "threads", "processes"]


def program(key):
    first, second, third, fourth = random.split(key, 4)
    x = random.normal(first, (200, 3))
    order = random.permutation(second, x)
    chosen = random.categorical(third, x, shape=(5, 200))
    return x, order, chosen, random.uniform(fourth, (4,), np.float32), random.bernoulli(first, 0.3, (7,))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_trace_gives_the_bits_of_the_concrete_program_on_every_executor(executor):
    key = random.key(7)
    graph = dagexec.trace(program)(key)
    for ours, theirs in zip(dagexec.run(graph, key, executor=executor, workers=2), program(key), strict=True):
        assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**200), num=st.integers(0, 20))
def test_split_gives_different_keys_and_the_same_ones_again(seed, num):
    key = random.key(seed)
    keys = random.split(key, num)
    assert keys.shape == (num, 2)
    assert len({row.tobytes() for row in [*keys, key]}) == num + 1
    np.testing.assert_array_equal(keys, random.split(key, num))


def test_numbers_of_different_keys_and_of_a_key_and_its_children_are_independent():
    key = random.key(0)
    samples = [random.normal(k, (20_000,)) for k in (key, *random.split(key, 5), random.key(1))]
    correlation = np.corrcoef(samples) - np.eye(len(samples))
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)


CASES = {
    "normal": (lambda k, n: random.normal(k, n), stats.norm),
    "normal, float32": (lambda k, n: random.normal(k, n, np.float32), stats.norm),
    "uniform": (lambda k, n: random.uniform(k, (n,), minval=-1, maxval=np.float64(3)), stats.uniform(-1, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_distributions_by_kolmogorov_and_smirnov(name):
    draw, distribution = CASES[name]
    sample = draw(random.key(11), 20_000)
    assert stats.kstest(sample, distribution.cdf).pvalue > 1e-4


def test_bernoulli_and_categorical_have_their_frequencies():
    p = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(random.bernoulli(random.key(1), p, (50_000, 3)).mean(0), p, atol=0.015)
    logits = np.log(np.array([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]))
    drawn = random.categorical(random.key(2), logits, axis=1, shape=(50_000, 2))
    found = [[(drawn[:, row] == k).mean() for k in range(3)] for row in range(2)]
    np.testing.assert_allclose(found, np.exp(logits), atol=0.015)
    across = random.categorical(random.key(2), logits.T, axis=0, shape=(50_000, 2))
    np.testing.assert_array_equal(across.shape, drawn.shape)


def test_permutations_are_even_and_keep_the_slices():
    orders = [tuple(random.permutation(k, 3).tolist()) for k in random.split(random.key(3), 6_000)]
    counts = np.array([orders.count(order) for order in set(orders)])
    assert counts.size == 6
    assert stats.chisquare(counts).pvalue > 1e-4
    x = np.arange(12).reshape(3, 4)
    columns = random.permutation(random.key(4), x, axis=1)
    assert sorted(columns.T.tolist()) == sorted(x.T.tolist())


def test_gradients_flow_through_what_is_made_of_the_numbers():
    key = random.key(5)
    gradient = dagexec.grad(lambda m: xp.sum((m + random.normal(key, (3,))) ** 2))(np.zeros(3))
    np.testing.assert_allclose(gradient, 2 * random.normal(key, (3,)))


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda: random.key(-1), ValueError, "must not be negative"),
        (lambda: random.key(0.5), TypeError, "float"),
        (lambda: random.normal(0), TypeError, "a key is uint64"),
        (lambda: random.normal(random.key(0), (-1,)), ValueError, "negative length"),
        (lambda: random.normal(random.key(0), 3, np.int64), TypeError, "float32 or float64, not int64"),
        (lambda: random.split(random.key(0), -1), ValueError, "-1 keys"),
        (lambda: random.bernoulli(random.key(0), np.ones(3), (2,)), ValueError, "do not broadcast"),
        (lambda: random.categorical(random.key(0), np.ones((2, 3)), shape=(3,)), ValueError, "end with"),
        (lambda: dagexec.trace(random.normal)(np.ones(2)), TypeError, r"uint64\[2\].*float64\[2\].*test_"),
    ],
)
def test_bad_arguments_are_named(call, kind, said):
    with pytest.raises(kind, match=said):
        call()
