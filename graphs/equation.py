"""An equation solved by gradient descent: 0.3 x + 0.4 = 0.8, or any other polynomial.

Training is this, with one unknown instead of a million: guess x, measure how wrong the guess is (the loss,
the squared distance between the two sides), ask for the loss's derivative, and move x a little against it.

    dagexec train graphs/equation.py                            # 0.3 x + 0.4 = 0.8
    dagexec train graphs/equation.py -p coefficients=0.3,0.4,0.5     # 0.3 x² + 0.4 x + 0.5 = 0.8

The first loss is a parabola, so each step shrinks the distance to the root 4/3 by the same factor,
1 - 2 · 0.3² · rate. The second has two roots; the descent finds the one in whose valley it starts. With
`-p rate=12` each step jumps across the first valley to a point that is higher up: training diverges.
"""

import numpy as np

from dagexec import block, scope, value_and_grad
from dagexec.training import Training


@block
def polynomial(coefficients, x):
    """The polynomial with these coefficients, the highest power's first (by Horner's rule)."""
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def build(
    coefficients: tuple[float, ...] = (0.3, 0.4),
    target: float = 0.8,
    start: float = 0.0,
    rate: float = 1.0,
    epochs: int = 100,
):
    """Find x with polynomial(x) = `target`, from the guess `start`, with steps of `rate` times the slope."""
    if len(coefficients) < 2:
        raise ValueError(f"coefficients={coefficients}: at least two are needed, or there is no x in it")

    def loss(x):
        return (polynomial(coefficients, x) - target) ** 2

    def step(x):
        value, slope = value_and_grad(loss)(x)
        with scope("update", phase="update"):
            return value, x - rate * slope

    return Training(step, np.float64(start), (), {"x": lambda x: x}, epochs=epochs)
