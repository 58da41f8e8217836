"""Attention and transformer blocks: PyTorch's values and gradients, and what the masks mean."""

from __future__ import annotations

import numpy as np
import optree
import pytest

import dagexec
from dagexec import nn, random
from tests.nn import torch_layers
from tests.nn.against_torch import DTYPES, numbers, require_same, torch

FEATURES, HIDDEN, HEADS = 4, 6, 2
MASKS = {
    "none": None,
    "causal": nn.causal_mask(5),
    "padding": nn.padding_mask(np.arange(5) < np.array([[3], [5]])),
}


def filled(params, dtype):
    """The same structure without zeros and ones, so that each parameter counts."""
    leaves, structure = optree.tree_flatten(params)
    return optree.tree_unflatten(
        structure, [numbers(seed, *leaf.shape, dtype=dtype) / 2 for seed, leaf in enumerate(leaves)]
    )


# --- attention ------------------------------------------------------------------------------------------
@DTYPES
@pytest.mark.parametrize("mask", MASKS)
def test_attention_is_that_of_torch(mask, dtype):
    mask = MASKS[mask]
    given = torch.tensor(np.ones((5, 5), bool) if mask is None else mask)
    require_same(
        lambda q, k, v: nn.attention(q, k, v, mask),
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, given),
        *(numbers(1, 2, 3, 5, 4, dtype=dtype), numbers(2, 2, 3, 5, 4, dtype=dtype)),
        numbers(3, 2, 3, 5, 2, dtype=dtype),
        dtype=dtype,
    )


@DTYPES
def test_multi_head_attention_to_a_context_is_that_of_torch(dtype):
    params = filled(nn.init_multi_head_attention(random.key(0), FEATURES), dtype)
    mask = nn.padding_mask(np.arange(3) < np.array([[2], [3]]))
    require_same(
        lambda params, x, context: nn.multi_head_attention(params, x, context, heads=HEADS, mask=mask),
        lambda params, x, context: torch_layers.multi_head_attention(params, x, context, HEADS, mask),
        *(params, numbers(1, 2, 5, FEATURES, dtype=dtype), numbers(2, 2, 3, FEATURES, dtype=dtype)),
        dtype=dtype,
    )


def test_a_query_that_may_look_at_nothing_gets_the_mean():
    values = numbers(0, 3, 2)
    seen = nn.attention(np.ones((1, 4)), numbers(1, 3, 4), values, np.zeros((1, 3), bool))
    np.testing.assert_allclose(seen[0], values.mean(0))


def test_masked_scores_of_any_size_overflow_nowhere():
    queries, keys = np.full((1, 1), 1e19, "float32"), np.array([[1e19], [-1e19], [1e19]], "float32")
    seen = nn.attention(queries, keys, np.eye(3, dtype="float32"), np.array([[True, True, False]]))
    assert seen.tolist() == [[1.0, 0.0, 0.0]]


# --- blocks ---------------------------------------------------------------------------------------------
@DTYPES
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("mask", MASKS)
def test_encoder_block_is_that_of_torch(mask, norm_first, dtype):
    params, mask = filled(nn.init_encoder_block(random.key(0), FEATURES, HIDDEN), dtype), MASKS[mask]
    require_same(
        lambda params, x: nn.encoder_block(params, x, heads=HEADS, mask=mask, norm_first=norm_first),
        lambda params, x: torch_layers.encoder_block(params, x, HEADS, mask, norm_first),
        *(params, numbers(1, 2, 5, FEATURES, dtype=dtype)),
        dtype=dtype,
    )


@DTYPES
@pytest.mark.parametrize("norm_first", [True, False])
def test_decoder_block_is_that_of_torch(norm_first, dtype):
    params = filled(nn.init_decoder_block(random.key(0), FEATURES, HIDDEN), dtype)
    mask = nn.padding_mask(np.arange(3) < np.array([[2], [3]]))
    require_same(
        lambda params, x, context: nn.decoder_block(
            params, x, context, heads=HEADS, mask=mask, norm_first=norm_first
        ),
        lambda params, x, context: torch_layers.decoder_block(params, x, context, HEADS, mask, norm_first),
        *(params, numbers(1, 2, 5, FEATURES, dtype=dtype), numbers(2, 2, 3, FEATURES, dtype=dtype)),
        dtype=dtype,
    )


def test_a_causal_block_does_not_see_what_comes_later():
    params = nn.init_encoder_block(random.key(0), FEATURES, HIDDEN, dtype="float64")
    x = numbers(1, 1, 5, FEATURES)
    later = x.copy()
    later[:, 3:] += 1
    before, after = (nn.encoder_block(params, v, heads=HEADS, mask=nn.causal_mask(5)) for v in (x, later))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.all(before[:, 3:] != after[:, 3:])


def test_dropout_in_a_block_follows_its_key():
    params = nn.init_encoder_block(random.key(0), FEATURES, HIDDEN)
    x = numbers(1, 2, 5, FEATURES, dtype="float32")
    one, again, other, none = (
        nn.encoder_block(params, x, heads=HEADS, key=key, rate=0.5)
        for key in (random.key(1), random.key(1), random.key(2), None)
    )
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other)
    assert np.any(one != none)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda p, x: nn.multi_head_attention(p, x, heads=3),
            ValueError,
            "4 features can't be divided among 3",
        ),
        (
            lambda p, x: nn.multi_head_attention(p, x[0], heads=2),
            ValueError,
            r"\(5, 4\) must be \(batch, time",
        ),
        (lambda p, x: nn.attention(x, x[..., :2], x), ValueError, r"keys \(2, 5, 2\) and values"),
        (lambda p, x: nn.attention(x, x, x[:, :2]), ValueError, r"values \(2, 2, 4\) must be"),
        (lambda p, x: nn.attention(x, x, x, np.ones((5, 5))), TypeError, "must be bool, .* not float64"),
        (
            lambda p, x: nn.attention(x, x, x, np.ones((5, 4), bool)),
            ValueError,
            r"\(5, 4\) does not broadcast to .* \(2, 5, 5\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    params, x = nn.init_multi_head_attention(random.key(0), FEATURES), np.ones((2, 5, FEATURES))
    with pytest.raises(error, match=message):
        call(params, x)
    with pytest.raises(error, match=message):
        dagexec.trace(call)(params, x)
