"""Array code recorded as a graph: `trace(fn)(*examples)` calls `fn` with Arrays and keeps what it did.

A trace keeps a plain list, so nodes stand in topological order from the start; what the result does not
depend on is dropped at the end. `scope` and `block` name the regions that the nodes are made in.

>>> import numpy as np
>>> graph = trace(lambda x, w: np.tanh(x) @ w)(np.ones((2, 3)), np.ones((3, 4)))
>>> [node.op.name for node in graph.nodes]
['input', 'input', 'tanh', 'matmul']
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, cast

import numpy as np
import optree

from dagexec.array import ALIAS, CURRENT, Array, F, Trace, TracingError, as_nodes, at, recording
from dagexec.collector import collector_paused
from dagexec.graph import (
    INPUT,
    PHASES,
    Graph,
    Node,
    Spec,
    reachable,
)
from dagexec.libraries import is_foreign, spec_of
from dagexec.pytrees import flatten


def leaf_spec(leaf: Any, name: str) -> Spec:
    """The Spec of an example argument; TypeError if it is no number or numeric array."""
    if isinstance(leaf, Spec):
        return leaf
    if isinstance(leaf, Array):
        return cast(Spec, leaf.node.spec)
    if is_foreign(leaf):
        return spec_of(leaf)
    array = np.asarray(leaf)
    if array.dtype.kind not in "biufc":
        what = f"a {type(leaf).__name__}"
        if isinstance(leaf, int):
            what = "an int of more than 64 bits"
        elif isinstance(leaf, np.ndarray):
            what = f"an array of {leaf.dtype}"
        raise TypeError(f"argument {name} is {what}: only numbers and numeric arrays can be traced")
    return Spec(array.shape, array.dtype)


def leaf_names(fn: Callable[..., Any], structure: optree.PyTreeSpec) -> list[str]:
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


def trace(fn: Callable[..., Any]) -> Callable[..., Graph]:
    """The function that records `fn` as a Graph, given example arguments.

    Arguments and result are pytrees (tuples, lists, dicts, dataclasses) of arrays and numbers; of the
    examples only shapes and dtypes matter, and a Spec will do; a Python number has NumPy's dtype for it.
    Raises TracingError (a TypeError) where `fn` asks for a value, ValueError and TypeError where shapes and
    dtypes do not fit, with the user's line.

    >>> import numpy as np
    >>> trace(lambda p: p["w"] * 2 + p["b"])({"w": np.ones(3), "b": 1.0})
    <Graph lambda: 5 nodes>
    """

    @wraps(fn)
    def traced(*examples: Any) -> Graph:
        leaves, in_tree = flatten(examples)
        names = leaf_names(fn, in_tree)
        specs = [leaf_spec(leaf, name) for leaf, name in zip(leaves, names, strict=True)]
        inputs = [Node(INPUT, spec=spec, name=name) for spec, name in zip(specs, names, strict=True)]
        with collector_paused(), recording(Trace(inputs)) as current:
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
    out_tree: optree.PyTreeSpec | None,
    name: str,
) -> Graph:
    """The Graph of a recording: without aliases, and without what the outputs do not need."""
    known = set(trace.nodes)
    source_of: dict[Node, Node] = {}
    for node in trace.nodes:
        if source_of:
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
    if not name:
        raise ValueError("a scope needs a name")
    trace = CURRENT.get()
    if trace is None:
        yield
        return
    with trace.labels_kept():
        trace.scope = (*trace.scope, str(name))
        trace.phase = phase or trace.phase
        yield


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
