"""Safer forms: right where the written formula fails, as accurate where it does not; derivatives too.

Expected values are those of NumPy's long double where that is wider than double, at a distance from where
the formulas fail; elsewhere the limits.
"""

import numpy as np
import pytest

import dagexec
from dagexec import nn, xp
from dagexec.rewrite import compute_safely, merge_common, simplify
from tests.rewrite.comparing import ops

PASSES = ([merge_common, compute_safely], [merge_common, compute_safely, simplify])

LARGE = np.array([-2000.0, -800.0, -90.0, -40.0, -1.0, 0.0, 1e-3, 1.0, 40.0, 90.0, 800.0, 2000.0])
SMALL = np.array([-1e-3, -1e-9, 1e-300, 1e-20, 1e-9, 1e-3, 0.5, 3.0])


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x > 0, 1, e) / (1 + e)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# formula, value, derivative, arguments
CASES = {
    "log(1 + x)": (lambda x: np.log(1 + x), np.log1p, lambda x: 1 / (1 + x), SMALL),
    "exp(x) - 1": (lambda x: np.exp(x) - 1, np.expm1, np.exp, SMALL),
    "log(exp(x))": (lambda x: np.log(np.exp(x)), lambda x: x, np.ones_like, LARGE),
    "log(1 + exp(x))": (lambda x: np.log(1 + np.exp(x)), softplus, sigmoid, LARGE),
    "log1p(exp(x))": (lambda x: np.log1p(np.exp(x)), softplus, sigmoid, LARGE),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), sigmoid, lambda x: sigmoid(x) * sigmoid(-x), LARGE),
    "1 - sigmoid": (
        lambda x: 1 - 1 / (1 + np.exp(-x)),
        lambda x: sigmoid(-x),
        lambda x: -sigmoid(x) * sigmoid(-x),
        LARGE,
    ),
    "log(sigmoid)": (
        lambda x: np.log(1 / (1 + np.exp(-x))),
        lambda x: -softplus(-x),
        lambda x: sigmoid(-x),
        LARGE,
    ),
    "log(1 - sigmoid)": (
        lambda x: np.log(1 - 1 / (1 + np.exp(-x))),
        lambda x: -softplus(x),
        lambda x: -sigmoid(x),
        LARGE,
    ),
    "exp(x) / (1 + exp(x))": (
        lambda x: np.exp(x) / (1 + np.exp(x)),
        sigmoid,
        lambda x: sigmoid(x) * sigmoid(-x),
        LARGE[LARGE < 10],  # from there on the derivative as such cancels
    ),
    "sqrt(x * x)": (lambda x: np.sqrt(x * x), np.abs, np.sign, np.array([-1e-30, -3.0, 1e-30, 1e30])),
    "sqrt(square(x))": (lambda x: np.sqrt(np.square(x)), np.abs, np.sign, np.array([-1e-30, 1e30])),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("fn", "value", "derivative", "xs"), CASES.values(), ids=CASES)
def test_value_and_derivative_everywhere(fn, value, derivative, xs, dtype):
    xs = xs.astype(dtype)
    xs = xs[(xs != 0) & np.isfinite(xs)]
    weights = np.linspace(1, 2, len(xs)).astype(dtype)
    graph = dagexec.trace(fn)(xs)
    wide = xs.astype(np.longdouble)
    tolerance = {"rtol": 8 * np.finfo(dtype).eps, "atol": 4 * np.finfo(dtype).tiny}
    gradient = dagexec.trace(dagexec.grad(lambda x: np.sum(weights * fn(x))))(xs)
    with np.errstate(all="ignore"):
        for rewrites in PASSES:
            found = dagexec.run(graph, xs, rewrites=rewrites)
            np.testing.assert_allclose(found, value(wide), **tolerance)
            found = dagexec.run(gradient, xs, rewrites=rewrites)
            np.testing.assert_allclose(found, weights * derivative(wide), **tolerance)


MODERATE = np.random.default_rng(0).normal(size=(3, 4)) * 3
EXTREME = np.array([[1000.0, 999.0, -1e3, 0.0], [-2000.0, -2001.0, -2000.0, -4e3], [1.0, 2.0, 3.0, 4.0]])
WEIGHTS = np.random.default_rng(1).normal(size=(3, 4))


def of_ratio(axis, keep):
    """The softmax as one writes it at first, with the axes of the sums put back by `keep`."""
    return lambda x: np.exp(x) / keep(np.sum(np.exp(x), axis=axis))


RATIOS = {
    "of rows": (of_ratio(1, lambda total: total[:, None]), 1),
    "of rows, reshaped": (of_ratio(1, lambda total: xp.expand_dims(total, axis=-1)), 1),
    "of columns": (of_ratio(0, lambda total: total), 0),
    "of all": (of_ratio(None, lambda total: total), None),
    "kept": (lambda x: np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True), 1),
}


@pytest.mark.parametrize("x", [MODERATE, EXTREME], ids=["moderate", "extreme"])
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("ratio", "axis"), RATIOS.values(), ids=RATIOS)
def test_softmax_and_its_logarithm(ratio, axis, log, x):
    def written(x):
        return np.sum(WEIGHTS * (np.log(ratio(x)) if log else ratio(x)))

    def known(x):
        shifted = x - xp.logsumexp(x, axis=axis, keepdims=True)
        return np.sum(WEIGHTS * (shifted if log else np.exp(shifted)))

    graph = dagexec.trace(written)(x).backward()
    expected = dagexec.run(dagexec.trace(known)(x).backward(), x, rewrites=())
    for rewrites in PASSES:
        for found, wanted in zip(dagexec.run(graph, x, rewrites=rewrites), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("keepdims", [False, True])
def test_log_of_a_sum_of_exponentials(axis, keepdims):
    def written(x):
        return np.sum(np.sin(np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))))

    def known(x):
        return np.sum(np.sin(xp.logsumexp(x, axis=axis, keepdims=keepdims)))

    graph = dagexec.trace(written)(MODERATE).backward()
    assert "logsumexp" in ops(compute_safely(graph))
    for x in (MODERATE, EXTREME):
        expected = dagexec.run(dagexec.trace(known)(x).backward(), x, rewrites=())
        for found, wanted in zip(dagexec.run(graph, x), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


def test_no_warning_of_an_overflow_that_no_longer_happens():
    graph = dagexec.trace(lambda x: np.log(np.sum(np.exp(x))))(EXTREME).backward()
    dagexec.run(graph, EXTREME)  # warnings are errors here


@pytest.mark.parametrize("fn", [nn.softmax, lambda x: np.exp(x - np.max(x)) / np.sum(np.exp(x - np.max(x)))])
def test_what_is_safe_already_is_left_alone(fn):
    graph = dagexec.trace(lambda x: np.sum(WEIGHTS * fn(x)))(MODERATE).backward()
    assert compute_safely(graph) is graph


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: np.log(2 + x),
        lambda x: 1 / (2 + np.exp(x)),
        lambda x: np.exp(x) / np.sum(np.exp(2 * x)),
        lambda x: np.exp(x) / np.sum(np.exp(x), axis=0),  # of a square: rows divided by the sums of columns
        lambda x: np.exp(x) - 2,
        lambda x: np.log(1 + xp.astype(x, np.complex128)),
    ],
)
def test_what_only_looks_alike_keeps_its_values(fn):
    x = np.random.default_rng(2).normal(size=(3, 3)) / 4
    graph = dagexec.trace(fn)(x)
    found, expected = dagexec.run(graph, x, rewrites=[compute_safely]), dagexec.run(graph, x, rewrites=())
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_in_the_forward_graph_a_quotient_times_its_divisor_stays():
    graph = dagexec.trace(lambda x, y: x / y * y)(MODERATE, MODERATE)
    assert compute_safely(graph) is graph
