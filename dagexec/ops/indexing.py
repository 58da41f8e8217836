"""Elements by index: `getitem`, and `scatter_add`, which puts them back.

`getitem` takes NumPy's basic and integer-array indices: its static parameter `index` is a tuple of integers,
slices, None and Ellipsis, with the string "array" wherever the next input, an integer array, belongs. Its
transpose is `scatter_add`: zeros with values added, each at its index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import Any

import array_api_compat
import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.batched import Flags, batched_index, value_in_place
from dagexec.ops.table import declare

Shape = tuple[int, ...]
Indices = tuple[tuple[Any, ...], ...]


def filled_index(index: tuple[Any, ...], arrays: tuple[Any, ...]) -> Any:
    """`index` with the arrays in their places."""
    if not arrays:
        return index
    remaining = iter(arrays)
    return tuple(next(remaining) if isinstance(entry, str) else entry for entry in index)


def places(
    shape: tuple[int, ...], arrays: tuple[tuple[int, ...], ...], index: tuple[Any, ...]
) -> tuple[int, ...]:
    """The shape of `x[index]` for an `x` of `shape` and index arrays of the shapes `arrays`."""
    # NumPy itself says what shape comes out, asked with arrays that take no memory.
    zeros = tuple(np.broadcast_to(np.intp(0), array) for array in arrays)
    result: tuple[int, ...] = np.empty(shape, "V0")[filled_index(index, zeros)].shape
    return result


def _getitem_spec(x: Spec, *arrays: Spec, index: tuple[Any, ...]) -> Spec:
    for spec in arrays:
        if spec.dtype.kind not in "iu":
            raise IndexError(f"an index array must hold integers, not {spec.dtype.name}")
    return Spec(places(x.shape, tuple(spec.shape for spec in arrays), index), x.dtype)


def ascending(index: tuple[Any, ...], shape: Shape) -> tuple[tuple[Any, ...], Shape]:
    """The same index for an array with some axes reversed, with no slice that goes backwards; and these axes.

    >>> ascending((Ellipsis, slice(None, None, -2)), (3, 6))
    ((Ellipsis, slice(0, 6, 2)), (1,))
    """
    entries, backwards, axis = [], [], 0
    skipped = len(shape) - sum(entry is not None and entry is not Ellipsis for entry in index)
    for entry in index:
        if isinstance(entry, slice) and entry.step is not None and entry.step < 0:
            covered = range(shape[axis])[entry]
            start = shape[axis] - 1 - covered.start if covered else 0
            entry = slice(start, start - covered.step * len(covered), -covered.step)
            backwards.append(axis)
        entries.append(entry)
        axis += skipped if entry is Ellipsis else entry is not None
    return tuple(entries), tuple(backwards)


def _getitem(index: tuple[Any, ...], x: Any, *arrays: Any) -> Any:
    return x[filled_index(index, arrays)]


def _getitem_forward(xp: Any, index: tuple[Any, ...], x: Any, *arrays: Any) -> Any:
    index, backwards = ascending(index, x.shape)
    return _getitem(index, xp.flip(x, axis=backwards) if backwards else x, *arrays)


def _getitem_kernel(xp: Any, index: tuple[Any, ...]) -> Any:
    # Not every library can slice backwards.
    return partial(_getitem, index) if xp is np else partial(_getitem_forward, xp, index)


def _getitem_vjp(xp: Any, g: Any, y: Any, x: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    # An integer index has no gradient.
    return (xp.scatter_add(g, *arrays, shape=x.shape, indices=(index,)), *[None for _ in arrays])


def _getitem_batch(
    xp: Any, again: Any, size: int, batched: Flags, x: Any, *arrays: Any, index: tuple[Any, ...]
) -> Any:
    ndim = x.ndim - batched[0]
    index, found, order = batched_index(index, ndim, size, batched, arrays, xp)
    result = again(x, *found, index=index)
    return xp.permute_dims(result, order(result.ndim))


declare(
    Op(
        "getitem",
        _getitem_spec,
        _getitem_kernel,
        _getitem_vjp,
        _getitem_batch,
        cost=lambda out, *specs, **params: 0.0,
        family="index",
        doc="the elements at an index",
    )
)


def index_of_one_axis(index: tuple[Any, ...], shape: Shape) -> tuple[int, int, int] | None:
    """(axis, start, stop) of an index that takes a number or slice of one axis, all of the others; or None.

    >>> index_of_one_axis((Ellipsis, slice(2, None)), (3, 6)), index_of_one_axis((-1, None), (3, 6))
    ((1, 2, 6), (0, 2, 3))
    """
    skipped = len(shape) - sum(entry is not None and entry is not Ellipsis for entry in index)
    axis, found = 0, None
    for entry in index:
        if entry is None:
            continue
        if entry is Ellipsis:
            axis += skipped
            continue
        if isinstance(entry, str):
            return None
        if entry != slice(None):
            if found is not None:
                return None
            if isinstance(entry, slice):
                start, stop, step = entry.indices(shape[axis])
                if step != 1 or stop <= start:
                    return None
            else:
                start = entry % shape[axis]
                stop = start + 1
            found = axis, start, stop
        axis += 1
    return found


def pieces(indices: Indices, inputs: Sequence[Any]) -> Iterator[tuple[Any, Any, list[Any]]]:
    """The inputs of `scatter_add` in groups: (index, value, index arrays) for each of `indices`."""
    remaining = iter(inputs)
    for index in indices:
        value = next(remaining)
        yield index, value, [next(remaining) for entry in index if isinstance(entry, str)]


def _scatter_add(xp: Any, shape: Shape, indices: Indices, *inputs: Any) -> Any:
    result = xp.zeros(shape, dtype=inputs[0].dtype)
    for index, value, arrays in pieces(indices, inputs):
        if index == ("array",) and result.ndim > 1:
            _add_rows(result, arrays[0], value)
        elif arrays:
            np.add.at(result, filled_index(index, tuple(arrays)), value)
        else:
            result[index] += value
    return result


def _add_rows(result: Any, rows: Any, value: Any) -> None:
    """np.add.at(result, rows, value) by single elements, for which NumPy is several times as fast."""
    size = prod(result.shape[1:])
    elements = rows[..., None].astype(np.int64) * size + np.arange(size)  # right for row −1, too
    values = np.broadcast_to(value, rows.shape + result.shape[1:])
    np.add.at(result.reshape(-1), elements.reshape(-1), values.reshape(-1))


def _scatter_add_elsewhere(xp: Any, shape: Shape, indices: Indices, *inputs: Any) -> Any:
    """The same for any library: index arrays become places in the flattened result."""
    device = array_api_compat.device(inputs[0])
    result = xp.zeros(shape, dtype=inputs[0].dtype, device=device)
    for index, value, arrays in pieces(indices, inputs):
        index, backwards = ascending(index, shape)
        part = xp.zeros_like(result)
        if arrays:
            numbers = xp.reshape(xp.arange(prod(shape), device=device), shape)
            named = numbers[filled_index(index, tuple(arrays))]
            flat, places = xp.reshape(part, (-1,)), xp.reshape(named, (-1,))
            values = xp.reshape(xp.broadcast_to(value, named.shape), (-1,))
            if array_api_compat.is_torch_namespace(xp):
                flat.index_add_(0, places, values)
            else:
                xp.add.at(flat, places, values)
            part = xp.reshape(flat, shape)
        else:
            part[index] += value
        result += xp.flip(part, axis=backwards) if backwards else part
    return result


def _scatter_add_kernel(xp: Any, shape: Shape, indices: Indices) -> Any:
    return partial(_scatter_add if xp is np else _scatter_add_elsewhere, xp, shape, indices)


def _scatter_add_vjp(xp: Any, g: Any, y: Any, *inputs: Any, shape: Shape, indices: Indices) -> Any:
    shares: list[Any] = []
    for index, _, arrays in pieces(indices, inputs):
        shares += [xp.getitem(g, *arrays, index=index), *[None for _ in arrays]]
    return shares


def put_batched(
    xp: Any, size: int, shape: Shape, index: tuple[Any, ...], value: Any, arrays: Sequence[Any], flags: Flags
) -> tuple[tuple[Any, ...], list[Any]]:
    """The index, and value and index arrays, that put many values into a batch of arrays of `shape`.

    `flags` says which of the value and the index arrays are batched.
    """
    ndim = len(places(shape, tuple(x.shape[flag:] for x, flag in zip(arrays, flags[1:])), index))
    index, arrays, order = batched_index(index, len(shape), size, (True, *flags[1:]), arrays, xp)
    return index, [value_in_place(xp, value, flags[0], ndim, order(ndim + 1)), *arrays]


def _scatter_add_batch(
    xp: Any, again: Any, size: int, batched: Flags, *inputs: Any, shape: Shape, indices: Indices
) -> Any:
    moved: list[Any] = []
    new_indices = []
    for (index, value, arrays), (_, flag, flags) in zip(pieces(indices, inputs), pieces(indices, batched)):
        index, operands = put_batched(xp, size, shape, index, value, arrays, (flag, *flags))
        moved += operands
        new_indices.append(index)
    return again(*moved, shape=(size, *shape), indices=tuple(new_indices))


SCATTER_ADD = declare(
    Op(
        "scatter_add",
        lambda value, *others, shape, indices: Spec(shape, value.dtype),
        _scatter_add_kernel,
        _scatter_add_vjp,
        _scatter_add_batch,
        cost=lambda out, *specs, **params: float(out.size),
        family="index",
        doc="zeros with values added, each at its index: the transpose of getitem",
    )
)
