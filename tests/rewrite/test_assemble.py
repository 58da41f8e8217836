"""Pieces that cover an array: joined, not added to zeros."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.rewrite.assemble import assemble
from tests.rewrite.recurrent import close, count


@settings(max_examples=60)
@given(
    st.lists(st.integers(-6, 6), min_size=2, max_size=6),
    st.integers(0, 2),
    st.booleans(),
)
def test_random_pieces(cuts, axis, single):
    """Slices between neighbouring cuts, disjoint or not, with gaps or not; or single places."""
    x = np.random.default_rng(0).normal(size=(6, 6, 6))
    before = (slice(None),) * axis

    def loss(x):
        total = 0
        for number, (start, stop) in enumerate(pairwise(cuts)):
            piece = x[(*before, start % 6)] if single else x[(*before, slice(start, stop))]
            total = total + np.sum(np.sin(piece) * (number + 1))
        return total

    graph = dagexec.trace(loss)(x).backward()
    close(dagexec.run(assemble(graph), x, rewrites=()), dagexec.run(graph, x, rewrites=()))


@pytest.mark.parametrize(
    ("pieces", "ops"),
    [
        (lambda x: (x[:, :2], x[:, 2:]), ["concat"]),
        (lambda x: (x[:, 2:], x[:, :2]), ["concat"]),
        (lambda x: (x[..., 0], x[..., 1], x[..., 2], x[..., 3]), ["stack"]),
        (lambda x: (x[0], x[1:]), ["concat"]),
        (lambda x: (x[0], x[2]), ["concat"]),  # zeros between and after
        (lambda x: (x[:2], x[1:]), ["scatter_add"]),  # they overlap
        (lambda x: (x[0], x[:, 1]), ["scatter_add"]),  # along two axes
        (lambda x: (x[::2], x[1::2]), ["scatter_add"]),
        (lambda x: (x[np.array([0, 1])], x[2:]), ["scatter_add"]),
    ],
)
def test_what_becomes_of_pieces(pieces, ops):
    x = np.arange(16.0).reshape(4, 4)
    graph = dagexec.trace(lambda x: sum(np.sum(np.sin(piece)) for piece in pieces(x)))(x).backward()
    rewritten = assemble(graph)
    found = [node.op.name for node in rewritten.nodes if node.op.name in ("concat", "stack", "scatter_add")]
    assert found == ops
    assert (rewritten is graph) == (ops == ["scatter_add"])
    close(dagexec.run(rewritten, x, rewrites=()), dagexec.run(graph, x, rewrites=()))


def test_gates_cut_from_one_product_are_put_together():
    def loss(gates):
        i, f = gates[:, :3], gates[:, 3:]
        return np.sum(np.tanh(i) * np.tanh(f))

    rewritten = assemble(dagexec.trace(loss)(np.ones((2, 6))).backward())
    assert count(rewritten, "scatter_add") == 0
    assert count(rewritten, "concat") == 1
