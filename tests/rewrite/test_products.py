"""Matrix products: fewer transposes, larger products, and the same results but for rounding."""

import numpy as np
import pytest

import dagexec
from dagexec import xp
from dagexec.rewrite import fold_products
from tests.rewrite.comparing import check_close, ops

A, B = np.random.default_rng(0).normal(size=(2, 4, 5))
STACK, OTHER = np.random.default_rng(1).normal(size=(2, 6, 2, 4))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 2, 4), (3, 2, 2, 4), (1, 3, 4)])
def test_a_stack_times_a_matrix_is_one_product(shape, dtype):
    stack, matrix = np.ones(shape, dtype), A.astype(dtype)
    check_close(fold_products, lambda a, b: a @ b, stack, matrix)
    graph = fold_products(dagexec.trace(lambda a, b: a @ b)(stack, matrix))
    product = next(node for node in graph.nodes if node.op.name == "matmul")
    assert product.spec.ndim == (3 if shape[0] == 1 else 2)


def test_transposes_go_into_the_product():
    check_close(fold_products, lambda a, b: (a.T @ b).T, A, B, left=["permute_dims", "matmul"])
    check_close(
        fold_products,
        lambda a, b: xp.matrix_transpose(xp.matrix_transpose(a) @ xp.matrix_transpose(b[..., :2, :2])),
        STACK[..., :2],
        OTHER,
        left=["getitem", "matmul"],
    )


@pytest.mark.parametrize(
    "fn",
    [
        lambda a, b: (a @ b.T)[None],
        lambda a, b: xp.stack([a @ b.T, a @ b.T]),
        lambda a, b: (a @ b[0]) * 2,
    ],
)
def test_other_products_are_left_alone(fn):
    graph = dagexec.trace(fn)(A, B)
    assert fold_products(graph) is graph


def test_a_product_that_others_read_keeps_its_transpose():
    def fn(a, b):
        product = a.T @ b
        return product, product.T

    graph = dagexec.trace(fn)(A, B)
    assert fold_products(graph) is graph


def test_gradients_of_a_layer_on_a_stack():
    def loss(w, x):
        return xp.sum(xp.tanh(x @ w) ** 2)

    found = check_close(fold_products, loss, A, STACK, gradient=True)
    assert all(node.spec.ndim == 2 for node in found.nodes if node.op.name == "matmul")
    assert ops(found).count("matmul") == 2
