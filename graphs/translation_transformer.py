"""Dates translated once more ("march 3rd, 1997" to "1997-03-03"), by a transformer, without a state.

The encoder looks at all letters of the date at once; so does the decoder, which also looks at its own letters
so far (Vaswani et al. 2017, arXiv 1706.03762). There is no state that is handed from step to step. So in
training all places of the answer are computed side by side, where the network of `translation.py` has a
chain of 30 cells: compare the two with `dagexec draw FILE --group level`, and the bound on what workers can
gain with `dagexec bench`. A mask keeps each place from seeing the letters that it is to predict; waves
of sines that differ from place to place are added, since attention by itself does not see order.

In use, letters still come one after another, each computed from all before: `translate`.
After nine epochs, 99 % of 200 other dates are right in every letter:
`dagexec train graphs/translation_transformer.py --plot loss.png`.
"""

import numpy as np
from dates import LETTERS, SYMBOLS, dates

from dagexec import nn, optim, random, value_and_grad
from dagexec.data import Batches
from dagexec.training import Training

HEADS = 4


def init(key, features, layers):
    keys = iter(random.split(key, 3 + 2 * layers))
    return {
        "letters": nn.init_embedding(next(keys), len(LETTERS), features),
        "symbols": nn.init_embedding(next(keys), len(SYMBOLS), features),
        "encoder": [nn.init_encoder_block(next(keys), features, 2 * features) for _ in range(layers)],
        "encoder norm": nn.init_layer_norm(None, features),
        "decoder": [nn.init_decoder_block(next(keys), features, 2 * features) for _ in range(layers)],
        "decoder norm": nn.init_layer_norm(None, features),
        "symbol": nn.init_dense(next(keys), features, len(SYMBOLS), weights=nn.xavier_normal),
    }


def read(params, asked):
    """What stands at each place, seen with all the others, and the mask that hides padding."""
    mask = nn.padding_mask(asked != 0)
    x = nn.add_sinusoidal_positions(nn.embedding(params["letters"], asked))
    for layer in params["encoder"]:
        x = nn.encoder_block(layer, x, heads=HEADS, mask=mask)
    return nn.layer_norm(params["encoder norm"], x), mask


def write(params, seen, mask, answers):
    """For each place of the answers (batch, time), the scores of the letter after it."""
    x = nn.add_sinusoidal_positions(nn.embedding(params["symbols"], answers))
    for layer in params["decoder"]:
        x = nn.decoder_block(layer, x, seen, heads=HEADS, mask=mask)
    return nn.dense(params["symbol"], nn.layer_norm(params["decoder norm"], x))


def loss(params, asked, answers):
    """The mean surprise at each right letter, given those before it."""
    return nn.cross_entropy(write(params, *read(params, asked), answers[:, :-1]), answers[:, 1:])


def translate(params, asked):
    """The answers, each letter the best after those before it."""
    seen = read(params, asked)
    answers = np.full((len(asked), 1), SYMBOLS.index("^"))
    for _ in range(10):
        best = np.argmax(write(params, *seen, answers)[:, -1:], axis=2)
        answers = np.concatenate([answers, best], axis=1)
    return answers[:, 1:]


def build(
    features: int = 48,
    layers: int = 1,
    examples: int = 3000,
    rate: float = 0.006,
    batch: int = 32,
    epochs: int = 9,
    seed: int = 0,
):
    """Vectors of `features` numbers throughout; judged on 200 dates by how many are right in every letter."""
    params = init(random.key(seed), features, layers)
    batches = Batches(dates(examples, seed), batch, seed)
    optimiser = optim.adam(optim.warmup(optim.cosine(rate, epochs * len(batches)), 50))

    def step(state, asked, answers):
        value, gradients = value_and_grad(loss)(state[0], asked, answers)
        return value, optimiser.update(state[0], gradients, state[1])

    def right(state, asked, answers):
        return np.mean(np.all(translate(state[0], asked) == answers[:, 1:], axis=1))

    metrics = {"validation loss": lambda state, *data: loss(state[0], *data), "right": right}
    return Training(step, (params, optimiser.init(params)), batches, metrics, dates(200, seed + 1), epochs)
