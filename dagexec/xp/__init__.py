"""The array namespace, made from the op table: the Array API's names and meanings.

A function given a traced Array records an op; given NumPy arrays or numbers it computes at once. Elementwise
functions and reductions are made from their rows of the op table; the others turn the user's arguments into
the static parameters of an op, or into several ops.

>>> import numpy as np
>>> from dagexec import xp
>>> xp.sum(np.ones((2, 3)), axis=-1)
array([3., 3.])
"""

from inspect import isfunction
from typing import TYPE_CHECKING, Any

from numpy import (
    arange,
    e,
    empty,
    eye,
    float32,
    float64,
    full,
    inf,
    int32,
    int64,
    linspace,
    nan,
    newaxis,
    ones,
    pi,
    zeros,
)
from numpy import bool as bool

from dagexec.array import Array, naming_the_line
from dagexec.xp import protocols
from dagexec.xp.composed import diagonal, diff, pad, repeat, tile, trace, tril, triu
from dagexec.xp.computing import FUNCTIONS, argmax, argmin, asarray, astype, clip, pow, std, var, where
from dagexec.xp.moving import (
    array_split,
    broadcast_to,
    concat,
    expand_dims,
    flip,
    full_like,
    getitem,
    matrix_transpose,
    moveaxis,
    one_hot,
    ones_like,
    permute_dims,
    reshape,
    roll,
    scatter_add,
    split,
    squeeze,
    stack,
    swapaxes,
    take,
    take_along_axis,
    unstack,
    zeros_like,
)
from dagexec.xp.products import dot, einsum, matmul, outer, tensordot, vecdot

if TYPE_CHECKING:  # the functions made from their rows

    def __getattr__(name: str) -> Any: ...


_FUNCTIONS = {
    name: naming_the_line(function)
    for name, function in (FUNCTIONS | globals()).items()
    if isfunction(function) and function.__module__.startswith(__name__)
}
globals().update(_FUNCTIONS)
protocols.connect(_FUNCTIONS)
