"""Dropout (Srivastava et al. 2014): in training, a random part of a signal is set to zero."""

from __future__ import annotations

from typing import Any

from dagexec import random, xp
from dagexec.array import naming_the_line, shape_of
from dagexec.tracing import block


@naming_the_line
@block
def dropout(key: Any, x: Any, rate: float = 0.5) -> Any:
    """`x` with each number set to 0 with probability `rate`, and the others divided by 1 − rate.

    So the mean stays, and nothing need be scaled at prediction: with None for a key, `x` is returned as it
    is. A step takes its key from its state and hands on another one, made by `split`, for the next. Raises
    ValueError for a rate that is not in [0, 1).

    >>> import numpy as np
    >>> from dagexec import random
    >>> y = dropout(random.key(0), np.ones(1000), rate=0.2)
    >>> np.unique(y).tolist(), bool(0.7 < np.mean(y > 0) < 0.9)
    ([0.0, 1.25], True)
    """
    if not 0 <= rate < 1:
        raise ValueError(f"the rate {rate} must be at least 0 and less than 1")
    if key is None or rate == 0:
        return x
    kept = random.uniform(key, shape_of(x), "float32") >= rate
    return xp.where(kept, x * (1 / (1 - rate)), 0)
