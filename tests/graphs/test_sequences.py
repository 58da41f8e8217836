"""The graph files of sequences and attention: PyTorch's losses and gradients, and what each reaches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optree
import pytest

from dagexec import nn
from dagexec.graphfile import load
from dagexec.training import train
from tests.nn import torch_layers
from tests.nn.against_torch import DTYPES, require_same, torch

GRAPHS = Path(__file__).parents[2] / "graphs"
F = torch.nn.functional


def opened(name, dtype="float32", **texts):
    """What a file defines, its training, and the parameters that this starts from."""
    file = load(GRAPHS / f"{name}.py")
    training = file.built(texts).training
    return file.build.__globals__, training, optree.tree_map(lambda p: p.astype(dtype), training.state[0])


def batch(training, dtype, rows=4):
    """Some rows of the data, floating-point numbers in `dtype`."""
    arrays = [array[:rows] for array in training.data.arrays]
    return [array.astype(dtype) if array.dtype.kind == "f" else array for array in arrays]


def reached(name, metric, **texts):
    """The metric at the end of a short training."""
    _, training, _ = opened(name, **texts)
    return train(training, executor="serial").metrics[metric][-1]


# --- losses and gradients beside PyTorch's --------------------------------------------------------------
@DTYPES
@pytest.mark.parametrize(
    ("cell", "bidirectional", "read"),
    [("rnn", "false", "row"), ("lstm", "false", "pixel"), ("lstm", "true", "row"), ("gru", "true", "row")],
)
def test_sequence_classifier(cell, bidirectional, read, dtype):
    made = {"cell": cell, "bidirectional": bidirectional, "read": read, "hidden": "5"}
    defined, training, params = opened("sequence_classifier", dtype, **made)
    xs, labels = batch(training, dtype)
    logits = defined["classifier"](getattr(nn, f"{cell}_cell"))

    def theirs(params):
        _, last = torch_layers.recurrent(cell, params["cell"], torch.tensor(xs))
        hidden = last[0] if cell == "lstm" else last
        return F.cross_entropy(
            torch_layers.dense(params["classes"], torch.cat(list(hidden), dim=1)), torch.tensor(labels)
        )

    require_same(lambda params: nn.cross_entropy(logits(params, xs), labels), theirs, params, dtype=dtype)


@DTYPES
def test_translation(dtype):
    defined, training, params = opened("translation", dtype, size="6", examples="64")
    asked, answers = batch(training, dtype)

    def theirs(params):
        letters = params["letters"]["weights"][asked]
        lengths = torch.tensor((asked != 0).sum(1))
        packed = torch.nn.utils.rnn.pack_padded_sequence(letters, lengths, True, enforce_sorted=False)
        packed, _ = torch_layers.recurrent("gru", params["reader"], packed)
        seen, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, True, total_length=asked.shape[1])
        mask = torch.tensor(asked != 0)[:, None]
        state, scores = torch.zeros(1, len(asked), 6, dtype=seen.dtype), []
        for symbol in answers.T[:-1]:
            question = torch_layers.dense(params["question"], state[0])[:, None]
            found = F.scaled_dot_product_attention(question, seen, seen, mask)
            x = torch.cat([params["symbols"]["weights"][symbol][:, None], found], dim=2)
            _, state = torch_layers.recurrent("gru", params["writer"], x, state)
            scores.append(torch_layers.dense(params["symbol"], torch.cat([state[0], found[:, 0]], dim=1)))
        return F.cross_entropy(torch.stack(scores, dim=2), torch.tensor(answers[:, 1:]))

    require_same(lambda params: defined["loss"](params, asked, answers), theirs, params, dtype=dtype)


@DTYPES
def test_translation_by_a_transformer(dtype):
    defined, training, params = opened(
        "translation_transformer", dtype, features="8", examples="64", layers="2"
    )
    asked, answers = batch(training, dtype)

    def positioned(x):
        return x + torch.tensor(nn.sinusoidal_positions(*x.shape[1:], dtype=dtype))

    def theirs(params):
        mask = nn.padding_mask(asked != 0)
        seen = positioned(params["letters"]["weights"][asked])
        for p in params["encoder"]:
            seen = torch_layers.encoder_block(p, seen, 4, mask)
        seen = torch_layers.layer_norm(params["encoder norm"], seen)
        x = positioned(params["symbols"]["weights"][answers[:, :-1]])
        for p in params["decoder"]:
            x = torch_layers.decoder_block(p, x, seen, 4, mask)
        scores = torch_layers.dense(params["symbol"], torch_layers.layer_norm(params["decoder norm"], x))
        return F.cross_entropy(scores.transpose(1, 2), torch.tensor(answers[:, 1:]))

    require_same(lambda params: defined["loss"](params, asked, answers), theirs, params, dtype=dtype)


@DTYPES
def test_transformer_classifier(dtype):
    defined, training, params = opened("transformer_classifier", dtype, features="8", patch="4")
    xs, labels = batch(training, dtype)

    def theirs(params):
        x = torch_layers.dense(params["patch"], torch.tensor(xs)) + params["positions"]["weights"]
        for p in params["blocks"]:
            x = torch_layers.encoder_block(p, x, 4)
        x = torch_layers.layer_norm(params["norm"], x).mean(dim=1)
        return F.cross_entropy(torch_layers.dense(params["classes"], x), torch.tensor(labels))

    def ours(params):
        return nn.cross_entropy(defined["logits"](params, xs, heads=4), labels)

    require_same(ours, theirs, params, dtype=dtype)


@DTYPES
def test_autoencoder(dtype):
    defined, training, params = opened("autoencoder", dtype, code="3", hidden="16,8")
    (images,) = batch(training, dtype)

    def layers(params, x):
        for p in params[:-1]:
            x = torch.relu(torch_layers.dense(p, x))
        return torch_layers.dense(params[-1], x)

    def theirs(params):
        codes = layers(params["encoder"], torch.tensor(images))
        return F.mse_loss(torch.sigmoid(layers(params["decoder"], codes)), torch.tensor(images))

    require_same(lambda params: defined["loss"](params, images), theirs, params, dtype=dtype)


@DTYPES
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_time_series(cell, dtype):
    defined, training, params = opened("time_series", dtype, cell=cell, hidden="4", window="6", length="300")
    xs, ys = batch(training, dtype)
    predict = defined["predictor"](getattr(nn, f"{cell}_cell"))

    def theirs(params):
        x = torch.tensor(xs)
        outputs, _ = torch_layers.recurrent(cell, params["cell"], x - 1)
        change = torch_layers.dense(params["change"], outputs[:, -1])[:, 0]
        return F.mse_loss(x[:, -1, 0] + change, torch.tensor(ys))

    require_same(lambda params: nn.squared_loss(predict(params, xs), ys), theirs, params, dtype=dtype)


# --- what they reach, in less time than by default ------------------------------------------------------
def test_a_recurrent_network_reads_digits():
    assert reached("sequence_classifier", "accuracy", cell="rnn", hidden="32", epochs="8") > 0.9


def test_a_transformer_reads_digits_if_it_knows_where_patches_were():
    sizes = {"layers": "1", "features": "16", "epochs": "6", "rate": "0.01"}
    assert reached("transformer_classifier", "accuracy", **sizes) > 0.85
    assert reached("transformer_classifier", "accuracy", **sizes, positions="false") < 0.8


def test_an_autoencoder_keeps_more_than_a_linear_map():
    assert reached("autoencoder", "error against linear", epochs="15") < 0.8


def test_a_recurrent_network_predicts_better_than_a_linear_map():
    sizes = {"hidden": "16", "window": "16", "length": "1000", "batch": "16", "rate": "0.02", "epochs": "8"}
    assert reached("time_series", "error against linear", **sizes) < 0.7


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("translation", {"size": "32", "examples": "1000", "rate": "0.02", "epochs": "3"}),
        ("translation_transformer", {"features": "32", "examples": "1000", "rate": "0.01", "epochs": "5"}),
    ],
)
def test_translations_become_right(name, sizes):
    _, training, _ = opened(name, **sizes)
    losses = train(training, executor="serial").metrics["validation loss"]
    assert losses[-1] < 0.4 * losses[0]


def test_attention_looks_at_letters_only_and_all_of_its_looks_add_up_to_1():
    defined, training, params = opened("translation", size="6", examples="64")
    asked, _ = batch(training, "float32")
    answers, looks = defined["translate"](params, asked)
    assert answers.shape == (4, 10)
    np.testing.assert_allclose(looks.sum(axis=2), 1, rtol=1e-5)
    np.testing.assert_array_equal(looks.transpose(0, 2, 1)[asked == 0], 0)


# --- their data -----------------------------------------------------------------------------------------
def test_dates_are_written_in_six_ways_and_read_back():
    defined, training, _ = opened("translation", size="6", examples="64")
    asked, answers = training.data.arrays
    ways = [defined["written"](21, 9, 1997, way) for way in range(6)]
    assert ways == [
        "september 21st, 1997", "21 september 1997", "21 sep 1997", "sep 21, 1997", "21.9.1997", "1997/09/21",
    ]  # fmt: skip
    for row, answer in zip(asked, answers):
        text = "".join(defined["LETTERS"][letter] for letter in row).rstrip("_")
        form = "".join(defined["SYMBOLS"][symbol] for symbol in answer)
        year, month, day = form.removeprefix("^").split("-")
        assert text in [defined["written"](int(day), int(month), int(year), way) for way in range(6)]


def test_patches_are_squares_of_the_image():
    defined, *_ = opened("transformer_classifier")
    images = np.arange(2 * 6 * 5).reshape(2, 6, 5)
    cut = defined["patches"](images, 2)
    assert cut.shape == (2, 6, 4)
    np.testing.assert_array_equal(cut[1, 3], images[1, 2:4, 2:4].ravel())


def test_the_series_solves_the_mackey_glass_equation():
    defined, *_ = opened("time_series", length="200")
    fine = defined["mackey_glass"](4000, 0, parts=10, every=1)  # every unit of time
    x, late = fine[17:-1], fine[:-18]
    slope = (fine[18:] - fine[16:-2]) / 2
    np.testing.assert_allclose(slope, 0.2 * late / (1 + late**10) - 0.1 * x, atol=0.02)
    assert 0.2 < fine.min() < 0.6 < 1.2 < fine.max() < 1.5
