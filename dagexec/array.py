"""Arrays that record what is done to them.

An `Array` stands for a value that is not there yet: it knows its shape and dtype, and each operation on it
appends a Node to the trace under way. Python's operators, the functions of `dagexec.xp` and NumPy's own
functions (through its protocols) all end in `record`, the one place where nodes are made.

>>> trace = Trace()
>>> with recording(trace):
...     x = Array(trace.constant(np.ones(3)))
...     y = x * 2 + x
>>> [node.op.name for node in trace.nodes], y
(['constant', 'constant', 'multiply', 'add'], Array(float64[3], add))
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast
from weakref import ref

import numpy as np
import optree

from dagexec.graph import (
    CONSTANT,
    ITEM,
    NO_PARAMS,
    Node,
    Op,
    Scope,
    Spec,
    Where,
    is_scalar_constant,
)
from dagexec.ops import TABLE

F = TypeVar("F", bound=Callable[..., Any])

# Where the user's code is not.
LIBRARIES = tuple(
    os.path.dirname(os.path.abspath(file)) + os.sep for file in (__file__, np.__file__, optree.__file__)
)
# Their result's dtype is not that of the operands, so a Python number need not fit into it.
ANY_RANGE = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "divide"}
ALIAS = Op("alias", lambda x: x, lambda xp: xp.positive, (lambda xp, g, y, x: g,), family="structure")


class TracingError(TypeError):
    """Raised where array code asks for the value of an array that is only being traced."""


class Trace:
    """A recording under way: the nodes so far, and what the next node is to be labelled with."""

    __slots__ = ("counts", "grad_of", "nodes", "phase", "scalars", "scope", "where")

    def __init__(self, nodes: Sequence[Node] = ()) -> None:
        self.nodes = list(nodes)
        self.scalars: dict[tuple[np.dtype[Any], bytes], Node] = {}
        self.counts: dict[tuple[Scope, str], int] = {}
        self.scope: Scope = ()
        self.phase = "forward"
        self.grad_of: Node | None = None
        self.where: Where | None = None  # None: look for the user's line

    def add(self, op: Op, inputs: tuple[Node, ...], params: Any, spec: Any) -> Node:
        """Append a node, labelled with where and for what it is made."""
        where = self.where or user_line()
        node = Node(op, inputs, params, spec, self.scope, self.phase, "", self.grad_of, where)
        self.nodes.append(node)
        return node

    @contextmanager
    def labels_kept(self) -> Iterator[None]:
        """What is changed of the labels within is as it was afterwards."""
        outer = self.scope, self.phase, self.grad_of, self.where
        try:
            yield
        finally:
            self.scope, self.phase, self.grad_of, self.where = outer

    def constant(self, value: Any) -> Node:
        """A node that holds an array; equal scalars share one."""
        array = np.asarray(value)
        if array.dtype.kind not in "biufc":
            raise TypeError(
                f"{type(value).__name__} {value!r:.60} is no number or numeric array ({at(user_line())})"
            )
        key = (array.dtype, array.tobytes()) if array.ndim == 0 else None
        if key in self.scalars:
            return self.scalars[key]
        array = array.copy()  # a later change to the caller's array must not reach the graph
        array.flags.writeable = False
        spec = Spec(array.shape, array.dtype)
        node = Node(CONSTANT, (), {"value": array}, spec, where=self.where or user_line())
        self.nodes.append(node)
        if key is not None:
            self.scalars[key] = node
        return node


class _InLibrary(dict[str, bool]):
    """Whether a file is in LIBRARIES: asked of frame after frame, so it is remembered."""

    def __missing__(self, file: str) -> bool:
        self[file] = found = file.startswith(LIBRARIES)
        return found


IN_LIBRARY = _InLibrary()
CURRENT: ContextVar[Trace | None] = ContextVar("dagexec_trace", default=None)


def user_line() -> Where:
    """File and line of the innermost frame outside of this package and its libraries."""
    frame = sys._getframe(1)
    while IN_LIBRARY[frame.f_code.co_filename] and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def at(where: Where | None) -> str:
    """A place in the user's code as text."""
    return "unknown line" if where is None else f"{where[0]}:{where[1]}"


def call(op: Op, *operands: Any, **params: Any) -> Any:
    """Apply an op: recorded if an operand is traced, else computed at once, by NumPy or by what knows how."""
    valued = None
    for operand in operands:
        if operand.__class__ is Array:
            return record(op, operands, params)
        if isinstance(operand, Array):
            valued = operand
    if valued is not None:
        return valued.at_once(op, operands, params)
    return op.kernel(np, **params)(*operands)


def record(op: Op, operands: Sequence[Any], params: Any = NO_PARAMS) -> Any:
    """Append the node that applies `op`, and return its Array (a tuple of them for several results).

    Python numbers take the dtype that NumPy's promotion gives them beside the other operands.
    Raises ValueError, TypeError or IndexError, with op, shapes and the user's line, where they do not fit.
    """
    trace = CURRENT.get()
    if trace is None:
        return _outside(op, operands, params)
    try:
        nodes = as_nodes(trace, operands)
    except (OverflowError, ValueError) as error:
        if isinstance(error, ValueError) or op.name not in ANY_RANGE:
            raise placed(error, op.name, trace.where) from None
        nodes = as_nodes(trace, [np.asarray(x) if isinstance(x, int) else x for x in operands])
    specs = [node.spec for node in nodes]
    try:
        spec = op.infer(*specs, **params)
    except (ValueError, TypeError, IndexError) as error:
        raise placed(error, f"{op.name} of {' and '.join(map(str, specs))}", trace.where) from None
    if spec.__class__ is Spec and spec.shape == () and all(map(is_scalar_constant, nodes)):
        return Array(trace.constant(op.kernel(np, **params)(*[node.params["value"] for node in nodes])))
    node = trace.add(op, nodes, params, spec)
    if spec.__class__ is Spec:
        return Array(node)
    return tuple(Array(trace.add(ITEM, (node,), {"index": i}, part)) for i, part in enumerate(spec))


def _outside(op: Op, operands: Sequence[Any], params: Any) -> Any:
    """What comes of an op outside of a trace: an Array with a value computes, a traced one is late."""
    valued = [
        operand for operand in operands if isinstance(operand, Array) and operand.__class__ is not Array
    ]
    if valued and not any(operand.__class__ is Array for operand in operands):
        return valued[0].at_once(op, operands, params)
    return current_trace()


def placed(error: Exception, what: str, where: Where | None = None) -> Exception:
    """The same kind of error, with what was done where in the user's code."""
    kinds = (np.exceptions.AxisError, IndexError, np.linalg.LinAlgError, ValueError, TypeError, OverflowError)
    kind = next(kind for kind in kinds if isinstance(error, kind))
    return kind(f"{what}: {error} ({at(where or user_line())})")


def naming_the_line(function: F, name: str = "") -> F:
    """A function of the namespace, with the user's line in the errors that it raises within a trace."""
    name = name or function.__name__

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (ValueError, TypeError, IndexError) as error:
            recorded = CURRENT.get() is not None or any(isinstance(x, Array) for x in args)
            if not recorded or at(user_line()) in str(error):
                raise
            raise placed(error, name) from None

    return cast(F, checked)


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a traced array, a NumPy array, a number or nested lists of numbers."""
    return x.shape if isinstance(x, Array) else np.shape(x)


def current_trace() -> Trace:
    """The trace under way; TracingError if there is none."""
    trace = CURRENT.get()
    if trace is None:
        raise TracingError(
            "a traced Array is used after its trace has ended: return it from the traced function instead of "
            f"storing it elsewhere ({at(user_line())})"
        )
    return trace


def as_nodes(trace: Trace, operands: Sequence[Any]) -> tuple[Node, ...]:
    """The nodes of some operands, with constants made for those that are no Arrays."""
    nodes: list[Any] = []
    numbers = False
    for operand in operands:
        if operand.__class__ is Array:
            nodes.append(operand.node)
        elif operand.__class__ in (int, float, bool, complex):
            nodes.append(None)
            numbers = True
        else:
            nodes.append(trace.constant(operand))
    if numbers:
        dtypes = [node.spec.dtype for node in nodes if node is not None]
        for position, node in enumerate(nodes):
            if node is None:
                number = operands[position]
                nodes[position] = trace.constant(np.asarray(number, np.result_type(*dtypes, number)))
    return tuple(nodes)


def _operator(name: str) -> tuple[Callable[[Array, Any], Array], Callable[[Array, Any], Array]]:
    op = TABLE[name]

    def forward(self: Array, other: Any) -> Array:
        return cast(Array, self.at_once(op, (self, other))) if _is_operand(other) else NotImplemented

    def reflected(self: Array, other: Any) -> Array:
        return cast(Array, self.at_once(op, (other, self))) if _is_operand(other) else NotImplemented

    return forward, reflected


def _is_operand(value: Any) -> bool:
    return value.__class__ is Array or isinstance(value, _OPERANDS)


def _prefix(name: str) -> Callable[[Array], Array]:
    op = TABLE[name]
    return lambda self: cast(Array, self.at_once(op, (self,)))


class Array:
    """An array that is being traced: it has a shape and a dtype, and no values yet.

    It follows the Array API standard and takes part in NumPy's protocols, so array code that never asks for
    a value runs on it unchanged. Its methods (`sum`, `reshape`, ...) are the functions of `dagexec.xp`.
    """

    __slots__ = ("__weakref__", "node", "source", "views")  # the last two for views only: xp/views.py
    at_once = staticmethod(record)  # what an op on it does

    def __init__(self, node: Node) -> None:
        self.node = node

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.node.spec.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type, one of NumPy's."""
        return self.node.spec.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.node.spec.size  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        """Where the array lives, as the Array API standard asks: always "cpu"."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: None = None) -> Array:
        """The array itself: ValueError for any other device than "cpu"."""
        if device != "cpu" or stream is not None:
            raise ValueError(f"device {device!r}, stream {stream}: there is only 'cpu', which has no streams")
        return self

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # DLPack's number for the CPU

    def __repr__(self) -> str:
        return f"Array({self.node.spec}, {self.node.op.name})"

    __add__, __radd__ = _operator("add")
    __sub__, __rsub__ = _operator("subtract")
    __mul__, __rmul__ = _operator("multiply")
    __truediv__, __rtruediv__ = _operator("divide")
    __floordiv__, __rfloordiv__ = _operator("floor_divide")
    __mod__, __rmod__ = _operator("remainder")
    __matmul__, __rmatmul__ = _operator("matmul")
    __and__, __rand__ = _operator("bitwise_and")
    __or__, __ror__ = _operator("bitwise_or")
    __xor__, __rxor__ = _operator("bitwise_xor")
    __lshift__, __rlshift__ = _operator("bitwise_left_shift")
    __rshift__, __rrshift__ = _operator("bitwise_right_shift")
    __lt__, __gt__ = _operator("less")[0], _operator("greater")[0]
    __le__, __ge__ = _operator("less_equal")[0], _operator("greater_equal")[0]
    __eq__ = _operator("equal")[0]  # type: ignore[assignment]
    __ne__ = _operator("not_equal")[0]  # type: ignore[assignment]
    __neg__, __pos__ = _prefix("negative"), _prefix("positive")
    __abs__, __invert__ = _prefix("abs"), _prefix("bitwise_invert")
    __hash__ = None  # type: ignore[assignment]

    def __format__(self, spec: str) -> str:
        if spec:
            raise TracingError(
                f"the format {spec!r} needs the value of {self!r}, but in a trace an array has only a shape "
                f"and a dtype; print the result of the run ({at(user_line())})"
            )
        return repr(self)

    def __deepcopy__(self, memo: Any) -> Array:
        return type(self)(self.node)  # the value is the same; what is assigned to either is not

    __rpow__ = _operator("pow")[1]

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"len() of a 0-d array ({at(user_line())})")
        return self.shape[0]

    if TYPE_CHECKING:  # what the namespace adds; documented there

        def __pow__(self, other: Any) -> Array: ...
        def __iter__(self) -> Iterator[Array]: ...

        source: tuple[Array, Callable[[Array], Array], Callable[[Array, Array], Array]]
        views: dict[int, ref[Array]]

        def __getitem__(self, index: Any) -> Array: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __array_namespace__(self, *, api_version: str | None = None) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...


_OPERANDS = (int, float, complex, np.ndarray, np.generic, list, tuple, Array)
_AS_INTEGER = "pass it as a plain Python int, or use xp.take for an index"
_AS_RESULT = (
    "keep it an array, and convert the result of the run (a NumPy array cannot be assigned to either: "
    "make it with xp.zeros)"
)
NEEDS_A_VALUE = {  # what asks for the value of an array, and what to do instead
    "__bool__": (
        "bool()",
        "choose between values with xp.where(condition, a, b) instead of if, and, or, not",
    ),
    "__float__": ("float()", _AS_RESULT),
    "__int__": ("int()", _AS_RESULT),
    "__complex__": ("complex()", _AS_RESULT),
    "item": ("item()", _AS_RESULT),
    "tolist": ("tolist()", _AS_RESULT),
    "__dlpack__": ("handing an array over by DLPack", _AS_RESULT),
    "__round__": ("round()", "use np.round"),
    "__index__": ("an index, length or count", _AS_INTEGER),
    "__array__": (
        "making a NumPy array",
        "use the functions of dagexec.xp (xp.stack for a list of arrays; xp.zeros, not np.zeros, for an "
        "array that it is assigned to) or NumPy's on it",
    ),
}


def _refusal(what: str, cure: str) -> Callable[..., NoReturn]:
    def refuse(self: Array, *args: Any, **kwargs: Any) -> NoReturn:
        raise TracingError(
            f"{what} needs the value of {self!r}, but in a trace an array has only a shape and a dtype; "
            f"{cure} ({at(user_line())})"
        )

    return refuse


for _name, _refused in NEEDS_A_VALUE.items():
    setattr(Array, _name, _refusal(*_refused))


@contextmanager
def recording(trace: Trace) -> Iterator[Trace]:
    """Make `trace` the one under way."""
    token = CURRENT.set(trace)
    try:
        yield trace
    except ValueError as error:
        if isinstance(error.__cause__, TracingError):  # NumPy hides the reason for which it could not assign
            raise error.__cause__ from None
        raise
    finally:
        CURRENT.reset(token)
