"""Reductions of less: what was stretched before it is summed, and factors that a sum does not run over.

The sum of an array stretched n times is n times the sum of the array; its mean and extrema are the array's.
A sum of −x, c x or x / c, where c is the same all along the axes that are summed over, is −1, c or 1 / c
times the sum of x: one operation on what is left, not on all elements. That changes how results are rounded;
and since c may have been there to keep the sum from overflowing, only derived nodes are treated so.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: np.sum(np.broadcast_to(x, (1000, 3)), axis=0))(np.ones(3))
>>> print(reduce_less(graph))
lambda(x: float64[3]):
  %2 = multiply(x, 1000.0)                       float64[3]
  return %2
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from dagexec.array import Array
from dagexec.graph import Graph, Node
from dagexec.ops.reductions import reduced_shape
from dagexec.rewrite.broadcasts import is_stretched
from dagexec.rewrite.rules import Alone, Made, Rules, apply, by_rules, is_float, padded, reshaped, stretched

Axes = tuple[int, ...]
Change = Callable[[Array], Array]  # what is done to the sum, instead of to each element


def reduce_less(graph: Graph) -> Graph:
    """The graph with reductions of as few elements, and of as few operations, as can be; to rounding."""
    return by_rules(graph, RULES)


def _of_stretched(node: Node, alone: Alone) -> Made:
    """A reduction over axes that were stretched is one of what there was before."""
    (source,) = node.inputs
    if not is_stretched(source) or node.spec.dtype != source.spec.dtype or not source.spec.size:
        return None
    (x,) = source.inputs
    small, full, axis = padded(x.spec.shape, source.spec.ndim), source.spec.shape, node.params["axis"]
    times = prod([full[n] // small[n] for n in axis])
    if times == 1:
        return None
    kept = reduced_shape(small, axis, True)

    def reduced() -> Array:
        left = tuple([n for n in axis if small[n] != 1])
        result = Array(x)
        if left:
            result = reshaped(x, small)
            result = apply(node.op.name, result, **{**node.params, "axis": left, "keepdims": True})
        if node.op.name == "sum":
            result = result * times
        whole = stretched(reshaped(result, kept), reduced_shape(full, axis, True))
        return reshaped(whole, node.spec.shape)

    return reduced


def _of_one_element(node: Node, alone: Alone) -> Made:
    """Along axes of length one there is nothing to reduce."""
    (x,) = node.inputs
    if any(x.spec.shape[n] != 1 for n in node.params["axis"]) or x.spec.dtype != node.spec.dtype:
        return None
    return lambda: reshaped(x, node.spec.shape)


# --- factors --------------------------------------------------------------------------------------------
def _of_products(node: Node, alone: Alone) -> Made:
    (x,) = node.inputs
    if not is_float(node) or node.phase != "backward" or not alone(x):
        return None
    axis = node.params["axis"]
    rest, changes = _without_factors(x, axis, alone)
    if not changes:
        return None

    def changed() -> Array:
        total = apply("sum", rest(), axis=axis, keepdims=True)
        for change in changes:
            total = change(total)
        return reshaped(total, node.spec.shape)

    return changed


def _without_factors(
    node: Node, axis: Axes, alone: Alone, depth: int = 3
) -> tuple[Callable[[], Any], list[Change]]:
    """What is left of a product without the factors that are the same along some axes; and these."""
    name = node.op.name
    if depth and alone(node):
        if name == "negative":
            rest, changes = _without_factors(node.inputs[0], axis, alone, depth - 1)
            return rest, [*changes, lambda total: -total]
        if name in ("multiply", "divide"):
            a, b = node.inputs
            if _is_same_along(b, node, axis):
                rest, changes = _without_factors(a, axis, alone, depth - 1)
                return rest, [*changes, lambda total: apply(name, total, _with_axes(b, node))]
            if name == "multiply" and _is_same_along(a, node, axis):
                rest, changes = _without_factors(b, axis, alone, depth - 1)
                return rest, [*changes, lambda total: apply(name, total, _with_axes(a, node))]
            of_a, changes_a = _of_factor(a, node, axis, alone, depth)
            of_b, changes_b = (
                _of_factor(b, node, axis, alone, depth) if name == "multiply" else (lambda: b, [])
            )
            if changes_a or changes_b:
                return (lambda: apply(name, of_a(), of_b())), [*changes_a, *changes_b]
    return (lambda: node), []


def _of_factor(
    factor: Node, product: Node, axis: Axes, alone: Alone, depth: int
) -> tuple[Callable[[], Any], list[Change]]:
    if factor.spec.shape != product.spec.shape or depth < 2:
        return (lambda: factor), []
    return _without_factors(factor, axis, alone, depth - 1)


def _is_same_along(factor: Node, product: Node, axis: Axes) -> bool:
    """Is a factor of a product the same all along these axes, which the product has by its other factor?"""
    shape = padded(factor.spec.shape, product.spec.ndim)
    return all(shape[n] == 1 for n in axis) and any(product.spec.shape[n] != 1 for n in axis)


def _with_axes(factor: Node, product: Node) -> Array:
    if not factor.spec.shape:
        return Array(factor)
    return reshaped(factor, padded(factor.spec.shape, product.spec.ndim))


RULES: Rules = {
    "sum": [_of_one_element, _of_stretched, _of_products],
    "mean": [_of_one_element, _of_stretched],
    "max": [_of_one_element, _of_stretched],
    "min": [_of_one_element, _of_stretched],
    "prod": [_of_one_element],
    "all": [_of_one_element, _of_stretched],
    "any": [_of_one_element, _of_stretched],
}
