"""How convolutions are computed: as matrix products, in one of three ways for NumPy, and for other libraries.

The elements that windows see are gathered as the columns of a matrix, for some rows of windows at a time, so
that they stay in the cache, and with the batch as the innermost axis, so that they are gathered in long runs
even from small images. The result is laid out in memory in the same way, whatever its shape says; elementwise
operations keep that, so the next convolution finds it.

- `gathered`: weights times columns. The usual way.
- `summed`: columns times weights, where a window has more elements than there are windows, as for the
  gradient by the weights: the long sums are done in parts.
- `shifted`: where there are fewer outputs than channels, as for the gradient by the input: only what stands
  in a single row of a window is gathered, all rows of the weights are multiplied with it at once, and each
  product is added in the row where it belongs. So the matrices are less narrow, and the columns fewer.
"""

from __future__ import annotations

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
    result = np.empty((first, *sizes, last), dtype)
    places = [fitting(n, by, low, size) for n, by, size, (low, _) in zip(lengths, dilation, sizes, padding)]
    taken, into = zip(*places)
    for axis, within in enumerate(into, start=1):
        before = (slice(None),) * axis
        result[(*before, slice(within.start))] = result[(*before, slice(within.stop, None))] = fill
    if max(dilation) > 1:
        result[...] = fill
    result[(slice(None), *into)] = x[(slice(None), *taken)]
    return result


def _moved_last(x: Any, axis: int) -> Any:
    return x.transpose(*range(axis), *range(axis + 1, x.ndim), axis)  # `moveaxis` takes 5 µs


def _windows(x: Any, places: Numbers, steps: Numbers, counts: Numbers, strides: Numbers) -> Any:
    """A view (n, *places, *counts, m) of a contiguous array (n, *space, m): what each window has where."""
    first, *along, last = x.strides
    within = [step * stride for step, stride in zip(steps, along)]
    between = [step * stride for step, stride in zip(strides, along)]
    shape = (len(x), *places, *counts, x.shape[-1])
    return np.ndarray(shape, x.dtype, x, 0, (first, *within, *between, last))


def _chunks(rows: int, row_size: int, dtype: Any) -> tuple[list[slice], Any]:
    """Some rows at a time, and room for as many of `row_size` elements: the same, so it stays cached."""
    count = min(rows, max(1, CACHED // (row_size * dtype.itemsize)))
    chunks = [slice(start, min(rows, start + count)) for start in range(0, rows, count)]
    return chunks, np.empty(count * row_size, dtype)


def _copied(view: Any, room: Any) -> Any:
    """A contiguous copy, in some of the room."""
    columns = room[: view.size].reshape(view.shape)
    columns[...] = view
    return columns


def _gathered(x: Any, weights: Any, params: Params, out: Any) -> None:
    """Write to `out` (outputs, *counts, batch): weights times columns, some rows of windows at a time."""
    outputs, per_group, *kernel = weights.shape
    groups, counts = params["groups"], out.shape[1:-1]
    inner = padded(_moved_last(x, 0), params["padding"], params["input_dilation"], 0, out.dtype)
    seen = _windows(inner, tuple(kernel), params["dilation"], counts, params["strides"])
    depth, row = per_group * prod(kernel), prod(counts[1:]) * x.shape[0]
    matrices = np.ascontiguousarray(weights, out.dtype).reshape(groups, outputs // groups, depth)
    results = out.reshape(groups, outputs // groups, counts[0] * row)
    before = (slice(None),) * (1 + len(kernel))
    chunks, room = _chunks(counts[0], groups * depth * row, out.dtype)
    for rows in chunks:
        columns = _copied(seen[(*before, rows)], room).reshape(groups, depth, -1)
        np.matmul(matrices, columns, out=results[:, :, rows.start * row : rows.stop * row])


def _shifted(x: Any, weights: Any, params: Params, out: Any) -> None:
    """Write to `out` (outputs, *counts, batch): weights times some input rows, added in all they reach."""
    outputs, per_group, height, *kernel = weights.shape
    groups, length, (tall, *counts) = params["groups"], x.shape[2], out.shape[1:-1]
    (low, _), *padding = params["padding"]
    apart, *between = params["input_dilation"]
    by, strides = params["dilation"][0], (1, *params["strides"][1:])
    inner = padded(_moved_last(x, 0), ((0, 0), *padding), (1, *between), 0, out.dtype)
    seen = _windows(inner, (1, *kernel), params["dilation"], (length, *counts), strides)
    of_rows = np.moveaxis(weights.reshape(groups, -1, per_group, height, *kernel), 3, 1)
    depth, row = per_group * prod(kernel), prod(counts) * x.shape[0]
    matrices = np.ascontiguousarray(of_rows, out.dtype).reshape(groups, -1, depth)
    results = out.reshape(groups, outputs // groups, tall, row)
    results[...] = 0
    before = (slice(None),) * (2 + len(kernel))
    chunks, room = _chunks(length, max(groups * depth, height * outputs) * row, out.dtype)
    more_room = np.empty_like(room)
    for rows in chunks:
        columns = _copied(seen[(*before, rows)], room).reshape(groups, depth, -1)
        size = height * outputs * columns.shape[2]
        products = more_room[:size].reshape(*matrices.shape[:2], -1)
        np.matmul(matrices, columns, out=products)
        products = products.reshape(groups, height, outputs // groups, -1, row)
        for place in range(height):
            first = low - place * by + rows.start * apart
            taken, into = fitting(products.shape[3], apart, first, tall)
            results[:, :, into] += products[:, place, :, taken]


def _summed(x: Any, weights: Any, params: Params, out: Any) -> None:
    """Write to `out` (outputs, batch, *counts): columns times weights, some rows of a window at a time."""
    outputs, per_group, *kernel = weights.shape
    groups, counts = params["groups"], out.shape[2:]
    inner = padded(_moved_last(x, 1), params["padding"], params["input_dilation"], 0, out.dtype)
    seen = _windows(inner, counts, params["strides"], tuple(kernel), params["dilation"])
    of_groups = np.moveaxis(seen.reshape(*seen.shape[:-1], groups, per_group), -2, 0)
    matrices = np.ascontiguousarray(_moved_last(weights, 1), out.dtype)
    matrices = matrices.reshape(groups, outputs // groups, prod(kernel) * per_group).swapaxes(1, 2)
    width, row = x.shape[0] * prod(counts), prod(kernel[1:]) * per_group
    results = np.zeros((groups, width, outputs // groups), out.dtype)
    before = (slice(None),) * (2 + len(counts))
    chunks, room = _chunks(kernel[0], groups * width * row, out.dtype)
    for rows in chunks:
        columns = _copied(of_groups[(*before, rows)], room).reshape(groups, width, -1)
        results += columns @ matrices[:, rows.start * row : rows.stop * row]  # the other way round is slower
    out[...] = results.swapaxes(1, 2).reshape(out.shape)


def _way(x: Any, weights: Any, counts: Numbers, params: Params) -> tuple[Any, Numbers]:
    """The function that computes it, and the axes of the result in the order in which they lie in memory."""
    space = tuple(range(2, x.ndim))
    if prod(weights.shape[2:]) > prod(counts):
        return _summed, (1, 0, *space)
    if params["strides"][0] == 1 and weights.shape[0] < x.shape[1]:  # adding is dearer than gathering
        return _shifted, (1, *space, 0)
    return _gathered, (1, *space, 0)


def convolve(infer: Any, params: Params, x: Any, weights: Any) -> Any:
    """The convolution of NumPy arrays; `infer` is the op's rule of shapes."""
    spec = infer(Spec(x.shape, x.dtype), Spec(weights.shape, weights.dtype), **params)
    _, order = _way(x, weights, spec.shape[2:], params)
    result = np.empty([spec.shape[axis] for axis in order], spec.dtype)
    result = result.transpose(sorted(range(spec.ndim), key=order.__getitem__))
    convolve_into(params, x, weights, result)
    return result


def convolve_into(params: Params, x: Any, weights: Any, out: Any) -> None:
    """The same, written to `out`, which has the result's shape and dtype."""
    function, order = _way(x, weights, out.shape[2:], params)
    inner = out.transpose(order)
    room = inner if inner.flags.c_contiguous else np.empty(inner.shape, out.dtype)
    if 0 in x.shape or 0 in weights.shape:
        room[...] = 0
    else:
        function(x, weights, params, room)
    if room is not inner:
        inner[...] = room


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
