"""Is a review good or bad? A bag of word vectors against a convolution that sees words in their order.

The reviews are made up here: "the food was not really bad and the staff was friendly" is a good one, since
"not" turns a remark around. A bag of embeddings (fastText, Joulin et al. 2016) takes the mean of the vectors
of all words: it knows that there is a "not" somewhere, but not what it belongs to, and is right on 68 % of
the reviews that it has not seen. A TextCNN (Kim 2014) looks at two, three and four neighbours at a time and
keeps the strongest answer of each filter, wherever it is: 100 %.

`-p table=FILE` reads a CSV file with the columns "text" and "label" instead and holds out a fifth of it. Try
`dagexec train graphs/text_classification.py --compare model=bag,cnn --plot accuracy.png`.
"""

from typing import Literal

import numpy as np
from sentences import numbered, vocabulary

from dagexec import block, nn, optim, random, value_and_grad
from dagexec.data import Batches, read_csv
from dagexec.training import Training

THINGS = ["food", "staff", "music", "room", "wine", "view"]
GOOD = ["good", "fresh", "friendly", "lovely", "quick", "warm"]
BAD = ["bad", "stale", "rude", "ugly", "slow", "cold"]
WIDTHS = (2, 3, 4)  # how many neighbours the convolutions look at


# --- data -----------------------------------------------------------------------------------------------
def review(random):
    """The words of a review of one to three remarks, and whether it is a good one."""
    good = bool(random.integers(2))
    words = []
    for _ in range(random.integers(1, 4)):
        turned = random.random() < 0.35
        words += [random.choice(["and", "but"])] if words else []
        words += ["the", random.choice(THINGS), "was"]
        words += ["not"] if turned else []
        words += [random.choice(["very", "really"])] if random.random() < 0.3 else []
        words += [random.choice(GOOD if good != turned else BAD)]
    return list(map(str, words)), good


def reviews(count, seed=0):
    """The words of `count` reviews, and 1 for each good one."""
    random = np.random.default_rng(seed)
    texts, labels = zip(*[review(random) for _ in range(count)])
    return list(texts), np.array(labels, int)


def read_reviews(file):
    """The words of the texts in a table, and the number of each label."""
    columns = read_csv(file)
    if not columns.keys() >= {"text", "label"}:
        raise ValueError(f"{file} needs the columns text and label, but it has {', '.join(columns)}")
    _, labels = np.unique(columns["label"], return_inverse=True)
    return [text.lower().split() for text in columns["text"]], labels


# --- models ---------------------------------------------------------------------------------------------
def init(key, model, words, classes, features, filters):
    keys = random.split(key, 2 + len(WIDTHS))
    params = {"embedding": nn.init_embedding(keys[0], words, features)}
    if model == "bag":
        return {**params, "classes": nn.init_dense(keys[1], features, classes)}
    filters_of = [nn.init_dense(key, width * features, filters) for key, width in zip(keys[2:], WIDTHS)]
    return {
        **params,
        "filters": filters_of,
        "classes": nn.init_dense(keys[1], filters * len(WIDTHS), classes),
    }


@block
def vectors(embedding, texts):
    """The vector of each word, zeros for padding; and how many words each text has."""
    known = (texts != 0)[:, :, None]
    return np.where(known, nn.embedding(embedding, texts), 0), np.sum(known, axis=1)


@block
def strongest(filters, x, width):
    """The maximum of a 1-D convolution, written out: each window of `width` words through one dense layer."""
    windows = x.shape[1] - width + 1
    neighbours = [x[:, place : place + windows] for place in range(width)]
    answers = nn.relu(nn.dense(filters, np.concatenate(neighbours, axis=2)))
    return np.max(answers, axis=1)


def logits(params, texts):
    """For each text a score of each class."""
    x, lengths = vectors(params["embedding"], texts)
    if "filters" not in params:
        return nn.dense(params["classes"], np.sum(x, axis=1) / lengths)
    found = [strongest(p, x, width) for p, width in zip(params["filters"], WIDTHS)]
    return nn.dense(params["classes"], np.concatenate(found, axis=1))


def surprise(params, texts, labels):
    return nn.cross_entropy(logits(params, texts), labels)


def build(
    model: Literal["cnn", "bag"] = "cnn",
    table: str = "",
    reviews_made: int = 3000,
    features: int = 32,
    filters: int = 32,
    rate: float = 0.003,
    batch: int = 50,
    epochs: int = 6,
    seed: int = 0,
):
    """`reviews_made` reviews; `features` numbers a word, `filters` convolutions of each width."""
    texts, labels = read_reviews(table) if table else reviews(reviews_made, seed)
    held_out = len(texts) // 5
    words = vocabulary(texts[:-held_out], 5000)
    tokens = numbered(texts, words, max(max(WIDTHS), *map(len, texts)))
    params = init(random.key(seed), model, len(words), int(labels.max()) + 1, features, filters)
    optimiser = optim.adam(rate)

    def step(state, texts, labels):
        loss, gradients = value_and_grad(surprise)(state["params"], texts, labels)
        params, memory = optimiser.update(state["params"], gradients, state["optimiser"])
        return loss, {"params": params, "optimiser": memory}

    return Training(
        step,
        {"params": params, "optimiser": optimiser.init(params)},
        Batches((tokens[:-held_out], labels[:-held_out]), batch, seed),
        {"accuracy": lambda state, texts, labels: nn.accuracy(logits(state["params"], texts), labels)},
        (tokens[-held_out:], labels[-held_out:]),
        epochs,
    )
