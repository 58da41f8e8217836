"""When which part of a program's memory is needed: slices read one by one, parts written one by one."""

from __future__ import annotations

import numpy as np
import pytest

import dagexec
from dagexec.memory import ALIGNMENT
from tests.executors.test_parts import program as program_as_written
from tests.executors.test_program import check, program

RNG = np.random.default_rng(0)


def lstm(steps, batch, hidden):
    """A loss over a long short-term memory, and its arguments."""

    def loss(w, u, xs):
        state, cell, total = np.zeros((batch, hidden)), np.zeros((batch, hidden)), 0.0
        for x in xs:
            i, f, g, o = np.split(x @ w + state @ u, 4, axis=1)
            cell = cell / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            state = np.tanh(cell) / (1 + np.exp(-o))
            total = total + np.sum(state**2)
        return total

    w, u = RNG.normal(size=(3, 4 * hidden)), RNG.normal(size=(hidden, 4 * hidden))
    return loss, (w, u, RNG.normal(size=(steps, batch, 3)))


def test_a_value_may_lie_where_slices_of_another_are_dead():
    def fn(x):
        first, *others = np.split(np.tanh(x * 2), 4)
        total = first * 2
        kept = [np.exp(total)]
        for part in others:
            total = total + part
            kept.append(np.exp(total))
        return sum(np.sum(one * k) for k, one in enumerate(kept))

    x = RNG.normal(size=(4, 64))
    made = program_as_written(fn, x)
    assert made._at_once <= made.nbytes < 8 * 64 * 8


@pytest.mark.parametrize("steps", [2, 12])
def test_a_step_of_a_recurrent_net_takes_little_more_than_what_lives_at_once(steps):
    loss, arguments = lstm(steps, 4, 8)
    made = program(check(dagexec.trace(loss)(*arguments).backward((0, 1)), *arguments))
    assert made._at_once <= made.nbytes <= 1.15 * made._at_once + 4 * ALIGNMENT


def test_explain_says_how_many_bytes_are_needed_at_once():
    x = RNG.normal(size=(4, 64))
    graph = dagexec.trace(lambda x: np.sum(np.exp(x * 2) @ np.tanh(x.T)))(x)
    compiled = check(graph, x)
    made = program(compiled)
    assert (
        f"on {made.nbytes:,} bytes for all values in between ({made._at_once:,} at once)"
        in compiled.explain()
    )
