"""What a recorded array remembers: nodes that hold their values, linked to those that they came from.

Nobody holds a list of them, so they live as long as something refers to them. To make one costs no shape
rule: shape and dtype are those of the value, constants become nodes and bytecode offsets become lines once
somebody asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import count
from threading import Lock
from types import CodeType, FrameType
from typing import Any, cast

import numpy as np

from dagexec.array import at, user_line
from dagexec.graph import CONSTANT, Node, Op, Spec

NUMBERS = frozenset((int, float, bool, complex))
CLOCK = count(1)  # numbers nodes in the order in which they are made, which is a topological one
_resolving = Lock()


class RecordedNode(Node):
    """A node whose value is known. What is seldom asked for is worked out when it is."""

    __slots__ = ("code", "number", "offset", "operands", "value")

    def __init__(
        self,
        op: Op,
        operands: tuple[Any, ...],
        params: Mapping[str, Any],
        value: Any,
        frame: FrameType | None,
    ) -> None:
        self.op = op
        self.operands = operands  # nodes and numbers
        self.params = params
        self.value = value
        self.code = None if frame is None else frame.f_code
        self.offset = 0 if frame is None else frame.f_lasti
        self.number = next(CLOCK)

    def __getattr__(self, name: str) -> Any:  # a slot that is not filled yet
        if name in _DEFAULTS:
            return _DEFAULTS[name]
        if name == "spec":
            value = self.value
            self.spec = tuple(map(spec_of_value, value)) if value.__class__ is tuple else spec_of_value(value)
            return self.spec
        if name == "where":
            if self.code is not None:
                return self.code.co_filename, _line(self.code, self.offset)
            return None
        if name == "inputs":
            with _resolving:  # all must see the same nodes
                try:
                    return object.__getattribute__(self, name)
                except AttributeError:
                    self.inputs = _as_inputs(self.operands)
            return self.inputs
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


_DEFAULTS: dict[str, Any] = {"scope": (), "phase": "forward", "name": "", "grad_of": None}


def spec_of_value(value: Any) -> Spec:
    return Spec(value.shape, value.dtype)


@lru_cache(maxsize=4096)
def _line(code: CodeType, offset: int) -> int:
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


def _as_inputs(operands: tuple[Any, ...]) -> tuple[Node, ...]:
    """The nodes of operands: numbers become constants, Python's in the dtype that NumPy's promotion gives."""
    if not any(operand.__class__ in NUMBERS for operand in operands):
        return tuple(x if isinstance(x, Node) else held(x) for x in operands)
    dtypes: list[Any] = [
        x.value.dtype if isinstance(x, RecordedNode) else x.dtype
        for x in operands
        if x.__class__ not in NUMBERS
    ]
    nodes = []
    for x in operands:
        if x.__class__ in NUMBERS:
            try:
                x = np.asarray(x, np.result_type(*dtypes, cast(float, x)))
            except OverflowError:  # compared with a number beyond the dtype
                x = np.asarray(x)
        nodes.append(x if isinstance(x, Node) else held(x))
    return tuple(nodes)


def held(value: Any) -> RecordedNode:
    """A constant: the value, which nobody else can change."""
    array = frozen(value)
    node = RecordedNode(CONSTANT, (), {"value": np.asarray(array)}, array, None)
    node.number = 0  # before all that may read it
    return node


def frozen(value: Any) -> Any:
    """A number as NumPy's scalar, an array as a read-only copy; TypeError for what is neither."""
    array = np.array(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"{type(value).__name__} {value!r:.60} is no number or numeric array ({at(user_line())})"
        )
    array.flags.writeable = False
    return array[()]


def history(node: RecordedNode) -> list[Node]:
    """All that a value was computed from, and the node itself: in the order in which it was computed."""
    found: set[Any] = {node}
    waiting = [node]
    while waiting:
        for source in waiting.pop().inputs:
            if source not in found:
                found.add(source)
                waiting.append(cast(RecordedNode, source))
    return sorted(found, key=lambda node: node.number)
