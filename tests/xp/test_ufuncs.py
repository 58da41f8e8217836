"""NumPy's ufuncs on traced arrays: calls with all their arguments, and the methods that ufuncs have."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dagexec import grad, xp
from dagexec.tracing import trace
from dagexec.xp.registry import NUMPY_FUNCTIONS, REFUSED
from tests.oracle import assert_same, check_gradient, leaves_of, traced

RANDOM = np.random.default_rng(11)
X = RANDOM.uniform(0.5, 2.0, (3, 4))
Y = RANDOM.uniform(0.5, 2.0, (3, 4))
K = RANDOM.integers(1, 9, (3, 4))
MASK = X > 1
REAL = [
    name
    for name, function in vars(np).items()
    if isinstance(function, np.ufunc) and function in NUMPY_FUNCTIONS and function.signature is None
]
OPERANDS: dict[str, tuple[Any, ...]] = {
    "arccosh": (X + 1,),
    "acosh": (X + 1,),
    **dict.fromkeys(("arcsin", "arccos", "arctanh", "asin", "acos", "atanh"), (X / 3,)),
    "ldexp": (X, K),
    "heaviside": (X - 1, Y),
}
ROUGH = (
    "floor", "ceil", "trunc", "rint", "sign", "modf", "divmod", "floor_divide", "remainder", "mod", "fmod",
    "spacing", "nextafter",
)  # fmt: skip


def operands_of(name: str) -> tuple[Any, ...]:
    """Operands that a ufunc is defined for and, where it can be, smooth at."""
    function = getattr(np, name)
    if name in OPERANDS:
        return OPERANDS[name]
    if not any(types[0] in "dD" for types in function.types):
        return (K, K.T.copy().reshape(K.shape))[: function.nin]
    return (X, Y)[: function.nin]


def test_ufuncs_that_cannot_be_traced_are_few_and_say_why() -> None:
    ufuncs = {name for name, function in vars(np).items() if isinstance(function, np.ufunc)}
    others = {name for name in ufuncs if getattr(np, name) not in NUMPY_FUNCTIONS}
    assert others == {"frexp", "isnat"}
    assert all(getattr(np, name) in REFUSED for name in others)


@pytest.mark.parametrize("name", REAL)
def test_a_ufunc_gives_what_numpy_gives(name: str) -> None:
    function, operands = getattr(np, name), operands_of(name)
    assert_same(leaves_of(traced(function, *operands)), leaves_of(function(*operands)))


def smooth_operands(name: str) -> list[int]:
    """The numbers of the operands that a ufunc has a gradient for."""
    return [] if name in ROUGH else [n for n, x in enumerate(operands_of(name)) if x.dtype.kind == "f"]


@pytest.mark.parametrize("name", [name for name in REAL if smooth_operands(name)])
def test_gradient_of_a_ufunc_is_that_of_central_differences(name: str) -> None:
    operands = operands_of(name)
    graph = trace(getattr(np, name))(*operands)
    check_gradient(graph, *operands, wrt=smooth_operands(name), tolerance=1e-7)


SPECIAL = np.array([np.nan, 1.0, -np.inf, 0.0, -0.0, 2.5, np.inf])


@pytest.mark.parametrize(
    "name", ["fmax", "fmin", "modf", "copysign", "heaviside", "fmod", "logaddexp2", "cbrt"]
)
def test_ufuncs_agree_with_numpy_on_special_values(name: str) -> None:
    function = getattr(np, name)
    operands = np.meshgrid(SPECIAL, SPECIAL) if function.nin == 2 else [SPECIAL]
    with np.errstate(invalid="ignore"):
        assert_same(leaves_of(traced(function, *operands)), leaves_of(function(*operands)))


# --- calls with more arguments --------------------------------------------------------------------------
def out(x: Any) -> Any:
    """An array of the same kind to write into."""
    return x * 1


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "dtype": lambda x, y: (np.add(x, y, dtype="f4"), np.multiply(x, 2, dtype="f4"), np.exp(x, dtype="f4")),
    "signature": lambda x, y: np.add(x, y, signature=("f4", "f4", "f4")),
    "bool dtype": lambda x, y: (np.less(x, y, dtype=bool), np.logical_and(x, y, dtype=bool)),
    "order": lambda x, y: np.add(x, y, order="C", subok=False),
    "out": lambda x, y: (np.add(x, y, out=out(x)), np.sin(x, out(x)), np.multiply(x, 2, out=(out(y),))),
    "out, cast": lambda x, y: (np.add(x, y, out=out(x).astype("f4")), np.less(x, y, out=out(x))),
    "out, broadcast": lambda x, y: np.add(x[0], 1, out=out(x)),
    "two outs": lambda x, y: np.divmod(x, y, out=(out(x), out(y))),
    "where": lambda x, y: (
        np.divide(x, y, out=out(x), where=MASK), np.log(x - 1, out=out(x), where=x > 1),
        np.sqrt(x - 1, out=out(x), where=MASK), np.arccosh(x, out=out(x), where=MASK),
        np.arcsin(x - 1, out=out(x), where=x < 1.9), np.maximum(x, y, out=out(x), where=MASK[0]),
    ),
    "reduce": lambda x, y: (
        np.add.reduce(x), np.add.reduce(x, axis=None), np.add.reduce(x, 1, keepdims=True),
        np.add.reduce(x, axis=(0, 1)), np.multiply.reduce(x), np.maximum.reduce(x, axis=1),
        np.minimum.reduce(x, initial=0.6), np.logical_and.reduce(x > 1), np.logical_or.reduce(x > 1, axis=1),
        np.add.reduce(x, where=MASK), np.add.reduce(x, initial=10.0), np.add.reduce(x, dtype="f4"),
        np.add.reduce(x, out=out(x[0])), np.logical_xor.reduce(x > 1), np.hypot.reduce(x, axis=None),
        np.subtract.reduce(x), np.divide.reduce(x, axis=1, keepdims=True), np.logaddexp.reduce(x, axis=1),
        np.power.reduce(x), np.bitwise_or.reduce((x * 4).astype(int)),
        np.maximum.reduce(x, initial=1, where=MASK),
    ),
    "accumulate": lambda x, y: (
        np.add.accumulate(x), np.multiply.accumulate(x, axis=1), np.maximum.accumulate(x, axis=1),
        np.minimum.accumulate(x), np.subtract.accumulate(x), np.logical_or.accumulate(x > 1.5, axis=1),
        np.logaddexp.accumulate(x, 1), np.add.accumulate(x, dtype="f4"), np.add.accumulate(x, out=out(x)),
        np.maximum.accumulate(x.ravel()), np.maximum.accumulate(x[:, :1], axis=1),
    ),
    "reduceat": lambda x, y: (
        np.add.reduceat(x, [0, 2]), np.add.reduceat(x, [0, 2, 1], axis=1),
        np.maximum.reduceat(x.ravel(), np.array([0, 5, 5, 7])),
    ),
    "outer": lambda x, y: (
        np.add.outer(x, y), np.multiply.outer(x[0], y), np.subtract.outer(x[0], [1.0, 2.0]),
        np.less.outer(2.0, x), np.maximum.outer(x, y[0], dtype="f4"),
    ),
    "gufuncs": lambda x, y: (np.matmul(x, y.T), np.vecdot(x, y), np.matvec(x, y[0]), np.vecmat(x[:, 0], y)),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_call_with_more_arguments_gives_what_numpy_gives(name: str) -> None:
    fn = CALLS[name]
    assert_same(leaves_of(traced(fn, X, Y)), leaves_of(fn(X, Y)))


@pytest.mark.parametrize("name", ["out", "where", "accumulate", "reduceat", "gufuncs"])
def test_gradient_of_a_call_is_that_of_central_differences(name: str) -> None:
    def smooth(x: Any, y: Any) -> Any:
        return [leaf for leaf in leaves_of(CALLS[name](x, y)) if leaf.dtype == np.float64]

    check_gradient(trace(smooth)(X, Y), X, Y, tolerance=1e-7)


def test_what_where_leaves_out_disturbs_no_gradient() -> None:
    def fn(x: Any) -> Any:
        return np.sum(
            np.divide(1.0, x, out=xp.zeros(3), where=x != 0) + np.log(x, out=xp.zeros(3), where=x > 0)
        )

    assert_same(np.asarray(grad(fn)(np.array([0.0, 2.0, 0.5]))), np.array([0.0, -1 / 4 + 1 / 2, -4.0 + 2.0]))


def test_out_binds_the_array_and_nothing_else() -> None:
    def fn(x: Any, y: Any) -> Any:
        before = x + 0
        same = x
        assert np.add(x, y, out=x) is x
        return before, same, x

    assert_same(traced(fn, X, Y), (X, X + Y, X + Y))


def test_adding_in_place_to_a_numpy_array_rebinds_the_name() -> None:
    def fn(x: Any) -> Any:
        total = np.zeros((3, 4))
        for n in range(3):
            total += n * x
        small = np.zeros((3, 4), np.float32)
        small -= x
        return total, small

    assert_same(traced(fn, X), (3 * X, (-X).astype(np.float32)), rtol=1e-7)


PLACES = np.array([0, 2, 0, 1, 0])


def at_places(x: Any, v: Any, k: Any) -> Any:
    """An array changed at places that are named more than once."""
    made = [x.copy() for _ in range(7)]
    np.add.at(made[0], k, v)
    np.add.at(made[1], PLACES, v)
    np.subtract.at(made[2], (slice(None), PLACES), v[:3])
    np.multiply.at(made[3], PLACES, v)
    np.maximum.at(made[4], (PLACES, 1), v[:, 0])
    np.add.at(made[5], (0, 1), 5.0)
    np.negative.at(made[6], [0, 1])
    return made


def test_at_changes_places_as_often_as_they_are_named() -> None:
    v = RANDOM.uniform(0.5, 2.0, (5, 5))
    x = RANDOM.uniform(0.5, 2.0, (3, 5))
    assert_same(traced(at_places, x, v, PLACES), at_places(x, v, PLACES))
    check_gradient(trace(at_places)(x, v, PLACES), x, v, PLACES, wrt=(0, 1), tolerance=1e-7)


BUFFER = np.zeros((3, 4))
MISUSES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "out is a NumPy array": (lambda x: np.add(x, 1, out=BUFFER), r"np\.add: out= .* xp\.zeros"),
    "out of another dtype": (lambda x: np.add(x, 1, out=x.astype(int)), "float64 does not fit .* int64"),
    "out of another shape": (lambda x: np.add(x, 1, out=x[0]), r"\(3, 4\) does not broadcast to \(4,\)"),
    "where without out": (lambda x: np.log(x, where=MASK), r"np\.log: where= .* out="),
    "dtype that does not fit": (lambda x: np.add(x, 1, dtype=int), r"np\.add: "),
    "frexp": (lambda x: np.frexp(x), r"np\.frexp can't be traced: use np\.log2"),
    "order of a reduction": (lambda x: np.subtract.reduce(x, axis=(0, 1)), "one axis at a time"),
    "at a NumPy array": (lambda x: np.add.at(BUFFER, 0, x), r"np\.add\.at: .* xp\.zeros"),
    "at traced places": (lambda x: np.multiply.at(x, x[0].astype(int), 2), "name a place twice"),
    "traced cuts": (lambda x: np.add.reduceat(x, x[0].astype(int)), "must be known"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSES)
def test_what_does_not_fit_is_an_error_at_the_users_line(name: str) -> None:
    fn, message = MISUSES[name]
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        trace(fn)(X)
    assert f"{__file__}:" in str(caught.value)
