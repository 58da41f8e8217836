"""Initialisers: the right distribution, the same numbers for a key, signals that keep their size."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

import dagexec
from dagexec import nn, random

SHAPE = (80, 120)  # a matrix: 80 inputs, 120 outputs
VARIANCES = {
    nn.xavier_normal: 2 / 200,
    nn.xavier_uniform: 2 / 200,
    nn.he_normal: 2 / 80,
    nn.he_uniform: 2 / 80,
    nn.lecun_normal: 1 / 80,
    nn.lecun_uniform: 1 / 80,
    nn.normal(0.3): 0.3**2,
    nn.uniform(0.3): 0.3**2 / 3,
}


@pytest.mark.parametrize("initialiser", VARIANCES)
def test_variance_and_distribution(initialiser):
    weights = initialiser(random.key(1), SHAPE, "float64")
    deviation = np.sqrt(VARIANCES[initialiser])
    bound = np.sqrt(3) * deviation
    uniform = "uniform" in initialiser.__name__
    expected = stats.uniform(-bound, 2 * bound) if uniform else stats.norm(scale=deviation)
    assert stats.kstest(weights.ravel(), expected.cdf).pvalue > 1e-3


def test_inputs_and_outputs_are_counted_from_the_shape():
    assert nn.fans((3, 5)) == (3, 5)
    assert nn.fans((8, 4, 3)) == (12, 24)
    assert nn.fans((8, 4, 3, 5)) == (60, 120)
    with pytest.raises(ValueError, match=r"shape \(3,\) has no inputs .* use zeros"):
        nn.he_normal(random.key(0), (3,))


def test_convolution_weights_have_the_variance_of_their_inputs():
    weights = nn.he_normal(random.key(0), (64, 16, 5, 5))
    assert np.isclose(weights.var(), 2 / (16 * 25), rtol=0.05)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_orthogonal_keeps_lengths(shape):
    w = nn.orthogonal(random.key(0), shape, "float64")
    assert w.shape == shape
    small = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-12)
    with pytest.raises(ValueError, match="a matrix is needed"):
        nn.orthogonal(random.key(0), (2, 2, 2))


def test_orthogonal_turns_everywhere_alike():
    """The sign of a diagonal element is either with equal odds; QR alone gives one of them only."""
    signs = [np.sign(nn.orthogonal(k, (2, 2))[0, 0]) for k in random.split(random.key(0), 200)]
    assert 70 < sum(sign > 0 for sign in signs) < 130


def test_naive_ones():
    assert not nn.zeros(None, (2, 3)).any()
    assert (nn.ones(None, (2, 3)) == 1).all()
    assert (nn.constant(0.25)(None, (2, 3)) == 0.25).all()


@pytest.mark.parametrize("initialiser", [*VARIANCES, nn.orthogonal, nn.zeros, nn.ones, nn.constant(2.0)])
def test_dtype_and_the_same_numbers_for_a_key_traced_or_not(initialiser):
    assert initialiser(random.key(0), (3, 4)).dtype == np.float32
    for dtype in ("float32", "float64"):
        weights = initialiser(random.key(5), (3, 4), dtype)
        graph = dagexec.trace(lambda key, dtype=dtype: initialiser(key, (3, 4), dtype))(random.key(5))
        traced = dagexec.run(graph, random.key(5))
        assert weights.dtype == traced.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(weights, traced)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3, -1), (4, 0, 3, 3)])
def test_a_weight_that_connects_nothing_is_refused(shape):
    with pytest.raises(ValueError, match=rf"{re.escape(str(shape))} connects nothing"):
        nn.he_normal(random.key(0), shape)


@pytest.mark.parametrize(
    ("initialiser", "activation", "kept"),
    [
        (nn.he_normal, nn.relu, True),
        (nn.lecun_normal, nn.selu, True),
        (nn.xavier_normal, lambda x: x, True),
        (nn.normal(0.01), nn.relu, False),
        (nn.normal(1.0), nn.relu, False),
    ],
)
def test_signals_keep_their_size_through_twenty_layers_or_do_not(initialiser, activation, kept):
    x = random.normal(random.key(0), (50, 100))
    start = x.std()
    for key in random.split(random.key(1), 20):
        x = activation(x @ initialiser(key, (100, 100), "float64"))
    assert (0.2 < x.std() / start < 5) == kept
