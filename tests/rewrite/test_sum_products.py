"""Sums of products: the same to rounding as the graph as it was, in one product."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.rewrite.sum_products import sum_products
from tests.rewrite.recurrent import close, count, recurrent


def check(graph, *arguments):
    """The rewritten graph, which gives the same."""
    rewritten = sum_products(graph)
    close(dagexec.run(rewritten, *arguments, rewrites=()), dagexec.run(graph, *arguments, rewrites=()))
    return rewritten


@settings(max_examples=40)
@given(recurrent())
def test_gradients_of_recurrent_networks(network):
    arguments = network.arguments()
    check(dagexec.trace(network.loss)(*arguments).backward(), *arguments)


TERMS = {
    "product": lambda a, b: a.T @ b,
    "untransposed": lambda a, b: a[:2, :2] @ b[:2],
    "rows": lambda a, b: np.sum(np.reshape(b, (-1, 2, 2)), axis=0),
    "rows of rows": lambda a, b: np.sum(np.reshape(a * b, (1, 3, 2, 2)), axis=(0, 1)),
    "neither": lambda a, b: np.sin(b[:2]),
}


@st.composite
def sums(draw):
    """A function of a stack of matrices: a random tree of additions over random terms."""
    terms = draw(
        st.lists(
            st.tuples(st.sampled_from([*TERMS]), st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=8
        )
    )
    order = np.random.default_rng(draw(st.integers(0, 100)))

    def fn(a, b):
        found = [TERMS[kind](a[i], b[j]) for kind, i, j in terms]
        while len(found) > 1:
            left, right = sorted(order.choice(len(found), 2, replace=False))
            found[left] = found[left] + found.pop(right)
        return found[0]

    return fn


@settings(max_examples=40)
@given(sums())
def test_random_trees_of_additions(fn):
    random = np.random.default_rng(0)
    a, b = random.normal(size=(3, 6, 2)), random.normal(size=(3, 6, 2))
    check(dagexec.trace(fn)(a, b), a, b)


def unrolled(params, x):
    w, u, b = params
    h = np.zeros((x.shape[1], u.shape[0]))
    for t in range(x.shape[0]):
        h = np.tanh(x[t] @ w + h @ u + b)
    return np.sum(h)


RANDOM = np.random.default_rng(1)
WEIGHTS = [RANDOM.normal(size=shape) for shape in [(4, 5), (5, 5), (5,)]]
STEPS = RANDOM.normal(size=(6, 2, 4))


def test_a_shared_weights_gradient_is_one_product():
    graph = dagexec.trace(unrolled)(WEIGHTS, STEPS).backward()
    rewritten = check(graph, WEIGHTS, STEPS)
    assert count(graph, "matmul") == 6 * 2 + 6 * 2 + 5
    assert count(rewritten, "matmul") == 6 * 2 + 2 + 5
    # The states, and the cotangents of all steps, which W, U and b share; the inputs are there already.
    assert count(rewritten, "concat") == 2
    assert not any(
        node.op.name == "add" and node.phase == "backward" and node.spec.shape == (5, 5)
        for node in rewritten.nodes
    )


def test_the_rows_stand_in_the_order_of_time():
    rewritten = sum_products(dagexec.trace(unrolled)(WEIGHTS, STEPS).backward())
    (states,) = (
        node for node in rewritten.nodes if node.op.name == "concat" and node.inputs[1].op.name == "tanh"
    )
    number = {node: n for n, node in enumerate(rewritten.nodes)}
    assert sorted(states.inputs, key=number.__getitem__) == list(states.inputs)


def test_new_nodes_are_labelled_like_the_sum():
    rewritten = sum_products(dagexec.trace(unrolled)(WEIGHTS, STEPS).backward())
    assert all(node.phase == "backward" for node in rewritten.nodes if node.op.name == "concat")


def test_terms_that_are_read_elsewhere_stay():
    def fn(a, b):
        one = a[0].T @ b[0]
        return one + a[1].T @ b[1], one

    a = b = np.ones((2, 3, 3))
    assert sum_products(graph := dagexec.trace(fn)(a, b)) is graph


def test_large_products_are_left_to_the_workers():
    a = np.ones((2, 300, 300))
    graph = dagexec.trace(lambda a, b: a[0].T @ b[0] + a[1].T @ b[1])(a, a)
    assert sum_products(graph) is graph


def test_products_that_would_only_be_copied_stay():
    def fn(a, b):
        return a.T @ b + np.sin(a).T @ np.sin(b)  # the sum is small, the factors are large

    a = np.ones((5000, 2))
    assert sum_products(graph := dagexec.trace(fn)(a, a)) is graph


def test_many_rows_are_summed_in_two_steps():
    def fn(x):
        total = np.sum(np.sin(x[0]), axis=0)
        for t in range(1, 50):
            total = total + np.sum(np.sin(x[t]), axis=0)
        return total

    x = np.ones((50, 40, 3), np.float32)
    rewritten = sum_products(dagexec.trace(fn)(x))
    assert count(rewritten, "sum") == 2
    found = dagexec.run(rewritten, x, rewrites=())
    assert np.allclose(found, 2000 * np.sin(np.float64(1)), rtol=2e-6)
