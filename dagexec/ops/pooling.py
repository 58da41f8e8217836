"""The largest element of each window: max pooling, and the two ops that its gradients need.

Data are (batch, channels, *space); `windows`, `strides` and `padding`, (before, after), have an entry for
each space axis. The gradient goes to where a window has its maximum (`max_pool_put`), the first such place if
there are several, as in PyTorch. The gradient of that, by the cotangent, picks elements from the same places
(`max_pool_pick`), and the gradient of picking is putting again: the places are as good as constant, so these
two are linear, and each other's transpose. Averages over windows need no op: they are convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, reduce
from itertools import product
from math import prod
from typing import Any

import array_api_compat
import numpy as np

from dagexec.graph import Op, Spec
from dagexec.libraries import spec_of
from dagexec.ops.batched import Flags, all_batched
from dagexec.ops.convolution import window_counts
from dagexec.ops.convolving import Numbers, Padding, spread
from dagexec.ops.table import declare


def _max_pool_spec(x: Spec, windows: Numbers, strides: Numbers, padding: Padding) -> Spec:
    if x.dtype.kind not in "biuf":
        raise TypeError(f"there is no order among {x.dtype.name} numbers, so no maximum")
    if x.ndim < 3:
        raise ValueError(f"data must be (batch, channels, *space), not of shape {x.shape}")
    counts = window_counts(x.shape[2:], windows, strides, padding)
    for pair, window in zip(padding, windows):
        if not 0 <= min(pair) <= max(pair) < window:
            raise ValueError(
                f"padding {pair} must be less than the window's length {window}, and not negative"
            )
    return Spec((*x.shape[:2], *counts), x.dtype)


def _pick_spec(v: Spec, x: Spec, y: Spec, **params: Any) -> Spec:
    if v.shape != x.shape:
        raise ValueError(f"what is picked from needs the shape {x.shape} of the data, not {v.shape}")
    return Spec(_max_pool_spec(x, **params).shape, v.dtype)


def _put_spec(g: Spec, x: Spec, y: Spec, **params: Any) -> Spec:
    if g.shape != _max_pool_spec(x, **params).shape:
        raise ValueError(f"{g.shape} is not the shape of the windows of {x.shape}")
    return Spec(x.shape, g.dtype)


# --- where windows stand --------------------------------------------------------------------------------
def _places(windows: Numbers, strides: Numbers, counts: Numbers) -> Iterator[tuple[Any, ...]]:
    """For each place in a window: the index of what stands there, in all windows."""
    for place in product(*map(range, windows)):
        yield (..., *(slice(k, k + spread(n, s), s) for k, n, s in zip(place, counts, strides)))


def _chosen(xp: Any, x: Any, y: Any, places: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    """For each place in a window: its index, and in which windows it has the first maximum."""
    free = xp.ones_like(y, dtype=xp.bool)
    for place in places:
        here = (x[place] == y) & free
        yield place, here
        free ^= here


def _least(xp: Any, dtype: Any) -> Any:
    if str(dtype).rpartition(".")[2] == "bool":
        return False
    return -float("inf") if xp.isdtype(dtype, "real floating") else xp.iinfo(dtype).min


def _within(padding: Padding, lengths: Numbers) -> tuple[Any, ...]:
    """The index of the elements themselves in what is padded."""
    return (..., *(slice(low, low + n) for (low, _), n in zip(padding, lengths)))


def _padded(xp: Any, x: Any, padding: Padding, fill: Any = None) -> Any:
    """`x` with `fill` (by default, the least number) around it; in NumPy, it lies in memory as `x` does."""
    if not any(map(any, padding)):
        return x
    fill = _least(xp, x.dtype) if fill is None else fill
    lengths = x.shape[2:]
    shape = (*x.shape[:2], *(low + n + high for (low, high), n in zip(padding, lengths)))
    if xp is np:
        result = np.full_like(x, fill, shape=shape)  # keeps the order of the axes
    else:
        result = xp.full(shape, fill, dtype=x.dtype, device=array_api_compat.device(x))
    result[_within(padding, lengths)] = x
    return result


# --- for any library ------------------------------------------------------------------------------------
def _max_pool(xp: Any, x: Any, *, windows: Numbers, strides: Numbers, padding: Padding) -> Any:
    spec = _max_pool_spec(spec_of(x), windows, strides, padding)
    x = _padded(xp, x, padding)
    views = [x[place] for place in _places(windows, strides, spec.shape[2:])]
    return reduce(xp.maximum, views[1:], views[0]) if len(views) > 1 else xp.copy(views[0])


def _pick(xp: Any, v: Any, x: Any, y: Any, *, windows: Numbers, strides: Numbers, padding: Padding) -> Any:
    places = _places(windows, strides, tuple(y.shape[2:]))
    v, x = _padded(xp, v, padding, 0), _padded(xp, x, padding)
    result = xp.zeros_like(y, dtype=v.dtype)
    for place, here in _chosen(xp, x, y, places):
        result += v[place] * here  # several times as fast as `where`
    return result


def _put(xp: Any, g: Any, x: Any, y: Any, *, windows: Numbers, strides: Numbers, padding: Padding) -> Any:
    places = _places(windows, strides, tuple(y.shape[2:]))
    within = _within(padding, tuple(x.shape[2:]))
    x = _padded(xp, x, padding)
    result = xp.zeros_like(x, dtype=g.dtype)
    for place, here in _chosen(xp, x, y, places):
        result[place] += g * here
    return result[within]


# --- for NumPy: written to `out`, which lies in memory as `x` does --------------------------------------
def _max_pool_into(x: Any, out: Any, *, windows: Numbers, strides: Numbers, padding: Padding) -> None:
    x = _padded(np, x, padding)
    first, *others = [x[place] for place in _places(windows, strides, out.shape[2:])]
    np.maximum(first, others[0] if others else first, out=out)
    for other in others[1:]:
        np.maximum(out, other, out=out)


def _put_into(
    g: Any, x: Any, y: Any, out: Any, *, windows: Numbers, strides: Numbers, padding: Padding
) -> None:
    places = _places(windows, strides, y.shape[2:])
    within = _within(padding, x.shape[2:])
    x = _padded(np, x, padding)
    room = np.empty_like(x, out.dtype) if any(map(any, padding)) else out
    apart = all(stride >= window for stride, window in zip(strides, windows))
    if not apart or room.size > y.size * prod(windows):  # there is more than what is assigned below
        room[...] = 0
    if g.strides != y.strides:  # one copy costs less than a detour in each place
        given, g = g, np.empty_like(y, g.dtype)
        g[...] = given
    for place, here in _chosen(np, x, y, places):
        if apart:
            np.multiply(g, here, out=room[place])
        else:
            room[place] += g * here
    if room is not out:
        out[...] = room[within]


def _max_pool_in_numpy(x: Any, **params: Any) -> Any:
    result = np.empty_like(x, shape=_max_pool_spec(Spec(x.shape, x.dtype), **params).shape)
    _max_pool_into(x, result, **params)
    return result


def _put_in_numpy(g: Any, x: Any, y: Any, **params: Any) -> Any:
    result = np.empty_like(x, g.dtype)
    _put_into(g, x, y, result, **params)
    return result


def _kernel(function: Any, in_numpy: Any = None) -> Any:
    return lambda xp, **params: partial(
        in_numpy if xp is np and in_numpy else partial(function, xp), **params
    )


def _writing(function: Any) -> Any:
    return lambda inputs, out, **params: [(partial(function, **params), (*inputs, out))]


# --- rows -----------------------------------------------------------------------------------------------
def _examples(xp: Any, again: Any, size: int, batched: Flags, *inputs: Any, **params: Any) -> Any:
    """Many are one of more examples."""
    inputs = tuple(all_batched(xp, size, batched, inputs))
    result = again(*[xp.reshape(x, (size * x.shape[1], *x.shape[2:])) for x in inputs], **params)
    return xp.reshape(result, (size, result.shape[0] // size, *result.shape[1:]))


declare(
    Op(
        "max_pool",
        _max_pool_spec,
        _kernel(_max_pool, _max_pool_in_numpy),
        (lambda xp, g, y, x, **params: xp.max_pool_put(g, x, y, **params),),
        _examples,
        cost=lambda out, x, windows, **params: float(out.size * prod(windows)),
        into=_writing(_max_pool_into),
        family="pooling",
        onnx="MaxPool",
        doc="the largest element of each window",
    )
)
declare(
    Op(
        "max_pool_pick",
        _pick_spec,
        _kernel(_pick),
        (lambda xp, g, w, v, x, y, **params: xp.max_pool_put(g, x, y, **params), None, None),
        _examples,
        cost=lambda out, *specs, windows, **params: 3.0 * out.size * prod(windows),
        family="pooling",
        doc="for each window, the element of one array that stands where another is largest",
    )
)
declare(
    Op(
        "max_pool_put",
        _put_spec,
        _kernel(_put, _put_in_numpy),
        (lambda xp, g, w, v, x, y, **params: xp.max_pool_pick(g, x, y, **params), None, None),
        _examples,
        cost=lambda out, g, x, y, windows, **params: 3.0 * g.size * prod(windows),
        into=_writing(_put_into),
        family="pooling",
        doc="the elements of one array, each added where the window of another is largest",
    )
)
