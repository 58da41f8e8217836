"""The one data structure: a computational graph is a list of nodes in topological order.

A `Node` is one application of an `Op` to earlier nodes. A `Graph` is a tuple of nodes, each after the nodes
it reads, with the nodes that take the arguments (`inputs`) and those that hold the results (`outputs`). Both
are values: a rewrite makes a new graph, and graphs may share nodes.

Hierarchy is nothing but each node's `scope`; forward and backward are nothing but its `phase`. So whatever
can draw, run or differentiate a graph can do it to a backward graph as well.

>>> import numpy as np, dagexec
>>> def energy(x):
...     return np.sum(x * x)
>>> graph = dagexec.trace(energy)(np.ones(3))
>>> print(graph)
energy(x: float64[3]):
  %1 = multiply(x, x)                            float64[3]
  %2 = sum(%1, axis=(0,), keepdims=False)        float64[]
  return %2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import optree

if TYPE_CHECKING:
    from os import PathLike

    import networkx as nx
    import pydot

    from dagexec.events import Events

P = ParamSpec("P")
R = TypeVar("R")
Where = tuple[str, int]
Scope = tuple[str, ...]

NO_PARAMS: Mapping[str, Any] = {}
PHASES = ("forward", "backward", "update")


class Spec:
    """Shape and dtype of an array that is not there yet.

    >>> Spec((2, 3), np.float32)
    float32[2,3]
    """

    __slots__ = ("dtype", "nbytes", "shape", "size")

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.size = prod(shape)  # number of elements
        self.nbytes = self.size * self.dtype.itemsize  # of a dense array

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self.shape == other.shape and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


def _one_an_element(out: Any, *specs: Any, **params: Any) -> float:
    results = out if isinstance(out, tuple) else (out,)
    return float(sum(spec.size for spec in results))


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """A row of the op table: everything there is to know about one operation.

    `infer(*specs, **params)` gives the result's Spec (a tuple of them for an op with several results) and
    raises ValueError or TypeError where shapes or dtypes do not fit.
    `kernel(xp, **params)` gives the function that computes the result from input arrays of namespace `xp`.
    `vjp` holds one rule for each input (None where no gradient flows):
    `rule(xp, g, y, *inputs, **params)` gives the cotangent of that input, for the cotangent `g` of the
    result `y`, as array code. An op with any number of inputs has a single function instead, which gives the
    cotangents of all of them.
    A rule need not undo broadcasting or casts: the derivation does it for all of them.
    `batch(xp, again, size, batched, *inputs, **params)` gives the results for many inputs at once: those
    that `batched` marks have a first axis more, of length `size`, and so have the results (one without it
    is the same for all); `again` applies the op itself.
    Without a rule that of the family holds (ops/batched.py), else the op is applied to one after the other.
    `into(inputs, out, **params)` gives the NumPy calls that write the result to an array `out`, as pairs of a
    function and its arguments; without it, or where there are none, the kernel's result is copied there.
    `cost(out, *specs, **params)` estimates the number of arithmetic operations.
    """

    name: str
    infer: Callable[..., Any]
    kernel: Callable[..., Callable[..., Any]]
    vjp: tuple[Callable[..., Any] | None, ...] | Callable[..., Any] = ()
    batch: Callable[..., Any] | None = None
    cost: Callable[..., float] = _one_an_element
    into: Callable[..., Any] | None = None
    family: str = "elementwise"
    onnx: str | None = None
    doc: str = ""

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"op {self.name!r} belongs to a table and is sent by name, not pickled")


def _no_kernel(xp: Any, **params: Any) -> Callable[..., Any]:
    raise TypeError("a node that holds a value is not computed")


def _item_spec(specs: tuple[Spec, ...], *, index: int) -> Spec:
    return specs[index]


# The three ops without which there is no graph. The executors give them no task.
INPUT = Op("input", lambda: None, _no_kernel, cost=lambda out: 0.0, family="structure")
CONSTANT = Op("constant", lambda: None, _no_kernel, cost=lambda out, value: 0.0, family="structure")
ITEM = Op("item", _item_spec, _no_kernel, cost=lambda out, *specs, index: 0.0, family="structure")


class Node:
    """One operation of a graph and the value it computes.

    `op` is applied to the values of `inputs` with the static `params`. `spec` is the result's shape and dtype
    (a tuple of them for an op with several results, each fetched by an `item` node; None where a plain Python
    callable decides). `scope` is the path of named regions the node was made in, `phase` is "forward",
    "backward" or "update", `grad_of` is the forward node whose gradient rule made this one, `where` the
    user's file and line. Nodes are compared by identity.
    """

    __slots__ = ("grad_of", "inputs", "name", "op", "params", "phase", "scope", "spec", "where")

    def __init__(
        self,
        op: Op,
        inputs: tuple[Node, ...] = (),
        params: Mapping[str, Any] = NO_PARAMS,
        spec: Any = None,
        scope: Scope = (),
        phase: str = "forward",
        name: str = "",
        grad_of: Node | None = None,
        where: Where | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.params = params
        self.spec = spec
        self.scope = scope
        self.phase = phase
        self.name = name
        self.grad_of = grad_of
        self.where = where

    def __repr__(self) -> str:
        return f"<{self.name or self.op.name} {self.spec}>"


def text_of(value: Any, text: Callable[[Any], str] = repr) -> str:
    """`repr(value)`, or its type where that fails, as for an int of five thousand digits.

    >>> text_of(10**3), text_of(10**5000)
    ('1000', '<int>')
    """
    try:
        return text(value)
    except Exception:
        return f"<{type(value).__name__}>"


def differentiated(result: Node) -> Node | None:
    """The input whose gradient a backward result is, where that is beyond doubt."""
    made_for = result.grad_of
    if result.phase != "backward" or made_for is None:
        return None
    candidates = [made_for] if made_for.op is INPUT else made_for.inputs
    found = {source for source in candidates if source.op is INPUT and source.spec == result.spec}
    return found.pop() if len(found) == 1 else None


def is_scalar_constant(node: Node) -> bool:
    """Whether a node holds a single number: such are shared by all readers, and shown in their place."""
    return node.op is CONSTANT and node.spec is not None and node.spec.shape == ()


class Graph:
    """Nodes in topological order, with the inputs and outputs of the function they compute.

    `in_tree` and `out_tree` are optree's structures of the arguments (a tuple) and of the result.
    Raises ValueError if a node reads one that does not stand before it.
    """

    __slots__ = ("in_tree", "inputs", "name", "nodes", "out_tree", "outputs")

    def __init__(
        self,
        nodes: Iterable[Node],
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        in_tree: optree.PyTreeSpec | None = None,
        out_tree: optree.PyTreeSpec | None = None,
        name: str = "graph",
    ) -> None:
        self.nodes = tuple(nodes)
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.in_tree = in_tree if in_tree is not None else _tuple_tree(len(self.inputs))
        self.out_tree = out_tree if out_tree is not None else _tuple_tree(len(self.outputs))
        self.name = name
        before: set[Node] = set()
        for node in self.nodes:
            if not before.issuperset(node.inputs):
                source = next(source for source in node.inputs if source not in before)
                raise ValueError(f"{node!r} reads {source!r}, which does not stand before it")
            before.add(node)
        for node in (*self.inputs, *self.outputs):
            if node not in before:
                raise ValueError(f"{node!r} is an input or output of the graph but not one of its nodes")

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self.nodes)} nodes>"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        names: dict[Node, str] = {}
        for number, node in enumerate(self.nodes):
            if is_scalar_constant(node):
                names[node] = text_of(node.params["value"], str)
            else:
                names[node] = node.name if node.op is INPUT and node.name else f"%{number}"
        arguments = ", ".join(f"{names[node]}: {node.spec}" for node in self.inputs)
        lines = [f"{self.name}({arguments}):"]
        phase = "forward"
        for node in self.nodes:
            if node.op is INPUT or is_scalar_constant(node):
                continue
            if node.phase != phase:
                phase = node.phase
                lines.append(f"  # {phase}")
            terms = [names[source] for source in node.inputs]
            terms += [
                f"{key}={value.name if isinstance(value, Graph) else text_of(value, str)}"
                for key, value in node.params.items()
                if not isinstance(value, np.ndarray)
            ]
            lines.append(
                f"  {names[node] + ' = ' + node.op.name + '(' + ', '.join(terms) + ')':<46} {node.spec}"
            )
            for key, value in node.params.items():
                if isinstance(value, Graph):
                    first, *others = value._lines()
                    lines += [f"    {key}: {first}", *[f"    {line}" for line in others]]
        lines.append(f"  return {', '.join(names[node] for node in self.outputs)}")
        return lines

    if TYPE_CHECKING:  # what the later stages add with @method_of(Graph); documented there

        def backward(self, wrt: int | Sequence[int] = 0, *, cotangent: Any = None) -> Graph: ...
        def save(self, path: str | PathLike[str]) -> None: ...
        def to_networkx(self) -> nx.DiGraph: ...
        def to_dot(
            self,
            *,
            level: str | None = None,
            depth: int = 1,
            style: str = "plain",
            group: str | None = None,
            color: str = "phase",
            events: Events | None = None,
            theme: str = "light",
        ) -> pydot.Dot: ...
        def draw(
            self,
            path: str | PathLike[str],
            *,
            level: str | None = None,
            depth: int = 1,
            style: str = "plain",
            group: str | None = None,
            color: str = "phase",
            events: Events | None = None,
            theme: str = "light",
        ) -> None: ...
        def to_html(
            self,
            path: str | PathLike[str],
            *args: Any,
            runs: Sequence[str] | None = None,
            workers: int | None = None,
            file: str | PathLike[str] | None = None,
            started: Callable[[str], None] = ...,
        ) -> None: ...


def _tuple_tree(length: int) -> optree.PyTreeSpec:
    leaves: Any = (0,) * length
    return optree.tree_structure(leaves)


def method_of(owner: type) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a later stage's function a method of an earlier stage's class, under the function's name.

    Imports run one way, from the later stage to the earlier: so `graph.backward()` can be called, and this
    module still knows nothing of derivation.
    """

    def add(function: Callable[P, R]) -> Callable[P, R]:
        setattr(owner, function.__name__, function)
        return function

    return add


def reachable(nodes: Sequence[Node], outputs: Iterable[Node]) -> list[Node]:
    """The nodes that `outputs` depend on, in the order of `nodes`, which must be topological."""
    needed = set(outputs)
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.inputs)
    return [node for node in nodes if node in needed]
