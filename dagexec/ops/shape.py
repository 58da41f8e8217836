"""Ops that only move elements: reshape, transpose, join, split, flip, roll, index.

Most are views in NumPy and cost nothing. `getitem` takes NumPy's basic and integer-array indices: its static
parameter `index` is a tuple of integers, slices, None and Ellipsis, with the string "array" wherever the next
input, an integer array, belongs. Its transpose is `scatter_add`: zeros with values added, each at
its index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.table import broadcast_shapes, declare

Shape = tuple[int, ...]
Indices = tuple[tuple[Any, ...], ...]


def _move(name: str, infer: Any, vjp: Any, doc: str, *, onnx: str | None = None) -> Op:
    """Declare an op on one array whose kernel is NumPy's function of the same name."""
    return declare(
        Op(
            name,
            infer,
            lambda xp, **params: partial(getattr(xp, name), **params),
            (vjp,),
            cost=lambda out, *specs, **params: 0.0,
            family="shape",
            onnx=onnx,
            doc=doc,
        )
    )


def _reshape_spec(x: Spec, shape: Shape) -> Spec:
    if Spec(shape, x.dtype).size != x.size:
        raise ValueError(f"{x.size} elements of shape {x.shape} do not fill shape {shape}")
    return Spec(shape, x.dtype)


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
)
_move(
    "broadcast_to",
    _broadcast_spec,
    lambda xp, g, y, x, shape: g,  # the derivation sums over what was broadcast
    "repeated along new axes and those of length one",
    onnx="Expand",
)
_move(
    "permute_dims",
    lambda x, axes: Spec(tuple(x.shape[number] for number in axes), x.dtype),
    lambda xp, g, y, x, axes: xp.permute_dims(g, _inverse(axes)),
    "axes in another order",
    onnx="Transpose",
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
        family="shape",
        doc="arrays joined along a new axis",
    )
)


def _split_spec(x: Spec, sections: Shape, axis: int) -> tuple[Spec, ...]:
    length = x.shape[axis]
    cuts = [min(max(cut if cut >= 0 else cut + length, 0), length) for cut in sections]
    pieces = [max(end - start, 0) for start, end in zip([0, *cuts], [*cuts, length])]
    return tuple(Spec((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in pieces)


def _split(xp: Any, sections: Shape, axis: int, x: Any) -> Any:
    return tuple(xp.split(x, sections, axis=axis))


def _split_kernel(xp: Any, sections: Shape, axis: int) -> Any:
    return partial(_split, xp, sections, axis)


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


def _getitem_spec(x: Spec, *arrays: Spec, index: tuple[Any, ...]) -> Spec:
    # NumPy itself says what shape comes out, asked with arrays that take no memory.
    stand_in = np.empty(x.shape, "V0")
    zeros = tuple(np.broadcast_to(np.intp(0), spec.shape) for spec in arrays)
    for spec in arrays:
        if spec.dtype.kind not in "iu":
            raise IndexError(f"an index array must hold integers, not {spec.dtype.name}")
        if x.size == 0:
            raise IndexError(f"an array of shape {x.shape} has no element for an index array to fetch")
    return Spec(stand_in[filled_index(index, zeros)].shape, x.dtype)


def _getitem(index: tuple[Any, ...], x: Any, *arrays: Any) -> Any:
    return x[filled_index(index, arrays)]


def _getitem_kernel(xp: Any, index: tuple[Any, ...]) -> Any:
    return partial(_getitem, index)


def _getitem_vjp(xp: Any, g: Any, y: Any, x: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    # An integer index has no gradient.
    return (xp.scatter_add(g, *arrays, shape=x.shape, indices=(index,)), *[None for _ in arrays])


declare(
    Op(
        "getitem",
        _getitem_spec,
        _getitem_kernel,
        _getitem_vjp,
        cost=lambda out, *specs, **params: 0.0,
        family="index",
        doc="the elements at an index",
    )
)


def pieces(indices: Indices, inputs: Sequence[Any]) -> Iterator[tuple[Any, Any, list[Any]]]:
    """The inputs of `scatter_add` in groups: (index, value, index arrays) for each of `indices`."""
    remaining = iter(inputs)
    for index in indices:
        value = next(remaining)
        yield index, value, [next(remaining) for entry in index if isinstance(entry, str)]


def _scatter_add(xp: Any, shape: Shape, indices: Indices, *inputs: Any) -> Any:
    result = xp.zeros(shape, dtype=inputs[0].dtype)
    for index, value, arrays in pieces(indices, inputs):
        if arrays:
            np.add.at(result, filled_index(index, tuple(arrays)), value)
        else:
            result[index] += value
    return result


def _scatter_add_kernel(xp: Any, shape: Shape, indices: Indices) -> Any:
    return partial(_scatter_add, xp, shape, indices)


def _scatter_add_vjp(xp: Any, g: Any, y: Any, *inputs: Any, shape: Shape, indices: Indices) -> Any:
    shares: list[Any] = []
    for index, _, arrays in pieces(indices, inputs):
        shares += [xp.getitem(g, *arrays, index=index), *[None for _ in arrays]]
    return shares


SCATTER_ADD = declare(
    Op(
        "scatter_add",
        lambda value, *others, shape, indices: Spec(shape, value.dtype),
        _scatter_add_kernel,
        _scatter_add_vjp,
        cost=lambda out, *specs, **params: float(out.size),
        family="index",
        doc="zeros with values added, each at its index: the transpose of getitem",
    )
)
