"""A rule as text: read as Python, it gives what the rule of the op table gives."""

from __future__ import annotations

import re

import numpy as np
import pytest

import dagexec
from dagexec import nn, xp
from dagexec.graph import Node
from dagexec.ops import TABLE
from dagexec.page.rules import rule_text

A, B, SQUARE, STACK = np.ones((2, 3)), np.ones((3, 2)), np.ones((3, 3)), np.ones((2, 2, 3))
APPLIED = {  # the op that comes last in each is looked at
    **{
        name: (getattr(xp, name), A)
        for name in ("negative", "square", "sqrt", "reciprocal", "exp", "expm1", "log", "log1p", "sin", "cos")
    },
    **{name: (getattr(xp, name), A) for name in ("tan", "sinh", "cosh", "tanh", "asin", "atan", "abs")},
    **{
        name: (getattr(xp, name), A, A)
        for name in ("add", "subtract", "multiply", "divide", "pow", "maximum", "minimum", "hypot", "atan2")
    },
    "matmul": (lambda a, b: a @ b, A, B),
    "matmul of stacks": (lambda a, b: a @ b, STACK, np.ones((2, 3, 2))),
    "sum": (lambda a: xp.sum(a, axis=0), A),
    "mean": (lambda a: xp.mean(a, axis=1, keepdims=True), A),
    "max": (lambda a: xp.max(a, axis=1, keepdims=True), A),
    "reshape": (lambda a: xp.reshape(a, (3, 2)), A),
    "permute_dims": (lambda a: xp.permute_dims(a, (2, 0, 1)), STACK),
    "transpose": (lambda a: a.T, A),
    "broadcast_to": (lambda a: xp.broadcast_to(a, (4, 2, 3)), A),
    "expand_dims": (lambda a: xp.expand_dims(a, axis=1), A),
    "getitem": (lambda a: a[1, :2], A),
}


def last_node(fn, *examples) -> Node:
    return dagexec.trace(fn)(*examples).nodes[-1]


def as_python(formula):
    """The formula in Python's signs."""
    formula = formula.replace("·", "*").replace("−", "-").replace("²", "**2").replace("⁻¹", "**-1.0")
    return re.sub("indices=(\\[.*?\\])", r"indices=(INDEX\1,)", formula.replace("ᵀ", ".mT"))


class Index:
    """Gives back what stands between its brackets, as the op table wants it."""

    def __getitem__(self, index):
        return index if isinstance(index, tuple) else (index,)


def at_once(name):
    return lambda *operands, **params: TABLE[name].kernel(np, **params)(*operands)


KNOWN = {name: at_once(name) for name in TABLE} | {"INDEX": Index(), "float64": np.float64}


@pytest.mark.parametrize("name", APPLIED)
def test_the_text_computes_what_the_rule_computes(name):
    node = last_node(*APPLIED[name])
    heading, *formulas = rule_text(node).splitlines()
    assert re.fullmatch(rf"y = {node.op.name}\(.*\)", heading)
    random = np.random.default_rng(3)
    letters = heading.partition("(")[2].rstrip(")").split(", ")[: len(node.inputs)]
    values = {letter: random.uniform(0.2, 0.8, one.spec.shape) for letter, one in zip(letters, node.inputs)}
    y = node.op.kernel(np, **node.params)(*values.values())
    g = random.normal(size=y.shape)
    assert [line.partition(" = ")[0] for line in formulas] == [f"∂{letter}" for letter in letters]
    rules = node.op.vjp
    given = xp, g, y, *values.values()
    shares = (
        rules(*given, **node.params) if callable(rules) else [rule(*given, **node.params) for rule in rules]
    )
    for line, expected in zip(formulas, shares):
        found = eval(as_python(line.partition(" = ")[2]), {}, KNOWN | values | {"g": g, "y": y})
        np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-3)  # its constants have few digits


def test_mathematics_is_written_as_such():
    graph = dagexec.trace(lambda a, b: np.tanh(a) / (a @ b))(SQUARE, SQUARE)
    texts = {node.op.name: rule_text(node) for node in graph.nodes}
    assert texts["input"] is None
    assert texts["tanh"].splitlines()[1] == "∂x = g · (1 − y²)"
    assert texts["matmul"].splitlines()[1:] == ["∂a = g @ bᵀ", "∂b = aᵀ @ g"]
    assert texts["divide"].splitlines() == ["y = divide(a, b)", "∂a = g / b", "∂b = −g · y / b"]


def test_brackets_stand_where_they_must():
    @dagexec.custom_vjp
    def same(x):
        return x * 1

    same.defvjp(lambda x: (same(x), x), lambda x, g: ((g - (x - g)) / (x / g) @ (g.T @ -(x * g)) ** 2,))
    node = next(node for node in dagexec.trace(same)(SQUARE).nodes if node.op.name == "custom_vjp")
    text = rule_text(node).splitlines()[1].partition(" = ")[2]
    x, g = np.random.default_rng(0).uniform(1, 2, size=(2, 3, 3))
    expected = (g - (x - g)) / (x / g) @ (g.T @ -(x * g)) ** 2
    found = eval(as_python(text), {}, KNOWN | {"x1": x, "g": g})
    np.testing.assert_allclose(found, expected)


def test_an_op_without_gradient_has_no_rule():
    assert rule_text(last_node(lambda x: x > 0, A)) is None
    assert rule_text(last_node(lambda x: xp.astype(x, xp.int64), A)) is None


def test_what_is_no_formula_is_shown_as_it_stands_in_the_op_table():
    graph = dagexec.trace(lambda x: nn.dropout(dagexec.random.key(0), x, 0.5))(A)
    for node in graph.nodes:
        assert (rule_text(node) is None) == (not node.op.vjp or node.op.name == "astype"), node
    cumulative = rule_text(last_node(lambda x: xp.linalg.inv(x), SQUARE))
    assert cumulative.startswith("y = inv(x)")


def test_a_users_rule_is_run_on_letters_and_may_fail():
    @dagexec.custom_vjp
    def clipped(x):
        return np.minimum(x, 1.0)

    def backward_of_clipped(x, g):
        if failing:
            raise LookupError("no rule for letters")
        return (g * 3,)

    clipped.defvjp(lambda x: (clipped(x), x), backward_of_clipped)
    failing = False
    node = next(node for node in dagexec.trace(lambda x: clipped(x) + 1)(A).nodes if "custom" in node.op.name)
    assert rule_text(node).splitlines()[1:] == ["∂x1 = g · 3"]
    failing = True
    assert rule_text(node) is None
