"""Array code recorded as nodes: `trace(fn)(*examples)` calls `fn` with Arrays and keeps what it did.

An `Array` stands for a value that is not there yet: it knows its shape and dtype, and each operation on it
appends a Node to the trace under way. Python's operators, the functions of `dagexec.xp` and NumPy's own
functions (through its protocols) all end in `record`, the one place where nodes are made.

A trace keeps a plain list, so nodes stand in topological order from the start; what the result does not
depend on is dropped at the end.

>>> import numpy as np
>>> graph = trace(lambda x, w: np.tanh(x) @ w)(np.ones((2, 3)), np.ones((3, 4)))
>>> [node.op.name for node in graph.nodes]
['input', 'input', 'tanh', 'matmul']
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import numpy as np
import optree

from dagexec.graph import (
    CONSTANT,
    INPUT,
    ITEM,
    NO_PARAMS,
    PHASES,
    Graph,
    Node,
    Op,
    Scope,
    Spec,
    Where,
    reachable,
)
from dagexec.ops import TABLE

F = TypeVar("F", bound=Callable[..., Any])

# Where the user's code is not.
LIBRARIES = tuple(os.path.dirname(os.path.abspath(file)) + os.sep for file in (__file__, np.__file__))
NAMESPACE = "dagexec"  # optree's registry for the dataclasses met so far
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


CURRENT: ContextVar[Trace | None] = ContextVar("dagexec_trace", default=None)


def user_line() -> Where:
    """File and line of the innermost frame outside of this package and NumPy."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(LIBRARIES):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def at(where: Where | None) -> str:
    """A place in the user's code as text."""
    return "unknown line" if where is None else f"{where[0]}:{where[1]}"


def call(op: Op, *operands: Any, **params: Any) -> Any:
    """Apply an op: recorded if an operand is an Array, else computed with NumPy at once."""
    for operand in operands:
        if isinstance(operand, Array):
            return record(op, operands, params)
    return op.kernel(np, **params)(*operands)


def record(op: Op, operands: Sequence[Any], params: Any = NO_PARAMS) -> Any:
    """Append the node that applies `op`, and return its Array (a tuple of them for several results).

    Python numbers take the dtype that NumPy's promotion gives them beside the other operands.
    Raises ValueError, TypeError or IndexError, with op, shapes and the user's line, where they do not fit.
    """
    trace = current_trace()
    try:
        nodes = as_nodes(trace, operands)
    except (OverflowError, ValueError) as error:
        if isinstance(error, ValueError) or op.name not in ANY_RANGE:
            raise _placed(error, op.name, trace.where) from None
        nodes = as_nodes(trace, [np.asarray(x) if isinstance(x, int) else x for x in operands])
    specs = [node.spec for node in nodes]
    try:
        spec = op.infer(*specs, **params)
    except (ValueError, TypeError, IndexError) as error:
        raise _placed(error, f"{op.name} of {' and '.join(map(str, specs))}", trace.where) from None
    if spec.__class__ is Spec and spec.shape == () and all(_is_scalar_constant(node) for node in nodes):
        return Array(trace.constant(op.kernel(np, **params)(*[node.params["value"] for node in nodes])))
    node = trace.add(op, nodes, params, spec)
    if spec.__class__ is Spec:
        return Array(node)
    return tuple(Array(trace.add(ITEM, (node,), {"index": i}, part)) for i, part in enumerate(spec))


def _placed(error: Exception, what: str, where: Where | None = None) -> Exception:
    """The same kind of error, with what was done where in the user's code."""
    kinds = (IndexError, ValueError, TypeError, OverflowError)
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
            if CURRENT.get() is None or at(user_line()) in str(error):
                raise
            raise _placed(error, name) from None

    return cast(F, checked)


def _is_scalar_constant(node: Node) -> bool:
    return node.op is CONSTANT and node.spec.shape == ()


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
        return cast(Array, record(op, (self, other))) if _is_operand(other) else NotImplemented

    def reflected(self: Array, other: Any) -> Array:
        return cast(Array, record(op, (other, self))) if _is_operand(other) else NotImplemented

    return forward, reflected


_OPERANDS = (int, float, complex, np.ndarray, np.generic, list, tuple)  # beside Arrays


def _is_operand(value: Any) -> bool:
    return value.__class__ is Array or isinstance(value, _OPERANDS)


def _prefix(name: str) -> Callable[[Array], Array]:
    op = TABLE[name]
    return lambda self: cast(Array, record(op, (self,)))


class Array:
    """An array that is being traced: it has a shape and a dtype, and no values yet.

    It follows the Array API standard and takes part in NumPy's protocols, so array code that never asks for
    a value runs on it unchanged. Its methods (`sum`, `reshape`, ...) are the functions of `dagexec.xp`.
    """

    __slots__ = ("node",)

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
    __lt__, __gt__ = _operator("less")[0], _operator("greater")[0]
    __le__, __ge__ = _operator("less_equal")[0], _operator("greater_equal")[0]
    __eq__ = _operator("equal")[0]  # type: ignore[assignment]
    __ne__ = _operator("not_equal")[0]  # type: ignore[assignment]
    __neg__, __pos__ = _prefix("negative"), _prefix("positive")
    __abs__, __invert__ = _prefix("abs"), _prefix("bitwise_invert")
    __hash__ = None  # type: ignore[assignment]

    def __rpow__(self, other: Any) -> Array:
        return cast(Array, record(TABLE["pow"], (other, self)))

    def __iter__(self) -> Iterator[Array]:
        if not self.shape:
            raise TypeError(f"iteration over a 0-d array ({at(user_line())})")
        return iter(record(TABLE["unstack"], (self,), {"axis": 0}))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"len() of a 0-d array ({at(user_line())})")
        return self.shape[0]

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError(
            "a traced array cannot be assigned to: build the new array with xp.where, xp.concat or xp.stack "
            f"({at(user_line())})"
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        if "out" in kwargs:
            raise TypeError(
                f"{name}: a traced array cannot be written into an existing one ({at(user_line())})"
            )
        implementation = NUMPY_FUNCTIONS.get(ufunc) if method == "__call__" else None
        return _as_numpy_does(implementation, name, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np")
        return _as_numpy_does(NUMPY_FUNCTIONS.get(function), name, args, kwargs)

    if TYPE_CHECKING:  # what the namespace adds; documented there

        def __pow__(self, other: Any) -> Array: ...
        def __getitem__(self, index: Any) -> Array: ...
        def __array_namespace__(self, *, api_version: str | None = None) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...


_AS_INTEGER = "pass it as a plain Python int, or use xp.take for an index"
_AS_RESULT = "keep it an array, and convert the result of the run"
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
    "__index__": ("an index, length or count", _AS_INTEGER),
    "__array__": (
        "making a NumPy array",
        "use the functions of dagexec.xp (xp.stack for a list of arrays) or NumPy's on it",
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
NUMPY_FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # NumPy's functions to ours; the namespace fills it


def _as_numpy_does(
    implementation: Callable[..., Any] | None, name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    if implementation is None:
        raise TypeError(f"{name} can't be traced ({at(user_line())}); dagexec.xp lists what can")
    return implementation(*args, **kwargs)


# --- pytrees --------------------------------------------------------------------------------------------
def flatten(tree: Any) -> tuple[list[Any], optree.PyTreeSpec]:
    """Leaves and structure of nested tuples, lists, dicts, named tuples and dataclasses."""
    while True:
        leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
        unknown = {type(leaf) for leaf in leaves if hasattr(type(leaf), "__dataclass_fields__")}
        if not unknown:
            return leaves, structure
        for cls in unknown:
            _register_dataclass(cls)


def _register_dataclass(cls: Any) -> None:
    names = tuple(cls.__dataclass_fields__)

    def take_apart(value: Any) -> tuple[tuple[Any, ...], None, tuple[str, ...]]:
        return tuple(getattr(value, name) for name in names), None, names

    def put_together(_: Any, children: Iterable[Any]) -> Any:
        value = object.__new__(cls)  # __init__ may check or convert what only stands for a value here
        for name, child in zip(names, children, strict=True):
            object.__setattr__(value, name, child)
        return value

    optree.register_pytree_node(cls, take_apart, put_together, namespace=NAMESPACE)


def leaf_spec(leaf: Any, name: str) -> Spec:
    """The Spec of an example argument; TypeError if it is no number or numeric array."""
    if isinstance(leaf, Spec):
        return leaf
    if isinstance(leaf, Array):
        return cast(Spec, leaf.node.spec)
    array = np.asarray(leaf)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"argument {name} is a {type(leaf).__name__}: only numbers and numeric arrays can be traced"
        )
    return Spec(array.shape, array.dtype)


def _leaf_names(fn: Callable[..., Any], structure: optree.PyTreeSpec) -> list[str]:
    """Names for the leaves of the arguments: `x`, `params.W`, `layers.0`."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [parameter.name for parameter in parameters if parameter.kind in plain]
    return [
        ".".join([names[path[0]] if path[0] < len(names) else f"arg{path[0]}", *map(str, path[1:])])
        for path in structure.paths()
    ]


# --- tracing --------------------------------------------------------------------------------------------
@contextmanager
def recording(trace: Trace) -> Iterator[Trace]:
    """Make `trace` the one under way."""
    token = CURRENT.set(trace)
    try:
        yield trace
    finally:
        CURRENT.reset(token)


def trace(fn: Callable[..., Any]) -> Callable[..., Graph]:
    """The function that records `fn` as a Graph, given example arguments.

    Arguments and result are pytrees (tuples, lists, dicts, dataclasses) of arrays and numbers; of the
    examples only shapes and dtypes matter, and a Spec will do. Raises TracingError (a TypeError) where `fn`
    asks for a value, ValueError and TypeError where shapes and dtypes do not fit, with the user's line.

    >>> import numpy as np
    >>> trace(lambda p: p["w"] * 2 + p["b"])({"w": np.ones(3), "b": 1.0})
    <Graph lambda: 5 nodes>
    """

    @wraps(fn)
    def traced(*examples: Any) -> Graph:
        leaves, in_tree = flatten(examples)
        names = _leaf_names(fn, in_tree)
        specs = [leaf_spec(leaf, name) for leaf, name in zip(leaves, names, strict=True)]
        inputs = [Node(INPUT, spec=spec, name=name) for spec, name in zip(specs, names, strict=True)]
        with recording(Trace(inputs)) as current:
            result = fn(*optree.tree_unflatten(in_tree, [Array(node) for node in inputs]))
            outputs, out_tree = flatten(result)
            nodes = [as_nodes(current, (leaf,))[0] for leaf in outputs]
        name = getattr(fn, "__name__", type(fn).__name__).strip("<>")
        return finish(current, inputs, nodes, in_tree, out_tree, name)

    return traced


def finish(
    trace: Trace,
    inputs: Sequence[Node],
    outputs: Sequence[Node],
    in_tree: optree.PyTreeSpec | None,
    out_tree: optree.PyTreeSpec,
    name: str,
) -> Graph:
    """The Graph of a recording: without aliases, and without what the outputs do not need."""
    known = set(trace.nodes)
    source_of: dict[Node, Node] = {}
    for node in trace.nodes:
        if not source_of.keys().isdisjoint(node.inputs):
            node.inputs = tuple(source_of.get(source, source) for source in node.inputs)
        if node.grad_of in source_of:
            node.grad_of = source_of[node.grad_of]
        if node.op is ALIAS:
            source_of[node] = node.inputs[0]
        if not known.issuperset(node.inputs):
            raise TracingError(
                f"{node.op.name} ({at(node.where)}) uses an array of another trace: "
                "pass it to the traced function as an argument"
            )
    outputs = [source_of.get(node, node) for node in outputs]
    if not known.issuperset(outputs):
        raise TracingError("the result holds an array of another trace: pass it in as an argument")
    kept = reachable(trace.nodes, outputs)
    given = set(inputs)
    nodes = [*inputs, *(node for node in kept if node not in given)]
    return Graph(nodes, inputs, outputs, in_tree, out_tree, name)


# --- named regions --------------------------------------------------------------------------------------
@contextmanager
def scope(name: str, *, phase: str | None = None) -> Iterator[None]:
    """Name the region in which nodes are made, and say which phase of a training step it is.

    Regions nest; pictures fold them into boxes. `phase` is "forward", "backward" or "update", and stays as
    it is if not given; any other raises ValueError. Outside of a trace nothing happens.

    >>> def step(w, g):
    ...     with scope("sgd", phase="update"):
    ...         return w - 0.1 * g
    >>> node = trace(step)(1.0, 2.0).nodes[-1]
    >>> node.scope, node.phase
    (('sgd',), 'update')
    """
    if phase is not None and phase not in PHASES:
        raise ValueError(f"phase is {phase!r}; it can be {', '.join(PHASES)}")
    trace = CURRENT.get()
    if trace is None:
        yield
        return
    outer = trace.scope, trace.phase
    trace.scope = (*trace.scope, str(name))
    trace.phase = phase or trace.phase
    try:
        yield
    finally:
        trace.scope, trace.phase = outer


def block(fn: F) -> F:
    """Make each call of `fn` a region of its own, named after the function and numbered.

    >>> @block
    ... def cell(h):
    ...     return np.tanh(h)
    >>> [node.scope for node in trace(lambda h: cell(cell(h)))(1.0).nodes[1:]]
    [('cell[0]',), ('cell[1]',)]
    """

    @wraps(fn)
    def in_region(*args: Any, **kwargs: Any) -> Any:
        trace = CURRENT.get()
        if trace is None:
            return fn(*args, **kwargs)
        key = trace.scope, fn.__name__
        number = trace.counts.get(key, 0)
        trace.counts[key] = number + 1
        with scope(f"{fn.__name__}[{number}]"):
            return fn(*args, **kwargs)

    return cast(F, in_region)
