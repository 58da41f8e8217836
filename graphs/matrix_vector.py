"""A matrix times a vector, summed: the building block of every layer.

The gradient for the matrix is an outer product: entry (i, j) of W meets x[j] alone, and is read once.
Drawn with `--level scalar`, the product falls apart into its multiplications, which can all run side by side,
and its sums.
"""

import numpy as np


def total(W, x):
    """The sum of the entries of W x."""
    return np.sum(W @ x)


def build(rows: int = 3, columns: int = 3, seed: int = 0):
    """A random matrix of `rows` × `columns`, and a vector that fits."""
    random = np.random.default_rng(seed)
    return total, (random.standard_normal((rows, columns)), random.standard_normal(columns))
