"""`x[i] = v` on traced arrays gives what NumPy gives, and gradients flow to what stays and to what wins."""

from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagexec import TracingError, xp
from dagexec.tracing import trace
from tests.oracle import assert_same, check_gradient, evaluate, leaves_of, traced

RANDOM = np.random.default_rng(5)
X = RANDOM.uniform(0.5, 2.0, (3, 4))
V = RANDOM.normal(size=4)
K = np.array([2, 0])


def put(x: Any, index: Any, value: Any) -> Any:
    """A copy of `x` after `x[index] = value`."""
    x = x.copy()
    x[index] = value
    return x


ASSIGNMENTS: dict[str, Callable[[Any, Any], Any]] = {
    "row": lambda x, v: put(x, 0, v),
    "negative row": lambda x, v: put(x, -1, v),
    "scalar": lambda x, v: put(x, (1, 2), v[0]),
    "number": lambda x, v: put(x, (1, 2), 7),
    "column": lambda x, v: put(x, (slice(None), 1), v[:3]),
    "strided": lambda x, v: put(x, (slice(None, None, 2), slice(None, None, -2)), v[:2]),
    "broadcast": lambda x, v: put(x, slice(1, None), v),
    "everything": lambda x, v: (put(x, Ellipsis, v), put(x, slice(None), 2), put(x, (slice(None), ...), v)),
    "more axes": lambda x, v: put(x, (0, None), v[None, None]),
    "rows": lambda x, v: put(x, [2, 0], v),
    "places": lambda x, v: put(x, ([0, 1, 2], [1, 1, 3]), v[:3]),
    "repeated places": lambda x, v: put(x, ([0, 1, 0, 0], [1, 1, -3, 1]), v),
    "repeated rows": lambda x, v: put(x, ([0, 2, 0],), v * np.arange(1.0, 4.0)[:, None]),
    "places and a slice": lambda x, v: put(x, (slice(1, None), [3, 0]), v[:2]),
    "places apart": lambda x, v: put(put(x[None], ([0, 0], slice(None), [3, 1]), v[:3]), (0, 0, 0), v[3])[0],
    "mask": lambda x, v: put(x, X > 1, 0.5),
    "mask of rows": lambda x, v: (put(x, X[:, 0] > 1, v), put(x, X[:, 0] > 1, 3.0)),
    "mask and values": lambda x, v: put(x, np.equal(X, X[1, 1]), v[:1]),
    "mask and a slice": lambda x, v: put(x, (np.array([True, False, True]), slice(0, 2)), v[:2]),
    "traced mask": lambda x, v: (put(x, x > 1, 0.5), put(x, x > v, v[0]), put(x, x[:, 0] > 1, v)),
    "traced mask, one value": lambda x, v: put(x, (x > 1, Ellipsis), v[:1]),
    "in turn": lambda x, v: put(put(x, 0, v), 0, v * 2),
}  # fmt: skip


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_assignment_gives_what_numpy_gives(name: str) -> None:
    fn = ASSIGNMENTS[name]
    assert_same(leaves_of(traced(fn, X, V)), leaves_of(fn(X, V)))


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_gradient_of_an_assignment_is_that_of_central_differences(name: str) -> None:
    check_gradient(trace(ASSIGNMENTS[name])(X, V), X, V, tolerance=1e-8)


@given(data=st.data())
def test_any_index_numpy_takes_is_taken(data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(max_dims=3, max_side=4))
    kind = data.draw(st.sampled_from(("basic", "integer", "mask")))
    if kind == "basic":
        index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    elif kind == "integer":
        index = data.draw(hnp.integer_array_indices(shape))
    else:
        index = data.draw(hnp.arrays(np.bool, shape))
    x = np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape)
    value = -1.0 - np.arange(x[index].size, dtype=float).reshape(x[index].shape)
    expected = put(x, index, value)

    def fn(x: Any, value: Any) -> Any:
        return put(x, index, value)

    assert_same(traced(fn, x, value), expected)
    graph = trace(fn)(x, value)
    weights = 1.0 + np.arange(x.size, dtype=float).reshape(shape)
    _, (of_x, of_value) = evaluate(graph.backward((0, 1), cotangent=weights), x, value)
    won = np.isin(value, expected)  # the values are all different
    assert_same(of_x, np.where(expected < 0, 0, weights))
    assert_same(of_value, np.where(won, put(x, Ellipsis, weights)[index], 0.0))


@given(shape=hnp.array_shapes(min_dims=1, max_dims=2, max_side=4), data=st.data())
def test_traced_indices_name_places_too(shape: tuple[int, ...], data: st.DataObject) -> None:
    x = np.zeros(shape)
    places = data.draw(st.lists(st.integers(-shape[0], shape[0] - 1), min_size=1, max_size=6))
    value = np.arange(1.0, 1.0 + len(places)).reshape(-1, *[1 for _ in shape[1:]])

    def fn(x: Any, value: Any, k: Any) -> Any:
        return put(x, k, value)

    index = np.array(places)
    assert_same(traced(fn, x, value, index), put(x, index, value))
    check_gradient(trace(fn)(x, value, index), x, value, index, wrt=(0, 1), tolerance=1e-8)


def test_assignment_and_arithmetic_in_one() -> None:
    def fn(x: Any, v: Any) -> Any:
        x = x.copy()
        x[0] += v
        x[:, 1] *= 2
        x[1:] -= x[0]
        x[K, 0] /= 4
        return x

    assert_same(traced(fn, X, V), fn(X, V))
    check_gradient(trace(fn)(X, V), X, V, tolerance=1e-8)


def test_what_was_computed_before_stays() -> None:
    def fn(x: Any) -> Any:
        before = x * 1
        kept = x.copy()
        row = x[0] + 0
        x[0] = 5.0
        return before, kept, row, x

    expected = X.copy()
    expected[0] = 5.0
    assert_same(traced(fn, X), (X, X, X[0], expected))


def test_assigning_to_a_name_of_the_same_array_reaches_it_as_in_numpy() -> None:
    def fn(x: Any) -> Any:
        same = x
        same[0] = 1.0
        return x

    assert_same(traced(fn, X), put(X, 0, 1.0))


def test_loops_that_fill_an_array() -> None:
    def fibonacci(x: Any) -> Any:
        made = xp.zeros(6)
        made[0] = x
        made[1] = x
        for n in range(2, 6):
            made[n] = made[n - 1] + made[n - 2]
        return made

    assert_same(traced(fibonacci, 2.0), 2.0 * np.array([1, 1, 2, 3, 5, 8]))
    check_gradient(trace(fibonacci)(2.0), 2.0, tolerance=1e-8)


def test_values_are_cast_to_the_arrays_dtype() -> None:
    def fn(x: Any, k: Any) -> Any:
        k = k.copy()
        k[0] = x[0, 0] * 3
        k[1:] = 2.7
        return k

    assert_same(traced(fn, X, K), fn(X, K))
    assert traced(fn, X, K).dtype == K.dtype


def test_index_put_computes_at_once_on_arrays_that_have_values() -> None:
    assert_same(xp.index_put(X, 0.0, index=(0,)), put(X, 0, 0.0))


BUFFER = np.zeros((3, 4))
MISUSES: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "no such row": (lambda x: put(x, 5, 0), IndexError, "out of bounds"),
    "too many indices": (lambda x: put(x, (0, 0, 0), 0), IndexError, "too many indices"),
    "too few values": (
        lambda x: put(x, 0, np.ones(3)),
        ValueError,
        r"\(3,\) does not fill the \(4,\) places",
    ),
    "too many axes": (lambda x: put(x, 0, x), ValueError, "does not fill"),
    "complex": (lambda x: put(x, 0, x[0] * 1j), TypeError, "complex128 values do not fit"),
    "complex number": (lambda x: put(x, 0, 1j), TypeError, "complex128 values do not fit"),
    "mask of another shape": (lambda x: put(x, x[:2] > 1, 0), IndexError, "mask of shape"),
    "values for a traced mask": (lambda x: put(x, x > 1, np.ones(5)), ValueError, r"xp\.where"),
    "arithmetic at a traced mask": (lambda x: x[x > 1] + 1, TracingError, r"xp\.where"),
    "floats as index": (lambda x: put(x, x, 0), IndexError, "must hold integers"),
    "a NumPy array, row": (lambda x: BUFFER.__setitem__(0, x[0]), TracingError, r"xp\.zeros"),
    "a NumPy array, element": (lambda x: BUFFER.__setitem__((0, 0), x[0, 0]), TracingError, r"xp\.zeros"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_what_does_not_fit_is_an_error_at_the_users_line(name: str) -> None:
    fn, error, message = MISUSES[name]
    with pytest.raises(error, match=message) as caught:
        trace(fn)(X)
    assert f"{__file__}:" in str(caught.value)
