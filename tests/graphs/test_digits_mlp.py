"""graphs/digits_mlp.py: its step is PyTorch's, it reads 97 % of the digits, its ingredients do their work."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import optree
import pytest

import dagexec
from dagexec import random
from dagexec.data import write_idx
from dagexec.graphfile import load
from dagexec.training import train

FILE = load(Path(__file__).parents[2] / "graphs" / "digits_mlp.py")
TOLERANCES = {"float64": 1e-8, "float32": 1e-4}


def built(**texts: str):
    return FILE.built(texts).training


def choices(name: str):
    return get_args(FILE.parameters[name].kind)


def as_dtype(tree, dtype):
    """The same arrays, those of floating-point numbers in another dtype."""
    return optree.tree_map(lambda x: x.astype(dtype) if np.asarray(x).dtype.kind == "f" else x, tree)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    ("batch_norm", "dropout", "activation"),
    [("no", "0", "relu"), ("yes", "0", "tanh"), ("no", "0.3", "sigmoid"), ("yes", "0.5", "gelu")],
)
def test_loss_and_gradients_are_those_of_pytorch(dtype, batch_norm, dropout, activation):
    torch = pytest.importorskip("torch")
    training = built(
        depth="3", width="16", batch_norm=batch_norm, dropout=dropout, activation=activation,
        optimiser="sgd", rate="1", batch="20",
    )  # fmt: skip
    state = layers, _, _, key = as_dtype(training.state, dtype)
    images, labels = training.data.first
    images = images.astype(dtype)
    step = dagexec.trace(training.step)(state, images, labels)
    value, (updated, statistics, _, _) = dagexec.run(step, state, images, labels)

    theirs = optree.tree_map(lambda x: torch.tensor(x, requires_grad=True), layers)
    drops = [random.uniform(k, (20, 16), "float32") for k in random.split(random.split(key)[0], 3)]
    x = torch.tensor(images).reshape(20, -1)
    bend = {"gelu": lambda x: torch.nn.functional.gelu(x, approximate="tanh")}.get(activation) or getattr(
        torch, activation
    )
    for p, drop in zip(theirs, drops):
        x = x @ p["dense"]["weights"] + p["dense"]["bias"]
        if batch_norm == "yes":
            x = torch.nn.functional.batch_norm(x, None, None, p["norm"]["scale"], p["norm"]["bias"], True)
        x = bend(x) * torch.tensor(drop >= float(dropout)) / (1 - float(dropout))
    x = x @ theirs[-1]["dense"]["weights"] + theirs[-1]["dense"]["bias"]
    loss = torch.nn.functional.cross_entropy(x, torch.tensor(labels))
    loss.backward()

    close = {"rtol": TOLERANCES[dtype], "atol": TOLERANCES[dtype]}
    np.testing.assert_allclose(value, loss.detach().numpy(), **close)
    for before, after, tensor in zip(*map(optree.tree_leaves, (layers, updated, theirs)), strict=True):
        assert after.dtype == np.dtype(dtype)
        np.testing.assert_allclose(before - after, tensor.grad.numpy(), **close)
    assert len(optree.tree_leaves(statistics)) == (6 if batch_norm == "yes" else 0)


def test_it_reads_97_percent_of_the_digits_it_has_not_seen():
    training = built()
    trained = train(training)
    assert trained.metrics["accuracy"][-1] >= 0.97
    images, labels = training.validation
    x = images.reshape(len(images), -1)
    for number, p in enumerate(trained.state[0]):
        x = x @ p["dense"]["weights"] + p["dense"]["bias"]
        x = np.maximum(x, 0) if number < 2 else x
    assert np.mean(x.argmax(1) == labels) == trained.metrics["accuracy"][-1]
    assert len(labels) == 360


@pytest.mark.parametrize("optimiser", choices("optimiser"))
def test_every_optimiser_learns(optimiser):
    losses = train(built(optimiser=optimiser, width="16", examples="640"), epochs=4).losses
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", ["activation", "initialisation"])
def test_every_choice_makes_a_step(name):
    for choice in choices(name):
        training = built(**{name: choice}, width="16", examples="32", norms="yes")
        trained = train(training, epochs=1)
        assert np.isfinite(trained.losses[-1])
        assert len(trained.metrics["gradient norm"][-1]) == 3


def first_against_last(**texts: str) -> float:
    """The first layer's gradient as a part of the last one's, after some steps."""
    training = built(depth="10", width="32", optimiser="sgd", rate="0.001", norms="yes", **texts)
    norms = train(training, epochs=1).metrics["gradient norm"][-1]
    return norms[0] / norms[-1]


def test_gradients_vanish_behind_sigmoids_and_small_weights_only():
    assert first_against_last(activation="sigmoid") < 1e-4
    assert first_against_last(initialisation="small") < 1e-4
    assert first_against_last(activation="relu") > 0.1
    assert first_against_last(activation="sigmoid", batch_norm="yes") > 0.1


def test_gradients_explode_behind_large_weights():
    def norm(initialisation):
        training = built(depth="10", initialisation=initialisation, rate="0", norms="yes")
        return train(training, epochs=1).metrics["gradient norm"][-1][0]

    assert norm("large") > 1e4 * norm("he")


def test_weights_that_are_equal_stay_equal():
    layers = train(built(initialisation="zeros"), epochs=2).state[0]
    assert not layers[0]["dense"]["weights"].any()
    assert layers[-1]["dense"]["bias"].any()


def test_few_examples_are_overfitted_and_dropout_and_weight_decay_help():
    def validation_losses(**texts):
        training = built(examples="150", batch="150", rate="0.02", **texts)
        return train(training, epochs=150).metrics["validation loss"]

    plain = validation_losses()
    assert plain[-1] > 1.2 * min(plain)
    assert validation_losses(dropout="0.5")[-1] < 0.7 * plain[-1]
    assert validation_losses(weight_decay="1", optimiser="adamw")[-1] < 0.7 * plain[-1]


def test_each_step_drops_other_units():
    training = built(dropout="0.5")
    state, batch = training.state, training.data.first
    graph = training.graph()
    first, state = dagexec.run(graph, state, *batch)
    other, _ = dagexec.run(graph, (*training.state[:3], state[3]), *batch)
    assert first != other


def test_mnist_files_in_a_folder_take_the_place_of_the_small_digits(tmp_path):
    source = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 10)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", source.integers(0, 256, (count, 28, 28), "u1"))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", source.integers(0, 10, count, "u1"))
    training = built(data=str(tmp_path))
    assert training.state[0][0]["dense"]["weights"].shape == (784, 64)
    assert np.isfinite(train(training, epochs=1).losses[0])
    with pytest.raises(FileNotFoundError, match="train-images"):
        built(data=str(tmp_path / "elsewhere"))
