"""Products of arrays against NumPy's: einsum and tensordot with random subscripts and axes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagexec import xp
from dagexec.tracing import trace
from tests.oracle import assert_same, check_gradient, traced
from tests.strategies import arrays, shapes

FLOATS = ["float64"]
RANDOM = np.random.default_rng(5)

EINSUMS = [
    ("i->", (3,)), ("i->i", (3,)), ("ij->ji", (2, 3)), ("ij->", (2, 3)), ("ij->j", (2, 3)),
    ("ii->i", (3, 3)), ("ii", (3, 3)), ("iij->j", (2, 2, 3)), ("iji->ij", (2, 3, 2)), ("iii->i", (2, 2, 2)),
    ("iijj->ij", (2, 2, 3, 3)), ("ba", (2, 3)),
    ("i,i", (3,), (3,)), ("i,j", (2,), (3,)), ("i,j->ij", (2,), (3,)), ("i,j->ji", (2,), (3,)),
    ("ij,jk", (2, 3), (3, 4)), ("ij,jk->ik", (2, 3), (3, 4)), ("ij,kj->ki", (2, 3), (4, 3)),
    ("ij,jk->", (2, 3), (3, 4)), ("ij,jk->k", (2, 3), (3, 4)), ("ij,ij->", (2, 3), (2, 3)),
    ("ij,ij->i", (2, 3), (2, 3)), ("ij,ji", (2, 3), (3, 2)), ("bij,bjk->bik", (2, 3, 2), (2, 2, 3)),
    ("bij,bjk->bkj", (2, 3, 2), (2, 2, 3)), ("bhqd,bhkd->bhqk", (2, 2, 3, 2), (2, 2, 3, 2)),
    ("ij,j->i", (2, 3), (3,)), ("ij,kl->il", (2, 3), (4, 2)), (",->", (), ()), (",i->i", (), (3,)),
    ("ii,i->i", (2, 2), (2,)), ("ii,jj->ij", (2, 2), (3, 3)), ("ij,jj->i", (2, 3), (3, 3)),
    ("...i->...", (2, 3)), ("...ij->...ji", (2, 3, 4)), ("i...->...", (2, 3, 4)), ("...", (2, 3)),
    ("...ii->...i", (2, 3, 3)), ("...ij,...jk->...ik", (2, 2, 3), (2, 3, 2)),
    ("...ij,...jk", (2, 3), (4, 3, 2)), ("i...j,j...->i...", (2, 4, 3), (3, 4)),
    ("...ij,...jk->...ik", (1, 2, 3), (4, 3, 2)), ("...,...", (2, 1), (3,)), ("...i,i...->...", (3, 2),
    (2, 3)),
    ("ij...,jk...->ik...", (2, 3, 2), (3, 2, 2)),
    ("i,i,i->", (3,), (3,), (3,)), ("ij,jk,kl->il", (2, 3), (3, 2), (2, 4)), ("i,ij,j->", (2,), (2, 3), (3,)),
    ("ij,ik,il->jkl", (2, 3), (2, 2), (2, 4)), ("a,b,c->cab", (2,), (3,), (4,)),
    ("ab,ab,c->", (2, 2), (2, 2), (3,)),
    ("ij,j->i", (2, 1), (3,)), ("ij,ij->i", (2, 3), (2, 1)), ("ij,ij->ij", (1, 3), (2, 3)),
    ("bij,bjk->bik", (1, 2, 2), (3, 2, 2)), ("i,i,i->i", (1,), (3,), (1,)),
    ("ij,jk->ik", (2, 0), (0, 3)), ("i,i", (0,), (0,)),
]  # fmt: skip


@pytest.mark.parametrize(("subscripts", "shapes"), [(one[0], one[1:]) for one in EINSUMS])
def test_einsum_and_its_gradient(subscripts: str, shapes: tuple[Any, ...]) -> None:
    operands = [RANDOM.uniform(-1, 1, shape) for shape in shapes]
    assert_same(
        traced(lambda *x: np.einsum(subscripts, *x), *operands), np.asarray(np.einsum(subscripts, *operands))
    )
    graph = trace(lambda *x: xp.einsum(subscripts, *x))(*operands)
    check_gradient(graph, *operands, tolerance=1e-6)


@st.composite
def einsums(draw: Any) -> tuple[str, list[np.ndarray]]:
    """Subscripts with repeated letters, sums, products and ellipses, and operands to fit."""
    lengths = {letter: draw(st.integers(1, 3)) for letter in "abcde"}
    batch = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    terms, operands = [], []
    for _ in range(draw(st.integers(1, 3))):
        letters = draw(st.lists(st.sampled_from("abcde"), max_size=4))
        shape = [lengths[letter] for letter in letters]
        if draw(st.booleans()):
            place, axes = draw(st.integers(0, len(letters))), draw(st.integers(0, len(batch)))
            letters.insert(place, "...")
            shape[place:place] = batch[len(batch) - axes :]
        terms.append("".join(letters))
        operands.append(draw(arrays(shape=tuple(shape), dtypes=FLOATS)))
    used = sorted(set("".join(terms)) - {"."})
    ellipsis = ["..."] if any("..." in term for term in terms) else []
    result = draw(st.permutations(draw(st.lists(st.sampled_from(used), unique=True)) if used else []))
    result.insert(draw(st.integers(0, len(result))), "".join(ellipsis))
    arrow = draw(st.booleans())
    return ",".join(terms) + ("->" + "".join(result) if arrow else ""), operands


@given(einsums())
def test_einsum_of_random_subscripts(drawn: tuple[str, list[np.ndarray]]) -> None:
    subscripts, operands = drawn
    expected = np.asarray(np.einsum(subscripts, *operands))
    assert_same(traced(lambda *x: xp.einsum(subscripts, *x), *operands), expected)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk", ((2, 3),)),
        ("ij", ((2, 3), (2,))),
        ("ij", ((2, 3, 4),)),
        ("ijk", ((2, 3),)),
        ("...ijk", ((2, 3),)),
        ("ij,jk", ((2, 3), (4, 2))),
        ("ij->k", ((2, 3),)),
        ("ij->ii", ((2, 3),)),
        ("ii->i", ((2, 3),)),
        ("...,...->...", ((2,), (3,))),
        ("i.j->ij", ((2, 3),)),
        ("ij->i->j", ((2, 3),)),
        ("i1->i", ((2, 3),)),
        ("...i->i", ((2, 3),)),
    ],
)
def test_einsum_that_does_not_fit_is_an_error_at_the_users_line(subscripts: str, shapes: Any) -> None:
    operands = [np.ones(shape) for shape in shapes]
    with pytest.raises(ValueError):  # noqa: PT011
        np.einsum(subscripts, *operands)
    with pytest.raises(ValueError, match=r"test_products\.py:\d+"):
        trace(lambda *x: xp.einsum(subscripts, *x))(*operands)


@given(st.data())
def test_tensordot_over_random_axes(data: st.DataObject) -> None:
    a = data.draw(arrays(dtypes=FLOATS, min_dims=0, max_dims=3))
    count = data.draw(st.integers(0, a.ndim))
    over_a = data.draw(st.permutations(range(a.ndim)))[:count]
    free = data.draw(shapes(0, 2, 0, 3))
    order = data.draw(st.permutations(range(count + len(free))))
    shape_b = ([a.shape[n] for n in over_a] + list(free)) if order else []
    b = data.draw(arrays(shape=tuple(shape_b[n] for n in order), dtypes=FLOATS))
    over_b = [order.index(n) for n in range(count)]
    axes = (over_a, over_b)
    assert_same(traced(lambda a, b: np.tensordot(a, b, axes), a, b), np.asarray(np.tensordot(a, b, axes)))


@pytest.mark.parametrize("axes", [0, 1, 2, (0, 0), (-1, 1), ([0, 1], [0, 1]), ([-1, 0], [1, 0])])
def test_tensordot_over_given_axes(axes: Any) -> None:
    a, b = RANDOM.normal(size=(3, 3)), RANDOM.normal(size=(3, 3))
    assert_same(traced(lambda a, b: np.tensordot(a, b, axes), a, b), np.asarray(np.tensordot(a, b, axes)))


@pytest.mark.parametrize("axes", [1, (0, 0), ([0, 1], [0]), (5, 0), 3])
def test_tensordot_that_does_not_fit_is_an_error_at_the_users_line(axes: Any) -> None:
    with pytest.raises((ValueError, IndexError)):
        np.tensordot(np.ones((2, 3)), np.ones((4, 3)), axes)
    with pytest.raises(ValueError, match=r"test_products\.py:\d+"):
        trace(lambda a, b: xp.tensordot(a, b, axes=axes))(np.ones((2, 3)), np.ones((4, 3)))


@given(st.data())
def test_matmul_of_random_batches(data: st.DataObject) -> None:
    batch_a, batch_b = data.draw(
        st.sampled_from([((), ()), ((2,), ()), ((), (3,)), ((2, 1), (3,)), ((0,), (1,))])
    )
    rows, inner, columns = [data.draw(st.integers(0, 3)) for _ in range(3)]
    vector_a = not batch_a and data.draw(st.booleans())
    vector_b = not batch_b and data.draw(st.booleans())
    a = data.draw(arrays(shape=(*batch_a, *(() if vector_a else (rows,)), inner)))
    b = data.draw(arrays(shape=(*batch_b, inner, *(() if vector_b else (columns,)))))
    assert_same(traced(lambda a, b: a @ b, a, b), np.asarray(a @ b), rtol=1e-3)
    assert_same(traced(lambda a: a @ b, a), np.asarray(a @ b), rtol=1e-3)
    assert_same(traced(lambda b: a @ b, b), np.asarray(a @ b), rtol=1e-3)


@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (4, 3, 2)), ((), (2,)), ((2, 2),
    ()), ((), ())]
)  # fmt: skip
def test_dot_outer_and_vecdot_are_those_of_numpy(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    left, right = RANDOM.normal(size=a), RANDOM.normal(size=b)
    assert_same(traced(np.dot, left, right), np.asarray(np.dot(left, right)))
    assert_same(traced(lambda a, b: a.dot(b), left, right), np.asarray(np.dot(left, right)))
    assert_same(traced(np.outer, left, right), np.outer(left, right))
    if a and a == b:
        assert_same(traced(np.vecdot, left, right), np.asarray(np.vecdot(left, right)))


@pytest.mark.parametrize(("a", "b"), [((2, 3), (2, 3)), ((3,), (2,)), ((), (3,)), ((2, 2, 3), (3, 3, 1))])
def test_matmul_that_does_not_fit_names_both_shapes(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"matmul of float64\[.*\] and float64\[.*\]: .*test_products\.py:\d+"
    ):
        trace(lambda a, b: a @ b)(np.ones(a), np.ones(b))
