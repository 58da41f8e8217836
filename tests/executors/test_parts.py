"""Values written straight to their places in what they are joined to: no copies, the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import xp
from tests.executors.test_program import same

RUNS = 4  # the third is the first by the program


def program(fn, *arguments):
    """The program of a function, whose results are those of the runs before."""
    compiled = dagexec.compile(dagexec.trace(fn)(*arguments), "serial", rewrites=())
    wanted = compiled(*arguments)
    for _ in range(RUNS):
        same(compiled(*arguments), wanted)
    found = compiled._runner._execute.program
    assert found is not None
    return found


def calls(program):
    return [function for function, _ in program._calls]


X = np.random.default_rng(0).normal(size=(4, 3))


@pytest.mark.parametrize("join", [np.concatenate, np.stack])
def test_operands_are_computed_in_their_places(join):
    found = program(lambda x: np.sum(join([np.sin(x), np.cos(x), np.tanh(x)]) ** 2), X)
    assert not {np.concatenate, np.stack, np.copyto} & {*calls(found)}
    # The whole, in which the parts lie, and what is computed from it in its place.
    assert found.nbytes <= 3 * 128 + 64


def test_parts_of_parts():
    def fn(x):
        pairs = [np.concatenate([np.sin(x * k), np.cos(x * k)]) for k in range(1, 4)]
        return np.sum(np.stack(pairs) ** 2), [np.sum(pair) for pair in pairs]

    assert np.copyto not in calls(program(fn, X))


def test_what_reshapes_a_whole_value_counts_as_that_value():
    found = program(lambda x: np.sum(np.stack([np.sin(x).reshape(-1), np.cos(x).reshape(-1)]) ** 2), X)
    assert np.stack not in calls(found)


def test_other_columns_are_written_in_place_only_if_nothing_else_reads_them():
    def fn(x, also):
        one, other = x * 2, x * 3
        joined = np.concatenate([one, other], axis=1)
        return np.sum(joined**2) + (np.sum(one, axis=0)[0] if also else 0)

    assert np.concatenate not in calls(program(lambda x: fn(x, False), X))
    assert np.copyto in calls(program(lambda x: fn(x, True), X))


def test_arguments_constants_and_what_stands_twice_are_copied():
    def fn(x):
        y = np.sin(x)
        return np.sum(np.concatenate([x, y, np.ones((1, 3)), y, np.cos(x), np.tanh(x)]) ** 2)

    assert calls(program(fn, X)).count(np.copyto) == 3


def test_results_are_the_callers_alone():
    def fn(x):
        y = np.sin(x)
        joined = np.stack([y, np.cos(x)])
        return y, joined, np.sum(joined)

    compiled = dagexec.compile(dagexec.trace(fn)(X), "serial", rewrites=())
    wanted = compiled(X)
    for _ in range(RUNS):
        found = compiled(X)
        same(found, wanted)
        for leaf in found[:2]:
            leaf[...] = 7


@st.composite
def joins(draw):
    """A function that joins what it has, along any axis, again and again."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["concat", "stack", "sin", "double", "sum", "turn"]),
                st.integers(0, 2),
                st.lists(st.integers(0, 20), min_size=1, max_size=4),
            ),
            min_size=3,
            max_size=10,
        )
    )

    def fn(x):
        values = [x, x * 2.0]
        for kind, axis, numbers in steps:
            chosen = [values[number % len(values)] for number in numbers]
            first = chosen[0]
            alike = [value for value in chosen if value.shape == first.shape]
            if kind == "concat" and first.size < 200:
                values.append(xp.concat(alike, axis=axis % first.ndim))
            elif kind == "stack" and first.size < 200 and first.ndim < 4:
                values.append(xp.stack(alike, axis=axis % (first.ndim + 1)))
            elif kind == "sum" and first.ndim > 1:
                values.append(np.sum(first, axis=axis % first.ndim))
            elif kind == "turn":
                values.append(first.T)
            else:
                values.append(np.sin(first) if kind == "sin" else first * 2.0)
        return values[-1], sum(np.sum(value) for value in values[2:])

    return fn


@settings(max_examples=60)
@given(joins())
def test_random_joins_have_the_bits_of_the_plan(fn):
    program(fn, X)
