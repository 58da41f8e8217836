"""Dtypes and values of ops: what the tracer promises is what NumPy does, for every pair of dtypes."""

import operator
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagexec import xp
from dagexec.ops import TABLE
from dagexec.tracing import trace
from tests.oracle import assert_same, evaluate, traced
from tests.strategies import DTYPES, arrays, axes_of, broadcastable_shapes

UFUNCS = [
    op
    for op in TABLE.values()
    if op.family == "elementwise" and isinstance(getattr(np, op.name, None), np.ufunc) and op.name != "clip"
]
UNARY = [op.name for op in UFUNCS if getattr(np, op.name).nin == 1] + ["round", "real", "imag"]
BINARY = [op.name for op in UFUNCS if getattr(np, op.name).nin == 2] + ["matmul"]
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, name)
    for name in (
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor",
        "eq", "ne", "lt", "le", "gt", "ge",
    )
}  # fmt: skip
NUMBERS = [True, 2, 2.5, 0.5, -1, 1 + 2j]


def outcome(fn: Callable[..., Any], *arguments: Any) -> Any:
    """What `fn` returns, or the type of error it raises."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return fn(*arguments)
    except (TypeError, ValueError, OverflowError) as error:
        return TypeError if isinstance(error, TypeError) else type(error)


def assert_same_outcome(actual: Any, expected: Any, what: str) -> None:
    if isinstance(expected, type) or isinstance(actual, type):
        assert actual is expected, what
        return
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape), what
    np.testing.assert_array_equal(actual, expected, what)


def sample(dtype: Any, *shape: int) -> np.ndarray:
    return np.array([1, 0, 3, 2, 1, 5])[: int(np.prod(shape))].reshape(shape).astype(dtype)


@pytest.mark.parametrize("name", BINARY)
def test_binary_op_has_numpys_dtype_for_each_pair_of_dtypes(name: str) -> None:
    ours, theirs = getattr(xp, name), getattr(np, name)
    for first in DTYPES:
        for second in DTYPES:
            a, b = sample(first, 2, 2), sample(second, 2, 1)
            assert_same_outcome(
                outcome(traced, ours, a, b),
                outcome(theirs, a, b),
                f"{name} of {first} and {second}",
            )


@pytest.mark.parametrize("name", UNARY)
def test_unary_op_has_numpys_dtype_for_each_dtype(name: str) -> None:
    ours, theirs = getattr(xp, name), getattr(np, name)
    for dtype in DTYPES:
        x = sample(dtype, 3)
        assert_same_outcome(outcome(traced, ours, x), outcome(theirs, x), f"{name} of {dtype}")


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_python_number_takes_the_dtype_that_numpy_gives_it(name: str, number: Any) -> None:
    op = OPERATORS[name]
    for dtype in DTYPES:
        for x in (sample(dtype, 3), np.array(3, dtype)):
            for fn in (lambda x: op(x, number), lambda x: op(number, x)):
                assert_same_outcome(outcome(traced, fn, x), outcome(fn, x), f"{dtype} {x.shape}")


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "other",
    [sample("int8", 2, 3), np.float32(2), np.int64(2), np.bool(True), sample("float64", 1), [1, 2, 3]],
)
def test_operator_takes_arrays_scalars_and_lists_on_either_side(name: str, other: Any) -> None:
    op = OPERATORS[name]
    for dtype in ("bool", "int32", "float32"):
        x = sample(dtype, 3)
        for fn in (lambda x: op(x, other), lambda x: op(other, x)):
            assert_same_outcome(outcome(traced, fn, x), outcome(fn, x), dtype)


def test_python_number_out_of_range_is_an_error_at_the_users_line() -> None:
    for fn in (lambda x: x + 300, lambda x: 300 * x, lambda x: np.add(x, -1)):
        with pytest.raises(OverflowError, match=r"test_values\.py:\d+"):
            trace(fn)(np.ones(2, np.uint8))


def test_comparison_with_a_number_out_of_range_is_that_of_numpy() -> None:
    x = np.array([1, 255], np.uint8)
    for fn in (lambda x: x < 300, lambda x: x == -1, lambda x: x >= -5, lambda x: x != 256):
        assert_same(traced(fn, x), fn(x))


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum, "mean": np.mean, "prod": np.prod, "max": np.max, "min": np.min, "var": np.var,
    "std": np.std, "all": np.all, "any": np.any,
}  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
@given(data=st.data())
def test_reduction_is_that_of_numpy(name: str, data: st.DataObject) -> None:
    x = data.draw(arrays(min_dims=0, max_dims=4, min_side=1))
    axis, keepdims = data.draw(axes_of(x.ndim)), data.draw(st.booleans())
    function = REDUCTIONS[name]

    def reduce(x: Any) -> Any:
        return function(x, axis=axis, keepdims=keepdims)

    with np.errstate(all="ignore"):
        expected = reduce(x)
        assert_same(traced(reduce, x), expected, rtol=1e-3 if expected.dtype == np.float16 else 1e-6)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "all", "any"])
@pytest.mark.parametrize(("shape", "axis"), [((0,), None), ((2, 0), 1), ((2, 0), 0), ((0, 3), (0, 1))])
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_reduction_of_nothing_is_that_of_numpy(name: str, shape: tuple[int, ...], axis: Any) -> None:
    function = partial(REDUCTIONS[name], axis=axis)
    assert_same(traced(function, np.ones(shape)), function(np.ones(shape)))


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_extremum_of_nothing_is_an_error_while_tracing(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} of float64\[2,0\].*test_values\.py:\d+"):
        trace(lambda x: getattr(xp, name)(x, axis=1))(np.ones((2, 0)))


@given(data=st.data())
def test_argmax_and_argmin_are_those_of_numpy(data: st.DataObject) -> None:
    x = data.draw(arrays(min_dims=1, max_dims=3, min_side=1))
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    keepdims = data.draw(st.booleans())
    for name in (np.argmax, np.argmin):
        function = partial(name, axis=axis, keepdims=keepdims)
        assert_same(traced(function, x), function(x))


def test_logsumexp_does_not_overflow() -> None:
    x = np.array([[1000.0, 1000.0], [-np.inf, -np.inf], [-1e9, 0.0]])
    expected = np.array([1000 + np.log(2), -np.inf, 0.0])
    assert_same(traced(lambda x: xp.logsumexp(x, axis=1), x), expected)


@given(data=st.data())
def test_where_and_clip_are_those_of_numpy(data: st.DataObject) -> None:
    shapes = data.draw(broadcastable_shapes(3))
    condition = data.draw(arrays(shape=shapes[0]))
    a, b = data.draw(arrays(shape=shapes[1])), data.draw(arrays(shape=shapes[2]))
    assert_same(traced(np.where, condition, a, b), np.where(condition, a, b))
    low, high = np.minimum(a, b), np.maximum(a, b)
    if a.dtype != bool or b.dtype != bool:
        assert_same(traced(np.clip, a, low, high), np.clip(a, low, high))


@pytest.mark.parametrize("first", ["float32", "float64", "int64", "complex64"])
@pytest.mark.parametrize("second", ["float32", "float64"])
def test_where_of_many_is_that_of_numpy_to_the_bit(first: str, second: str) -> None:
    random = np.random.default_rng(0)
    special = [0.0, -0.0, 1.0, -1.5] + ([np.nan, -np.inf] if first != "int64" else [])
    a = random.choice(special, (100, 100)).astype(first)
    b = random.choice([0.0, -0.0, np.nan, np.inf, 2.0], (100, 100)).astype(second)
    mask = random.random((100, 100)) < 0.5
    zero, minus = np.zeros((), second), np.asarray(-0.0, second)
    for x, y in [
        (a, b), (a.T, b[::-1]), (a[:1], b), (a[:, :1], b[0]), (zero, b), (b, zero), (minus, b), (b, minus),
        (0, b), (b, 0.0), (2, b), (zero, minus), (b.tolist(), b), (b.astype(b.dtype.newbyteorder()), b),
    ]:  # fmt: skip
        for chosen in (mask, mask.T, np.broadcast_to(mask[0], mask.shape)):
            expected = np.where(chosen, x, y)
            actual = TABLE["where"].kernel(np)(chosen, x, y)
            assert (actual.dtype, actual.tobytes()) == (expected.dtype, expected.tobytes())


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_rows_are_added_up_as_by_add_at_to_the_bit(dtype: str) -> None:
    random = np.random.default_rng(0)
    for shape, rows in [((5, 3), (40,)), ((200, 2, 3), (4, 9)), ((5, 3), ()), ((5, 3), (0,))]:
        x = np.zeros(shape)
        index = random.integers(0 if dtype == "uint8" else -shape[0], shape[0], rows).astype(dtype)
        values = random.normal(size=(*rows, *shape[1:]))
        add = TABLE["scatter_add"].kernel(np, shape=shape, indices=(("array",),))
        np.add.at(x, index, values)
        np.testing.assert_array_equal(add(values, index), x)
        np.testing.assert_array_equal(add(np.float64(2), index), add(np.full_like(values, 2.0), index))
        if index.size:
            with pytest.raises(IndexError, match="out of bounds"):
                add(values, np.full(rows, shape[0]))


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("second", DTYPES)
def test_astype_join_and_selection_promote_as_numpy_does(first: str, second: str) -> None:
    a, b, mask = sample(first, 4), sample(second, 4), sample("bool", 4)
    assert_same(traced(lambda a: a.astype(second), a), a.astype(second))
    assert_same(traced(lambda a, b: np.concatenate([a, b]), a, b), np.concatenate([a, b]))
    assert_same(traced(lambda a, b: np.stack([a, b]), a, b), np.stack([a, b]))
    assert_same(traced(lambda a, b: np.where(mask, a, b), a, b), np.where(mask, a, b))


@given(data=st.data())
def test_op_of_random_shapes_promises_what_its_kernel_returns(data: st.DataObject) -> None:
    """The evaluator compares each result's shape and dtype with its node's spec."""
    op = data.draw(st.sampled_from(UFUNCS))
    count = getattr(np, op.name).nin
    operands = [data.draw(arrays(shape=shape)) for shape in data.draw(broadcastable_shapes(count))]
    theirs = outcome(lambda: getattr(np, op.name)(*operands))
    assert_same_outcome(outcome(lambda: traced(getattr(xp, op.name), *operands)), theirs, op.name)


def test_scalar_constants_are_shared_and_folded() -> None:
    graph = trace(lambda x: x * 2.0 + 2.0 + xp.sqrt(np.float64(4.0)) + x * 2.0)(np.ones(3))
    constants = [node.params["value"] for node in graph.nodes if node.op.name == "constant"]
    assert [float(value) for value in constants] == [2.0]
    assert_same(evaluate(graph, np.ones(3)), np.full(3, 8.0))


@pytest.mark.parametrize("number", [0.0, -0.0, np.nan])
def test_equal_scalars_of_other_bits_are_not_shared(number: float) -> None:
    graph = trace(lambda x: (x + 0.0, np.copysign(1.0, 1.0) * (x * number)))(np.ones(1))
    _, product = evaluate(graph, np.ones(1))
    assert np.signbit(product[0]) == np.signbit(number) or np.isnan(number)
    assert np.isnan(product[0]) == np.isnan(number)


def test_change_to_a_callers_array_does_not_reach_the_graph() -> None:
    held = np.ones(2)
    graph = trace(lambda x: x + held)(np.zeros(2))
    held[:] = 7
    assert_same(evaluate(graph, np.zeros(2)), np.ones(2))
    with pytest.raises(ValueError, match="read-only"):
        next(node for node in graph.nodes if node.op.name == "constant").params["value"][0] = 3
