"""Factors of products: gathered, moved to what is smaller, and the same but for rounding."""

import numpy as np
import pytest

import dagexec
from dagexec import xp
from dagexec.rewrite import gather_factors, simplify
from tests.rewrite.comparing import check_close, check_exact, ops

X = np.random.default_rng(0).normal(size=(4, 3))
ROW = X[0]
A, B = np.random.default_rng(1).normal(size=(2, 30, 2))

CASES = {
    "numbers": (lambda x, r: 3 * (x * 5), ["multiply"]),
    "numbers and a number": (lambda x, r: 3 * (xp.sum(x) * 5), ["sum", "multiply"]),
    "a longer chain": (lambda x, r: 2 * (3 * (5 * x)), ["multiply"]),
    "a number and a row": (lambda x, r: r * (x * 5), ["multiply", "multiply"]),
    "a quotient by a power of two": (lambda x, r: (x * 3) / 4, ["multiply"]),
    "minus times a number": (lambda x, r: -x * 3, ["multiply"]),
    "minus a multiple": (lambda x, r: -(x * 3), ["multiply"]),
    "minus a quotient": (lambda x, r: -(x / 3), ["divide"]),
}


@pytest.mark.parametrize(("fn", "left"), CASES.values(), ids=CASES)
def test_what_is_left(fn, left):
    check_close(gather_factors, fn, X, ROW, left=left)


def test_the_smaller_array_is_multiplied():
    graph = check_close(gather_factors, lambda x, r: r * (x * 5), X, ROW)
    assert [node.spec.shape for node in graph.nodes if node.op.name == "multiply"] == [(3,), (4, 3)]


@pytest.mark.parametrize("fn", [lambda x: x / 4, lambda x: x / -0.5, lambda x: -x * 2, lambda x: -(x / 2)])
def test_powers_of_two_and_signs_change_no_bit(fn):
    check_exact(gather_factors, fn, X)


def test_a_number_goes_to_the_smaller_matrix():
    graph = check_close(gather_factors, lambda a, b: (a @ b.T) / 3, A, B)
    assert [node.spec.shape for node in graph.nodes if node.op.name == "divide"] == [(30, 2)]


def test_a_product_smaller_than_its_matrices_is_multiplied_itself():
    graph = dagexec.trace(lambda a, b: (a.T @ b) * 3)(A, B)
    assert gather_factors(graph) is graph


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: 1e200 * (x * 1e200),
        lambda x: 1e-200 * (x * 1e-200),
        lambda x: ROW * (x * 1e200),
        lambda x: xp.reshape(x, (12,)) * (xp.reshape(x, (12,)) * 3),
    ],
)
def test_numbers_whose_product_is_out_of_range_stay_apart(fn):
    graph = dagexec.trace(fn)(X)
    assert gather_factors(graph) is graph


def test_what_others_read_is_multiplied_once():
    def fn(x):
        double = x * 3
        return double * 5, double

    graph = dagexec.trace(fn)(X)
    assert gather_factors(graph) is graph


def test_whole_numbers_are_left_alone():
    graph = dagexec.trace(lambda x: 3 * (x * 5))(np.arange(4))
    assert gather_factors(graph) is graph


def test_the_gradient_of_a_mean_of_squares_is_one_product():
    graph = dagexec.trace(lambda x: xp.mean((x - 1) ** 2))(X).backward()
    assert ops(simplify(graph))[3:] == ["multiply"]
