"""Algebraic identities that hold bit for bit, NaN, infinities and signed zeros included.

`x * 1`, `x − 0`, `x / 1`, `−(−x)`, moves that lead back to where they began or are one move, selections
among equal things, pieces of what has just been put together. (`x + 0` is not among them: it makes +0 of −0;
`x * 0` neither: it makes NaN of infinity.)

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda x: np.stack([np.exp(x.T).T.T, -(-x) * 1])[0])(np.ones((2, 2)))
>>> print(apply_identities(graph))
lambda(x: float64[2,2]):
  %1 = permute_dims(x, axes=(1, 0))              float64[2,2]
  %2 = exp(%1)                                   float64[2,2]
  return %2
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dagexec.array import Array
from dagexec.graph import ITEM, Graph, Node
from dagexec.rewrite.rules import (
    RESHAPES,
    Alone,
    Made,
    Rules,
    apply,
    by_rules,
    may_copy,
    number_in,
    reshaped,
    stretched,
)


def apply_identities(graph: Graph) -> Graph:
    """The graph without what an algebraic identity makes superfluous; the same to the last bit."""
    return by_rules(graph, RULES)


def _same(node: Node, source: Node) -> Made:
    """What a node reads in its place, if that has its shape and dtype."""
    return (lambda: Array(source)) if source.spec == node.spec else None


# --- arithmetic -----------------------------------------------------------------------------------------
def _is(node: Node, value: float) -> bool:
    """Is a node this number, sign of zero included?"""
    number = number_in(node)
    return number is not None and number == value and np.signbit(np.real(number)) == np.signbit(value)


def _times_one(node: Node, alone: Alone) -> Made:
    a, b = node.inputs
    return _same(node, a) if _is(b, 1) else _same(node, b) if _is(a, 1) else None


def _plus_minus_zero(node: Node, alone: Alone) -> Made:
    """x + (−0) is x, for 0 + (−0) is 0; of whole numbers there is one zero only."""
    a, b = node.inputs
    zero = -0.0 if node.spec.dtype.kind == "f" else 0
    if node.spec.dtype.kind == "c":
        return None
    return _same(node, a) if _is(b, zero) else _same(node, b) if _is(a, zero) else None


def _minus_zero(node: Node, alone: Alone) -> Made:
    a, b = node.inputs
    return _same(node, a) if _is(b, 0) and node.spec.dtype.kind != "c" else None


def _over_one(node: Node, alone: Alone) -> Made:
    a, b = node.inputs
    return _same(node, a) if _is(b, 1) else None


def _twice_undone(node: Node, alone: Alone) -> Made:
    """The op applied to its own result gives back what it began with."""
    (x,) = node.inputs
    return _same(node, x.inputs[0]) if x.op is node.op else None


def _settled(node: Node, alone: Alone) -> Made:
    """The op changes nothing of what it has been applied to already."""
    (x,) = node.inputs
    return _same(node, x) if x.op is node.op else None


def _unsigned(node: Node, alone: Alone) -> Made:
    """|−x| is |x|, and (−x)² is x²."""
    (x,) = node.inputs
    negated = x.op.name == "negative" and x.spec.dtype.kind != "u"
    return (lambda: apply(node.op.name, x.inputs[0])) if negated else None


def _not_negative(node: Node, alone: Alone) -> Made:
    (x,) = node.inputs
    settled = x.op.name in ("abs", "square") and x.spec.dtype.kind == "f"
    return _same(node, x) if settled else None


def _of_real_numbers(node: Node, alone: Alone) -> Made:
    (x,) = node.inputs
    return _same(node, x) if x.spec.dtype.kind != "c" else None


def _conjugate(node: Node, alone: Alone) -> Made:
    return _of_real_numbers(node, alone) or _twice_undone(node, alone)


def _less_a_negative(node: Node, alone: Alone) -> Made:
    """a − (−b) is a + b."""
    a, b = node.inputs
    return (lambda: apply("add", a, b.inputs[0])) if _negates(b) else None


def _with_a_negative(node: Node, alone: Alone) -> Made:
    """a + (−b) is a − b, and (−a) + b is b − a."""
    a, b = node.inputs
    if _negates(b):
        return lambda: apply("subtract", a, b.inputs[0])
    return (lambda: apply("subtract", b, a.inputs[0])) if _negates(a) else None


def _both_negative(node: Node, alone: Alone) -> Made:
    """(−a) × (−b) is a × b, (−a) / (−b) is a / b."""
    a, b = node.inputs
    if _negates(a) and _negates(b):
        return lambda: apply(node.op.name, a.inputs[0], b.inputs[0])
    return None


def _negates(node: Node) -> bool:
    return node.op.name == "negative" and node.spec.dtype.kind == "f"


# --- selection ------------------------------------------------------------------------------------------
def _equal_branches(node: Node, alone: Alone) -> Made:
    _, a, b = node.inputs
    return _same(node, a) if a is b else None


def _inverted_condition(node: Node, alone: Alone) -> Made:
    condition, a, b = node.inputs
    inverts = condition.op.name == "logical_not" and condition.inputs[0].spec.dtype.kind == "b"
    return (lambda: apply("where", condition.inputs[0], b, a)) if inverts else None


# --- moves ----------------------------------------------------------------------------------------------
def _as_it_is(node: Node, alone: Alone) -> Made:
    return _same(node, node.inputs[0])


def _cast(node: Node, alone: Alone) -> Made:
    """To the dtype that it has, or back to the one that it had before it was widened."""
    (x,) = node.inputs
    if x.op.name == "astype" and x.inputs[0].spec == node.spec:
        origin, between = node.spec.dtype, x.spec.dtype
        if origin.kind == between.kind and np.can_cast(origin, between, "safe"):
            return lambda: Array(x.inputs[0])
    return _same(node, x)


def _reshape(node: Node, alone: Alone) -> Made:
    """One change of shape after another is one; none, if it leads back."""
    (x,) = node.inputs
    shape = node.spec.shape
    if x.op.name in RESHAPES and (alone(x) or not may_copy(x)):
        return lambda: reshaped(x.inputs[0], shape)
    if x.op.name in KEEPING and alone(x) and x.phase == node.phase and not x.params["keepdims"]:
        kept = tuple(
            1 if n in x.params["axis"] else length for n, length in enumerate(x.inputs[0].spec.shape)
        )
        if kept == shape:
            return lambda: apply(x.op.name, x.inputs[0], **{**x.params, "keepdims": True})
    return _same(node, x)


KEEPING = ("sum", "mean", "prod", "max", "min", "var", "logsumexp", "all", "any")


def _broadcast(node: Node, alone: Alone) -> Made:
    (x,) = node.inputs
    if x.op.name == "broadcast_to":
        return lambda: stretched(x.inputs[0], node.spec.shape)
    return _same(node, x)


def _permuted(node: Node, alone: Alone) -> Made:
    """One reordering of axes after another is one; none, if no axis moves."""
    (x,) = node.inputs
    axes = node.params["axes"]
    source = x
    if x.op.name == "permute_dims":
        source = x.inputs[0]
        axes = tuple([x.params["axes"][axis] for axis in axes])
    if axes == tuple(range(len(axes))):
        return lambda: Array(source)
    return (lambda: apply("permute_dims", source, axes=axes)) if source is not x else None


def _flipped(node: Node, alone: Alone) -> Made:
    (x,) = node.inputs
    if not node.params["axis"]:
        return _same(node, x)
    undone = x.op is node.op and x.params["axis"] == node.params["axis"]
    return _same(node, x.inputs[0]) if undone else None


# --- pieces ---------------------------------------------------------------------------------------------
def _alone_joined(node: Node, alone: Alone) -> Made:
    """Of one piece, nothing is joined; all pieces of an array, in order, are that array."""
    if len(node.inputs) == 1 and node.op.name == "concat":
        return _same(node, node.inputs[0])
    whole = _cut_from(node.inputs, CUTS[node.op.name])
    if whole is None or whole.params["axis"] != node.params["axis"]:
        return None
    return _same(node, whole.inputs[0])


CUTS = {"stack": "unstack", "concat": "split"}


def _cut_from(pieces: tuple[Node, ...], cut: str) -> Node | None:
    """The node that all results of which these are, in order."""
    if any(piece.op is not ITEM for piece in pieces):
        return None
    whole = pieces[0].inputs[0]
    if whole.op.name != cut or len(whole.spec) != len(pieces):
        return None
    for number, piece in enumerate(pieces):
        if piece.inputs[0] is not whole or piece.params["index"] != number:
            return None
    return whole


def _piece_of_stack(node: Node, alone: Alone) -> Made:
    """A result of `unstack` or `split` of what has been put together of just these."""
    cut = node.inputs[0]
    joined = cut.inputs[0] if cut.inputs else cut
    if CUTS.get(joined.op.name) != cut.op.name or joined.params["axis"] != cut.params["axis"]:
        return None
    index = node.params["index"]
    lengths = [part.spec for part in joined.inputs]
    if cut.op.name == "split" and [spec.shape for spec in lengths] != [spec.shape for spec in cut.spec]:
        return None
    return _same(node, joined.inputs[index])


def _indexed(node: Node, alone: Alone) -> Made:
    """All of it; one piece of a stack or concatenation; of something that was stretched along an axis."""
    x, *arrays = node.inputs
    if arrays:
        return None
    entries = normal_index(node.params["index"], x.spec.shape)
    if entries is None:
        return None
    if all(entry == (0, length, 1) for entry, length in zip(entries, x.spec.shape)):
        return _same(node, x)
    if x.op.name in CUTS:
        return _one_piece(node, x, entries)
    return None


def normal_index(index: tuple[Any, ...], shape: tuple[int, ...]) -> list[Any] | None:
    """For each axis a number, or (start, stop, step) of a slice; None for an index with new axes."""
    if None in index:
        return None
    if Ellipsis in index:
        place = index.index(Ellipsis)
        missing = len(shape) - len(index) + 1
        index = (*index[:place], *(slice(None),) * missing, *index[place + 1 :])
    index = (*index, *(slice(None),) * (len(shape) - len(index)))
    entries: list[Any] = []
    for entry, length in zip(index, shape):
        if isinstance(entry, slice):
            entries.append(entry.indices(length))
        elif isinstance(entry, int | np.integer) and not isinstance(entry, bool):
            entries.append(int(entry) % length)
        else:
            return None
    return entries


def _one_piece(node: Node, joined: Node, entries: list[Any]) -> Made:
    axis = joined.params["axis"]
    wanted = entries[axis]
    if joined.op.name == "stack":
        if not isinstance(wanted, int):
            return None
        piece, inner = joined.inputs[wanted], entries[:axis] + entries[axis + 1 :]
    else:
        end = 0
        for piece in joined.inputs:
            start, end = end, end + piece.spec.shape[axis]
            if isinstance(wanted, int) and start <= wanted < end:
                inner = [*entries[:axis], wanted - start, *entries[axis + 1 :]]
                break
            if wanted == (start, end, 1):
                inner = [*entries[:axis], (0, end - start, 1), *entries[axis + 1 :]]
                break
        else:
            return None
    if piece.spec.dtype != node.spec.dtype:
        return None
    if all(entry == (0, length, 1) for entry, length in zip(inner, piece.spec.shape)):
        return lambda: Array(piece)
    if any(isinstance(entry, tuple) and entry[2] < 0 for entry in inner):
        return None
    index = tuple([slice(*entry) if isinstance(entry, tuple) else entry for entry in inner])
    return lambda: apply("getitem", piece, index=index)


RULES: Rules = {
    "multiply": [_times_one, _both_negative],
    "divide": [_over_one, _both_negative],
    "add": [_plus_minus_zero, _with_a_negative],
    "subtract": [_minus_zero, _less_a_negative],
    "negative": [_twice_undone],
    "positive": [_as_it_is],
    "abs": [_unsigned, _not_negative],
    "square": [_unsigned],
    "real": [_of_real_numbers],
    "conj": [_conjugate],
    "floor": [_settled],
    "ceil": [_settled],
    "trunc": [_settled],
    "rint": [_settled],
    "where": [_equal_branches, _inverted_condition],
    "astype": [_cast],
    "reshape": [_reshape],
    "expand_dims": [_reshape],
    "squeeze": [_reshape],
    "broadcast_to": [_broadcast],
    "permute_dims": [_permuted],
    "flip": [_flipped],
    "stack": [_alone_joined],
    "concat": [_alone_joined],
    "item": [_piece_of_stack],
    "getitem": [_indexed],
}
