"""The op table: `TABLE[name]` is the one place where everything about an op stands.

Each family of ops has a file beside this one that declares its rows with `declare`. A gradient rule gets
the array namespace as its first argument, like a kernel: `lambda xp, g, y, x: g * xp.cos(x)`. So the table
imports no tracer, a rule run on traced arrays makes graph nodes, and the derivative of a derivative needs
nothing more.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dagexec.graph import CONSTANT, INPUT, ITEM, Node, Op, Spec

TABLE: dict[str, Op] = {op.name: op for op in (INPUT, CONSTANT, ITEM)}

Rule = Callable[..., Any]


def declare(op: Op) -> Op:
    """Add a row to the table; a name stands there once."""
    if op.name in TABLE:
        raise ValueError(f"op {op.name!r} is declared twice")
    TABLE[op.name] = op
    return op


def python_op(function: Callable[..., Any]) -> Op:
    """A plain Python callable as an op: its result has no Spec and no gradient.

    >>> python_op(len).name
    'len'
    """
    name = getattr(function, "__name__", type(function).__name__)
    return Op(name, lambda *specs: None, lambda xp: function, cost=lambda out, *specs: 0.0, family="python")


@lru_cache(maxsize=4096)
def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that `shapes` broadcast to; ValueError where they do not fit."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"shapes {' and '.join(map(str, shapes))} do not broadcast") from None


def as_tuple(value: Any) -> tuple[Any, ...]:
    """One number as a tuple of it, several as they are."""
    return (value,) if isinstance(value, int | np.integer) else tuple(value)


def one_axis(axis: int, ndim: int) -> int:
    """`axis` counted from 0; NumPy's AxisError (an IndexError and ValueError) if there is no such axis.

    >>> one_axis(-1, 3)
    2
    """
    number = operator.index(axis)
    if not -ndim <= number < ndim:
        raise np.exceptions.AxisError(f"axis {axis} is out of bounds for an array of {ndim} dimensions")
    return number % ndim


def normalize_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """`axis` as a sorted tuple of distinct numbers from 0 to ndim - 1; None means all of them.

    >>> normalize_axes((-1, 0), 3)
    (0, 2)
    """
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, tuple | list):
        return (one_axis(axis, ndim),)  # type: ignore[arg-type]
    normal = tuple(sorted([one_axis(number, ndim) for number in axis]))
    if len(set(normal)) < len(normal):
        raise ValueError(f"axis {axis} names a dimension twice")
    return normal


def operations(node: Node) -> float:
    """Estimated number of arithmetic operations of a node; 0 for what costs nothing or is not known."""
    if node.spec is None:
        return 0.0
    return node.op.cost(node.spec, *(source.spec for source in node.inputs), **node.params)


def bytes_moved(node: Node) -> int:
    """Bytes that a node reads and writes, at the least."""
    if node.op.family in ("structure", "shape"):
        return 0
    if node.op.name == "getitem":  # a view, or no more of the array than is chosen
        return 0 if len(node.inputs) == 1 else 2 * node.spec.nbytes
    total = 0
    for one in (node, *node.inputs):
        total += one.spec.nbytes if one.spec.__class__ is Spec else sum(spec.nbytes for spec in specs_of(one))
    return total


def are_numbers(nodes: Iterable[Node]) -> bool:
    """Does each node compute a single number, or only hold or move some?"""
    return all(
        node.spec.__class__ is Spec and node.spec.shape == ()
        if node.op.family == "elementwise"
        else node.op.family in ("structure", "shape", "index")
        for node in nodes
    )


def specs_of(node: Node) -> tuple[Spec, ...]:
    """The specs of all results of a node: one for most, none for a plain callable."""
    if node.spec is None:
        return ()
    return node.spec if isinstance(node.spec, tuple) else (node.spec,)
