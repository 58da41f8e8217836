"""A small engine for numbers, of the kind that is written to teach: each number remembers how to go back.

It is the peer for graphs of scalars: an object and a closure a node, recorded anew in every run.

>>> x = Value(3.0)
>>> y = x * x + tanh(x)
>>> backward(y)
>>> round(x.grad, 4)
6.0099
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


class Value:
    """A number, the values that it was computed from, and what adds its gradient to theirs."""

    __slots__ = ("data", "grad", "inputs", "spread")

    def __init__(
        self, data: float, inputs: tuple[Value, ...] = (), spread: Callable[[float], None] | None = None
    ) -> None:
        self.data, self.grad, self.inputs, self.spread = data, 0.0, inputs, spread

    def __add__(self, other: Any) -> Value:
        other = _value(other)

        def spread(g: float) -> None:
            self.grad += g
            other.grad += g

        return Value(self.data + other.data, (self, other), spread)

    def __mul__(self, other: Any) -> Value:
        other = _value(other)

        def spread(g: float) -> None:
            self.grad += g * other.data
            other.grad += g * self.data

        return Value(self.data * other.data, (self, other), spread)

    def __sub__(self, other: Any) -> Value:
        other = _value(other)

        def spread(g: float) -> None:
            self.grad += g
            other.grad -= g

        return Value(self.data - other.data, (self, other), spread)

    def __truediv__(self, other: Any) -> Value:
        other = _value(other)

        def spread(g: float) -> None:
            self.grad += g / other.data
            other.grad -= g * self.data / other.data**2

        return Value(self.data / other.data, (self, other), spread)

    def __neg__(self) -> Value:
        def spread(g: float) -> None:
            self.grad -= g

        return Value(-self.data, (self,), spread)

    def __rsub__(self, other: float) -> Value:
        return Value(other) - self

    def __rtruediv__(self, other: float) -> Value:
        return Value(other) / self

    __radd__, __rmul__ = __add__, __mul__


def _value(number: Any) -> Value:
    return number if isinstance(number, Value) else Value(number)


def _unary(
    function: Callable[[float], float], slope: Callable[[float, float], float]
) -> Callable[[Value], Value]:
    """A function of one number; its slope is computed from argument and result."""

    def apply(x: Value) -> Value:
        y = function(x.data)

        def spread(g: float) -> None:
            x.grad += g * slope(x.data, y)

        return Value(y, (x,), spread)

    return apply


tanh = _unary(math.tanh, lambda x, y: 1 - y * y)
exp = _unary(math.exp, lambda x, y: y)


def in_order(root: Value) -> list[Value]:
    """All that `root` was computed from, each after what it reads; no recursion, as graphs are deep."""
    order: list[Value] = []
    seen: set[Value] = {root}
    stack = [(root, iter(root.inputs))]
    while stack:
        value, rest = stack[-1]
        for source in rest:
            if source not in seen:
                seen.add(source)
                stack.append((source, iter(source.inputs)))
                break
        else:
            order.append(value)
            stack.pop()
    return order


def backward(root: Value) -> None:
    """Put the gradient of `root` into the `grad` of everything that it was computed from."""
    root.grad = 1.0
    for value in reversed(in_order(root)):
        if value.spread is not None:
            value.spread(value.grad)
