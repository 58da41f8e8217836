"""Functions that move elements: shapes, axes, joining and splitting, indexing."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from dagexec.array import Array, TracingError, at, call, shape_of, user_line
from dagexec.ops import TABLE, table
from dagexec.ops.table import as_tuple, normalize_axes, one_axis
from dagexec.xp.data_dependent import values_for
from dagexec.xp.views import linked

Axis = int | tuple[int, ...] | None


def reshape(x: Any, shape: int | Sequence[int], *, copy: bool | None = None) -> Any:
    """The same elements in another shape; one length may be -1 and is worked out.

    It is a view: what is assigned to it reaches `x`. With `copy` True it is none; with False, ValueError
    is raised where an array that has values must be copied.
    """
    lengths = tuple(operator.index(length) for length in as_tuple(shape))
    old = shape_of(x)
    if lengths == old and isinstance(x, Array):
        return type(x)(x.node) if copy is True else x
    if lengths.count(-1) == 1:
        known = int(np.prod([n for n in lengths if n != -1], dtype=np.int64))
        size = int(np.prod(old, dtype=np.int64))
        if known and size % known == 0:
            lengths = tuple(size // known if n == -1 else n for n in lengths)
    if any(n < 0 for n in lengths):
        raise ValueError(f"reshape: an array of shape {old} does not fit shape {lengths}")
    if copy is not None and not isinstance(x, Array):
        return np.reshape(x, lengths, copy=copy)
    shaped = call(TABLE["reshape"], x, shape=lengths)
    if copy is True:
        return shaped
    return linked(
        x, shaped, lambda base: reshape(base, lengths), lambda base, view: reshape(view, base.shape)
    )


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """`x` repeated along new axes and axes of length one until it has `shape`."""
    lengths = tuple(operator.index(length) for length in as_tuple(shape))
    return x if isinstance(x, Array) and x.shape == lengths else call(TABLE["broadcast_to"], x, shape=lengths)


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """Arrays in the shape that they broadcast to together."""
    shape = broadcast_shapes(*[shape_of(x) for x in arrays])
    return tuple(broadcast_to(x, shape) for x in arrays)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to.

    >>> broadcast_shapes((3, 1), (2,))
    (3, 2)
    """
    return table.broadcast_shapes(*[tuple(shape) for shape in shapes])


def permute_dims(x: Any, axes: Sequence[int] | None = None) -> Any:
    """The axes in the order `axes`; reversed if not given."""
    ndim = len(shape_of(x))
    order = tuple(reversed(range(ndim))) if axes is None else tuple(one_axis(axis, ndim) for axis in axes)
    if sorted(order) != list(range(ndim)):
        raise ValueError(f"permute_dims: axes {axes} are no order of {ndim} dimensions")
    if order == tuple(range(ndim)) and isinstance(x, Array):
        return x
    return linked(
        x,
        call(TABLE["permute_dims"], x, axes=order),
        lambda base: permute_dims(base, order),
        lambda base, view: permute_dims(view, tuple(map(order.index, range(ndim)))),
    )


def matrix_transpose(x: Any) -> Any:
    """The last two axes exchanged."""
    ndim = len(shape_of(x))
    if ndim < 2:
        raise ValueError(f"matrix_transpose: needs two dimensions or more, not {ndim}")
    return swapaxes(x, -1, -2)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    order = list(range(len(shape_of(x))))
    a, b = one_axis(axis1, len(order)), one_axis(axis2, len(order))
    order[a], order[b] = b, a
    return permute_dims(x, order)


def moveaxis(x: Any, source: Axis, destination: Axis) -> Any:
    """Axes moved to new positions, the others in their old order."""
    ndim = len(shape_of(x))
    sources = [one_axis(axis, ndim) for axis in as_tuple(source)]
    targets = [one_axis(axis, ndim) for axis in as_tuple(destination)]
    if len(sources) != len(targets):
        raise ValueError(f"moveaxis: {len(sources)} axes cannot go to {len(targets)} places")
    order = [axis for axis in range(ndim) if axis not in sources]
    for target, axis in sorted(zip(targets, sources)):
        order.insert(target, axis)
    return permute_dims(x, order)


def expand_dims(x: Any, axis: Axis = 0) -> Any:
    """New axes of length one at the positions `axis` of the result."""
    count = len(as_tuple(axis))
    return call(TABLE["expand_dims"], x, axis=normalize_axes(axis if count else (), len(shape_of(x)) + count))


def squeeze(x: Any, axis: Axis = None) -> Any:
    """Without the axes `axis`, which have length one; None means all such axes."""
    shape = shape_of(x)
    if axis is None:
        axis = tuple(number for number, length in enumerate(shape) if length == 1)
    return call(TABLE["squeeze"], x, axis=normalize_axes(axis, len(shape)))


def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Arrays joined along an axis they have; flattened first if `axis` is None."""
    arrays = list(arrays)
    if not arrays:
        raise ValueError("concat: there is no array to join")
    if axis is None:
        arrays, axis = [reshape(x, (-1,)) for x in arrays], 0
    return call(TABLE["concat"], *arrays, axis=one_axis(axis, len(shape_of(arrays[0]))))


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape joined along a new axis."""
    arrays = list(arrays)
    if not arrays:
        raise ValueError("stack: there is no array to join")
    return call(TABLE["stack"], *arrays, axis=one_axis(axis, len(shape_of(arrays[0])) + 1))


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Any, ...]:
    """Pieces of `x` along `axis`: so many of equal length, or cut at the given positions."""
    axis = one_axis(axis, len(shape_of(x)))
    length = shape_of(x)[axis]
    if isinstance(indices_or_sections, int | np.integer):
        parts = int(indices_or_sections)
        if parts < 1 or length % parts:
            raise ValueError(f"split: axis {axis} of length {length} has no {parts} equal parts")
        cuts = tuple(length // parts * number for number in range(1, parts))
    else:
        cuts = tuple(operator.index(cut) for cut in indices_or_sections)
    return call(TABLE["split"], x, sections=cuts, axis=axis)  # type: ignore[no-any-return]


def array_split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Any, ...]:
    """Pieces of `x` along `axis` as by `split`, but so many of nearly equal length, the longer ones first."""
    if not isinstance(indices_or_sections, int | np.integer):
        return split(x, indices_or_sections, axis)
    parts = int(indices_or_sections)
    if parts < 1:
        raise ValueError(f"array_split: there cannot be {parts} parts")
    length, longer = divmod(shape_of(x)[one_axis(axis, len(shape_of(x)))], parts)
    return split(x, [length * number + min(number, longer) for number in range(1, parts)], axis)


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The slices of `x` along `axis`."""
    return call(TABLE["unstack"], x, axis=one_axis(axis, len(shape_of(x))))  # type: ignore[no-any-return]


def flip(x: Any, axis: Axis = None) -> Any:
    """Elements in reverse order along `axis`, or along all axes."""
    return call(TABLE["flip"], x, axis=normalize_axes(axis, len(shape_of(x))))


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element along `axis` (of the flattened array, if None) so many times.

    >>> repeat(np.array([1, 2]), 2)
    array([1, 1, 2, 2])
    """
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    cure = "give plain Python ints, or use xp.take(x, indices) with indices of known length"
    counts = values_for(repeats, "repeat(x, repeats)", cure)
    return take(x, np.repeat(np.arange(shape_of(x)[one_axis(axis, len(shape_of(x)))]), counts), axis)


def tile(x: Any, repetitions: int | Sequence[int]) -> Any:
    """The whole array so many times along each axis.

    >>> tile(np.array([1, 2]), (2, 1))
    array([[1, 2],
           [1, 2]])
    """
    counts = as_tuple(repetitions)
    ndim = max(len(counts), len(shape_of(x)))
    counts = (1,) * (ndim - len(counts)) + tuple(operator.index(count) for count in counts)
    shape = (1,) * (ndim - len(shape_of(x))) + shape_of(x)
    apart = reshape(x, [length for n in shape for length in (1, n)])
    repeated = broadcast_to(apart, [length for pair in zip(counts, shape) for length in pair])
    return reshape(repeated, [count * length for count, length in zip(counts, shape)])


def roll(x: Any, shift: int | tuple[int, ...], axis: Axis = None) -> Any:
    """Elements moved by `shift` places along `axis`, or in the flattened array; those pushed out re-enter."""
    if axis is None:
        return reshape(roll(reshape(x, (-1,)), shift, 0), shape_of(x))
    axes = as_tuple(axis)
    shifts = as_tuple(shift) * (len(axes) if isinstance(shift, int | np.integer) else 1)
    if len(shifts) != len(axes):
        raise ValueError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
    normal = tuple(one_axis(number, len(shape_of(x))) for number in axes)
    return call(TABLE["roll"], x, shift=shifts, axis=normal)


# --- indexing -----------------------------------------------------------------------------------------
def getitem(x: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    """The elements at a normal `index`, in which "array" stands for the next of `arrays`."""
    return call(TABLE["getitem"], x, *arrays, index=index)


def scatter_add(*inputs: Any, shape: tuple[int, ...], indices: tuple[tuple[Any, ...], ...]) -> Any:
    """Zeros of `shape` with `g` added at `index`: the transpose of `getitem`."""
    return call(TABLE["scatter_add"], *inputs, shape=shape, indices=indices)


def normal_index(x: Array, index: Any) -> tuple[tuple[Any, ...], list[Any]]:
    """What the ops take for a NumPy index: the static entries, and the integer arrays for each "array".

    Raises IndexError where the index does not fit, and TracingError for a mask that is traced.
    """
    entries: list[Any] = []
    arrays: list[Any] = []
    for entry in index if isinstance(index, tuple) else (index,):
        if entry is None or entry is Ellipsis:
            entries.append(entry)
        elif isinstance(entry, slice):
            bounds = (entry.start, entry.stop, entry.step)
            entries.append(slice(*(None if bound is None else operator.index(bound) for bound in bounds)))
        elif isinstance(entry, int | np.integer) and not isinstance(entry, bool | np.bool):
            entries.append(int(entry))
        else:
            found = _index_arrays(entry)
            arrays += found
            entries += ["array"] * len(found)
    if arrays and not any(isinstance(array, Array) for array in arrays):
        np.empty(x.shape, "V0")[index]  # the values are known: NumPy says if they fit
    return tuple(entries), arrays


def _index_arrays(entry: Any) -> list[Any]:
    if type(entry) is Array:
        if entry.dtype == np.bool:
            raise TracingError(
                "the shape of x[mask] depends on the mask's values, which a trace does not know: "
                "use xp.where(mask, x, other), and for x[mask] += v write x = xp.where(mask, x + v, x) "
                f"({at(user_line())})"
            )
        return [entry]
    array = np.asarray(entry)
    if array.dtype == np.bool:
        return list(np.nonzero(array))
    return [array.astype(np.int64) if array.size == 0 else array]


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The slices of `x` at `indices` along `axis`; of the flattened array if `axis` is None."""
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    before = (slice(None),) * one_axis(axis, len(shape_of(x)))
    indices = indices if isinstance(indices, Array) else np.asarray(indices)
    return x[(*before, indices)] if isinstance(x, Array) else getitem(x, indices, index=(*before, "array"))


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    """For each place of `indices`, the element of `x` with that index along `axis`."""
    shape = shape_of(x)
    axis = one_axis(axis, len(shape))
    grid: list[Any] = list(np.indices(shape_of(indices), sparse=True))
    for number, length in enumerate(shape):
        if grid[number].size == 1 and length != 1 and number != axis:
            grid[number] = np.arange(length).reshape([-1 if k == number else 1 for k in range(len(shape))])
    grid[axis] = indices
    return getitem(x, *grid, index=("array",) * len(shape))


def one_hot(indices: Any, num_classes: int, dtype: Any = np.float32) -> Any:
    """For each index, a row of zeros with a one at that index, as in `jax.nn.one_hot`.

    >>> one_hot(np.array([0, 2]), 3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    classes = np.arange(num_classes)
    return call(
        TABLE["astype"], call(TABLE["equal"], expand_dims(indices, -1), classes), dtype=np.dtype(dtype)
    )
