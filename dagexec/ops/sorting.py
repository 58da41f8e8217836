"""Order and running totals along one axis: sort, argsort, searchsorted, isin, cumulative sums and products.

Parameters are static and normal: `axis` is one axis counted from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import log2
from typing import Any

import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.batched import elementwise_in
from dagexec.ops.reductions import accumulated_dtype
from dagexec.ops.table import declare

INDEX = np.dtype(np.int64)


def _comparisons(out: Spec, x: Spec, axis: int, **params: Any) -> float:
    return x.size * log2(x.shape[axis] + 2)


# --- sorting --------------------------------------------------------------------------------------------
def _sort(xp: Any, axis: int, descending: bool, stable: bool, x: Any) -> Any:
    ascending = xp.sort(x, axis=axis, stable=stable)
    return xp.flip(ascending, axis=axis) if descending else ascending


def _argsort(xp: Any, axis: int, descending: bool, stable: bool, x: Any) -> Any:
    if not descending:
        return xp.argsort(x, axis=axis, stable=stable)
    # Equal elements keep their order if it is reversed twice: before the sort and after it.
    reversed_order = xp.argsort(xp.flip(x, axis=axis), axis=axis, stable=stable)
    return x.shape[axis] - 1 - xp.flip(reversed_order, axis=axis)


def _sorting_kernel(kernel: Callable[..., Any]) -> Callable[..., Any]:
    return lambda xp, axis, descending, stable: partial(kernel, xp, axis, descending, stable)


def _sort_vjp(xp: Any, g: Any, y: Any, x: Any, axis: int, descending: bool, stable: bool) -> Any:
    """Each cotangent goes back to where its element came from; equal elements keep their order."""
    order = xp.argsort(x, axis=axis, descending=descending, stable=True)
    return xp.take_along_axis(g, xp.argsort(order, axis=axis), axis=axis)


declare(
    Op(
        "sort",
        lambda x, **params: x,
        _sorting_kernel(_sort),
        (_sort_vjp,),
        cost=_comparisons,
        family="sorting",
        doc="the elements along an axis in order",
    )
)
declare(
    Op(
        "argsort",
        lambda x, **params: Spec(x.shape, INDEX),
        _sorting_kernel(_argsort),
        cost=_comparisons,
        family="sorting",
        doc="the indices that sort an axis",
    )
)


# --- searching ------------------------------------------------------------------------------------------
def _searchsorted_spec(x: Spec, values: Spec, *sorter: Spec, side: str) -> Spec:
    if x.ndim != 1:
        raise ValueError(f"searches a vector, not an array of shape {x.shape}")
    for order in sorter:
        if order.shape != x.shape or order.dtype.kind not in "iu":
            raise ValueError(f"a sorter for {x} is integers of shape {x.shape}, not {order}")
    return Spec(values.shape, INDEX)


def _searchsorted(xp: Any, side: str, x: Any, values: Any, *sorter: Any) -> Any:
    # NumPy gives a plain integer for a single value.
    return xp.asarray(xp.searchsorted(x, values, side=side, sorter=sorter[0] if sorter else None))


declare(
    Op(
        "searchsorted",
        _searchsorted_spec,
        lambda xp, side: partial(_searchsorted, xp, side),
        batch=elementwise_in(1),
        cost=lambda out, x, *specs, **params: out.size * log2(x.size + 2),
        family="sorting",
        doc="where values belong in a sorted vector",
    )
)
declare(
    Op(
        "isin",
        lambda x, members, invert: Spec(x.shape, np.bool),
        lambda xp, invert: partial(xp.isin, invert=invert),
        batch=elementwise_in(0),
        cost=lambda out, x, members, invert: (x.size + members.size) * log2(members.size + 2),
        family="sorting",
        doc="is each element one of the members",
    )
)


# --- running totals -------------------------------------------------------------------------------------
def _accumulated_spec(x: Spec, axis: int, include_initial: bool) -> Spec:
    length = x.shape[axis] + include_initial
    return Spec((*x.shape[:axis], length, *x.shape[axis + 1 :]), accumulated_dtype(x.dtype))


def _without_initial(x: Any, axis: int, include_initial: bool) -> Any:
    return x[(slice(None),) * axis + (slice(1, None),)] if include_initial else x


def _cumulative_sum_vjp(xp: Any, g: Any, y: Any, x: Any, axis: int, include_initial: bool) -> Any:
    g = _without_initial(g, axis, include_initial)
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)


def _cumulative_prod_vjp(xp: Any, g: Any, y: Any, x: Any, axis: int, include_initial: bool) -> Any:
    last_axis = [
        xp.moveaxis(_without_initial(part, axis, initial), axis, -1)
        for part, initial in ((g, include_initial), (y, include_initial), (x, False))
    ]
    return xp.moveaxis(_running_product_pullback(xp, *last_axis), -1, axis)


def _running_product_pullback(xp: Any, g: Any, y: Any, x: Any) -> Any:
    """The cotangent of `x` for that of its running products `y`: no division, so zeros are fine.

    Neighbours are multiplied; the running products of the pairs are every second one of `y`, so their
    cotangent is found in the same way and shared out: linear work in log n steps.
    """
    n = x.shape[-1]
    if n <= 1:
        return g
    one, zero = xp.ones_like(x[..., :1]), xp.zeros_like(g[..., :1])
    if n % 2:
        x, y, g = (xp.concat(parts, axis=-1) for parts in ([x, one], [y, y[..., -1:]], [g, zero]))
    left, right = x[..., 0::2], x[..., 1::2]
    g_left, g_right = g[..., 0::2], g[..., 1::2]
    before = xp.concat([one, y[..., 1:-1:2]], axis=-1)  # the product of all pairs before each
    g_pairs = g_right + xp.concat([(g_left * left)[..., 1:], zero], axis=-1)
    share = _running_product_pullback(xp, g_pairs, y[..., 1::2], left * right)
    both = xp.stack([share * right + g_left * before, share * left], axis=-1)
    return xp.reshape(both, x.shape)[..., :n]


def _cumulative(name: str, vjp: Callable[..., Any], doc: str) -> None:
    declare(
        Op(
            name,
            _accumulated_spec,
            lambda xp, axis, include_initial: partial(
                getattr(xp, name), axis=axis, include_initial=include_initial
            ),
            (vjp,),
            cost=lambda out, x, **params: float(x.size),
            family="sorting",
            doc=doc,
        )
    )


_cumulative("cumulative_sum", _cumulative_sum_vjp, "running sums along an axis")
_cumulative("cumulative_prod", _cumulative_prod_vjp, "running products along an axis")
