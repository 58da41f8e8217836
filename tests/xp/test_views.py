"""Assignments to views and to what they are views of: as in NumPy, in a trace and define-by-run."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import dagexec
from dagexec import xp


def check(fn: Any, *arguments: np.ndarray) -> None:
    wanted = fn(*[np.array(argument) for argument in arguments])
    found = dagexec.jit(fn)(*arguments)
    recorded = fn(*[dagexec.variable(argument) for argument in arguments])
    for value in (found, recorded):
        np.testing.assert_allclose(np.asarray(value), wanted, rtol=1e-12)


def by_a_function(v: Any) -> Any:
    def add(target: Any, x: Any) -> None:
        target += x

    w = v.copy()
    add(w, v)
    return w


def rows(a: Any) -> Any:
    a = a.copy()
    for row in a:
        row -= row.mean()
    return a


def transposed(a: Any) -> Any:
    a = a.copy()
    a.T[0] = 5
    return a


def flattened(a: Any) -> Any:
    a = a.copy()
    a.ravel()[0] = 1
    b = a.flatten()
    b[1] = 9
    return a * b.reshape(a.shape)


def gauss(a: Any) -> Any:
    a = a.copy()
    for k in range(len(a)):
        pivot = a[k]
        pivot /= pivot[k]
        for i in range(len(a)):
            if i != k:
                a[i] -= a[i, k] * pivot
    return a


def base_first(a: Any) -> Any:
    a = a.copy()
    first = a[0]
    a[0] = 7
    return first + a[1]


def view_of_a_view(a: Any) -> Any:
    a = a.copy()
    b = a[1:][0]
    b[...] = 3
    a.T[0] += 1
    return a + b


def copies(a: Any) -> Any:
    a = a.copy()
    made = copy.deepcopy(a), np.conj(a), a.astype(float), a.flatten()
    for other in made:
        other *= 0
    return a + sum(made[:3])


def numbers(a: Any) -> Any:
    a = a.copy()
    corner = a[0, 0]
    corner += 5  # a number of its own
    a[0, 0] += 2
    return a + corner


def kept_dtype(a: Any) -> Any:
    b = a.astype(np.float32)
    b += a
    return b.astype(float) if b.dtype == np.float32 else None


FUNCTIONS = [rows, transposed, flattened, gauss, base_first, view_of_a_view, copies, numbers, kept_dtype]


@pytest.mark.parametrize("fn", FUNCTIONS)
def test_assignments_reach_what_they_reach_in_numpy(fn: Any) -> None:
    check(fn, np.array([[4.0, 1.0], [2.0, 3.0]]))


def test_a_function_changes_its_argument() -> None:
    check(by_a_function, np.ones(2))


def test_copies_are_no_views() -> None:
    def fn(x: Any) -> Any:
        for y in (xp.asarray(x, copy=True), xp.astype(x, x.dtype), np.conj(x), copy.deepcopy(x), x.copy()):
            y[0] = 0
            y *= 2
        return x

    assert np.array_equal(dagexec.jit(fn)(np.ones(2)), np.ones(2))
    assert np.array_equal(np.asarray(fn(dagexec.variable(np.ones(2)))), np.ones(2))


def test_a_long_chain_of_views_is_followed() -> None:
    def fn(x: Any) -> Any:
        first = y = x.copy()
        for _ in range(3000):
            y = y.T
        y[0] = 7
        return first

    check(fn, np.ones((2, 2)))


def test_gradients_follow_assignments() -> None:
    def fn(x: Any) -> Any:
        a = x * 1
        a[0] *= 3
        a.T[1] += a[0, 0]
        return np.sum(a**2)

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    # a = [[3x00, 3x01 + 3x00], [x10, x11 + 3x00]]
    wanted = [[18 + 18 * 3 + 6 * 7, 18 * 3], [6.0, 2 * 7.0]]
    np.testing.assert_allclose(dagexec.grad(fn)(x), wanted)


@pytest.mark.parametrize("operand", [np.ones((3, 2)), 1j])
def test_what_does_not_fit_is_refused_as_in_numpy(operand: Any) -> None:
    def fn(x: Any) -> Any:
        x += operand
        return x

    with pytest.raises((ValueError, TypeError), match=r"test_views\.py"):
        dagexec.jit(fn)(np.ones(2))


class Script:
    """Views and assignments, drawn along a run by NumPy, to be run again on other arrays."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.steps: list[Any] = []

    def run(self, x: Any) -> list[Any]:
        arrays = [x.copy()]
        for step in self.steps:
            step(arrays)
        return arrays


@st.composite
def scripts(draw: Any) -> Script:
    script = Script(draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3)))
    arrays: list[Any] = [np.arange(1.0, 1 + np.prod(script.shape)).reshape(script.shape)]

    def add(step: Any) -> None:
        step(arrays)
        script.steps.append(step)

    for _ in range(draw(st.integers(1, 8))):
        n = draw(st.integers(0, len(arrays) - 1))
        x = arrays[n]
        index = draw(hnp.basic_indices(x.shape, allow_ellipsis=True, allow_newaxis=True))
        kinds = ["slice", "transpose", "assign", "add", "scale"] + ["flat"] * bool(x.flags.c_contiguous)
        match draw(st.sampled_from(kinds)):
            case "slice" if np.ndim(x[index]):
                add(lambda arrays, n=n, index=index: arrays.append(arrays[n][index]))
            case "transpose":
                add(lambda arrays, n=n: arrays.append(arrays[n].T))
            case "flat":
                add(lambda arrays, n=n: arrays.append(arrays[n].reshape(-1)))
            case "assign":
                add(lambda arrays, n=n, index=index: arrays[n].__setitem__(index, 0.5))
            case "add":
                add(lambda arrays, n=n: arrays[n].__iadd__(1))
            case "scale":
                add(lambda arrays, n=n: arrays[n].__imul__(2))
    return script


@given(scripts())
def test_random_views_and_assignments(script: Script) -> None:
    x = np.arange(1.0, 1 + np.prod(script.shape)).reshape(script.shape)
    wanted = script.run(x)
    for found in (dagexec.jit(script.run)(x), script.run(dagexec.variable(x))):
        for one, other in zip(found, wanted, strict=True):
            assert np.array_equal(np.asarray(one), other)
