"""Factors meet where it costs least: numbers among each other, small arrays before large ones.

`a × (2 × x)` with an `a` that is smaller than x is `(a × 2) × x`, one pass over x instead of two; with
numbers c and d, `c × (d × x)` is `(c d) × x`: so a chain of them, as derivatives leave them, becomes one
factor. A number in front of a matrix product goes to the smaller matrix. Signs go outwards, to where a sum or
a difference takes them up. What is multiplied in another order is rounded differently.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: 0.5 * (3 * x) / 4)(np.ones(3))
>>> print(gather_factors(graph))
lambda(x: float64[3]):
  %2 = multiply(x, 0.375)                        float64[3]
  return %2
"""

from __future__ import annotations

import numpy as np

from dagexec.graph import Graph, Node
from dagexec.rewrite.rules import Alone, Made, Rules, apply, by_rules, is_float, number_in

MODERATE = float(2**40)  # a number that large, or its reciprocal, leaves what it multiplies in range


def gather_factors(graph: Graph) -> Graph:
    """The graph with the factors of products joined where that takes fewer operations; to rounding."""
    return by_rules(graph, RULES)


def _operands(node: Node) -> tuple[tuple[Node, Node], ...]:
    a, b = node.inputs
    return (a, b), (b, a)


def _joined_factors(node: Node, alone: Alone) -> Made:
    """v × (c × x) is x × (v × c), where c is a number, and v one or an array that is smaller than x."""
    if not is_float(node):
        return None
    for factor, product in _operands(node):
        if product.op.name != "multiply" or not alone(product):
            continue
        if number_in(factor) is None and factor.spec.size >= node.spec.size:
            continue
        for number, large in _operands(product):
            if number_in(number) is not None and large.spec.shape == node.spec.shape:
                together = _together(factor, number, alone)
                return together and (lambda: apply("multiply", large, together()))  # noqa: B023
    return None


def _together(factor: Node, number: Node, alone: Alone) -> Made:
    """A factor times a number; None where that might leave the range of normal numbers."""
    c, other = number_in(number), number_in(factor)
    if other is not None:
        with np.errstate(all="ignore"):
            size = abs(c * other)
        within = np.finfo(size.dtype).tiny <= size <= np.finfo(size.dtype).max
        return (lambda: apply("multiply", factor, number)) if within else None
    if not 1 / MODERATE <= abs(c) <= MODERATE:
        return None
    if factor.op.name == "multiply" and alone(factor):
        for inner, rest in _operands(factor):
            if number_in(inner) is not None and rest.spec.shape == factor.spec.shape:
                both = _together(inner, number, alone)
                return both and (lambda: apply("multiply", rest, both()))  # noqa: B023
    return lambda: apply("multiply", factor, number)


def _by_reciprocal(node: Node, alone: Alone) -> Made:
    """x / 4 is x × 0.25, bit for bit, as for every power of two; a division takes longer."""
    x, divisor = node.inputs
    number = number_in(divisor)
    if (
        number is None
        or not is_float(node)
        or divisor.spec.dtype != node.spec.dtype
        or x.spec.dtype != node.spec.dtype
    ):
        return None
    mantissa, exponent = np.frexp(number)
    if abs(mantissa) != 0.5 or abs(exponent) > 100:
        return None
    return lambda: apply("multiply", x, 1 / number)


def _sign_outwards(node: Node, alone: Alone) -> Made:
    """(−a) × b is −(a × b), and (−a) × 2 is a × −2."""
    if not is_float(node):
        return None
    for negative, other in _operands(node) if node.op.name == "multiply" else (node.inputs,):
        if negative.op.name != "negative" or not alone(negative):
            continue
        number = number_in(other)
        if number is not None:
            return lambda: apply(node.op.name, negative.inputs[0], -number)
        if negative.spec.shape == node.spec.shape and node.phase == "backward":
            operands = [source.inputs[0] if source is negative else source for source in node.inputs]
            return lambda: -apply(node.op.name, *operands)
    return None


def _negated_product(node: Node, alone: Alone) -> Made:
    """−(x × 2) is x × −2; of a product of arrays the smaller one is negated."""
    (x,) = node.inputs
    if x.op.name not in ("multiply", "divide") or not is_float(node) or not alone(x):
        return None
    a, b = x.inputs
    number = number_in(b)
    if number is not None:
        return lambda: apply(x.op.name, a, -number)
    number = number_in(a)
    if number is not None:
        return lambda: apply(x.op.name, -number, b)
    if 2 * b.spec.size <= x.spec.size:
        return lambda: apply(x.op.name, a, apply("negative", b))
    return (lambda: apply(x.op.name, apply("negative", a), b)) if 2 * a.spec.size <= x.spec.size else None


def _into_matrix_product(node: Node, alone: Alone) -> Made:
    """c × (A @ B) is (c × A) @ B, if A has at most half as many elements as the product."""
    if not is_float(node):
        return None
    for factor, product in _operands(node) if node.op.name == "multiply" else (node.inputs[::-1],):
        if product.op.name != "matmul" or number_in(factor) is None or not alone(product):
            continue
        a, b = product.inputs
        if 2 * min(a.spec.size, b.spec.size) > node.spec.size or node.spec.dtype != product.spec.dtype:
            return None
        if a.spec.size <= b.spec.size:
            return lambda: apply("matmul", apply(node.op.name, a, factor), b)
        return lambda: apply("matmul", a, apply(node.op.name, b, factor))
    return None


RULES: Rules = {
    "multiply": [_sign_outwards, _joined_factors, _into_matrix_product],
    "divide": [_sign_outwards, _by_reciprocal, _into_matrix_product],
    "negative": [_negated_product],
}
