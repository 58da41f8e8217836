"""Recurrent layers: PyTorch's values and gradients, and what a mask and a direction mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import nn, random
from tests.nn import torch_layers
from tests.nn.against_torch import DTYPES, numbers, require_same, torch

CELLS = {
    "rnn": (nn.rnn_cell, nn.init_rnn),
    "lstm": (nn.lstm_cell, nn.init_lstm),
    "gru": (nn.gru_cell, nn.init_gru),
}
KINDS = pytest.mark.parametrize("kind", CELLS)
FEATURES, HIDDEN = 3, 4


def made(kind, dtype, seed=0):
    """Parameters without zeros, so that each of them counts."""
    params = CELLS[kind][1](random.key(seed), FEATURES, HIDDEN, dtype=dtype)
    return {
        name: numbers(seed + place, *p.shape, dtype=dtype) for place, (name, p) in enumerate(params.items())
    }


def first_leaf(state):
    return state[0] if isinstance(state, tuple) else state


@KINDS
@DTYPES
def test_outputs_and_gradients_are_those_of_torch(kind, dtype):
    params, xs = made(kind, dtype), numbers(7, 2, 5, FEATURES, dtype=dtype)
    require_same(
        lambda params, xs: nn.unroll(CELLS[kind][0], params, xs)[0],
        lambda params, xs: torch_layers.recurrent(kind, params, xs)[0],
        *(params, xs),
        dtype=dtype,
    )


@KINDS
def test_the_given_and_the_last_state_are_those_of_torch(kind):
    params, xs, start = made(kind, "float64"), numbers(7, 2, 5, FEATURES), numbers(8, 2, 2, HIDDEN)
    pair = kind == "lstm"

    def ours(params, xs, start):
        _, last = nn.unroll(CELLS[kind][0], params, xs, (start[0], start[1]) if pair else start[0])
        return np.stack(last if pair else [last, start[1]])

    def wanted(params, xs, start):
        _, last = torch_layers.recurrent(kind, params, xs, (start[:1], start[1:]) if pair else start[:1])
        return torch.cat(last if pair else (last, start[1:]))

    require_same(ours, wanted, params, xs, start, dtype="float64")


@KINDS
@DTYPES
def test_both_directions_are_those_of_torch(kind, dtype):
    params = {"forward": made(kind, dtype), "backward": made(kind, dtype, seed=10)}
    require_same(
        lambda params, xs: nn.bidirectional(CELLS[kind][0], params, xs)[0],
        lambda params, xs: torch_layers.recurrent(kind, params, xs)[0],
        *(params, numbers(7, 2, 4, FEATURES, dtype=dtype)),
        dtype=dtype,
    )


def test_each_direction_starts_from_its_own_state_and_gives_its_own_last():
    params = {"forward": made("gru", "float64"), "backward": made("gru", "float64", seed=10)}

    def ours(params, xs, start):
        outputs, ends = nn.bidirectional(nn.gru_cell, params, xs, (start[0], start[1]))
        return np.concatenate([outputs.reshape(-1), np.stack(ends).reshape(-1)])

    def theirs(params, xs, start):
        outputs, ends = torch_layers.recurrent("gru", params, xs, start)
        return torch.cat([outputs.flatten(), ends.flatten()])

    states = numbers(8, 2, 2, HIDDEN)
    require_same(ours, theirs, params, numbers(7, 2, 4, FEATURES), states, dtype="float64")


@KINDS
@settings(max_examples=5, deadline=None)
@given(length=st.integers(1, 5), padding=st.integers(0, 3))
def test_padding_that_is_masked_changes_nothing(kind, length, padding):
    cell, params = CELLS[kind][0], {"forward": made(kind, "float64"), "backward": made(kind, "float64", 10)}
    xs = numbers(7, 2, length + padding, FEATURES)
    mask = np.arange(length + padding) < np.array([[length], [length + padding]])
    padded, ends = nn.bidirectional(cell, params, xs, mask=mask)
    alone, alone_ends = nn.bidirectional(cell, params, xs[:1, :length])
    np.testing.assert_allclose(padded[:1, :length], alone, atol=1e-12)
    for end, alone_end in zip(ends, alone_ends):
        np.testing.assert_allclose(first_leaf(end)[:1], first_leaf(alone_end), atol=1e-12)
    whole, _ = nn.bidirectional(cell, params, xs[1:])
    np.testing.assert_allclose(padded[1:], whole, atol=1e-12)


@KINDS
def test_unrolling_is_one_call_of_the_cell_a_step(kind):
    cell, params, xs = CELLS[kind][0], made(kind, "float64"), numbers(7, 2, 3, FEATURES)
    state = (np.zeros((2, HIDDEN)),) * 2 if kind == "lstm" else np.zeros((2, HIDDEN))
    outputs, _ = nn.unroll(cell, params, xs)
    for t in range(3):
        state = cell(params, xs[:, t], state)
        np.testing.assert_allclose(outputs[:, t], first_leaf(state), atol=1e-12)


def test_a_cell_of_ones_own_is_unrolled():
    def count(params, x, state):
        return {"total": state["total"] + params * x}

    outputs, last = nn.unroll(count, 2.0, np.ones((1, 3, 1)), {"total": np.zeros((1, 1))})
    assert outputs[:, :, 0].tolist() == [[2.0, 4.0, 6.0]]
    assert last["total"].tolist() == [[6.0]]


def test_each_step_is_a_box_named_after_the_cell():
    graph = dagexec.trace(lambda xs: nn.unroll(nn.gru_cell, made("gru", "float64"), xs)[0])(
        np.ones((1, 3, 3))
    )
    boxes = {node.scope[1] for node in graph.nodes if len(node.scope) > 1}
    assert boxes == {"inputs", "gru_cell[0]", "gru_cell[1]", "gru_cell[2]"}


def test_gates_start_orthogonal_and_the_forget_gate_open():
    params = nn.init_lstm(random.key(0), FEATURES, HIDDEN)
    for gate in np.split(params["state"], 4, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(HIDDEN), atol=1e-6)
    np.testing.assert_array_equal(params["bias"].reshape(4, HIDDEN).sum(1), [0, HIDDEN, 0, 0])
    assert {p.dtype.name for p in params.values()} == {"float32"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda p, x: nn.unroll(nn.rnn_cell, p, x[0]),
            r"xs of shape \(5, 3\) must be \(batch, time, features\)",
        ),
        (lambda p, x: nn.unroll(nn.rnn_cell, p, x[:, :0]), "of at least one step"),
        (lambda p, x: nn.unroll(nn.rnn_cell, p, x[..., :2]), r"\(2, 5, 2\) does not end with the 3 features"),
        (lambda p, x: nn.unroll(nn.rnn_cell, p, x, np.ones((2, 5))), r"\(2, 5\) does not end with 4"),
        (lambda p, x: nn.unroll(lambda p, x, s: s, p, x), "needs the state to start from"),
        (lambda p, x: nn.unroll(nn.rnn_cell, p, x, mask=np.ones((2, 5))), "must be bool .* not float64"),
        (
            lambda p, x: nn.unroll(nn.rnn_cell, p, x, mask=np.ones((5, 2), bool)),
            r"\(2, 5\), not bool of shape \(5",
        ),
        (lambda p, x: nn.unroll(nn.gru_cell, p, x), r"\(4, 4\) are those of another cell"),
        (lambda p, x: nn.lstm_cell(p, x[:, 0], (np.ones((2, 4)),) * 2), "of another cell: .* 4 × hidden"),
        (lambda p, x: nn.rnn_cell(made("gru", "float64"), x[:, 0], np.ones((2, 4))), "1 × hidden"),
        (lambda p, x: nn.lstm_cell(p, x[:, 0], np.ones((2, 4))), r"a pair, \(hidden, memory\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    params, xs = made("rnn", "float64"), np.ones((2, 5, FEATURES))
    with pytest.raises(ValueError, match=message):
        call(params, xs)
    with pytest.raises(ValueError, match=message):
        dagexec.trace(call)(params, xs)
