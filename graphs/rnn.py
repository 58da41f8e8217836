"""A recurrent network, unrolled: the same cell once a step, with a hidden state handed from step to step.

The states are a chain: step t waits for step t - 1. All else hangs off the chain and can run beside it: what
a step reads from its input, the outputs, and, backward, the weights' gradients of each step. All steps share
their weights, so the gradients of the steps are added.
"""

import numpy as np

from dagexec import block, scope


@block
def cell(params, x, state):
    """One step: the new hidden state, and the output read from it."""
    state = np.tanh(x @ params["W"] + state @ params["U"] + params["b"])
    return state, state @ params["V"] + params["c"]


def rnn(params, xs, targets):
    """The squared distance of all outputs from their targets, averaged over steps and batch."""
    steps, batch, _ = xs.shape
    state = np.zeros((batch, params["b"].shape[0]))
    outputs = []
    for x in xs:
        state, output = cell(params, x, state)
        outputs.append(output)
    with scope("loss"):
        return np.sum((np.stack(outputs) - targets) ** 2) / (steps * batch)


def build(
    steps: int = 16,
    batch: int = 64,
    features: int = 64,
    hidden: int = 256,
    outputs: int = 32,
    seed: int = 0,
):
    """`steps` inputs of `features` numbers each for every member of the batch, and as many random targets."""
    random = np.random.default_rng(seed)
    params = {
        "W": random.standard_normal((features, hidden)) / np.sqrt(features),
        "U": random.standard_normal((hidden, hidden)) / np.sqrt(hidden),
        "b": np.zeros(hidden),
        "V": random.standard_normal((hidden, outputs)) / np.sqrt(hidden),
        "c": np.zeros(outputs),
    }
    xs = random.standard_normal((steps, batch, features))
    targets = random.standard_normal((steps, batch, outputs))
    return rnn, (params, xs, targets)
