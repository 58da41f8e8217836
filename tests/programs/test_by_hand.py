"""A program whose gradients are written by hand is traced unchanged, and they are those that are derived.

It is written as such programs are: NumPy alone, dictionaries of arrays by step, sums of gradients with
`+=` into `np.zeros_like`, clipping with `out=`, and parameters that an optimiser changes in place.
"""

from __future__ import annotations

import numpy as np

import dagexec
from tests.oracle import assert_same

LETTERS, HIDDEN, STEPS = 5, 4, 6


def forward(params, inputs, targets, state):
    hidden, shares, loss = {-1: np.copy(state)}, {}, 0
    for t in range(len(inputs)):
        letter = np.zeros((LETTERS, 1))
        letter[inputs[t]] = 1
        drive = np.dot(params["wx"], letter) + np.dot(params["wh"], hidden[t - 1]) + params["bh"]
        hidden[t] = np.tanh(drive)
        scores = np.exp(np.dot(params["wy"], hidden[t]) + params["by"])
        shares[t] = scores / np.sum(scores)
        loss += -np.log(shares[t][targets[t], 0])
    return loss, hidden, shares


def by_hand(params, inputs, targets, state, most=None):
    loss, hidden, shares = forward(params, inputs, targets, state)
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    carried = np.zeros_like(hidden[0])
    for t in reversed(range(len(inputs))):
        dy = np.copy(shares[t])
        dy[targets[t]] -= 1
        grads["wy"] += np.dot(dy, hidden[t].T)
        grads["by"] += dy
        dh = np.dot(params["wy"].T, dy) + carried
        drive = (1 - hidden[t] * hidden[t]) * dh
        grads["bh"] += drive
        grads["wx"][:, inputs[t]] += drive[:, 0]
        grads["wh"] += np.dot(drive, hidden[t - 1].T)
        carried = np.dot(params["wh"].T, drive)
    if most is not None:
        for gradient in grads.values():
            np.clip(gradient, -most, most, out=gradient)
    return loss, grads


def adagrad(params, memory, inputs, targets, state):
    loss, grads = by_hand(params, inputs, targets, state, most=0.5)
    for value, gradient, seen in zip(params.values(), grads.values(), memory.values()):
        seen += gradient * gradient
        value += -0.1 * gradient / np.sqrt(seen + 1e-8)
    return loss, params, memory


RANDOM = np.random.default_rng(3)
PARAMS = {
    "wx": RANDOM.normal(size=(HIDDEN, LETTERS)),
    "wh": RANDOM.normal(size=(HIDDEN, HIDDEN)),
    "wy": RANDOM.normal(size=(LETTERS, HIDDEN)),
    "bh": np.zeros((HIDDEN, 1)),
    "by": np.zeros((LETTERS, 1)),
}
INPUTS, TARGETS = [0, 1, 2, 2, 3, 4], [1, 2, 2, 3, 4, 0]
STATE = np.zeros((HIDDEN, 1))


def test_the_gradients_by_hand_are_those_that_are_derived():
    loss, by_numpy = by_hand(PARAMS, INPUTS, TARGETS, STATE)
    traced, hand = dagexec.jit(lambda params: by_hand(params, INPUTS, TARGETS, STATE))(PARAMS)
    value, derived = dagexec.value_and_grad(lambda params: forward(params, INPUTS, TARGETS, STATE)[0])(PARAMS)
    np.testing.assert_allclose([traced, value], loss, rtol=1e-12)
    for name in PARAMS:
        assert_same(hand[name], by_numpy[name])
        assert_same(derived[name], by_numpy[name], rtol=1e-10)


def test_a_step_that_changes_its_parameters_in_place_gives_what_numpy_gives():
    def fresh():
        return {name: value.copy() for name, value in PARAMS.items()}, {
            name: np.zeros_like(value) for name, value in PARAMS.items()
        }

    _, wanted, memory = adagrad(*fresh(), INPUTS, TARGETS, STATE)
    given, zeros = fresh()
    _, found, kept = dagexec.jit(lambda p, m: adagrad(p, m, INPUTS, TARGETS, STATE))(given, zeros)
    for name in PARAMS:
        assert_same(found[name], wanted[name])
        assert_same(kept[name], memory[name])
        assert np.array_equal(given[name], PARAMS[name])  # what was given stays
