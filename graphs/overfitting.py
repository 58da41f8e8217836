"""Too simple, right, too flexible: a polynomial fitted to 16 noisy points of a sine.

A polynomial of degree 1 cannot bend: it misses the points it has seen, and those it has not (underfitting).
One of degree 15 follows all it has seen, noise and all, and is wrong between them (overfitting). The two
losses tell which: underfitting leaves both high, overfitting pulls them apart.

    dagexec train graphs/overfitting.py --compare degree=1,3,15 --plot overfitting.png

Against overfitting there are, without more data: a simpler model (`-p degree=3`); ending early, when the
validation loss has not fallen for some time (`-p degree=15 --patience 50`); and pulling all weights to 0 a
little in each step, so that only those stay large that the data insist on (`-p weight_decay=0.01`).

The powers of x come as Legendre polynomials, which span the same curves: powers themselves look so alike
that gradient descent would take ages to tell them apart. The noise alone gives a loss of 0.04.
"""

import numpy as np

from dagexec import block, scope, value_and_grad
from dagexec.training import Training


@block
def polynomial(weights, powers):
    """The height of the curve at each point, of which `powers` holds the Legendre polynomials."""
    return powers @ weights


def squared_loss(weights, powers, y):
    """The squared distance from the points, averaged."""
    heights = polynomial(weights, powers)
    with scope("loss"):
        return np.mean((heights - y) ** 2)


def sample(random, points, degree, noise):
    """Points of a sine wave with noise: the Legendre polynomials of their x, and their y."""
    x = random.uniform(-1, 1, points)
    y = np.sin(np.pi * x) + noise * random.standard_normal(points)
    return np.polynomial.legendre.legvander(x, degree), y


def build(
    degree: int = 3,
    points: int = 16,
    noise: float = 0.2,
    weight_decay: float = 0.0,
    rate: float = 0.3,
    epochs: int = 2000,
    seed: int = 0,
):
    """A polynomial of `degree`, fitted to `points` points; 200 others say how good it is (validation)."""
    seen, unseen = np.random.default_rng((seed, 0)), np.random.default_rng((seed, 1))
    data, validation = sample(seen, points, degree, noise), sample(unseen, 200, degree, noise)

    def step(weights, powers, y):
        loss, gradient = value_and_grad(squared_loss)(weights, powers, y)
        with scope("update", phase="update"):
            return loss, weights - rate * (gradient + weight_decay * weights)

    metrics = {"validation loss": squared_loss}
    return Training(step, np.zeros(degree + 1), data, metrics, validation, epochs)
