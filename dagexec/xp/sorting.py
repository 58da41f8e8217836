"""Order, running totals and differences along an axis."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from dagexec.array import Array, call, shape_of
from dagexec.ops import TABLE
from dagexec.ops.table import one_axis
from dagexec.xp.computing import astype
from dagexec.xp.moving import broadcast_to, concat, reshape


def sort(x: Any, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Any:
    """The elements along `axis` in ascending (or descending) order; of the flattened array if it is None.

    >>> sort(np.array([2, 3, 1]), descending=True)
    array([3, 2, 1])
    """
    return _sorted("sort", x, axis, descending, stable)


def argsort(x: Any, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Any:
    """The indices that sort `x` along `axis`; equal elements keep their order.

    >>> argsort(np.array([2, 3, 2]), descending=True)
    array([1, 0, 2])
    """
    return _sorted("argsort", x, axis, descending, stable)


def _sorted(name: str, x: Any, axis: int | None, descending: bool, stable: bool) -> Any:
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return call(
        TABLE[name],
        x if isinstance(x, Array) else np.asarray(x),
        axis=one_axis(axis, len(shape_of(x))),
        descending=operator.truth(descending),
        stable=operator.truth(stable),
    )


def searchsorted(x1: Any, x2: Any, side: str = "left", sorter: Any = None) -> Any:
    """For each element of `x2`, the index at which it would go into the sorted vector `x1`.

    Before equal elements, or after them with `side` "right". `sorter` are the indices that sort `x1`.
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side is {side!r}; it can be 'left' or 'right'")
    return call(TABLE["searchsorted"], x1, x2, *(() if sorter is None else (sorter,)), side=side)


def isin(x1: Any, x2: Any, *, invert: bool = False) -> Any:
    """For each element of `x1`, whether it is one of those of `x2` (or is not, with `invert`).

    >>> isin(np.array([1, 2, 3]), np.array([3, 1]))
    array([ True, False,  True])
    """
    return call(TABLE["isin"], x1, x2, invert=operator.truth(invert))


def cumulative_sum(
    x: Any, axis: int | None = None, *, dtype: Any = None, include_initial: bool = False
) -> Any:
    """The running sums along `axis`, which a vector need not name; from 0 on with `include_initial`.

    >>> cumulative_sum(np.array([1, 2, 3]), include_initial=True)
    array([0, 1, 3, 6])
    """
    return _cumulative("cumulative_sum", x, axis, dtype, include_initial)


def cumulative_prod(
    x: Any, axis: int | None = None, *, dtype: Any = None, include_initial: bool = False
) -> Any:
    """The running products along `axis`, which a vector need not name; from 1 on with `include_initial`."""
    return _cumulative("cumulative_prod", x, axis, dtype, include_initial)


def _cumulative(name: str, x: Any, axis: int | None, dtype: Any, include_initial: bool) -> Any:
    ndim = len(shape_of(x))
    if axis is None and ndim != 1:
        raise ValueError(f"{name}: an array of {ndim} dimensions needs an axis")
    if dtype is not None:
        x = astype(x, dtype)
    y = call(
        TABLE[name],
        x,
        axis=0 if axis is None else one_axis(axis, ndim),
        include_initial=operator.truth(include_initial),
    )
    return y if dtype is None else astype(y, dtype, copy=False)  # small integers stay small if asked to


def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbours along `axis`, `n` times, with elements put before and after it first.

    As in NumPy, `n` 0 gives `x` as it is.

    >>> diff(np.array([1, 4, 9]), prepend=np.array([0]))
    array([1, 3, 5])
    """
    if n < 0:
        raise ValueError(f"diff: n is {n}; it counts how often, from 0 on")
    shape = shape_of(x)
    axis = one_axis(axis, len(shape))
    if n == 0:
        return x
    if prepend is not None or append is not None:
        edges = [_edge(part, shape, axis) for part in (prepend, append)]
        x = concat([part for part in (edges[0], x, edges[1]) if part is not None], axis)
    x = x if isinstance(x, Array) else np.asarray(x)
    before = (slice(None),) * axis
    for _ in range(n):
        op = TABLE["not_equal" if x.dtype == np.bool else "subtract"]
        x = call(op, x[(*before, slice(1, None))], x[(*before, slice(None, -1))])
    return x


def _edge(part: Any, shape: tuple[int, ...], axis: int) -> Any:
    """What `diff` joins to an array: as it is, or one number for all places of a slice."""
    if part is None or shape_of(part):
        return part
    return broadcast_to(part, (*shape[:axis], 1, *shape[axis + 1 :]))
