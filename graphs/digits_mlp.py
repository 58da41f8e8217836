"""Handwritten digits, read by dense layers: how training is helped, and how it fails.

An image is a row of pixels; `depth` hidden layers of `width` units follow, then one output for each digit.
Each ingredient is a parameter, so any two can be compared with everything else the same:

- `optimiser`: all walk downhill; they differ in how they use the gradients of the steps before.
- `initialisation` and `activation`: a layer multiplies the gradient on its way back. Where that makes it
  smaller, ten layers leave nothing of it (it vanishes); where larger, steps become wild (it explodes).
  `norms` shows the length of each layer's gradient: with sigmoids the first layers do not learn.
- `batch_norm`: signals get mean 0 and variance 1 again after each layer, which mends that.
- `weight_decay` and `dropout` are against overfitting: few `examples`, learned by heart, do not help with
  others. The loss falls, but the validation loss rises again.

    dagexec train graphs/digits_mlp.py --compare optimiser=sgd,momentum,nesterov,adagrad,rmsprop,adam
    dagexec train graphs/digits_mlp.py -p examples=150 -p width=128 --epochs 150 --compare dropout=0,0.5

The course (`README.md`) shows what comes of these and others; `python -m bench.pictures` has the commands.
The 1,437 images (and 360 others for validation) have 8 × 8 pixels; `data` may be a folder with MNIST's files.
"""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from dagexec import block, grad, nn, optim, random, value_and_grad
from dagexec.data import Batches, digits
from dagexec.training import Training

OPTIMISERS = {  # with the rate that suits them here
    "sgd": (optim.sgd, 0.1),
    "momentum": (lambda rate, **decay: optim.sgd(rate, momentum=0.9, **decay), 0.03),
    "nesterov": (lambda rate, **decay: optim.sgd(rate, momentum=0.9, nesterov=True, **decay), 0.03),
    "adagrad": (optim.adagrad, 0.02),
    "rmsprop": (optim.rmsprop, 0.001),
    "adam": (optim.adam, 0.002),
    "adamw": (optim.adamw, 0.002),
}
INITIALISATIONS = {
    "he": nn.he_normal,
    "xavier": nn.xavier_normal,
    "small": nn.normal(0.01),
    "large": nn.normal(1.0),
    "zeros": nn.zeros,
}


@block
def hidden_layer(layer, statistics, x, key, activation, dropout):
    """Weighted sums, normalised if the layer has a norm, then bent; without a key nothing is dropped."""
    x = nn.dense(layer["dense"], x)
    if "norm" in layer:
        x, statistics = nn.batch_norm(layer["norm"], x, statistics, training=key is not None)
    return nn.dropout(key, activation(x), dropout), statistics


def build(
    depth: int = 2,
    width: int = 64,
    optimiser: Literal["adam", "adamw", "sgd", "momentum", "nesterov", "adagrad", "rmsprop"] = "adam",
    rate: float | None = None,
    weight_decay: float = 0.0,
    dropout: float = 0.0,
    batch_norm: bool = False,
    initialisation: Literal["he", "xavier", "small", "large", "zeros"] = "he",
    activation: Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid"] = "relu",
    norms: bool = False,
    examples: int | None = None,
    batch: int = 32,
    epochs: int = 30,
    data: str = "",
    seed: int = 0,
):
    """A `rate` of none is the optimiser's usual one, `examples` of none are all; `norms` adds that metric."""
    images, labels, *validation = digits(data or Path(__file__).parent / "data" / "digits")
    images, labels = images[:examples], labels[:examples]
    make, usual = OPTIMISERS[optimiser]
    follow = make(usual if rate is None else rate, weight_decay=weight_decay)

    *keys, last, key = random.split(random.key(seed), depth + 2)
    sizes, weights = [images[0].size, *[width] * depth], INITIALISATIONS[initialisation]
    layers = [{"dense": nn.init_dense(k, *pair, weights=weights)} for k, pair in zip(keys, pairwise(sizes))]
    statistics = [{} for _ in layers]
    if batch_norm:
        layers = [{**layer, "norm": nn.init_batch_norm(key, width)} for layer in layers]
        statistics = [nn.init_statistics(width) for _ in layers]
    layers.append({"dense": nn.init_dense(last, sizes[-1], 10, weights=weights)})

    def network(layers, statistics, images, key=None):
        x, after = np.reshape(images, (len(images), -1)), []
        keys = [None] * depth if key is None else random.split(key, depth)
        for layer, before, key in zip(layers, statistics, keys):
            x, now = hidden_layer(layer, before, x, key, getattr(nn, activation), dropout)
            after.append(now)
        return nn.dense(layers[-1]["dense"], x), after

    def loss(layers, statistics, images, labels, key=None):
        logits, statistics = network(layers, statistics, images, key)
        return nn.cross_entropy(logits, labels), statistics

    def step(state, images, labels):
        layers, statistics, memory, key = state
        now, later = random.split(key)
        learn = value_and_grad(loss, has_aux=True)
        (value, statistics), gradients = learn(layers, statistics, images, labels, now)
        layers, memory = follow.update(layers, gradients, memory)
        return value, (layers, statistics, memory, later)

    def gradient_norms(state, images, labels):
        gradients = grad(loss, has_aux=True)(state[0], state[1], images, labels)[0]
        return np.stack([np.linalg.norm(g["dense"]["weights"].astype("float64")) for g in gradients])

    metrics = {
        "validation loss": lambda state, *data: loss(state[0], state[1], *data)[0],
        "accuracy": lambda state, images, labels: nn.accuracy(network(*state[:2], images)[0], labels),
    } | ({"gradient norm": gradient_norms} if norms else {})
    state = layers, statistics, follow.init(layers), key
    return Training(step, state, Batches((images, labels), batch, seed), metrics, tuple(validation), epochs)
