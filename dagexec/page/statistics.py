"""An array in a few numbers: what a page shows of a value or a gradient.

>>> statistics(np.array([[0.0, 1.0], [float("nan"), 3.0]]), side=16)
{'min': 0.0, 'max': 3.0, 'mean': 1.333, 'std': 1.247, 'nan': 1, 'inf': 0, 'grid': [[0.0, 1.0], [None, 3.0]]}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dagexec.graph import Spec

MOST_ELEMENTS = 2**22
SIDES = (16, 12, 8, 6)  # cells of a grid's longer side; with fewer there is nothing to see
MOST_CELLS = 100_000  # of all grids of a page, at some seven characters each
SHADES = 200  # that a grid tells apart

Array = np.ndarray[Any, Any]


def has_statistics(spec: Any) -> bool:
    """Whether arrays of this Spec have statistics: real numbers or truth values, and not too many."""
    return isinstance(spec, Spec) and spec.dtype.kind in "biuf" and 0 < spec.size <= MOST_ELEMENTS


def side_for(specs: Sequence[Spec]) -> int:
    """The longest side of grids with which those of all `specs` stay within the budget; 0 for no grids."""
    tables = [_table_shape(spec.shape) for spec in specs if spec.size > 1]
    for side in SIDES:
        if sum(min(rows, side) * min(columns, side) for rows, columns in tables) <= MOST_CELLS:
            return side
    return 0


@np.errstate(all="ignore")
def statistics(array: Array, side: int) -> dict[str, Any]:
    """Least, largest, mean and standard deviation of the finite elements, the number of others, and a grid.

    The grid is the array as a table (all axes but the last one are rows), averaged in blocks until no side is
    longer than `side`; None stands for a block with an element that is not finite. A single number has none.
    """
    table = array.astype(float).reshape(_table_shape(array.shape))
    numbers = table.ravel()
    others, nan = 0, 0
    if not math.isfinite(np.add.reduce(numbers)):  # or it is the sum that is too large
        finite = np.isfinite(numbers)
        others, nan = array.size - int(np.count_nonzero(finite)), int(np.count_nonzero(np.isnan(numbers)))
        numbers = numbers[finite]
    return {
        **_moments(numbers),
        "nan": nan,
        "inf": others - nan,
        "grid": _grid(table, side) if side and array.size > 1 else None,
    }


def _moments(numbers: Array) -> dict[str, float | None]:
    """Of finite numbers in a row. Divided before they are added, so that the sum does not overflow."""
    if not numbers.size:
        return dict.fromkeys(("min", "max", "mean", "std"))
    mean = np.add.reduce(numbers / numbers.size)
    off = numbers - mean
    return {
        "min": _digits(np.minimum.reduce(numbers)),
        "max": _digits(np.maximum.reduce(numbers)),
        "mean": _digits(mean),
        "std": _digits(math.sqrt(off @ off / numbers.size)),
    }


def _digits(value: Any) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _table_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    columns = shape[-1] if shape else 1
    return math.prod(shape[:-1]), columns


def _grid(table: Array, side: int) -> list[list[float | None]]:
    means = _block_means(_block_means(table, side).T, side).T
    finite = np.isfinite(means)
    reach = float(np.ptp(means[finite])) if finite.any() else 0.0
    scale = reach or float(np.max(np.abs(means[finite]), initial=0.0))
    if scale and math.isfinite(scale):
        means = np.round(means, math.ceil(-math.log10(scale / SHADES)))
    return [[cell if math.isfinite(cell) else None for cell in row] for row in means.tolist()]


@lru_cache(maxsize=256)
def _blocks(length: int, count: int) -> tuple[Array, Array]:
    """The starts and sizes of so many blocks, which are as alike as can be."""
    starts = np.arange(count) * length // count
    return starts, np.diff(starts, append=length)


def _block_means(table: Array, most: int) -> Array:
    """At most so many rows, each the mean of neighbours."""
    rows = len(table)
    if rows <= most:
        return table
    starts, sizes = _blocks(rows, most)
    result: Array = np.add.reduceat(table, starts, axis=0) / sizes[:, None]
    return result
