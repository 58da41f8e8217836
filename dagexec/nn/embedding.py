"""Embeddings: a vector for each token, and one for each place in a sequence.

A model that looks at all places at once does not see their order; so vectors that differ from place to place
are added: waves of sines, which are not learned, or rows of a table, which are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dagexec import xp
from dagexec.array import Array, call, naming_the_line, shape_of
from dagexec.nn.initialisers import Initialiser, normal
from dagexec.ops.checking import IN_RANGE
from dagexec.tracing import block


def init_embedding(
    key: Any, tokens: int, features: int, *, weights: Initialiser | None = None, dtype: Any = "float32"
) -> dict[str, Any]:
    """Parameters of `embedding`: a row for each token, by default of standard normal numbers.

    >>> from dagexec import random
    >>> init_embedding(random.key(0), 100, 8)["weights"].shape
    (100, 8)
    """
    return {"weights": (weights or normal(1.0))(key, (tokens, features), dtype)}


@naming_the_line
@block
def embedding(params: Any, tokens: Any) -> Any:
    """The vector of each token: whole numbers of any shape become (*shape, features).

    The gradient is the sum over all places of a token. Raises TypeError unless the tokens are integers, and
    IndexError, when it is run, for one that is negative or too large.

    >>> import numpy as np
    >>> embedding({"weights": np.array([[1.0, 2.0], [3.0, 4.0]])}, np.array([1, 0])).tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    """
    tokens = tokens if isinstance(tokens, Array) else np.asarray(tokens)
    if tokens.dtype.kind not in "iu":
        raise TypeError(f"tokens must be whole numbers, not {tokens.dtype.name}")
    weights = params["weights"]
    tokens = call(IN_RANGE, tokens, count=shape_of(weights)[0], what="token")
    return xp.take(weights, tokens, axis=0)


def sinusoidal_positions(length: int, features: int, *, dtype: Any = "float32") -> Any:
    """(length, features) numbers: sines of the place in even columns, cosines in odd ones.

    Wave lengths grow from 2π to 10,000 × 2π (Vaswani et al. 2017, arXiv 1706.03762, section 3.5). Raises
    ValueError for an odd number of features.

    >>> sinusoidal_positions(2, 4).round(2).tolist()[0]
    [0.0, 1.0, 0.0, 1.0]
    """
    if features % 2:
        raise ValueError(f"{features} features cannot be pairs of a sine and a cosine: take an even number")
    angles = np.arange(length)[:, None] / 10_000 ** (np.arange(0, features, 2) / features)
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return waves.reshape(length, features).astype(dtype)


@naming_the_line
@block
def add_sinusoidal_positions(x: Any) -> Any:
    """`x` (..., time, features) plus `sinusoidal_positions`.

    >>> import numpy as np
    >>> add_sinusoidal_positions(np.zeros((5, 3, 4))).shape
    (5, 3, 4)
    """
    time, features = shape_of(x)[-2:]
    return x + sinusoidal_positions(time, features, dtype=x.dtype)


def init_positions(
    key: Any, length: int, features: int, *, weights: Initialiser | None = None, dtype: Any = "float32"
) -> dict[str, Any]:
    """Parameters of `add_positions`: a row for each place, by default of normal numbers of scale 0.02.

    >>> from dagexec import random
    >>> init_positions(random.key(0), 16, 8)["weights"].shape
    (16, 8)
    """
    return {"weights": (weights or normal(0.02))(key, (length, features), dtype)}


@naming_the_line
@block
def add_positions(params: Any, x: Any) -> Any:
    """`x` (..., time, features) plus the learned vector of each place.

    Raises ValueError for a sequence longer than the table.

    >>> import numpy as np
    >>> add_positions({"weights": np.ones((10, 4))}, np.zeros((5, 3, 4))).shape
    (5, 3, 4)
    """
    shape, table = shape_of(x), shape_of(params["weights"])
    if len(shape) < 2 or shape[-2] > table[0] or shape[-1] != table[1]:
        raise ValueError(f"x of shape {shape} does not fit the positions (places, features) {table}")
    return x + params["weights"][: shape[-2]]
