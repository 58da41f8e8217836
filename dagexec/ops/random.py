"""Random numbers: a key in, numbers out, and nothing else, so they are the same on every executor.

A key is a uint64 array of shape (2,), the key of a Philox-4×64 generator, which turns a counter into random
bits: there is no state to share or to lock. Numbers of one key start at the same counter, so a key is used
once; `random_split` takes its bits from a part of the counter's range that numbers never reach. For `vmap`
the ops also take a stack of keys, and give to each what it gives alone.

J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops import batched
from dagexec.ops.elementwise import TRANSCENDENTAL
from dagexec.ops.table import declare

KEY = Spec((2,), np.uint64)
Shape = tuple[int, ...]


def _generator(key: Any) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.asarray(key)))


def _declare(name: str, draw: Callable[..., Any], spec: Callable[..., Spec], doc: str) -> Op:
    """Declare the op whose result `draw(key, **params)` is, as a NumPy array; or those of a stack of keys."""

    def infer(key: Spec, **params: Any) -> Spec:
        if key.shape[-1:] != KEY.shape or key.dtype != KEY.dtype:
            raise TypeError(f"a key is {KEY}, from random.key or random.split, not {key}")
        one = spec(**params)
        return Spec(key.shape[:-1] + one.shape, one.dtype)

    return declare(
        Op(
            name,
            infer,
            lambda xp, **params: partial(_drawn, xp, draw, params),
            (),
            batched.stacks,
            cost=lambda out, key, **params: TRANSCENDENTAL * out.size,
            family="random",
            doc=doc,
        )
    )


def _drawn(xp: Any, draw: Callable[..., Any], params: dict[str, Any], keys: Any) -> Any:
    keys = np.asarray(keys)
    if keys.ndim == 1:
        return xp.asarray(draw(keys, **params))
    drawn = np.stack([draw(key, **params) for key in keys.reshape(-1, 2)])
    return xp.asarray(drawn.reshape(keys.shape[:-1] + drawn.shape[1:]))


def _split(key: Any, num: int) -> Any:
    bits = np.random.Philox(key=np.asarray(key), counter=[0, 0, 0, 1]).random_raw(2 * num)
    return np.asarray(bits, np.uint64).reshape(num, 2)


def _normal(key: Any, shape: Shape, dtype: np.dtype[Any]) -> Any:
    return np.asarray(_generator(key).standard_normal(shape, dtype))


def _uniform(key: Any, shape: Shape, dtype: np.dtype[Any]) -> Any:
    return np.asarray(_generator(key).random(shape, dtype))


def _permutation(key: Any, n: int) -> Any:
    return _generator(key).permutation(n)


_declare("random_split", _split, lambda num: Spec((num, 2), np.uint64), "new keys from one")
_declare(
    "random_normal",
    _normal,
    lambda shape, dtype: Spec(shape, dtype),
    "numbers of the standard normal distribution",
)
_declare("random_uniform", _uniform, lambda shape, dtype: Spec(shape, dtype), "numbers evenly from [0, 1)")
_declare("random_permutation", _permutation, lambda n: Spec((n,), np.int64), "0 to n − 1 in random order")
