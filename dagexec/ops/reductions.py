"""Reductions over axes: sum, mean, product, extrema, variance, log-sum-exp, all, any, argmax, argmin.

Parameters are static and normal: `axis` is a sorted tuple of the axes reduced over, `keepdims` says whether
they stay with length one. The namespace turns what the user wrote into that form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops.batched import Flags
from dagexec.ops.elementwise import TRANSCENDENTAL, real_dtype, ufunc_dtype
from dagexec.ops.table import declare

Axes = tuple[int, ...]


def reduced_shape(shape: tuple[int, ...], axis: Axes, keepdims: bool) -> tuple[int, ...]:
    """The shape that is left when the axes in `axis` are reduced."""
    if keepdims:
        return tuple(1 if number in axis else length for number, length in enumerate(shape))
    return tuple(length for number, length in enumerate(shape) if number not in axis)


def restored(xp: Any, value: Any, axis: Axes, keepdims: bool) -> Any:
    """A reduction's result or cotangent with the reduced axes back, of length one (a scalar needs none)."""
    return value if keepdims or not axis or not value.shape else xp.expand_dims(value, axis=axis)


def _elements(x: Spec, axis: Axes) -> int:
    return int(np.prod([x.shape[number] for number in axis], dtype=np.int64))


def _reduction(
    name: str,
    dtype: Callable[[np.dtype[Any]], np.dtype[Any]],
    vjp: Callable[..., Any] | None,
    doc: str,
    *,
    cost: float = 1.0,
    kernel: Callable[..., Any] | None = None,
    empty: bool = True,
    onnx: str | None = None,
    batch: Callable[..., Any] | None = None,
    into: Callable[..., Any] | None = None,
) -> Op:
    def infer(x: Spec, axis: Axes, keepdims: bool, **params: Any) -> Spec:
        if not empty and _elements(x, axis) == 0:
            raise ValueError(f"an array of shape {x.shape} has no element to reduce along axis {axis}")
        return Spec(reduced_shape(x.shape, axis, keepdims), dtype(x.dtype))

    def numpy_kernel(xp: Any, **params: Any) -> Any:
        return partial(getattr(xp, name), **params)

    return declare(
        Op(
            name,
            infer,
            kernel or numpy_kernel,
            () if vjp is None else (vjp,),
            batch,
            cost=lambda out, x, **params: cost * x.size,
            into=into,
            family="reduction",
            onnx=onnx,
            doc=doc,
        )
    )


def accumulated_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of sums and products: that of the elements, but 64 bits for integers and booleans."""
    if dtype.kind in "bi":
        return np.result_type(dtype, np.int64)
    return np.result_type(dtype, np.uint64) if dtype.kind == "u" else dtype


def _mean_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind in "fc" else np.dtype(np.float64)


def _var_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return real_dtype(_mean_dtype(dtype))


def _sum_vjp(xp: Any, g: Any, y: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
    return xp.broadcast_to(restored(xp, g, axis, keepdims), x.shape)


def _mean_vjp(xp: Any, g: Any, y: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
    n = _elements(x, axis)
    share = g * (1 / n if n else np.nan)
    return xp.broadcast_to(restored(xp, share, axis, keepdims), x.shape)


def _var_vjp(xp: Any, g: Any, y: Any, x: Any, axis: Axes, keepdims: bool, correction: float) -> Any:
    freedom = _elements(x, axis) - correction
    scale = 2 / freedom if freedom else np.nan
    deviation = xp.conj(x - xp.mean(x, axis=axis, keepdims=True))
    return restored(xp, g * scale, axis, keepdims) * deviation


def _extremum_vjp(xp: Any, g: Any, y: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
    """Equal extrema share the cotangent evenly, as in JAX."""
    chosen = xp.astype(xp.equal(x, restored(xp, y, axis, keepdims)), x.dtype)
    share = restored(xp, g, axis, keepdims) / xp.sum(chosen, axis=axis, keepdims=True)
    return chosen * share


def _logsumexp_vjp(xp: Any, g: Any, y: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
    return restored(xp, g, axis, keepdims) * xp.exp(x - restored(xp, y, axis, keepdims))


def _products_of_others(xp: Any, x: Any) -> Any:
    """For each element of the last axis, the product of all others there: no division, so zeros are fine.

    Pairs are multiplied, the shorter array is solved, and its answer is shared out again: linear work in
    log n steps.
    """
    n = x.shape[-1]
    if n <= 1:
        return xp.ones_like(x)
    if n % 2:
        x = xp.concat([x, xp.ones_like(x[..., :1])], axis=-1)
    left, right = x[..., 0::2], x[..., 1::2]
    others = _products_of_others(xp, left * right)
    both = xp.stack([others * right, others * left], axis=-1)
    return xp.reshape(both, x.shape)[..., :n]


def _prod_vjp(xp: Any, g: Any, y: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
    kept = tuple(number for number in range(x.ndim) if number not in axis)
    order = kept + axis
    moved = xp.permute_dims(x, order)
    flat = xp.reshape(moved, (*(x.shape[number] for number in kept), _elements(x, axis)))
    others = xp.reshape(_products_of_others(xp, flat), moved.shape)
    back = tuple(order.index(number) for number in range(x.ndim))
    return restored(xp, g, axis, keepdims) * xp.permute_dims(others, back)


def _logsumexp(xp: Any, axis: Axes, keepdims: bool, x: Any) -> Any:
    top = xp.max(xp.real(x), axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))  # inf − inf would be NaN
    with np.errstate(divide="ignore"):  # log 0 = −inf is the right answer
        y = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return y if keepdims else xp.squeeze(y, axis=axis)


def _logsumexp_kernel(xp: Any, axis: Axes, keepdims: bool) -> Any:
    return partial(_logsumexp, xp, axis, keepdims)


def _var_kernel(xp: Any, axis: Axes, keepdims: bool, correction: float) -> Any:
    return partial(xp.var, axis=axis, keepdims=keepdims, correction=correction)


def _same(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype


def _folding(ufunc: np.ufunc) -> Callable[..., Any]:
    """Write what the ufunc makes of all elements: NumPy's own function calls this after some Python."""
    return lambda inputs, out, axis, keepdims: [(ufunc.reduce, (*inputs, axis, None, out, keepdims))]


def _mean_into(inputs: Any, out: Any, axis: Axes, keepdims: bool) -> Any:
    if inputs[0].dtype.char not in "fdFD":
        return []
    total = (np.add.reduce, (*inputs, axis, None, out, keepdims))
    return [total, (np.true_divide, (out, np.int64(_elements(inputs[0], axis)), out))]


_reduction(
    "sum",
    accumulated_dtype,
    _sum_vjp,
    "sum of the elements",
    onnx="ReduceSum",
    into=_folding(np.add),
)
_reduction("mean", _mean_dtype, _mean_vjp, "arithmetic mean", onnx="ReduceMean", into=_mean_into)
_reduction(
    "prod",
    accumulated_dtype,
    _prod_vjp,
    "product of the elements",
    onnx="ReduceProd",
    into=_folding(np.multiply),
)
for _name, _doc, _ufunc in (("max", "largest", np.maximum), ("min", "smallest", np.minimum)):
    _reduction(
        _name,
        _same,
        _extremum_vjp,
        f"{_doc} element",
        empty=False,
        onnx=f"Reduce{_name.title()}",
        into=_folding(_ufunc),
    )
_reduction("var", _var_dtype, _var_vjp, "variance, divided by n − correction", cost=4, kernel=_var_kernel)
_reduction(
    "logsumexp",
    lambda dtype: ufunc_dtype(np.exp, dtype),
    _logsumexp_vjp,
    "log of the sum of exp(x), without overflow",
    cost=TRANSCENDENTAL,
    kernel=_logsumexp_kernel,
    empty=False,
    onnx="ReduceLogSumExp",
)
_bool = np.dtype(bool)
_reduction("all", lambda dtype: _bool, None, "are all elements true", into=_folding(np.logical_and))
_reduction("any", lambda dtype: _bool, None, "is any element true", into=_folding(np.logical_or))


def _position_kernel(name: str) -> Callable[..., Any]:
    def kernel(xp: Any, axis: Axes, keepdims: bool) -> Any:
        # NumPy takes one axis or none; the namespace allows no other.
        return partial(getattr(xp, name), axis=axis[0] if len(axis) == 1 else None, keepdims=keepdims)

    return kernel


def _position_batch(
    xp: Any, again: Any, size: int, batched: Flags, x: Any, axis: Axes, keepdims: bool
) -> Any:
    if len(axis) == 1:
        return again(x, axis=(axis[0] + 1,), keepdims=keepdims)
    flat = xp.reshape(x, (size, prod(x.shape[1:])))
    return xp.reshape(again(flat, axis=(1,), keepdims=False), (size, *(1,) * (x.ndim - 1)))


for _name, _doc in (("argmax", "index of the first largest"), ("argmin", "index of the first smallest")):
    _reduction(
        _name,
        lambda dtype: np.dtype(np.int64),
        None,
        _doc + " element along one axis, or of the flattened array",
        kernel=_position_kernel(_name),
        batch=_position_batch,
        empty=False,
        onnx="ArgMax" if _name == "argmax" else "ArgMin",
    )
