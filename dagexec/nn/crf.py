"""The linear-chain conditional random field (Lafferty et al. 2001): the best tags of a whole sequence.

A network scores each tag at each step; the field adds a score for each pair of neighbours, and for the first
and the last tag. The probability of a sequence of tags is the exponential of its total score, divided by the
sum over all sequences, which one pass from step to step computes: there are tagsᵗⁱᵐᵉ of them.

>>> import numpy as np
>>> field = {"transitions": np.array([[0.0, -9.0], [-9.0, 0.0]]), "start": np.zeros(2), "end": np.zeros(2)}
>>> viterbi(field, np.array([[[2.0, 0.0], [0.0, 1.0], [2.0, 0.0]]])).tolist()  # a switch costs too much
[[0, 0, 0]]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dagexec import random, xp
from dagexec.array import Array, call, naming_the_line, shape_of
from dagexec.nn.initialisers import Initialiser, normal
from dagexec.nn.masks import columns
from dagexec.ops.checking import IN_RANGE
from dagexec.tracing import block


def init_crf(key: Any, tags: int, *, weights: Initialiser | None = None, dtype: Any = "float32") -> Any:
    """Parameters: "transitions" (from tag, to tag), "start" and "end" (tags); small normal numbers.

    >>> {name: p.shape for name, p in init_crf(random.key(0), 4).items()}
    {'transitions': (4, 4), 'start': (4,), 'end': (4,)}
    """
    shapes = {"transitions": (tags, tags), "start": (tags,), "end": (tags,)}
    keys = random.split(key, len(shapes))
    return {
        name: (weights or normal(0.1))(key, shape, dtype) for key, (name, shape) in zip(keys, shapes.items())
    }


@naming_the_line
@block
def crf_log_likelihood(params: Any, scores: Any, tags: Any, mask: Any = None) -> Any:
    """The logarithm of the probability of `tags` (batch, time) for `scores` (batch, time, tags): (batch,).

    Where `mask` (batch, time) is False there is padding, which must come after the sequence. Raises
    ValueError for other shapes, TypeError for tags that are not whole numbers, and IndexError, when it is
    run, for one that is negative or too large where there is no padding.

    >>> field = {"transitions": np.zeros((2, 2)), "start": np.zeros(2), "end": np.zeros(2)}
    >>> np.exp(crf_log_likelihood(field, np.zeros((1, 3, 2)), np.array([[0, 1, 1]]))).round(6)  # 1 of 8
    array([0.125])
    """
    steps = _steps(params, scores, mask)
    tags = tags if isinstance(tags, Array) else np.asarray(tags)
    if tags.dtype.kind not in "iu":
        raise TypeError(f"the tags must be whole numbers, not {tags.dtype.name}")
    if tags.shape != shape_of(scores)[:2]:
        raise ValueError(f"tags of shape {tags.shape} must be (batch, time) {shape_of(scores)[:2]}")
    if mask is not None:
        tags = xp.where(xp.asarray(mask), tags, 0)  # what stands at padding does not matter
    tags = call(IN_RANGE, tags, count=shape_of(scores)[2], what="tag")
    return _score(params, scores, tags, mask) - _all_paths(params, steps)


def _score(params: Any, scores: Any, tags: Any, mask: Any) -> Any:
    """The total score of the given tags."""
    emitted = xp.take_along_axis(scores, tags[..., None], axis=-1)[..., 0]
    moved = params["transitions"][tags[:, :-1], tags[:, 1:]]
    last = tags[:, -1]
    if mask is not None:
        mask = xp.asarray(mask)
        emitted, moved = xp.where(mask, emitted, 0), xp.where(mask[:, 1:], moved, 0)
        ends = xp.sum(xp.astype(mask, np.int64), axis=1, keepdims=True) - 1
        last = xp.take_along_axis(tags, ends, axis=1)[:, 0]
    first = xp.take(params["start"], tags[:, 0], axis=0)
    return first + xp.sum(emitted, axis=1) + xp.sum(moved, axis=1) + xp.take(params["end"], last, axis=0)


def _all_paths(params: Any, steps: list[tuple[Any, Any]]) -> Any:
    """The logarithm of the sum of exp(score) over all sequences: the forward algorithm."""
    total = params["start"] + steps[0][0]  # for each tag, over all sequences that end with it
    for emitted, known in steps[1:]:
        new = xp.logsumexp(total[:, :, None] + params["transitions"], axis=1) + emitted
        total = new if known is None else xp.where(known, new, total)
    return xp.logsumexp(total + params["end"], axis=-1)


@naming_the_line
@block
def viterbi(params: Any, scores: Any, mask: Any = None) -> Any:
    """The most probable tags (batch, time) for `scores` (batch, time, tags), whole numbers (Viterbi 1967).

    `mask` is that of `crf_log_likelihood`; the tag at padding is the last one before it. Raises ValueError
    for other shapes.

    >>> field = {"transitions": np.zeros((2, 2)), "start": np.zeros(2), "end": np.array([0.0, 5.0])}
    >>> viterbi(field, np.array([[[1.0, 0.0], [1.0, 0.0]]])).tolist()
    [[0, 1]]
    """
    steps = _steps(params, scores, mask)
    best, came_from = params["start"] + steps[0][0], []
    for emitted, known in steps[1:]:
        each = best[:, :, None] + params["transitions"]
        origin, new = xp.argmax(each, axis=1), xp.max(each, axis=1) + emitted
        if known is not None:  # at padding, each tag stays what it was
            origin = xp.where(known, origin, np.arange(shape_of(scores)[2]))
            new = xp.where(known, new, best)
        best = new
        came_from.append(origin)
    tag = xp.argmax(best + params["end"], axis=-1)[:, None]
    tags = [tag]
    for origin in reversed(came_from):
        tag = xp.take_along_axis(origin, tag, axis=1)
        tags.append(tag)
    return xp.concat(tags[::-1], axis=1)


def _steps(params: Any, scores: Any, mask: Any) -> list[tuple[Any, Any]]:
    """For each step the scores (batch, tags), and the mask (batch, 1) or None."""
    shape, tags = shape_of(scores), shape_of(params["start"])[0]
    if len(shape) != 3 or not shape[1] or shape[2] != tags:
        raise ValueError(
            f"scores of shape {shape} must be (batch, time, tags), of at least one step, with {tags} tags"
        )
    return list(zip(xp.unstack(scores, axis=1), columns(mask, shape[:2])))
