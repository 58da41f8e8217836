"""Dense, embedding, positions, dropout, residual: PyTorch's values and gradients, and what they promise."""

from __future__ import annotations

import numpy as np
import optree
import pytest

import dagexec
from dagexec import nn, random, xp
from tests.nn.against_torch import DTYPES, numbers, require_same, torch

KEY = random.key(0)
F = torch.nn.functional


# --- dense ----------------------------------------------------------------------------------------------
@DTYPES
@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 5, 3)])
def test_dense_of_examples_of_one_and_of_sequences(shape, dtype):
    params = nn.init_dense(KEY, 3, 2, dtype=dtype)
    require_same(
        nn.dense,
        lambda p, x: F.linear(x, p["weights"].T, p["bias"]),
        params,
        numbers(1, *shape, dtype=dtype),
        dtype=dtype,
    )


@pytest.mark.parametrize("shape", [(4, 2), ()])
def test_dense_says_which_shapes_do_not_fit_and_where(shape):
    params = nn.init_dense(KEY, 3, 2)
    said = r"does not end with the 3 inputs of weights \(3, 2\).*init_dense\(key, \d, 2\)"
    with pytest.raises(ValueError, match=said):
        nn.dense(params, np.ones(shape))
    with pytest.raises(ValueError, match=said + r".*test_layers\.py"):
        dagexec.trace(nn.dense)(params, np.ones(shape))


# --- embedding, positions -------------------------------------------------------------------------------
@DTYPES
@pytest.mark.parametrize("tokens", [np.array([[1, 1, 0], [4, 1, 2]]), np.array(3)])
def test_embedding_gathers_and_its_gradient_adds_up(tokens, dtype):
    require_same(
        lambda p: nn.embedding(p, tokens),
        lambda p: F.embedding(torch.tensor(tokens), p["weights"]),
        nn.init_embedding(KEY, 5, 3, dtype=dtype),
        dtype=dtype,
    )


def test_small_integers_are_tokens_too():
    params = nn.init_embedding(KEY, 200, 3)
    tokens = np.array([199, 0, 100, 199])

    def gradient(tokens):
        return dagexec.grad(lambda p: xp.sum(nn.embedding(p, tokens) ** 2))(params)["weights"]

    np.testing.assert_array_equal(gradient(tokens.astype(np.uint8)), gradient(tokens))


def test_tokens_that_are_none_are_refused():
    params = nn.init_embedding(KEY, 5, 3)
    with pytest.raises(TypeError, match="whole numbers, not float64"):
        nn.embedding(params, np.ones(3))
    said = r"the token {}, at \[1, 0\], is not among the 5 there are, 0 to 4"
    for token, dtype in ((5, "int64"), (-1, "int8"), (200, "uint8"), (-1, ">i4")):
        with pytest.raises(IndexError, match=said.format(token)):
            nn.embedding(params, np.array([[3], [token]], dtype))


def test_sinusoidal_positions_are_those_of_the_paper():
    waves = nn.sinusoidal_positions(50, 6, dtype="float64")
    for place, column in ((0, 0), (1, 0), (7, 2), (49, 4)):
        angle = place / 10_000 ** (column / 6)
        np.testing.assert_allclose(waves[place, column : column + 2], [np.sin(angle), np.cos(angle)])
    assert nn.sinusoidal_positions(3, 4).dtype == np.float32
    with pytest.raises(ValueError, match=r"5 features .* even"):
        nn.sinusoidal_positions(3, 5)


def test_positions_are_added_to_each_sequence():
    x = numbers(0, 2, 3, 4, dtype="float32")
    waves = nn.add_sinusoidal_positions(x)
    assert waves.dtype == np.float32
    np.testing.assert_allclose(waves - x, np.stack([nn.sinusoidal_positions(3, 4)] * 2), atol=1e-6)
    require_same(
        nn.add_positions,
        lambda p, x: x + p["weights"][:3],
        nn.init_positions(KEY, 7, 4),
        x,
        dtype="float32",
    )
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) does not fit the positions .* \(2, 4\)"):
        nn.add_positions(nn.init_positions(KEY, 2, 4), x)


# --- dropout --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    y = nn.dropout(KEY, np.ones((100, 200)), rate)
    assert abs(np.mean(y == 0) - rate) < 0.02
    assert set(np.unique(y)) == {0, 1 / (1 - rate)}


def test_dropout_is_the_same_for_a_key_in_the_gradient_and_on_every_executor():
    x = np.ones((20, 30), "float32")

    def both(key, x):
        return dagexec.value_and_grad(lambda x: (lambda y: xp.sum(y * y))(nn.dropout(key, x, 0.3)))(x)

    graph = dagexec.trace(both)(KEY, x)
    y = nn.dropout(KEY, x, 0.3)
    assert y.dtype == np.float32
    for executor in ("serial", "threads"):
        _, gradient = dagexec.run(graph, KEY, x, executor=executor)
        np.testing.assert_allclose(gradient, 2 * y / np.float32(0.7), rtol=1e-6)
    assert (nn.dropout(random.key(1), x, 0.3) != y).any()


def test_at_prediction_nothing_is_dropped():
    x = numbers(0, 3, 4)
    assert nn.dropout(None, x, 0.5) is x
    assert nn.dropout(KEY, x, 0.0) is x
    for rate in (1.0, -0.1):
        with pytest.raises(ValueError, match=f"rate {rate} must be"):
            nn.dropout(KEY, x, rate)


# --- residual -------------------------------------------------------------------------------------------
@DTYPES
def test_residual_adds_the_layer_to_its_input(dtype):
    require_same(
        lambda p, x: nn.residual(nn.dense, p, x),
        lambda p, x: x + x @ p["weights"] + p["bias"],
        nn.init_dense(KEY, 3, 3, dtype=dtype),
        numbers(1, 4, 3, dtype=dtype),
        dtype=dtype,
    )


def test_residual_hands_on_what_a_layer_needs_besides():
    x = numbers(0, 6, 4)
    params = nn.init_layer_norm(KEY, 4, dtype="float64")
    np.testing.assert_array_equal(
        nn.residual(nn.layer_norm, params, x, eps=0.1), x + nn.layer_norm(params, x, eps=0.1)
    )


def test_residual_refuses_to_broadcast():
    with pytest.raises(ValueError, match=r"dense turns shape \(4, 3\) into \(4, 1\)"):
        nn.residual(nn.dense, nn.init_dense(KEY, 3, 1), np.ones((4, 3)))


# --- what all layers share ------------------------------------------------------------------------------
INITS = {
    "dense": lambda **dtype: nn.init_dense(KEY, 3, 2, **dtype),
    "embedding": lambda **dtype: nn.init_embedding(KEY, 3, 2, **dtype),
    "positions": lambda **dtype: nn.init_positions(KEY, 3, 2, **dtype),
    "batch_norm": lambda **dtype: nn.init_batch_norm(KEY, 3, **dtype),
    "statistics": lambda **dtype: nn.init_statistics(3, **dtype),
    "layer_norm": lambda **dtype: nn.init_layer_norm(KEY, 3, **dtype),
}


@pytest.mark.parametrize("name", INITS)
def test_parameters_are_float32_unless_told(name):
    assert {p.dtype for p in optree.tree_leaves(INITS[name]())} == {np.dtype("float32")}
    assert {p.dtype for p in optree.tree_leaves(INITS[name](dtype="float64"))} == {np.dtype("float64")}


def test_a_network_is_a_row_of_boxes_named_after_its_layers():
    params = [nn.init_dense(KEY, 4, 4), nn.init_layer_norm(KEY, 4)]

    def network(params, key, x):
        x = nn.relu(nn.dense(params[0], x))
        x = nn.layer_norm(params[1], nn.dropout(key, x))
        return nn.squared_loss(nn.residual(nn.dense, params[0], x), np.ones((2, 4), "float32"))

    graph = dagexec.trace(network)(params, KEY, np.ones((2, 4), "float32"))
    boxes = list(dict.fromkeys(node.scope for node in graph.nodes if node.inputs))
    assert boxes == [
        ("dense[0]",),
        ("relu[0]",),
        ("dropout[0]",),
        ("layer_norm[0]",),
        ("residual[0]", "dense[0]"),
        ("residual[0]",),
        ("squared_loss[0]",),
    ]
