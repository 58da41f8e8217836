"""A graph of scalars as straight-line Python: a line for each number, for graphs too narrow for vectors.

>>> import dagexec
>>> from dagexec.executors.scalars import scalars_of
>>> graph = dagexec.trace(lambda x, y: np.tanh(x * y) + y)(1.0, 1.0)
>>> program = Straight(scalars_of(dagexec.plan(graph)))
>>> print(program)
def numbers(v0, v1):
    v2 = v0 * v1
    v3 = tanh(v2).item()
    v4 = v3 + v1
    return v4,
>>> program([2.0, 0.5], [])
[np.float64(1.2615941559557649)]

Names are made of ids, and functions are those of the op table: nothing that a user wrote is in the text.

Python's own numbers take half the time of NumPy's, and where both do what IEEE 754 says they have the same
bits: sums, products, quotients, comparisons. All else is left to NumPy. But Python raises an error where
NumPy warns and goes on, as for 1 / 0, and does not warn of an overflow. So if there is an error, or a result
is not finite, the same is computed again with NumPy's numbers. (Only an overflow that no result shows is
passed over without a warning.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import Any

import numpy as np

from dagexec.executors.arguments import Accepts
from dagexec.executors.scalars import DTYPES, Ints, Scalars
from dagexec.executors.taking import Taking, taken

# What Python writes for floating-point numbers of one dtype, and for truth values.
FLOATS = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
    "negative": "-{}",
    "square": "{0} * {0}",
    "equal": "{} == {}",
    "not_equal": "{} != {}",
    "less": "{} < {}",
    "less_equal": "{} <= {}",
    "greater": "{} > {}",
    "greater_equal": "{} >= {}",
}
TRUTHS = {"logical_and": "{} and {}", "logical_or": "{} or {}", "logical_not": "not {}"}
FORMS = {"f": FLOATS, "b": TRUTHS, "i": {}}
SELECTION = {"where": "{1} if {0} else {2}"}
PYTHONS = {np.dtype(kind).num for kind in (bool, int, float)}  # the dtypes of Python's own numbers
FIRST = 2  # the line of the first task, after `def`


class Straight:
    """The program of a graph of scalars, a line for each number."""

    def __init__(self, scalars: Scalars) -> None:
        self._scalars = scalars
        self.fits = Accepts(scalars.plan.graph.inputs)
        self._ids = taken(scalars)
        place = np.zeros(len(scalars.kind), np.int64)
        for ids in self._ids.values():
            place[ids] = np.arange(len(ids))
        self._taking = Taking(scalars, place)
        in_python = {int(scalars.dtype[one]) for one in scalars.used} <= PYTHONS
        self._by_python = _Function(scalars, self._ids, ".item()") if in_python else None
        self._by_numpy: _Function | None = None

    def __call__(self, arguments: Sequence[Any], stop: Sequence[BaseException]) -> list[Any]:
        """The results, in the plan's order."""
        found = self._in_python(arguments)
        if found is None:
            found = self._in_numpy(arguments)
        if self._taking.is_simple:
            (code,) = self._ids
            return list(map(DTYPES[code].type, found))
        pools, start = {}, 0
        for code, ids in self._ids.items():
            pools[code] = np.array(found[start : start + len(ids)], DTYPES[code])
            start += len(ids)
        return self._taking(pools, stop)

    def _in_python(self, arguments: Sequence[Any]) -> tuple[Any, ...] | None:
        """What is taken, by Python's numbers; None if these will not do."""
        if self._by_python is None:
            return None
        numbers: Iterable[Any]
        if self.fits.all_floats:
            numbers = map(float, arguments)
        else:
            numbers = chain.from_iterable([argument.ravel().tolist() for argument in arguments])
        try:
            found = self._by_python.call(*numbers, *self._by_python.constants)
            return found if isfinite(sum(found)) else None
        except Exception:  # NumPy may go on where Python does not; else it raises the same
            return None

    def _in_numpy(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        """The same by NumPy's numbers."""
        if self._by_numpy is None:
            self._by_numpy = _Function(self._scalars, self._ids, "[()]")
        numbers = chain.from_iterable([np.asarray(argument).ravel() for argument in arguments])
        try:
            return self._by_numpy.call(*numbers, *self._by_numpy.constants)
        except Exception as error:
            line = self._by_numpy.line(error)
            if line is not None:
                self._scalars.plan.blame(self._scalars.tasks[line - FIRST], error)
            raise

    @property
    def summary(self) -> str:
        """How many lines for how many numbers, in words."""
        return f"straight-line Python: {len(self._scalars):,} numbers, a line for each"

    def __str__(self) -> str:
        return (self._by_python or self._by_numpy or _Function(self._scalars, self._ids, "[()]")).text


def calls_in(scalars: Scalars) -> int:
    """How many numbers Python leaves to NumPy; of one dtype each, as in most graphs."""
    called = [
        not any(kind.op.name in forms for forms in (*FORMS.values(), SELECTION)) for kind in scalars.kinds
    ]
    return int(np.array(called)[scalars.kind[scalars.tasks]].sum())


class _Function:
    """A graph of scalars as a function of numbers; where NumPy computes, it ends with `ending`."""

    def __init__(self, scalars: Scalars, ids: Mapping[int, Ints], ending: str) -> None:
        self._ending = ending
        self._names = _names(scalars)
        leaves = [_name(one) for slot in scalars.leaves for one in np.ravel(scalars.ids(slot)).tolist()]
        lines = [f"    {_name(task)} = {self._expression(scalars, task)}" for task in scalars.tasks.tolist()]
        results = [_name(one) for one in chain.from_iterable(ids.values())]
        returned = f"    return {', '.join(results)},"
        self.text = "\n".join([f"def numbers({', '.join(leaves)}):", *lines, returned])
        known: dict[str, Any] = {
            name: kind.function for name, kind in zip(self._names, scalars.kinds, strict=True)
        }
        exec(compile(self.text, "<numbers>", "exec"), known)
        self.call: Callable[..., tuple[Any, ...]] = known["numbers"]
        self._code = known["numbers"].__code__
        constants = [np.asarray(value).ravel() for value in scalars.plan.constants.values()]
        numbers = [list(value) if ending == "[()]" else value.tolist() for value in constants]
        self.constants = list(chain.from_iterable(numbers))

    def _expression(self, scalars: Scalars, task: int) -> str:
        kind = scalars.kind_of(task)
        ids = scalars.operands[: len(scalars.plan.sources[task]), task].tolist()
        names = [_name(one) for one in ids]
        dtypes = [DTYPES[scalars.dtype[one]] for one in ids]
        form = FORMS[dtypes[0].kind].get(kind.op.name)
        if form is not None and len(set(dtypes)) == 1:
            return form.format(*names)
        if kind.op.name in SELECTION and dtypes[1] == dtypes[2]:
            return SELECTION[kind.op.name].format(*names)
        return f"{self._names[scalars.kind[task]]}({', '.join(names)}){self._ending}"

    def line(self, error: BaseException) -> int | None:
        """The number of the line that an error comes from."""
        frame = error.__traceback__
        while frame is not None and frame.tb_frame.f_code is not self._code:
            frame = frame.tb_next
        return None if frame is None else frame.tb_lineno


def _name(one: int) -> str:
    return f"v{one}"


def _names(scalars: Scalars) -> list[str]:
    """A name for each kind: that of its op, numbered where it has parameters."""
    return [kind.op.name + (f"_{code}" if kind.params else "") for code, kind in enumerate(scalars.kinds)]
