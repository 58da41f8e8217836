"""A feed-forward network: layers of any sizes with ReLU between them, and a loss over a batch.

Forward, the layers are a chain: each waits for the one before, so there is nothing to run side by side.
Backward, each layer has two matrix products that do not wait for each other: the gradient for its weights,
and the gradient for its input, which the layer before waits for. Hence the parallelism of training a network.
"""

from itertools import pairwise
from typing import Literal

import numpy as np

from dagexec import block, scope


@block
def hidden_layer(p, x):
    """A linear map of each row of `x`, and the ReLU: what is negative becomes zero."""
    return np.maximum(x @ p["weights"] + p["bias"], 0)


@block
def output_layer(p, x):
    """A linear map of each row of `x`."""
    return x @ p["weights"] + p["bias"]


def squared_loss(outputs, targets):
    """The squared distance from the target, averaged over the batch."""
    with scope("loss"):
        return np.mean(np.sum((outputs - targets) ** 2, axis=1))


def cross_entropy(outputs, targets):
    """How surprising the targets are, when softmax(outputs) is taken for their probabilities."""
    with scope("loss"):
        outputs = outputs - np.max(outputs, axis=1, keepdims=True)  # the same softmax; exp cannot overflow
        log_probabilities = outputs - np.log(np.sum(np.exp(outputs), axis=1, keepdims=True))
        return -np.mean(np.sum(targets * log_probabilities, axis=1))


def build(
    layers: tuple[int, ...] = (256, 512, 512, 10),
    batch: int = 256,
    loss: Literal["squared", "cross-entropy"] = "squared",
    dtype: Literal["float64", "float32"] = "float64",
    seed: int = 0,
):
    """`layers` are the sizes from the inputs to the outputs. The targets are classes, one-hot."""
    if len(layers) < 2:
        raise ValueError(f"layers={layers}: at least two sizes are needed, of the inputs and of the outputs")
    random = np.random.default_rng(seed)
    params = [
        {
            "weights": (random.standard_normal((m, n)) * np.sqrt(2 / m)).astype(dtype),
            "bias": np.zeros(n, dtype),
        }
        for m, n in pairwise(layers)
    ]
    x = random.standard_normal((batch, layers[0])).astype(dtype)
    targets = np.eye(layers[-1], dtype=dtype)[random.integers(layers[-1], size=batch)]
    measure = squared_loss if loss == "squared" else cross_entropy

    def network(params, x, targets):
        *hidden, last = params
        for p in hidden:
            x = hidden_layer(p, x)
        return measure(output_layer(last, x), targets)

    return network, (params, x, targets)
