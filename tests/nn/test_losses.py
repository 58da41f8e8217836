"""Losses: PyTorch's values and gradients; masks leave out; shapes that do not belong together are refused."""

from __future__ import annotations

import numpy as np
import pytest

from dagexec import grad, nn
from tests.nn.against_torch import DTYPES, numbers, require_same, torch

F = torch.nn.functional
LABELS = np.array([[1, 0, 2], [3, 3, 0]])
MASK = np.array([[True, True, False], [True, False, False]])


@DTYPES
def test_squared_loss(dtype):
    x, y = numbers(0, 4, 3, dtype=dtype), numbers(1, 4, 3, dtype=dtype)
    require_same(nn.squared_loss, F.mse_loss, x, y, dtype=dtype)


@DTYPES
def test_binary_cross_entropy(dtype):
    x = 5 * numbers(0, 4, 3, dtype=dtype)
    targets = numbers(1, 4, 3) > 0
    theirs = torch.tensor(targets.astype(dtype))
    for ours in (targets, targets.astype(np.int64), targets.astype(dtype)):
        require_same(
            lambda x, ours=ours: nn.binary_cross_entropy(x, ours),
            lambda x: F.binary_cross_entropy_with_logits(x, theirs),
            x,
            dtype=dtype,
        )


@DTYPES
def test_cross_entropy_of_labels_and_of_probabilities(dtype):
    logits = 3 * numbers(0, 2, 3, 4, dtype=dtype)
    require_same(
        lambda x: nn.cross_entropy(x, LABELS),
        lambda x: F.cross_entropy(x.permute(0, 2, 1), torch.tensor(LABELS)),
        logits,
        dtype=dtype,
    )
    probabilities = np.random.default_rng(1).dirichlet(np.ones(4), (2, 3)).astype(dtype)
    require_same(
        nn.cross_entropy,
        lambda x, p: F.cross_entropy(x.permute(0, 2, 1), p.permute(0, 2, 1)),
        logits,
        probabilities,
        dtype=dtype,
    )


@DTYPES
def test_negative_log_likelihood(dtype):
    scores = numbers(0, 2, 3, 4, dtype=dtype)
    require_same(
        lambda x: nn.negative_log_likelihood(nn.log_softmax(x), LABELS),
        lambda x: F.nll_loss(F.log_softmax(x, -1).permute(0, 2, 1), torch.tensor(LABELS)),
        scores,
        dtype=dtype,
    )


def test_a_mask_leaves_out_what_is_padding():
    logits, targets = numbers(0, 2, 3, 4), numbers(1, 2, 3, 4)
    ignored = torch.tensor(np.where(MASK, LABELS, -100))
    require_same(
        lambda x: nn.cross_entropy(x, LABELS, MASK),
        lambda x: F.cross_entropy(x.permute(0, 2, 1), ignored, ignore_index=-100),
        logits,
        dtype="float64",
    )
    all_of_it = np.broadcast_to(MASK[..., None], logits.shape)
    for loss in (nn.squared_loss, nn.binary_cross_entropy):
        assert np.isclose(loss(logits, targets, all_of_it), loss(logits[MASK], targets[MASK]))
    scores = nn.log_softmax(logits)
    ours = nn.negative_log_likelihood(scores, LABELS, MASK)
    assert np.isclose(ours, nn.negative_log_likelihood(scores[MASK], LABELS[MASK]))
    assert np.isclose(nn.accuracy(logits, LABELS, MASK), nn.accuracy(logits[MASK], LABELS[MASK]))


def test_nothing_counts_where_the_mask_holds_nowhere():
    value = grad(lambda x: nn.cross_entropy(x, LABELS, np.zeros_like(MASK)))(numbers(0, 2, 3, 4))
    np.testing.assert_array_equal(value, 0)


def test_far_logits_cost_what_they_should():
    far = np.array([[-1e4, 1e4], [1e4, -1e4]])
    assert nn.cross_entropy(far, np.array([0, 0])) == 1e4
    assert nn.binary_cross_entropy(far, np.array([[1, 1], [1, 1]])) == 5e3
    assert np.isfinite(grad(lambda x: nn.cross_entropy(x, np.array([0, 0])))(far)).all()


def test_accuracy_is_the_share_of_largest_logits():
    logits = np.eye(4)[[0, 1, 2, 3, 3]]
    assert nn.accuracy(logits, np.array([0, 1, 2, 0, 3])) == 0.8


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: nn.squared_loss(np.ones((3, 1)), np.ones(3)), r"\(3, 1\) and targets of shape \(3,\)"),
        (lambda: nn.binary_cross_entropy(np.ones((3, 1)), np.ones(3)), "same shape"),
        (lambda: nn.cross_entropy(np.ones((3, 4)), np.ones((3, 4), int)), r"shape \(3,\), not int64"),
        (lambda: nn.cross_entropy(np.ones((3, 4)), np.ones(3)), r"\(3, 4\) and targets of shape \(3,\)"),
        (lambda: nn.negative_log_likelihood(np.ones((3, 4)), np.ones(3)), "not float64"),
        (lambda: nn.accuracy(np.ones((3, 4)), np.ones((3, 4))), r"\(3,\) and targets of shape \(3, 4\)"),
        (lambda: nn.squared_loss(np.ones(3), np.ones(3), np.ones(3)), "must be bool .* not float64"),
        (lambda: nn.squared_loss(np.ones(3), np.ones(3), MASK), r"shape \(3,\).* not bool of shape \(2, 3\)"),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
