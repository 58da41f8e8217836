"""Losses: how far outputs are from the truth, as one number to make small.

Classes are on the last axis. Labels are whole numbers, of the shape of the logits without that axis; or
probabilities, of the shape of the logits. A loss is the mean over all that it is taken of; `mask`, an array
of booleans (padding is False), leaves out what is not to count.

>>> import numpy as np
>>> round(float(cross_entropy(np.zeros((4, 10)), np.zeros(4, int))), 6)  # log 10: it has no idea
2.302585
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dagexec import xp
from dagexec.array import Array, call, naming_the_line, shape_of
from dagexec.ops import TABLE
from dagexec.ops.checking import IN_RANGE
from dagexec.tracing import block
from dagexec.transform import stop_gradient


@naming_the_line
@block
def squared_loss(outputs: Any, targets: Any, mask: Any = None) -> Any:
    """The mean of (outputs − targets)², over all elements.

    Raises ValueError for shapes that differ, since broadcasting them would compare all with all.

    >>> import numpy as np
    >>> float(squared_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    _require_same(outputs, targets)
    return _mean(xp.square(outputs - targets), mask)


@naming_the_line
@block
def binary_cross_entropy(logits: Any, targets: Any, mask: Any = None) -> Any:
    """The mean surprise at `targets` (1 or 0, or between) where sigmoid(logits) is the probability of 1.

    From logits, since the logarithm of a sigmoid that has become 0 or 1 would be lost. Raises ValueError for
    shapes that differ.

    >>> import numpy as np
    >>> float(binary_cross_entropy(np.array([-1000.0, 1000.0]), np.array([0.0, 0.0])))
    500.0
    """
    _require_same(logits, targets)
    return _mean(
        call(TABLE["softplus"], logits) - logits * xp.astype(xp.asarray(targets), logits.dtype), mask
    )


@naming_the_line
@block
def cross_entropy(logits: Any, labels: Any, mask: Any = None) -> Any:
    """The mean surprise at `labels` where softmax(logits) over the last axis are the probabilities.

    `labels` are whole numbers of shape logits.shape[:-1], or probabilities of the shape of the logits; other
    shapes raise ValueError. A label that is negative or too large, and not masked, raises IndexError when it
    is run.

    >>> import numpy as np
    >>> float(cross_entropy(np.array([[0.0, 1000.0]]), np.array([0])))
    1000.0
    """
    labels = xp.asarray(labels)
    # It stays the same for any shift, and large logits would leave no digits for what follows.
    logits = logits - stop_gradient(xp.max(logits, axis=-1, keepdims=True))
    total = xp.log(xp.sum(xp.exp(logits), axis=-1))  # for whose gradient exp need not be computed again
    if labels.dtype.kind in "iu":
        return _mean(total - _chosen(logits, labels, mask), mask)
    _require_same(logits, labels)
    labels = xp.astype(labels, logits.dtype)
    return _mean(total * xp.sum(labels, axis=-1) - xp.sum(labels * logits, axis=-1), mask)


@naming_the_line
@block
def negative_log_likelihood(log_probabilities: Any, labels: Any, mask: Any = None) -> Any:
    """Minus the mean of the log-probabilities of `labels`, whole numbers that index the last axis.

    Raises as `cross_entropy` does.

    >>> import numpy as np
    >>> float(negative_log_likelihood(np.log([[0.25, 0.75]]), np.array([0])).round(4))
    1.3863
    """
    return -_mean(_chosen(log_probabilities, xp.asarray(labels), mask), mask)


@naming_the_line
def accuracy(logits: Any, labels: Any, mask: Any = None) -> Any:
    """The share of `labels` that have the largest logit, from 0 to 1. No gradient flows through it.

    >>> import numpy as np
    >>> float(accuracy(np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([0, 1])))
    0.5
    """
    guesses = xp.argmax(logits, axis=-1)
    _require_same(guesses, labels)
    return _mean(xp.astype(guesses == labels, np.float64), mask)


# --- what they share ------------------------------------------------------------------------------------
def _mean(losses: Any, mask: Any) -> Any:
    """The mean of all losses, or of those where the mask holds; 0 where it holds nowhere."""
    if mask is None:
        return xp.mean(losses)
    mask = _mask_of(mask, losses.shape)
    count = xp.maximum(xp.sum(mask), 1)
    return xp.sum(xp.where(mask, losses, 0)) / xp.astype(count, losses.dtype)


def _chosen(scores: Any, labels: Any, mask: Any) -> Any:
    """For each label, its score on the last axis; 0 stands for one that is masked."""
    shape = shape_of(scores)
    if labels.dtype.kind not in "iu" or labels.shape != shape[:-1]:
        raise ValueError(
            f"the labels must be whole numbers of shape {shape[:-1]}, "
            f"not {labels.dtype.name} of shape {labels.shape}"
        )
    if mask is not None:
        labels = xp.where(_mask_of(mask, labels.shape), labels, 0)
    labels = call(IN_RANGE, labels, count=shape[-1], what="label")
    return xp.take_along_axis(scores, labels[..., None], axis=-1)[..., 0]


def _mask_of(mask: Any, shape: tuple[int, ...]) -> Any:
    mask = mask if isinstance(mask, Array) else np.asarray(mask)
    if mask.dtype != np.bool or mask.shape != shape:
        raise ValueError(
            f"the mask must be bool of shape {shape}, that of the losses, "
            f"not {mask.dtype.name} of shape {mask.shape}"
        )
    return mask


def _require_same(outputs: Any, targets: Any) -> None:
    if shape_of(outputs) != shape_of(targets):
        raise ValueError(
            f"outputs of shape {shape_of(outputs)} and targets of shape {shape_of(targets)} "
            "must have the same shape"
        )
