"""Is a review good or bad? A bag of word vectors against a convolution that sees words in their order.

The reviews are made up (`reviews.py`): "the food was not really bad and the staff was friendly" is a good
one, since "not" turns a remark around. A bag of embeddings (fastText, Joulin et al. 2016) takes the mean of
the vectors of all words: it knows that there is a "not" somewhere, but not what it belongs to, and is right
on 68 % of the reviews that it has not seen. A TextCNN (Kim 2014) looks at two, three and four neighbours at a
time and keeps the strongest answer of each filter, wherever it is: 100 %.

`-p table=FILE` reads a CSV file with the columns "text" and "label" instead and holds out a fifth of it. Try
`dagexec train graphs/text_classification.py --compare model=bag,cnn --plot accuracy.png`.
"""

from typing import Literal

import numpy as np
from reviews import reviews
from sentences import numbered, vocabulary

from dagexec import nn, optim, random, value_and_grad
from dagexec.data import Batches, read_csv
from dagexec.training import Training

WIDTHS = (2, 3, 4)  # how many neighbours the convolutions look at


def read_reviews(file):
    """The words of the texts in a table, and the number of each label."""
    columns = read_csv(file)
    if not columns.keys() >= {"text", "label"}:
        raise ValueError(f"{file} needs the columns text and label, but it has {', '.join(columns)}")
    _, labels = np.unique(columns["label"], return_inverse=True)
    return [text.lower().split() for text in columns["text"]], labels


def init(key, model, words, classes, features, filters):
    first, last, *keys = random.split(key, 2 + len(WIDTHS))
    params = {"embedding": nn.init_embedding(first, words, features)}
    if model == "bag":
        return {**params, "classes": nn.init_dense(last, features, classes)}
    return {
        **params,
        "filters": [nn.init_conv1d(key, features, filters, width) for key, width in zip(keys, WIDTHS)],
        "classes": nn.init_dense(last, filters * len(WIDTHS), classes),
    }


def logits(params, texts):
    """For each text a score of each class."""
    known = (texts != 0)[:, :, None]
    x = np.where(known, nn.embedding(params["embedding"], texts), 0)
    if "filters" in params:
        x = np.swapaxes(x, 1, 2)  # (texts, features, places)
        found = [np.max(nn.relu(nn.conv1d(p, x)), axis=2) for p in params["filters"]]
        return nn.dense(params["classes"], np.concatenate(found, axis=1))
    return nn.dense(params["classes"], np.sum(x, axis=1) / np.sum(known, axis=1))


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
