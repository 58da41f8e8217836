"""Statistics and grids against NumPy on whole arrays."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dagexec.graph import Spec
from dagexec.page.statistics import MOST_CELLS, MOST_ELEMENTS, has_statistics, side_for, statistics


@st.composite
def filled(draw):
    """An array with numbers of any size and, perhaps, some that are not finite."""
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, max_side=40))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    array = random.normal(size=shape) * 10.0 ** draw(st.integers(-30, 30)) + draw(st.sampled_from([0.0, 7.0]))
    array = np.asarray(array)
    for value in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), max_size=3)):
        array[tuple(random.integers(length) for length in shape)] = value
    return array.astype(draw(st.sampled_from(["float64", "float32"])))


@settings(max_examples=25)
@given(filled())
def test_moments_and_counts_are_numpys(array):
    found = statistics(array, 16)
    finite = array[np.isfinite(array)].astype(float)
    assert found["nan"] == np.isnan(array).sum()
    assert found["inf"] == np.isinf(array).sum()
    if not finite.size:
        assert {found[key] for key in ("min", "max", "mean", "std")} == {None}
        return
    scale = np.abs(finite).max()
    for key, of in (("min", np.min), ("max", np.max), ("mean", np.mean), ("std", np.std)):
        assert found[key] == pytest.approx(of(finite), rel=1e-3, abs=1e-10 * scale), key


@settings(max_examples=25)
@given(filled(), st.sampled_from([6, 16]))
def test_a_grid_holds_the_means_of_blocks(array, side):
    grid = statistics(array, side)["grid"]
    if array.size == 1:
        assert grid is None
        return
    table = array.astype(float).reshape(-1, array.shape[-1])
    assert (len(grid), len(grid[0])) == tuple(min(side, length) for length in table.shape)
    rows, columns = (
        [length * i // count for i in range(count + 1)]
        for length, count in zip(table.shape, (len(grid), len(grid[0])))
    )
    cells = np.array([[np.nan if cell is None else cell for cell in row] for row in grid])
    with np.errstate(all="ignore"):
        truth = np.array(
            [
                [table[top:bottom, left:right].mean() for left, right in pairwise(columns)]
                for top, bottom in pairwise(rows)
            ]
        )
    finite = np.isfinite(truth)
    np.testing.assert_array_equal(np.isfinite(cells), finite)
    if finite.any():
        reach = np.ptp(truth[finite]) or np.abs(truth[finite]).max()
        np.testing.assert_allclose(cells[finite], truth[finite], atol=reach / 150 + 1e-300, rtol=1e-12)


def test_sums_of_large_numbers_do_not_overflow():
    found = statistics(np.full((4, 4), 1.5e308), 16)
    assert (found["min"], found["mean"], found["inf"]) == (1.5e308, 1.5e308, 0)


def test_truth_values_and_integers_count_as_numbers():
    assert statistics(np.array([True, False]), 16)["grid"] == [[1.0, 0.0]]
    assert statistics(np.array([1, 2, 6]), 16)["mean"] == 3.0


@pytest.mark.parametrize(
    "spec",
    [None, (Spec((2,), "f8"),), Spec((2,), "c16"), Spec((0, 3), "f8"), Spec((MOST_ELEMENTS + 1,), "f4")],
)
def test_only_arrays_of_real_numbers_of_modest_size_have_statistics(spec):
    assert not has_statistics(spec)
    assert has_statistics(Spec((), "f8"))


def test_many_arrays_have_smaller_grids_and_very_many_none():
    square = Spec((100, 100), "f8")
    assert side_for([square] * 10) == 16
    for count in (500, 1000, 2000):
        side = side_for([square] * count)
        assert 0 < side < 16
        assert side**2 * count <= MOST_CELLS
    assert side_for([square] * 20_000) == 0
    assert side_for([Spec((), "f8")] * 20_000) == 16
