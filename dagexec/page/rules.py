"""The gradient rule of an op as text: what the rule does when it is run on letters.

A rule of the op table is array code. It is run on Arrays named `g` (the cotangent of the result), `y` (the
result) and what the rule itself calls its inputs, and the nodes that it makes are written down as a formula.
So the text cannot differ from the rule. A rule that makes more than a formula's worth of nodes, or none at
all from letters alone, is shown by its source.

>>> import numpy as np, dagexec
>>> graph = dagexec.trace(lambda a, b: np.tanh(a * b))(np.ones(3), np.ones(3))
>>> print(rule_text(graph.nodes[-2]))
y = multiply(a, b)
∂a = g · b
∂b = g · a
>>> print(rule_text(graph.nodes[-1]))
y = tanh(x)
∂x = g · (1 − y²)
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dagexec import ops, xp
from dagexec.array import Array, Trace, recording
from dagexec.draw.labels import index_text, is_transpose, number, printable
from dagexec.graph import CONSTANT, INPUT, ITEM, Graph, Node, Spec, is_scalar_constant
from dagexec.ops import specs_of

LONGEST_FORMULA = 160  # characters; of what is longer the source says more
LONGEST_PARAMETER = 24
MOST_LINES = 16  # of a rule's source
GIVEN = 3  # arguments of a rule before the inputs: xp, g, y
BINARY = {
    "add": (" + ", 1),
    "subtract": (" − ", 1),
    "multiply": (" · ", 2),
    "divide": (" / ", 2),
    "matmul": (" @ ", 2),
}
SUPERSCRIPTS = {"square": "²", "matrix_transpose": "ᵀ", "reciprocal": "⁻¹"}
ATOM = 4  # how tightly a name binds


def rule_text(node: Node) -> str | None:
    """How the gradients for the inputs of `node` are made from that of its result; None if no gradient flows.

    A line says what the letters stand for, then there is one for each input that has a rule.
    """
    rules = node.op.vjp
    if not rules or not any(spec.dtype.kind in "fc" for spec in specs_of(node)):
        return None
    try:
        heading, *formulas = _formulas(node)
        return "\n".join([heading, *formulas]) if formulas else None
    except Exception:  # the letters' shapes say less than real values: the rule may not run on them
        return _source(rules if callable(rules) else next((rule for rule in rules if rule is not None), None))


def _formulas(node: Node) -> Iterator[str]:
    names = _names(node)
    inputs = [Node(INPUT, spec=source.spec, name=name) for source, name in zip(node.inputs, names)]
    y, g = _letters("y", node), _letters("g", node)
    given = [*inputs, *(array.node for letters in (y, g) for array in letters)]
    one_result = not isinstance(node.spec, tuple)
    with recording(Trace(given)):
        shares = list(_shares(node, g[0] if one_result else g, y[0] if one_result else y, inputs))
    written = ", ".join([*names, *parameters_text(node)])
    yield f"{', '.join(array.node.name for array in y)} = {node.op.name}({written})"
    for name, share in zip(names, shares):
        if share is not None:
            yield f"∂{name} = {_formula(share.node)}"


class _Letters(tuple[Array, ...]):
    """The results of a node, or their cotangents, as Arrays with names; a rule may ask for the node."""

    node: Node


def _letters(name: str, node: Node) -> _Letters:
    specs = specs_of(node)
    names = [name] if len(specs) == 1 else [f"{name}{place}" for place in range(len(specs))]
    letters = _Letters(Array(Node(INPUT, spec=spec, name=letter)) for spec, letter in zip(specs, names))
    letters.node = node
    return letters


def _shares(node: Node, g: Any, y: Any, inputs: Sequence[Node]) -> Iterator[Any]:
    rules, arrays = node.op.vjp, [Array(source) for source in inputs]
    if callable(rules):
        yield from rules(xp, g, y, *arrays, **node.params)
        return
    for rule, source in zip(rules, inputs):
        flows = rule is not None and isinstance(source.spec, Spec) and source.spec.dtype.kind in "fc"
        yield rule(xp, g, y, *arrays, **node.params) if flows and rule is not None else None


def _names(node: Node) -> list[str]:
    """What the rule calls its inputs; numbered where it takes any number of them."""
    rules = node.op.vjp
    rule = rules if callable(rules) else next(rule for rule in rules if rule is not None)
    given = inspect.signature(rule).parameters.values()
    names = [entry.name for entry in given if entry.kind is entry.POSITIONAL_OR_KEYWORD][GIVEN:]
    count = len(node.inputs)
    if len(names) >= count and len(set(names[:count])) == count:
        return [name.lstrip("_") or f"x{place}" for place, name in enumerate(names[:count])]
    return [f"x{place}" for place in range(count)]


def parameters_text(node: Node, longest: int = LONGEST_PARAMETER) -> list[str]:
    """The static parameters as they are written in a call: `axis=(0,)`; indices as between brackets."""
    return [
        f"{key}={printable(_parameter_text(key, value), longest)}"
        for key, value in node.params.items()
        if not isinstance(value, np.ndarray)
    ]


def _parameter_text(key: str, value: Any) -> str:
    if key == "index" and isinstance(value, tuple):
        return f"[{index_text(value)}]"
    if key == "indices":
        return " ".join(f"[{index_text(index)}]" for index in value)
    return value.name if isinstance(value, Graph) else str(value)


# --- nodes as a formula ---------------------------------------------------------------------------------
def _formula(node: Node) -> str:
    text = _written(node)[0]
    if len(text) > LONGEST_FORMULA:
        raise ValueError("too long")
    return text


def _written(node: Node) -> tuple[str, int]:
    """The formula of a node, and how tightly its outermost operator binds."""
    if node.op is INPUT:
        return node.name, ATOM
    if is_scalar_constant(node):
        return number(node.params["value"]).replace("-", "−"), ATOM
    if node.op is CONSTANT:
        return "constant", ATOM
    terms = [_written(source) for source in node.inputs]
    if sum(len(text) for text, _ in terms) > LONGEST_FORMULA:
        raise ValueError("too long")
    name = node.op.name
    if name in BINARY:
        sign, level = BINARY[name]
        right = level + (name in ("subtract", "divide", "matmul"))
        return sign.join((_within(terms[0], level), _within(terms[1], right))), level
    if name == "negative":
        return f"−{_within(terms[0], 2)}", 2
    if name in SUPERSCRIPTS or is_transpose(node):
        return _within(terms[0], ATOM) + SUPERSCRIPTS.get(name, "ᵀ"), ATOM
    if name == "getitem" and len(terms) == 1:
        return f"{_within(terms[0], ATOM)}[{index_text(node.params['index'])}]", ATOM
    if node.op is ITEM:
        return f"{_within(terms[0], ATOM)}[{node.params['index']}]", ATOM
    return f"{name}({', '.join([*(text for text, _ in terms), *parameters_text(node)])})", ATOM


def _within(term: tuple[str, int], level: int) -> str:
    text, binds = term
    return text if binds >= level else f"({text})"


def _source(rule: Callable[..., Any] | None) -> str | None:
    """The source of a rule, as it stands in the op table; None for one that does not stand there."""
    if not getattr(rule, "__module__", "").startswith(ops.__name__):
        return None
    try:
        lines = textwrap.dedent(inspect.getsource(rule)).rstrip().splitlines()  # type: ignore[arg-type]
    except (OSError, TypeError):
        return None
    return "\n".join(lines[:MOST_LINES] + ["…"] * (len(lines) > MOST_LINES))
