"""Handwritten digits, read by convolutions: the same small detectors wherever they look.

A dense layer learns anew for each pixel what a stroke is. A convolution learns it once: 3 × 3 weights slide over
the image, and each of `width` such kernels leaves a map of where it found what it looks for. Max pooling keeps
the strongest answer of each 2 × 2 places, so a digit may shift a little; the next convolution looks for patterns
of patterns. When the maps are small, a dense layer decides.

- `depth` 3: two convolutions, each followed by pooling, and a dense layer.
- `depth` 8: six convolutions, in pairs, and two dense layers. Batch norm keeps so deep a stack trainable.
- `dropout` leaves out a part of what the dense layers see, so that none relies on a single pattern.

    dagexec train graphs/digits_cnn.py
    dagexec train graphs/digits_cnn.py -p depth=8 -p batch_norm=yes --compare dropout=0,0.3
    dagexec draw graphs/digits_cnn.py -o cnn.svg --level high

The 1,437 images (and 360 others for validation) have 8 × 8 pixels; `data` may be a folder with MNIST's files.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from dagexec import block, nn, optim, random, value_and_grad
from dagexec.data import Batches, digits
from dagexec.training import Training

STAGES = {"3": ([1, 1], 1), "8": ([2, 2, 2], 2)}  # convolutions before each pooling, and dense layers


@block
def convolution(layer, statistics, x, training):
    """A convolution that keeps the size of the maps, normalised if the layer has a norm, and ReLU."""
    x = nn.conv2d(layer["conv"], x, padding="same")
    if "norm" in layer:
        x, statistics = nn.batch_norm(layer["norm"], x, statistics, training=training)
    return nn.relu(x), statistics


def init(key, size, stages, dense, width, batch_norm):
    """Stages of convolutions, each twice as wide as the last; dense layers; and running statistics."""
    convolutions, statistics, channels = [], [], 1
    for number, count in enumerate(stages):
        convolutions.append([])
        statistics.append([])
        for _ in range(count):
            key, now = random.split(key)
            layer = {"conv": nn.init_conv2d(now, channels, width * 2**number, 3)}
            channels = width * 2**number
            if batch_norm:
                layer["norm"] = nn.init_batch_norm(now, channels)
            convolutions[-1].append(layer)
            statistics[-1].append(nn.init_statistics(channels) if batch_norm else {})
        size = max(1, size // 2)
    sizes = [channels * size**2, *[4 * width] * (dense - 1), 10]
    keys = random.split(key, dense)
    return (convolutions, [nn.init_dense(*args) for args in zip(keys, sizes, sizes[1:])]), statistics


def build(
    depth: Literal["3", "8"] = "3",
    width: int = 16,
    batch_norm: bool = False,
    dropout: float = 0.3,
    rate: float = 0.003,
    batch: int = 32,
    epochs: int = 15,
    data: str = "",
    seed: int = 0,
):
    images, labels, *validation = digits(data or Path(__file__).parent / "data" / "digits")
    key, later = random.split(random.key(seed))
    params, statistics = init(key, images.shape[1], *STAGES[depth], width, batch_norm)
    follow = optim.adam(optim.cosine(rate, epochs * (len(images) // batch)))

    def network(params, statistics, images, key=None):
        stages, dense = params
        x, after = images[:, None], []
        for layers, before in zip(stages, statistics):
            after.append([])
            for layer, old in zip(layers, before):
                x, new = convolution(layer, old, x, key is not None)
                after[-1].append(new)
            x = nn.max_pool(x) if x.shape[-1] > 1 else x
        x = np.reshape(x, (len(x), -1))
        keys = [None] * len(dense) if key is None else random.split(key, len(dense))
        for number, (layer, key) in enumerate(zip(dense, keys)):
            x = nn.dense(layer, nn.dropout(key, nn.relu(x) if number else x, dropout))
        return x, after

    def loss(params, statistics, images, labels, key=None):
        logits, statistics = network(params, statistics, images, key)
        return nn.cross_entropy(logits, labels), statistics

    def step(state, images, labels):
        params, statistics, memory, key = state
        now, later = random.split(key)
        (value, statistics), gradients = value_and_grad(loss, has_aux=True)(
            params, statistics, images, labels, now
        )
        params, memory = follow.update(params, gradients, memory)
        return value, (params, statistics, memory, later)

    metrics = {
        "validation loss": lambda state, *data: loss(state[0], state[1], *data)[0],
        "accuracy": lambda state, images, labels: nn.accuracy(network(*state[:2], images)[0], labels),
    }
    state = params, statistics, follow.init(params), later
    return Training(step, state, Batches((images, labels), batch, seed), metrics, tuple(validation), epochs)
