"""Ops that only move elements: reshape, transpose, join, split, flip, roll.

Most are views in NumPy and cost nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.batched import in_line
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
