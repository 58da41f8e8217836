"""What kind of word is each word? And where do words begin, if nobody writes spaces? One model for both.

Tagging gives each word of a sentence its part of speech. Many words here are a noun or a verb: in "the cook
that ducks watch waits" only the words around tell. Segmentation cuts "thecookthatduckswatchwaits" into words,
by giving each letter the tag begin, inside or single. In both, a bidirectional LSTM reads the sentence from
either end and scores the tags at each place; a conditional random field adds how well tags follow each other
and finds the best sequence as a whole, so that no single letter is followed by the inside of a word (Huang,
Xu and Yu 2015; Lample et al. 2016). The loss is the surprise at the right sequence.

Of the words of sentences that it has not seen it tags 99.9 % rightly, and of the letters 99.9 %. To say
"noun" always is right for 26 % of the words, the most frequent tag of each word for 93 %; to say "inside"
always for 74 % of the letters. `-p crf=false` scores each place by itself. Try
`dagexec train graphs/tagging.py -p task=segmentation`.
"""

from typing import Literal

import numpy as np
from sentences import grammatical, numbered, vocabulary

from dagexec import nn, optim, random, value_and_grad
from dagexec.data import Batches
from dagexec.training import Training

LONGEST = 12  # words in a sentence; longer ones are left out, since all are padded to one length


# --- data -----------------------------------------------------------------------------------------------
def letters(words):
    """The letters of a sentence without its spaces, and the tag of each."""
    tags = []
    for word in words:
        tags += ["begin", *["inside"] * (len(word) - 1)] if len(word) > 1 else ["single"]
    return list("".join(words)), tags


def examples(task, count, seed):
    """For `count` sentences the tokens, words or letters, and their tags."""
    sentences = [sentence for sentence in grammatical(count, seed) if len(sentence.words) <= LONGEST]
    if task == "segmentation":
        return zip(*[letters(sentence.words) for sentence in sentences])
    return zip(*[(sentence.words, sentence.tags) for sentence in sentences])


# --- model ----------------------------------------------------------------------------------------------
def init(key, tokens, tags, features, hidden, crf):
    keys = random.split(key, 4)
    params = {
        "embedding": nn.init_embedding(keys[0], tokens, features),
        "reader": nn.init_bidirectional(nn.init_lstm, keys[1], features, hidden),
        "tags": nn.init_dense(keys[2], 2 * hidden, tags, weights=nn.xavier_uniform),
    }
    return {**params, "crf": nn.init_crf(keys[3], tags)} if crf else params


def scores(params, tokens):
    """At each place a score of each tag."""
    x = nn.embedding(params["embedding"], tokens)
    x, _ = nn.bidirectional(nn.lstm_cell, params["reader"], x, mask=tokens != 0)
    return nn.dense(params["tags"], x)


def surprise(params, tokens, tags):
    """Minus the log-probability of the tags, for each token."""
    known = tokens != 0
    if "crf" not in params:
        return nn.cross_entropy(scores(params, tokens), tags, mask=known)
    return -np.sum(nn.crf_log_likelihood(params["crf"], scores(params, tokens), tags, known)) / np.sum(known)


def tagged(params, tokens):
    """The best tags."""
    if "crf" not in params:
        return np.argmax(scores(params, tokens), axis=-1)
    return nn.viterbi(params["crf"], scores(params, tokens), tokens != 0)


def accuracy(params, tokens, tags):
    """The part of all tags that are right."""
    known = tokens != 0
    return np.sum((tagged(params, tokens) == tags) & known) / np.sum(known)


def build(
    task: Literal["tagging", "segmentation"] = "tagging",
    crf: bool = True,
    sentences: int = 1000,
    features: int = 32,
    hidden: int = 32,
    rate: float = 0.01,
    batch: int = 50,
    epochs: int = 5,
    seed: int = 0,
):
    """Up to `sentences` sentences; `features` numbers a token, `hidden` numbers each reader's state."""
    texts, tags = map(list, examples(task, sentences, seed))
    held_out = len(texts) // 5
    kinds = sorted({tag for row in tags for tag in row})
    tokens = numbered(texts, vocabulary(texts[:-held_out]))
    answers = numbered(tags, kinds)
    params = init(random.key(seed), tokens.max() + 1, len(kinds), features, hidden, crf)
    optimiser = optim.adam(rate)

    def step(state, tokens, tags):
        loss, gradients = value_and_grad(surprise)(state["params"], tokens, tags)
        gradients = optim.clip_by_norm(gradients, 5.0)
        params, memory = optimiser.update(state["params"], gradients, state["optimiser"])
        return loss, {"params": params, "optimiser": memory}

    return Training(
        step,
        {"params": params, "optimiser": optimiser.init(params)},
        Batches((tokens[:-held_out], answers[:-held_out]), batch, seed),
        {"accuracy": lambda state, tokens, tags: accuracy(state["params"], tokens, tags)},
        (tokens[-held_out:], answers[-held_out:]),
        epochs,
    )
