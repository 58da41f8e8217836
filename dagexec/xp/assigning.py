"""`x[index] = value` on traced arrays: the Array comes to stand for a new value, the old one stays as it was.

Nothing is written anywhere. `index_put` records a new node, and the Array object that was assigned to is
bound to it, so what was computed from the old value before keeps it. Views follow (views.py).

>>> import numpy as np
>>> from dagexec import run, trace
>>> def twice_the_first(x):
...     x[0] *= 2
...     return x
>>> run(trace(twice_the_first)(np.ones(3)), np.ones(3))
array([2., 1., 1.])
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dagexec.array import Array, TracingError, as_nodes, at, call, current_trace, record, shape_of, user_line
from dagexec.ops import TABLE
from dagexec.ops.assignment import places
from dagexec.xp.computing import where
from dagexec.xp.moving import broadcast_to, getitem, normal_index, reshape, scatter_add
from dagexec.xp.views import linked, spread


def index_put(x: Any, value: Any, *arrays: Any, index: tuple[Any, ...], unique: bool = False) -> Any:
    """`x` with `value` at a normal `index`, in which "array" stands for the next of `arrays`."""
    return call(TABLE["index_put"], x, value, *arrays, index=index, unique=unique)


def assigned(x: Array, index: Any, value: Any) -> Any:
    """A new array: `x` with `value` at a NumPy index.

    Raises IndexError where the index does not fit, ValueError where the value does not fill its places, and
    TypeError for complex values in an array that is not.
    """
    if all(_is_everything(entry) for entry in (index if isinstance(index, tuple) else (index,))):
        return _everywhere(x, value)
    mask = _single_mask(index)
    if mask is not None and (type(mask) is Array or np.ndim(value) == 0):
        return _masked(x, mask, value)
    entries, arrays = normal_index(x, index)
    if shape_of(value)[:1] == (1,):
        target = places(x.shape, tuple(shape_of(array) for array in arrays), entries)
        value = _fitting(value, len(target), x.dtype)
    elif not isinstance(value, Array):
        value = _converted(value, x.dtype)
    unique = not arrays or (not _any_traced(arrays) and _all_differ(x.shape, entries, arrays))
    return record(TABLE["index_put"], (x, value, *arrays), {"index": entries, "unique": unique})


def assign(x: Array, index: Any, value: Any) -> None:
    """`x[index] = value`: bind `x` to a new array with `value` at the index."""
    rebind(x, assigned(x, index, value))


def index_view(x: Array, index: Any) -> Any:
    """`x[index]`, for all of NumPy's indices but traced masks; a view, if of slices and numbers only."""
    entries, arrays = normal_index(x, index)
    part = getitem(x, *arrays, index=entries)
    return part if arrays else _linked_part(x, index, part)


def rows(x: Array) -> Iterator[Any]:
    """The parts of `x` along its first axis, one after the other: views, as in NumPy."""
    if not x.shape:
        raise TypeError(f"iteration over a 0-d array ({at(user_line())})")
    parts = x.at_once(TABLE["unstack"], (x,), {"axis": 0})
    return (_linked_part(x, number, part) for number, part in enumerate(parts))


def _linked_part(x: Array, index: Any, part: Any) -> Any:
    return linked(
        x, part, lambda base: index_view(base, index), lambda base, view: assigned(base, index, view)
    )


def assign_in_place(name: str) -> Callable[[Array, Any], Any]:
    """Python's `x += y` and the like by its operator: what else is called `x`, or a view, follows.

    Numbers are no arrays: without axes, only the name gets another value.
    """
    operate = getattr(operator, name)

    def assign(x: Array, other: Any) -> Any:
        result = operate(x, other)
        return store(result, x, in_place=True) if x.shape else result

    return assign


def rebind(x: Array, value: Array) -> Array:
    """Let the Array object `x` stand for another value of its shape and dtype.

    Raises TracingError within a trace for an array that is not traced: it would outlive the trace.
    """
    if type(x) is Array:
        value = value if type(value) is Array else Array(as_nodes(current_trace(), (value,))[0])
    elif type(value) is not type(x):
        raise TracingError(
            f"{x!r} is a constant within a trace and can't be assigned to: assign to xp.zeros_like(x) + x "
            f"({at(user_line())})"
        )
    x.node = value.node
    spread(x)
    return x


def store(result: Any, out: Any, casting: Any = "same_kind", *, in_place: bool = False) -> Any:
    """What `out=` is to hold: `out` itself, bound to `result`.

    A NumPy array cannot hold traced values, and raises TypeError; but for `a += b` (`in_place`), where Python
    gives the name `a` to whatever comes back, it is the result in the array's shape and dtype.
    """
    if not isinstance(out, Array) and not in_place:
        raise TypeError(
            "out= is a NumPy array, which can't hold traced values; make it with xp.zeros, or leave out= away"
        )
    if not np.can_cast(result.dtype, out.dtype, casting):
        raise TypeError(f"a result of {result.dtype.name} does not fit into an array of {out.dtype.name}")
    if not isinstance(result, Array):
        recorded = out.at_once if isinstance(out, Array) else record
        result = recorded(TABLE["broadcast_to"], (result,), {"shape": out.shape})
    result = _in_dtype(broadcast_to(result, out.shape), out.dtype)
    return rebind(out, result) if isinstance(out, Array) else result


def added_at(x: Array, index: Any, value: Any) -> Any:
    """A new array: `x` with `value` added at an index, as often as it names a place."""
    entries, arrays = normal_index(x, index)
    target = places(x.shape, tuple(shape_of(array) for array in arrays), entries)
    value = broadcast_to(_fitting(value, len(target), x.dtype), target)
    if isinstance(value, Array):
        value = _in_dtype(value, x.dtype)
    return x + scatter_add(value, *arrays, shape=x.shape, indices=(entries,))


def _everywhere(x: Array, value: Any) -> Any:
    """`value` in the shape and dtype of `x`."""
    value = _fitting(value, x.ndim, x.dtype)
    if not isinstance(value, Array):
        value = x.at_once(TABLE["broadcast_to"], (value,), {"shape": x.shape})
    return broadcast_to(_in_dtype(value, x.dtype), x.shape)


def _in_dtype(value: Array, dtype: np.dtype[Any]) -> Any:
    if value.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError(f"{value.dtype.name} values do not fit into an array of {dtype.name}: take xp.real")
    return value if value.dtype == dtype else call(TABLE["astype"], value, dtype=dtype)


def _single_mask(index: Any) -> Any:
    """The mask of `x[mask]`, `x[mask, ...]` and `x[mask, :]`; None for other indices."""
    while isinstance(index, tuple) and len(index) > 1 and _is_everything(index[-1]):
        index = index[:-1]
    if isinstance(index, tuple) and len(index) == 1:
        index = index[0]
    if isinstance(index, Array | np.ndarray) and index.dtype == np.bool and index.ndim:
        return index
    return None


def _is_everything(entry: Any) -> bool:
    return entry is Ellipsis or (isinstance(entry, slice) and entry == slice(None))


def _masked(x: Array, mask: Any, value: Any) -> Any:
    if mask.shape != x.shape[: mask.ndim]:
        raise IndexError(f"a mask of shape {mask.shape} does not fit an array of shape {x.shape}")
    rest = x.shape[mask.ndim :]
    shape = shape_of(value)
    if len(shape) == len(rest) + 1 and shape[0] == 1:
        value = reshape(value, shape[1:])
    elif len(shape) > len(rest):
        raise ValueError(
            f"a value of shape {shape} for x[mask]: how many places there are depends on the mask's values, "
            f"which a trace does not know; give one value for all, or use xp.where(mask, value, x) with a "
            f"value in the shape {x.shape}"
        )
    value = _fitting(value, len(rest), x.dtype)
    if isinstance(value, Array):
        value = _in_dtype(value, x.dtype)
    return where(reshape(mask, mask.shape + (1,) * len(rest)), value, x)


def _fitting(value: Any, ndim: int, dtype: np.dtype[Any]) -> Any:
    """A value without leading axes of length one that its places do not have; if known, in their dtype."""
    if not isinstance(value, Array):
        value = _converted(value, dtype)
    shape = shape_of(value)
    while len(shape) > ndim and shape[0] == 1:
        shape = shape[1:]
    return value if shape == shape_of(value) else reshape(value, shape)


def _converted(value: Any, dtype: np.dtype[Any]) -> Any:
    """A known value in the dtype of its array; a complex one among reals stays, for the op to refuse."""
    given = np.asarray(value)
    return given if given.dtype.kind == "c" and dtype.kind != "c" else np.asarray(value, dtype)


def _any_traced(arrays: list[Any]) -> bool:
    return any(isinstance(array, Array) for array in arrays)


def _all_differ(shape: tuple[int, ...], index: tuple[Any, ...], arrays: list[Any]) -> bool:
    """Whether known index arrays name each place once."""
    lengths = _indexed_lengths(shape, index)
    rows = np.broadcast_arrays(*[array % length for array, length in zip(arrays, lengths)])
    named = np.stack([row.ravel() for row in rows])
    return bool(np.unique(named, axis=1).shape[1] == named.shape[1])


def _indexed_lengths(shape: tuple[int, ...], index: tuple[Any, ...]) -> list[int]:
    """The lengths of the axes that the index arrays are for."""
    taken = sum(entry is not None and entry is not Ellipsis for entry in index)
    lengths: list[int] = []
    axis = 0
    for entry in index:
        if entry is Ellipsis:
            axis += len(shape) - taken
        elif entry is not None:
            if isinstance(entry, str):
                lengths.append(shape[axis])
            axis += 1
    return lengths
