"""A matrix read transposed by many products is copied once."""

from __future__ import annotations

import numpy as np
import pytest

import dagexec
from dagexec.rewrite.transpose_once import MANY, ROWS, transpose_once
from tests.rewrite.recurrent import close, count


def chain(steps):
    def fn(x, w):
        for _ in range(steps):
            x = np.tanh(x @ w.T)
        return x

    return fn


def test_one_copy_for_many_products():
    arguments = np.ones((ROWS, 5)), np.random.default_rng(0).normal(size=(5, 5))
    graph = dagexec.trace(chain(MANY))(*arguments)
    rewritten = transpose_once(graph)
    assert count(rewritten, "permute_dims") == 1
    close(dagexec.run(rewritten, *arguments, rewrites=()), dagexec.run(graph, *arguments, rewrites=()))
    (read,) = {node.inputs[1] for node in rewritten.nodes if node.op.name == "matmul"}
    assert read.op.name == "reshape"


@pytest.mark.parametrize(("rows", "steps"), [(ROWS - 1, MANY), (ROWS, MANY - 1)])
def test_few_products_or_rows_are_left_alone(rows, steps):
    graph = dagexec.trace(chain(steps))(np.ones((rows, 5)), np.ones((5, 5)))
    assert transpose_once(graph) is graph
