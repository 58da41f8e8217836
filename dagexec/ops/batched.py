"""Batching rules: how an op computes many results at once, which is what `vmap` needs.

A rule is `rule(xp, again, size, batched, *inputs, **params)`. Those of `inputs` that `batched` marks have a
first axis more, of length `size`; so has the result. `again(*inputs, **params)` applies the op itself, and
most rules do nothing else with inputs in line and axes one further. A rule that cannot help in a case returns
NotImplemented: then the op is applied to one slice after the other.

`OF_FAMILY` has the rules of whole families; a row of the table with a rule of its own says so in `batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Flags = Sequence[bool]
Shape = tuple[int, ...]


def inner_ndim(x: Any, batched: bool) -> int:
    """Number of axes beside that of the batch."""
    ndim: int = x.ndim
    return ndim - batched


def in_line(xp: Any, batched: Flags, inputs: Sequence[Any], ndim: int | None = None) -> list[Any]:
    """The inputs so that they broadcast: axes of length one after the batch axis where there are too few."""
    if ndim is None:
        ndim = max(map(inner_ndim, inputs, batched))
    return [
        xp.reshape(x, (x.shape[0], *(1,) * (ndim + 1 - x.ndim), *x.shape[1:]))
        if is_batched and x.ndim <= ndim
        else x
        for x, is_batched in zip(inputs, batched)
    ]


def all_batched(xp: Any, size: int, batched: Flags, inputs: Sequence[Any]) -> list[Any]:
    """The inputs, each with a batch axis: those that had none are repeated."""
    return [
        x if is_batched else xp.broadcast_to(x, (size, *x.shape)) for x, is_batched in zip(inputs, batched)
    ]


# --- rules of families ----------------------------------------------------------------------------------
def elementwise(xp: Any, again: Any, size: int, batched: Flags, *inputs: Any, **params: Any) -> Any:
    """Inputs that broadcast against each other."""
    return again(*in_line(xp, batched, inputs), **params)


def along_axes(xp: Any, again: Any, size: int, batched: Flags, *inputs: Any, **params: Any) -> Any:
    """Work along the axes that the parameter `axis` or `axes` names, counted from 0."""
    name = "axis" if "axis" in params else "axes"
    axes = params[name]
    params[name] = axes + 1 if isinstance(axes, int) else tuple(axis + 1 for axis in axes)
    return again(*all_batched(xp, size, batched, inputs), **params)


def stacks(xp: Any, again: Any, size: int, batched: Flags, x: Any, **params: Any) -> Any:
    """Work on each matrix of a stack."""
    return again(x, **params)


def by_slices(xp: Any, again: Any, size: int, batched: Flags, *inputs: Any, **params: Any) -> Any:
    """No rule: the op is applied to one slice after the other."""
    return NotImplemented


OF_FAMILY: dict[str, Callable[..., Any]] = {
    "elementwise": elementwise,
    "reduction": along_axes,
    "shape": along_axes,
    "sorting": along_axes,
    "fourier": along_axes,
    "linear": stacks,
}


def elementwise_in(number: int) -> Callable[..., Any]:
    """The rule of an op that treats each element of one input alike, while no other input is batched."""

    def rule(xp: Any, again: Any, size: int, batched: Flags, *inputs: Any, **params: Any) -> Any:
        return again(*inputs, **params) if sum(batched) == batched[number] else NotImplemented

    return rule


# --- indices --------------------------------------------------------------------------------------------
def _advanced(index: tuple[Any, ...]) -> list[int]:
    """Where integers and index arrays stand: NumPy treats them alike once there is an array."""
    return [place for place, entry in enumerate(index) if isinstance(entry, str | int)]


def _axes_before(index: tuple[Any, ...], place: int, ndim: int) -> int:
    """How many axes of `x[index]` come from the entries before `place`, for an `x` of `ndim` axes."""
    skipped = ndim - sum(entry is not None and entry is not Ellipsis for entry in index)
    return sum(
        skipped if entry is Ellipsis else 1 for entry in index[:place] if not isinstance(entry, str | int)
    )


def batched_index(
    index: tuple[Any, ...], ndim: int, size: int, batched: Flags, arrays: Sequence[Any], xp: Any
) -> tuple[tuple[Any, ...], list[Any], Callable[[int], Shape]]:
    """`index` for many arrays `x` of `ndim` axes each, or with many index arrays, as `batched` marks them.

    The result is the index, its arrays, and a function: `order(n)` lists the axes of what is found, `n` in
    number, so that the batch comes first and the others stand as they do for one.
    """
    x_batched, *flags = batched
    if not any(flags):
        # Axes of index arrays come first where a slice stands between the arrays, so before the batch.
        found = max((x.ndim for x in arrays), default=0) if _apart(index) else 0
        return (slice(None), *index), list(arrays), lambda n: (found, *range(found), *range(found + 1, n))
    found = max(map(inner_ndim, arrays, flags))
    arrays = in_line(xp, flags, arrays, found)
    first = 0 if _apart(index) else _axes_before(index, _advanced(index)[0], ndim)
    if not x_batched:
        return index, arrays, lambda n: (first, *range(first), *range(first + 1, n))
    numbers = np.arange(size).reshape(-1, *(1,) * found)
    # The numbers of the batch are an index array too, so all axes of index arrays come first.
    return (
        ("array", *index),
        [numbers, *arrays],
        lambda n: (
            0,
            *range(1 + found, 1 + found + first),
            *range(1, 1 + found),
            *range(1 + found + first, n),
        ),
    )


def _apart(index: tuple[Any, ...]) -> bool:
    places = _advanced(index)
    return bool(places) and places[-1] - places[0] >= len(places)


def value_in_place(xp: Any, value: Any, is_batched: bool, ndim: int, order: Shape) -> Any:
    """A value for the places that an index names for one, as one for those of a batched index.

    `ndim` is their number of axes without the batch; `order` that of `batched_index`.
    """
    if not is_batched:
        value = xp.reshape(value, (1, *value.shape))
    value = in_line(xp, (True,), (value,), ndim)[0]
    return xp.permute_dims(value, sorted(range(len(order)), key=order.__getitem__))
