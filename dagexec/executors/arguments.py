"""Arguments that are taken as they are: all of them told by one comparison, since that is made in each call.

>>> import dagexec
>>> kinds = kinds_of(dagexec.trace(lambda x: x + 1)(np.ones(2)).inputs)
>>> alike(KIND, [np.zeros(2)], kinds), alike(KIND, [np.zeros(3)], kinds), alike(KIND, [1.0], kinds)
(True, False, False)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from dagexec.graph import Node, Spec

Kind = tuple[type, np.dtype[Any], tuple[int, ...]]  # with the shape
Layout = tuple[type, np.dtype[Any], tuple[int, ...], tuple[int, ...]]  # with shape and strides

KIND: Callable[[Any], Any] = attrgetter("__class__", "dtype", "shape")
LAYOUT: Callable[[Any], Any] = attrgetter("__class__", "dtype", "shape", "strides")
FLOATS = {float, np.float64}


def kinds_of(inputs: Iterable[Node]) -> list[Kind]:
    """What arrays are that stand for inputs as they were traced."""
    return [(np.ndarray, node.spec.dtype, node.spec.shape) for node in inputs]


def alike(
    told_by: Callable[[Any], Any], arguments: Sequence[Any], wanted: Sequence[Kind] | Sequence[Layout]
) -> bool:
    """Are the arguments such arrays, and none of them anything else?"""
    try:
        return list(map(told_by, arguments)) == wanted
    except AttributeError:  # a Python number
        return False


class Accepts:
    """Are the arguments arrays as a graph takes them, or floats in the place of all of them?"""

    def __init__(self, inputs: Sequence[Node]) -> None:
        self._kinds = kinds_of(inputs)
        self.all_floats = {node.spec for node in inputs} <= {Spec((), float)}

    def __call__(self, arguments: Sequence[Any]) -> bool:
        if self.all_floats and FLOATS.issuperset(map(type, arguments)):
            return True
        return alike(KIND, arguments, self._kinds)
