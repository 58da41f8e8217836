"""A task whose arguments are more than values of other tasks, as one function of those values.

`(add, (inc, "x"), [1, "y"])` calls `inc` and makes a list before it calls `add`. An `Expression` does so
without recursion: it has a list of registers in which the constants stand already, puts the values of x and
y into theirs, and then takes steps, each of which applies a function to some registers and writes one.

>>> writer = Writer()
>>> five, hole = writer.constant(5), writer.hole("x")
>>> _ = writer.step(pow, [hole, five])
>>> power = writer.function()
>>> power(2), writer.slots, power.__name__
(32, ['x'], 'pow')
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagexec.plan import Function

Step = tuple[Function, tuple[int, ...], int]


class Expression:
    """A function of values that fills them into a template of registers and takes its steps."""

    __slots__ = ("_holes", "_registers", "_steps")

    def __init__(self, registers: Sequence[Any], holes: tuple[int, ...], steps: tuple[Step, ...]) -> None:
        self._registers = tuple(registers)
        self._holes = holes
        self._steps = steps

    def __call__(self, *values: Any) -> Any:
        registers = list(self._registers)
        for place, value in zip(self._holes, values):
            registers[place] = value
        for function, places, target in self._steps:
            registers[target] = function(*[registers[place] for place in places])
        return registers[target]

    @property
    def __name__(self) -> str:
        return name_of(self._steps[-1][0])

    def __repr__(self) -> str:
        return f"<Expression {self.__name__}>"


class Writer:
    """Writes an Expression; each method returns the register that its value will be in.

    `slots` collects what the holes stand for, in the order of the expression's arguments.
    """

    def __init__(self) -> None:
        self.registers: list[Any] = []
        self.slots: list[Any] = []
        self._holes: list[int] = []
        self._steps: list[Step] = []

    def constant(self, value: Any) -> int:
        """What is known now."""
        self.registers.append(value)
        return len(self.registers) - 1

    def hole(self, slot: Any) -> int:
        """What another task computes."""
        self.slots.append(slot)
        self._holes.append(self.constant(None))
        return self._holes[-1]

    def step(self, function: Function, places: Sequence[int]) -> int:
        """What a function makes of some registers."""
        target = self.constant(None)
        self._steps.append((function, tuple(places), target))
        return target

    def cut(self, start: int) -> list[Any]:
        """Take back the constants from a register on."""
        values = self.registers[start:]
        del self.registers[start:]
        return values

    def function(self) -> Function:
        """What has been written, as a function of the values of `slots`."""
        function, _, target = self._steps[0]
        if len(self._steps) == 1 and target == len(self._holes):  # a call of nothing but holes
            return function
        return Expression(self.registers, tuple(self._holes), tuple(self._steps))


class Keywords:
    """A function whose last arguments are passed by name."""

    __slots__ = ("_function", "_names")

    def __init__(self, function: Function, names: tuple[str, ...]) -> None:
        self._function = function
        self._names = names

    def __call__(self, *values: Any) -> Any:
        count = len(values) - len(self._names)
        return self._function(*values[:count], **dict(zip(self._names, values[count:])))

    @property
    def __name__(self) -> str:
        return name_of(self._function)


def name_of(function: Function) -> str:
    """What a callable is called: its name, or that of its type."""
    name: str = getattr(function, "__name__", type(function).__name__)
    return name
