"""Functions that move elements, against NumPy's, on random shapes, axes and indices."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dagexec import xp
from dagexec.tracing import trace
from tests.oracle import assert_same, evaluate, traced
from tests.strategies import arrays, axes_of, shapes


@given(st.data())
def test_axes_are_moved_as_by_numpy(data: st.DataObject) -> None:
    x = data.draw(arrays(max_dims=4))
    order = data.draw(st.permutations([n - x.ndim * data.draw(st.booleans()) for n in range(x.ndim)]))
    assert_same(traced(lambda x: np.transpose(x, order), x), np.transpose(x, order))
    assert_same(traced(lambda x: x.transpose(*order), x), x.transpose(*order) if order else x)
    assert_same(traced(lambda x: x.T, x), x.T)
    axis = data.draw(axes_of(x.ndim))
    assert_same(traced(lambda x: np.flip(x, axis), x), np.flip(x, axis))
    if x.ndim:
        one, two = data.draw(st.sampled_from(order)), data.draw(st.sampled_from(order))
        assert_same(traced(lambda x: np.swapaxes(x, one, two), x), np.swapaxes(x, one, two))
        assert_same(traced(lambda x: np.moveaxis(x, one, two), x), np.moveaxis(x, one, two))
        count = data.draw(st.integers(1, x.ndim))
        source, target = order[:count], data.draw(st.permutations(range(x.ndim)))[:count]
        assert_same(traced(lambda x: np.moveaxis(x, source, target), x), np.moveaxis(x, source, target))


@given(st.data())
def test_reshape_is_that_of_numpy(data: st.DataObject) -> None:
    x = data.draw(arrays(max_dims=4))
    shape = data.draw(st.permutations(x.shape))
    if data.draw(st.booleans()):
        shape.insert(data.draw(st.integers(0, len(shape))), 1)
    if shape and x.size and data.draw(st.booleans()):
        shape[data.draw(st.integers(0, len(shape) - 1))] = -1
    assert_same(traced(lambda x: np.reshape(x, shape), x), np.reshape(x, shape))
    if shape:
        assert_same(traced(lambda x: x.reshape(*shape), x), x.reshape(*shape))
    assert_same(traced(lambda x: x.reshape(shape), x), x.reshape(shape))
    assert_same(traced(lambda x: (x.ravel(), x.flatten(), np.ravel(x)), x), (x.ravel(),) * 3)


@given(st.data())
def test_axes_of_length_one_come_and_go_as_in_numpy(data: st.DataObject) -> None:
    x = data.draw(arrays(max_dims=3))
    wide = x.ndim + 2
    places = data.draw(st.lists(st.integers(0, wide - 1), min_size=2, max_size=2, unique=True))
    places = [n - wide * data.draw(st.booleans()) for n in places]
    assert_same(traced(lambda x: np.expand_dims(x, tuple(places)), x), np.expand_dims(x, tuple(places)))
    y = np.expand_dims(x, tuple(places))
    assert_same(traced(lambda y: np.squeeze(y), y), np.squeeze(y))
    assert_same(traced(lambda y: y.squeeze(axis=tuple(places)), y), np.squeeze(y, tuple(places)))


@given(st.data())
def test_broadcast_to_is_that_of_numpy(data: st.DataObject) -> None:
    x = data.draw(arrays(max_dims=3))
    shape = data.draw(shapes(0, 2, 0, 3)) + tuple(
        data.draw(st.integers(0, 3)) if n == 1 else n for n in x.shape
    )
    assert_same(traced(lambda x: np.broadcast_to(x, shape), x), np.broadcast_to(x, shape))


@given(st.data())
def test_roll_is_that_of_numpy(data: st.DataObject) -> None:
    x = data.draw(arrays(max_dims=3))
    axis = data.draw(axes_of(x.ndim))
    count = len(axis) if isinstance(axis, tuple) else 1
    assume(count)
    shift: Any = data.draw(st.integers(-7, 7))
    if isinstance(axis, tuple) and data.draw(st.booleans()):
        shift = tuple(data.draw(st.lists(st.integers(-7, 7), min_size=count, max_size=count)))
    assert_same(traced(lambda x: np.roll(x, shift, axis), x), np.roll(x, shift, axis))


@given(st.data())
def test_joined_and_split_as_by_numpy(data: st.DataObject) -> None:
    shape = data.draw(shapes(1, 3, 0, 4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = [data.draw(arrays(shape=shape)) for _ in range(data.draw(st.integers(1, 4)))]
    assert_same(traced(lambda *x: np.concatenate(x, axis=axis), *parts), np.concatenate(parts, axis=axis))
    assert_same(traced(lambda *x: np.concatenate(x, axis=None), *parts), np.concatenate(parts, axis=None))
    assert_same(traced(lambda *x: np.stack(x, axis=axis), *parts), np.stack(parts, axis=axis))
    joined = np.concatenate(parts, axis=axis)
    length = joined.shape[axis]
    cuts = sorted(data.draw(st.lists(st.integers(-length - 1, length + 1), max_size=3)))
    assert_same(
        list(traced(lambda x: np.split(x, cuts, axis=axis), joined)), list(np.split(joined, cuts, axis=axis))
    )
    assert_same(
        list(traced(lambda x: np.split(x, len(parts), axis), joined)),
        list(np.split(joined, len(parts), axis)),
    )


@pytest.mark.parametrize("length", [0, 1, 4, 5, 7])
@pytest.mark.parametrize("parts", [1, 2, 3, [1, 3]])
def test_array_split_makes_parts_of_nearly_equal_length(length: int, parts: Any) -> None:
    x = np.arange(length * 2).reshape(2, length)
    expected = list(np.array_split(x, parts, axis=1))
    assert_same(list(traced(lambda x: np.array_split(x, parts, axis=1), x)), expected)


@given(st.data())
def test_basic_indexing_is_that_of_numpy(data: st.DataObject) -> None:
    x = data.draw(arrays(max_dims=3))
    index = data.draw(hnp.basic_indices(x.shape, allow_newaxis=True, max_dims=6))
    assert_same(traced(lambda x: x[index], x), np.asarray(x[index]))


@given(st.data())
def test_integer_array_indexing_is_that_of_numpy(data: st.DataObject) -> None:
    x = data.draw(arrays(min_dims=1, max_dims=4, min_side=1))
    count = data.draw(st.integers(1, x.ndim))
    shape = data.draw(shapes(0, 2, 0, 3))
    index: list[Any] = []
    for length in x.shape[:count]:
        kind = data.draw(st.sampled_from(["array", "slice", "integer", "scalar array"]))
        if kind == "array":
            index.append(
                np.array(data.draw(hnp.arrays(np.int64, shape, elements=st.integers(-length, length - 1))))
            )
        elif kind == "scalar array":
            index.append(np.array(data.draw(st.integers(-length, length - 1))))
        else:
            index.append(
                slice(None, None, -1) if kind == "slice" else data.draw(st.integers(-length, length - 1))
            )
    if data.draw(st.booleans()):
        index.insert(data.draw(st.integers(0, len(index))), None)
    if data.draw(st.booleans()):
        index.append(Ellipsis)
    held = tuple(index)
    assert_same(traced(lambda x: x[held], x), np.asarray(x[held]))
    places = [n for n, entry in enumerate(held) if isinstance(entry, np.ndarray)]

    def with_traced_indices(x: Any, found: list[Any]) -> Any:
        mixed = list(held)
        for place, entry in zip(places, found):
            mixed[place] = entry
        return x[tuple(mixed)]

    assert_same(traced(with_traced_indices, x, [held[n] for n in places]), np.asarray(x[held]))


@given(st.data())
def test_scatter_add_is_the_transpose_of_getitem(data: st.DataObject) -> None:
    """⟨x[index], g⟩ = ⟨x, scatter_add(g)⟩ for any x and g."""
    x = data.draw(arrays(min_dims=1, max_dims=3, min_side=1, dtypes=["float64"]))
    index = data.draw(hnp.integer_array_indices(x.shape[:1]) | hnp.basic_indices(x.shape, allow_newaxis=True))
    graph = trace(lambda x: x[index])(x)
    g = np.random.default_rng(0).normal(size=graph.outputs[0].spec.shape)
    _, scattered = evaluate(graph.backward(cotangent=g), x)
    np.testing.assert_allclose(np.sum(x[index] * g), np.sum(x * scattered), rtol=1e-9, atol=1e-9)


ROWS, GRID = np.array([True, False, True]), np.arange(12).reshape(3, 4) % 2 == 0


@pytest.mark.parametrize(
    "index", [ROWS, (ROWS, 1), (slice(None), np.array([True, False, False, True])), GRID, (ROWS, slice(1, 3))]
)
def test_constant_mask_is_taken_apart(index: Any) -> None:
    x = np.arange(12.0).reshape(3, 4)
    assert_same(traced(lambda x: x[index], x), x[index])


@given(st.data())
def test_take_is_that_of_numpy(data: st.DataObject) -> None:
    x = data.draw(arrays(min_dims=1, max_dims=3, min_side=1))
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    length = x.size if axis is None else x.shape[axis]
    indices = data.draw(hnp.arrays(np.int64, shapes(0, 2, 0, 3), elements=st.integers(-length, length - 1)))
    assert_same(
        traced(lambda x: np.take(x, indices, axis=axis), x), np.asarray(np.take(x, indices, axis=axis))
    )
    assert_same(
        traced(lambda x, n: np.take(x, n, axis=axis), x, indices), np.asarray(np.take(x, indices, axis=axis))
    )
    if axis is not None:
        shape = list(x.shape)
        shape[axis] = data.draw(st.integers(0, 3))
        along = data.draw(hnp.arrays(np.int64, tuple(shape), elements=st.integers(-length, length - 1)))
        expected = np.take_along_axis(x, along, axis)
        assert_same(traced(lambda x: np.take_along_axis(x, along, axis), x), expected)
        assert_same(traced(lambda x, n: np.take_along_axis(x, n, axis), x, along), expected)


def test_one_hot_has_a_one_at_each_index() -> None:
    k = np.array([[0, 2], [1, 1]])
    expected = np.eye(3, dtype=np.float32)[k]
    assert_same(xp.one_hot(k, 3), expected)
    assert_same(traced(lambda k: xp.one_hot(k, 3), k), expected)


MISUSES = [
    (ValueError, lambda x: xp.reshape(x, (4,))),
    (ValueError, lambda x: xp.reshape(x, (-1, -1))),
    (ValueError, lambda x: xp.reshape(x, (-1, 4))),
    (ValueError, lambda x: xp.broadcast_to(x, (2, 4))),
    (ValueError, lambda x: xp.broadcast_to(x, (3,))),
    (ValueError, lambda x: xp.permute_dims(x, (0, 0))),
    (ValueError, lambda x: xp.permute_dims(x, (0,))),
    (ValueError, lambda x: xp.permute_dims(x, (0, 2))),
    (ValueError, lambda x: xp.squeeze(x, axis=0)),
    (ValueError, lambda x: xp.squeeze(x, axis=2)),
    (ValueError, lambda x: xp.expand_dims(x, axis=3)),
    (ValueError, lambda x: xp.flip(x, axis=2)),
    (ValueError, lambda x: xp.roll(x, (1, 2, 3), axis=(0, 1))),
    (ValueError, lambda x: xp.sum(x, axis=2)),
    (ValueError, lambda x: xp.sum(x, axis=(0, 0))),
    (ValueError, lambda x: xp.moveaxis(x, (0, 1), (0,))),
    (ValueError, lambda x: xp.moveaxis(x, (0, 0), (0, 1))),
    (ValueError, lambda x: xp.concat([x, xp.ones((2, 2))], axis=0)),
    (ValueError, lambda x: xp.concat([x, x[0]], axis=0)),
    (ValueError, lambda x: xp.concat([x[0, 0], x[0, 0]])),
    (ValueError, lambda x: xp.concat([])),
    (ValueError, lambda x: xp.stack([x, x[0]])),
    (ValueError, lambda x: xp.stack([])),
    (ValueError, lambda x: xp.split(x, 2, axis=1)),
    (ValueError, lambda x: xp.split(x, 0)),
    (IndexError, lambda x: x[2]),
    (IndexError, lambda x: x[:, -4]),
    (IndexError, lambda x: x[0, 0, 0]),
    (IndexError, lambda x: x[..., ...]),
    (IndexError, lambda x: x[np.array([0.5])]),
    (IndexError, lambda x: x["name"]),
    (IndexError, lambda x: x[np.array([0, 1]), np.array([0, 1, 2])]),
    (IndexError, lambda x: x[x]),
    (IndexError, lambda x: x[np.array([0, 2])]),
    (IndexError, lambda x: x[[0, -3]]),
    (IndexError, lambda x: x[np.array([True, False, True])]),
    (IndexError, lambda x: xp.take(x, np.array([5]), axis=1)),
    (TypeError, lambda x: x[1.5:]),
    (TypeError, lambda x: xp.reshape(x, 2.5)),
    (TypeError, lambda x: xp.sum(x, axis=0.5)),
    (TypeError, lambda x: xp.sum(x, axis="rows")),
]


@pytest.mark.parametrize(("error", "fn"), MISUSES, ids=range(len(MISUSES)))
def test_error_names_the_users_line(error: type[Exception], fn: Any) -> None:
    with pytest.raises(error, match=r"test_moving\.py:\d+") as caught:
        trace(fn)(np.ones((2, 3)))
    assert f":{fn.__code__.co_firstlineno}" in str(caught.value)
    assert "\n" not in str(caught.value)
