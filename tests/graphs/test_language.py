"""The language graph files: their losses and gradients are PyTorch's, and they learn what they say."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import optree
import pytest

from dagexec import value_and_grad
from dagexec.graphfile import load
from dagexec.training import train

GRAPHS = Path(__file__).parents[2] / "graphs"
TOLERANCES = {"float64": 1e-8, "float32": 1e-4}


def file(name):
    return load(GRAPHS / f"{name}.py")


def training_of(name, **texts):
    return file(name).built(texts).training


def reached(training, metric):
    """The metric after each epoch."""
    return train(training, executor="serial").metrics[metric]


@pytest.fixture(scope="module")
def sentences():
    """The module of the texts, which is no graph file."""
    file("language_model")
    return sys.modules["sentences"]


# --- losses and gradients beside PyTorch's --------------------------------------------------------------
def dense(p, x):
    return x @ p["weights"] + p["bias"]


def normed(torch, p, x):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], p["scale"], p["bias"])


def run_cell(torch, module, p, x, known=None):
    """PyTorch's recurrent module with our parameters; the first of its results."""
    weights = {}
    for suffix, part in zip(("", "_reverse"), (p["forward"], p["backward"]) if "forward" in p else (p,)):
        weights |= {
            f"weight_ih_l0{suffix}": part["inputs"].T,
            f"weight_hh_l0{suffix}": part["state"].T,
            f"bias_ih_l0{suffix}": part["bias"],
            f"bias_hh_l0{suffix}": part.get("state bias", torch.zeros_like(part["bias"])),
        }
    if known is None:
        return torch.func.functional_call(module, weights, (x,))[0]
    lengths = known.sum(axis=1)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, _ = torch.func.functional_call(module, weights, (packed,))
    return torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=x.shape[1])[0]


def language_model(torch, params, sentences):
    before, nexts = sentences[:, :-1], sentences[:, 1:]
    x = params["embedding"]["weights"][before]
    if "cell" in params:
        gru = torch.nn.GRU(x.shape[2], x.shape[2], batch_first=True, dtype=x.dtype)
        x = run_cell(torch, gru, params["cell"], x)
    else:
        x = x + params["positions"]["weights"][: x.shape[1]]
        for block in params["blocks"]:
            y, attention = normed(torch, block["attention norm"], x), block["attention"]
            parts = [
                dense(attention[part], y).unflatten(2, (4, -1)).swapaxes(1, 2)
                for part in ("queries", "keys", "values")
            ]
            y = torch.nn.functional.scaled_dot_product_attention(*parts, is_causal=True)
            x = x + dense(attention["outputs"], y.swapaxes(1, 2).flatten(2))
            y = torch.relu(dense(block["dense"][0], normed(torch, block["dense norm"], x)))
            x = x + dense(block["dense"][1], y)
        x = normed(torch, params["norm"], x)
    scores = dense(params["next"], x)
    return torch.nn.functional.cross_entropy(scores.flatten(0, 1), nexts.flatten(), ignore_index=0)


def text_classification(torch, params, texts, labels):
    x = params["embedding"]["weights"][texts] * (texts != 0)[:, :, None]
    if "filters" not in params:
        x = x.sum(axis=1) / (texts != 0).sum(axis=1, keepdims=True)
    else:
        found = []
        for p in params["filters"]:
            convolved = torch.nn.functional.conv1d(x.swapaxes(1, 2), p["weights"], p["bias"])
            found.append(torch.relu(convolved).amax(axis=2))
        x = torch.cat(found, axis=1)
    return torch.nn.functional.cross_entropy(dense(params["classes"], x), labels)


def tagging(torch, params, tokens, tags):
    known = tokens != 0
    x = params["embedding"]["weights"][tokens]
    hidden = params["reader"]["forward"]["state"].shape[0]
    lstm = torch.nn.LSTM(x.shape[2], hidden, batch_first=True, bidirectional=True, dtype=x.dtype)
    scores = dense(params["tags"], run_cell(torch, lstm, params["reader"], x, known))
    if "crf" not in params:
        return torch.nn.functional.cross_entropy(scores[known], tags[known])
    return (
        -sum(map(lambda *row: log_likelihood(torch, params["crf"], *row), scores, tags, known)) / known.sum()
    )


def log_likelihood(torch, crf, scores, tags, known):
    """That of one sentence, by the definition: the score of its tags against those of all tags."""
    scores, tags = scores[known], tags[known]
    total = crf["start"] + scores[0]
    for row in scores[1:]:
        total = torch.logsumexp(total[:, None] + crf["transitions"], dim=0) + row
    moves = crf["transitions"][tags[:-1], tags[1:]].sum() + crf["start"][tags[0]] + crf["end"][tags[-1]]
    return scores.gather(1, tags[:, None]).sum() + moves - torch.logsumexp(total + crf["end"], dim=0)


SMALL = {"features": "8", "batch": "6"}
MODELS = [
    ("language_model", language_model, {"model": "transformer", "sentences": "40"}),
    ("language_model", language_model, {"model": "rnn", "sentences": "40"}),
    ("text_classification", text_classification, {"model": "bag", "reviews_made": "40"}),
    ("text_classification", text_classification, {"model": "cnn", "reviews_made": "40", "filters": "5"}),
    ("tagging", tagging, {"sentences": "40", "hidden": "6"}),
    ("tagging", tagging, {"sentences": "40", "hidden": "6", "crf": "false"}),
    ("tagging", tagging, {"sentences": "40", "hidden": "6", "task": "segmentation"}),
]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("name", "twin", "texts"), MODELS)
def test_loss_and_gradients_are_those_of_torch(name, twin, texts, dtype):
    torch = pytest.importorskip("torch")
    graph_file = file(name)
    state, *batch = graph_file.built(SMALL | texts).args
    params = optree.tree_map(lambda p: p.astype(dtype), state["params"])
    loss = graph_file.build.__globals__.get("surprise") or graph_file.build.__globals__["surprise_by_network"]
    value, gradients = value_and_grad(loss)(params, *batch)

    tensors = optree.tree_map(lambda p: torch.tensor(p, requires_grad=True), params)
    wanted = twin(torch, tensors, *map(torch.tensor, batch))
    wanted.backward()
    close = {"rtol": TOLERANCES[dtype], "atol": TOLERANCES[dtype]}
    np.testing.assert_allclose(value, wanted.item(), **close)
    for gradient, tensor in zip(optree.tree_leaves(gradients), optree.tree_leaves(tensors), strict=True):
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), **close)


# --- counting -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("model", "order"), [("unigram", 1), ("bigram", 2), ("trigram", 3)])
def test_perplexity_by_counts_is_that_of_a_loop_over_words(model, order):
    training = training_of("language_model", model=model, sentences="60")
    (train_on,), (test_on,) = training.data, training.validation
    counts, totals = Counter(), Counter()
    for row in train_on:
        for context, word in contexts_and_words(row, order):
            counts[context, word] += 1
            totals[context] += 1
    surprises = []
    for row in test_on:
        for context, word in contexts_and_words(row, order):
            if len(context) == 0:
                probability = 1 / (training.state[0].shape[0] - 2)
            probability = (counts[context, word] + 16 * probability) / (totals[context] + 16)
            if len(context) == order - 1:
                surprises.append(-np.log(probability))
    (found,) = reached(training, "perplexity")
    assert found == pytest.approx(np.exp(np.mean(surprises)), rel=1e-5)


def contexts_and_words(row, order):
    """Each word with the last 0, 1, ... words before it; the start stands twice before the first."""
    words = [row[0], *row[row != 0]]
    for place in range(2, len(words)):
        for length in range(order):
            yield tuple(words[place - length : place]), words[place]


def test_a_text_file_is_read_and_its_last_tenth_is_held_out(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a b a b\n\n" * 18 + "a b b b\n" * 2)
    training = training_of("language_model", model="bigram", text=str(path))
    (table,), (held_out,) = training.data, training.validation
    assert table.shape == (18, 5)
    assert held_out.shape == (2, 5)
    assert training_of("language_model", model="bigram", text=str(path), words="4").state[0].shape == (4,)


# --- the texts ------------------------------------------------------------------------------------------
def test_verbs_agree_with_a_subject_that_is_not_the_noun_beside_them(sentences):
    between = ["DET", "NOUN", "PREP", "DET", "NOUN", "VERB", "STOP"]
    found = [words for words, tags, _ in sentences.grammatical(3000) if tags == between]
    assert len(found) > 30
    for _, subject, _, _, _, verb, _ in found:
        assert subject.endswith("s") != verb.endswith("s")  # things break, but a thing breaks
        kind = "person" if singular(subject) in sentences.NOUNS["person"] else "thing"
        assert singular(verb) in sentences.VERBS[kind]


def singular(word):
    return word.removesuffix("es") if word.endswith("ches") else word.removesuffix("s")


def test_who_says_if_says_then(sentences):
    for words, tags, _ in sentences.grammatical(200):
        assert len(words) == len(tags)
        assert [word in words for word in ("if", "either")] == [word in words for word in ("then", "or")]


def test_the_surprise_of_a_sentence_is_how_rare_it_is(sentences):
    many = sentences.grammatical(5000)
    short = {tuple(words): surprise for words, _, surprise in many if len(words) == 3}
    assert len(short) > 20  # of 27: so few that nearly all occur
    part = sum(len(words) == 3 for words, _, _ in many) / len(many)
    assert part == pytest.approx(sum(np.exp(-surprise) for surprise in short.values()), rel=0.2)


def test_numbered_words_are_padded_cut_and_unknown(sentences):
    words = sentences.vocabulary([["b", "a", "b"], ["c", "b", "a"]], most=5)
    assert words == ["<pad>", "<unknown>", "<start>", "b", "a"]
    table = sentences.numbered([["a"], ["c", "b", "a", "a"]], words, 3)
    assert table.tolist() == [[4, 0, 0], [1, 3, 4]]


# --- what they reach ------------------------------------------------------------------------------------
def test_the_transformer_is_below_the_trigram_and_that_below_the_bigram():
    size = {"sentences": "2000", "seed": "1"}
    few = {"features": "32", "blocks": "1", "rate": "0.01", "batch": "32", "epochs": "2"}
    (unigram,), (bigram,), (trigram,) = [
        reached(training_of("language_model", model=model, **size), "perplexity")
        for model in ("unigram", "bigram", "trigram")
    ]
    *_, transformer = reached(training_of("language_model", **size, **few), "perplexity")
    assert transformer < trigram < bigram < unigram


def test_no_model_is_better_than_the_grammar(sentences):
    held_out = sentences.grammatical(5000)[-500:]
    words = sum(len(sentence.words) for sentence in held_out)
    best = np.exp(sum(sentence.surprise for sentence in held_out) / words)
    assert best == pytest.approx(6.3, abs=0.1)  # as the docstring says


@pytest.mark.parametrize("task", ["tagging", "segmentation"])
def test_a_tagger_is_20_points_above_the_most_frequent_tag(task):
    sizes = {"tagging": ("300", "3"), "segmentation": ("300", "4")}
    count, epochs = sizes[task]
    training = training_of("tagging", task=task, sentences=count, batch="20", epochs=epochs)
    tokens, tags = training.validation
    majority = np.bincount(tags[tokens != 0]).max() / np.sum(tokens != 0)
    assert reached(training, "accuracy")[-1] >= majority + 0.2


def test_the_convolution_knows_what_not_belongs_to_and_the_bag_does_not():
    sizes = {"reviews_made": "1200", "epochs": "6"}
    bag, cnn = [
        reached(training_of("text_classification", model=model, **sizes), "accuracy")[-1]
        for model in ("bag", "cnn")
    ]
    assert 0.6 < bag < 0.8
    assert cnn > 0.95


def test_a_table_of_labelled_texts_is_read(tmp_path):
    path = tmp_path / "table.csv"
    rows = ["Lovely food,yes", "slow Staff,no"] * 50
    path.write_text("\n".join(["text,label", *rows]))
    training = training_of("text_classification", table=str(path), model="bag", batch="10", epochs="20")
    assert reached(training, "accuracy")[-1] == 1.0
