"""Ops that only move elements: reshape, transpose, join, split, flip, roll, index.

Most are views in NumPy and cost nothing. `getitem` takes NumPy's basic and integer-array indices: its static
parameter `index` is a tuple of integers, slices, None and Ellipsis, with the string "array" wherever the next
input, an integer array, belongs. Its transpose is `scatter_add`: zeros with values added, each at
its index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import Any

import array_api_compat
import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.batched import Flags, batched_index, in_line, value_in_place
from dagexec.ops.table import broadcast_shapes, declare

Shape = tuple[int, ...]
Indices = tuple[tuple[Any, ...], ...]


def _move(
    name: str,
    infer: Any,
    vjp: Any,
    doc: str,
    *,
    onnx: str | None = None,
    batch: Any = None,
    into: Any = None,
) -> Op:
    """Declare an op on one array whose kernel is NumPy's function of the same name."""
    return declare(
        Op(
            name,
            infer,
            lambda xp, **params: partial(getattr(xp, name), **params),
            (vjp,),
            batch,
            cost=lambda out, *specs, **params: 0.0,
            into=into,
            family="shape",
            onnx=onnx,
            doc=doc,
        )
    )


def _reshape_spec(x: Spec, shape: Shape) -> Spec:
    if Spec(shape, x.dtype).size != x.size:
        raise ValueError(f"{x.size} elements of shape {x.shape} do not fill shape {shape}")
    return Spec(shape, x.dtype)


def _reshape_into(out: Any, x: Any) -> None:
    np.copyto(out.reshape(x.shape), x)  # where a copy is needed at all, `out` lies as a new array does


def _broadcast_spec(x: Spec, shape: Shape) -> Spec:
    if broadcast_shapes(x.shape, shape) != shape:
        raise ValueError(f"shape {x.shape} does not broadcast to {shape}")
    return Spec(shape, x.dtype)


def _expand_spec(x: Spec, axis: Shape) -> Spec:
    lengths = iter(x.shape)
    ndim = x.ndim + len(axis)
    return Spec(tuple(1 if number in axis else next(lengths) for number in range(ndim)), x.dtype)


def _squeeze_spec(x: Spec, axis: Shape) -> Spec:
    for number in axis:
        if x.shape[number] != 1:
            raise ValueError(f"axis {number} of shape {x.shape} has length {x.shape[number]}, not 1")
    return Spec(tuple(n for number, n in enumerate(x.shape) if number not in axis), x.dtype)


def _inverse(axes: Shape) -> Shape:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


_move(
    "reshape",
    _reshape_spec,
    lambda xp, g, y, x, shape: xp.reshape(g, x.shape),
    "the same elements in another shape",
    onnx="Reshape",
    batch=lambda xp, again, size, batched, x, shape: again(x, shape=(size, *shape)),
    into=lambda inputs, out, shape: [(_reshape_into, (out, *inputs))],
)
_move(
    "broadcast_to",
    _broadcast_spec,
    lambda xp, g, y, x, shape: g,  # the derivation sums over what was broadcast
    "repeated along new axes and those of length one",
    onnx="Expand",
    batch=lambda xp, again, size, batched, x, shape: again(
        *in_line(xp, batched, (x,), len(shape)), shape=(size, *shape)
    ),
)
_move(
    "permute_dims",
    lambda x, axes: Spec(tuple(x.shape[number] for number in axes), x.dtype),
    lambda xp, g, y, x, axes: xp.permute_dims(g, _inverse(axes)),
    "axes in another order",
    onnx="Transpose",
    batch=lambda xp, again, size, batched, x, axes: again(x, axes=(0, *(axis + 1 for axis in axes))),
)
_move(
    "expand_dims",
    _expand_spec,
    lambda xp, g, y, x, axis: xp.reshape(g, x.shape),
    "new axes of length one",
    onnx="Unsqueeze",
)
_move(
    "squeeze",
    _squeeze_spec,
    lambda xp, g, y, x, axis: xp.reshape(g, x.shape),
    "without axes of length one",
    onnx="Squeeze",
)
_move(
    "flip",
    lambda x, axis: x,
    lambda xp, g, y, x, axis: xp.flip(g, axis=axis),
    "elements in reverse order",
)
_move(
    "roll",
    lambda x, shift, axis: x,
    lambda xp, g, y, x, shift, axis: xp.roll(g, tuple(-n for n in shift), axis=axis),
    "elements shifted, those pushed out put back at the start",
)


# --- joining and splitting ------------------------------------------------------------------------------
def _concat_spec(*specs: Spec, axis: int) -> Spec:
    first = specs[0]
    for spec in specs[1:]:
        if spec.shape[:axis] != first.shape[:axis] or spec.shape[axis + 1 :] != first.shape[axis + 1 :]:
            raise ValueError(f"shapes {first.shape} and {spec.shape} differ outside of axis {axis}")
    length = sum(spec.shape[axis] for spec in specs)
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    return Spec(shape, np.result_type(*(spec.dtype for spec in specs)))


def _concat_vjp(xp: Any, g: Any, y: Any, *inputs: Any, axis: int) -> Any:
    ends = np.cumsum([x.shape[axis] for x in inputs])
    return xp.split(g, ends[:-1].tolist(), axis=axis)


def _stack_spec(*specs: Spec, axis: int) -> Spec:
    first = specs[0]
    for spec in specs[1:]:
        if spec.shape != first.shape:
            raise ValueError(f"shapes {first.shape} and {spec.shape} differ")
    shape = (*first.shape[:axis], len(specs), *first.shape[axis:])
    return Spec(shape, np.result_type(*(spec.dtype for spec in specs)))


def _stack_vjp(xp: Any, g: Any, y: Any, *inputs: Any, axis: int) -> Any:
    return xp.unstack(g, axis=axis)


def _joined(join: Any, axis: int, *arrays: Any) -> Any:
    return join(arrays, axis=axis)


def _join_kernel(name: str) -> Any:
    return lambda xp, axis: partial(_joined, getattr(xp, name), axis)


declare(
    Op(
        "concat",
        _concat_spec,
        _join_kernel("concat"),
        _concat_vjp,
        cost=lambda out, *specs, **params: 0.0,
        into=lambda inputs, out, axis: [(np.concatenate, (inputs, axis, out))],
        family="shape",
        onnx="Concat",
        doc="arrays joined along an axis they have",
    )
)
declare(
    Op(
        "stack",
        _stack_spec,
        _join_kernel("stack"),
        _stack_vjp,
        cost=lambda out, *specs, **params: 0.0,
        into=lambda inputs, out, axis: [(np.stack, (inputs, axis, out))],
        family="shape",
        doc="arrays joined along a new axis",
    )
)


def _ranges(length: int, sections: Shape) -> list[tuple[int, int]]:
    """Where the pieces of an axis begin and end that is cut at `sections`, as NumPy does."""
    cuts = [min(max(cut if cut >= 0 else cut + length, 0), length) for cut in sections]
    return [(start, max(start, end)) for start, end in zip([0, *cuts], [*cuts, length])]


def _split_spec(x: Spec, sections: Shape, axis: int) -> tuple[Spec, ...]:
    pieces = [end - start for start, end in _ranges(x.shape[axis], sections)]
    return tuple(Spec((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in pieces)


def _split(sections: Shape, axis: int, x: Any) -> Any:
    before = (slice(None),) * axis
    return tuple([x[(*before, slice(*piece))] for piece in _ranges(x.shape[axis], sections)])


def _split_kernel(xp: Any, sections: Shape, axis: int) -> Any:
    return partial(_split, sections, axis)


declare(
    Op(
        "split",
        _split_spec,
        _split_kernel,
        (lambda xp, g, y, x, sections, axis: xp.concat(g, axis=axis),),
        cost=lambda out, *specs, **params: 0.0,
        family="shape",
        onnx="Split",
        doc="pieces of an array, cut along an axis",
    )
)
declare(
    Op(
        "unstack",
        lambda x, axis: (Spec(x.shape[:axis] + x.shape[axis + 1 :], x.dtype),) * x.shape[axis],
        lambda xp, axis: partial(xp.unstack, axis=axis),
        (lambda xp, g, y, x, axis: xp.stack(g, axis=axis),),
        cost=lambda out, *specs, **params: 0.0,
        family="shape",
        doc="an array's slices along an axis",
    )
)


# --- indexing -------------------------------------------------------------------------------------------
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
