"""What is computed: a loss of parameters and data, of which value and gradients are wanted, in float32.

Each is written once, over a kit (kits.py). Parameters and data are NumPy arrays from a fixed seed; recurrent
networks have as many features as hidden numbers, and their loss is that of the last state.

>>> from bench.autodiff.kits import Kit
>>> tiny = WORKLOADS[TINY]()
>>> float(tiny.loss(Kit(np), *tiny.args)) > 0
True
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from bench.autodiff.kits import Kit

Loss = Callable[..., Any]  # of a kit, the parameters and the data


@dataclass(frozen=True, eq=False)
class Workload:
    """A loss `loss(kit, params, *data)`, and what it is called with."""

    loss: Loss
    params: Any
    data: tuple[Any, ...]
    recurrent: str = ""  # the name of the cell

    @property
    def args(self) -> tuple[Any, ...]:
        """Parameters and data."""
        return self.params, *self.data


def _random(seed: int = 0) -> Callable[..., np.ndarray]:
    generator = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (generator.standard_normal(shape) * scale).astype(np.float32)

    return normal


def _layer(normal: Callable[..., np.ndarray], inputs: int, outputs: int) -> dict[str, np.ndarray]:
    return {"b": normal(outputs, scale=0.1), "w": normal(inputs, outputs, scale=(2 / inputs) ** 0.5)}


def _labels(count: int, classes: int = 10) -> np.ndarray:
    return np.random.default_rng(1).integers(classes, size=count)


# --- feed-forward ---------------------------------------------------------------------------------------
def tiny_net() -> Workload:
    """Batch 4, 16-32-1, tanh, squared loss."""

    def loss(kit: Kit, params: Any, x: Any, target: Any) -> Any:
        first, second = params
        hidden = kit.tanh(kit.dense(x, first["w"], first["b"]))
        return kit.squared_loss(kit.dense(hidden, second["w"], second["b"]), target)

    normal = _random()
    return Workload(loss, [_layer(normal, 16, 32), _layer(normal, 32, 1)], (normal(4, 16), normal(4, 1)))


def fnn(batch: int = 128, layers: tuple[int, ...] = (784, 256, 128, 10)) -> Workload:
    """ReLU between the layers, cross-entropy."""

    def loss(kit: Kit, params: Any, x: Any, labels: Any) -> Any:
        *hidden, last = params
        for p in hidden:
            x = kit.relu(kit.dense(x, p["w"], p["b"]))
        return kit.cross_entropy(kit.dense(x, last["w"], last["b"]), labels)

    normal = _random()
    params = [_layer(normal, m, n) for m, n in pairwise(layers)]
    return Workload(loss, params, (normal(batch, layers[0]), _labels(batch)))


def towers(count: int = 8, size: int = 256, products: int = 3) -> Workload:
    """Independent chains of matrix products, side by side; their squares are added."""

    def loss(kit: Kit, params: Any, xs: Any) -> Any:
        total = 0.0
        for tower, x in zip(params, xs):
            for w in tower:
                x = x @ w
            total = total + (x * x).mean()
        return total

    normal = _random()
    params = [[normal(size, size, scale=size**-0.5) for _ in range(products)] for _ in range(count)]
    return Workload(loss, params, ([normal(size, size) for _ in range(count)],))


# --- recurrent ------------------------------------------------------------------------------------------
def rnn(steps: int, hidden: int, batch: int) -> Workload:
    """tanh(x @ w + state @ u + b), unrolled."""

    def loss(kit: Kit, params: Any, xs: Any, state: Any, target: Any) -> Any:
        w, u, b = params["w"], params["u"], params["b"]

        def step(state: Any, x: Any) -> Any:
            return kit.tanh(kit.dense(x, w, b) + state @ u)

        return kit.squared_loss(kit.loop(step, state, xs), target)

    return _recurrent(loss, "RNN", 1, steps, hidden, batch)


def lstm(steps: int = 32, hidden: int = 128, batch: int = 32) -> Workload:
    """Long short-term memory, its gates side by side in PyTorch's order."""

    def loss(kit: Kit, params: Any, xs: Any, state: Any, target: Any) -> Any:
        w, u, b = params["w"], params["u"], params["b"]

        def step(state: Any, x: Any) -> Any:
            short, memory = state
            gates = kit.dense(x, w, b) + short @ u
            write, keep, new, show = (gates[:, k * hidden : (k + 1) * hidden] for k in range(4))
            memory = kit.sigmoid(keep) * memory + kit.sigmoid(write) * kit.tanh(new)
            return kit.sigmoid(show) * kit.tanh(memory), memory

        return kit.squared_loss(kit.loop(step, (state, state), xs)[0], target)

    return _recurrent(loss, "LSTM", 4, steps, hidden, batch)


def _recurrent(loss: Loss, cell: str, gates: int, steps: int, hidden: int, batch: int) -> Workload:
    normal = _random()
    params = {
        "b": normal(gates * hidden, scale=0.1),
        "u": normal(hidden, gates * hidden, scale=hidden**-0.5),
        "w": normal(hidden, gates * hidden, scale=hidden**-0.5),
    }
    state = np.zeros((batch, hidden), np.float32)
    return Workload(loss, params, (normal(steps, batch, hidden), state, normal(batch, hidden)), cell)


# --- convolutional --------------------------------------------------------------------------------------
def convolutional(
    batch: int,
    image: tuple[int, int],
    stages: tuple[tuple[int, ...], ...],
    kernel: int,
    pads: tuple[int, ...],
    dense: tuple[int, ...],
) -> Workload:
    """Stages of convolutions with ReLU, pooled 2 × 2 after each stage; then dense layers, cross-entropy."""

    def loss(kit: Kit, params: Any, x: Any, labels: Any) -> Any:
        for stage, padding in zip(params["stages"], pads):
            for p in stage:
                x = kit.relu(kit.conv(x, p["w"], p["b"], padding))
            x = kit.pool(x)
        x = x.reshape(batch, -1)
        *hidden, last = params["dense"]
        for p in hidden:
            x = kit.relu(kit.dense(x, p["w"], p["b"]))
        return kit.cross_entropy(kit.dense(x, last["w"], last["b"]), labels)

    normal = _random()
    channels, size = image
    made = []
    for widths, padding in zip(stages, pads):
        stage = []
        for width in widths:
            scale = (2 / (channels * kernel**2)) ** 0.5
            stage.append(
                {"b": normal(width, scale=0.1), "w": normal(width, channels, kernel, kernel, scale=scale)}
            )
            channels, size = width, size + 2 * padding - kernel + 1
        made.append(stage)
        size //= 2
    layers = [_layer(normal, m, n) for m, n in pairwise((channels * size * size, *dense))]
    data = normal(batch, image[0], image[1], image[1]), _labels(batch)
    return Workload(loss, {"dense": layers, "stages": made}, data)


# --- attention ------------------------------------------------------------------------------------------
def transformer(features: int, heads: int, tokens: int, batch: int, layers: int) -> Workload:
    """Blocks of attention and a feed-forward network four times as wide, each behind a layer norm."""

    def block(kit: Kit, p: Any, x: Any) -> Any:
        def split(x: Any) -> Any:
            return x.reshape(batch, tokens, heads, features // heads).swapaxes(1, 2)

        normed = kit.layer_norm(x, *p["norms"][0])
        queries, keys, values, outputs, wide, narrow = p["dense"]
        parts = (split(kit.dense(normed, q["w"], q["b"])) for q in (queries, keys, values))
        seen = kit.attention(*parts).swapaxes(1, 2).reshape(batch, tokens, features)
        x = x + kit.dense(seen, outputs["w"], outputs["b"])
        normed = kit.layer_norm(x, *p["norms"][1])
        return x + kit.dense(kit.relu(kit.dense(normed, wide["w"], wide["b"])), narrow["w"], narrow["b"])

    def loss(kit: Kit, params: Any, x: Any, target: Any) -> Any:
        for p in params:
            x = block(kit, p, x)
        return kit.squared_loss(x, target)

    normal = _random()
    pairs = [(features, features)] * 4 + [(features, 4 * features), (4 * features, features)]
    params = [
        {
            "dense": [_layer(normal, m, n) for m, n in pairs],
            "norms": [(1 + normal(features, scale=0.1), normal(features, scale=0.1)) for _ in range(2)],
        }
        for _ in range(layers)
    ]
    return Workload(loss, params, (normal(batch, tokens, features), normal(batch, tokens, features)))


RNNS = {
    f"RNN {steps} steps, hidden {hidden}, batch {batch}": partial(rnn, steps, hidden, batch)
    for hidden in (16, 128, 512)
    for steps in (8, 32, 128)
    for batch in (1, 32)
}
TINY, FNN, LSTM = (
    "tiny net 16-32-1, batch 4",
    "FNN 784-256-128-10, batch 128",
    "LSTM 32 steps, hidden 128, batch 32",
)
LENET, VGG, TOWERS = "LeNet 28×28, batch 64", "VGG 32×32, batch 16", "eight towers of 256×256"
TRANSFORMERS = ("transformer d 128, two layers", "transformer d 512, one layer")
WORKLOADS: dict[str, Callable[[], Workload]] = {
    TINY: tiny_net,
    FNN: fnn,
    **RNNS,
    LSTM: lstm,
    LENET: partial(convolutional, 64, (1, 28), ((6,), (16,)), 5, (2, 0), (120, 84, 10)),
    VGG: partial(convolutional, 16, (3, 32), ((32, 32), (64, 64), (128, 128)), 3, (1, 1, 1), (256, 10)),
    TRANSFORMERS[0]: partial(transformer, 128, 4, 64, 8, 2),
    TRANSFORMERS[1]: partial(transformer, 512, 8, 128, 8, 1),
    TOWERS: towers,
}
# Of the recurrent networks: each number of steps, each size, each batch.
CHOSEN_RNNS = (
    "RNN 32 steps, hidden 16, batch 1",
    "RNN 128 steps, hidden 16, batch 32",
    "RNN 32 steps, hidden 128, batch 32",
    "RNN 128 steps, hidden 128, batch 1",
    "RNN 8 steps, hidden 512, batch 32",
    "RNN 32 steps, hidden 512, batch 1",
)
CHOSEN = tuple(name for name in WORKLOADS if name not in RNNS or name in CHOSEN_RNNS)
