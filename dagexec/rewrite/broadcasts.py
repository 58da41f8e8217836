"""Broadcasts come last: what is computed of a stretched array is computed of the array, and stretched then.

An elementwise op stretches its inputs itself, so none need be stretched for it. If all its inputs are smaller
than its result, the op is done on them as they are: on one number instead of thousands. Moves and indices go
past a broadcast in the same way. The same to the last bit.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x, y: np.exp(np.broadcast_to(x, (4, 3)).T) * y)(np.ones(3), np.ones((3, 4)))
>>> print(sink_broadcasts(graph))
lambda(x: float64[3], y: float64[3,4]):
  %2 = reshape(x, shape=(3, 1))                  float64[3,1]
  %3 = exp(%2)                                   float64[3,1]
  %4 = multiply(%3, y)                           float64[3,4]
  return %4
"""

from __future__ import annotations

from math import prod
from typing import Any

from dagexec.array import Array
from dagexec.graph import Graph, Node
from dagexec.ops import TABLE
from dagexec.ops.table import broadcast_shapes
from dagexec.rewrite.identities import normal_index
from dagexec.rewrite.rules import Alone, Made, Rules, apply, by_rules, padded, reshaped, stretched


def sink_broadcasts(graph: Graph) -> Graph:
    """The graph with broadcasts as late as they can be, and none where the reader stretches by itself."""
    return by_rules(graph, RULES)


def is_stretched(node: Node) -> bool:
    """Is a node another one broadcast to a larger shape?"""
    return node.op.name == "broadcast_to"


def _elementwise(node: Node, alone: Alone) -> Made:
    inputs = [source.inputs[0] if is_stretched(source) else source for source in node.inputs]
    if inputs == [*node.inputs]:
        return None
    shape = broadcast_shapes(*[source.spec.shape for source in inputs])
    if prod(shape) == node.spec.size and shape != node.spec.shape:
        return None  # only axes of length one are missing
    return lambda: stretched(apply(node.op.name, *inputs, **node.params), node.spec.shape)


def _small(node: Node) -> tuple[Node, tuple[int, ...]]:
    """What a broadcast node stretches, and the shape that it has with as many axes as the result."""
    (x,) = node.inputs
    return x, padded(x.spec.shape, node.spec.ndim)


def _permuted(node: Node, alone: Alone) -> Made:
    (source,) = node.inputs
    if not is_stretched(source):
        return None
    x, small = _small(source)
    axes = node.params["axes"]
    if all(small[axis] == 1 for axis in axes) or _in_order(axes, small):
        target = tuple([small[axis] for axis in axes])
        return lambda: stretched(reshaped(x, target), node.spec.shape)
    return lambda: stretched(apply("permute_dims", reshaped(x, small), axes=axes), node.spec.shape)


def _in_order(axes: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Do the axes that are longer than one stay in their order?"""
    longer = [axis for axis in axes if shape[axis] != 1]
    return longer == sorted(longer)


def _reshaped(node: Node, alone: Alone) -> Made:
    """Axes of length one come or go before the array is stretched, and a single number has any shape."""
    (source,) = node.inputs
    if not is_stretched(source):
        return None
    x, small = _small(source)
    shape = node.spec.shape
    if x.spec.size == 1:
        return lambda: stretched(reshaped(x, ()), shape)
    long = [(length, full) for length, full in zip(small, source.spec.shape) if full != 1]
    if [full for _, full in long] != [full for full in shape if full != 1]:
        return None
    lengths = iter([length for length, _ in long])
    target = tuple([1 if full == 1 else next(lengths) for full in shape])
    return lambda: stretched(reshaped(x, target), shape)


def _indexed(node: Node, alone: Alone) -> Made:
    """Of an axis that was stretched, any element is the only one that there was."""
    source, *arrays = node.inputs
    if arrays or not is_stretched(source) or not node.spec.size:
        return None
    entries = normal_index(node.params["index"], source.spec.shape)
    if entries is None:
        return None
    x, small = _small(source)
    index: list[Any] = []
    for entry, length, full in zip(entries, small, source.spec.shape):
        if isinstance(entry, int):
            index.append(0 if length != full else entry)
        elif entry == (0, full, 1) or length != full:
            index.append(slice(None))
        elif entry[2] > 0:
            index.append(slice(*entry))
        else:
            return None
    return lambda: stretched(_taken(x, small, tuple(index)), node.spec.shape)


def _taken(x: Node, small: tuple[int, ...], index: tuple[Any, ...]) -> Array:
    """`reshape(x, small)[index]`; without an index where it picks the only element of some axes."""
    if all(entry == slice(None) or length == 1 for entry, length in zip(index, small)):
        return reshaped(x, tuple([n for entry, n in zip(index, small) if entry == slice(None)]))
    return apply("getitem", reshaped(x, small), index=index)


def _product_with_rows(node: Node, alone: Alone) -> Made:
    """Equal rows of the first matrix make equal rows of the product: one is enough."""
    a, b = node.inputs
    if not is_stretched(a) or a.spec.ndim < 2 or b.spec.ndim != 2:
        return None
    x, small = _small(a)
    if small[-2] != 1 or small[-1] != a.spec.shape[-1] or prod(small[:-2]) != 1 or a.spec.shape[-2] == 1:
        return None
    return lambda: stretched(apply("matmul", reshaped(x, small[-2:]), b), node.spec.shape)


RULES: Rules = {
    **{name: [_elementwise] for name, op in TABLE.items() if op.family == "elementwise"},
    "permute_dims": [_permuted],
    "reshape": [_reshaped],
    "expand_dims": [_reshaped],
    "squeeze": [_reshaped],
    "getitem": [_indexed],
    "matmul": [_product_with_rows],
}
