"""Handwritten digits, read as a sequence by a recurrent network that then says which digit it was.

With `-p read=row` a step is a row of eight pixels, so eight steps make a digit, and 97 to 98 % are read
rightly. With `-p read=pixel` a step is a single pixel, and what the first of 64 steps saw must not be
forgotten until the last. A simple cell overwrites all of its state at each step; its curve jumps. An LSTM
has a memory that is only added to, behind gates that it learns to open and to close; a GRU does the same
with less, and gets furthest. See for yourself:

    dagexec train graphs/sequence_classifier.py --compare cell=rnn,lstm,gru -p read=pixel --plot cells.png

With `bidirectional`, a second cell reads the sequence from its end, and both last states are used. The two
don't wait for each other, so they can run side by side:
`dagexec run graphs/sequence_classifier.py -p bidirectional=true --executor threads -p hidden=256`.
`data` may be a folder with MNIST's files; its rows have 28 pixels.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from dagexec import nn, optim, random, value_and_grad
from dagexec.data import Batches, digits
from dagexec.training import Training


def shown(state):
    """What a cell shows of its state: an LSTM keeps its memory to itself."""
    return state[0] if isinstance(state, tuple) else state


def classifier(cell):
    """The function from parameters and sequences (batch, time, features) to logits (batch, classes)."""

    def logits(params, xs):
        if "forward" in params["cell"]:
            _, (last, first) = nn.bidirectional(cell, params["cell"], xs)
            read = np.concatenate([shown(last), shown(first)], axis=1)
        else:
            _, last = nn.unroll(cell, params["cell"], xs)
            read = shown(last)
        return nn.dense(params["classes"], read)

    return logits


def build(
    cell: Literal["rnn", "lstm", "gru"] = "lstm",
    bidirectional: bool = False,
    read: Literal["row", "pixel"] = "row",
    hidden: int = 64,
    rate: float = 0.005,
    batch: int = 32,
    epochs: int = 20,
    data: str = "",
    seed: int = 0,
):
    """A cell with a state of `hidden` numbers, one in each direction if `bidirectional`; trained by Adam."""
    images, labels, test_images, test_labels = digits(data or Path(__file__).parent / "data" / "digits")
    features = images.shape[2] if read == "row" else 1
    xs, test_xs = (part.reshape(len(part), -1, features) for part in (images, test_images))

    first, second = random.split(random.key(seed))
    init = getattr(nn, f"init_{cell}")
    if bidirectional:
        params = nn.init_bidirectional(init, first, features, hidden)
    else:
        params = init(first, features, hidden)
    read_out = nn.init_dense(second, (1 + bidirectional) * hidden, 10, weights=nn.xavier_normal)
    params = {"cell": params, "classes": read_out}
    logits = classifier(getattr(nn, f"{cell}_cell"))
    optimiser = optim.adam(rate)

    def loss(params, xs, labels):
        return nn.cross_entropy(logits(params, xs), labels)

    def step(state, xs, labels):
        params, memory = state
        value, gradients = value_and_grad(loss)(params, xs, labels)
        gradients = optim.clip_by_norm(gradients, 1.0)  # a step of many factors can explode
        return value, optimiser.update(params, gradients, memory)

    metrics = {
        "validation loss": lambda state, xs, labels: loss(state[0], xs, labels),
        "accuracy": lambda state, xs, labels: nn.accuracy(logits(state[0], xs), labels),
    }
    batches = Batches((xs, labels), batch, seed)
    return Training(step, (params, optimiser.init(params)), batches, metrics, (test_xs, test_labels), epochs)
