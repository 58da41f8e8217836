"""Every operation on arrays as operations on numbers: the finest view of a graph.

Each value becomes a NumPy array of nodes, one for each of its elements. An op that only moves elements
(reshape, transpose, index) is its own kernel, run on that array of nodes; an elementwise op is recorded once
for each element; products and reductions are written out, their sums as balanced trees, so that what can run
at the same time still can. Arguments and results stay arrays: an element is fetched with `getitem`, results
are put together with `stack` and `reshape`, so the new graph is called like the old one.

>>> import numpy as np, dagexec
>>> graph = scalarize(dagexec.trace(lambda A, x: A @ x)(np.ones((3, 3)), np.ones(3)))
>>> names = [node.op.name for node in graph.nodes]
>>> names.count("multiply"), names.count("add")
(9, 6)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from dagexec.array import Array, Trace, at, current_trace, record, recording
from dagexec.graph import INPUT, Graph, Node, differentiated
from dagexec.ops import TABLE, specs_of
from dagexec.ops.indexing import pieces
from dagexec.tracing import finish

Elements = np.ndarray[Any, Any]  # of Nodes

LIMIT = 20_000  # more than anyone can look at


def scalarize(graph: Graph) -> Graph:
    """The same function as operations on scalars.

    Phase, scope and line are kept; `grad_of` is a scalar of the forward node. Raises ValueError if an op has
    no scalar form (a plain Python callable, an index that is only known when it runs), or for more
    than 20,000 operations.

    >>> import numpy as np, dagexec
    >>> graph = dagexec.trace(lambda x: np.sum(x * x))(np.ones(4))
    >>> float(dagexec.run(scalarize(graph), np.arange(4.0)))
    14.0
    """
    work = sum(map(_scalar_operations, graph.nodes))
    if work > LIMIT:
        raise ValueError(
            f"{graph.name} takes about {work:,} scalar operations; {LIMIT:,} are the limit of this view"
        )
    elements: dict[Node, Any] = {}  # a tuple of arrays for a node with several results
    read_at = {source: node.where for node in reversed(graph.nodes) for source in node.inputs}
    with recording(Trace(graph.inputs)) as trace:
        for node in graph.nodes:
            _label(trace, node, elements)
            trace.where = node.where or read_at.get(node)  # an argument has no line of its own
            elements[node] = _scalar_form(node, [elements[source] for source in node.inputs])
        outputs = []
        for node in graph.outputs:
            _label(trace, node, elements)
            if (source := differentiated(node)) is not None:
                trace.grad_of = elements[source].flat[0] if elements[source].size else None
            outputs.append(_assembled(node, elements[node]))
    return finish(trace, graph.inputs, outputs, graph.in_tree, graph.out_tree, graph.name)


def _scalar_operations(node: Node) -> int:
    """How many nodes the scalar form will have, elements of arguments included; about."""
    made = sum(spec.size for spec in specs_of(node))
    read = max((spec.size for source in node.inputs for spec in specs_of(source)), default=0)
    if node.op.family == "elementwise" or node.op is INPUT:
        return made
    if node.op.family == "reduction":
        return read * REDUCTION_STEPS.get(node.op.name, 1)
    if node.op.name == "matmul":
        return made * (2 * int(node.inputs[0].spec.shape[-1]) - 1)
    return 0


def _label(trace: Trace, node: Node, elements: Mapping[Node, Any]) -> None:
    trace.scope, trace.phase, trace.where = node.scope, node.phase, node.where
    twins = elements.get(node.grad_of) if node.grad_of is not None else None
    twins = twins[0] if isinstance(twins, tuple) else twins
    trace.grad_of = twins.flat[0] if twins is not None and twins.size else None


def _scalar_form(node: Node, inputs: list[Any]) -> Any:
    """The elements of a node's value; what is computed for them is recorded in the current trace."""
    form = FORMS.get(node.op.name) or FORMS.get(node.op.family)
    if form is None:
        raise ValueError(f"{node.op.name!r} has no scalar form ({at(node.where)})")
    return form(node, *inputs)


def _apply(name: str, *inputs: Node, **params: Any) -> Node:
    return record(TABLE[name], [Array(node) for node in inputs], params).node  # type: ignore[no-any-return]


def _constant(value: Any, dtype: Any) -> Node:
    return current_trace().constant(np.asarray(value, dtype))


def _cast(x: Node, dtype: Any) -> Node:
    return x if x.spec.dtype == dtype else _apply("astype", x, dtype=np.dtype(dtype))


def _filled(shape: tuple[int, ...], nodes: Iterable[Node]) -> Elements:
    result = np.empty(shape, object)
    for index, node in zip(np.ndindex(shape), nodes, strict=True):
        result[index] = node
    return result


def _assembled(node: Node, elements: Elements) -> Node:
    """An array-valued node that holds `elements`: a result of the new graph."""
    if node.op is INPUT:
        return node
    if elements.ndim == 0:
        return elements.item()  # type: ignore[no-any-return]
    if not elements.size:
        return _constant(np.empty(elements.shape), node.spec.dtype)
    return _apply("reshape", _apply("stack", *elements.flat, axis=0), shape=elements.shape)


# --- leaves, movement, elementwise ----------------------------------------------------------------------
def _input(node: Node) -> Elements:
    shape = node.spec.shape
    return _filled(
        shape, (_apply("getitem", node, index=index) if shape else node for index in np.ndindex(shape))
    )


def _constants(node: Node) -> Elements:
    value = np.asarray(node.params["value"])
    return _filled(value.shape, (_constant(number, value.dtype) for number in value.flat))


def _item(node: Node, results: tuple[Elements, ...]) -> Elements:
    chosen: Elements = results[node.params["index"]]
    return chosen


def _moved(node: Node, *inputs: Elements) -> Any:
    """The op's own kernel on arrays of nodes: no operation at all. Joined arrays are cast to one dtype."""
    moved = node.op.kernel(np, **node.params)(*inputs)
    if isinstance(moved, tuple | list):
        return tuple(moved)
    moved = moved if isinstance(moved, np.ndarray) else _filled((), [moved])
    return _filled(moved.shape, (_cast(element, node.spec.dtype) for element in moved.flat))


def _elementwise(node: Node, *inputs: Elements) -> Elements:
    rows = zip(*(array.flat for array in np.broadcast_arrays(*inputs)))
    return _filled(node.spec.shape, (_apply(node.op.name, *row, **node.params) for row in rows))


# --- indexing ------------------------------------------------------------------------------------------
def _known(node: Node, indices: tuple[Elements, ...]) -> list[np.ndarray[Any, Any]]:
    """Index arrays as numbers: which element is meant must be known before anything runs."""
    for element in (element for array in indices for element in array.flat):
        if "value" not in element.params:
            raise ValueError(f"{node.op.name!r} by a computed index has no scalar form ({at(node.where)})")
    return [np.vectorize(lambda element: element.params["value"], otypes=[int])(array) for array in indices]


def _getitem(node: Node, x: Elements, *indices: Elements) -> Any:
    return _moved(node, x, *_known(node, indices))


def _scatter_add(node: Node, *inputs: Elements) -> Elements:
    """For each element of the result the sum of what is added there, found by reading positions instead."""
    shape = node.params["shape"]
    positions = np.arange(node.spec.size).reshape(shape)
    parts: list[list[Node]] = [[] for _ in range(node.spec.size)]
    for index, value, arrays in pieces(node.params["indices"], inputs):
        chosen = TABLE["getitem"].kernel(np, index=index)(positions, *_known(node, tuple(arrays)))
        for position, element in zip(np.ravel(chosen), value.flat, strict=True):
            parts[position].append(element)
    return _filled(shape, (_tree("add", found, _constant(0, node.spec.dtype)) for found in parts))


# --- products and reductions -----------------------------------------------------------------------------
def _tree(name: str, parts: list[Node], empty: Node | None = None) -> Node:
    """`parts` combined two by two, neighbours first; `empty` if there are none."""
    if not parts and empty is not None:
        return empty
    while len(parts) > 1:
        pairs = [_apply(name, left, right) for left, right in zip(parts[::2], parts[1::2])]
        parts = pairs + parts[len(pairs) * 2 :]
    return parts[0]


def _matmul(node: Node, a: Elements, b: Elements) -> Elements:
    rows = a if a.ndim > 1 else a[None, :]
    columns = np.swapaxes(b, -1, -2) if b.ndim > 1 else b[None, :]
    left, right = np.broadcast_arrays(rows[..., :, None, :], columns[..., None, :, :])
    zero = _constant(0, node.spec.dtype)
    dots = (
        _tree("add", [_apply("multiply", *pair) for pair in zip(left[index], right[index])], zero)
        for index in np.ndindex(left.shape[:-1])
    )
    return _filled(left.shape[:-1], dots).reshape(node.spec.shape)


def _reduction(node: Node, x: Elements) -> Elements:
    """The reduced axes last and flattened, then one row of elements for each number of the result."""
    axes = node.params["axis"]
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    count = int(np.prod([x.shape[axis] for axis in axes], dtype=int))
    rows = np.transpose(x, kept + axes).reshape(node.spec.size, count)
    return _filled(node.spec.shape, (REDUCTIONS[node.op.name](node, list(row)) for row in rows))


def _sum(node: Node, row: list[Node]) -> Node:
    dtype = node.spec.dtype
    return _tree("add", [_cast(x, dtype) for x in row], _constant(0, dtype))


def _prod(node: Node, row: list[Node]) -> Node:
    dtype = node.spec.dtype
    return _tree("multiply", [_cast(x, dtype) for x in row], _constant(1, dtype))


def _mean(node: Node, row: list[Node]) -> Node:
    return _apply("divide", _sum(node, row), _constant(len(row), node.spec.dtype))


def _var(node: Node, row: list[Node]) -> Node:
    mean = _mean(node, row)
    squares = [_apply("square", _apply("subtract", x, mean)) for x in row]
    return _apply(
        "divide", _sum(node, squares), _constant(len(row) - node.params["correction"], node.spec.dtype)
    )


def _logsumexp(node: Node, row: list[Node]) -> Node:
    dtype = node.spec.dtype
    row = [_cast(x, dtype) for x in row]
    top = _tree("maximum", row)
    top = _apply("where", _apply("isfinite", top), top, _constant(0, dtype))  # inf − inf would be NaN
    return _apply(
        "add", _apply("log", _sum(node, [_apply("exp", _apply("subtract", x, top)) for x in row])), top
    )


def _extremum(name: str) -> Callable[[Node, list[Node]], Node]:
    return lambda node, row: _tree(name, row)


def _logical(name: str, empty: bool) -> Callable[[Node, list[Node]], Node]:
    return lambda node, row: _tree(name, [_cast(x, bool) for x in row], _constant(empty, bool))


def _position(beats: str) -> Callable[[Node, list[Node]], Node]:
    """Index of the extremum: of two candidates the left one stays unless the right one beats it; NaN wins."""

    def position(node: Node, row: list[Node]) -> Node:
        candidates = [(x, _constant(number, np.int64)) for number, x in enumerate(row)]
        while len(candidates) > 1:
            pairs = [duel(left, right) for left, right in zip(candidates[::2], candidates[1::2])]
            candidates = pairs + candidates[len(pairs) * 2 :]
        return candidates[0][1]

    def duel(left: tuple[Node, Node], right: tuple[Node, Node]) -> tuple[Node, Node]:
        stays = _apply(beats, left[0], right[0])
        if left[0].spec.dtype.kind == "f":
            stays = _apply("logical_or", stays, _apply("isnan", left[0]))
        value, index = (_apply("where", stays, a, b) for a, b in zip(left, right))
        return value, index

    return position


REDUCTIONS: dict[str, Callable[[Node, list[Node]], Node]] = {
    "sum": _sum,
    "prod": _prod,
    "mean": _mean,
    "var": _var,
    "logsumexp": _logsumexp,
    "max": _extremum("maximum"),
    "min": _extremum("minimum"),
    "all": _logical("logical_and", True),
    "any": _logical("logical_or", False),
    "argmax": _position("greater_equal"),
    "argmin": _position("less_equal"),
}
REDUCTION_STEPS = {"var": 3, "logsumexp": 4, "argmax": 5, "argmin": 5}  # operations an element; 1 for others

# By the name of the op, else by its family.
FORMS: dict[str, Callable[..., Any]] = {
    "input": _input,
    "constant": _constants,
    "item": _item,
    "alias": lambda node, x: x,
    "matmul": _matmul,
    "getitem": _getitem,
    "scatter_add": _scatter_add,
    "elementwise": _elementwise,
    "shape": _moved,
    "reduction": _reduction,
}
