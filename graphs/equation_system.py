"""A system of polynomial equations, given as text, solved by gradient descent from many starts at once.

    dagexec train graphs/equation_system.py
    dagexec train graphs/equation_system.py -p "equations=x^2 + y^2 + z^2 = 14; x*y*z = 6; x - y = 1"

A point solves the system where all residuals, left side minus right side, are 0; so the sum of their squares
is a loss. It has a valley for each solution, and others that end above 0. So hundreds of points go down at
the same time, each unknown one array with an entry for each of them, and the lowest point is the answer: one
solution, if there are several (with another `seed`, maybe another).

The text is parsed, not run: Python's own parser makes a tree of it, and `value` walks the tree and knows
numbers, names, `+ - * /` and whole powers, and nothing else. What it computes with are arrays, so walking
the tree is what makes the graph: each equation is a block of it.
"""

import ast
import operator
from functools import reduce

import numpy as np

from dagexec import optim, scope, value_and_grad
from dagexec.training import Training

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def parse(text):
    """The trees of the residuals of equations such as "x^2 = 2; x*y = 1", by their texts."""
    residuals = {}
    for equation in filter(None, map(str.strip, text.split(";"))):
        sides = equation.replace("^", "**").split("=")
        if len(sides) != 2:
            raise ValueError(f"{equation!r} is no equation: it needs one =, and ; between equations")
        try:
            left, right = (ast.parse(side.strip(), mode="eval").body for side in sides)
        except SyntaxError as error:
            raise ValueError(f"{equation!r} cannot be read: {error.msg}; write products as 2*x*y") from None
        residuals[equation] = ast.BinOp(left, ast.Sub(), right)
    return residuals


def value(tree, point):
    """What a polynomial's tree is worth at a point, a dictionary from names to numbers or arrays."""
    match tree:
        case ast.Constant(int() | float() as number):
            return float(number)
        case ast.Name(name):
            return point[name]
        case ast.UnaryOp(ast.USub(), inner):
            return -value(inner, point)
        case ast.BinOp(base, ast.Pow(), ast.Constant(int() as power)):
            return value(base, point) ** power
        case ast.BinOp(left, ast.Div(), ast.Constant(int() | float() as number)) if number:
            return value(left, point) / number
        case ast.BinOp(left, operation, right) if type(operation) in OPERATORS:
            return OPERATORS[type(operation)](value(left, point), value(right, point))
    raise ValueError(
        f"{ast.unparse(tree)!r} is no polynomial: there may be + - *, / by a number, and whole powers in it"
    )


def build(
    equations: str = "x^2 + y^2 = 4; x*y = 1",
    starts: int = 256,
    width: float = 3.0,
    rate: float = 0.1,
    epochs: int = 1000,
    seed: int = 0,
):
    """Solve `equations` from `starts` random points, each unknown between -`width` and `width`."""
    residuals = parse(equations)
    parts = [part for tree in residuals.values() for part in ast.walk(tree)]
    unknowns = sorted({part.id for part in parts if isinstance(part, ast.Name)})
    if not unknowns:
        raise ValueError(f"equations={equations!r}: there is no unknown, such as x, in them")
    random = np.random.default_rng(seed)
    points = {name: random.uniform(-width, width, starts) for name in unknowns}
    optimiser = optim.adam(optim.cosine(rate, epochs))

    def errors(points):
        squares = []
        for equation, tree in residuals.items():
            with scope(equation):
                squares.append(value(tree, points) ** 2)
        return reduce(operator.add, squares)

    def step(state):
        def total(points):
            all_errors = errors(points)
            return np.sum(all_errors), np.min(all_errors)

        (_, lowest), gradients = value_and_grad(total, has_aux=True)(state["points"])
        points, memory = optimiser.update(state["points"], gradients, state["optimiser"])
        return lowest, {"points": points, "optimiser": memory}

    def solution(name):
        def at_best(state):
            found = errors(state["points"])
            good = found <= np.min(found) + np.clip(1e6 * np.min(found), 1e-12, 1e-3)
            return state["points"][name][np.argmax(good)]  # the first, lest the answer jump between solutions

        return at_best

    state = {"points": points, "optimiser": optimiser.init(points)}
    return Training(step, state, (), {name: solution(name) for name in unknowns}, epochs=epochs)
