"""Elementwise ops: arithmetic, comparison, powers, logarithms, trigonometry, selection.

Kernel and dtype rule come from NumPy itself: the ufunc of the same name computes, and says which dtype its
result has. What is written here is what NumPy does not know: the gradient rule and the cost.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np

from dagexec.graph import Op, Spec
from dagexec.libraries import dtype_in, function_in
from dagexec.ops.table import Rule, broadcast_shapes, declare

LN2 = float(np.log(2.0))
LN10 = float(np.log(10.0))
TRANSCENDENTAL = 10.0  # operations an element, beside 1 for an addition


@lru_cache(maxsize=4096)
def ufunc_dtype(function: np.ufunc, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a ufunc's result for these input dtypes; TypeError where it has none."""
    if len(dtypes) != function.nin:
        raise TypeError(f"takes {function.nin} operands, not {len(dtypes)}")
    try:
        return function.resolve_dtypes((*dtypes, None))[-1]
    except TypeError:
        raise TypeError(f"not defined for {' and '.join(dtype.name for dtype in dtypes)}") from None


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the real part.

    >>> real_dtype(np.dtype(np.complex64)), real_dtype(np.dtype(np.int8))
    (dtype('float32'), dtype('int8'))
    """
    return dtype.type(0).real.dtype if dtype.kind == "c" else dtype


def ufunc(name: str, *vjp: Rule | None, cost: float = 1.0, onnx: str | None = None, doc: str) -> Op:
    """Declare the elementwise op whose kernel is NumPy's ufunc of the same name."""

    def infer(*specs: Spec) -> Spec:
        dtype = ufunc_dtype(getattr(np, name), *[spec.dtype for spec in specs])
        shape = specs[0].shape
        for spec in specs:
            if spec.shape != shape:
                shape = broadcast_shapes(shape, spec.shape)
        first = specs[0]  # of many scalars, one Spec takes less time and memory than one for each
        return first if first.shape is shape and first.dtype is dtype else Spec(shape, dtype)

    return declare(
        Op(
            name,
            infer,
            lambda xp: function_in(xp, name),
            vjp,
            cost=lambda out, *specs: cost * out.size,
            into=lambda inputs, out: [_writing(getattr(np, name), (*inputs, out))],
            onnx=onnx,
            doc=doc,
        )
    )


def _writing(ufunc: np.ufunc, arguments: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """A ufunc and its arguments, the last of which it writes to."""
    by_name = ufunc in (np.maximum, np.minimum)  # which may once take more operands than two
    return (_with_out, (ufunc, *arguments)) if by_name else (ufunc, arguments)


def _with_out(ufunc: np.ufunc, a: Any, b: Any, out: Any) -> None:
    ufunc(a, b, out=out)


def _unary(name: str, vjp: Rule | None, doc: str, *, cost: float = 1.0, onnx: str | None = None) -> Op:
    return ufunc(name, *(() if vjp is None else (vjp,)), cost=cost, onnx=onnx, doc=doc)


# --- arithmetic ---------------------------------------------------------------------------------------
ufunc("add", lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: g, onnx="Add", doc="a + b")
ufunc("subtract", lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: -g, onnx="Sub", doc="a − b")
ufunc("multiply", lambda xp, g, y, a, b: g * b, lambda xp, g, y, a, b: g * a, onnx="Mul", doc="a × b")
ufunc(
    "divide",
    lambda xp, g, y, a, b: g / b,
    lambda xp, g, y, a, b: -g * y / b,
    cost=4,
    onnx="Div",
    doc="a / b",
)
ufunc("floor_divide", cost=4, doc="largest integer not above a / b")
ufunc(
    "remainder",
    lambda xp, g, y, a, b: g,
    lambda xp, g, y, a, b: -g * xp.floor_divide(a, b),
    cost=4,
    onnx="Mod",
    doc="a − b ⌊a / b⌋, with the sign of b",
)
ufunc(
    "pow",
    lambda xp, g, y, a, b: g * b * a ** xp.where(xp.equal(b, 0), 1, b - 1),
    # 0 ** b is flat in b where it is defined: log 0 must not make it NaN.
    lambda xp, g, y, a, b: g * y * _log_of_base(xp, y, xp.where(xp.equal(a, 0), 1, a)),
    cost=2 * TRANSCENDENTAL,
    onnx="Pow",
    doc="a to the power of b",
)
_unary("negative", lambda xp, g, y, x: -g, "−x", onnx="Neg")
_unary("positive", lambda xp, g, y, x: g, "x itself")
_unary("abs", lambda xp, g, y, x: g * xp.conj(xp.sign(x)), "absolute value", onnx="Abs")
_unary("square", lambda xp, g, y, x: g * (2 * x), "x × x")
_unary("sqrt", lambda xp, g, y, x: g * (0.5 / y), "square root", cost=4, onnx="Sqrt")
_unary("reciprocal", lambda xp, g, y, x: -g * xp.square(y), "1 / x", cost=4, onnx="Reciprocal")


def _log_of_base(xp: Any, y: Any, a: Any) -> Any:
    return xp.log(xp.astype(a, y.dtype) if y.dtype.kind == "c" else a)  # a negative base, complex exponent


def _acosh_root(xp: Any, x: Any) -> Any:
    """The root of x² − 1; of a complex number, the one with the same sign on both sides of 0."""
    return xp.sqrt(x - 1) * xp.sqrt(x + 1) if x.dtype.kind == "c" else xp.sqrt(xp.square(x) - 1)


# --- exponentials, logarithms, trigonometry ------------------------------------------------------------
for _name, _rule, _onnx, _doc in (
    ("exp", lambda xp, g, y, x: g * y, "Exp", "e to the power of x"),
    ("exp2", lambda xp, g, y, x: g * (LN2 * y), None, "2 to the power of x"),
    ("expm1", lambda xp, g, y, x: g * (y + 1), None, "exp(x) − 1, exact for small x"),
    ("log", lambda xp, g, y, x: g / x, "Log", "natural logarithm"),
    ("log1p", lambda xp, g, y, x: g / (x + 1), None, "log(1 + x), exact for small x"),
    ("log2", lambda xp, g, y, x: g / (LN2 * x), None, "logarithm to base 2"),
    ("log10", lambda xp, g, y, x: g / (LN10 * x), None, "logarithm to base 10"),
    ("sin", lambda xp, g, y, x: g * xp.cos(x), "Sin", "sine of x in radians"),
    ("cos", lambda xp, g, y, x: -g * xp.sin(x), "Cos", "cosine of x in radians"),
    ("tan", lambda xp, g, y, x: g * (xp.square(y) + 1), "Tan", "tangent of x in radians"),
    ("asin", lambda xp, g, y, x: g / xp.sqrt(1 - xp.square(x)), "Asin", "inverse sine"),
    ("acos", lambda xp, g, y, x: -g / xp.sqrt(1 - xp.square(x)), "Acos", "inverse cosine"),
    ("atan", lambda xp, g, y, x: g / (xp.square(x) + 1), "Atan", "inverse tangent"),
    ("sinh", lambda xp, g, y, x: g * xp.cosh(x), "Sinh", "hyperbolic sine"),
    ("cosh", lambda xp, g, y, x: g * xp.sinh(x), "Cosh", "hyperbolic cosine"),
    ("tanh", lambda xp, g, y, x: g * (1 - xp.square(y)), "Tanh", "hyperbolic tangent"),
    ("asinh", lambda xp, g, y, x: g / xp.sqrt(xp.square(x) + 1), "Asinh", "inverse hyperbolic sine"),
    ("acosh", lambda xp, g, y, x: g / _acosh_root(xp, x), "Acosh", "inverse hyperbolic cosine"),
    ("atanh", lambda xp, g, y, x: g / (1 - xp.square(x)), "Atanh", "inverse hyperbolic tangent"),
):
    _unary(_name, _rule, _doc, cost=TRANSCENDENTAL, onnx=_onnx)

ufunc(
    "atan2",
    lambda xp, g, y, a, b: g * b / (xp.square(a) + xp.square(b)),
    lambda xp, g, y, a, b: -g * a / (xp.square(a) + xp.square(b)),
    cost=2 * TRANSCENDENTAL,
    doc="angle of the point (b, a)",
)
ufunc(
    "hypot",
    lambda xp, g, y, a, b: g * a / y,
    lambda xp, g, y, a, b: g * b / y,
    cost=TRANSCENDENTAL,
    doc="square root of a² + b², without overflow",
)
ufunc(
    "copysign",
    lambda xp, g, y, a, b: g * (xp.sign(a) * xp.copysign(1.0, b)),
    None,
    doc="a with the sign of b",
)
ufunc(
    "logaddexp",
    lambda xp, g, y, a, b: g * xp.exp(a - y),
    lambda xp, g, y, a, b: g * xp.exp(b - y),
    cost=3 * TRANSCENDENTAL,
    doc="log(exp(a) + exp(b)), without overflow",
)


# --- comparison, logic, rounding: piecewise constant, so no gradient flows -----------------------------
for _name, _onnx, _doc in (
    ("equal", "Equal", "a = b"),
    ("not_equal", None, "a ≠ b"),
    ("less", "Less", "a < b"),
    ("less_equal", "LessOrEqual", "a ≤ b"),
    ("greater", "Greater", "a > b"),
    ("greater_equal", "GreaterOrEqual", "a ≥ b"),
    ("logical_and", "And", "a and b"),
    ("logical_or", "Or", "a or b"),
    ("logical_xor", "Xor", "either a or b"),
    ("bitwise_and", None, "a & b"),
    ("bitwise_or", None, "a | b"),
    ("bitwise_xor", None, "a ^ b"),
    ("bitwise_left_shift", None, "a × 2ᵇ for integers"),
    ("bitwise_right_shift", None, "⌊a / 2ᵇ⌋ for integers"),
    ("nextafter", None, "the next floating-point number after a on the way to b"),
    ("logical_not", "Not", "not x"),
    ("bitwise_invert", None, "~x"),
    ("sign", "Sign", "−1, 0 or 1"),
    ("signbit", None, "is the sign bit set (as it is for −0)"),
    ("floor", "Floor", "largest integer not above x"),
    ("ceil", "Ceil", "smallest integer not below x"),
    ("trunc", None, "x without its fraction"),
    ("rint", "Round", "nearest integer, ties to even"),
    ("isnan", "IsNaN", "is x not a number"),
    ("isinf", "IsInf", "is x infinite"),
    ("isfinite", None, "is x neither infinite nor NaN"),
):
    ufunc(_name, onnx=_onnx, doc=_doc)

declare(
    Op(
        "round",
        lambda x: Spec(x.shape, x.dtype if x.dtype.kind != "b" else np.float16),  # as NumPy does
        lambda xp: xp.round,
        onnx="Round",
        doc="nearest integer, ties to even, in the dtype of x",
    )
)


# --- complex numbers: a cotangent g pairs with a change d as Re(g d), without a conjugate, as in JAX -----
def _part(xp: Any, name: str, x: Any) -> Any:
    if xp is not np and not xp.isdtype(x.dtype, "complex floating"):  # where others want complex numbers
        return x if name == "real" else xp.zeros_like(x)
    return xp.asarray(getattr(xp, name)(x), copy=True)  # NumPy gives a view, which would keep all of x


ufunc("conj", lambda xp, g, y, x: xp.conj(g), doc="complex conjugate")
for _name, _rule, _doc in (
    ("real", lambda xp, g, y, x: g, "real part"),
    ("imag", lambda xp, g, y, x: -1j * g, "imaginary part"),
):
    declare(
        Op(
            _name,
            lambda x: Spec(x.shape, real_dtype(x.dtype)),
            lambda xp, name=_name: partial(_part, xp, name),
            (_rule,),
            doc=_doc,
        )
    )


# --- selection -----------------------------------------------------------------------------------------
def _exceeds_spec(a: Spec, b: Spec) -> Spec:
    return Spec(broadcast_shapes(a.shape, b.shape), np.result_type(a.dtype, b.dtype))


def _exceeds(a: Any, b: Any) -> Any:
    twice = np.add(np.greater(a, b), np.greater_equal(a, b), dtype=np.int8)
    return np.multiply(twice, np.result_type(a, b).type(0.5))


def _exceeds_elsewhere(xp: Any, a: Any, b: Any) -> Any:
    dtype = xp.result_type(a, b)
    half = xp.asarray(0.5, dtype=dtype)
    return (xp.astype(xp.greater(a, b), dtype) + xp.astype(xp.greater_equal(a, b), dtype)) * half


def _exceeds_into(out: Any, a: Any, b: Any) -> None:
    """The same, counted in bytes: a quarter of the time that two selections take."""
    twice = np.add(np.greater(a, b).view(np.int8), np.greater_equal(a, b).view(np.int8))
    np.copyto(out, twice)
    np.multiply(out, 0.5, out=out)


declare(
    Op(
        "exceeds",
        _exceeds_spec,
        lambda xp: _exceeds if xp is np else partial(_exceeds_elsewhere, xp),
        cost=lambda out, *specs: 3.0 * out.size,
        into=lambda inputs, out: [(_exceeds_into, (out, *inputs))] if out.dtype.kind == "f" else [],
        doc="1 where a > b, 1/2 where both are equal, 0 elsewhere: the share of a in the larger of both",
    )
)
ufunc(
    "maximum",
    lambda xp, g, y, a, b: g * xp.exceeds(a, b),
    lambda xp, g, y, a, b: g * xp.exceeds(b, a),
    onnx="Max",
    doc="the larger of both",
)
ufunc(
    "minimum",
    lambda xp, g, y, a, b: g * xp.exceeds(b, a),
    lambda xp, g, y, a, b: g * xp.exceeds(a, b),
    onnx="Min",
    doc="the smaller of both",
)


def _relu_spec(x: Spec) -> Spec:
    if x.dtype.kind not in "iuf":
        raise TypeError(f"not defined for {x.dtype.name}, only for real numbers")
    return x


declare(
    Op(
        "relu",
        _relu_spec,
        lambda xp: partial(np.maximum, 0) if xp is np else lambda x: xp.clip(x, min=0),
        (lambda xp, g, y, x: xp.where(xp.greater(y, 0), g, 0),),
        cost=lambda out, x: float(out.size),
        into=lambda inputs, out: [(_with_out, (np.maximum, 0, *inputs, out))],
        onnx="Relu",
        doc="x where it is positive, else 0; with slope 0 at 0",
    )
)


def _where_spec(condition: Spec, a: Spec, b: Spec) -> Spec:
    if condition.dtype != np.bool:
        raise TypeError(f"the condition must be bool, not {condition.dtype.name}")
    return Spec(broadcast_shapes(condition.shape, a.shape, b.shape), np.result_type(a.dtype, b.dtype))


def _where(condition: Any, a: Any, b: Any) -> Any:
    """`np.where`; for many floating-point numbers by their bits.

    NumPy branches for each element. Where the condition is as good as random, as the sign of a signal is,
    the processor guesses half of the branches wrong, and that costs four to eight times as much as this.
    """
    if condition.size < 4096:
        return np.where(condition, a, b)
    a, b = (x if np.isscalar(x) else np.asarray(x) for x in (a, b))
    dtype = np.result_type(a, b)
    if dtype not in (np.float32, np.float64):
        return np.where(condition, a, b)
    a, b = np.asarray(a, dtype), np.asarray(b, dtype)
    integer = np.int32 if dtype == np.float32 else np.int64
    flags, bits_a, bits_b = condition.view(np.int8), a.view(integer), b.view(integer)
    if a.ndim == 0 and bits_a == 0:  # the commonest case takes half of the passes
        kept = bits_b & np.subtract(flags, 1, dtype=integer)  # −1 has all bits set
    elif b.ndim == 0 and bits_b == 0:
        kept = bits_a & np.negative(flags, dtype=integer)
    else:
        kept = ((bits_a ^ bits_b) & np.negative(flags, dtype=integer)) ^ bits_b
    return kept.view(dtype)


def _where_into(out: Any, condition: Any, a: Any, b: Any) -> None:
    """The same, written to `out`, with no array in between."""
    if (
        out.size < 4096
        or not (a.dtype == b.dtype == out.dtype)
        or a.dtype.char not in "fd"
        or (condition.shape != out.shape)
    ):
        np.copyto(out, b)
        np.copyto(out, a, where=condition)
        return
    integer = np.int32 if a.dtype.char == "f" else np.int64
    flags, bits_a, bits_b, bits = (
        x.view(t) for x, t in zip((condition, a, b, out), (np.int8, *(integer,) * 3))
    )
    if a.ndim == 0 and bits_a == 0:
        np.subtract(flags, 1, out=bits, dtype=integer)
        np.bitwise_and(bits, bits_b, out=bits)
        return
    np.negative(flags, out=bits, dtype=integer)
    if b.ndim == 0 and bits_b == 0:
        np.bitwise_and(bits, bits_a, out=bits)
        return
    np.bitwise_and(bits, bits_a ^ bits_b, out=bits)
    np.bitwise_xor(bits, bits_b, out=bits)


declare(
    Op(
        "where",
        _where_spec,
        lambda xp: _where if xp is np else xp.where,
        (
            None,
            lambda xp, g, y, condition, a, b: xp.where(condition, g, 0),
            lambda xp, g, y, condition, a, b: xp.where(condition, 0, g),
        ),
        into=lambda inputs, out: [(_where_into, (out, *inputs))],
        onnx="Where",
        doc="a where the condition holds, else b",
    )
)


def _clip_spec(x: Spec, low: Spec, high: Spec) -> Spec:
    dtype = np.result_type(x.dtype, low.dtype, high.dtype)
    return Spec(broadcast_shapes(x.shape, low.shape, high.shape), dtype)


declare(
    Op(
        "clip",
        _clip_spec,
        lambda xp: xp.clip,
        (
            lambda xp, g, y, x, low, high: xp.where(
                xp.logical_and(xp.less_equal(low, x), xp.less_equal(x, high)), g, 0
            ),
            lambda xp, g, y, x, low, high: xp.where(
                xp.logical_and(xp.less(x, low), xp.less(low, high)), g, 0
            ),
            lambda xp, g, y, x, low, high: xp.where(
                xp.logical_or(xp.less(high, x), xp.less_equal(high, low)), g, 0
            ),
        ),
        cost=lambda out, *specs: 2.0 * out.size,
        onnx="Clip",
        doc="x limited to the interval from low to high",
    )
)


def _astype(xp: Any, dtype: Any, x: Any) -> Any:
    return np.asarray(x).astype(dtype) if xp is np else xp.astype(x, dtype)


def _astype_into(inputs: Any, out: Any, dtype: np.dtype[Any]) -> Any:
    loses_imaginary = inputs[0].dtype.kind == "c" and out.dtype.kind != "c"  # of which NumPy warns
    return [] if loses_imaginary else [(np.copyto, (out, *inputs, "unsafe"))]


def _astype_kernel(xp: Any, dtype: np.dtype[Any]) -> Any:
    return partial(_astype, xp, dtype_in(xp, dtype))


declare(
    Op(
        "astype",
        lambda x, dtype: Spec(x.shape, dtype),
        _astype_kernel,
        (lambda xp, g, y, x, dtype: g,),  # the derivation casts each cotangent to its input's dtype
        cost=lambda out, x, dtype: float(out.size),
        into=_astype_into,
        onnx="Cast",
        doc="the same values in another dtype",
    )
)
