"""Dates, translated from how people write them to one form: "march 3rd, 1997" becomes "1997-03-03".

A GRU reads the letters in both directions. Another GRU writes the answer, a letter at each step; before it
writes, it *attends*: it compares its state with what was read at each place, and takes a mean of that,
weighed by how well the two fit (Bahdanau et al. 2014, arXiv 1409.0473). So it can look at the year when it
writes the year, wherever it stands, and need not carry all of the sentence in one state.

In training, each step is told the right letter before its own ("teacher forcing"); in use, `translate` hands
on the letter that it thought best. Nothing but the loss says where to look; the alignment is learned:
`python graphs/translation.py alignment.png` trains and draws it, `dagexec train graphs/translation.py --plot
loss.png` the curves. The dates are generated: the years 1900 to 2099, in six ways of writing. After eight
epochs, all of 200 other dates are right in every letter.
"""

import sys

import numpy as np
from dates import LENGTH, LETTERS, SYMBOLS, dates, numbered, written

from dagexec import block, nn, optim, random, value_and_grad
from dagexec.data import Batches
from dagexec.training import Training, train


def init(key, size):
    keys = random.split(key, 6)
    return {
        "letters": nn.init_embedding(keys[0], len(LETTERS), size),
        "symbols": nn.init_embedding(keys[1], len(SYMBOLS), size),
        "reader": nn.init_bidirectional(nn.init_gru, keys[2], size, size // 2),
        "writer": nn.init_gru(keys[3], 2 * size, size),
        "question": nn.init_dense(keys[4], size, size, weights=nn.xavier_normal),
        "symbol": nn.init_dense(keys[5], 2 * size, len(SYMBOLS), weights=nn.xavier_normal),
    }


@block
def read(params, asked):
    """What stands at each place, seen with its surroundings, and where there is anything to look at."""
    mask = asked != 0
    seen, _ = nn.bidirectional(
        nn.gru_cell, params["reader"], nn.embedding(params["letters"], asked), mask=mask
    )
    return seen, mask


@block
def look(params, seen, mask, state, values):
    """The mean of the values at all places, weighed by how well what was seen there fits the state."""
    question = nn.dense(params["question"], state)
    return nn.attention(question[:, None], seen, values, mask[:, None])[:, 0]


@block
def write(params, seen, mask, symbol, state):
    """One step: look, go on to the next state, and score what may be written."""
    found = look(params, seen, mask, state, seen)
    x = np.concatenate([nn.embedding(params["symbols"], symbol), found], axis=1)
    state = nn.gru_cell(params["writer"], x, state)
    return state, nn.dense(params["symbol"], np.concatenate([state, found], axis=1))


def loss(params, asked, answers):
    """The mean surprise at each right letter, given those before it."""
    seen, mask = read(params, asked)
    state, scores = np.zeros(seen[:, 0].shape, seen.dtype), []
    for symbol in answers.T[:-1]:
        state, score = write(params, seen, mask, symbol, state)
        scores.append(score)
    return nn.cross_entropy(np.stack(scores, axis=1), answers[:, 1:])


def translate(params, asked):
    """The answers, each letter the best after those before it; and for each, how much it looked where."""
    seen, mask = read(params, asked)
    state, answer, looks = np.zeros(seen[:, 0].shape, seen.dtype), [], []
    symbol = np.full(len(asked), SYMBOLS.index("^"))
    for _ in range(10):
        looks.append(look(params, seen, mask, state, np.eye(LENGTH)))  # the weights themselves
        state, score = write(params, seen, mask, symbol, state)
        symbol = np.argmax(score, axis=1)
        answer.append(symbol)
    return np.stack(answer, axis=1), np.stack(looks, axis=1)


def draw(params, path):
    """For one date of each way of writing, where the network looks (columns) for each letter it writes."""
    import matplotlib.pyplot as plt

    texts = [written(3, 9, 1997, way) for way in range(6)]
    answers, looks = translate(params, numbered(texts))
    figure, axes = plt.subplots(2, 3, figsize=(11, 4.2), layout="constrained")
    for ax, text, answer, weights in zip(axes.flat, texts, answers, looks):
        ax.imshow(weights, cmap="Greys", vmin=0, vmax=1)
        ax.set_xticks(range(len(text)), text)
        ax.set_yticks(range(10), [SYMBOLS[symbol] for symbol in answer])
    figure.savefig(path)


def build(
    size: int = 48, examples: int = 3000, rate: float = 0.01, batch: int = 64, epochs: int = 8, seed: int = 0
):
    """Vectors of `size` numbers throughout; judged on 200 dates by how many are right in every letter."""
    params, optimiser = init(random.key(seed), size), optim.adam(rate)

    def step(state, asked, answers):
        value, gradients = value_and_grad(loss)(state[0], asked, answers)
        return value, optimiser.update(state[0], optim.clip_by_norm(gradients, 1.0), state[1])

    def right(state, asked, answers):
        return np.mean(np.all(translate(state[0], asked)[0] == answers[:, 1:], axis=1))

    metrics = {"validation loss": lambda state, *data: loss(state[0], *data), "right": right}
    batches = Batches(dates(examples, seed), batch, seed)
    state = params, optimiser.init(params)
    return Training(step, state, batches, metrics, dates(200, seed + 1), epochs)


if __name__ == "__main__":
    trained = train(build())
    draw(trained.state[0], sys.argv[1])
