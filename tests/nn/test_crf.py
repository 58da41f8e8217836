"""The conditional random field, against its definition: all sequences of tags, one by one."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import nn
from tests.nn.against_torch import DTYPES, numbers, require_same, torch

TAGS, TIME = 3, 4


def field(seed=0, dtype="float64"):
    shapes = {"transitions": (TAGS, TAGS), "start": (TAGS,), "end": (TAGS,)}
    return {
        name: numbers(seed + place, *shape, dtype=dtype) for place, (name, shape) in enumerate(shapes.items())
    }


def score(params, scores, path):
    """The total score of one sequence of tags."""
    total = params["start"][path[0]] + params["end"][path[-1]]
    total = total + sum(scores[t, tag] for t, tag in enumerate(path))
    return total + sum(params["transitions"][a, b] for a, b in pairwise(path))


def likelihoods(params, scores, tags, lengths):
    """By the definition, for each sequence up to its length."""
    found = []
    for each, path, length in zip(scores, tags, lengths):
        paths = product(range(TAGS), repeat=length)
        total = torch.logsumexp(torch.stack([score(params, each, other) for other in paths]), 0)
        found.append(score(params, each, path[:length]) - total)
    return torch.stack(found)


@DTYPES
@pytest.mark.parametrize("lengths", [(TIME, TIME), (2, TIME), (1, 3)])
def test_log_likelihood_is_that_of_all_sequences(lengths, dtype):
    tags = np.random.default_rng(5).integers(0, TAGS, (2, TIME))
    mask = np.arange(TIME) < np.array(lengths)[:, None]
    mask = None if mask.all() else mask
    require_same(
        lambda params, scores: nn.crf_log_likelihood(params, scores, tags, mask),
        lambda params, scores: likelihoods(params, scores, tags, lengths),
        *(field(dtype=dtype), numbers(9, 2, TIME, TAGS, dtype=dtype)),
        dtype=dtype,
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), length=st.integers(1, TIME))
def test_probabilities_add_up_to_1(seed, length):
    tags = np.array(list(product(range(TAGS), repeat=length)))
    scores = np.broadcast_to(numbers(seed, length, TAGS), (len(tags), length, TAGS))
    np.testing.assert_allclose(np.exp(nn.crf_log_likelihood(field(seed), scores, tags)).sum(), 1)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), length=st.integers(1, TIME))
def test_viterbi_finds_the_most_probable_of_all(seed, length):
    params, scores = field(seed), numbers(seed, 2, TIME, TAGS)
    mask = np.arange(TIME) < np.array([[length], [TIME]])
    found = dagexec.jit(nn.viterbi, executor="serial")(params, scores, mask)
    for each, tags, end in zip(scores, found, (length, TIME)):
        best = max(product(range(TAGS), repeat=end), key=lambda path: score(params, each, path))
        np.testing.assert_array_equal(tags[:end], best)
        np.testing.assert_array_equal(tags[end:], best[-1])
    np.testing.assert_array_equal(nn.viterbi(params, scores)[1], found[1])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"scores": np.ones((2, TIME, 2))},
            ValueError,
            r"scores of shape \(2, 4, 2\) must be .* with 3 tags",
        ),
        ({"scores": np.ones((TIME, TAGS))}, ValueError, r"\(4, 3\) must be \(batch, time, tags\)"),
        ({"tags": np.zeros((2, TIME))}, TypeError, "tags must be whole numbers, not float64"),
        (
            {"tags": np.zeros((2, 3), int)},
            ValueError,
            r"tags of shape \(2, 3\) must be \(batch, time\) \(2, 4\)",
        ),
        (
            {"mask": np.ones((2, 3), bool)},
            ValueError,
            r"the mask must be bool of shape \(batch, time\) \(2, 4\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change, error, message):
    given = {"scores": np.ones((2, TIME, TAGS)), "tags": np.zeros((2, TIME), int)} | change
    with pytest.raises(error, match=message):
        nn.crf_log_likelihood(field(), **given)
