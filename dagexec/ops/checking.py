"""A check of values as a node: what a shape cannot tell is found out while running, and named.

>>> import numpy as np
>>> in_range(np, count=3, what="label")(np.array([0, 2]))
array([0, 2])
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dagexec.graph import Op
from dagexec.ops.table import declare


def in_range(xp: Any, count: int, what: str) -> Any:
    """The kernel that copies whole numbers; IndexError unless all are from 0 to `count` − 1.

    The result is a copy, since what looks like a view of its input may be made once for many runs.
    """
    return partial(_checked if xp is np else _checked_elsewhere, xp, count, what)


def _checked(xp: Any, count: int, what: str, numbers: Any) -> Any:
    dtype = numbers.dtype
    limit = min(count, 1 << (8 * dtype.itemsize - 1)) if dtype.kind == "i" else count
    unsigned = numbers.view(dtype.str.replace("i", "u"))  # in which what is negative is large
    if numbers.size and unsigned.max() >= limit:
        _refuse(count, what, numbers)
    return numbers.copy()


def _checked_elsewhere(xp: Any, count: int, what: str, numbers: Any) -> Any:
    if 0 not in numbers.shape and (int(xp.min(numbers)) < 0 or int(xp.max(numbers)) >= count):
        _refuse(count, what, np.asarray(numbers.tolist()))
    return xp.asarray(numbers, copy=True)


def _refuse(count: int, what: str, numbers: Any) -> None:
    wrong = (numbers < 0) | (numbers >= count)
    place = tuple(np.argwhere(wrong)[0].tolist())
    raise IndexError(
        f"the {what} {numbers[place]}, at {list(place)}, is not among the {count} there are, 0 to {count - 1}"
    )


IN_RANGE = declare(
    Op(
        "in_range",
        lambda numbers, count, what: numbers,
        in_range,
        batch=lambda xp, again, size, batched, numbers, **params: again(numbers, **params),
        cost=lambda out, *specs, **params: float(out.size),
        family="index",
        doc="the same whole numbers, if all are from 0 to count − 1; else an IndexError",
    )
)
