"""Handwritten digits, read by convolutions: the same small detectors wherever they look.

A dense layer learns anew for each pixel what a stroke is. A convolution learns it once: a kernel of 3 × 3
weights slides over the image and leaves a map of where it found what it looks for. Max pooling keeps the
strongest answer of each 2 × 2 places, so a digit may shift a little, and the next convolution, with twice as
many kernels, looks for patterns of patterns. When the maps are small, dense layers decide.

- `depth` 3: two convolutions, each followed by pooling, and a dense layer.
- `depth` 8: six convolutions, in pairs, and two dense layers.
- `batch_norm` normalises what a convolution finds; `dropout` leaves out a part of what dense layers see.

    dagexec train graphs/digits_cnn.py
    dagexec train graphs/digits_cnn.py --compare depth=3,8
    dagexec draw graphs/digits_cnn.py -o cnn.svg --level high

The 1,437 images (and 360 others for validation) have 8 × 8 pixels; `data` may be a folder with MNIST's files.
"""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from dagexec import block, nn, optim, random, value_and_grad
from dagexec.data import Batches, digits
from dagexec.training import Training

HERE = Path(__file__).parent


@block
def convolution(layer, statistics, x, training):
    """A convolution that keeps the size of the maps, normalised if the layer has a norm; then ReLU."""
    x = nn.conv2d(layer["conv"], x, padding="same")
    if "norm" in layer:
        x, statistics = nn.batch_norm(layer["norm"], x, statistics, training=training)
    return nn.relu(x), statistics


def init(key, size, stages, hidden, batch_norm):
    """Parameters of stages, (how many convolutions, their kernels) each, and of dense layers; statistics."""
    stage_params, statistics, channels = [], [], 1
    for count, width in stages:
        widths, channels = [channels, *[width] * count], width
        key, *keys = random.split(key, count + 1)
        layers = [{"conv": nn.init_conv2d(k, *pair, 3)} for k, pair in zip(keys, pairwise(widths))]
        if batch_norm:
            layers = [{**layer, "norm": nn.init_batch_norm(key, width)} for layer in layers]
        stage_params.append(layers)
        statistics.append([nn.init_statistics(width) if batch_norm else {} for _ in layers])
        size = max(1, size // 2)
    widths = [channels * size**2, *hidden, 10]
    keys = random.split(key, len(hidden) + 1)
    dense = [nn.init_dense(k, *pair) for k, pair in zip(keys, pairwise(widths))]
    return {"stages": stage_params, "dense": dense}, statistics


def network(params, statistics, images, dropout=0.0, key=None):
    """Logits (batch, 10) and the new statistics; without a key nothing is dropped, as for prediction."""
    x, after = images[:, None], []
    for layers, before in zip(params["stages"], statistics):
        after.append([])
        for layer, old in zip(layers, before):
            x, new = convolution(layer, old, x, key is not None)
            after[-1].append(new)
        if x.shape[-1] > 1:
            x = nn.max_pool(x)
    x, dense = np.reshape(x, (len(x), -1)), params["dense"]
    keys = [None] * len(dense) if key is None else random.split(key, len(dense))
    for number, (layer, key) in enumerate(zip(dense, keys)):
        x = nn.dense(layer, nn.dropout(key, nn.relu(x) if number else x, dropout))
    return x, after


def training_of(images, labels, validation, stages, hidden, batch_norm, dropout, rate, batch, epochs, seed):
    """Adam with a rate that falls to nothing, as half a wave of the cosine."""
    key, later = random.split(random.key(seed))
    params, statistics = init(key, images.shape[1], stages, hidden, batch_norm)
    batches = Batches((images, labels), batch, seed)
    follow = optim.adam(optim.cosine(rate, epochs * len(batches)))

    def loss(params, statistics, images, labels, key=None):
        logits, statistics = network(params, statistics, images, dropout, key)
        return nn.cross_entropy(logits, labels), statistics

    def step(state, images, labels):
        params, statistics, memory, key = state
        now, later = random.split(key)
        learn = value_and_grad(loss, has_aux=True)
        (value, statistics), gradients = learn(params, statistics, images, labels, now)
        params, memory = follow.update(params, gradients, memory)
        return value, (params, statistics, memory, later)

    metrics = {
        "validation loss": lambda state, *data: loss(state[0], state[1], *data)[0],
        "accuracy": lambda state, images, labels: nn.accuracy(network(*state[:2], images)[0], labels),
    }
    state = params, statistics, follow.init(params), later
    unseen = Batches(validation, min(500, len(validation[0])))  # MNIST's 10,000 at once would take 4 GB
    return Training(step, state, batches, metrics, unseen, epochs)


def build(
    depth: Literal["3", "8"] = "3",
    width: int | None = None,
    batch_norm: bool = False,
    dropout: float = 0.1,
    rate: float = 0.003,
    batch: int = 32,
    epochs: int = 15,
    data: str = "",
    seed: int = 0,
):
    """`width` is the number of kernels in the first layer; none is 32 for depth 3, 16 for depth 8."""
    images, labels, *validation = digits(data or HERE / "data" / "digits")
    if depth == "3":
        width = width or 32
        stages, hidden = [(1, width), (1, 2 * width)], []
    else:
        width = width or 16
        stages, hidden = [(2, width), (2, 2 * width), (2, 4 * width)], [4 * width]
    return training_of(
        images, labels, validation, stages, hidden, batch_norm, dropout, rate, batch, epochs, seed
    )
