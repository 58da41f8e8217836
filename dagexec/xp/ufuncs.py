"""NumPy's ufuncs on traced arrays: calls with out=, where= and dtype=, reduce, accumulate, outer and at.

A plain call is that of our function. With `where=`, elements that do not count are exchanged for harmless
ones first, so that neither a warning nor a NaN in a gradient comes from them. The other methods apply
the ufunc along an axis or at an index; what NumPy has a function for (sums, products, extrema) is that op.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterable
from functools import reduce as fold
from typing import Any

import numpy as np

from dagexec.array import LIBRARIES, Array, at, placed, shape_of, user_line
from dagexec.graph import Op
from dagexec.ops.table import normalize_axes, one_axis
from dagexec.xp import special
from dagexec.xp.assigning import added_at, assigned, rebind, store
from dagexec.xp.registry import NUMPY_FUNCTIONS, REFUSED, implements

ROWS: dict[np.ufunc, Op] = {}  # those that are a row of the op table and nothing more
# Reductions that are one op, by NumPy's function.
REDUCTIONS: dict[np.ufunc, Any] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}
RUNNING: dict[np.ufunc, Any] = {np.add: np.cumsum, np.multiply: np.cumprod}
ASSOCIATIVE = {
    np.maximum, np.minimum, np.fmax, np.fmin, np.logical_and, np.logical_or, np.logical_xor,
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.logaddexp, np.logaddexp2, np.gcd, np.lcm, np.hypot,
}  # fmt: skip
# What stands for an element that does not count: 1, but where a gradient or the function ends at 1.
HARMLESS: dict[np.ufunc, float] = {np.arcsin: 0, np.arccos: 0, np.arctanh: 0, np.arccosh: 2}
_INPLACE_FIRST, _INPLACE_LAST = 13, 25  # the arguments of BINARY_OP that stand for +=, -=, ...


def array_ufunc(self: Array, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Carry out what NumPy was asked to do: `Array.__array_ufunc__`."""
    plain = method == "__call__" and not kwargs
    if plain and (row := ROWS.get(ufunc)) is not None:
        return self.at_once(row, inputs)
    ours = NUMPY_FUNCTIONS.get(ufunc)
    if ours is not None and plain:
        return ours(*inputs)
    library = "np." if getattr(np, ufunc.__name__, None) is ufunc else ""
    name = library + ufunc.__name__ + ("" if method == "__call__" else f".{method}")
    if ours is None:
        ours = special.of_scipy(ufunc)
        if ours is not None and plain:
            return ours(*inputs)
        why = REFUSED.get(ufunc, "no op computes it; dagexec.xp lists what can be traced")
        raise TypeError(f"{name} can't be traced: {why} ({at(user_line())})")
    try:
        return METHODS[method](ufunc, name, inputs, kwargs)
    except (TypeError, ValueError, IndexError) as error:
        if at(user_line()) in str(error):
            raise
        raise placed(error, name) from None


# --- calls ----------------------------------------------------------------------------------------------
def _call(ufunc: np.ufunc, name: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    outs = kwargs.pop("out", (None,) * ufunc.nout)
    casting = kwargs.pop("casting", "same_kind")
    where = kwargs.pop("where", True)
    for ignored in ("order", "subok"):  # they say how the result lies in memory
        kwargs.pop(ignored, None)
    signature = kwargs.pop("signature", kwargs.pop("sig", None))
    dtype = kwargs.pop("dtype", None)
    in_place = outs[0] is not None and outs[0] is inputs[0] and _by_operator()
    if dtype is not None or signature is not None:
        inputs = _in_loop_dtypes(ufunc, inputs, dtype, signature, casting)
    if where is not True:
        if any(out is None for out in outs):
            raise TypeError("where= leaves elements without a value; give them one with out=")
        inputs = tuple(_harmless(ufunc, where, x) for x in inputs)
    results = NUMPY_FUNCTIONS[ufunc](*inputs, **kwargs)
    several = isinstance(results, tuple)
    stored = []
    for result, out in zip(results if several else (results,), outs):
        if where is not True:
            result = np.where(where, result, out)
        stored.append(result if out is None else store(result, out, casting, in_place=in_place))
    return tuple(stored) if several else stored[0]


def _in_loop_dtypes(
    ufunc: np.ufunc, inputs: tuple[Any, ...], dtype: Any, signature: Any, casting: Any
) -> tuple[Any, ...]:
    """The operands in the dtypes that the ufunc computes in, if asked for one."""
    if signature is None:
        signature = (None,) * ufunc.nin + (np.dtype(dtype),) * ufunc.nout
    if not isinstance(signature, tuple):
        raise TypeError(f"a signature is a tuple of dtypes here, not {signature!r}")
    given = [x.dtype if isinstance(x, Array | np.ndarray | np.generic) else type(x) for x in inputs]
    found = ufunc.resolve_dtypes((*given, *(None,) * ufunc.nout), signature=signature, casting=casting)
    return tuple(_as_dtype(x, wanted) for x, wanted in zip(inputs, found))


def _as_dtype(x: Any, dtype: np.dtype[Any]) -> Any:
    return x.astype(dtype) if isinstance(x, Array) else np.asarray(x, dtype)


def _harmless(ufunc: np.ufunc, where: Any, x: Any) -> Any:
    dtype = x.dtype if isinstance(x, Array) else np.asarray(x).dtype
    return np.where(where, x, np.asarray(HARMLESS.get(ufunc, 1)).astype(dtype))


def _by_operator() -> bool:
    """Whether the user wrote `a += b`, which gives the result to the name `a` whatever it is."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(LIBRARIES):
        frame = frame.f_back
    code, last = frame.f_code.co_code, frame.f_lasti
    return code[last] == dis.opmap["BINARY_OP"] and _INPLACE_FIRST <= code[last + 1] <= _INPLACE_LAST


# --- methods --------------------------------------------------------------------------------------------
def _reduce(ufunc: np.ufunc, name: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x, axis, dtype, out, keepdims, initial, where = _reduce_arguments(*inputs, **kwargs)
    options = ({} if initial is None else {"initial": initial}) | ({} if where is True else {"where": where})
    if dtype is not None:
        x = _as_dtype(x, np.dtype(dtype))
    if ufunc in REDUCTIONS and not (ufunc in (np.logical_and, np.logical_or) and options.keys() - {"where"}):
        result = REDUCTIONS[ufunc](x, axis=axis, keepdims=keepdims, **options)
    else:
        if where is not True:
            raise TypeError("where= is understood by sums, products and extrema only")
        result = _folded(ufunc, x, axis, keepdims, initial)
    return result if out is None else store(result, out)


def _reduce_arguments(
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> tuple[Any, ...]:
    return array, axis, dtype, _only(out), keepdims, initial, where


def _only(out: Any) -> Any:
    return out[0] if isinstance(out, tuple) else out


def _folded(ufunc: np.ufunc, x: Any, axis: Any, keepdims: bool, initial: Any) -> Any:
    axes = normalize_axes(axis, len(shape_of(x)))
    if len(axes) > 1 and ufunc not in ASSOCIATIVE:
        raise ValueError(f"{ufunc.__name__} depends on the order, so it goes along one axis at a time")
    for number in reversed(axes):
        parts = list(np.unstack(x, axis=number))
        if not parts and initial is None:
            raise ValueError("an axis without elements has no result; give initial=")
        x = fold(ufunc, parts if initial is None or number != axes[-1] else [initial, *parts])
        x = np.expand_dims(x, number) if keepdims else x
    return x


def _accumulate(ufunc: np.ufunc, name: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x, axis, dtype, out = _accumulate_arguments(*inputs, **kwargs)
    axis = one_axis(axis, len(shape_of(x)))
    if dtype is not None:
        x = _as_dtype(x, np.dtype(dtype))
    if ufunc in RUNNING:
        result = RUNNING[ufunc](x, axis=axis)
    elif ufunc in ASSOCIATIVE:
        result = _doubling(ufunc, x, axis)
    else:
        result = np.stack(list(_partial_results(ufunc, np.unstack(x, axis=axis))), axis=axis)
    return result if out is None else store(result, out)


def _accumulate_arguments(array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> tuple[Any, ...]:
    return array, axis, dtype, _only(out)


def _doubling(ufunc: np.ufunc, x: Any, axis: int) -> Any:
    """Each element with all before it, in log n steps: step k adds what lies 2ᵏ places before."""
    before = (slice(None),) * axis
    shift = 1
    while shift < shape_of(x)[axis]:
        both = ufunc(x[(*before, slice(None, -shift))], x[(*before, slice(shift, None))])
        x = np.concatenate([x[(*before, slice(None, shift))].astype(both.dtype), both], axis=axis)
        shift *= 2
    return x


def _partial_results(ufunc: np.ufunc, parts: Iterable[Any]) -> Iterable[Any]:
    result: Any = None
    for number, part in enumerate(parts):
        result = ufunc(result, part) if number else part
        yield result


def _reduceat(ufunc: np.ufunc, name: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x, indices, *rest = inputs
    if type(indices) is Array:
        raise TypeError("the places to cut at must be known, not traced")
    axis, dtype, out = _accumulate_arguments(x, *rest, **kwargs)[1:]
    axis = one_axis(axis, len(shape_of(x)))
    starts = [int(start) for start in indices]
    pieces = []
    for start, end in zip(starts, [*starts[1:], shape_of(x)[axis]]):
        part = x[(*(slice(None),) * axis, slice(start, max(end, start + 1)))]
        pieces.append(ufunc.reduce(part, axis=axis, dtype=dtype))
    result = np.stack(pieces, axis=axis)
    return result if out is None else store(result, _only(out))


def _outer(ufunc: np.ufunc, name: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    a, b = inputs
    a = np.reshape(a, shape_of(a) + (1,) * len(shape_of(b)))
    return ufunc(a, b, **kwargs)


def _at(ufunc: np.ufunc, name: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    x, index, *operands = inputs
    if not isinstance(x, Array):
        raise TypeError("a NumPy array cannot hold traced values; make it with xp.zeros or xp.copy")
    if ufunc in (np.add, np.subtract):
        rebind(x, added_at(x, index, operands[0] if ufunc is np.add else np.negative(operands[0])))
        return
    for places, values in _once_each(x, index, operands):
        rebind(x, assigned(x, places, ufunc(x[places], *values)))


def _once_each(x: Array, index: Any, operands: list[Any]) -> Iterable[tuple[Any, list[Any]]]:
    """The index in parts that name no place twice, with the operands that belong to them."""
    if any(type(entry) is Array for entry in (index if isinstance(index, tuple) else (index,))):
        raise TypeError(
            "a traced index may name a place twice: only np.add.at and np.subtract.at can do that"
        )
    numbers = np.arange(x.size).reshape(x.shape)[index]
    shape = numbers.shape
    flat = numbers.ravel()
    order = np.argsort(flat, kind="stable")
    first = np.r_[True, np.diff(flat[order]) != 0][: flat.size]
    start = np.maximum.accumulate(np.where(first, np.arange(flat.size), 0))
    occurrence = np.empty(flat.size, np.int64)
    occurrence[order] = np.arange(flat.size) - start
    for number in range(int(occurrence.max(initial=-1)) + 1):
        chosen = np.flatnonzero(occurrence == number)
        places = np.unravel_index(flat[chosen], x.shape)
        yield places, [np.reshape(np.broadcast_to(b, shape), (-1,))[chosen] for b in operands]


METHODS: dict[str, Callable[..., Any]] = {
    "__call__": _call,
    "reduce": _reduce,
    "accumulate": _accumulate,
    "reduceat": _reduceat,
    "outer": _outer,
    "at": _at,
}


# --- ufuncs that are several ops ------------------------------------------------------------------------
@implements(np.divmod)
def _divmod(a: Any, b: Any) -> tuple[Any, Any]:
    return np.floor_divide(a, b), np.remainder(a, b)


@implements(np.modf)
def _modf(x: Any) -> tuple[Any, Any]:
    whole = np.trunc(x if x.dtype.kind == "f" else x.astype(np.float64))
    part = np.where(np.isinf(x), 0, x - np.where(np.isinf(x), 0, whole))
    return np.copysign(part, x), whole


@implements(np.matvec)
def _matvec(matrix: Any, vector: Any) -> Any:
    return np.matmul(matrix, np.expand_dims(vector, -1))[..., 0]


@implements(np.vecmat)
def _vecmat(vector: Any, matrix: Any) -> Any:
    return np.matmul(np.expand_dims(np.conjugate(vector), -2), matrix)[..., 0, :]


@implements(np.degrees)
def _degrees(x: Any) -> Any:
    return np.rad2deg(x)


@implements(np.radians)
def _radians(x: Any) -> Any:
    return np.deg2rad(x)


REFUSED[np.frexp] = "use np.log2 for the exponent"
REFUSED[np.isnat] = "arrays of dates are not traced"
