"""An autoencoder: a network that is to give back what it gets, through a waist of only `code` numbers.

Its target is its input, so no labels are needed. What passes the waist must be what matters: the network
finds, by itself, a few numbers that say what a digit looks like. The encoder makes them, the decoder makes an
image of them. The yardstick is the best *linear* map through the same waist, which is known without training:
the principal components, from the singular values. A network bends, and so keeps more: with the default of 8
numbers for 64 pixels the metric "error against linear" ends at 0.55.

    dagexec train graphs/autoencoder.py --compare code=2,4,8,16
    python graphs/autoencoder.py digits.png

The second draws digits, what the network and what the linear map make of them, and where the digits lie in
a plane when the code is two numbers. The first 1,437 of the digits are learned from, the other 360 are shown.
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

from dagexec import block, nn, optim, random, value_and_grad
from dagexec.data import Batches, digits
from dagexec.training import Training, train


def init(key, sizes):
    """Dense layers from each size to the next."""
    keys = random.split(key, len(sizes) - 1)
    return [nn.init_dense(key, *pair) for key, pair in zip(keys, pairwise(sizes))]


def layers(params, x):
    for p in params[:-1]:
        x = nn.relu(nn.dense(p, x))
    return nn.dense(params[-1], x)


@block
def encode(params, images):
    """The few numbers for each image."""
    return layers(params["encoder"], images)


@block
def decode(params, codes):
    """An image for each code, its pixels between 0 and 1."""
    return nn.sigmoid(layers(params["decoder"], codes))


def loss(params, images):
    """The squared difference from what went in, averaged over pixels."""
    return nn.squared_loss(decode(params, encode(params, images)), images)


def linear(images, others, code):
    """What the best linear map to `code` numbers and back, for `images`, makes of `others`."""
    mean = images.mean(axis=0)
    components = np.linalg.svd(images - mean, full_matrices=False)[2][:code]
    return (others - mean) @ components.T @ components + mean


def build(
    code: int = 8,
    hidden: tuple[int, ...] = (128, 64),
    rate: float = 0.002,
    batch: int = 32,
    epochs: int = 60,
    data: str = "",
    seed: int = 0,
):
    """Hidden layers of the sizes `hidden` on the way to the code, and the same back; trained by Adam."""
    found = digits(data or Path(__file__).parent / "data" / "digits")
    images, others = (part.reshape(len(part), -1) for part in (found.images, found.test_images))
    first, second = random.split(random.key(seed))
    sizes = images.shape[1], *hidden, code
    params = {"encoder": init(first, sizes), "decoder": init(second, sizes[::-1])}
    batches = Batches((images,), batch, seed)
    optimiser = optim.adam(optim.cosine(rate, epochs * len(batches)))
    yardstick = np.mean((linear(images, others, code) - others) ** 2)

    def step(state, images):
        value, gradients = value_and_grad(loss)(state[0], images)
        return value, optimiser.update(state[0], gradients, state[1])

    metrics = {
        "validation loss": lambda state, images: loss(state[0], images),
        "error against linear": lambda state, images: loss(state[0], images) / yardstick,
    }
    return Training(step, (params, optimiser.init(params)), batches, metrics, (others,), epochs)


def draw(path):
    """Some digits and what is left of them, and the plane of codes of two numbers."""
    import matplotlib.pyplot as plt

    training, flat = build(), build(code=2)
    (images,), (others,) = training.data.arrays, training.validation
    params, plane = train(training).state[0], train(flat).state[0]
    rows = others, decode(params, encode(params, others)), linear(images, others, 8)
    padded = [np.pad(row[:10].reshape(10, 8, 8), ((0, 0), (1, 1), (1, 1))) for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5), layout="constrained", width_ratios=[1.6, 1])
    strips = [images.transpose(1, 0, 2).reshape(10, 100) for images in padded]
    left.imshow(np.concatenate(strips), cmap="Greys", vmin=0, vmax=1)
    left.set_yticks([5, 15, 25], ["digits", "through 8 numbers", "by a linear map"])
    left.set_xticks([])
    labels = digits(Path(__file__).parent / "data" / "digits").test_labels
    for label, (x, y) in zip(labels, encode(plane, others)):
        right.text(x, y, str(label), color=plt.cm.tab10(label), ha="center", va="center", fontsize=8)
    right.update_datalim(encode(plane, others))
    right.autoscale()
    right.set_title("codes of two numbers")
    figure.savefig(path)


if __name__ == "__main__":
    draw(sys.argv[1])
