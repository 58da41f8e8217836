"""How convolutions are computed: as matrix products, in one of three ways for NumPy, and for other libraries.

The elements that windows see are gathered as the columns of a matrix, for some rows of windows at a time, so
that they stay in the cache, and with the batch as the innermost axis, so that they are gathered in long runs
even from small images. The result is laid out in memory in the same way, whatever its shape says; elementwise
operations keep that, so the next convolution finds it.

- `gathered`: weights times columns. The usual way.
- `summed`: the same where a window has more elements than there are windows, as for the gradient by the
  weights: the long sums are done in parts.
- `scattered`: where there are few inputs for many outputs, as for the gradient by the input: weights times
  the input as it is, then each product is added where it belongs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import array_api_compat
import numpy as np

from dagexec.graph import Spec
from dagexec.libraries import spec_of

Numbers = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]
Params = dict[str, Any]

CACHED = 1 << 19  # bytes of columns at a time; half of that makes no difference, twice as much is slower


def spread(length: int, dilation: int) -> int:
    """The length of an axis with dilation − 1 elements put between any two.

    >>> spread(3, 2)
    5
    """
    return (length - 1) * dilation + 1 if length else 0


def fitting(length: int, by: int, low: int, size: int) -> tuple[slice, slice]:
    """Which of `length` elements, put `by` apart from `low` on, are within an axis of `size`; and where.

    >>> fitting(4, 2, -1, 5)
    (slice(1, 3, None), slice(1, 4, 2))
    """
    start = max(0, -(low // by))
    stop = min(length, (size - 1 - low) // by + 1)
    if stop <= start:
        return slice(0), slice(0)
    return slice(start, stop), slice(low + start * by, low + (stop - 1) * by + 1, by)


# --- NumPy ----------------------------------------------------------------------------------------------
def padded(x: Any, padding: Padding, dilation: Numbers, fill: Any, dtype: Any) -> Any:
    """An array (n, *space, m), contiguous and of that dtype, with `fill` around and between its elements.

    >>> padded(np.array([[[1], [2]]]), ((1, 0),), (2,), 0, np.dtype(int)).ravel()
    array([0, 1, 0, 2])
    """
    if not any(map(any, padding)) and set(dilation) <= {1}:
        return np.ascontiguousarray(x, dtype)
    first, *lengths, last = x.shape
    sizes = [spread(n, by) + low + high for n, by, (low, high) in zip(lengths, dilation, padding)]
    result = np.full((first, *sizes, last), fill, dtype)
    places = [fitting(n, by, low, size) for n, by, size, (low, _) in zip(lengths, dilation, sizes, padding)]
    taken, into = zip(*places)
    result[(slice(None), *into)] = x[(slice(None), *taken)]
    return result


def _windows(x: Any, places: Numbers, steps: Numbers, counts: Numbers, strides: Numbers) -> Any:
    """A view (n, *places, *counts, m) of an array (n, *space, m): what stands where in which window."""
    first, *along, last = x.strides
    return np.lib.stride_tricks.as_strided(
        x,
        (x.shape[0], *places, *counts, x.shape[-1]),
        (
            first,
            *(step * stride for step, stride in zip(steps, along)),
            *(step * stride for step, stride in zip(strides, along)),
            last,
        ),
        writeable=False,
    )


def _row_chunks(rows: int, row_size: int, dtype: Any) -> Iterator[tuple[slice, Any]]:
    """Some rows at a time, and room for as many of `row_size` elements: the same, so it stays cached."""
    count = min(rows, max(1, CACHED // (row_size * dtype.itemsize)))
    room = np.empty(count * row_size, dtype)
    for start in range(0, rows, count):
        stop = min(rows, start + count)
        yield slice(start, stop), room[: (stop - start) * row_size]


def _copied(view: Any, room: Any) -> Any:
    """A contiguous copy."""
    columns = room.reshape(view.shape)
    columns[...] = view
    return columns


def _gathered(x: Any, weights: Any, params: Params, out: Any) -> None:
    """Write to `out` (outputs, *counts, batch): weights times columns, some rows of windows at a time."""
    outputs, per_group, *kernel = weights.shape
    groups, counts = params["groups"], out.shape[1:-1]
    inner = padded(np.moveaxis(x, 0, -1), params["padding"], params["input_dilation"], 0, out.dtype)
    seen = _windows(inner, tuple(kernel), params["dilation"], counts, params["strides"])
    depth, row = per_group * prod(kernel), prod(counts[1:]) * x.shape[0]
    matrices = np.ascontiguousarray(weights, out.dtype).reshape(groups, outputs // groups, depth)
    results = out.reshape(groups, outputs // groups, counts[0] * row)
    before = (slice(None),) * (1 + len(kernel))
    for rows, room in _row_chunks(counts[0], groups * depth * row, out.dtype):
        columns = _copied(seen[(*before, rows)], room).reshape(groups, depth, -1)
        np.matmul(matrices, columns, out=results[:, :, rows.start * row : rows.stop * row])


def _summed(x: Any, weights: Any, params: Params, out: Any) -> None:
    """Write to `out` (outputs, batch, *counts): weights times columns, some rows of a window at a time."""
    outputs, per_group, *kernel = weights.shape
    groups, counts = params["groups"], out.shape[2:]
    inner = padded(np.moveaxis(x, 1, -1), params["padding"], params["input_dilation"], 0, out.dtype)
    seen = _windows(inner, counts, params["strides"], tuple(kernel), params["dilation"])
    of_groups = np.moveaxis(seen.reshape(*seen.shape[:-1], groups, per_group), -2, 0)
    matrices = np.ascontiguousarray(np.moveaxis(weights, 1, -1), out.dtype)
    matrices = matrices.reshape(groups, outputs // groups, prod(kernel) * per_group)
    width, row = x.shape[0] * prod(counts), prod(kernel[1:]) * per_group
    results = out.reshape(groups, outputs // groups, width)
    results[...] = 0
    before = (slice(None),) * (2 + len(counts))
    for rows, room in _row_chunks(kernel[0], groups * width * row, out.dtype):
        columns = _copied(of_groups[(*before, rows)], room).reshape(groups, width, -1)
        results += matrices[:, :, rows.start * row : rows.stop * row] @ columns.swapaxes(1, 2)


def _scattered(x: Any, weights: Any, params: Params, out: Any) -> None:
    """Write to `out` (outputs, *counts, batch): products of some input rows, each added in its place."""
    outputs, per_group, *kernel = weights.shape
    groups, lengths, counts = params["groups"], x.shape[2:], out.shape[1:-1]
    inner = np.ascontiguousarray(np.moveaxis(x, 0, -1), out.dtype)
    row = prod(lengths[1:]) * x.shape[0]
    flat = inner.reshape(groups, per_group, lengths[0] * row)
    matrices = np.moveaxis(weights.astype(out.dtype), 1, -1).reshape(groups, -1, per_group)
    out[...] = 0
    axes = list(zip(lengths, params["input_dilation"], params["padding"], params["dilation"], counts))
    for rows, room in _row_chunks(lengths[0], outputs * prod(kernel) * row, out.dtype):
        height = rows.stop - rows.start
        products = room.reshape(groups, matrices.shape[1], height * row)
        np.matmul(matrices, flat[:, :, rows.start * row : rows.stop * row], out=products)
        products = products.reshape(outputs, *kernel, height, *lengths[1:], x.shape[0])
        for place in product(*map(range, kernel)):
            ends = [
                fitting(
                    height if axis == 0 else n, by, low - k * d + (rows.start * by if axis == 0 else 0), size
                )
                for axis, (k, (n, by, (low, _), d, size)) in enumerate(zip(place, axes))
            ]
            taken, into = zip(*ends)
            out[(slice(None), *into)] += products[(slice(None), *place, *taken)]


def _way(x: Any, weights: Any, counts: Numbers, params: Params) -> Any:
    """The function that computes it."""
    if prod(weights.shape[2:]) > prod(counts):
        return _summed
    products, columns = weights.shape[0] * prod(x.shape[2:]), x.shape[1] * prod(counts)
    if set(params["strides"]) == {1} and 2 * products < columns:  # adding is dearer than gathering
        return _scattered
    return _gathered


def convolve(infer: Any, params: Params, x: Any, weights: Any) -> Any:
    """The convolution of NumPy arrays; `infer` is the op's rule of shapes."""
    spec, order = _laid_out(infer, params, x, weights)
    result = np.empty([spec.shape[axis] for axis in order], spec.dtype)
    result = result.transpose(sorted(range(spec.ndim), key=order.__getitem__))
    convolve_into(infer, params, x, weights, result)
    return result


def convolve_into(infer: Any, params: Params, x: Any, weights: Any, out: Any) -> None:
    """The same, written to `out`."""
    spec, order = _laid_out(infer, params, x, weights)
    inner = out.transpose(order)
    room = inner if inner.flags.c_contiguous else np.empty(inner.shape, spec.dtype)
    if 0 in x.shape or 0 in weights.shape:
        room[...] = 0
    else:
        _way(x, weights, spec.shape[2:], params)(x, weights, params, room)
    if room is not inner:
        inner[...] = room


def _laid_out(infer: Any, params: Params, x: Any, weights: Any) -> tuple[Spec, Numbers]:
    """The result's Spec, and its axes in the order in which they lie in memory."""
    spec = infer(Spec(x.shape, x.dtype), Spec(weights.shape, weights.dtype), **params)
    space = tuple(range(2, spec.ndim))
    is_summed = _way(x, weights, spec.shape[2:], params) is _summed
    return spec, (1, 0, *space) if is_summed else (1, *space, 0)


# --- other libraries ------------------------------------------------------------------------------------
def convolve_elsewhere(xp: Any, infer: Any, params: Params, x: Any, weights: Any) -> Any:
    """The sum over the places in a window, each a product of matrices, for any library."""
    spec = infer(spec_of(x), spec_of(weights), **params)
    dtype = getattr(xp, spec.dtype.name)
    groups, counts = params["groups"], spec.shape[2:]
    x = _padded_elsewhere(xp, xp.astype(x, dtype), params["padding"], params["input_dilation"])
    x = xp.reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    weights = xp.reshape(xp.astype(weights, dtype), (groups, spec.shape[1] // groups, *weights.shape[1:]))
    shape = (spec.shape[0], groups, spec.shape[1] // groups, prod(counts))
    result = xp.zeros(shape, dtype=dtype, device=array_api_compat.device(x))
    for place in product(*map(range, weights.shape[3:])):
        seen = tuple(
            slice(k * d, k * d + spread(n, s), s)
            for k, d, n, s in zip(place, params["dilation"], counts, params["strides"])
        )
        part = xp.reshape(x[(..., *seen)], (*x.shape[:3], prod(counts)))
        result = result + xp.matmul(weights[(..., *place)], part)
    return xp.reshape(result, spec.shape)


def convolve_on_torch(torch: Any, infer: Any, params: Params, x: Any, weights: Any) -> Any:
    """PyTorch's own convolution, which has no dilation of the input and no negative padding."""
    x = _padded_elsewhere(torch, x, params["padding"], params["input_dilation"])
    own = {"stride": params["strides"], "dilation": params["dilation"], "groups": params["groups"]}
    return getattr(torch, f"conv{x.ndim - 2}d")(x, weights, **own)


def _padded_elsewhere(xp: Any, x: Any, padding: Padding, dilation: Numbers) -> Any:
    """What `padded` does, with zeros, for (batch, channels, *space)."""
    if not any(map(any, padding)) and set(dilation) <= {1}:
        return x
    numbers = np.arange(prod(x.shape[2:])).reshape(1, *x.shape[2:], 1) + 1  # 0 is what is filled in
    places = padded(numbers, padding, dilation, 0, numbers.dtype)[0, ..., 0]
    device = array_api_compat.device(x)
    flat = xp.reshape(x, (*x.shape[:2], prod(x.shape[2:])))
    nothing = xp.zeros((*x.shape[:2], 1), dtype=x.dtype, device=device)
    found = xp.take(xp.concat([nothing, flat], axis=2), xp.asarray(places.ravel(), device=device), axis=2)
    return xp.reshape(found, (*x.shape[:2], *places.shape))
