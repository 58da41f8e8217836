"""Assignment as a pure op: `index_put` gives a new array, with values in the places of an index.

The index is written as for `getitem`. Where index arrays name a place more than once the last value stays, as
in NumPy, and only this value has a gradient. `unique` says that no place is named twice; it is worked out
while tracing where the index arrays are known, and spares the gradient rule the search for the last.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.batched import Flags, all_batched
from dagexec.ops.indexing import ascending, filled_index, places, put_batched
from dagexec.ops.table import declare

Index = tuple[Any, ...]


def _index_put_spec(x: Spec, value: Spec, *arrays: Spec, index: Index, unique: bool) -> Spec:
    for array in arrays:
        if array.dtype.kind not in "iu":
            raise IndexError(f"an index array must hold integers, not {array.dtype.name}")
    if value.dtype.kind == "c" and x.dtype.kind != "c":
        raise TypeError(f"{value.dtype.name} values do not fit into an array of {x.dtype.name}: take xp.real")
    target = places(x.shape, tuple(array.shape for array in arrays), index)
    stretched = (1,) * (len(target) - value.ndim) + value.shape
    if len(stretched) > len(target) or any(n not in (1, m) for n, m in zip(stretched, target)):
        raise ValueError(f"a value of shape {value.shape} does not fill the {target} places of the index")
    return x


def _index_put(xp: Any, index: Index, x: Any, value: Any, *arrays: Any) -> Any:
    result = xp.asarray(x, copy=True)
    if xp is np:
        result[filled_index(index, arrays)] = value
        return result
    index, backwards = ascending(index, x.shape)  # not every library can slice backwards
    result = xp.flip(result, axis=backwards)
    result[filled_index(index, arrays)] = xp.astype(value, x.dtype)
    return xp.flip(result, axis=backwards)


def _index_put_kernel(xp: Any, index: Index, unique: bool) -> Any:
    return partial(_index_put, xp, index)


def _index_put_vjp(
    xp: Any, g: Any, y: Any, x: Any, value: Any, *arrays: Any, index: Index, unique: bool
) -> Any:
    overwritten = xp.index_put(g, 0, *arrays, index=index, unique=unique)
    chosen = xp.getitem(g, *arrays, index=index)
    if not unique:
        numbers = np.arange(chosen.size).reshape(chosen.shape)
        last = xp.index_put(np.zeros(x.shape, np.int64), numbers, *arrays, index=index, unique=unique)
        chosen = xp.where(xp.equal(xp.getitem(last, *arrays, index=index), numbers), chosen, 0)
    return (overwritten, chosen, *[None for _ in arrays])


def _index_put_batch(
    xp: Any,
    again: Any,
    size: int,
    batched: Flags,
    x: Any,
    value: Any,
    *arrays: Any,
    index: Index,
    unique: bool,
) -> Any:
    x = all_batched(xp, size, batched[:1], (x,))[0]
    index, operands = put_batched(xp, size, x.shape[1:], index, value, arrays, batched[1:])
    return again(x, *operands, index=index, unique=unique)


declare(
    Op(
        "index_put",
        _index_put_spec,
        _index_put_kernel,
        _index_put_vjp,
        _index_put_batch,
        cost=lambda out, *specs, **params: float(out.size),
        family="index",
        doc="an array with other values at an index; of several for one place, the last",
    )
)
