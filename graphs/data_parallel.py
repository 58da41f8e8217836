"""Data-parallel training: a batch split into shards, whose gradients are summed, as one graph.

The loss is a mean over the batch, so its gradient is the mean of the gradients on equal parts of the batch.
Each shard's forward and backward pass reads the same parameters and waits for no other shard. They meet in
the mean of the gradients, and that only layer by layer: the last layer's gradients are the first to be there,
and it is updated while the shards still work on the others. Machines with many devices train this way; here
the workers are threads, and nobody had to tell them which shard is theirs.

    dagexec draw graphs/data_parallel.py -p shards=2 -p hidden=64 --level high -o shards.svg
    dagexec bench graphs/data_parallel.py -p shards=1        # one chain of big products: little to gain
    dagexec bench graphs/data_parallel.py -p shards=2        # two chains

More shards than workers gain nothing, and cost: products of smaller matrices, more gradients to add up.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import optree

from dagexec import block, nn, optim, random, scope, value_and_grad
from dagexec.data import Batches, digits
from dagexec.training import Training


def network(layers, images):
    """A score for each digit, by dense layers."""
    x = np.reshape(images, (len(images), -1))
    for layer in layers[:-1]:
        x = nn.relu(nn.dense(layer, x))
    return nn.dense(layers[-1], x)


def loss(layers, images, labels):
    return nn.cross_entropy(network(layers, images), labels)


@block
def shard(layers, images, labels):
    """Loss and gradients on a part of the batch."""
    return value_and_grad(loss)(layers, images, labels)


def mean(trees):
    """The mean of the shards' losses or gradients: added up in one order, so the bits are always the same."""
    return optree.tree_map(lambda *parts: sum(parts) / len(parts), *trees)


def build(
    shards: int = 2,
    hidden: tuple[int, ...] = (512, 512),
    batch: int = 256,
    rate: float = 0.5,
    epochs: int = 30,
    data: str = "",
    seed: int = 0,
):
    """`batch` images a step in `shards` equal parts; `data` may be a folder with MNIST's files."""
    if batch % shards:
        raise ValueError(f"{batch} images cannot be split into {shards} equal shards: change batch or shards")
    images, labels, *validation = digits(data or Path(__file__).parent / "data" / "digits")
    sizes = [images[0].size, *hidden, 10]
    keys = random.split(random.key(seed), len(sizes) - 1)
    layers = [nn.init_dense(key, *pair) for key, pair in zip(keys, pairwise(sizes))]
    sgd = optim.sgd(rate)

    def step(state, images, labels):
        layers, memory = state
        parts = zip(np.split(images, shards), np.split(labels, shards))
        losses, gradients = zip(*[shard(layers, *part) for part in parts])
        with scope("mean", phase="update"):
            gradients, value = mean(gradients), mean(losses)
        return value, sgd.update(layers, gradients, memory)

    metrics = {
        "validation loss": lambda state, *data: loss(state[0], *data),
        "accuracy": lambda state, images, labels: nn.accuracy(network(state[0], images), labels),
    }
    batches = Batches((images, labels), batch, seed)
    return Training(step, (layers, sgd.init(layers)), batches, metrics, tuple(validation), epochs)
