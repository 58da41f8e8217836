"""A transformer reads digits: an image is cut into patches, which look at each other, and vote.

Each patch of 2 × 2 pixels becomes a vector (one dense layer for all), and where it was in the image is added
as a learned vector. In a block each patch then asks all others (attention), several times side by side
(heads), and thinks by itself about what it got (two dense layers); both only add to what it was. At the end
the mean over all patches says which digit it is (Dosovitskiy et al. 2020, arXiv 2010.11929).

Unlike a recurrent network it has no chain of steps: the depth of the graph is that of a few layers, however
many patches there are, and unlike a convolution each patch sees the whole image at once. It must learn from
the data alone what is near what. With `-p positions=false` it cannot, and three digits in four are right
instead of 97 in a hundred.

    dagexec train graphs/transformer_classifier.py
    dagexec train graphs/transformer_classifier.py --compare positions=true,false --plot positions.png
    dagexec draw graphs/transformer_classifier.py -o transformer.svg

`data` may be a folder with MNIST's files; `-p patch=4` suits them.
"""

from pathlib import Path

import numpy as np

from dagexec import nn, optim, random, value_and_grad
from dagexec.data import Batches, digits
from dagexec.training import Training


def patches(images, size):
    """Images (n, height, width) cut into squares (n, squares, size²), without what is left at the edges."""
    rows, columns = images.shape[1] // size, images.shape[2] // size
    squares = images[:, : rows * size, : columns * size].reshape(-1, rows, size, columns, size)
    return squares.transpose(0, 1, 3, 2, 4).reshape(-1, rows * columns, size * size)


def init(key, places, pixels, features, layers, positions):
    keys = random.split(key, layers + 3)
    params = {
        "patch": nn.init_dense(keys[0], pixels, features),
        "blocks": [nn.init_encoder_block(key, features, 2 * features) for key in keys[3:]],
        "norm": nn.init_layer_norm(None, features),
        "classes": nn.init_dense(keys[1], features, 10, weights=nn.xavier_normal),
    }
    if positions:
        params["positions"] = nn.init_positions(keys[2], places, features, weights=nn.normal(0.5))
    return params


def logits(params, xs, heads, key=None, dropout=0.0):
    """The scores of the ten digits; with a key, there is dropout in each block."""
    xs = nn.dense(params["patch"], xs)
    if "positions" in params:
        xs = nn.add_positions(params["positions"], xs)
    keys = [None] * len(params["blocks"]) if key is None else random.split(key, len(params["blocks"]))
    for p, key in zip(params["blocks"], keys):
        xs = nn.encoder_block(p, xs, heads=heads, key=key, rate=dropout)
    return nn.dense(params["classes"], np.mean(nn.layer_norm(params["norm"], xs), axis=1))


def build(
    patch: int = 2,
    features: int = 32,
    layers: int = 2,
    heads: int = 4,
    positions: bool = True,
    dropout: float = 0.2,
    rate: float = 0.003,
    batch: int = 32,
    epochs: int = 20,
    data: str = "",
    seed: int = 0,
):
    """`layers` blocks on vectors of `features` numbers; trained by AdamW, its rate warmed up."""
    images, labels, *others = digits(data or Path(__file__).parent / "data" / "digits")
    xs, other_xs = patches(images, patch), patches(others[0], patch)
    first, key = random.split(random.key(seed))
    params = init(first, *xs.shape[1:], features, layers, positions)
    batches = Batches((xs, labels), batch, seed)
    optimiser = optim.adamw(optim.warmup(optim.cosine(rate, epochs * len(batches)), 50))

    def loss(params, xs, labels, key=None):
        return nn.cross_entropy(logits(params, xs, heads, key, dropout), labels)

    def step(state, xs, labels):
        params, memory, key = state
        now, later = random.split(key)
        value, gradients = value_and_grad(loss)(params, xs, labels, now)
        return value, (*optimiser.update(params, gradients, memory), later)

    metrics = {
        "validation loss": lambda state, xs, labels: loss(state[0], xs, labels),
        "accuracy": lambda state, xs, labels: nn.accuracy(logits(state[0], xs, heads), labels),
    }
    state = params, optimiser.init(params), key
    return Training(step, state, batches, metrics, (other_xs, others[1]), epochs)
