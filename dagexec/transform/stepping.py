"""`scan`: a step applied along the first axis of arrays, with a carry from one to the next.

In a trace it is one node that holds the step as a graph (see scanning.py), or the steps one by one; outside
it is a loop in Python.

>>> import numpy as np
>>> last, sums = scan(lambda total, x: (total + x, total + x), 0.0, np.arange(4.0))
>>> float(last), sums
(6.0, array([0., 1., 3., 6.]))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import optree

from dagexec import xp
from dagexec.array import CURRENT, Array, at, user_line
from dagexec.graph import Spec
from dagexec.pytrees import flatten
from dagexec.tracing import scope
from dagexec.transform.carries import check_carry
from dagexec.transform.scanning import emitted, stacked_specs
from dagexec.transform.subgraphs import (
    Found,
    Part,
    is_number,
    name_of,
    node_of,
    spec_at,
    specs_out,
    subgraphs,
)


def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    *,
    reverse: bool = False,
    unroll: bool | int = False,
) -> tuple[Any, Any]:
    """Apply `carry, y = f(carry, x)` along the first axis of `xs`: the last carry, and the `y` stacked.

    `init`, `xs` and `y` are pytrees; `xs` may be None if `length` is given. With `reverse` it goes from the
    end. The carry keeps its structure, shapes and dtypes, else TypeError is raised; a Python number in `init`
    takes the dtype that `f` gives it. With `unroll=True` (or a number of at least the length) each step is
    recorded for itself: longer graphs, that show what happens and run in parallel. Outside of a trace it is a
    Python loop. Raises ValueError where lengths differ or are missing.

    >>> import numpy as np
    >>> from dagexec.transform.reverse import grad
    >>> def product(xs):
    ...     return scan(lambda p, x: (p * x, None), 1.0, xs)[0]
    >>> grad(product)(np.array([2.0, 3.0, 4.0]))
    array([12.,  8.,  6.])
    """
    carry, carry_tree = flatten(init)
    arrays, xs_tree = flatten(xs)
    length = _length(arrays, length)
    step = _Step(f, carry_tree, xs_tree)
    slices = [_slice_spec(x) for x in arrays]
    concrete = CURRENT.get() is None
    full = unroll is True or (unroll is not False and unroll >= max(length, 1))
    if length and (concrete or full):
        order = reversed(range(length)) if reverse else range(length)
        return _stepwise(step, carry, arrays, carry_tree, order)
    carry = step.settled(carry, slices)
    specs = [spec_at(leaf, "of init") for leaf in carry]
    part = step.part(specs, slices)
    if concrete:  # no step at all: only the shapes are asked for
        graphs, _ = subgraphs(part)
        empty = stacked_specs(specs_out(graphs[0])[len(carry) :], 0)
        made = [np.zeros(spec.shape, spec.dtype) for spec in empty]
        return init, optree.tree_unflatten(step.y_tree, made)
    results = emitted(part, [*map(node_of, carry)], [*map(node_of, arrays)], [], length, reverse)
    return (
        optree.tree_unflatten(carry_tree, results[: len(carry)]),
        optree.tree_unflatten(step.y_tree, results[len(carry) :]),
    )


class _Step:
    """A user's step, called with leaves and checked."""

    def __init__(
        self, f: Callable[[Any, Any], Any], carry_tree: optree.PyTreeSpec, xs_tree: optree.PyTreeSpec
    ) -> None:
        self.name = name_of(f)
        self.y_tree: Any = None
        self._f = f
        self._carry_tree, self._xs_tree = carry_tree, xs_tree

    def __call__(self, carry: Sequence[Any], x: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The carry that a step returns, as a tree, and the leaves of its result."""
        pair = self._f(
            optree.tree_unflatten(self._carry_tree, carry), optree.tree_unflatten(self._xs_tree, x)
        )
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(
                f"scan: {self.name} must return a pair (carry, y), but returned {pair!r:.60} "
                f"({at(user_line())})"
            )
        made, self.y_tree = flatten(pair[1])
        return pair[0], made

    def checked(self, carry: Any, specs: Sequence[Spec]) -> list[Any]:
        """The leaves of a carry that a step has returned; TypeError if they are not as it takes them."""
        found = Found(dict(enumerate(spec.dtype for spec in specs)))
        after = found.take(carry)
        try:
            check_carry("scan", self.name, (specs, self._carry_tree), after, found.tree)
        except TypeError as error:
            raise TypeError(f"{error} ({at(user_line())})") from None
        return after

    def part(self, specs: Sequence[Spec], slices: Sequence[Spec]) -> Part:
        """The step to be recorded."""

        def function(leaves: list[Array]) -> list[Any]:
            after, made = self(leaves[: len(specs)], leaves[len(specs) :])
            return [*self.checked(after, specs), *made]

        return Part(self.name, function, [*specs, *slices])

    def settled(self, carry: list[Any], slices: Sequence[Spec]) -> list[Any]:
        """The initial carry, with Python numbers in the dtypes that a step gives them."""
        if not any(map(is_number, carry)):
            return carry
        specs = [spec_at(leaf, "of init") for leaf in carry]
        found = carry

        def trial(leaves: list[Array]) -> list[Any]:
            nonlocal found
            found = _settled(carry, self(leaves[: len(specs)], leaves[len(specs) :])[0])
            return []

        subgraphs(Part(self.name, trial, [*specs, *slices]))
        return found


def _settled(carry: Sequence[Any], after: Any) -> list[Any]:
    settled = [np.asarray(leaf) if is_number(leaf) else leaf for leaf in carry]
    for position, (leaf, other) in enumerate(zip(carry, flatten(after)[0])):
        dtype = spec_at(other, "of the carry").dtype
        if is_number(leaf) and not is_number(other) and np.result_type(leaf, dtype) == dtype:
            settled[position] = np.asarray(leaf, dtype)
    return settled


def _stepwise(
    step: _Step, carry: list[Any], arrays: list[Any], carry_tree: optree.PyTreeSpec, order: Iterable[int]
) -> tuple[Any, Any]:
    """The loop in Python; within a trace each step is a region."""
    init, specs = carry, None
    carry = [np.asarray(leaf) if is_number(leaf) else _copied(leaf) for leaf in init]
    made = {}
    for i in order:
        with scope(f"{step.name or 'step'}[{i}]"):
            after, ys = step(carry, [_copied(x[i]) for x in arrays])
        made[i] = [_copied(y) for y in ys]
        if specs is None:
            specs = [spec_at(leaf, "of init") for leaf in _settled(init, after)]
        carry = step.checked(after, specs)
    columns = zip(*[made[i] for i in sorted(made)])
    stacked = [xp.stack([_as_array(y) for y in column]) for column in columns]
    return optree.tree_unflatten(carry_tree, carry), optree.tree_unflatten(step.y_tree, stacked)


def _copied(value: Any) -> Any:
    """A step may assign in place: neither the caller's arrays nor what other steps made may change by it."""
    return value.copy() if isinstance(value, np.ndarray) else value


def _as_array(value: Any) -> Any:
    return np.asarray(value) if is_number(value) else value


def _slice_spec(x: Any) -> Spec:
    spec = spec_at(x, "of xs")
    return Spec(spec.shape[1:], spec.dtype)


def _length(arrays: Sequence[Any], length: int | None) -> int:
    """The number of steps; ValueError if it is not told, or told twice and differently."""
    place = at(user_line())
    for x in arrays:
        if not spec_at(x, "of xs").shape:
            raise ValueError(f"scan: xs holds a scalar, which has no axis to go along ({place})")
    lengths = {spec_at(x, "of xs").shape[0] for x in arrays} | ({length} if length is not None else set())
    if len(lengths) != 1:
        told = (
            f"the lengths {', '.join(map(str, sorted(lengths)))} differ" if lengths else "no xs and no length"
        )
        raise ValueError(f"scan: {told} ({place})")
    return int(lengths.pop())
