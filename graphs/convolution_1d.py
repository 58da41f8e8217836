"""A pattern in noise, wherever it is: what convolution and pooling are for.

Half of the signals, 64 numbers of noise, hold a short wave somewhere; the network says which. The catch: in
training it stands in the first half always, in validation anywhere.

- `model` dense sees the signal as 64 separate numbers. What it learns of the first half tells it nothing of
  the second, where it can only guess.
- `model` conv slides kernels over the signal, and keeps of each only what it found, not where: the largest
  answer (`pooling` max), or the mean (avg), which drowns one good match in the noise of all other places.
- `pooling` none keeps all answers, place by place, for a dense layer: there, places matter again.

    dagexec train graphs/convolution_1d.py --compare model=conv,dense
    dagexec train graphs/convolution_1d.py --compare pooling=max,avg,none
    dagexec train graphs/convolution_1d.py --compare kernel=3,5,9
"""

from typing import Literal

import numpy as np

from dagexec import nn, optim, random, value_and_grad
from dagexec.data import Batches
from dagexec.training import Training

LENGTH, WAVE = 64, 2.5 * np.sin(np.linspace(0, 4 * np.pi, 9))


def signals(count, places, chance):
    """Noise (count, 1, LENGTH), and in those labelled 1 a wave that begins at one of `places`."""
    x, labels = chance.normal(size=(count, LENGTH)), chance.integers(0, 2, count)
    for row in np.flatnonzero(labels):
        start = chance.integers(places)
        x[row, start : start + len(WAVE)] += WAVE
    return x[:, None].astype("float32"), labels


def build(
    model: Literal["conv", "dense"] = "conv",
    pooling: Literal["max", "avg", "none"] = "max",
    kernels: int = 8,
    kernel: int = 9,
    rate: float = 0.01,
    batch: int = 50,
    epochs: int = 20,
    seed: int = 0,
):
    chance, keys = np.random.default_rng(seed), random.split(random.key(seed), 2)
    data = signals(2000, LENGTH // 2 - len(WAVE), chance)
    validation = signals(1000, LENGTH - len(WAVE), chance)
    places = LENGTH - kernel + 1  # where a kernel can stand
    if model == "conv":
        first = nn.init_conv1d(keys[0], 1, kernels, kernel)
        params = first, nn.init_dense(keys[1], kernels * (places if pooling == "none" else 1), 2)
    else:
        params = nn.init_dense(keys[0], LENGTH, 4 * kernels), nn.init_dense(keys[1], 4 * kernels, 2)

    def network(params, x):
        if model == "dense":
            x = nn.relu(nn.dense(params[0], x[:, 0]))
        else:
            x = nn.relu(nn.conv1d(params[0], x))
            if pooling != "none":
                x = nn.max_pool(x, places) if pooling == "max" else nn.avg_pool(x, places)
        return nn.dense(params[1], np.reshape(x, (len(x), -1)))

    def loss(params, x, labels):
        return nn.cross_entropy(network(params, x), labels)

    follow = optim.adam(rate)

    def step(state, x, labels):
        params, memory = state
        value, gradients = value_and_grad(loss)(params, x, labels)
        return value, follow.update(params, gradients, memory)

    metrics = {"accuracy": lambda state, x, labels: nn.accuracy(network(state[0], x), labels)}
    return Training(
        step, (params, follow.init(params)), Batches(data, batch, seed), metrics, validation, epochs
    )
