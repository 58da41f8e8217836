"""The circle classifier once more, with nothing but numbers: each weight and each sum is a node of its own.

There is no array here, only the sums and products that `circle.py` writes as `x @ weights + bias`. So the
graph shows what a matrix product hides: each neuron is a product for each input and a sum of them, the
neurons of a layer do not wait for each other, and neither do the points. Four points will do for a picture:

    dagexec draw graphs/circle_scalar.py -p grid=2 -p hidden=2 --level high -o high.svg
    dagexec draw graphs/circle_scalar.py -p grid=2 -p hidden=2 --level ops -o ops.svg
    dagexec train graphs/circle_scalar.py --plot loss.png

Node by node it would be a hundred times slower than arrays are: NumPy takes longer to be called than to add
two numbers. So numbers that are computed alike are computed by one call (docs/scheduling.md).
`--level scalar` makes such a graph of any array code, for the picture.
"""

from itertools import pairwise

import numpy as np
import optree

from dagexec import block, scope, value_and_grad
from dagexec.training import Training


def total(numbers):
    """The sum of some numbers as a tree: half of them, and the other half, which may run at the same time."""
    if len(numbers) == 1:
        return numbers[0]
    middle = len(numbers) // 2
    return total(numbers[:middle]) + total(numbers[middle:])


@block
def neuron(p, inputs):
    """The weighted sum of the inputs and the bias, squeezed between 0 and 1."""
    weighted = [weight * x for weight, x in zip(p["weights"], inputs)]
    return 1 / (1 + np.exp(-total([*weighted, p["bias"]])))


@block
def network(layers, x, y):
    """How sure the network is that the point (x, y) lies inside."""
    numbers = [x, y]
    for layer in layers:
        numbers = [neuron(p, numbers) for p in layer]
    return numbers[0]


def build(hidden: tuple[int, ...] = (4,), grid: int = 8, rate: float = 8.0, epochs: int = 300, seed: int = 0):
    """`grid` × `grid` points on [-2, 2]², hidden layers of the sizes `hidden`, the learning rate `rate`."""
    if grid < 1:
        raise ValueError(f"grid={grid}: without points there is nothing to learn")
    axis = np.linspace(-2, 2, grid).tolist()
    points = [(x, y, float(x * x + y * y < 1)) for x in axis for y in axis]
    random = np.random.default_rng(seed)
    layers = [
        [{"weights": list(random.standard_normal(m)), "bias": random.standard_normal()} for _ in range(n)]
        for m, n in pairwise((2, *hidden, 1))
    ]

    def loss(layers):
        outputs = [network(layers, x, y) for x, y, _ in points]
        with scope("loss"):
            squares = [(output - inside) ** 2 for output, (_, _, inside) in zip(outputs, points)]
            return total(squares) / len(points)

    def right(layers):
        sides = [(network(layers, x, y) > 0.5) == (inside > 0.5) for x, y, inside in points]
        return np.mean(np.stack(sides))

    def step(layers):
        value, gradients = value_and_grad(loss)(layers)
        with scope("update", phase="update"):
            return value, optree.tree_map(lambda number, g: number - rate * g, layers, gradients)

    return Training(step, layers, (), {"accuracy": right}, epochs=epochs)
