"""What the tests compare with: a tiny evaluator of graphs, and central differences.

The evaluator shares no code with dagexec's executors: it goes over the nodes in order and checks on the way
that each result has the shape and dtype that its node promised.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import optree

from dagexec.graph import Graph, Node, Spec
from dagexec.pytrees import NAMESPACE
from dagexec.tracing import trace

STEP = 1e-3  # of the five-point stencil: its error goes with the fourth power


def leaves_of(tree: Any) -> list[Any]:
    """The leaves of a pytree, in dagexec's order."""
    return optree.tree_leaves(tree, namespace=NAMESPACE)


def evaluate(graph: Graph, *arguments: Any) -> Any:
    """The results of a graph, computed node by node."""
    values = dict(zip(graph.inputs, leaves_of(arguments), strict=True))
    for node, kernel in _kernels(graph):
        sources = [values[source] for source in node.inputs]
        values[node] = kernel(*sources)
        _check_spec(values[node], node.spec, node)
    return optree.tree_unflatten(graph.out_tree, [values[node] for node in graph.outputs])


@cache
def _kernels(graph: Graph) -> list[tuple[Node, Callable[..., Any]]]:
    return [(node, _kernel(node)) for node in graph.nodes if node.op.name != "input"]


def _kernel(node: Node) -> Callable[..., Any]:
    if node.op.name == "constant":
        return lambda: node.params["value"]
    if node.op.name == "item":
        return lambda results: results[node.params["index"]]
    return node.op.kernel(np, **node.params)


def _check_spec(value: Any, spec: Any, node: Node) -> None:
    if isinstance(spec, tuple):
        assert len(value) == len(spec), f"{node} has {len(value)} results"
        for piece, part in zip(value, spec):
            _check_spec(piece, part, node)
        return
    assert isinstance(value, np.ndarray | np.generic), f"{node} is a {type(value)}"
    if value.shape != spec.shape or value.dtype != spec.dtype:
        inputs = [source.spec for source in node.inputs]
        raise AssertionError(f"{node} {dict(node.params)} of {inputs} is {Spec(value.shape, value.dtype)}")


def traced(fn: Callable[..., Any], *arguments: Any) -> Any:
    """`fn` traced for the arguments and evaluated on them."""
    return evaluate(trace(fn)(*arguments), *arguments)


def assert_same(actual: Any, expected: Any, rtol: float = 1e-12) -> None:
    """Both have the same structure, shapes and dtypes, and values equal up to rounding."""
    found, structure = optree.tree_flatten(actual)
    wanted, wanted_structure = optree.tree_flatten(expected)
    assert structure == wanted_structure
    for one, other in zip(found, wanted, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


def central_differences(fn: Callable[..., float], arguments: Sequence[Any]) -> list[np.ndarray]:
    """The gradient of a scalar function for each argument, an element at a time."""
    points = [np.array(argument, np.float64) for argument in arguments]
    gradients = [np.empty_like(point) for point in points]
    for point, gradient in zip(points, gradients):
        for place in np.ndindex(point.shape):
            middle = point[place]
            total = 0.0
            for offset, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
                point[place] = middle + offset * STEP
                total += weight * float(fn(*points))
            point[place] = middle
            gradient[place] = total / (12 * STEP)
    return gradients


def weights_like(graph: Graph, seed: int = 0) -> Any:
    """A cotangent for the graph's results: random weights for floats, zeros for the others."""
    random = np.random.default_rng(seed)
    leaves = [
        random.uniform(0.5, 1.5, node.spec.shape) * (node.spec.dtype.kind == "f") for node in graph.outputs
    ]
    return optree.tree_unflatten(
        graph.out_tree, [leaf.astype(node.spec.dtype) for leaf, node in zip(leaves, graph.outputs)]
    )


def weighted_sum(values: Any, weights: Any) -> float:
    """The sum of all floating-point results, weighted."""
    pairs = zip(leaves_of(values), leaves_of(weights), strict=True)
    return float(
        sum(np.sum(value * weight) for value, weight in pairs if np.asarray(value).dtype.kind == "f")
    )


def relative_error(actual: Any, expected: Any) -> float:
    """The largest difference, relative to the largest value (to one, where all are smaller)."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{actual.shape} is not {expected.shape}"
    if actual.size == 0:
        return 0.0
    return float(np.max(np.abs(actual - expected)) / max(1.0, float(np.max(np.abs(expected)))))


def check_gradient(
    graph: Graph, *arguments: Any, wrt: Sequence[int] | None = None, tolerance: float
) -> Graph:
    """Compare `graph.backward()` with central differences at `arguments`; return the backward graph."""
    chosen = tuple(range(len(arguments)) if wrt is None else wrt)
    weights = weights_like(graph)
    back = graph.backward(chosen, cotangent=weights)
    _, gradients = evaluate(back, *arguments)

    def weighted(*moved: Any) -> float:
        full = list(arguments)
        for number, value in zip(chosen, moved):
            full[number] = value
        return weighted_sum(evaluate(graph, *full), weights)

    expected = central_differences(weighted, [arguments[number] for number in chosen])
    for number, found, wanted in zip(chosen, gradients, expected, strict=True):
        error = relative_error(found, wanted)
        assert error < tolerance, f"gradient of argument {number}: {found}\nby differences: {wanted}"
    return back
