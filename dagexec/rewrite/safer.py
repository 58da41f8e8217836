"""Forms that stay accurate where the formula that was written overflows, underflows or cancels.

| written | computed |
|---|---|
| log(1 + x), exp(x) − 1 | log1p(x), expm1(x) |
| log(exp(x)) | x |
| log(1 + exp(x)) | softplus(x) |
| log(sum(exp(x))) | logsumexp(x) |
| exp(x) / sum(exp(x)), and its logarithm | the same of x − max(x); x − logsumexp(x) |
| log(1 / (1 + exp(x))) | −softplus(x) |
| 1 − 1 / (1 + exp(x)) | exp(x) / (1 + exp(x)), of exponentials that are no infinity |
| sqrt(x²) | abs(x) |

Their derivatives are known as well: `g / (1 + exp(x)) * exp(x)` is infinity by infinity for large x where the
derivative of log(1 + exp(x)) is 1. Values of moderate size change in the last bits.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: np.log(np.sum(np.exp(x))))(np.ones(2)).backward()
>>> with np.errstate(all="ignore"):
...     print(*dagexec.run(graph, np.array([0.0, 1000.0]), rewrites=()))
inf [ 0. nan]
>>> print(*dagexec.run(compute_safely(graph), np.array([0.0, 1000.0]), rewrites=()))
1000.0 [0. 1.]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dagexec.array import Array
from dagexec.graph import Graph, Node
from dagexec.ops.reductions import reduced_shape
from dagexec.rewrite.rules import Alone, Made, Rules, apply, by_rules, is_float, number_in, padded

HUGE = float(2**60)  # h / (1 + h) is 1 to the last bit, in single and double precision


def compute_safely(graph: Graph) -> Graph:
    """The graph with numerically safer forms, at least as accurate wherever the written ones are exact."""
    return by_rules(graph, RULES)


def _is(name: str, node: Node) -> bool:
    return node.op.name == name and is_float(node)


# --- one plus exp(x) ----------------------------------------------------------------------------------
def _more_than_one(node: Node) -> Node | None:
    """The x of 1 + x."""
    if node.op.name == "add" and is_float(node):
        for one, x in (node.inputs, node.inputs[::-1]):
            if number_in(one) == 1 and x.spec == node.spec:
                return x
    return None


def _logistic(node: Node) -> Node | None:
    """The x of 1 / (1 + exp(x))."""
    if _is("divide", node) and number_in(node.inputs[0]) == 1:
        below = _more_than_one(node.inputs[1])
        if below is not None and below.op.name == "exp":
            return below.inputs[0]
    return None


def _share(e: Node) -> Array:
    """e / (1 + e), also of an infinite e: to within rounding it is 1 long before that."""
    limited = apply("minimum", e, HUGE)
    return limited / (1 + limited)


def _of_share(node: Node) -> Node | None:
    """The e of a share that has been made by `_share`."""
    if _is("divide", node) and node.inputs[0].op.name == "minimum":
        limited = node.inputs[0]
        if number_in(limited.inputs[1]) == HUGE and _more_than_one(node.inputs[1]) is limited:
            return limited.inputs[0]
    return None


def _one_less(node: Node, alone: Alone) -> Made:
    a, b = node.inputs
    if not is_float(node):
        return None
    if number_in(b) == 1 and a.op.name == "exp" and a.spec == node.spec:
        return lambda: apply("expm1", a.inputs[0])
    if number_in(a) == 1 and b.spec == node.spec and _logistic(b) is not None:
        return lambda: _share(_exponential_in(b))
    return None


def _exponential_in(logistic: Node) -> Node:
    e = _more_than_one(logistic.inputs[1])
    assert e is not None
    return e


# --- sums of exponentials -----------------------------------------------------------------------------
MOVES = ("reshape", "expand_dims", "broadcast_to", "getitem", "scatter_add")


def _summed(node: Node) -> Node | None:
    """The node that sums exp(x), if this is it with its axes kept, or left of length one."""
    total = node
    while _only_moves(total):
        (total,) = total.inputs
    if not _is("sum", total) or total.inputs[0].op.name != "exp" or _is_shifted(total.inputs[0].inputs[0]):
        return None
    e = total.inputs[0].spec
    kept = reduced_shape(e.shape, total.params["axis"], True)
    fits = node is total or padded(node.spec.shape, e.ndim) == kept
    return total if fits and e.dtype == total.spec.dtype else None


def _only_moves(node: Node) -> bool:
    """Has a node all elements of the one that it reads, in the same order?"""
    one_to_one = len(node.inputs) == 1 and node.spec.size == node.inputs[0].spec.size
    return node.op.name in MOVES and one_to_one


def _is_shifted(x: Node) -> bool:
    """Has x its largest element subtracted from it, or something made of that?"""
    if x.op.name != "subtract":
        return False
    shift = x.inputs[1]
    for _ in range(6):
        if shift.op.name in ("max", "logsumexp"):
            return True
        if not shift.inputs:
            return False
        shift = shift.inputs[1 if shift.op.name == "where" else 0]
    return False


def _softmax(total: Node) -> Array:
    """exp(x) / sum(exp(x)) with the largest x as zero."""
    (x,) = total.inputs[0].inputs
    axes = {"axis": total.params["axis"], "keepdims": True}
    e = apply("exp", apply("subtract", x, apply("max", x, **axes)))
    return e / apply("sum", e, **axes)


def _ratio(node: Node, alone: Alone) -> Made:
    e, below = node.inputs
    if not is_float(node) or e.op.name != "exp" or not e.spec.size or node.spec != e.spec:
        return None
    total = _summed(below)
    if total is not None and total.inputs[0] is e and _rows(below, total):
        return lambda: _softmax(total)
    if _more_than_one(below) is e:
        return lambda: _share(e)
    return None


def _rows(below: Node, total: Node) -> bool:
    """Does a divisor of exp(x) hold for each row its sum?"""
    e = total.inputs[0].spec
    return padded(below.spec.shape, e.ndim) == reduced_shape(e.shape, total.params["axis"], True)


def _softmax_of(node: Node) -> tuple[Node, dict[str, Any]] | None:
    """x and axes of a softmax that has been made by `_softmax`."""
    if not _is("divide", node):
        return None
    e, total = node.inputs
    if e.op.name != "exp" or total.op.name != "sum" or total.inputs[0] is not e:
        return None
    shifted = e.inputs[0]
    if shifted.op.name != "subtract" or not total.params["keepdims"]:
        return None
    x, top = shifted.inputs
    if top.op.name != "max" or top.inputs[0] is not x or top.params["axis"] != total.params["axis"]:
        return None
    return x, {"axis": total.params["axis"], "keepdims": True}


# --- logarithms ---------------------------------------------------------------------------------------
def _log(node: Node, alone: Alone) -> Made:
    (x,) = node.inputs
    if not is_float(x):
        return None
    if x.op.name == "exp":
        return lambda: Array(x.inputs[0])
    if x.op.name == "sum":
        total = _summed(x)
        if total is not None and total.inputs[0].spec.size:
            return lambda: apply("logsumexp", total.inputs[0].inputs[0], **total.params)
        return None
    if x.op.name == "divide":
        return _log_of_ratio(x)
    other = _more_than_one(x)
    if other is None:
        return None
    if other.op.name == "exp":
        return lambda: apply("softplus", other.inputs[0])
    return lambda: apply("log1p", other)


def _log_of_ratio(x: Node) -> Made:
    inner = _logistic(x)
    if inner is not None:
        return lambda: -apply("softplus", inner)
    e = _of_share(x)
    if e is not None and e.op.name == "exp":
        return lambda: -apply("softplus", -Array(e.inputs[0]))
    found = _softmax_of(x)
    if found is not None:
        origin, axes = found
        return lambda: Array(origin) - apply("logsumexp", origin, **axes)
    return None


def _log1p(node: Node, alone: Alone) -> Made:
    (x,) = node.inputs
    return (lambda: apply("softplus", x.inputs[0])) if _is("exp", x) else None


def _root_of_square(node: Node, alone: Alone) -> Made:
    (x,) = node.inputs
    if not is_float(x):
        return None
    squares = x.op.name == "square" or (x.op.name == "multiply" and x.inputs[0] is x.inputs[1])
    return (lambda: apply("abs", x.inputs[0])) if squares else None


# --- derivatives: something divided by what exp(x) is part of, times exp(x) ----------------------------
def _times_exponential(node: Node, alone: Alone) -> Made:
    """`(g / (1 + e)) * e` and `(g / sum(e)) * e`, whatever else is multiplied, added or moved between."""
    if not is_float(node) or node.phase != "backward":
        return None
    for factor, e in (node.inputs, node.inputs[::-1]):
        if e.op.name == "exp" and e.spec == node.spec and e.spec.size:
            found = _divisor(factor, lambda below: _contains(below, e))  # noqa: B023
            rest = None if found is None else _times(factor, found)
            if found is not None and rest is not None:
                return _times_share(rest, found, e)
    return _quotient_times_divisor(node)


def _times_share(rest: Callable[[], Array], divisor: Node, e: Node) -> Made:
    """A product with e divided by what it is part of."""
    total = _summed(divisor)
    if total is None:
        return lambda: _product(rest().node, _share(e), lambda below: _of_share(below) is e)
    of_this = (e.inputs[0], {"axis": total.params["axis"], "keepdims": True})
    return lambda: _product(rest().node, _softmax(total), lambda below: _softmax_of(below) == of_this)


def _product(node: Node, share: Array, is_share: Callable[[Node], bool]) -> Array:
    """`node * share`, where what is divided by just that share is not divided instead."""
    found = _divisor(node, is_share)
    if found is not None and node.op.name in ("add", "subtract"):
        return apply(node.op.name, *[_product(part, share, is_share) for part in node.inputs])
    undivided = None if found is None else _times(node, found)
    return Array(node) * share if undivided is None else undivided()


def _contains(below: Node, e: Node) -> bool:
    """Is a divisor 1 + e or sum(e)?"""
    total = _summed(below)
    return (total is not None and total.inputs[0] is e) or _more_than_one(below) is e


def _divisor(factor: Node, wanted: Callable[[Node], bool], depth: int = 6) -> Node | None:
    """What something in `factor` is divided by, if it is what is wanted."""
    name = factor.op.name
    if not depth or not is_float(factor):
        return None
    if name == "divide" and wanted(factor.inputs[1]):
        return factor.inputs[1]
    if name in ("divide", "negative", "sum", *MOVES):
        return _divisor(factor.inputs[0], wanted, depth - 1)
    if name in ("add", "subtract", "multiply"):
        a, b = factor.inputs
        return _divisor(a, wanted, depth - 1) or _divisor(b, wanted, depth - 1)
    return None


def _times(node: Node, divisor: Node, depth: int = 12) -> Callable[[], Array] | None:
    """What computes `node * divisor` by dividing less: None where it is not divided by that."""
    if not depth or not is_float(node):
        return None
    name, inputs = node.op.name, node.inputs
    if name == "divide" and _same_divisor(inputs[1], divisor):
        return lambda: _filled(inputs[0], node)
    if name in ("add", "subtract"):
        both = [_times(source, divisor, depth - 1) for source in inputs]
        return None if None in both else lambda: apply(name, *[one() for one in both if one])
    if name in ("multiply", "divide"):
        above = _times(inputs[0], divisor, depth - 1)
        if above is not None:
            return lambda: apply(name, above(), inputs[1])
        other = _times(inputs[1], divisor, depth - 1) if name == "multiply" else None
        return None if other is None else lambda: apply(name, inputs[0], other())
    stays = name in ("negative", "broadcast_to") or _only_moves(node)
    if stays or (name == "sum" and _is_same_along(divisor, node)):
        inner = _times(inputs[0], divisor, depth - 1)
        return None if inner is None else lambda: apply(name, inner(), **node.params)
    return None


def _same_divisor(found: Node, divisor: Node) -> bool:
    """Is it the same, or the same sum with axes of length one more or less?"""
    return found is divisor or (_summed(found) is not None and _summed(found) is _summed(divisor))


def _filled(x: Node, like: Node) -> Array:
    """x in the shape that it had after the division."""
    return Array(x) if x.spec.shape == like.spec.shape else apply("broadcast_to", x, shape=like.spec.shape)


def _is_same_along(divisor: Node, total: Node) -> bool:
    """Is a divisor, a sum, the same all along the axes of another sum?"""
    summed = _summed(divisor)
    return summed is not None and summed.params["axis"] == total.params["axis"]


def _quotient_times_divisor(node: Node) -> Made:
    """(g / y) × y is g: where y is 0 it would be infinity by 0."""
    for quotient, y in (node.inputs, node.inputs[::-1]):
        negated = quotient.op.name == "negative"
        divided = quotient.inputs[0] if negated else quotient
        if divided.op.name != "divide" or divided.inputs[1] is not y or divided.spec != node.spec:
            continue
        g = divided.inputs[0]
        return lambda: -_filled(g, node) if negated else _filled(g, node)
    return None


RULES: Rules = {
    "log": [_log],
    "log1p": [_log1p],
    "sqrt": [_root_of_square],
    "subtract": [_one_less],
    "divide": [_ratio],
    "multiply": [_times_exponential],
}
