"""Along which axes a node can be cut: which axes of its operands run along with each axis of its result.

A product of matrices can be cut into rows, by the rows of its first operand; into columns, by those of the
second; or along the axis that it sums over, into terms that are added:

>>> import numpy as np, dagexec
>>> product = dagexec.trace(lambda a, b: a @ b)(np.ones((4, 6)), np.ones((6, 8))).outputs[0]
>>> axes_of(product)
Axes(kept=[[(0, 0)], [(1, 1)]], folded=[[(0, 1), (1, 0)]])

What is cut is cut in proportion. So an axis also runs along with one that is made of it and others behind it:
an image of 8 rows as a vector is cut in halves where the rows are.

An op of which nothing is known here can't be cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any, NamedTuple

from dagexec import xp
from dagexec.graph import ITEM, Node, Spec
from dagexec.ops import TABLE

Axis = tuple[int, int]  # an operand's number, and one of its axes
SPLIT = TABLE["split"]
Together = list[Axis]


class Axes(NamedTuple):
    """How a node may be cut.

    `kept` has for each axis of the result (of each of the results, which must agree) the operands' axes that
    are cut with it; None if it can't be cut. `folded` has groups of operands' axes that are cut together and
    leave results to be combined.
    """

    kept: Sequence[Together | None]
    folded: Sequence[Together] = ()


NONE = Axes(())


def axes_of(node: Node) -> Axes:
    """How a node may be cut."""
    if node.op is ITEM:
        whole = node.inputs[0]
        return _moving(node.spec, node.spec, axis=(whole.params["axis"],)) if whole.op is SPLIT else NONE
    rule = OF_OP.get(node.op.name) or OF_FAMILY.get(node.op.family)
    specs = [source.spec for source in node.inputs]
    if rule is None or any(spec.__class__ is not Spec for spec in specs):
        return NONE
    return rule(node.spec, *specs, **node.params)


def resized(node: Node, axis: int, length: int) -> dict[str, Any]:
    """The parameters of a node of which only so much is computed along an axis of the result."""
    params = dict(node.params)
    if "shape" in params:
        shape = list(params["shape"])
        shape[axis] = length
        params["shape"] = tuple(shape)
    return params


# --- rules: of a result's Spec, the operands' Specs and the parameters ---------------------------------
def _elementwise(out: Spec, *specs: Spec, **params: Any) -> Axes:
    kept: list[Together | None] = [[] for _ in out.shape]
    for number, spec in enumerate(specs):
        missing = out.ndim - spec.ndim
        for axis, length in enumerate(spec.shape):
            together = kept[missing + axis]
            if together is not None and length == out.shape[missing + axis]:
                together.append((number, axis))
    return Axes(kept)


def _matmul(out: Spec, a: Spec, b: Spec) -> Axes:
    stack = Spec(out.shape[: max(a.ndim, b.ndim, 2) - 2], out.dtype)
    kept = [*_elementwise(stack, Spec(a.shape[:-2], a.dtype), Spec(b.shape[:-2], b.dtype)).kept]
    if a.ndim > 1:
        kept.append([(0, a.ndim - 2)])
    if b.ndim > 1:
        kept.append([(1, b.ndim - 1)])
    return Axes(kept, [[(0, a.ndim - 1), (1, max(b.ndim - 2, 0))]])


def _reduction(out: Spec, x: Spec, *, axis: tuple[int, ...], keepdims: bool, **params: Any) -> Axes:
    kept: list[Together | None] = []
    for number in range(x.ndim):
        if number not in axis:
            kept.append([(0, number)])
        elif keepdims:
            kept.append(None)
    return Axes(kept)


def _folding(out: Spec, x: Spec, *, axis: tuple[int, ...], keepdims: bool) -> Axes:
    return Axes(_reduction(out, x, axis=axis, keepdims=keepdims).kept, [[(0, number)] for number in axis])


def _reshape(out: Spec, x: Spec, *, shape: tuple[int, ...]) -> Axes:
    """An axis is the first part of another, or the same, if as many elements stand before both."""
    before = {prod(x.shape[:axis]): axis for axis, length in enumerate(x.shape) if length > 1}
    found = [before.get(prod(shape[:axis])) if length > 1 else None for axis, length in enumerate(shape)]
    return Axes([None if axis is None else [(0, axis)] for axis in found])


def _permute(out: Spec, x: Spec, *, axes: tuple[int, ...]) -> Axes:
    return Axes([[(0, axis)] for axis in axes])


def _expand(out: Spec, x: Spec, *, axis: tuple[int, ...]) -> Axes:
    numbers = iter(range(x.ndim))
    return Axes([None if number in axis else [(0, next(numbers))] for number in range(out.ndim)])


def _squeeze(out: Spec, x: Spec, *, axis: tuple[int, ...]) -> Axes:
    return Axes([[(0, number)] for number in range(x.ndim) if number not in axis])


def _moving(out: Spec, x: Spec, *, axis: tuple[int, ...], **params: Any) -> Axes:
    return Axes([None if number in axis else [(0, number)] for number in range(x.ndim)])


def _concat(out: Spec, *specs: Spec, axis: int) -> Axes:
    alike = _elementwise(out, *specs).kept
    return Axes([None if number == axis else together for number, together in enumerate(alike)])


def _stack(out: Spec, *specs: Spec, axis: int) -> Axes:
    kept: list[Together | None] = [*_elementwise(specs[0], *specs).kept]
    return Axes([*kept[:axis], None, *kept[axis:]])


def _split(out: tuple[Spec, ...], x: Spec, *, sections: Any, axis: int) -> Axes:
    return Axes([None if number == axis else [(0, number)] for number in range(x.ndim)])


def _entries(index: tuple[Any, ...], ndim: int) -> list[Any]:
    """An index with a slice for each axis that it leaves out."""
    missing = ndim - sum(entry is not None and entry is not Ellipsis for entry in index)
    place = index.index(Ellipsis) if Ellipsis in index else len(index)
    return [*index[:place], *(slice(None),) * missing, *index[place + 1 :]]


def _viewed(index: tuple[Any, ...], ndim: int) -> list[int | None]:
    """For each axis of `x[index]`, without index arrays, the axis of x that it is all of."""
    axis, found = 0, list[int | None]()
    for entry in _entries(index, ndim):
        if entry is None or isinstance(entry, slice):
            found.append(axis if entry == slice(None) else None)
        axis += entry is not None
    return found


def _getitem(out: Spec, x: Spec, *arrays: Spec, index: tuple[Any, ...]) -> Axes:
    if not arrays:
        return Axes([None if axis is None else [(0, axis)] for axis in _viewed(index, x.ndim)])
    if any(entry != "array" for entry in index):
        return NONE
    first = _elementwise(Spec(out.shape[: out.ndim - x.ndim + len(arrays)], out.dtype), *arrays).kept
    of_arrays = [[(number + 1, axis) for number, axis in together or ()] for together in first]
    return Axes([*of_arrays, *([(0, axis)] for axis in range(len(arrays), x.ndim))])


def _scatter_add(out: Spec, *specs: Spec, shape: tuple[int, ...], indices: tuple[Any, ...]) -> Axes:
    if len(specs) == 2 and indices == (("array",),) and specs[0].ndim == specs[1].ndim + out.ndim - 1:
        named = specs[1].ndim
        rows: list[Together] = [[(0, axis), (1, axis)] for axis in range(named)]
        return Axes([None, *([(0, named + axis)] for axis in range(out.ndim - 1))], rows)
    viewed = [_viewed(index, out.ndim) for index in indices if "array" not in index]
    if len(viewed) < len(specs) or any(len(axes) != spec.ndim for axes, spec in zip(viewed, specs)):
        return NONE
    kept: list[Together | None] = []
    for axis, length in enumerate(shape):
        everywhere = all(axis in axes for axes in viewed)
        together = [(number, axes.index(axis)) for number, axes in enumerate(viewed)] if everywhere else None
        if together and all(specs[number].shape[place] == length for number, place in together):
            kept.append(together)
        else:
            kept.append(None)
    return Axes(kept)


def _convolution(out: Spec, x: Spec, weights: Spec, *, groups: int, **params: Any) -> Axes:
    space = [None for _ in out.shape[2:]]
    if groups > 1:
        return Axes([[(0, 0)], None, *space])
    return Axes([[(0, 0)], [(1, 0)], *space], [[(0, 1), (1, 1)]])


def _pooling(out: Spec, *specs: Spec, **params: Any) -> Axes:
    both: list[Together] = [[(number, axis) for number in range(len(specs))] for axis in (0, 1)]
    return Axes([*both, *(None for _ in out.shape[2:])])


OF_FAMILY: dict[str, Callable[..., Axes]] = {
    "elementwise": _elementwise,
    "reduction": _reduction,
    "special": _elementwise,
    "pooling": _pooling,
}
OF_OP: dict[str, Callable[..., Axes]] = {
    "matmul": _matmul,
    **dict.fromkeys(("sum", "mean", "prod", "max", "min", "all", "any"), _folding),
    "reshape": _reshape,
    "broadcast_to": _elementwise,
    "permute_dims": _permute,
    "expand_dims": _expand,
    "squeeze": _squeeze,
    "flip": _moving,
    "roll": _moving,
    "concat": _concat,
    "stack": _stack,
    "split": _split,
    "getitem": _getitem,
    "scatter_add": _scatter_add,
    "convolution": _convolution,
    "alias": _elementwise,
    "stop_gradient": _elementwise,
}


# --- what parts leave to do -----------------------------------------------------------------------------
def _pairwise(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda parts, shares: reduce(function, parts)


def _mean(parts: Sequence[Any], shares: Sequence[float]) -> Any:
    return reduce(xp.add, [part * share for part, share in zip(parts, shares)])


_SUM = _pairwise(xp.add)
COMBINED: dict[str, Callable[..., Any]] = {
    "prod": _pairwise(xp.multiply),
    "max": _pairwise(xp.maximum),
    "min": _pairwise(xp.minimum),
    "all": _pairwise(xp.logical_and),
    "any": _pairwise(xp.logical_or),
    "mean": _mean,
}


def combined(name: str, parts: Sequence[Any], shares: Sequence[float]) -> Any:
    """The result of an op from those of parts of what it folds; `shares` is how large they are, of 1."""
    return COMBINED.get(name, _SUM)(parts, shares)
