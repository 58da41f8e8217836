"""Define-by-run: arrays that have a value and remember how it was computed.

`variable(value)` is where a history begins. What is done to a recorded array outside of a trace is computed
at once, by the kernels that a run uses; the result keeps a node that holds its value and is linked to the
nodes of its operands. So `if`, `while` and `float()` work, and a history lives exactly as long as something
refers to it. `backward` walks it with the gradient rules that a trace uses; what they do is computed and kept
in the same way, so gradients have gradients. Where it meets a traced array, a recorded one is a constant.

>>> x = variable(2.0)
>>> y = x
>>> while y < 100:
...     y = y * x
>>> y, backward(y, x)
(Recorded(128.), Recorded(448.))
>>> [node.op.name for node in y.graph.nodes]
['input', 'multiply', 'multiply', 'multiply', 'multiply', 'multiply', 'multiply']
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import optree

from dagexec.array import (
    IN_LIBRARY,
    Array,
    Trace,
    TracingError,
    at,
    current_trace,
    placed,
    record,
    recording,
    user_line,
)
from dagexec.backward import derive, require_float, seed_of
from dagexec.graph import INPUT, ITEM, NO_PARAMS, Graph, Node, Op
from dagexec.history import NUMBERS, RecordedNode, frozen, held, history, spec_of_value
from dagexec.ops import TABLE
from dagexec.pytrees import flatten

# --- computing at once ----------------------------------------------------------------------------------
_kernels: dict[Op, Callable[..., Any]] = {}  # of the ops of the table that have no parameters


def compute(op: Op, operands: Sequence[Any], params: Mapping[str, Any] = NO_PARAMS) -> Any:
    """Apply an op to recorded arrays, arrays and numbers: the recorded result, or a tuple of several.

    With a traced array among the operands it is recorded in the trace, where recorded arrays are constants.
    Raises what the op's shape rule or NumPy raises, with op, shapes and the user's line.
    """
    kept: list[Any] = []
    values: list[Any] = []
    for operand in operands:
        kind = operand.__class__
        if kind is Recorded:
            node = operand.node
            kept.append(node)
            values.append(node.value)
        elif kind in NUMBERS:
            kept.append(operand)
            values.append(operand)
        elif kind is Array:
            return record(op, operands, params)
        else:
            node = held(_own(operand))
            kept.append(node)
            values.append(node.value)
    try:
        if params:
            value = op.kernel(np, **params)(*values)
        else:
            kernel = _kernels.get(op)
            value = kernel(*values) if kernel is not None else _plain_kernel(op)(*values)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise _explained(error, op, values, params) from None
    if value.__class__ is np.ndarray:
        value.flags.writeable = False
    elif not isinstance(value, np.generic):
        value = _tidy(value)
    frame = sys._getframe(1)
    while IN_LIBRARY[frame.f_code.co_filename] and frame.f_back is not None:
        frame = frame.f_back
    node = RecordedNode(op, tuple(kept), params, value, frame)
    if value.__class__ is not tuple:
        return Recorded(node)
    return tuple(
        Recorded(RecordedNode(ITEM, (node,), {"index": i}, part, frame)) for i, part in enumerate(value)
    )


def _plain_kernel(op: Op) -> Callable[..., Any]:
    kernel = op.kernel(np)
    if TABLE.get(op.name) is op:
        _kernels[op] = kernel
    return kernel


def _own(operand: Any) -> Any:
    """An operand that is no recorded array; TypeError for lists of such, whose history would be lost."""
    if isinstance(operand, list | tuple) and _holds_recorded(operand):
        raise TypeError(f"a list holds recorded arrays: make it one with xp.stack ({at(user_line())})")
    return operand


def _holds_recorded(parts: Sequence[Any]) -> bool:
    return any(
        isinstance(part, Array) or (isinstance(part, list | tuple) and _holds_recorded(part))
        for part in parts
    )


def _tidy(value: Any) -> Any:
    """A kernel's result as an array that nobody can change, or a tuple of such."""
    if isinstance(value, list | tuple):
        return tuple(map(_tidy, value))
    array = np.asarray(value)
    array.flags.writeable = False
    return array[()]


def _explained(error: Exception, op: Op, values: Sequence[Any], params: Mapping[str, Any]) -> Exception:
    """The error of a trace in the same place, if the shape rule has one; else NumPy's, placed."""
    specs = [spec_of_value(np.asarray(value)) for value in values]
    try:
        op.infer(*specs, **params)
    except (ValueError, TypeError, IndexError) as refused:
        error = refused
    return placed(error, f"{op.name} of {' and '.join(map(str, specs))}")


_FLOATS = frozenset((np.float64, float))
# NumPy computes with two of its floats the same, in a tenth of the time, if it is not called as a ufunc.
_OF_FLOATS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


# --- the arrays -----------------------------------------------------------------------------------------
def _operator(name: str) -> tuple[Callable[[Recorded, Any], Any], Callable[[Recorded, Any], Any]]:
    """An operator and its reflection; of floats they take a short way, on which nothing can fail."""
    op = TABLE[name]
    of_floats = _OF_FLOATS[name]

    def forward(self: Recorded, other: Any) -> Any:
        left = self.node
        right = other.node if other.__class__ is Recorded else other
        b = right.value if right is not other else other
        if left.value.__class__ is np.float64 and (b.__class__ in _FLOATS or _is_exact(b)):
            frame = sys._getframe(1)
            if not IN_LIBRARY[frame.f_code.co_filename]:
                return Recorded(RecordedNode(op, (left, right), NO_PARAMS, of_floats(left.value, b), frame))
        return compute(op, (self, other)) if isinstance(other, _OPERANDS) else NotImplemented

    def reflected(self: Recorded, other: Any) -> Any:
        right = self.node
        if right.value.__class__ is np.float64 and (other.__class__ is float or _is_exact(other)):
            frame = sys._getframe(1)
            if not IN_LIBRARY[frame.f_code.co_filename]:
                value = of_floats(other, right.value)
                return Recorded(RecordedNode(op, (other, right), NO_PARAMS, value, frame))
        return compute(op, (other, self)) if isinstance(other, _OPERANDS) else NotImplemented

    return forward, reflected


def _is_exact(number: Any) -> bool:
    """Whether it is an integer that is a float as well."""
    return number.__class__ is int and -(2**53) <= number <= 2**53


_OPERANDS = (Array, int, float, complex, np.ndarray, np.generic, list, tuple)


class Recorded(Array):
    """An array with a value and a history: a variable, or what was computed from one.

    Whatever runs on NumPy arrays runs on it, at once. `bool`, `float`, `int`, `item`, `tolist` and
    `np.asarray` give its value, without the history; the array is read-only.
    """

    __slots__ = ()
    node: RecordedNode
    at_once = staticmethod(compute)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.node.value.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type, one of NumPy's."""
        return self.node.value.dtype  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.node.value.size  # type: ignore[no-any-return]

    @property
    def graph(self) -> Graph:
        """How the value was computed, as a Graph: its inputs are the variables, each node holds its value.

        >>> a, b = variable(2.0, "a"), variable(3.0, "b")
        >>> print((a * b + 1).graph)
        history(a: float64[], b: float64[]):
          %3 = multiply(a, b)                            float64[]
          %4 = add(%3, 1.0)                              float64[]
          return %4
        """
        nodes = history(self.node)
        return Graph(nodes, [node for node in nodes if node.op is INPUT], [self.node], name="history")

    def __repr__(self) -> str:
        value = np.asarray(self.node.value)
        text = np.array2string(value, separator=", ", prefix="Recorded(")
        common = value.dtype in (np.float64, np.int64, np.bool, np.complex128)
        return f"Recorded({text})" if common else f"Recorded({text}, dtype={value.dtype})"

    def __str__(self) -> str:
        return str(self.node.value)

    def __format__(self, spec: str) -> str:
        return format(self.node.value, spec)

    def __bool__(self) -> bool:
        return bool(self.node.value)

    def __int__(self) -> int:
        return int(self.node.value)

    def __float__(self) -> float:
        return float(self.node.value)

    def __complex__(self) -> complex:
        return complex(self.node.value)

    def __index__(self) -> int:
        return cast(int, self.node.value.__index__())

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.node.value, digits)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.asarray(self.node.value, dtype, copy=copy if self.ndim else None)

    def __dlpack__(self, **options: Any) -> Any:
        return np.array(self.node.value).__dlpack__(**options)  # a copy: others may write to it

    def __dlpack_device__(self) -> tuple[int, int]:
        return np.asarray(self.node.value).__dlpack_device__()

    def __copy__(self) -> Recorded:
        return Recorded(self.node)

    def __deepcopy__(self, memo: Any) -> Recorded:
        return Recorded(self.node)  # the value cannot change, and the history is the same

    def __reduce__(self) -> tuple[Any, ...]:  # pickled, it is the value alone
        return variable, (self.node.value, self.node.name)

    def item(self, *index: int) -> Any:
        """The value of the only element, or of the one at `index`, as Python's number."""
        return self.node.value.item(*index)

    def tolist(self) -> Any:
        """The value as nested lists of Python's numbers."""
        return self.node.value.tolist()

    __add__, __radd__ = _operator("add")
    __sub__, __rsub__ = _operator("subtract")
    __mul__, __rmul__ = _operator("multiply")
    __truediv__, __rtruediv__ = _operator("divide")
    __lt__, __gt__ = _operator("less")[0], _operator("greater")[0]
    __le__, __ge__ = _operator("less_equal")[0], _operator("greater_equal")[0]


def variable(value: Any, name: str = "") -> Recorded:
    """A recorded array to begin with: a copy of `value` (a number or array), without any history.

    Of a recorded array it is the value alone, so `w = variable(w - 0.1 * g)` forgets how it came about.
    `name` is for pictures. Raises TypeError for what is no number or numeric array, TracingError for a
    traced array.

    >>> w = variable(np.ones(2), "w")
    >>> w * [1, 2]
    Recorded([1., 2.])
    """
    if value.__class__ is Array:
        raise TracingError(f"variable() needs a value, and {value!r} has none ({at(user_line())})")
    node = RecordedNode(INPUT, (), NO_PARAMS, frozen(_own(value)), sys._getframe(1))
    node.name = str(name)
    return Recorded(node)


# --- gradients ------------------------------------------------------------------------------------------
class _Computing(Trace):
    """A trace in which each node has its value from the start: what a backward pass is recorded in."""

    __slots__ = ()

    def add(self, op: Op, inputs: tuple[Node, ...], params: Any, spec: Any) -> Node:
        values = [cast(RecordedNode, node).value for node in inputs]
        value = values[0][params["index"]] if op is ITEM else _tidy(op.kernel(np, **params)(*values))
        node = RecordedNode(op, inputs, params, value, None)
        node.inputs, node.spec = inputs, spec
        node.scope, node.phase, node.grad_of = self.scope, self.phase, self.grad_of
        node.where = self.where or user_line()
        self.nodes.append(node)
        return node

    def constant(self, value: Any) -> Node:
        return value.node if type(value) is Recorded else held(value)


def backward(y: Any, wrt: Any, *, cotangent: Any = None) -> Any:
    """The gradient of `y` with respect to `wrt`, a recorded array or a pytree of such, in its structure.

    `y` is a real scalar, or comes with a `cotangent` of its shape. The gradients are recorded as well, so
    they have gradients. A variable that `y` does not depend on has gradient zero. Within a trace the same
    holds for traced arrays.

    Raises TypeError where `y` or a part of `wrt` is not recorded or is not floating-point, or `y` is no
    scalar and no cotangent is given; ValueError where the cotangent does not fit.

    >>> x = variable(3.0)
    >>> first = backward(x**3, x)
    >>> first, backward(first, x)
    (Recorded(27.), Recorded(18.))

    Reverse-mode differentiation over what was recorded: Wengert's list (1964), run backward.
    """
    targets, structure = flatten(wrt)
    kind = type(y)
    if kind not in (Recorded, Array):
        raise TypeError(
            f"backward: y is a {kind.__name__}, which remembers no history: compute it from a variable, with "
            f"NumPy's functions or dagexec.xp, and do not convert it on the way ({at(user_line())})"
        )
    for target in targets:
        if type(target) is not kind:
            raise TypeError(f"backward: {_no_target(target, kind)} ({at(user_line())})")
        try:
            require_float(target.node.spec, target.node.name or "a variable")
        except TypeError as error:
            raise placed(error, "backward") from None
    trace = _Computing() if kind is Recorded else current_trace()
    nodes = history(y.node) if kind is Recorded else list(trace.nodes)
    with recording(trace):
        seed = Array(trace.constant(seed_of(y.node)) if cotangent is None else _seed(trace, y, cotangent))
        gradients = derive(trace, nodes, [(y.node, seed)], [target.node for target in targets])
    return optree.tree_unflatten(structure, [kind(gradient.node) for gradient in gradients])


def _seed(trace: Trace, y: Array, cotangent: Any) -> Node:
    given = type(cotangent) is type(y)
    node: Node = cotangent.node if given else trace.constant(np.asarray(cotangent, y.dtype))
    if node.spec.shape != y.shape:
        raise ValueError(
            f"backward: a cotangent of shape {node.spec.shape} does not fit y of shape {y.shape} "
            f"({at(user_line())})"
        )
    return node


def _no_target(target: Any, kind: type) -> str:
    if kind is Array:
        return f"y is traced, but wrt holds {target!r:.60}, which is a constant in a trace"
    if type(target) is Array:
        return f"wrt holds {target!r}, which is traced and has no value"
    return f"wrt holds {target!r:.60}, which is no variable: make it one with dagexec.variable first"
