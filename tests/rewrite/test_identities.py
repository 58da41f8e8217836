"""Identities: what is left of each, and not one bit changed, on NaN, infinities and zeros of both signs."""

import numpy as np
import pytest

import dagexec
from dagexec import xp
from dagexec.rewrite import apply_identities
from tests.rewrite.comparing import check_exact, ops

X, Y = np.random.default_rng(0).normal(size=(2, 3, 3))

GONE = {
    "x * 1": lambda x, y: x * 1,
    "1 * x": lambda x, y: 1 * x,
    "x - 0": lambda x, y: x - 0,
    "x + -0": lambda x, y: x + -0.0,
    "x / 1": lambda x, y: x / 1,
    "-(-x)": lambda x, y: -(-x),  # noqa: B002
    "+x": lambda x, y: +x,
    "x ** 1": lambda x, y: x**1,
    "real(x)": lambda x, y: xp.real(x),
    "transposes": lambda x, y: x.T.T,
    "moved axes": lambda x, y: xp.permute_dims(xp.permute_dims(xp.stack([x, y]), (1, 2, 0)), (2, 0, 1))[0],
    "reshapes": lambda x, y: xp.reshape(xp.reshape(x, (9,)), (3, 3)),
    "new axis": lambda x, y: xp.squeeze(xp.expand_dims(x, axis=1), axis=1),
    "broadcast to what it is": lambda x, y: xp.broadcast_to(x, (3, 3)),
    "cast to what it is": lambda x, y: xp.astype(x, np.float64),
    "flips": lambda x, y: xp.flip(xp.flip(x)),
    "equal branches": lambda x, y: xp.where(y > 0, x, x),
    "all of it": lambda x, y: x[:, 0:3],
    "a piece of a stack": lambda x, y: xp.stack([y, x])[1],
    "a piece of a concatenation": lambda x, y: xp.concat([y, x], axis=1)[:, 3:6],
    "stack of an unstacked": lambda x, y: xp.stack(list(xp.unstack(x))),
    "unstacked stack": lambda x, y: xp.unstack(xp.stack([y, x], axis=1), axis=1)[1],
    "a concatenation of one": lambda x, y: xp.concat([x]),
}
LESS = {
    "|-x|": (lambda x, y: abs(-x), ["abs"]),
    "(-x)²": (lambda x, y: xp.square(-x), ["square"]),
    "| |x| |": (lambda x, y: abs(abs(x)), ["abs"]),
    "x - -y": (lambda x, y: x - -y, ["add"]),
    "x + -y": (lambda x, y: x + -y, ["subtract"]),
    "-x + y": (lambda x, y: -x + y, ["subtract"]),
    "-x * -y": (lambda x, y: -x * -y, ["multiply"]),
    "floor of floor": (lambda x, y: xp.floor(xp.floor(x)), ["floor"]),
    "not": (lambda x, y: xp.where(xp.logical_not(x > 0), x, y), ["greater", "where"]),
    "reshape of reshape": (lambda x, y: xp.reshape(xp.reshape(x, (9,)), (1, 9)), ["reshape"]),
    "two transposes": (
        lambda x, y: xp.permute_dims(xp.permute_dims(xp.stack([x, y]), (1, 2, 0)), (0, 2, 1)),
        ["stack", "permute_dims"],
    ),
    "kept axes": (lambda x, y: xp.expand_dims(xp.max(x, axis=1), axis=1), ["max"]),
    "a row of a piece": (lambda x, y: xp.concat([y, x])[4], ["getitem"]),
    "a number of a piece": (lambda x, y: xp.stack([y, x], axis=2)[1, 2, 1], ["getitem"]),
}
KEPT = {
    "x + 0 makes 0 of -0": lambda x, y: x + 0.0,
    "x * 0 makes NaN of infinity": lambda x, y: x * 0.0,
    "0 - x": lambda x, y: 0 - x,
    "a cast that loses": lambda x, y: xp.astype(xp.astype(x, np.float32), np.float64),
    "a cast to whole numbers and back": lambda x, y: xp.astype(xp.astype(x > 0, np.int64), np.bool),
    "another order": lambda x, y: xp.stack(list(xp.unstack(x))[::-1]),
    "another axis": lambda x, y: xp.stack(list(xp.unstack(x)), axis=1),
    "two pieces": lambda x, y: xp.concat([y, x])[2:4],
    "a wider result": lambda x, y: xp.where(x > 0, y[0], y[0]),
}


@pytest.mark.parametrize("fn", GONE.values(), ids=GONE)
def test_nothing_is_left(fn):
    graph = check_exact(apply_identities, fn, X, Y)
    assert graph.outputs[0] is graph.inputs[0]


@pytest.mark.parametrize(("fn", "left"), LESS.values(), ids=LESS)
def test_less_is_left(fn, left):
    check_exact(apply_identities, fn, X, Y, left=left)


@pytest.mark.parametrize("fn", KEPT.values(), ids=KEPT)
def test_what_is_no_identity_is_kept(fn):
    graph = dagexec.trace(fn)(X, Y)
    assert apply_identities(graph) is graph


def test_unsigned_numbers_have_no_negative():
    check_exact(apply_identities, lambda x: abs(-x), np.arange(4, dtype=np.uint8), left=["negative", "abs"])


def test_a_copy_in_another_order_is_made_once():
    def fn(x):
        rows = xp.reshape(x.T, (9,))
        return rows, xp.reshape(rows, (3, 1, 3))

    check_exact(apply_identities, fn, X, left=["permute_dims", "reshape", "reshape"])


def test_a_result_with_several_results_is_known_by_its_pieces_only():
    def fn(x):
        first, second = xp.split(x, [1])
        return xp.concat([first, second]), xp.concat([second, first])

    assert ops(check_exact(apply_identities, fn, X)).count("concat") == 1
