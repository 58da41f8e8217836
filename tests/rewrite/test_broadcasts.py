"""Late broadcasts: computed on what is small, stretched at the end or by the reader; not one bit changed."""

import numpy as np
import pytest

import dagexec
from dagexec import xp
from dagexec.rewrite import sink_broadcasts
from tests.rewrite.comparing import check_exact, ops

ROW, COLUMN, MATRIX = np.array([1.5, -2.0, 0.25]), np.array([[3.0], [-4.0]]), np.arange(6.0).reshape(2, 3)

CASES = {
    "one function": (lambda r, c, m: xp.exp(xp.broadcast_to(r, (2, 3))), ["exp", "broadcast_to"]),
    "stretched by the reader": (lambda r, c, m: xp.broadcast_to(r, (2, 3)) * m, ["multiply"]),
    "both stretched": (
        lambda r, c, m: xp.broadcast_to(r, (4, 2, 3)) + xp.broadcast_to(r, (4, 2, 3)),
        ["add", "broadcast_to"],
    ),
    "across": (lambda r, c, m: xp.broadcast_to(r, (2, 3)) - xp.broadcast_to(c, (2, 3)), ["subtract"]),
    "a choice": (lambda r, c, m: xp.where(xp.broadcast_to(c > 0, (2, 3)), m, 0), ["greater", "where"]),
    "a cast": (
        lambda r, c, m: xp.astype(xp.broadcast_to(r, (2, 3)), np.float32),
        ["astype", "broadcast_to"],
    ),
    "a transpose": (
        lambda r, c, m: xp.exp(xp.broadcast_to(r, (2, 3)).T),
        ["reshape", "exp", "broadcast_to"],
    ),
    "a transpose of what is small": (
        lambda r, c, m: xp.exp(xp.permute_dims(xp.broadcast_to(m, (4, 2, 3)), (2, 0, 1))),
        ["reshape", "permute_dims", "exp", "broadcast_to"],
    ),
    "a new axis": (
        lambda r, c, m: xp.expand_dims(xp.broadcast_to(r, (2, 3)), axis=0) * m,
        ["reshape", "multiply"],
    ),
    "a number in any shape": (
        lambda r, c, m: xp.reshape(xp.broadcast_to(r[0], (2, 3)), (3, 2)) * m.T,
        ["getitem", "permute_dims", "multiply"],
    ),
    "an index": (lambda r, c, m: xp.broadcast_to(r, (2, 3))[1] * 2, ["multiply"]),
    "slices": (
        lambda r, c, m: xp.broadcast_to(r, (4, 2, 3))[1:3, 0, ::2],
        ["reshape", "getitem", "broadcast_to"],
    ),
    "equal rows in a product": (
        lambda r, c, m: xp.broadcast_to(r, (5, 3)) @ m.T,
        ["permute_dims", "reshape", "matmul", "broadcast_to"],
    ),
}


@pytest.mark.parametrize(("fn", "left"), CASES.values(), ids=CASES)
def test_what_is_left(fn, left):
    if "matmul" in left:  # whose sums BLAS may do in another order, for fewer rows
        assert ops(sink_broadcasts(dagexec.trace(fn)(ROW, COLUMN, MATRIX))) == left
    else:
        check_exact(sink_broadcasts, fn, ROW, COLUMN, MATRIX, left=left)


def test_splitting_a_stretched_axis_is_left_alone():
    check_exact(
        sink_broadcasts,
        lambda r, c, m: xp.reshape(xp.broadcast_to(r, (2, 3)), (6,)),
        ROW, COLUMN, MATRIX, left=["broadcast_to", "reshape"],
    )  # fmt: skip


def test_axes_of_length_one_come_back():
    graph = check_exact(
        sink_broadcasts, lambda r, c, m: xp.exp(xp.broadcast_to(r, (1, 3))), ROW, COLUMN, MATRIX
    )
    assert graph.outputs[0].spec.shape == (1, 3)


def test_nothing_found_is_the_same_graph():
    graph = dagexec.trace(lambda x: np.broadcast_to(x, (4, 3)))(ROW)
    assert sink_broadcasts(graph) is graph
