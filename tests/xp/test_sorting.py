"""Order and running totals: gradients against JAX's, and what the standard leaves to NumPy."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import xp
from tests.oracle import assert_same, traced
from tests.strategies import arrays

jax.config.update("jax_enable_x64", True)


def program(namespace: Any, name: str, axis: int, options: Any) -> Callable[[Any], Any]:
    """A weighted sum of squares of what `name` makes of an array."""

    def call(x: Any) -> Any:
        y = getattr(namespace, name)(x, axis=axis, **options)
        return namespace.sum((np.arange(y.size).reshape(y.shape) + 0.5) * y**2)

    return call


def twice(namespace: Any, grad: Callable[..., Any], function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    first = grad(function)
    return grad(lambda x: namespace.sum(namespace.sin(first(x))))  # type: ignore[no-any-return]


@settings(max_examples=6)  # JAX compiles anew for each shape
@given(data=st.data())
@pytest.mark.parametrize("name", ["sort", "cumulative_sum", "cumulative_prod"])
def test_gradient_is_that_of_jax_whatever_is_equal_or_zero(name: str, data: st.DataObject) -> None:
    x = data.draw(arrays(dtypes=["float64"], min_dims=1, max_dims=2))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    option = "descending" if name == "sort" else "include_initial"
    options = {option: data.draw(st.booleans())}
    if options == {"descending": True}:  # JAX leaves the order of equal elements open
        x = x + np.arange(x.size).reshape(x.shape) / 64
    ours, theirs = (program(namespace, name, axis, options) for namespace in (xp, jnp))
    assert_same(dagexec.grad(ours)(x), np.asarray(jax.grad(theirs)(x)))
    wanted = twice(jnp, jax.grad, theirs)(x)
    assert_same(twice(xp, dagexec.grad, ours)(x), np.asarray(wanted), rtol=1e-9)


@pytest.mark.parametrize("descending", [False, True])
def test_equal_elements_keep_their_order(descending: bool) -> None:
    x = np.array([1, 0, 1, 0, 2])
    expected = np.array([4, 0, 2, 1, 3] if descending else [1, 3, 0, 2, 4])
    assert_same(xp.argsort(x, descending=descending), expected)
    assert_same(traced(lambda x: xp.argsort(x, descending=descending), x), expected)


def test_small_integers_stay_small_if_asked_to() -> None:
    x = np.array([100, 100, 100], np.uint8)
    for name, function in (("cumulative_sum", np.cumsum), ("cumulative_prod", np.cumprod)):
        assert_same(traced(lambda x, n=name: getattr(xp, n)(x, dtype="uint8"), x), function(x, dtype="uint8"))
    assert_same(traced(lambda x: xp.sum(x, dtype=xp.uint8), x), np.sum(x, dtype=np.uint8))
    assert_same(traced(lambda x: xp.cumulative_sum(x), x), np.cumsum(x))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: xp.cumulative_sum(x), "cumulative_sum: an array of 2 dimensions needs an axis"),
        (lambda x: xp.sort(x, axis=2), "axis 2 is out of bounds"),
        (lambda x: xp.searchsorted(x, x), r"searches a vector, not an array of shape \(2, 2\)"),
        (lambda x: xp.searchsorted(x[0], x, side="top"), "side is 'top'"),
        (lambda x: xp.searchsorted(x[0], x, sorter=x[0]), r"a sorter for float64\[2\] is integers"),
        (lambda x: xp.diff(x, n=-1), "diff: n is -1"),
        (lambda x: xp.tril(x[0]), "tril: needs two dimensions"),
        (lambda x: xp.meshgrid(x, indexing="yx"), "indexing is 'yx'"),
        (lambda x: xp.full((-1,), x[0, 0]), "negative length"),
    ],
)
def test_bad_argument_is_named_with_the_line(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"{message}.*test_sorting.py:\d+"):
        dagexec.trace(call)(np.ones((2, 2)))
