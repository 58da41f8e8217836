"""Random numbers by explicit key, with `jax.random`'s names and meanings.

There is no hidden state: the same key gives the same numbers, on every executor and in every order of
execution. So a key is used once, and `split` makes new ones. The numbers are not those of JAX.

>>> first, second = split(key(0))
>>> bool(normal(first) == normal(first)), bool(normal(first) == normal(second))
(True, False)
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from dagexec import xp
from dagexec.array import Array, call, naming_the_line, shape_of
from dagexec.ops import TABLE
from dagexec.ops.random import KEY
from dagexec.ops.table import as_tuple, broadcast_shapes, one_axis

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def key(seed: int) -> Any:
    """The key of a whole number, of any size: a uint64 array of shape (2,).

    >>> key(0).shape, key(0).dtype
    ((2,), dtype('uint64'))
    """
    number = operator.index(seed)
    if number < 0:
        raise ValueError(f"a seed must not be negative, as {number} is")
    return np.random.SeedSequence(number).generate_state(2, np.uint64)


@naming_the_line
def split(key: Any, num: int = 2) -> Any:
    """`num` new keys, as the rows of a (num, 2) array; iterate over it, or index it.

    >>> [k.shape for k in split(key(1), 3)]
    [(2,), (2,), (2,)]
    """
    number = operator.index(num)
    if number < 0:
        raise ValueError(f"there cannot be {number} keys")
    return call(TABLE["random_split"], _key(key), num=number)


@naming_the_line
def normal(key: Any, shape: int | Sequence[int] = (), dtype: Any = np.float64) -> Any:
    """Numbers of the standard normal distribution; `dtype` is float32 or float64.

    >>> normal(key(2), (2, 3)).shape
    (2, 3)
    """
    return call(TABLE["random_normal"], _key(key), shape=_lengths(shape), dtype=_float(dtype))


@naming_the_line
def uniform(
    key: Any,
    shape: int | Sequence[int] = (),
    dtype: Any = np.float64,
    minval: Any = 0.0,
    maxval: Any = 1.0,
) -> Any:
    """Numbers evenly distributed over [minval, maxval), which may be arrays that broadcast to `shape`.

    >>> bool((uniform(key(3), (1000,), minval=2, maxval=3) >= 2).all())
    True
    """
    dtype = _float(dtype)
    numbers = call(TABLE["random_uniform"], _key(key), shape=_lengths(shape), dtype=dtype)
    if type(minval) in (int, float) and type(maxval) in (int, float) and (minval, maxval) == (0, 1):
        return numbers
    low, high = xp.astype(xp.asarray(minval), dtype), xp.astype(xp.asarray(maxval), dtype)
    return xp.add(xp.multiply(numbers, xp.subtract(high, low)), low)


@naming_the_line
def bernoulli(key: Any, p: Any = 0.5, shape: int | Sequence[int] | None = None) -> Any:
    """True with probability `p`, of any shape that broadcasts to `shape` (by default that of `p`).

    >>> int(bernoulli(key(4), 1.0, (5,)).sum())
    5
    """
    lengths = shape_of(p) if shape is None else _lengths(shape)
    if broadcast_shapes(shape_of(p), lengths) != lengths:
        raise ValueError(f"bernoulli: p of shape {shape_of(p)} does not broadcast to {lengths}")
    return xp.less(uniform(key, lengths), p)


@naming_the_line
def permutation(key: Any, x: Any, axis: int = 0) -> Any:
    """The numbers 0 to x − 1 in random order, or an array with its slices along `axis` in random order.

    >>> sorted(permutation(key(5), 4).tolist())
    [0, 1, 2, 3]
    """
    if not isinstance(x, Array) and np.ndim(x) == 0:
        return call(TABLE["random_permutation"], _key(key), n=operator.index(x))
    n = shape_of(x)[one_axis(axis, len(shape_of(x)))]
    return xp.take(x, call(TABLE["random_permutation"], _key(key), n=n), axis=axis)


@naming_the_line
def categorical(key: Any, logits: Any, axis: int = -1, shape: int | Sequence[int] | None = None) -> Any:
    """Indices along `axis`, each with a probability proportional to exp(logits): int64.

    `shape` is that of the result; its last lengths are those of `logits` without `axis`, and the default.
    By the Gumbel trick: the largest of the logits, each with noise of its own, is as likely as it should be.

    >>> int(categorical(key(6), np.array([-np.inf, 0.0, -np.inf])))
    1
    """
    axis = one_axis(axis, len(shape_of(logits)))
    lengths = shape_of(logits)
    left = lengths[:axis] + lengths[axis + 1 :]
    wanted = left if shape is None else _lengths(shape)
    if wanted[len(wanted) - len(left) :] != left:
        raise ValueError(f"categorical: shape {wanted} does not end with {left}, as that of the logits does")
    more = wanted[: len(wanted) - len(left)]
    u = uniform(key, more + lengths)
    gumbel = xp.negative(xp.log(xp.negative(xp.log1p(xp.negative(u)))))  # 1 − u is never 0
    return xp.argmax(xp.add(gumbel, logits), axis=len(more) + axis)


def _key(key: Any) -> Any:
    array = key if isinstance(key, Array) else np.asarray(key)
    if (array.shape, array.dtype) != (KEY.shape, KEY.dtype):
        raise TypeError(f"a key is {KEY}, from random.key or random.split, not {key!r:.60}")
    return array


def _lengths(shape: int | Sequence[int]) -> tuple[int, ...]:
    lengths = tuple(operator.index(length) for length in as_tuple(shape))
    if any(length < 0 for length in lengths):
        raise ValueError(f"shape {lengths} has a negative length")
    return lengths


def _float(dtype: Any) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(dtype)
    if found not in FLOATS:
        raise TypeError(f"random numbers are float32 or float64, not {found.name}")
    return found
