"""Normalisation: PyTorch's values, gradients and running statistics, which nothing changes in place."""

from __future__ import annotations

import numpy as np
import pytest

from dagexec import grad, nn, xp
from tests.nn.against_torch import DTYPES, TOLERANCES, numbers, require_same, torch

F = torch.nn.functional
SHAPES = pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5)])


def params_of(channels, dtype):
    return {
        "scale": 1 + numbers(1, channels, dtype=dtype) / 3,
        "bias": numbers(2, channels, dtype=dtype),
    }


def statistics_of(channels, dtype):
    return {
        "mean": numbers(3, channels, dtype=dtype),
        "variance": 1 + numbers(4, channels, dtype=dtype) ** 2,
    }


@DTYPES
@SHAPES
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_that_of_pytorch(shape, dtype, training):
    statistics = statistics_of(3, dtype)
    theirs = {name: torch.tensor(value) for name, value in statistics.items()}

    def torchs(p, x):
        return F.batch_norm(x, theirs["mean"], theirs["variance"], p["scale"], p["bias"], training, 0.3)

    x = 2 + 3 * numbers(0, *shape, dtype=dtype)
    require_same(
        lambda p, x: nn.batch_norm(p, x, statistics, training=training, momentum=0.3)[0],
        torchs,
        params_of(3, dtype),
        x,
        dtype=dtype,
    )
    _, ours = nn.batch_norm(params_of(3, dtype), x, statistics, training=training, momentum=0.3)
    for name, value in theirs.items():  # PyTorch has changed them by now
        assert ours[name].dtype == np.dtype(dtype)
        np.testing.assert_allclose(ours[name], value, rtol=TOLERANCES[dtype])
        np.testing.assert_array_equal(statistics[name], statistics_of(3, dtype)[name])


def test_no_gradient_flows_through_the_statistics():
    def total(x):
        _, statistics = nn.batch_norm(params_of(3, "float64"), x, nn.init_statistics(3))
        return xp.sum(statistics["mean"]) + xp.sum(statistics["variance"])

    np.testing.assert_array_equal(grad(total)(numbers(0, 6, 3)), 0)


def test_statistics_of_a_constant_stream_become_its_mean_and_variance():
    x, statistics = 5 + 2 * numbers(0, 50, 3), nn.init_statistics(3, dtype="float64")
    params = nn.init_batch_norm(None, 3, dtype="float64")
    for _ in range(200):
        trained, statistics = nn.batch_norm(params, x, statistics)
    np.testing.assert_allclose(statistics["mean"], x.mean(0))
    np.testing.assert_allclose(statistics["variance"], x.var(0, ddof=1))
    predicted, same = nn.batch_norm(params, x, statistics, training=False)
    assert same is statistics
    np.testing.assert_allclose(predicted, trained, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "training", "said"),
    [
        ((4, 2), True, r"\(4, 2\) must have 3 channels"),
        ((3,), True, r"\(3,\) must have 3 channels"),
        ((1, 3), True, "no variance"),
    ],
)
def test_batch_norm_refuses(shape, training, said):
    with pytest.raises(ValueError, match=said):
        nn.batch_norm(params_of(3, "float64"), np.ones(shape), nn.init_statistics(3), training=training)


def test_one_example_can_be_predicted():
    y, _ = nn.batch_norm(params_of(3, "f"), np.ones((1, 3), "f"), nn.init_statistics(3), training=False)
    assert y.shape == (1, 3)


@DTYPES
@pytest.mark.parametrize("shape", [(4,), (6, 4), (2, 3, 4)])
def test_layer_norm_is_that_of_pytorch(shape, dtype):
    require_same(
        lambda p, x: nn.layer_norm(p, x, eps=1e-3),
        lambda p, x: F.layer_norm(x, (4,), p["scale"], p["bias"], 1e-3),
        params_of(4, dtype),
        2 + 3 * numbers(0, *shape, dtype=dtype),
        dtype=dtype,
    )


def test_layer_norm_refuses_another_number_of_features():
    with pytest.raises(ValueError, match=r"\(4, 2\) must end with 3 features"):
        nn.layer_norm(params_of(3, "float64"), np.ones((4, 2)))
