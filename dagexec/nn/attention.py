"""Attention: each query looks at all keys and gets a mean of the values, weighed by how well the two fit.

A mask (see masks.py) is an array of booleans that broadcasts to (..., queries, keys), True where a query may
look.

>>> import numpy as np
>>> x = np.eye(2)[None]
>>> attention(100 * x, x, x).round(2).tolist()  # each finds itself
[[[1.0, 0.0], [0.0, 1.0]]]
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from dagexec import random, xp
from dagexec.array import naming_the_line, shape_of
from dagexec.nn.dense import dense, init_dense
from dagexec.nn.initialisers import Initialiser, xavier_uniform
from dagexec.nn.masks import mask_of_places
from dagexec.tracing import block
from dagexec.transform import stop_gradient

PARTS = ("queries", "keys", "values", "outputs")


# --- attention ------------------------------------------------------------------------------------------
@naming_the_line
@block
def attention(queries: Any, keys: Any, values: Any, mask: Any = None) -> Any:
    """softmax(queries @ keysᵀ / √features) @ values (Vaswani et al. 2017, arXiv 1706.03762, section 3.2.1).

    `queries` (..., n, features), `keys` (..., m, features) and `values` (..., m, other) give (..., n, other).
    A query that may look at nothing gets the plain mean of all values. Raises ValueError for shapes that do
    not fit, and TypeError for a mask that is not bool.

    >>> attention(np.zeros((1, 2, 4)), np.ones((1, 3, 4)), np.ones((1, 3, 5))).shape
    (1, 2, 5)
    """
    shapes = shape_of(queries), shape_of(keys), shape_of(values)
    if min(map(len, shapes)) < 2 or shapes[0][-1] != shapes[1][-1] or shapes[1][-2] != shapes[2][-2]:
        raise ValueError(
            "queries {}, keys {} and values {} must be (..., n, features), (..., m, features) and "
            "(..., m, other)".format(*shapes)
        )
    scores = (queries * (1 / sqrt(shapes[0][-1]))) @ xp.matrix_transpose(keys)
    if mask is not None:
        lowest = float(np.finfo(scores.dtype).min) / 2  # finite, so that nothing overflows or becomes NaN
        scores = xp.where(mask_of_places(mask, scores.shape), scores, lowest)
    largest = stop_gradient(xp.max(scores, axis=-1, keepdims=True))  # softmax stays the same for any shift
    weights = xp.exp(scores - largest)
    return (weights @ values) / xp.sum(weights, axis=-1, keepdims=True)  # divides fewer than the weights are


# --- heads ----------------------------------------------------------------------------------------------
def init_multi_head_attention(
    key: Any, features: int, *, weights: Initialiser = xavier_uniform, dtype: Any = "float32"
) -> dict[str, Any]:
    """Parameters of `multi_head_attention`: four dense layers, "queries", "keys", "values" and "outputs".

    >>> init_multi_head_attention(random.key(0), 8)["keys"]["weights"].shape
    (8, 8)
    """
    keys = random.split(key, len(PARTS))
    return {
        part: init_dense(key, features, features, weights=weights, dtype=dtype)
        for part, key in zip(PARTS, keys)
    }


@naming_the_line
@block
def multi_head_attention(params: Any, x: Any, context: Any = None, *, heads: int, mask: Any = None) -> Any:
    """Attention several times side by side, each time to other features (the same paper, section 3.2.2).

    `x` (batch, n, features) asks and `context` (batch, m, features), by default `x` itself, answers; the
    result is (batch, n, features). `mask` broadcasts to (batch, heads, n, m). The heads see disjoint parts of
    the dense layers' outputs. Raises ValueError where the features can't be divided among the heads.

    >>> from dagexec.nn import causal_mask
    >>> params = init_multi_head_attention(random.key(0), 8)
    >>> multi_head_attention(params, np.ones((2, 5, 8)), heads=4, mask=causal_mask(5)).shape
    (2, 5, 8)
    """
    shape = shape_of(x)
    if len(shape) != 3:
        raise ValueError(f"x of shape {shape} must be (batch, time, features)")
    if heads < 1 or shape[-1] % heads:
        raise ValueError(f"{shape[-1]} features can't be divided among {heads} heads")
    context = x if context is None else context
    queries = _split(dense(params["queries"], x), heads)
    keys = _split(dense(params["keys"], context), heads)
    values = _split(dense(params["values"], context), heads)
    seen = attention(queries, keys, values, mask)  # (batch, heads, n, features of a head)
    return dense(params["outputs"], xp.reshape(xp.permute_dims(seen, (0, 2, 1, 3)), shape))


def _split(x: Any, heads: int) -> Any:
    """(batch, time, features) -> (batch, heads, time, features of a head)."""
    batch, time, features = shape_of(x)
    return xp.permute_dims(xp.reshape(x, (batch, time, heads, features // heads)), (0, 2, 1, 3))
