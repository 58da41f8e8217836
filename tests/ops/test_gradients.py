"""Every differentiable op against central differences, to second order.

The cases are found by the op table: an op that is added without a case here fails.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from dagexec import nn, xp
from dagexec.array import call
from dagexec.ops import TABLE
from dagexec.ops.special import NoDerivative
from dagexec.tracing import trace
from tests.ops import matrix_cases, window_cases
from tests.ops.cases import CASES, Case, case, complex_case, complex_values, positive, values, values_apart
from tests.oracle import check_gradient, evaluate, weights_like

assert matrix_cases  # its cases are found in CASES as well
assert window_cases

# --- elementwise ----------------------------------------------------------------------------------------
DOMAINS = {  # where not from -1.5 to 1.5
    **dict.fromkeys(("log", "log2", "log10", "sqrt", "reciprocal", "log1p"), (0.4, 2.0)),
    **dict.fromkeys(("asin", "acos", "atanh"), (-0.8, 0.8)),
    "acosh": (1.3, 3.0),
    "tan": (-1.2, 1.2),
}
MASK = np.array([[True, False, True], [False, False, True]])
UNARY = [op.name for op in TABLE.values() if op.family == "elementwise" and len(op.vjp) == 1]
for _name in UNARY:
    if _name not in ("astype", "conj", "real", "imag"):
        low, high = DOMAINS.get(_name, (-1.5, 1.5))
        case(_name, "matrix", getattr(xp, _name), values(2, 3, low=low, high=high))
        case(_name, "scalar", getattr(xp, _name), values(low=low, high=high))
for _name in sorted(set(UNARY) - {"astype", "cbrt", "deg2rad", "fabs", "rad2deg", "relu"}):
    complex_case(_name, "vector", getattr(xp, _name), complex_values(3))
complex_case("acosh", "left of 0", xp.acosh, np.array([-1.3 + 0.4j, -0.2 - 0.7j]))
complex_case("divide", "sign", xp.sign, complex_values(3))
for _name in ("add", "subtract", "multiply", "divide", "pow"):
    complex_case(_name, "both", getattr(xp, _name), complex_values(2, 3), complex_values(3) + 2)
    complex_case(
        _name,
        "and its real part",
        lambda z, name=_name: getattr(xp, name)(xp.real(z), z),
        complex_values(3) + 2,
    )
complex_case("where", "beside real numbers", lambda z: xp.where(MASK[0], z, xp.abs(z)), complex_values(3))
complex_case("astype", "to complex", lambda z: xp.astype(xp.imag(z), np.complex128) * z, complex_values(3))
case("imag", "of real numbers", lambda x: xp.imag(x) + x * x, values(3))
case("reciprocal", "negative", xp.reciprocal, values(3, low=-2, high=-0.5))
case("astype", "and back", lambda x: xp.astype(xp.astype(x * x, np.longdouble), "float64") * x, values(3))

SHAPES = {
    "same": ((2, 3), (2, 3)),
    "row": ((2, 3), (3,)),
    "column": ((2, 1), (2, 3)),
    "both ways": ((2, 1), (1, 3)),
    "scalar": ((), (2, 2)),
    "more axes": ((3,), (2, 1, 3)),
    "length one": ((1, 1), (2,)),
}
BINARY = {  # the domains of both
    **dict.fromkeys(("add", "subtract", "multiply", "maximum", "minimum", "logaddexp"), ((-1.5, 1.5),) * 2),
    **dict.fromkeys(("fmax", "fmin", "logaddexp2"), ((-1.5, 1.5),) * 2),
    "divide": ((-1.5, 1.5), (0.5, 2.0)),
    **dict.fromkeys(("pow", "float_power"), ((0.4, 2.0), (-1.5, 2.5))),
    "atan2": ((-1.5, 1.5), (0.5, 2.0)),
    "hypot": ((0.5, 1.5), (-1.5, -0.5)),
    **dict.fromkeys(("remainder", "fmod"), ((0.1, 0.9), (1.1, 1.9))),
}
for _name, (_first, _second) in BINARY.items():
    for _shape_name, (_a, _b) in SHAPES.items():
        case(
            _name,
            _shape_name,
            getattr(xp, _name),
            *values_apart(_a, _b, _first, _second),
        )
    case(
        _name,
        "twice the same",
        lambda a, name=_name: getattr(xp, name)(a, a + 0.7),
        values(3, low=_first[0], high=_first[1]) % 0.6 + 0.2,
    )
case("remainder", "several times", lambda a, b: a % b, np.array([4.3, -4.3, 7.1]), np.array([1.3, 1.5, -2.1]))
case("fmod", "several times", np.fmod, np.array([4.3, -4.3, 7.1]), np.array([1.3, 1.5, -2.1]))
case("ldexp", "powers", lambda x: np.ldexp(x * x, np.array([1, 0, -2])), values(3))
case("heaviside", "the middle", lambda m: np.heaviside(np.array([-1.0, 0.0, 2.0]), m * m), values(3))
case("divide", "negative", lambda a, b: a / b, values(3), values(3, low=-2.0, high=-0.5))
case("pow", "of a negative", lambda a: xp.pow(a, np.array([2, 3, 4])), np.array([-0.7, -1.2, -0.4]))
case("pow", "cubes at zero", lambda a: a**3, np.array([0.0, 0.5, -1.0]))
case("pow", "to the power 1, 0", lambda a: xp.pow(a, np.array([1.0, 0.0])), np.array([0.7, 0.3]))
case("copysign", "both signs", lambda a: xp.copysign(a * a * a, np.array([1.0, -2.0, -0.0])), values(3))
case("atan2", "all quadrants", xp.atan2, np.array([1.0, 1.0, -1.0, -1.0]), np.array([0.7, -0.7, 0.7, -0.7]))
case("square", "operator", lambda x: x**2, values(3))
case("sqrt", "operator", lambda x: x**0.5, positive(3))
case("reciprocal", "operator", lambda x: x**-1, positive(3))

case("where", "same", lambda a, b: xp.where(MASK, a, b), values(2, 3), values(2, 3))
case("where", "broadcast", lambda a, b: xp.where(MASK, a, b), values(3), values(2, 1))
case("where", "numbers", lambda a: xp.where(MASK[0], a, 2.0) + xp.where(MASK[1], 1, a), values(3))
case("where", "traced condition", lambda a, b: xp.where(a > 0, a * a, b), values(4), values(4))
case("where", "broadcast condition", lambda a, b: xp.where(MASK[:, 1:2], a, b), values(3), values())

case("clip", "numbers", lambda x: xp.clip(x, -0.6, 0.7) ** 2, values(8))
TO_CLIP = np.array([-1.2, -0.1, 0.2, 1.1])
case("clip", "limits too", xp.clip, TO_CLIP, values(4, low=-0.9, high=-0.3), values(4, low=0.3, high=0.9))
case("clip", "broadcast", xp.clip, TO_CLIP, values(2, 1, low=-0.9, high=-0.3), values(low=0.3, high=0.5))
case("clip", "crossed limits", xp.clip, TO_CLIP, values(4, low=0.6, high=0.9), values(4, low=0.3, high=0.5))

# --- reductions -----------------------------------------------------------------------------------------
AXES: list[tuple[Any, bool]] = [
    (None, False), (None, True), (0, False), (-1, True), (1, False), ((0, 2), False), ((2, 1), True),
    ((), False),
]  # fmt: skip
REDUCTIONS = [op.name for op in TABLE.values() if op.family == "reduction" and op.vjp]
for _name in REDUCTIONS:
    for _axis, _keep in AXES:
        case(
            _name,
            f"axis={_axis} keepdims={_keep}",
            partial(getattr(xp, _name), axis=_axis, keepdims=_keep),
            positive(2, 3, 2),
        )
    case(_name, "scalar", getattr(xp, _name), positive())
    case(_name, "one element", partial(getattr(xp, _name), axis=0), positive(1, 2))
for _name in ("sum", "mean", "prod", "var", "logsumexp"):
    complex_case(_name, "axis 0", partial(getattr(xp, _name), axis=0), complex_values(3, 2))
for _zeros in ([0], [1, 3], [0, 1, 2, 3, 4]):
    _x = values(5)
    _x[_zeros] = 0
    case("prod", f"{len(_zeros)} zeros", xp.prod, _x)
case("prod", "zeros in rows", lambda x: xp.prod(x, axis=1), np.array([[0.0, 2, 3], [0, 0, 3], [1, 2, 3]]))
case("prod", "one axis of length 7", lambda x: xp.prod(x, axis=0), values(7, 2))
case("var", "correction", lambda x: xp.var(x, axis=0, correction=1), values(4, 2))
case("var", "ddof, all", lambda x: np.var(x, ddof=1.5), values(2, 3))
case("var", "std", lambda x: xp.std(x, axis=-1, correction=1, keepdims=True), values(2, 4))
case("logsumexp", "large", lambda x: xp.logsumexp(1e3 + 3 * x, axis=0), values(4))
case("sum", "empty", lambda x: xp.sum(x, axis=0), np.ones((0, 2)))
case("max", "negative", lambda x: xp.max(x, axis=0), values(3, 2, low=-2, high=-1))

# --- products -------------------------------------------------------------------------------------------
for _a, _b in (
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((2, 2, 3), (3, 2)),
    ((2, 3), (2, 3, 2)),
    ((2, 2, 3), (2, 3, 2)),
    ((2, 1, 1, 3), (2, 3, 1)),
    ((1, 2, 3), (3, 3, 2)),
    ((3,), (2, 3, 2)),
    ((2, 2, 3), (3,)),
    ((2, 0), (0, 2)),
    ((1, 1), (1, 1)),
):
    case("matmul", f"{_a} @ {_b}", lambda a, b: a @ b, values(*_a), values(*_b))
case("matmul", "with itself", lambda a: a @ a @ a, values(2, 2))
case("matmul", "with its transpose", lambda a: a.T @ a, values(2, 3))

# --- order and running totals ---------------------------------------------------------------------------
for _axis in (0, -1):
    for _name in ("sort", "cumulative_sum", "cumulative_prod"):
        case(
            _name,
            f"axis {_axis}",
            lambda x, name=_name, k=_axis: getattr(xp, name)(x * x, axis=k),
            positive(3, 2),
        )
        case(
            _name,
            f"axis {_axis} of one",
            lambda x, name=_name: getattr(xp, name)(x * x, axis=0),
            values(1, 2),
        )
case("sort", "descending", lambda x: xp.sort(x * x * x, descending=True), values(5))
case("cumulative_sum", "from zero", lambda x: xp.cumulative_sum(x * x, include_initial=True), values(4))
case("cumulative_prod", "with zeros", lambda x: xp.cumulative_prod(x), np.array([0.5, 0.0, -1.2, 0.0, 0.7]))
complex_case("cumulative_sum", "vector", lambda x: xp.cumulative_sum(x * x), complex_values(3))
complex_case("cumulative_prod", "vector", xp.cumulative_prod, complex_values(3))

# --- moving elements ------------------------------------------------------------------------------------
# These are linear, so a square in front makes the second derivative worth a look.
MOVES: list[tuple[str, str, Callable[..., Any], tuple[int, ...]]] = [
    ("reshape", "to a vector", lambda x: xp.reshape(x, (-1,)), (2, 3)),
    ("reshape", "to more axes", lambda x: xp.reshape(x, (3, 1, 2)), (2, 3)),
    ("reshape", "empty", lambda x: xp.reshape(x, (0, 5)), (2, 0)),
    ("broadcast_to", "new axis", lambda x: xp.broadcast_to(x, (2, 3)), (3,)),
    ("broadcast_to", "length one", lambda x: xp.broadcast_to(x, (3, 2, 4)), (2, 1)),
    ("broadcast_to", "scalar", lambda x: xp.broadcast_to(x, (2, 2)), ()),
    ("broadcast_to", "to nothing", lambda x: xp.broadcast_to(x, (0, 2)), (1, 2)),
    ("permute_dims", "cycle", lambda x: xp.permute_dims(x, (1, 2, 0)), (2, 3, 2)),
    ("permute_dims", "reversed", lambda x: x.T, (2, 3, 1)),
    ("expand_dims", "front", lambda x: xp.expand_dims(x, axis=0), (3,)),
    ("expand_dims", "two", lambda x: xp.expand_dims(x, axis=(0, -1)), (2, 3)),
    ("squeeze", "one", lambda x: xp.squeeze(x, axis=1), (2, 1, 3)),
    ("squeeze", "all", lambda x: np.squeeze(x), (1, 2, 1)),
    ("flip", "all", lambda x: xp.flip(x), (2, 3)),
    ("flip", "one", lambda x: xp.flip(x, axis=-1), (2, 3)),
    ("flip", "two", lambda x: xp.flip(x, axis=(0, 2)), (2, 2, 2)),
    ("roll", "flat", lambda x: xp.roll(x, 2), (2, 3)),
    ("roll", "one", lambda x: xp.roll(x, -1, axis=1), (2, 3)),
    ("roll", "two", lambda x: xp.roll(x, (1, -2), axis=(0, 1)), (3, 3)),
    ("roll", "the same axis twice", lambda x: xp.roll(x, (1, 1), axis=(0, 0)), (4,)),
    ("roll", "further than it is long", lambda x: xp.roll(x, 7, axis=0), (3,)),
    ("split", "equal", lambda x: [k * part for k, part in enumerate(xp.split(x, 3), 2)], (6, 2)),
    ("split", "cuts", lambda x: [k * part for k, part in enumerate(xp.split(x, [1, 3], axis=1), 2)], (2, 5)),
    ("split", "unread pieces", lambda x: xp.split(x, 4)[2] * 2, (8,)),
    ("split", "a piece read twice", lambda x: xp.split(x, 2)[1] * xp.split(x, 2)[1], (4,)),
    ("split", "empty pieces", lambda x: xp.split(x, [0, 2, 2, 9], axis=0), (4,)),
    ("split", "cuts from the end", lambda x: xp.split(x, [-2]), (5,)),
    ("unstack", "first", lambda x: [k * part for k, part in enumerate(xp.unstack(x), 2)], (3, 2)),
    ("unstack", "last", lambda x: xp.unstack(x, axis=-1), (2, 3)),
    ("unstack", "unread pieces", lambda x: xp.unstack(x)[1] * 3, (3, 2)),
    ("unstack", "iteration", lambda x: [row * row for row in x], (2, 2)),
    ("concat", "with itself", lambda x: xp.concat([x, 2 * x, x], axis=0), (2, 2)),
    ("stack", "with itself", lambda x: xp.stack([x, 2 * x, x], axis=1), (2, 2)),
]
for _op, _name, _fn, _shape in MOVES:
    case(_op, _name, lambda x, f=_fn: f(x * x), values(*_shape))
case("concat", "first axis", lambda *x: xp.concat(x, axis=0) ** 2, values(2, 2), values(1, 2), values(3, 2))
case("concat", "last axis", lambda *x: xp.concat(x, axis=-1) ** 3, values(2, 1), values(2, 3))
case("concat", "flattened", lambda *x: xp.concat(x, axis=None) ** 2, values(2, 2), values(3))
case("concat", "empty part", lambda *x: xp.concat(x) ** 2, values(2), np.ones(0), values(1))
case("concat", "beside a constant", lambda x: xp.concat([np.ones(2), x]) ** 2, values(2))
case("stack", "first axis", lambda *x: xp.stack(x) ** 2, values(3), values(3))
case("stack", "last axis", lambda *x: xp.stack(x, axis=-1) ** 3, values(2, 2), values(2, 2), values(2, 2))
case("stack", "scalars", lambda *x: xp.stack(x) ** 2, values(), values())


def _assigned(x: Any, index: Any, value: Any) -> Any:
    x[index] = value
    return x


# --- indexing -------------------------------------------------------------------------------------------
ROWS, COLUMNS = np.array([2, 0, 2, 2]), np.array([[1], [3]])
INDICES: list[tuple[str, Any]] = [
    ("integer", 1),
    ("negative", -1),
    ("slice", slice(1, 3)),
    ("steps", (slice(None, None, 2), slice(None, None, -1))),
    ("new axis", (None, slice(1, None), None)),
    ("ellipsis", (..., 0)),
    ("all", ...),
    ("empty slice", slice(2, 1)),
    ("repeated rows", ROWS),
    ("list", [0, 0, 1]),
    ("array and slice", (ROWS, slice(1, 3))),
    ("slice and array", (slice(0, 2), ROWS)),
    ("two arrays", (np.array([0, 1, 0]), np.array([1, 1, 1]))),
    ("broadcast arrays", (np.array([0, 2, 2]), COLUMNS)),
    ("array and integer", (ROWS, 1)),
    ("integer and array", (0, COLUMNS)),
    ("array, new axis", (ROWS, None)),
    ("apart", (ROWS, None, np.array([1, 1, 0, 1]))),
    ("negative entries", np.array([-1, 0, -1])),
    ("no entry", np.array([], np.int64)),
    ("constant mask", np.array([True, False, True])),
]
for _name, _index in INDICES:
    case("getitem", _name, lambda x, index=_index: x[index] ** 2, values(3, 4))
    case("scatter_add", _name, lambda x, index=_index: (x * x)[index], values(3, 4))  # by the derivation
case("getitem", "take", lambda x: xp.take(x, np.array([[0, 1], [1, 1]]), axis=1) ** 2, values(2, 3))
case(
    "getitem", "take along", lambda x: xp.take_along_axis(x, np.array([[0, 0], [1, 0]]), axis=1), values(2, 2)
)
case("getitem", "traced index", lambda x, k: x[k] ** 2, values(3, 2), np.array([0, 2, 2]), wrt=(0,))
case(
    "getitem",
    "traced and constant index",
    lambda x, k: x[k, :, ROWS[:2]] ** 2,
    values(3, 2, 4),
    np.array([1, 1]),
    wrt=(0,),
)
case(
    "scatter_add",
    "directly, twice at one place",
    lambda g: xp.scatter_add(g * g, ROWS, shape=(3, 2), indices=(("array",),)),
    values(4, 2),
)
case(
    "scatter_add",
    "directly, a slice",
    lambda g: xp.scatter_add(g**3, shape=(5, 2), indices=((slice(1, 4, 2),),)),
    values(2, 2),
)


for _name, _index in (("slice", slice(1, 3)), ("rows", np.array([2, 0])), ("twice", ROWS)):
    case(
        "index_put",
        _name,
        lambda x, v, k=_index: np.copy(_assigned(x * x, k, v * v)),
        values(3, 4),
        values(4),
    )


# --- special functions: where each operand is drawn from, or the number it is ---------------------------
HALF, GAMMA, BESSEL = (0.1, 0.9), (0.6, 3.0), (0.5, 3.0)
SPECIAL: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("erf", "erfc", "erfcx", "ndtr", "log_ndtr", "expit", "log_expit"), ((-1.5, 1.5),)),
    **dict.fromkeys(("ndtri", "logit"), (HALF,)),
    "erfinv": ((-0.8, 0.8),),
    "erfcinv": ((0.3, 1.7),),
    **dict.fromkeys(("gamma", "gammaln", "rgamma", "psi"), (GAMMA,)),
    **dict.fromkeys(("beta", "betaln", "xlogy", "xlog1py", "rel_entr", "kl_div"), (GAMMA, GAMMA)),
    "entr": (GAMMA,),
    "zeta": (2.5, GAMMA),
    **dict.fromkeys(("gammainc", "gammaincc", "jv", "iv", "ive"), (1.7, BESSEL)),
    **dict.fromkeys(("j0", "j1", "i0", "i1", "i0e", "i1e"), (BESSEL,)),
}
for _name, _domains in SPECIAL.items():
    _drawn = [k for k, domain in enumerate(_domains) if isinstance(domain, tuple)]
    case(
        _name,
        "special",
        getattr(xp.special, _name),
        *(values(4, low=d[0], high=d[1]) if isinstance(d, tuple) else d for d in _domains),
        wrt=tuple(_drawn),
    )
case("sigmoid", "of nn", nn.sigmoid, values(2, 3))
case("softplus", "of nn", nn.softplus, values(2, 3))

ELSEWHERE = ("structure", "control")  # families whose gradients have tests of their own


def _every_case() -> list[Any]:
    found = []
    for op in TABLE.values():
        for one in CASES.get(op.name, [None]) if op.vjp and op.family not in ELSEWHERE else []:
            found.append(pytest.param(op.name, one, id=f"{op.name}-{one.name if one else 'no case'}"))
    return found


@pytest.mark.parametrize(("op", "one"), _every_case())
def test_gradient_is_that_of_central_differences_to_second_order(op: str, one: Case | None) -> None:
    assert one is not None, f"op {op!r} has a gradient rule but no case in this file"
    graph = trace(one.fn)(*one.arguments)
    first = check_gradient(graph, *one.arguments, wrt=one.wrt, tolerance=1e-6)
    assert op in {node.op.name for node in first.nodes}, f"this case does not use {op}"
    check_gradient(first, *one.arguments, wrt=one.wrt, tolerance=1e-4)


# --- ops without a gradient -----------------------------------------------------------------------------
NOT_DIFFERENTIABLE: dict[str, Callable[..., Any]] = {
    **{
        name: lambda x, name=name: getattr(xp, name)(x, 0.3)
        for name in (
            "floor_divide", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
            "logical_and", "logical_or", "logical_xor", "nextafter", "exceeds",
        )
    },
    **{
        name: getattr(xp, name)
        for name in (
            "logical_not", "sign", "floor", "ceil", "trunc", "rint", "round", "signbit", "isnan", "isinf",
            "isfinite", "all", "any", "argmax", "argmin",
        )
    },
    **{
        name: lambda x, name=name: getattr(xp, name)(xp.astype(10 * x, np.int64), 3)
        for name in (
            "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift",
        )
    },
    **{
        name: lambda x, name=name: getattr(np, name)(xp.astype(10 * x, np.int64), 3)
        for name in ("gcd", "lcm")
    },
    "spacing": np.spacing,
    "bitwise_count": lambda x: np.bitwise_count(xp.astype(10 * x, np.int64)),
    "argsort": xp.argsort,
    "searchsorted": lambda x: xp.searchsorted(np.array([-1.0, 0.0, 1.0]), x),
    "isin": lambda x: xp.isin(x, np.array([0.0, 1.0])),
    "bitwise_invert": lambda x: xp.bitwise_invert(xp.astype(10 * x, np.int64)),
    "in_range": lambda x: call(TABLE["in_range"], xp.astype(10 * (x + 2), np.int64), count=40, what="label"),
}  # fmt: skip


def test_every_op_has_a_gradient_or_is_known_to_have_none() -> None:
    without = {op.name for op in TABLE.values() if not op.vjp and op.family not in (*ELSEWHERE, "random")}
    assert without == set(NOT_DIFFERENTIABLE)


@pytest.mark.parametrize("name", NOT_DIFFERENTIABLE)
def test_no_gradient_flows_through_a_piecewise_constant_op(name: str) -> None:
    fn, x = NOT_DIFFERENTIABLE[name], values(2, 3)
    graph = trace(lambda x: xp.sum(x * xp.astype(fn(x), "float64")))(x)
    assert name in {node.op.name for node in graph.nodes}
    _, gradient = evaluate(graph.backward(), x)
    held = np.broadcast_to(np.asarray(fn(x), np.float64), x.shape)
    np.testing.assert_allclose(gradient, held, rtol=1e-12)  # as if the op's result were a constant


def test_cases_reach_each_input_that_has_a_gradient_rule() -> None:
    for op in [op for op in TABLE.values() if op.family not in ELSEWHERE]:
        reached: set[int] = set()
        for one in CASES.get(op.name, []):
            graph = trace(one.fn)(*one.arguments)
            depending = {graph.inputs[number] for number in one.wrt}
            for node in graph.backward(one.wrt, cotangent=weights_like(graph)).nodes:
                places = {k for k, source in enumerate(node.inputs) if source in depending}
                if places:
                    depending.add(node)
                if node.op is op:
                    reached |= places
        rules = [op.vjp] if callable(op.vjp) else op.vjp  # one function stands for any number of inputs
        needed = {k for k, rule in enumerate(rules) if not isinstance(rule, NoDerivative | None)}
        assert needed <= reached, op.name


def test_a_gradient_that_is_not_known_is_refused_with_the_line() -> None:
    with pytest.raises(TypeError, match=r"gammainc for its operand a is known.*test_gradients\.py"):
        trace(lambda a: xp.special.gammainc(a, 2.0))(1.5).backward()
