"""Products of arrays, all by way of the one op `matmul`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dagexec.array import call, shape_of
from dagexec.ops import TABLE
from dagexec.ops.table import as_tuple, one_axis
from dagexec.xp.computing import FUNCTIONS, astype, conj
from dagexec.xp.moving import getitem, moveaxis, permute_dims, reshape


def matmul(a: Any, b: Any) -> Any:
    """The matrix product over the last two axes, batched over the others."""
    return call(TABLE["matmul"], a, b)


def tensordot(a: Any, b: Any, axes: int | Sequence[Any] = 2) -> Any:
    """The sum of products over pairs of axes: the last of `a` with the first of `b`, or the axes given."""
    shape_a, shape_b = shape_of(a), shape_of(b)
    if isinstance(axes, int | np.integer):
        if not 0 <= axes <= min(len(shape_a), len(shape_b)):
            raise ValueError(f"tensordot: {shape_a} and {shape_b} have no {axes} axes to sum over")
        over_a, over_b = tuple(range(len(shape_a) - axes, len(shape_a))), tuple(range(axes))
    else:
        over_a, over_b = (
            tuple(one_axis(n, len(shape)) for n in as_tuple(side))
            for side, shape in zip(axes, (shape_a, shape_b), strict=True)
        )
    if [shape_a[n] for n in over_a] != [shape_b[n] for n in over_b]:
        raise ValueError(f"tensordot: axes {over_a} of {shape_a} do not fit axes {over_b} of {shape_b}")
    free_a = tuple(n for n in range(len(shape_a)) if n not in over_a)
    free_b = tuple(n for n in range(len(shape_b)) if n not in over_b)
    inner = int(np.prod([shape_a[n] for n in over_a], dtype=np.int64))
    rows = int(np.prod([shape_a[n] for n in free_a], dtype=np.int64))
    columns = int(np.prod([shape_b[n] for n in free_b], dtype=np.int64))
    left = reshape(permute_dims(a, free_a + over_a), (rows, inner))
    right = reshape(permute_dims(b, over_b + free_b), (inner, columns))
    return reshape(matmul(left, right), [shape_a[n] for n in free_a] + [shape_b[n] for n in free_b])


def vecdot(a: Any, b: Any, axis: int = -1) -> Any:
    """The sum of products along one axis; of complex numbers, the first operand is conjugated."""
    shape_a, shape_b = shape_of(a), shape_of(b)
    lengths = [shape[one_axis(axis, len(shape))] for shape in (shape_a, shape_b)]
    if lengths[0] != lengths[1]:
        raise ValueError(f"vecdot: {shape_a} and {shape_b} differ in length along axis {axis}")
    products = call(TABLE["multiply"], conj(a), b)
    return astype(FUNCTIONS["sum"](products, axis=axis), products.dtype, copy=False)  # small integers stay


def dot(a: Any, b: Any) -> Any:
    """NumPy's `dot`: a product with a scalar, else the last axis of `a` with the second last of `b`."""
    if not shape_of(a) or not shape_of(b):
        return call(TABLE["multiply"], a, b)
    return tensordot(a, b, ((-1,), (-min(2, len(shape_of(b))),)))


def outer(a: Any, b: Any) -> Any:
    """All products of an element of `a` and one of `b`, both flattened."""
    return call(TABLE["multiply"], reshape(a, (-1, 1)), reshape(b, (1, -1)))


def einsum(subscripts: str, *operands: Any, optimize: Any = None) -> Any:
    """Einstein summation, as NumPy writes it, by way of transposes, products and sums.

    Operands are contracted from left to right, whatever `optimize` says. Ellipses and repeated letters of one
    operand (a diagonal) are understood. Raises ValueError where subscripts and operands do not fit.
    """
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: subscripts come first, as a string, not {type(subscripts).__name__}")
    terms, result = _parse_einsum(subscripts, [shape_of(x) for x in operands])
    letters, value = _diagonals(terms[0], operands[0])
    for number in range(1, len(operands)):
        later = set(result).union(*terms[number + 1 :])
        letters, value = _contract(letters, value, *_diagonals(terms[number], operands[number]), later)
    letters, value = _sum_out(letters, value, set(result))
    return permute_dims(value, [letters.index(letter) for letter in result])


def _parse_einsum(subscripts: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with ellipses written out in letters of their own."""
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ValueError(f"einsum: {subscripts!r} names {len(terms)} operands, {len(shapes)} are given")
    spare = list(map(chr, range(0x100, 0x140)))
    longest = 0
    for position, (term, shape) in enumerate(zip(terms, shapes)):
        if "..." in term:
            count = len(shape) - len(term.replace("...", ""))
            if count < 0:
                raise ValueError(f"einsum: {term!r} has more letters than shape {shape} has axes")
            longest = max(longest, count)
            terms[position] = term = term.replace("...", "".join(spare[-count:] if count else []))
        if len(term) != len(shape) or "." in term:
            raise ValueError(f"einsum: {term!r} does not fit an operand of shape {shape}")
    ellipsis = "".join(spare[-longest:] if longest else [])
    if not arrow:
        once = [x for x in sorted(set("".join(terms)) - set(ellipsis)) if "".join(terms).count(x) == 1]
        result = ellipsis + "".join(once)
    elif longest and "..." not in result:
        raise ValueError(f"einsum: the result {result!r} needs an ellipsis, as the operands have one")
    result = result.replace("...", ellipsis)
    if not all(letter.isalpha() for letter in "".join(terms)):
        raise ValueError(f"einsum: {subscripts!r} has other signs than letters, commas, dots and one arrow")
    if len(set(result)) < len(result) or not set(result) <= set("".join(terms)):
        raise ValueError(f"einsum: the result {result!r} repeats a letter or has one that no operand has")
    lengths: dict[str, int] = {}
    for letter, length in zip("".join(terms), [length for shape in shapes for length in shape]):
        if (
            letter not in ellipsis
            and lengths.setdefault(letter, length) != length
            and 1 not in (length, lengths[letter])
        ):
            raise ValueError(f"einsum: {letter!r} has lengths {lengths[letter]} and {length}")
    return terms, result


def _diagonals(term: str, x: Any) -> tuple[str, Any]:
    """An operand with each repeated letter reduced to the diagonal."""
    while len(set(term)) < len(term):
        letter = next(letter for letter in term if term.count(letter) > 1)
        first = term.index(letter)
        second = term.index(letter, first + 1)
        x = moveaxis(x, (first, second), (0, 1))
        n = np.arange(shape_of(x)[0])
        x = getitem(x, n, n, index=("array", "array"))
        term = letter + term[:first] + term[first + 1 : second] + term[second + 1 :]
    return term, x


def _sum_out(letters: str, x: Any, keep: set[str]) -> tuple[str, Any]:
    gone = tuple(number for number, letter in enumerate(letters) if letter not in keep)
    if gone:
        x = FUNCTIONS["sum"](x, axis=gone)
    return "".join(letter for letter in letters if letter in keep), x


def _contract(a_letters: str, a: Any, b_letters: str, b: Any, later: set[str]) -> tuple[str, Any]:
    """Two operands as one: letters that nobody else needs are summed over, by one batched matrix product."""
    a_letters, a = _sum_out(a_letters, a, later | set(b_letters))
    b_letters, b = _sum_out(b_letters, b, later | set(a_letters))
    common = [letter for letter in a_letters if letter in b_letters]
    batch = [letter for letter in common if letter in later]
    inner = [letter for letter in common if letter not in later]
    rows = [letter for letter in a_letters if letter not in common]
    columns = [letter for letter in b_letters if letter not in common]
    length_a, length_b = dict(zip(a_letters, shape_of(a))), dict(zip(b_letters, shape_of(b)))
    for letter in inner:  # a length of one broadcasts
        if length_a[letter] != length_b[letter]:
            return _contract(*_sum_one(a_letters, a, letter), *_sum_one(b_letters, b, letter), later)

    def size(group: list[str], lengths: dict[str, int]) -> int:
        return int(np.prod([lengths[letter] for letter in group], dtype=np.int64))

    left = permute_dims(a, [a_letters.index(letter) for letter in batch + rows + inner])
    right = permute_dims(b, [b_letters.index(letter) for letter in batch + inner + columns])
    left = reshape(left, [length_a[x] for x in batch] + [size(rows, length_a), size(inner, length_a)])
    right = reshape(right, [length_b[x] for x in batch] + [size(inner, length_b), size(columns, length_b)])
    product = matmul(left, right)
    batch_shape = list(shape_of(product)[:-2])
    shape = batch_shape + [length_a[x] for x in rows] + [length_b[x] for x in columns]
    return "".join(batch + rows + columns), reshape(product, shape)


def _sum_one(letters: str, x: Any, letter: str) -> tuple[str, Any]:
    return _sum_out(letters, x, set(letters) - {letter})
