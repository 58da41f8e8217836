"""Language models: how probable is the next word? By counting one, two or three words, or by a network.

A model is judged by its perplexity on sentences that it has not seen: the exponential of the mean surprise,
which is the number of words among which it is, in effect, still undecided. A unigram model knows how frequent
each word is, a bigram model what follows one word, a trigram model what follows two; a recurrent network
carries a state from the first word on, and a transformer looks back at all words. In the default text, verbs
agree with subjects that are far away, so the networks are much better: `-p model=unigram` reaches 36, bigram
12.6, trigram 11.6, rnn 7.1, transformer 6.8, where 6.3 is the best that any model could do.

The models that count (`ngrams.py`) are trained in one step: it counts.
`-p text=FILE` reads a text of your own, a sentence a line, of which the last tenth is held out. Try
`dagexec train graphs/language_model.py --plot perplexity.png`.
"""

from typing import Literal

import numpy as np
from ngrams import counted, surprise_by_counts
from sentences import START, grammatical, numbered, vocabulary

from dagexec import nn, optim, random, value_and_grad
from dagexec.data import Batches, read_text
from dagexec.training import Training


def init_network(key, model, words, length, features, blocks):
    keys = random.split(key, 3 + blocks)
    params = {
        "embedding": nn.init_embedding(keys[0], words, features, weights=nn.normal(0.1)),
        "next": nn.init_dense(keys[1], features, words, weights=nn.xavier_uniform),
    }
    if model == "rnn":
        return {**params, "cell": nn.init_gru(keys[2], features, features)}
    return {
        **params,
        "positions": nn.init_positions(keys[2], length, features),
        "blocks": [nn.init_encoder_block(key, features, 4 * features) for key in keys[3:]],
        "norm": nn.init_layer_norm(None, features),
    }


def logits(params, sentences):
    """For each word but the last, a score for every word that could come next."""
    x = nn.embedding(params["embedding"], sentences[:, :-1])
    if "cell" in params:
        x, _ = nn.unroll(nn.gru_cell, params["cell"], x)
    else:
        x = nn.add_positions(params["positions"], x)
        for block in params["blocks"]:
            x = nn.encoder_block(block, x, heads=4, mask=nn.causal_mask(x.shape[1]))
        x = nn.layer_norm(params["norm"], x)
    return nn.dense(params["next"], x)


def surprise_by_network(params, sentences):
    nexts = sentences[:, 1:]
    return nn.cross_entropy(logits(params, sentences), nexts, mask=nexts != 0)


def texts_of(file, count, seed):
    """Sentences as lists of words: those of a file, or `count` generated ones."""
    if file:
        return [line.split() for line in read_text(file).splitlines() if line.strip()]
    return [sentence.words for sentence in grammatical(count, seed)]


def build(
    model: Literal["unigram", "bigram", "trigram", "rnn", "transformer"] = "transformer",
    text: str = "",
    sentences: int = 5000,
    words: int = 200,
    features: int = 64,
    blocks: int = 2,
    rate: float = 0.003,
    batch: int = 64,
    epochs: int = 6,
    seed: int = 0,
):
    """Up to `words` words, the most frequent ones; networks with `features` numbers a word."""
    texts = [[START, *line] for line in texts_of(text, sentences, seed)]
    held_out = max(1, len(texts) // 10)
    known = vocabulary(texts[:-held_out], words)
    table = numbered(texts, known, min(64, max(map(len, texts))))
    train, test = table[:-held_out], table[-held_out:]
    if model in ("rnn", "transformer"):
        params = init_network(random.key(seed), model, len(known), table.shape[1], features, blocks)
        batches = Batches((train,), batch, seed)
        optimiser = optim.adamw(optim.warmup(optim.cosine(rate, epochs * len(batches)), 50))

        def step(state, sentences):
            loss, gradients = value_and_grad(surprise_by_network)(state["params"], sentences)
            params, memory = optimiser.update(state["params"], gradients, state["optimiser"])
            return loss, {"params": params, "optimiser": memory}

        state = {"params": params, "optimiser": optimiser.init(params)}
        metrics = {"perplexity": lambda state, s: np.exp(surprise_by_network(state["params"], s))}
        return Training(step, state, batches, metrics, (test,), epochs)

    order = ["unigram", "bigram", "trigram"].index(model) + 1

    def count(tables, sentences):
        tables = counted(sentences, len(known), order)
        return surprise_by_counts(tables, sentences), tables

    empty = [np.zeros((len(known),) * length, "float32") for length in range(1, order + 1)]
    metrics = {"perplexity": lambda tables, s: np.exp(surprise_by_counts(tables, s))}
    return Training(count, empty, (train,), metrics, (test,), epochs=1)
