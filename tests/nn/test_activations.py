"""Activations: PyTorch's values and slopes, also at the corners and where exponentials overflow."""

from __future__ import annotations

import numpy as np
import pytest

import dagexec
from dagexec import nn
from tests.nn.against_torch import DTYPES, numbers, require_same, torch

F = torch.nn.functional
THEIRS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "log_sigmoid": F.logsigmoid,
    "silu": F.silu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
}


@DTYPES
@pytest.mark.parametrize("name", THEIRS)
def test_values_and_slopes_are_those_of_pytorch(name, dtype):
    require_same(getattr(nn, name), THEIRS[name], 3 * numbers(0, 4, 5, dtype=dtype), dtype=dtype)


@pytest.mark.parametrize("name", sorted(set(THEIRS) - {"softplus", "log_sigmoid"}))
def test_the_corner_and_far_away(name):
    x = np.array([[0.0, 0.0, 1000.0, -1000.0]])
    require_same(getattr(nn, name), THEIRS[name], x, dtype="float64")


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("offset", [1e4, -1e6])
def test_large_float32_numbers_cost_no_digits(name, offset):
    x = (3 * numbers(0, 4, 5) + offset).astype("float32")
    wanted = THEIRS[name](torch.tensor(x, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(getattr(nn, name)(x), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["softplus", "log_sigmoid"])
def test_logarithms_far_away(name):  # PyTorch's softplus turns linear at 20
    require_same(getattr(nn, name), THEIRS[name], np.array([0.0, 1000.0, -1000.0]), dtype="float64")


@DTYPES
def test_options_and_axes(dtype):
    x = 3 * numbers(1, 4, 5, dtype=dtype)
    require_same(lambda x: nn.gelu(x, approximate=False), F.gelu, x, dtype=dtype)
    require_same(lambda x: nn.softmax(x, axis=0), lambda x: F.softmax(x, 0), x, dtype=dtype)
    require_same(lambda x: nn.log_softmax(x, axis=0), lambda x: F.log_softmax(x, 0), x, dtype=dtype)
    require_same(lambda x: nn.leaky_relu(x, 0.3), lambda x: F.leaky_relu(x, 0.3), x, dtype=dtype)
    require_same(lambda x: nn.elu(x, 0.3), lambda x: F.elu(x, 0.3), x, dtype=dtype)


@pytest.mark.parametrize("name", THEIRS)
def test_nan_stays_nan(name):
    with np.errstate(invalid="ignore"):
        assert np.isnan(getattr(nn, name)(np.array([np.nan, np.nan]))).all()


@pytest.mark.parametrize("name", THEIRS)
def test_each_is_one_box_of_a_picture(name):
    graph = dagexec.trace(getattr(nn, name))(np.ones(3))
    assert {node.scope for node in graph.nodes if node.inputs} == {(f"{name}[0]",)}
