"""Predicting a chaotic series: a recurrent network reads 24 numbers and says the next.

The Mackey-Glass equation x'(t) = 0.2 x(t − 17) / (1 + x(t − 17)¹⁰) − 0.1 x(t) is a model of blood cells that
are made with delay (Mackey and Glass 1977). It nearly repeats, but never does: a small difference grows until
nothing is left of a forecast. A number every three units of time makes the series; the last fifth is for
judging, and the yardstick is the best *linear* map of the 24 (least squares).

The network says how much the next number differs from the last, which is easier than to say the number. The
metrics are its error (the root of the mean square), and that in parts of the linear map's: it ends at about a
seventh.

    dagexec train graphs/time_series.py --compare cell=rnn,gru,lstm
    python graphs/time_series.py forecast.png

The second lets it read its own predictions, step after step, and draws how far it gets.
"""

import sys
from typing import Literal

import numpy as np

from dagexec import nn, optim, random, value_and_grad
from dagexec.data import Batches
from dagexec.training import Training, train


def mackey_glass(length, seed, delay=17, parts=10, every=3):
    """`length` numbers, by Euler's method in steps of 1 / `parts`."""
    chance = np.random.default_rng(seed)
    x = list(1.2 + 0.2 * chance.standard_normal(delay * parts + 1))
    for _ in range((length * every + 300) * parts):  # the first 300 units of time are for getting started
        late = x[-delay * parts - 1]
        x.append(x[-1] + (0.2 * late / (1 + late**10) - 0.1 * x[-1]) / parts)
    return np.array(x[:: -every * parts][:length][::-1], "float32")


def windows(series, length):
    """All stretches of `length` numbers (n, length, 1), and the number after each (n,)."""
    stretches = np.lib.stride_tricks.sliding_window_view(series, length + 1)
    return stretches[:, :-1, None], stretches[:, -1]


def predictor(cell):
    """The function from parameters and windows to the next numbers."""

    def predict(params, xs):
        outputs, _ = nn.unroll(cell, params["cell"], xs - 1)
        return xs[:, -1, 0] + nn.dense(params["change"], outputs[:, -1])[:, 0]

    return predict


def linear_error(xs, ys, other_xs, other_ys):
    """The error on other windows of the linear map that is best on these."""
    matrix, other = (np.concatenate([x[:, :, 0], np.ones_like(x[:, 0])], axis=1) for x in (xs, other_xs))
    weights = np.linalg.lstsq(matrix.astype(float), ys, rcond=None)[0]
    return np.sqrt(np.mean((other @ weights - other_ys) ** 2))


def build(
    cell: Literal["rnn", "lstm", "gru"] = "gru",
    hidden: int = 32,
    window: int = 24,
    length: int = 2000,
    rate: float = 0.01,
    batch: int = 32,
    epochs: int = 20,
    seed: int = 0,
):
    """A series of `length` numbers, of which `window` are read at a time; trained by Adam."""
    series = mackey_glass(length, seed)
    split = length * 4 // 5
    parts = *windows(series[:split], window), *windows(series[split:], window)
    batches, linear = Batches(parts[:2], batch, seed), linear_error(*parts)

    first, second = random.split(random.key(seed))
    init = getattr(nn, f"init_{cell}")
    change = nn.init_dense(second, hidden, 1, weights=nn.normal(0.01))
    params = {"cell": init(first, 1, hidden), "change": change}
    predict = predictor(getattr(nn, f"{cell}_cell"))
    optimiser = optim.adam(optim.cosine(rate, epochs * len(batches)))

    def loss(params, xs, ys):
        return nn.squared_loss(predict(params, xs), ys)

    def step(state, xs, ys):
        value, gradients = value_and_grad(loss)(state[0], xs, ys)
        return value, optimiser.update(state[0], gradients, state[1])

    def error(state, xs, ys):
        return np.sqrt(loss(state[0], xs, ys))

    metrics = {"error": error, "error against linear": lambda *args: error(*args) / linear}
    return Training(step, (params, optimiser.init(params)), batches, metrics, parts[2:], epochs)


def draw(path, steps=300):
    """The true series, and what comes out where each prediction is read to make the next."""
    import matplotlib.pyplot as plt

    training = build()
    params, predict = train(training).state[0], predictor(nn.gru_cell)
    xs, ys = training.validation
    read, forecast = xs[:1], []
    for _ in range(steps):
        forecast.append(predict(params, read))
        read = np.concatenate([read[:, 1:], forecast[-1][:, None, None]], axis=1)
    figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
    ax.plot(range(-24, steps), np.concatenate([xs[0, :, 0], ys[:steps]]), "k", label="the series")
    ax.plot(range(steps), np.concatenate(forecast), "--", color="tab:orange", label="its own predictions")
    ax.set_xlabel("steps ahead")
    ax.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    figure.savefig(path)


if __name__ == "__main__":
    draw(sys.argv[1])
