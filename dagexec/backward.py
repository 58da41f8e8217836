"""The backward graph, derived from the forward graph.

Reverse-mode differentiation in three steps. First go forward over the nodes and mark those that depend on
what is differentiated for. Then go backward from the result: a node that has cotangents sums them (a
balanced tree in a fixed order, so results do not depend on who computes them), and the gradient rule of its
op gives a cotangent to each marked input. Last, undo what the rules leave to us: sum over what was broadcast,
cast to the input's dtype (of a complex cotangent, a real input has the real part).

A cotangent g says that a change d of the value changes the result by the sum of Re(g d), as in JAX: without
a conjugate, so the rule of a holomorphic op is that for real numbers.

The rules are array code on Arrays, so what they do is recorded: the backward graph is made of ordinary nodes,
each with the forward node it belongs to (`grad_of`), its scope and its line, and can be drawn, run and
derived again.

>>> import numpy as np
>>> from dagexec.tracing import trace
>>> graph = trace(lambda x: np.sum(np.sin(x)))(np.ones(3)).backward()
>>> [(node.op.name, node.grad_of) for node in graph.nodes if node.phase == "backward"]
[('broadcast_to', <sum float64[]>), ('cos', <sin float64[3]>), ('multiply', <sin float64[3]>)]

The idea is Linnainmaa's (1970); the form, a table from ops to array code, is that of HIPS autograd.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optree

from dagexec import xp
from dagexec.array import Array, Trace, at, recording
from dagexec.collector import collector_paused
from dagexec.graph import ITEM, Graph, Node, Spec, is_scalar_constant, method_of
from dagexec.ops.indexing import SCATTER_ADD
from dagexec.ops.table import as_tuple
from dagexec.pytrees import flatten
from dagexec.tracing import finish

Cotangent = Any  # an Array; for a node with several results a pair (index, Array)


def derive(
    trace: Trace,
    nodes: Sequence[Node],
    seeds: Sequence[tuple[Node, Array]],
    wrt: Sequence[Node],
    found: dict[Node, Any] | None = None,
) -> list[Array]:
    """Record the backward nodes of `nodes` and return the gradient for each node of `wrt`.

    `seeds` are the results with their cotangents. A node that the results do not depend on has gradient zero.
    `found`, if given, takes the gradient of each node on the way, of several results a tuple.
    """
    active = _depending_on(wrt, nodes)
    cotangents: dict[Node, list[Cotangent]] = {}
    for node, seed in seeds:
        if node in active:
            cotangents.setdefault(node, []).append(_fit(seed, node.spec))
    targets = set(wrt)
    read_at = {source: node.where for node in nodes for source in node.inputs if source.where is None}
    with trace.labels_kept():
        for node in reversed(nodes):
            if node not in cotangents:
                continue
            _label(trace, node)
            if node in targets:
                trace.where = node.where or read_at.get(node)  # an input has no line of its own
                cotangents[node] = [_total(cotangents[node])]
                if found is not None:
                    found[node] = cotangents[node][0]
                continue
            parts = cotangents.pop(node)
            if node.op is ITEM:
                pair = (node.params["index"], _total(parts))
                if found is not None:
                    found[node] = pair[1]
                cotangents.setdefault(node.inputs[0], []).append(pair)
                continue
            g = _totals(node.spec, parts) if isinstance(node.spec, tuple) else _total(parts)
            if found is not None:
                found[node] = g
            _apply_rules(trace, node, g, active, cotangents)
        return [_gradient(trace, node, cotangents) for node in wrt]


def _depending_on(wrt: Sequence[Node], nodes: Sequence[Node]) -> set[Node]:
    active = set(wrt)
    for node in nodes:
        flows = node.op is ITEM or node.op.vjp
        if flows and node not in active and not active.isdisjoint(node.inputs):
            specs = node.spec if isinstance(node.spec, tuple) else (node.spec,)
            if any(spec.dtype.kind in "fc" for spec in specs):
                active.add(node)
    return active


def _label(trace: Trace, node: Node) -> None:
    """Label what is recorded from now on as belonging to the gradient of `node`."""
    trace.scope, trace.phase, trace.grad_of, trace.where = node.scope, "backward", node, node.where


class _Results(Sequence[Array]):
    """The results of a node that has several: each is fetched when a rule asks for it."""

    def __init__(self, trace: Trace, node: Node) -> None:
        self.trace = trace
        self.node = node

    def __len__(self) -> int:
        return len(self.node.spec)

    def __getitem__(self, index: Any) -> Any:
        return Array(self.trace.add(ITEM, (self.node,), {"index": index}, self.node.spec[index]))


def _apply_rules(
    trace: Trace, node: Node, g: Any, active: set[Node], cotangents: dict[Node, list[Cotangent]]
) -> None:
    y = _Results(trace, node) if isinstance(node.spec, tuple) else Array(node)
    inputs = [Array(source) for source in node.inputs]
    rules = node.op.vjp
    if callable(rules):
        shares = iter(rules(xp, g, y, *inputs, **node.params))
    else:
        shares = (
            rule(xp, g, y, *inputs, **node.params) if rule is not None and source in active else None
            for rule, source in zip(rules, node.inputs)
        )
    for source, share in zip(node.inputs, shares):
        if share is not None and source in active:
            cotangents.setdefault(source, []).append(_fit(share, source.spec))


def _fit(share: Array, spec: Spec) -> Array:
    """A cotangent in the shape and dtype of its input: summed over what was broadcast, and cast."""
    if share.dtype.kind == "c" and spec.dtype.kind != "c":
        share = xp.real(share)
    if share.shape != spec.shape:
        extra = share.ndim - spec.ndim
        stretched = [
            extra + axis
            for axis, length in enumerate(spec.shape)
            if length == 1 and share.shape[extra + axis] != 1
        ]
        share = xp.sum(share, axis=(*range(extra), *stretched), keepdims=False)
        if share.shape != spec.shape:
            share = xp.reshape(share, spec.shape)
    return share if share.dtype == spec.dtype else xp.astype(share, spec.dtype)


def _gathered(parts: list[Array]) -> list[Array]:
    """Pieces of one array put back by one node: one by one, each would fill the whole array with zeros."""
    pieces = [part for part in parts if part.node.op is SCATTER_ADD]
    if len(pieces) < 2:
        return parts
    inputs = [Array(source) for piece in pieces for source in piece.node.inputs]
    indices = tuple(index for piece in pieces for index in piece.node.params["indices"])
    whole = xp.scatter_add(*inputs, shape=pieces[0].shape, indices=indices)
    return [whole, *(part for part in parts if part.node.op is not SCATTER_ADD)]


def _total(parts: list[Array]) -> Array:
    """The sum as a balanced tree, neighbours first."""
    parts = _gathered(parts)
    while len(parts) > 1:
        pairs = [left + right for left, right in zip(parts[::2], parts[1::2])]
        parts = pairs + parts[len(pairs) * 2 :]
    return parts[0]


def _totals(specs: tuple[Spec, ...], parts: list[Cotangent]) -> tuple[Any, ...]:
    """The cotangents of a node with several results; what nobody read has zeros."""
    by_index: list[list[Array]] = [[] for _ in specs]
    for index, g in parts:
        by_index[index].append(g)
    return tuple(
        _total(found) if found else np.zeros(spec.shape, spec.dtype) for found, spec in zip(by_index, specs)
    )


def _gradient(trace: Trace, node: Node, cotangents: dict[Node, list[Cotangent]]) -> Array:
    if node in cotangents:
        return cotangents[node][0]  # type: ignore[no-any-return]
    _label(trace, node)
    return xp.zeros(node.spec.shape, dtype=node.spec.dtype)  # type: ignore[no-any-return]


def require_float(spec: Spec, name: str) -> None:
    """Raise TypeError unless an array of this Spec has a gradient."""
    if spec.dtype.kind not in "fc":
        raise TypeError(
            f"no gradient with respect to {name}: its dtype is {spec.dtype.name}, "
            "and only floating-point arrays, real or complex, have one (convert with astype)"
        )


def seed_of(node: Node) -> np.ndarray[Any, Any]:
    """The cotangent that starts a derivation: one, for a real scalar; else TypeError."""
    if node.spec.shape != () or node.spec.dtype.kind != "f":
        raise TypeError(
            f"the gradient is that of a real scalar, but the result is {node.spec} ({at(node.where)}): "
            "reduce it to a scalar, or say how the result is weighted (cotangent=, or vjp)"
        )
    return np.ones((), node.spec.dtype)


@method_of(Graph)
def backward(graph: Graph, wrt: int | Sequence[int] = 0, *, cotangent: Any = None) -> Graph:
    """The graph of `(value, gradients)` for a graph of `value`.

    `wrt` is the number of the argument to differentiate for, or a sequence of them: the gradients have the
    structure of that argument, or are a tuple of such. A result that is no real scalar needs `cotangent`, in
    the structure and shapes of the result. Only what is needed is built.

    Raises ValueError if there is no such argument or a cotangent does not fit, TypeError if an argument
    is not floating-point (real or complex) or if the result needs a cotangent.

    >>> import dagexec
    >>> square = dagexec.trace(lambda x: x * x)(3.0)
    >>> value, gradient = dagexec.run(square.backward(), 3.0)
    >>> float(value), float(gradient)
    (9.0, 6.0)
    """
    arguments: Any = optree.tree_unflatten(graph.in_tree, graph.inputs)
    numbers = as_tuple(wrt)
    for number in numbers:
        if not 0 <= number < len(arguments):
            raise ValueError(f"wrt={number}: the graph has {len(arguments)} arguments, counted from 0")
    chosen = [arguments[number] for number in numbers]
    targets, structure = flatten(chosen[0] if isinstance(wrt, int) else tuple(chosen))
    for node in targets:
        require_float(node.spec, repr(node.name))
    with collector_paused(), recording(Trace(graph.nodes)) as trace:
        trace.scalars = {
            (node.spec.dtype, node.params["value"].tobytes()): node
            for node in graph.nodes
            if is_scalar_constant(node)
        }
        trace.where = graph.outputs[0].where if graph.outputs else None  # of the seeds
        seeds = _seeds(trace, graph, cotangent)
        gradients = [g.node for g in derive(trace, graph.nodes, seeds, targets)]
    value = optree.tree_unflatten(graph.out_tree, graph.outputs)
    outputs, out_tree = flatten((value, optree.tree_unflatten(structure, gradients)))
    return finish(trace, graph.inputs, outputs, graph.in_tree, out_tree, f"{graph.name}.backward")


def _seeds(trace: Trace, graph: Graph, cotangent: Any) -> list[tuple[Node, Array]]:
    if cotangent is None:
        if len(graph.outputs) != 1:
            raise TypeError(
                f"a result of {len(graph.outputs)} arrays needs a cotangent= of the same structure"
            )
        return [(graph.outputs[0], Array(trace.constant(seed_of(graph.outputs[0]))))]
    leaves, structure = flatten(cotangent)
    if structure != graph.out_tree:
        raise ValueError(f"the cotangent's structure {structure} is not the result's {graph.out_tree}")
    seeds = []
    for node, leaf in zip(graph.outputs, leaves, strict=True):
        array = np.asarray(leaf, node.spec.dtype)
        if array.shape != node.spec.shape:
            raise ValueError(f"a cotangent of shape {array.shape} does not fit the result {node.spec}")
        seeds.append((node, Array(trace.constant(array))))
    return seeds
