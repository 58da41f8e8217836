"""Every op against JAX: values and gradients, on random shapes, dtypes, axes and operands that broadcast.

The twins of the ops are found by the op table: an op without one and without a reason fails. Data are drawn
where both are defined and smooth: at single points (ties, jumps, the ends of a domain) either is right.
"""

import importlib
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import dagexec
from dagexec import nn, xp
from dagexec.graph import Spec
from dagexec.ops import TABLE
from dagexec.tracing import trace
from tests.oracle import leaves_of
from tests.strategies import axes_of, broadcastable_shapes, shapes

EXAMPLES = 2  # of each op: JAX compiles for each
FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
INTEGERS = ("int32", "int64", "uint8")
DTYPES = (*FLOATS, *COMPLEX, *INTEGERS, "bool")
REAL = (*FLOATS, *INTEGERS, "bool")
INEXACT = (*FLOATS, *COMPLEX)
Domain = tuple[float, float]


class Twin(NamedTuple):
    """The function of dagexec.xp and the one of JAX, and what to give both: (operands, static parameters).

    A name is looked up, in `xp` or in `jax`; a callable is given `xp` or `jax` first.
    """

    arguments: Any
    ours: str | Callable[..., Any]
    theirs: str | Callable[..., Any]
    differentiable: bool = True


TWINS: dict[str, list[Twin]] = {}
NO_TWIN = {
    **dict.fromkeys(("input", "constant", "item"), "holds or fetches a value and computes nothing"),
    **dict.fromkeys(("barrier", "closed_over"), "is recorded by checkpoint, which has a twin"),
    **dict.fromkeys(
        ("random_split", "random_normal", "random_uniform", "random_permutation"),
        "other bits than JAX's generator",
    ),
    "in_range": "JAX clips an index that is out of range and says nothing",
    **dict.fromkeys(("j0", "j1", "jv", "iv", "ive"), "JAX has no Bessel functions of this kind to derive"),
}


def twin(
    name: str, arguments: Any, ours: Any = None, theirs: Any = None, differentiable: bool = True
) -> None:
    ours = ours or name
    same = f"numpy.{ours}" if isinstance(ours, str) else lambda jax, *x, **k: ours(jax.numpy, *x, **k)
    TWINS.setdefault(name, []).append(Twin(arguments, ours, theirs or same, differentiable))


# --- drawing operands -----------------------------------------------------------------------------------
def filled(seed: int, parts: Sequence[tuple[tuple[int, ...], str, Domain]]) -> tuple[np.ndarray, ...]:
    """An array for each shape, dtype and domain: of all that are not integers, no two are close."""
    random = np.random.default_rng(seed)
    sizes = [int(np.prod(shape)) for shape, _, _ in parts]
    places = (random.permutation(sum(sizes)) + random.uniform(0.3, 0.7, sum(sizes))) / max(1, sum(sizes))
    found = []
    for (shape, name, (low, high)), share in zip(parts, np.split(places, np.cumsum(sizes)[:-1])):
        dtype = np.dtype(name)
        if dtype.kind == "b":
            x = random.integers(int(low > 0), 2, shape)
        elif dtype.kind in "iu":
            least = int(np.ceil(low))
            x = random.integers(max(0, least) if dtype.kind == "u" else least, int(np.floor(high)) + 1, shape)
        else:
            x = np.asarray(low + (high - low) * share).reshape(shape)
        if dtype.kind == "c":
            x = x + 1j * random.uniform(0.2, 1, shape) * random.choice([-1, 1], shape)
        found.append(np.asarray(x).astype(dtype))
    return tuple(found)


@st.composite
def operands(draw: Any, *domains: Domain, dtypes: Sequence[tuple[str, ...]]) -> Any:
    """So many arrays that broadcast against each other."""
    found = draw(broadcastable_shapes(len(domains)))
    return filled(draw(seeds), list(zip(found, draw(st.sampled_from(dtypes)), domains))), {}


@st.composite
def one(
    draw: Any,
    dtypes: Sequence[str] = DTYPES,
    domain: Domain = (-1.5, 1.5),
    params: Any = None,
    shape: Any = None,
) -> Any:
    """One array; `params(draw, shape)` gives the parameters for its shape."""
    found = draw(shapes(0, 3, 0, 3) if shape is None else shape)
    x = filled(draw(seeds), [(found, draw(st.sampled_from(dtypes)), domain)])
    return x, params(draw, found) if params else {}


seeds = st.integers(0, 2**16)
full = shapes(1, 3, 1, 3)  # with an axis and an element


def axis_of(draw: Any, shape: tuple[int, ...]) -> int:
    return draw(st.integers(-len(shape), len(shape) - 1))


# --- elementwise ----------------------------------------------------------------------------------------
PLAIN, POSITIVE, WITHIN_ONE = (-1.5, 1.5), (0.4, 2.0), (-0.8, 0.8)
ONE_DOMAIN: dict[str, Domain] = {
    **dict.fromkeys(("log", "log2", "log10", "sqrt", "reciprocal", "log1p", "cbrt", "spacing"), POSITIVE),
    **dict.fromkeys(("asin", "acos", "atanh"), WITHIN_ONE),
    **dict.fromkeys(("ceil", "floor", "rint", "round", "trunc", "bitwise_count"), (-4.0, 4.0)),
    "acosh": (1.3, 3.0),
}
TWO_DOMAINS: dict[str, tuple[Domain, Domain]] = {
    **dict.fromkeys(("divide", "atan2", "ldexp"), (PLAIN, (0.5, 2.0))),
    **dict.fromkeys(("floor_divide", "remainder", "fmod"), ((-9.0, 9.0), (0.8, 4.0))),
    **dict.fromkeys(("pow", "float_power"), (POSITIVE, (0.6, 2.5))),
    **dict.fromkeys(("bitwise_left_shift", "bitwise_right_shift"), ((-9.0, 9.0), (0.0, 4.0))),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm"), ((-9.0, 9.0),) * 2),
}
SPECIAL_CARE = (
    *("astype", "clip", "conj", "ldexp", "nextafter", "reciprocal", "round", "sign", "spacing", "where"),
)


def accepted(name: str) -> list[tuple[str, ...]]:
    """The dtypes of operands that the op has: all the same, or two that are promoted alike in JAX."""
    count = getattr(np, name).nin
    found = [(dtype,) * count for dtype in DTYPES]
    if count == 2:
        found += [
            ("float32", "float64"),
            ("complex128", "float64"),
            ("float32", "complex64"),
            ("int32", "float64"),
        ]
    return [dtypes for dtypes in found if _is_defined(name, dtypes)]


def _is_defined(name: str, dtypes: tuple[str, ...]) -> bool:
    try:
        result = TABLE[name].infer(*[Spec((), dtype) for dtype in dtypes])
    except TypeError:
        return False
    return bool(result.dtype != np.float16)  # which NumPy makes of small integers


def each(*dtypes: str, count: int = 1) -> list[tuple[str, ...]]:
    return [(dtype,) * count for dtype in dtypes]


for _op in TABLE.values():
    _ufunc = getattr(np, _op.name, None)
    if _op.family == "elementwise" and isinstance(_ufunc, np.ufunc) and _op.name not in SPECIAL_CARE:
        _domains = TWO_DOMAINS.get(_op.name, (PLAIN,) * 2)
        if _ufunc.nin == 1:
            _domains = (ONE_DOMAIN.get(_op.name, PLAIN),)
        twin(_op.name, operands(*_domains, dtypes=accepted(_op.name)))

for _name, _part in (("real", "imag"), ("imag", "real")):
    twin(_name, operands(PLAIN, dtypes=each(*COMPLEX)))
    twin(_name, operands(PLAIN, dtypes=each(*COMPLEX)), lambda np, x, f=_name: x * getattr(np, f)(x) * 2j)
for _name in ("abs", "conj"):
    twin(_name, operands(PLAIN, dtypes=each(*COMPLEX)))
    twin(_name, operands(PLAIN, dtypes=each(*COMPLEX)), lambda np, x, f=_name: getattr(np, f)(x) * x)
twin("sign", operands(PLAIN, dtypes=each(*FLOATS, *INTEGERS)))
twin("divide", operands(PLAIN, dtypes=each(*COMPLEX)), "sign", lambda jax, x: x / abs(x))  # JAX: no gradient
twin(
    "pow",
    operands(PLAIN, (2.0, 3.0), dtypes=[("float64", "int32"), ("complex64", "int32"), ("int64", "uint8")]),
)
twin("reciprocal", operands(POSITIVE, dtypes=each(*INEXACT)))
twin("reciprocal", operands((-2.0, -0.4), dtypes=each(*FLOATS)))
twin("round", operands((-4.0, 4.0), dtypes=each(*FLOATS, *INTEGERS)))
twin("ldexp", operands(PLAIN, (-3.0, 4.0), dtypes=[("float32", "int32"), ("float64", "int32")]))
_ULP = 2.0**52  # so that the last bits show
for _name, _count in (
    ("nextafter", 2),
    ("spacing", 1),
):  # JAX says that it has no derivative, not that it is 0
    twin(
        _name,
        operands(*[POSITIVE] * _count, dtypes=each("float64", count=_count)),
        lambda np, x, *y, name=_name: _ULP * (getattr(np, name)(x, *y) - (x if y else 0)),
        differentiable=False,
    )
_MIXED = [
    ("bool", "float64", "float64"),
    ("bool", "complex64", "float32"),
    ("bool", "int32", "int32"),
    ("bool", "float32", "complex128"),
]
twin("where", operands(PLAIN, PLAIN, PLAIN, dtypes=_MIXED))
twin(
    "exceeds",
    operands(*[(-2.0, 2.0)] * 2, dtypes=each(*FLOATS, count=2)),
    lambda np, a, b: np.exceeds(np.round(a), np.round(b)),
    lambda jax, a, b: jax.numpy.heaviside(jax.numpy.round(a) - jax.numpy.round(b), 0.5),
)
twin("clip", operands((-2.0, 2.0), (-1.0, 0.2), (-0.2, 1.0), dtypes=each(*FLOATS, "int32", count=3)))
twin("clip", operands((-2.0, 2.0), (0.0, 1.0), (-1.0, 0.5), dtypes=each("float64", count=3)))  # limits cross


# --- reductions -----------------------------------------------------------------------------------------
@st.composite
def reduced(
    draw: Any, dtypes: Sequence[str], domain: Domain = PLAIN, shape: Any = full, single: bool = False
) -> Any:
    """An array with an axis, axes, or none to reduce over, and keepdims."""
    found = draw(shape)
    x = filled(draw(seeds), [(found, draw(st.sampled_from(dtypes)), domain)])
    axis = draw(st.sampled_from([None, *range(-len(found), len(found))]) if single else axes_of(len(found)))
    return x, {"axis": axis, "keepdims": draw(st.booleans())}


_LOGSUMEXP = ("logsumexp", "scipy.special.logsumexp")
for _name in ("sum", "prod", "all", "any"):
    twin(_name, reduced((*INEXACT, "int32", "bool"), shape=shapes(0, 3, 0, 3)))
twin("mean", reduced((*INEXACT, "int32", "bool")))
twin("var", reduced((*INEXACT, "int32"), shape=shapes(1, 3, 2, 3)))
twin(
    "var",
    one(FLOATS, shape=shapes(1, 3, 2, 3)),
    lambda np, x: np.var(x, correction=0.5) + np.std(x, axis=-1, correction=1),
)
for _name in ("max", "min"):
    twin(_name, reduced((*FLOATS, "int32", "uint8", "bool")))
twin("logsumexp", reduced(INEXACT), *_LOGSUMEXP)
for _name in ("argmax", "argmin"):
    twin(_name, reduced((*FLOATS, "int32", "bool"), single=True))


# --- shapes and indices ---------------------------------------------------------------------------------
def moved(params: Any, shape: Any = full) -> Any:
    return one((*INEXACT, "int32", "bool"), params=params, shape=shape)


def _new_shape(draw: Any, shape: tuple[int, ...]) -> Any:
    factors = draw(st.permutations([*shape, 1]))
    return {"shape": draw(st.sampled_from([(*factors, -1), (-1, 1, 1, 1)]))}


def _wider_shape(draw: Any, shape: tuple[int, ...]) -> Any:
    return {
        "shape": (
            *draw(shapes(1, 2, 0, 2)),
            *[2 if side == 1 and draw(st.booleans()) else side for side in shape],
        )
    }


def _other_order(draw: Any, shape: tuple[int, ...]) -> Any:
    axes = tuple(range(len(shape)))
    return {"axes": draw(st.permutations(axes).map(tuple).filter(lambda order: order != axes))}


def _rolls(draw: Any, shape: tuple[int, ...]) -> Any:
    shifts = st.integers(-4, 4)
    if draw(st.booleans()):
        return {"shift": draw(shifts), "axis": draw(st.none() | st.just(axis_of(draw, shape)))}
    return {"shift": (draw(shifts), draw(shifts)), "axis": (axis_of(draw, shape), axis_of(draw, shape))}


def _cuts(draw: Any, shape: tuple[int, ...]) -> Any:
    axis = axis_of(draw, shape)
    return {
        "indices_or_sections": sorted(draw(st.lists(st.integers(0, shape[axis]), max_size=3))),
        "axis": axis,
    }


def _index(draw: Any, shape: tuple[int, ...]) -> Any:
    basic = hnp.basic_indices(shape, allow_newaxis=True, max_dims=5)
    rows = hnp.integer_array_indices(shape, result_shape=shapes(0, 2, 0, 3))
    mask = hnp.arrays(bool, shape[: draw(st.integers(1, len(shape)))])
    apart = st.just((0, None, np.array([0, -1]))) if len(shape) > 1 else st.just(-1)
    return {"index": draw(st.one_of(basic, rows, mask, apart))}


twin("reshape", moved(_new_shape))
twin("broadcast_to", moved(_wider_shape, shapes(0, 2, 0, 2)))
twin("permute_dims", moved(_other_order, shapes(2, 3, 1, 3)))
twin("expand_dims", moved(lambda draw, shape: {"axis": axis_of(draw, (*shape, 1))}, shapes(0, 3, 0, 3)))
twin("expand_dims", moved(lambda draw, shape: {"axis": draw(st.sampled_from([(0, -1), (1, 2)]))}))
twin(
    "squeeze",
    moved(lambda draw, shape: {"axis": axis_of(draw, shape[:-1]) % (len(shape) - 1)}, st.just((1, 1, 3))),
)
twin("flip", moved(lambda draw, shape: {"axis": draw(axes_of(len(shape)))}))
twin("roll", moved(_rolls))
twin("split", moved(_cuts))
twin("unstack", moved(lambda draw, shape: {"axis": axis_of(draw, shape)}))
twin("getitem", moved(_index), lambda np, x, index: x[index])


@st.composite
def joined(draw: Any, lengthened: bool) -> Any:
    """Arrays of one shape, or of lengths of their own along the axis, and the axis."""
    shape, count = draw(shapes(1, 3, 0, 3)), draw(st.integers(1, 3))
    axis = axis_of(draw, shape) if lengthened else draw(st.integers(-len(shape) - 1, len(shape)))
    parts = []
    for _ in range(count):
        sides = list(shape)
        if lengthened:
            sides[axis] = draw(st.integers(0, 3))
        parts.append((tuple(sides), draw(st.sampled_from(INEXACT)), PLAIN))
    return filled(draw(seeds), parts), {"axis": axis}


twin("concat", joined(True), lambda np, *x, axis: np.concat(x, axis=axis))
twin("stack", joined(False), lambda np, *x, axis: np.stack(x, axis=axis))


@st.composite
def assigned(draw: Any) -> Any:
    """An array, an index without repeated places, and what to put there, which broadcasts."""
    shape = draw(full)
    index = draw(
        hnp.basic_indices(shape) | hnp.arrays(bool, shape[:-1]) if shape[1:] else hnp.basic_indices(shape)
    )
    there = np.empty(shape)[index].shape
    value = there[draw(st.integers(0, len(there))) :]
    dtype = draw(st.sampled_from(INEXACT))
    return filled(draw(seeds), [(shape, dtype, PLAIN), (value, dtype, PLAIN)]), {"index": index}


def _put(xp: Any, x: Any, value: Any, index: Any) -> Any:
    y = x * 1
    y[index] = value
    return y


twin("index_put", assigned(), _put, lambda jax, x, value, index: x.at[index].set(value))


@st.composite
def scattered(draw: Any) -> Any:
    shape = draw(full)
    index = draw(hnp.integer_array_indices(shape, result_shape=shapes(1, 2, 1, 3)))
    part = (np.empty(shape)[index].shape, draw(st.sampled_from(INEXACT)), PLAIN)
    return filled(draw(seeds), [part]), {"shape": shape, "index": index}


def _scattered(xp: Any, g: Any, shape: tuple[int, ...], index: Any) -> Any:
    return xp.scatter_add(g, *index, shape=shape, indices=(("array",) * len(index),))


twin(
    "scatter_add",
    scattered(),
    _scattered,
    lambda jax, g, shape, index: jax.numpy.zeros(shape, g.dtype).at[index].add(g),
)


def _cast(jax: Any, x: Any, dtype: str) -> Any:
    halved = x.dtype.kind == "c" and np.dtype(dtype).kind != "c"  # JAX wants that said
    return (jax.numpy.real(x) if halved else x).astype(dtype)


for _name in (*INEXACT, "int32", "bool"):
    _others = st.sampled_from([dtype for dtype in (*INEXACT, "int32") if dtype != _name])
    twin(
        "astype",
        one((_name,), params=lambda draw, shape, others=_others: {"dtype": draw(others)}),
        lambda xp, x, dtype: xp.astype(x, dtype),
        _cast,
    )


# --- order and running totals ---------------------------------------------------------------------------
def _along(draw: Any, shape: tuple[int, ...]) -> Any:
    return {"axis": axis_of(draw, shape)}


def _order(draw: Any, shape: tuple[int, ...]) -> Any:
    return {"axis": axis_of(draw, shape), "descending": draw(st.booleans())}


def _running(draw: Any, shape: tuple[int, ...]) -> Any:
    return {"axis": axis_of(draw, shape), "include_initial": draw(st.booleans())}


twin("sort", one((*FLOATS, "int32", "bool"), params=_order, shape=full))
twin("argsort", one((*FLOATS, "int32", "bool"), params=_order, shape=full))
for _name in ("cumulative_sum", "cumulative_prod"):
    twin(_name, one((*INEXACT, "int32"), params=_running, shape=full))
_SIDE = st.sampled_from(["left", "right"])
_ASCENDING = np.array([-1.0, -0.5, 0.0, 0.0, 1.0])
twin(
    "searchsorted",
    one((*FLOATS, "int32"), params=lambda draw, shape: {"side": draw(_SIDE)}),
    lambda np, x, side: np.searchsorted(_ASCENDING, x, side=side),
)
twin("isin", one((*FLOATS, "int32")), lambda np, x: np.isin(x, np.asarray([-1.0, 0.0, 1.0], dtype=x.dtype)))

# --- matrices -------------------------------------------------------------------------------------------
STACKS = st.sampled_from([(), (), (2,), (0,), (1, 2)])


@st.composite
def matrices(draw: Any, square: bool = True, params: Any = None, dtypes: Sequence[str] = INEXACT) -> Any:
    """A stack of matrices far from singular, with singular values far from each other."""
    m = draw(st.integers(1, 3))
    n = m if square else draw(st.integers(1, 3))
    (x,) = filled(draw(seeds), [((*draw(STACKS), m, n), draw(st.sampled_from(dtypes)), PLAIN)])
    diagonal = np.eye(m, n) * np.arange(1, m + 1)[:, None]
    return ((0.3 * x + 2 * diagonal).astype(x.dtype),), params(draw, x.shape) if params else {}


@st.composite
def products(draw: Any) -> Any:
    k = draw(st.integers(0, 3))
    first, second = draw(broadcastable_shapes(2))
    a = draw(st.sampled_from([(k,), (2, k), (*first, 3, k)]))
    b = draw(st.sampled_from([(k,), (k, 2), (*second, k, 1)]))
    one, other = draw(st.sampled_from([*each(*INEXACT, "int32", count=2), ("float64", "complex64")]))
    return filled(draw(seeds), [(a, one, PLAIN), (b, other, PLAIN)]), {}


@st.composite
def equations(draw: Any) -> Any:
    (a,), _ = draw(matrices())
    n = a.shape[-1]
    shape = draw(st.sampled_from([(n,), (*a.shape[:-2], n, 2), (n, 1)]))
    return (a, *filled(draw(seeds), [(shape, draw(st.sampled_from(INEXACT)), PLAIN)])), {}


def _hermitian(np: Any, x: Any) -> Any:
    return x + np.conj(np.matrix_transpose(x))


def _without_phase(np: Any, *results: Any) -> list[Any]:
    return [np.abs(y) ** 2 for y in results]


twin("matmul", products())
twin("solve", equations(), "linalg.solve")
for _name in ("inv", "det", "slogdet"):
    twin(_name, matrices(), f"linalg.{_name}")
twin(
    "cofactors",
    matrices(),
    "linalg.cofactors",
    lambda jax, x: (
        jax.numpy.linalg.det(x)[..., None, None] * jax.numpy.matrix_transpose(jax.numpy.linalg.inv(x))
    ),
)
twin("pinv", matrices(square=False), "linalg.pinv")
twin(
    "cholesky",
    matrices(params=lambda draw, shape: {"upper": draw(st.booleans())}),
    lambda np, x, upper: np.linalg.cholesky(x @ np.conj(np.matrix_transpose(x)), upper=upper),
)
twin("eigh", matrices(), lambda np, x: _without_phase(np, *np.linalg.eigh(_hermitian(np, x))))
twin("eigvalsh", matrices(), lambda np, x: np.linalg.eigvalsh(_hermitian(np, x)))
twin("eig", matrices(), "linalg.eigvals")  # JAX has no derivative of the vectors
twin("svdvals", matrices(square=False), "linalg.svdvals")
twin("svd", matrices(square=False), lambda np, x: _without_phase(np, *np.linalg.svd(x, full_matrices=False)))
twin("qr", matrices(), lambda np, x: list(np.linalg.qr(x)))


# --- windows --------------------------------------------------------------------------------------------
@st.composite
def convolutions(draw: Any) -> Any:
    """Data, weights, and parameters with which they fit: one space axis or two."""
    ndim, groups = draw(st.integers(1, 2)), draw(st.integers(1, 2))

    def drawn(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(ndim))

    lengths, kernel, dilation, input_dilation = drawn(1, 5), drawn(1, 3), drawn(1, 2), drawn(1, 2)
    params = {
        "strides": drawn(1, 3),
        "dilation": dilation,
        "input_dilation": input_dilation,
        "groups": groups,
    }
    missing = [
        max(0, (k - 1) * d - (n - 1) * by) for n, k, d, by in zip(lengths, kernel, dilation, input_dilation)
    ]
    low, high = drawn(0, 2), drawn(0, 2)
    spare = [
        min(1, (n - 1) * by + a + b + m - (k - 1) * d)
        for n, by, a, b, m, k, d in zip(lengths, input_dilation, low, high, missing, kernel, dilation)
    ]  # where there is room, an element may be cut off
    cut = [draw(st.integers(0, n)) for n in spare]
    params["padding"] = tuple((a + m - c, b) for a, m, c, b in zip(low, missing, cut, high))
    batch, channels, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    found = (batch, channels * groups, *lengths), (outputs * groups, channels, *kernel)
    dtype = draw(st.sampled_from(INEXACT))
    return filled(draw(seeds), [(shape, dtype, PLAIN) for shape in found]), params


def _convolution_of_jax(jax: Any, x: Any, weights: Any, **params: Any) -> Any:
    names = {"strides": "window_strides", "dilation": "rhs_dilation", "input_dilation": "lhs_dilation"}
    names["groups"] = "feature_group_count"
    given = {names.get(name, name): value for name, value in params.items()}
    return jax.lax.conv_general_dilated(x, weights, **given, precision="highest")


@st.composite
def pools(draw: Any, count: int) -> Any:
    """As many arrays of one shape, and windows that fit."""
    windows = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    params = {
        "windows": windows,
        "strides": tuple(draw(st.integers(1, 3)) for _ in windows),
        "padding": tuple((draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))) for n in windows),
    }
    shape = (
        draw(st.integers(1, 2)),
        draw(st.integers(1, 2)),
        *(n + draw(st.integers(0, 3)) for n in windows),
    )
    dtype = draw(st.sampled_from(FLOATS))
    return filled(draw(seeds), [(shape, dtype, PLAIN)] * count), params


def _max_pool_of_jax(jax: Any, x: Any, windows: Any, strides: Any, padding: Any) -> Any:
    one, none = (1, 1), ((0, 0), (0, 0))
    return jax.lax.reduce_window(
        x, -np.inf, jax.lax.max, (*one, *windows), (*one, *strides), (*none, *padding)
    )


def _picked(namespace: Any, v: Any, x: Any, **params: Any) -> Any:
    """The derivative of the maximum in a direction; `x` is no operand, for JAX has no derivative by it."""
    if hasattr(namespace, "lax"):
        return namespace.jvp(lambda x: _max_pool_of_jax(namespace, x, **params), (x,), (v,))[1]
    return namespace.max_pool_pick(v, x, namespace.max_pool(x, **params), **params)


def _put(namespace: Any, v: Any, x: Any, **params: Any) -> Any:
    if hasattr(namespace, "lax"):
        y, pullback = namespace.vjp(lambda x: _max_pool_of_jax(namespace, x, **params), x)
        return pullback(y * v.ravel()[0])[0]
    y = namespace.max_pool(x, **params)
    return namespace.max_pool_put(y * xp.reshape(v, (-1,))[0], x, y, **params)


twin("convolution", convolutions(), "convolution", _convolution_of_jax)
twin("max_pool", pools(1), "max_pool", _max_pool_of_jax)
twin("max_pool_pick", pools(2), _picked, _picked)
twin("max_pool_put", pools(2), _put, _put, differentiable=False)


# --- Fourier transforms ---------------------------------------------------------------------------------
def _transform(draw: Any, shape: tuple[int, ...]) -> Any:
    norm = draw(st.sampled_from(["backward", "ortho", "forward"]))
    return {"n": draw(st.none() | st.integers(2, 5)), "axis": axis_of(draw, shape), "norm": norm}


_SIDES = shapes(1, 2, 2, 4)
for _op_name, _name in (("fft", "fft"), ("ifft", "ifft"), ("irfft", "irfft"), ("irfft", "hfft")):
    twin(_op_name, one(INEXACT, params=_transform, shape=_SIDES), f"fft.{_name}")
for _name in ("rfft", "ihfft"):
    twin("rfft", one(FLOATS, params=_transform, shape=_SIDES), f"fft.{_name}")

# --- special functions ----------------------------------------------------------------------------------
SPECIAL: dict[str, tuple[Domain, ...]] = {
    **dict.fromkeys(("erf", "erfc", "ndtr", "log_ndtr", "expit", "log_expit", "erfcx"), ((-2.0, 2.0),)),
    **dict.fromkeys(("i0", "i1", "i0e", "i1e"), ((-3.0, 3.0),)),
    **dict.fromkeys(("erfinv",), (WITHIN_ONE,)),
    "erfcinv": ((0.2, 1.8),),
    **dict.fromkeys(("logit", "ndtri"), ((0.1, 0.9),)),
    **dict.fromkeys(("gamma", "gammaln", "rgamma", "psi", "entr"), (POSITIVE,)),
    **dict.fromkeys(("beta", "betaln", "rel_entr", "kl_div"), (POSITIVE, POSITIVE)),
    "xlogy": (PLAIN, POSITIVE),
    "xlog1py": (PLAIN, WITHIN_ONE),
}
IN_JAX: dict[str, Any] = {
    "erfcx": lambda jax, x: jax.numpy.exp(x**2) * jax.scipy.special.erfc(x),
    "erfcinv": lambda jax, x: jax.scipy.special.erfinv(1 - x),
    "log_expit": "nn.log_sigmoid",
    "rgamma": lambda jax, x: 1 / jax.scipy.special.gamma(x),
    "psi": "scipy.special.digamma",
}
for _name, _domains in SPECIAL.items():
    twin(
        _name,
        operands(*_domains, dtypes=each(*FLOATS, count=len(_domains))),
        f"special.{_name}",
        IN_JAX.get(_name, f"scipy.special.{_name}"),
    )
twin("sigmoid", operands((-3.0, 3.0), dtypes=each(*FLOATS)), lambda xp, x: nn.sigmoid(x), "nn.sigmoid")
twin("relu", operands(PLAIN, dtypes=each(*FLOATS)), lambda xp, x: nn.relu(x), "nn.relu")
twin("softplus", operands((-3.0, 3.0), dtypes=each(*FLOATS)), lambda xp, x: nn.softplus(x), "nn.softplus")


# JAX has derivatives for the first operand of these as well, dagexec refuses them
for _name in ("zeta", "gammainc", "gammaincc"):
    twin(
        _name,
        operands(POSITIVE, dtypes=each(*FLOATS)),
        lambda xp, x, name=_name: getattr(xp.special, name)(np.asarray(2.3, x.dtype), x),
        lambda jax, x, name=_name: getattr(jax.scipy.special, name)(np.asarray(2.3, x.dtype), x),
    )


# --- control and transformations ------------------------------------------------------------------------
def _ours_and_theirs(name: str, arguments: Any, fn: Callable[..., Any]) -> None:
    twin(
        name,
        arguments,
        lambda xp, *x, **k: fn(xp, dagexec, *x, **k),
        lambda jax, *x, **k: fn(jax.numpy, jax.lax if hasattr(jax.lax, name) else jax, *x, **k),
    )


def _custom(np: Any, library: Any, a: Any, b: Any) -> Any:
    product = library.custom_vjp(lambda a, b: a * b)
    product.defvjp(lambda a, b: (a * b, (a, b)), lambda kept, g: (g * kept[1] * 3, np.sin(g) * kept[0]))
    return np.sin(product(a, b))


_TWO = operands(PLAIN, PLAIN, dtypes=each(*FLOATS, count=2))
_SAME = operands(PLAIN, dtypes=each(*INEXACT))
_ours_and_theirs("stop_gradient", _SAME, lambda np, library, x: x * library.stop_gradient(np.sin(x)))
_ours_and_theirs(
    "checkpoint", _TWO, lambda np, library, a, b: library.checkpoint(lambda a: np.sin(a * np.cos(b)))(a)
)
_ours_and_theirs(
    "custom_vjp",
    operands(PLAIN, dtypes=each(*FLOATS)),
    lambda np, library, x: _custom(np, library, x, np.cos(x)),
)
_ours_and_theirs(
    "cond",
    _SAME,
    lambda np, library, x: library.cond(
        np.sum(np.real(x)) > 0, lambda a, b: a * np.sin(b), lambda a, b: a / (b + 3), x, np.cos(x)
    ),
)
_ours_and_theirs(
    "while_loop",
    one(("int32", "int64"), shape=full),  # no gradient in reverse: neither has one
    lambda np, library, x: library.while_loop(
        lambda c: np.sum(np.abs(c)) < 50, lambda c: c + 2 * abs(c) + 1, x
    ),
)
_ours_and_theirs(
    "scan",
    one(INEXACT, shape=shapes(2, 3, 1, 3)),
    lambda np, library, xs: library.scan(
        lambda carry, x: (np.sin(carry) * x + xs[0], (carry * x, x + 1)), np.cos(xs[0]), xs
    ),
)


# --- the comparison -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def jax() -> Any:
    jax = pytest.importorskip("jax")
    importlib.import_module("jax.scipy.special")
    return jax


def _found(where: str | Callable[..., Any], namespace: Any) -> Callable[..., Any]:
    return (
        attrgetter(where)(namespace) if isinstance(where, str) else lambda *x, **k: where(namespace, *x, **k)
    )


def _is_inexact(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "fc"


def _cotangents(values: Sequence[Any]) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    found = [random.normal(size=(2, *np.shape(y))) for y in values]
    return [
        (g[0] + 1j * g[1] if np.asarray(y).dtype.kind == "c" else g[0]).astype(np.asarray(y).dtype)
        for g, y in zip(found, values)
    ]


def _of_jax(jax: Any, fn: Callable[..., Any], operands: Sequence[Any], cotangents: Any) -> tuple[Any, Any]:
    def both(*inexact: Any) -> tuple[Any, Any]:
        if cotangents is None:
            return fn(*inexact), ()
        values, pullback = jax.vjp(fn, *inexact)
        return values, pullback([g.astype(y.dtype) for g, y in zip(cotangents, values)])

    with jax.enable_x64(True):
        return jax.jit(both).lower(*operands).compile({"xla_backend_optimization_level": 0})(*operands)


def _assert_close(ours: Any, theirs: Any, operands: Sequence[np.ndarray]) -> None:
    for found, wanted in zip(ours, theirs, strict=True):
        found, wanted = np.asarray(found), np.asarray(wanted)
        assert found.shape == wanted.shape
        single = {np.float32, np.complex64} & {x.dtype.type for x in (found, wanted, *operands)}
        tolerance = 2e-4 if single else 1e-9
        scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.filterwarnings("ignore:Casting complex values to real:numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("name", TWINS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_values_and_gradients_are_those_of_jax(jax: Any, name: str, data: Any) -> None:
    twin = data.draw(st.sampled_from(TWINS[name]))
    operands, params = data.draw(twin.arguments)
    moving = [k for k, x in enumerate(operands) if _is_inexact(x)]
    inexact = [operands[k] for k in moving]

    def function_of_inexact(where: Any, namespace: Any, leaves: Callable[..., Any]) -> Callable[..., Any]:
        function = _found(where, namespace)

        def fn(*values: Any) -> list[Any]:
            new = list(operands)
            for k, value in zip(moving, values):
                new[k] = value
            return leaves(function(*new, **params))  # type: ignore[no-any-return]

        return fn

    ours = function_of_inexact(twin.ours, xp, leaves_of)
    theirs = function_of_inexact(twin.theirs, jax, jax.tree.leaves)
    at_once = ours(*inexact)
    differentiable = twin.differentiable and bool(inexact) and all(map(_is_inexact, at_once))
    cotangents = _cotangents(at_once) if differentiable else None
    expected, shares = _of_jax(jax, theirs, inexact, cotangents)
    _assert_close(at_once, expected, operands)
    graph = trace(lambda *x: leaves_of(_found(twin.ours, xp)(*x, **params)))(*operands)
    _assert_close(dagexec.run(graph, *operands), expected, operands)
    if differentiable:
        values, pullback = dagexec.vjp(ours, *inexact)
        _assert_close(values, expected, operands)
        _assert_close(pullback(cotangents), shares, operands)
    assume(name in {node.op.name for node in graph.nodes})  # not only what is recorded by other ops


def test_every_op_has_a_twin_in_jax_or_a_reason_to_have_none() -> None:
    assert set(TWINS) | set(NO_TWIN) == set(TABLE)
    assert not set(TWINS) & set(NO_TWIN)
