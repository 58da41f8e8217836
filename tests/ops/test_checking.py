"""The check of whole numbers while running: what it lets through, and what it says of the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import dagexec
from dagexec import xp
from dagexec.array import call
from dagexec.ops.checking import IN_RANGE

INTEGERS = [f"{order}{kind}{size}" for order in "<>" for kind in "iu" for size in (1, 2, 4, 8)]


@given(
    st.sampled_from(INTEGERS).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0))),
    st.integers(1, 300),
)
@settings(max_examples=100, deadline=None)
def test_numbers_in_range_come_back_and_the_first_other_is_named(numbers, count):
    wrong = np.argwhere((numbers.astype(object) < 0) | (numbers.astype(object) >= count))
    if not len(wrong):
        np.testing.assert_array_equal(call(IN_RANGE, numbers, count=count, what="label"), numbers)
        return
    with pytest.raises(IndexError) as error:
        call(IN_RANGE, numbers, count=count, what="label")
    place = wrong[0].tolist()
    assert f"the label {numbers[tuple(place)]}, at {place}, is not among the {count}" in str(error.value)


def test_nothing_is_in_any_range():
    assert call(IN_RANGE, np.zeros((0, 2), int), count=1, what="label").shape == (0, 2)


def check(numbers):
    return (
        call(IN_RANGE, xp.maximum(numbers, -9), count=3, what="label") + 1
    )  # what a node made, not an argument


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_it_is_a_node_on_every_executor(executor):
    many = np.arange(1000)
    graph = dagexec.trace(check)(many)
    with dagexec.compile(graph, executor, 2) as compiled:
        for shift in range(4):  # the last runs are those of a flat program
            np.testing.assert_array_equal(compiled((many + shift) % 3), (many + shift) % 3 + 1)
        with pytest.raises(IndexError, match=r"the label 3, at \[3\]"):
            compiled(many)


def test_other_libraries_arrays_and_batches_are_checked():
    torch = pytest.importorskip("torch")
    compiled = dagexec.compile(dagexec.trace(check)(np.zeros(4, int)))
    np.testing.assert_array_equal(compiled(torch.arange(4) % 3), [1, 2, 3, 1])
    with pytest.raises(IndexError, match=r"the label -1, at \[0\]"):
        compiled(torch.arange(4) - 1)
    np.testing.assert_array_equal(dagexec.vmap(check)(np.eye(2, dtype=int)), np.eye(2) + 1)
    assert xp.sum(dagexec.grad(lambda x: xp.sum(x * check(np.arange(3))))(np.ones(3))) == 6
