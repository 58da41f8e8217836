"""A network that learns the circle x² + y² < 1 from a grid of points on [-2, 2]².

Two sigmoid layers, the squared distance from 1 (inside) or 0 (outside), and gradient descent. A step takes
the layers and the points and gives the loss and the new layers: forward pass, backward pass and update are
one graph, run once an epoch. Try `dagexec train graphs/circle.py --plot loss.png`. How it
goes, in 2,000 steps on all points:

    step    loss    right
       1   0.3931   81.6 %
     200   0.0440   96.8 %
     400   0.0242   98.9 %
     600   0.0191   99.1 %
     800   0.0163   99.2 %
    1000   0.0146   99.3 %
    1200   0.0132   99.3 %
    1400   0.0122   99.5 %
    1600   0.0115   99.6 %
    1800   0.0108   99.6 %
    2000   0.0102   99.7 %

All here is NumPy; `circle_scalar.py` is the same network with every single number a node of the graph.
"""

from itertools import pairwise

import numpy as np
import optree

from dagexec import block, scope, value_and_grad
from dagexec.training import Training


def sigmoid(x):
    """Any number squeezed between 0 and 1."""
    return 1 / (1 + np.exp(-x))


@block
def layer(p, x):
    """A linear map of each row of `x`, and the sigmoid."""
    return sigmoid(x @ p["weights"] + p["bias"])


def network(layers, points):
    """For each point, how sure the network is that it lies inside."""
    for p in layers:
        points = layer(p, points)
    return points[:, 0]


def squared_loss(layers, points, inside):
    """The squared distance from the truth, averaged over the points."""
    outputs = network(layers, points)
    with scope("loss"):
        return np.mean((outputs - inside) ** 2)


def accuracy(layers, points, inside):
    """The part of the points that is put on the right side."""
    return np.mean((network(layers, points) > 0.5) == (inside > 0.5))


def build(
    hidden: tuple[int, ...] = (16,), grid: int = 41, rate: float = 4.0, epochs: int = 2000, seed: int = 0
):
    """`grid` × `grid` points, hidden layers of the sizes `hidden`, the learning rate `rate`."""
    axis = np.linspace(-2, 2, grid)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    inside = (np.sum(points**2, axis=1) < 1).astype(float)
    random = np.random.default_rng(seed)
    layers = [
        {"weights": random.standard_normal((m, n)), "bias": random.standard_normal(n)}
        for m, n in pairwise((2, *hidden, 1))
    ]

    def step(layers, points, inside):
        loss, gradients = value_and_grad(squared_loss)(layers, points, inside)
        with scope("update", phase="update"):
            return loss, optree.tree_map(lambda value, g: value - rate * g, layers, gradients)

    return Training(step, layers, (points, inside), {"accuracy": accuracy}, epochs=epochs)
