"""`vmap`: a function of one array made a function of many, by rewriting what it records.

The function is called once, on Arrays that stand for one slice each. What it records is then gone through: a
node that depends on such a slice is recorded again for all slices at once, by the batching rule of its op
(see `ops.batched`); the others stay as they are, computed once. A batch's axis is always the first, in
between; `in_axes` and `out_axes` move it at the ends. So a function of k elementwise nodes stays one of k
nodes, gradients in it are batched like anything else, and batches nest.

>>> import numpy as np
>>> from dagexec import trace
>>> def distance(x, y):
...     return np.sqrt(np.sum((x - y) ** 2))
>>> print(trace(vmap(distance, in_axes=(0, None)))(np.ones((5, 3)), np.ones(3)))
distance(x: float64[5,3], y: float64[3]):
  %2 = subtract(x, y)                            float64[5,3]
  %3 = square(%2)                                float64[5,3]
  %4 = sum(%3, axis=(1,), keepdims=False)        float64[5]
  %5 = sqrt(%4)                                  float64[5]
  return %5
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import optree

from dagexec import xp
from dagexec.array import ALIAS, CURRENT, Array, Trace, as_nodes, at, current_trace, record, user_line
from dagexec.graph import ITEM, Node, Op, Spec, is_scalar_constant
from dagexec.ops.batched import OF_FAMILY, by_slices
from dagexec.ops.table import one_axis
from dagexec.pytrees import NAMESPACE, flatten
from dagexec.tracing import leaf_names, leaf_spec
from dagexec.transform.compiling import at_once, positional

UNMAPPED = object()  # stands for None in a tree of axes, where None would be an empty tree


def _no_kernel(xp: Any) -> Any:
    raise TypeError("one slice of a batch is not computed")


SLICE = Op("slice", lambda: None, _no_kernel, family="structure", doc="stands for one slice of a batch")


def vmap(fn: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """`fn` for many arguments at once: as in a loop over one axis of them, but computed together.

    `in_axes` says which axis of the arguments to go along: a number (negative ones count from the end), None
    for an argument that is the same for all, or a tuple with an entry for each argument, which may be a tree
    like the argument or the beginning of one. Arguments by keyword go along axis 0. `out_axes` says in the
    same way where the results have the new axis; None is for a result that does not depend on the slices.
    Works in a trace and outside, nests, and goes with `grad` and the others in any order.

    Raises ValueError where the axes do not fit the arguments, their lengths differ, or nothing is mapped.

    >>> import numpy as np
    >>> rows, x = np.arange(6.0).reshape(3, 2), np.array([1.0, 10.0])
    >>> vmap(np.dot, in_axes=(0, None))(rows, x)
    array([10., 32., 54.])
    """

    @wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is None:
            return at_once(*positional(wrapped, args, kwargs))
        leaves, structure = flatten((args, kwargs))
        axes = _axes("in_axes", in_axes, args) + _axes("in_axes", 0, kwargs)
        size, axes = _common_length(axes, leaves, _names(fn, args, kwargs))
        flags = [axis is not UNMAPPED for axis in axes]
        whole = [xp.moveaxis(x, axis, 0) if flag else x for x, axis, flag in zip(leaves, axes, flags)]
        result: Any = None

        def of_one(slices: Sequence[Any]) -> list[Any]:
            nonlocal result
            args, kwargs = optree.tree_unflatten(structure, slices)
            result = fn(*args, **kwargs)
            return flatten(result)[0]

        outputs, out_flags = in_batch(of_one, size, whole, flags)
        axes = _axes("out_axes", out_axes, result)
        placed = [_with_axis(x, flag, axis, size) for x, flag, axis in zip(outputs, out_flags, axes)]
        return optree.tree_unflatten(flatten(result)[1], placed)

    return wrapped


# --- the axes at the ends -------------------------------------------------------------------------------
def _error(problem: str) -> ValueError:
    return ValueError(f"vmap: {problem} ({at(user_line())})")


def _axes(name: str, axes: Any, values: Any) -> list[Any]:
    """An axis, or UNMAPPED, for each leaf of `values`; `axes` is a tree that theirs may continue."""
    axes = tuple(axes) if isinstance(axes, list) and isinstance(values, tuple) else axes
    flatten(axes)  # makes its dataclasses known
    marked = optree.tree_map(
        lambda axis: UNMAPPED if axis is None else axis, axes, none_is_leaf=True, namespace=NAMESPACE
    )
    try:
        found = optree.broadcast_prefix(marked, values, namespace=NAMESPACE)
    except ValueError:
        what = "arguments" if name == "in_axes" else "result"
        raise _error(
            f"{name}={axes} does not have the structure of the {what}, {flatten(values)[1]}, or its beginning"
        ) from None
    return [axis if axis is UNMAPPED else _whole_number(name, axis) for axis in found]


def _whole_number(name: str, axis: Any) -> int:
    try:
        return operator.index(axis)
    except TypeError:
        raise TypeError(
            f"vmap: {name} are whole numbers, None, or trees of them, not {axis!r:.60} ({at(user_line())})"
        ) from None


def _names(fn: Callable[..., Any], args: Any, kwargs: Any) -> list[str]:
    """The names of the arguments' leaves, for messages."""
    return leaf_names(fn, flatten(args)[1]) + [
        ".".join(map(str, path)) for path in flatten(kwargs)[1].paths()
    ]


def _common_length(axes: list[Any], leaves: list[Any], names: list[str]) -> tuple[int, list[Any]]:
    """The length of the mapped axes, and these counted from 0."""
    lengths: dict[str, int] = {}
    normal = list(axes)
    for number, (axis, leaf, name) in enumerate(zip(axes, leaves, names)):
        if axis is UNMAPPED:
            continue
        shape = leaf_spec(leaf, name).shape
        if not -len(shape) <= axis < len(shape):
            raise _error(f"argument {name} of shape {shape} has no axis {axis} to map over; None maps none")
        normal[number] = one_axis(axis, len(shape))
        lengths[f"{name} of shape {shape} has {shape[axis]} along axis {axis}"] = shape[axis]
    if not lengths:
        raise _error("no argument is mapped: one of in_axes at least must be a number")
    if len(set(lengths.values())) > 1:
        raise _error(f"the mapped axes differ in length: {', '.join(lengths)}")
    return next(iter(lengths.values())), normal


def _with_axis(x: Array, is_batched: bool, axis: Any, size: int) -> Any:
    """A result with the batch's axis where it is wanted."""
    shape = x.shape[is_batched:]
    if axis is UNMAPPED:
        if is_batched:
            raise _error(f"a result of shape {shape} depends on the mapped arguments: it needs an axis")
        return x
    if not -len(shape) - 1 <= axis <= len(shape):
        raise _error(f"out_axes={axis} is no axis for a result of shape {shape}")
    place = one_axis(axis, len(shape) + 1)
    if is_batched:
        return xp.moveaxis(x, 0, place)
    return xp.broadcast_to(xp.expand_dims(x, place), (*shape[:place], size, *shape[place:]))


# --- from one slice to all ------------------------------------------------------------------------------
def in_batch(
    fn: Callable[[list[Any]], Sequence[Any]], size: int, operands: Sequence[Any], flags: Sequence[bool]
) -> tuple[list[Array], list[bool]]:
    """The results of `fn` for all slices of the operands that `flags` marks, and which of them differ.

    A batch's axis is the first. `fn` is called once, in the current trace.
    """
    recording = current_trace()
    whole = [Array(as_nodes(recording, (x,))[0]) if flag else x for x, flag in zip(operands, flags)]
    start = len(recording.nodes)
    values: dict[Node, Any] = {}
    slices = []
    for x, flag in zip(whole, flags):
        if flag:
            node = recording.add(SLICE, (), {}, Spec(x.shape[1:], x.dtype))
            values[node] = x
        slices.append(Array(node) if flag else x)
    nodes = [as_nodes(recording, (x,))[0] for x in fn(slices)]
    _rewrite(recording, start, values, size)
    return [_of_all(node, values) for node in nodes], [_differs(node, values) for node in nodes]


def _of_all(node: Node, values: dict[Node, Any]) -> Array:
    return values[node] if node in values else Array(node)


def _differs(node: Node, values: dict[Node, Any]) -> bool:
    """Whether a node has a value for each slice: one axis more, which a rule need not give."""
    return node in values and values[node].ndim > node.spec.ndim


def _rewrite(recording: Trace, start: int, values: dict[Node, Any], size: int) -> None:
    """Replace the nodes from `start` on that depend on those in `values`; `values` is told by what."""
    nodes = recording.nodes[start:]
    recording.nodes[start:] = filter(is_scalar_constant, nodes)  # shared, so rules may come upon them
    twins: dict[Node | None, Node] = {}
    for node in nodes:
        if node in values or is_scalar_constant(node):
            continue
        if values.keys().isdisjoint(node.inputs):
            node.grad_of = twins.get(node.grad_of, node.grad_of)
            recording.nodes.append(node)
        elif node.op is ITEM:
            values[node] = values[node.inputs[0]][node.params["index"]]
        elif node.op is ALIAS:
            values[node] = values[node.inputs[0]]
        else:
            before = len(recording.nodes)
            flags = tuple([_differs(source, values) for source in node.inputs])
            inputs = [_of_all(source, values) for source in node.inputs]
            with recording.labels_kept():
                recording.scope, recording.phase, recording.where = node.scope, node.phase, node.where
                recording.grad_of = twins.get(node.grad_of, node.grad_of)
                values[node] = _applied(node, size, flags, inputs)
            twins[node] = _same_op(node, recording.nodes[before:])


def _same_op(node: Node, made: list[Node]) -> Node:
    return next((other for other in reversed(made) if other.op is node.op), made[-1] if made else node)


def _applied(node: Node, size: int, flags: tuple[bool, ...], inputs: Sequence[Any]) -> Any:
    op = node.op
    if True not in flags:
        return record(op, inputs, node.params)
    if size == 0:  # no slice, so nothing to compute; and a rule may ask for an element
        return _nothing(node.spec)
    rule = op.batch or OF_FAMILY.get(op.family, by_slices)
    result = rule(xp, partial(_again, op), size, flags, *inputs, **node.params)
    return _one_by_one(node, size, flags, inputs) if result is NotImplemented else result


def _again(op: Op, *inputs: Any, **params: Any) -> Any:
    return record(op, inputs, params)


def _nothing(spec: Any) -> Any:
    return (
        tuple(map(_nothing, spec))
        if isinstance(spec, tuple)
        else xp.zeros((0, *spec.shape), dtype=spec.dtype)
    )


def _one_by_one(node: Node, size: int, flags: tuple[bool, ...], inputs: Sequence[Any]) -> Any:
    columns = [xp.unstack(x) if flag else (x,) * size for x, flag in zip(inputs, flags)]
    results = [record(node.op, row, node.params) for row in zip(*columns)]
    return tuple(map(xp.stack, zip(*results))) if isinstance(node.spec, tuple) else xp.stack(results)
