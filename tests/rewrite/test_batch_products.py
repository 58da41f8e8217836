"""Products with the same matrix: one, unless one waits for another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.rewrite.batch_products import batch_products
from dagexec.rewrite.sum_products import sum_products
from tests.rewrite.recurrent import close, count, recurrent


def check(graph, *arguments, rewrites=(batch_products,)):
    """The rewritten graph, which gives the same."""
    wanted = dagexec.run(graph, *arguments, rewrites=())
    for rewrite in rewrites:
        graph = rewrite(graph)
    close(dagexec.run(graph, *arguments, rewrites=()), wanted)
    return graph


@settings(max_examples=60)
@given(recurrent())
def test_gradients_of_recurrent_networks(network):
    arguments = network.arguments()
    graph = dagexec.trace(network.loss)(*arguments).backward(wrt=(0, 1))
    check(graph, *arguments, rewrites=(batch_products, sum_products))


@st.composite
def mazes(draw):
    """Products of few matrices with each other's results, so that any may wait for any."""
    steps = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 9)), max_size=12))

    def fn(matrices, x):
        values = [x, np.sin(x)]
        for matrix, one, other in steps:
            product = values[one % len(values)] @ matrices[matrix]
            values.append(np.tanh(product + values[other % len(values)]))
        return values

    return fn


@settings(max_examples=60)
@given(mazes())
def test_whatever_waits_for_whatever(fn):
    random = np.random.default_rng(0)
    arguments = random.normal(size=(3, 4, 4)), random.normal(size=(2, 4))
    check(dagexec.trace(fn)(*arguments), *arguments)


def test_the_inputs_of_all_steps_are_one_product():
    def fn(w, u, x):
        h = np.zeros((2, 5))
        for t in range(6):
            h = np.tanh(x[t] @ w + h @ u)
        return h

    arguments = np.ones((4, 5)), np.ones((5, 5)), np.ones((6, 2, 4))
    rewritten = check(dagexec.trace(fn)(*arguments), *arguments)
    assert count(rewritten, "matmul") == 1 + 6
    assert count(rewritten, "concat") == 0


@pytest.mark.parametrize(("shape", "at_once"), [((5,), True), ((1, 5), True), ((5, 1), False), ((), False)])
def test_a_bias_of_all_steps_is_added_once(shape, at_once):
    def fn(w, u, b, x):
        h = np.zeros((5, 5))
        for t in range(6):
            h = np.tanh(x[t] @ w + h @ u + b)
        return h

    random = np.random.default_rng(0)
    arguments = [random.normal(size=size) for size in ((4, 5), (5, 5), shape, (6, 5, 4))]
    rewritten = check(dagexec.trace(fn)(*arguments), *arguments)
    assert count(rewritten, "add") == (6 + 1 if at_once else 6 + 6)


def test_biases_that_only_some_steps_have_stay():
    def fn(w, b, x):
        return [x[0] @ w + b, np.sin(x[1] @ w), b + x[2] @ w + b]

    arguments = np.ones((4, 5)), np.arange(5.0), np.ones((3, 2, 4))
    rewritten = check(dagexec.trace(fn)(*arguments), *arguments)
    assert count(rewritten, "matmul") == 1
    assert count(rewritten, "add") == 3


def test_a_matrix_times_columns_is_rows_times_its_transpose():
    arguments = np.ones((5, 4)), np.arange(12.0).reshape(3, 4)
    rewritten = check(
        dagexec.trace(lambda w, x: [np.tanh(w @ x[t]) for t in range(3)])(*arguments), *arguments
    )
    assert count(rewritten, "matmul") == 1


def test_what_waits_for_one_of_the_others_is_left_out():
    def fn(w, x):
        one, other = x[0] @ w, x[1] @ w
        return np.tanh(one) @ w + other

    arguments = np.ones((4, 4)), np.ones((2, 3, 4))
    rewritten = check(dagexec.trace(fn)(*arguments), *arguments)
    assert count(rewritten, "matmul") == 2


def test_groups_that_wait_for_each_other_are_not_both_merged():
    def fn(w, u, x):
        a = x @ w
        b = x @ u
        return np.tanh(a) @ u, np.tanh(b) @ w  # w's products are independent, so are u's, but not both

    arguments = np.ones((30, 30)), np.ones((30, 30)), np.ones((2, 30))
    rewritten = check(dagexec.trace(fn)(*arguments), *arguments)
    assert count(rewritten, "matmul") == 3


def test_towers_stay_apart():
    def fn(ws, x):
        return [np.tanh(np.tanh(x @ w) @ w) for w in ws]

    graph = dagexec.trace(fn)(np.ones((8, 256, 256)), np.ones((256, 256)))
    assert batch_products(graph) is graph


def test_large_products_are_left_to_the_workers():
    graph = dagexec.trace(lambda w, x: [np.tanh(x[t] @ w) for t in range(4)])(
        np.ones((300, 300)), np.ones((4, 300, 300))
    )
    assert batch_products(graph) is graph


def test_many_groups_that_wait_for_each_other_are_given_up():
    def fn(ws, us, x):
        found = []
        for w, u in zip(ws, us):
            found += [np.tanh(x @ w) @ u, np.tanh(x @ u) @ w]
        return found

    arguments = np.ones((12, 30, 30)), np.ones((12, 30, 30)), np.ones((2, 30))
    check(dagexec.trace(fn)(*arguments), *arguments)
