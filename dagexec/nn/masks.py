"""Masks: arrays of booleans that say which steps of a sequence count, and which places attention may look at.

Sequences of different lengths are padded to one; a (batch, time) mask is False at padding. Attention's masks
broadcast to (batch, heads, queries, keys); `&` combines them.

>>> (padding_mask([[True, True, False]]) & causal_mask(3)).astype(int).tolist()
[[[[1, 0, 0], [1, 1, 0], [1, 1, 0]]]]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dagexec import xp
from dagexec.array import Array
from dagexec.ops.table import broadcast_shapes


def causal_mask(length: int) -> Any:
    """The (length, length) mask with which each place sees itself and those before it.

    >>> causal_mask(3).astype(int).tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    return np.tri(length, dtype=np.bool)


def padding_mask(mask: Any) -> Any:
    """The mask with which nobody looks at padding, where `mask` (batch, time) is False.

    >>> padding_mask([[True, True, False]]).shape
    (1, 1, 1, 3)
    """
    return (mask if isinstance(mask, Array) else np.asarray(mask))[:, None, None, :]


def mask_of_steps(mask: Any, shape: tuple[int, ...]) -> Any:
    """`mask` as an array; ValueError unless it is bool of `shape`, (batch, time)."""
    mask = mask if isinstance(mask, Array) else np.asarray(mask)
    if mask.dtype != np.bool or mask.shape != shape:
        raise ValueError(
            f"the mask must be bool of shape (batch, time) {shape}, "
            f"not {mask.dtype.name} of shape {mask.shape}"
        )
    return mask


def columns(mask: Any, shape: tuple[int, ...]) -> list[Any]:
    """For each step the mask (batch, 1), or None where there is no mask.

    >>> columns([[True, False]], (1, 2))
    [array([[ True]]), array([[False]])]
    """
    if mask is None:
        return [None] * shape[1]
    return [column[:, None] for column in xp.unstack(mask_of_steps(mask, shape), axis=1)]


def mask_of_places(mask: Any, shape: tuple[int, ...]) -> Any:
    """`mask` as an array; an error unless it is bool and broadcasts to `shape`, (..., queries, keys)."""
    mask = mask if isinstance(mask, Array) else np.asarray(mask)
    if mask.dtype != np.bool:
        raise TypeError(f"the mask must be bool, True where a query may look, not {mask.dtype.name}")
    try:
        fits = broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"a mask of shape {mask.shape} does not broadcast to (..., queries, keys) {shape}")
    return mask
