"""Arguments that are taken as they are: all of them told by one comparison, since that is made in each call.

>>> alike(KIND, [np.ones(2)], [(np.ndarray, np.dtype(float), (2,))]), alike(KIND, [1.0], [])
(True, False)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

Kind = tuple[type, np.dtype[Any], tuple[int, ...]]  # with the shape
Layout = tuple[type, np.dtype[Any], tuple[int, ...], tuple[int, ...]]  # with shape and strides

KIND: Callable[[Any], Any] = attrgetter("__class__", "dtype", "shape")
LAYOUT: Callable[[Any], Any] = attrgetter("__class__", "dtype", "shape", "strides")
FLOATS = {float, np.float64}


def alike(
    told_by: Callable[[Any], Any], arguments: Sequence[Any], wanted: Sequence[Kind] | Sequence[Layout]
) -> bool:
    """Are the arguments such arrays, and none of them anything else?"""
    try:
        return list(map(told_by, arguments)) == wanted
    except AttributeError:  # a Python number
        return False
