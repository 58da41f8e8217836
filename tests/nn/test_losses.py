"""Losses: PyTorch's values and gradients; masks leave out; shapes that do not belong together are refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

import dagexec
from dagexec import grad, nn, random, value_and_grad
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


@pytest.mark.parametrize("offset", [1e4, -1e6])
def test_large_logits_in_float32_cost_no_digits(offset):
    logits = (3 * numbers(0, 2, 3, 4) + offset).astype("float32")
    labels = torch.nn.functional.one_hot(torch.tensor(LABELS), 4).numpy()
    theirs = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    wanted = F.cross_entropy(theirs.permute(0, 2, 1), torch.tensor(LABELS))
    wanted.backward()
    for ours in (LABELS, labels.astype("float32")):
        value, gradient = value_and_grad(nn.cross_entropy)(logits, ours)
        np.testing.assert_allclose(value, wanted.item(), rtol=1e-6)
        np.testing.assert_allclose(gradient, theirs.grad, atol=1e-7)


FIELD = nn.init_crf(random.key(0), 4, dtype="float64")
OUT_OF_RANGE = {
    "cross_entropy": (
        lambda _, *rest: nn.cross_entropy(*rest),
        "label 4, at [0, 1]",
        np.array([[1, 4, 2], [3, 3, 0]]),
    ),
    "negative_log_likelihood": (
        lambda _, *rest: nn.negative_log_likelihood(*rest),
        "label -1, at [1, 2]",
        np.array([[1, 0, 2], [3, 3, -1]]),
    ),
    "crf_log_likelihood": (
        nn.crf_log_likelihood,
        "tag -1, at [1, 0]",
        np.array([[1, 0, 2], [-1, 3, 0]], "int8"),
    ),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_a_label_that_is_no_class_is_refused_with_its_place(name):
    loss, said, labels = OUT_OF_RANGE[name]
    scores = numbers(0, 2, 3, 4)
    said = re.escape(f"the {said}, is not among the 4 there are, 0 to 3")
    with pytest.raises(IndexError, match=said):
        loss(FIELD, scores, labels)
    with pytest.raises(IndexError, match=rf"{said}.*test_losses\.py"):
        dagexec.trace(lambda *args: loss(*args, labels))(FIELD, scores)
    step = dagexec.trace(lambda *args: loss(*args))(FIELD, scores, labels)
    with pytest.raises(IndexError, match=said) as error:
        dagexec.run(step, FIELD, scores, labels)
    assert re.search(rf"in_range.* in {name}\[0\], at .*test_losses\.py", error.value.__notes__[0])


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_where_the_mask_is_false_any_label_will_do(name):
    loss, _, labels = OUT_OF_RANGE[name]
    scores, mask = numbers(0, 2, 3, 4), (labels >= 0) & (labels < 4)
    if name == "crf_log_likelihood":
        labels, mask = labels[:, ::-1], mask[:, ::-1]  # padding comes last
    wanted = loss(FIELD, scores, np.where(mask, labels, 1), mask)
    np.testing.assert_array_equal(loss(FIELD, scores, labels, mask), wanted)


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
