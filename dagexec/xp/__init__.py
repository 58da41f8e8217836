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

from numpy import bool as bool
from numpy import (
    complex64,
    complex128,
    e,
    float32,
    float64,
    inf,
    int8,
    int16,
    int32,
    int64,
    nan,
    newaxis,
    pi,
    uint8,
    uint16,
    uint32,
    uint64,
)

from dagexec.array import Array, naming_the_line
from dagexec.xp import fft, linalg, protocols, special
from dagexec.xp.assigning import index_put
from dagexec.xp.composed import diagonal, pad, trace
from dagexec.xp.computing import (
    FUNCTIONS,
    argmax,
    argmin,
    astype,
    clip,
    conj,
    count_nonzero,
    pow,
    real,
    sign,
    std,
    var,
    where,
)
from dagexec.xp.creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from dagexec.xp.data_dependent import nonzero, unique_all, unique_counts, unique_inverse, unique_values
from dagexec.xp.info import __array_namespace_info__, can_cast, finfo, iinfo, isdtype, result_type
from dagexec.xp.moving import (
    array_split,
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    concat,
    expand_dims,
    flip,
    getitem,
    matrix_transpose,
    moveaxis,
    one_hot,
    permute_dims,
    repeat,
    reshape,
    roll,
    scatter_add,
    split,
    squeeze,
    stack,
    swapaxes,
    take,
    take_along_axis,
    tile,
    unstack,
)
from dagexec.xp.products import dot, einsum, matmul, outer, tensordot, vecdot
from dagexec.xp.sorting import argsort, cumulative_prod, cumulative_sum, diff, isin, searchsorted, sort
from dagexec.xp.standard import VERSION, standard
from dagexec.xp.windows import convolution, max_pool, max_pool_pick, max_pool_put

if TYPE_CHECKING:  # the functions made from their rows

    def __getattr__(name: str) -> Any: ...


__array_api_version__ = VERSION
_LOOSE = {  # with NumPy's freedom in how arguments are given
    name: function
    for name, function in (FUNCTIONS | globals()).items()
    if isfunction(function) and function.__module__.startswith(__name__) and function is not standard
}
globals().update({name: naming_the_line(function) for name, function in (_LOOSE | standard(_LOOSE)).items()})
protocols.connect(_LOOSE)
