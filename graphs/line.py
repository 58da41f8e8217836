"""A line y = a x + b fitted to noisy points by mini-batches.

An epoch goes through all points in random order, a few at a time. A step sees the points of its batch only,
so its gradient is a guess of the true one: the path to the minimum trembles, but each step costs a
fraction of the work. `-p batch=200` takes all points at once (full batch), `-p batch=1` one (stochastic).

    dagexec train graphs/line.py --plot line.png
    dagexec train graphs/line.py --compare batch=1,10,200

The best a and b are known here, by the normal equations: `least_squares` solves them. The fit ends near them.
"""

import numpy as np

from dagexec import block, scope, value_and_grad
from dagexec.data import Batches
from dagexec.training import Training


@block
def line(params, x):
    """The height of the line at each x."""
    return params["a"] * x + params["b"]


def squared_loss(params, x, y):
    """The squared distance from the points, averaged."""
    heights = line(params, x)
    with scope("loss"):
        return np.mean((heights - y) ** 2)


def least_squares(x, y):
    """The a and b with the smallest loss of all."""
    return np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y)[0]


def build(
    a: float = 2.0,
    b: float = -1.0,
    points: int = 200,
    noise: float = 0.5,
    batch: int = 10,
    rate: float = 0.05,
    epochs: int = 30,
    seed: int = 0,
):
    """`points` on y = `a` x + `b` with `noise`, in batches of `batch`; steps of `rate` times the gradient."""
    random = np.random.default_rng(seed)
    x = random.uniform(-2, 2, points)
    y = a * x + b + noise * random.standard_normal(points)

    def step(params, x, y):
        loss, gradients = value_and_grad(squared_loss)(params, x, y)
        with scope("update", phase="update"):
            return loss, {name: params[name] - rate * gradients[name] for name in params}

    metrics = {"a": lambda params, x, y: params["a"], "b": lambda params, x, y: params["b"]}
    start = {"a": np.float64(0), "b": np.float64(0)}
    return Training(step, start, Batches((x, y), batch, seed), metrics, epochs=epochs)
