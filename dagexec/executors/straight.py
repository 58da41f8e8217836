"""A graph of scalars as straight-line Python (lines.py), for graphs too narrow for vectors.

>>> import dagexec
>>> from dagexec.executors.levels import groups_of
>>> from dagexec.executors.scalars import scalars_of
>>> scalars = scalars_of(dagexec.plan(dagexec.trace(lambda x, y: np.tanh(x * y) + y)(1.0, 1.0)))
>>> program = Straight(scalars, groups_of(scalars))
>>> print(program)
def numbers(v0, v1):
    return (tanh(v0 * v1).item()) + v1,
>>> program([2.0, 0.5], [])
[np.float64(1.2615941559557649)]

Python raises an error where NumPy warns and goes on, as for 1 / 0, and does not warn of an overflow. So if
there is an error, or a result is not finite, the same is computed again with NumPy's numbers. (Only an
overflow that no result shows is passed over without a warning.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from math import isfinite
from typing import Any

import numpy as np

from dagexec.executors.arguments import Accepts
from dagexec.executors.levels import Group
from dagexec.executors.lines import function_name, name_of, numpy_lines, python_lines
from dagexec.executors.scalars import DTYPES, Scalars
from dagexec.executors.taking import Taking, taken

PYTHONS = {np.dtype(kind).num for kind in (bool, int, float)}  # the dtypes of Python's own numbers
FIRST = 2  # the line of the first task, after `def`


class Straight:
    """The program of a graph of scalars, as a function of numbers."""

    def __init__(self, scalars: Scalars, groups: Sequence[Group]) -> None:
        self._scalars = scalars
        self.fits = Accepts(scalars.plan.graph.inputs)
        self._ids = taken(scalars)
        place = np.zeros(len(scalars.kind), np.int64)
        for ids in self._ids.values():
            place[ids] = np.arange(len(ids))
        self._taking = Taking(scalars, place)
        in_python = {int(scalars.dtype[one]) for one in scalars.used} <= PYTHONS
        self._by_python = self._python_function(groups) if in_python else None
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
            self._by_numpy = self._numpy_function()
        numbers = chain.from_iterable([np.asarray(argument).ravel() for argument in arguments])
        try:
            return self._by_numpy.call(*numbers, *self._by_numpy.constants)
        except Exception as error:
            line = self._by_numpy.line(error)
            if line is not None:
                self._scalars.plan.blame(self._scalars.tasks[line - FIRST], error)
            raise

    @property
    def _results(self) -> list[int]:
        return [*chain.from_iterable([ids.tolist() for ids in self._ids.values()])]

    def _python_function(self, groups: Sequence[Group]) -> _Function:
        scalars = self._scalars
        constants = [np.ravel(value).tolist() for value in scalars.plan.constants.values()]
        return _Function(scalars, python_lines(scalars, groups, self._results), constants)

    def _numpy_function(self) -> _Function:
        constants = [np.ravel(value) for value in self._scalars.plan.constants.values()]
        return _Function(self._scalars, numpy_lines(self._scalars, self._results), constants)

    @property
    def summary(self) -> str:
        """How many lines for how many numbers, in words."""
        lines = str(self).count("\n")
        return f"straight-line Python: {len(self._scalars):,} numbers in {lines:,} lines"

    def __str__(self) -> str:
        return (self._by_python or self._by_numpy or self._numpy_function()).text


class _Function:
    """Lines as a function of the numbers that are given, of which the last are constants."""

    def __init__(self, scalars: Scalars, lines: Sequence[str], constants: Iterable[Iterable[Any]]) -> None:
        leaves = [name_of(one) for slot in scalars.leaves for one in np.ravel(scalars.ids(slot)).tolist()]
        self.text = "\n    ".join([f"def numbers({', '.join(leaves)}):", *lines])
        known: dict[str, Any] = {
            function_name(scalars, code): kind.function for code, kind in enumerate(scalars.kinds)
        }
        exec(compile(self.text, "<numbers>", "exec"), known)
        self.call: Callable[..., tuple[Any, ...]] = known["numbers"]
        self._code = known["numbers"].__code__
        self.constants = list(chain.from_iterable(constants))

    def line(self, error: BaseException) -> int | None:
        """The number of the line that an error comes from."""
        frame = error.__traceback__
        while frame is not None and frame.tb_frame.f_code is not self._code:
            frame = frame.tb_next
        return None if frame is None else frame.tb_lineno
