"""The benchmarks of the graph files: what they reach, and how fast a step is."""

from __future__ import annotations

import numpy as np
import pytest

from bench import model_peers as peers
from bench import models, training
from bench.models import GRAPHS, MODELS, Model
from dagexec.data import Batches
from dagexec.graphfile import load
from dagexec.training import Training


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.file} {model.texts}")
def test_each_model_is_a_file_with_such_parameters(model):
    load(GRAPHS / f"{model.file}.py").arguments(model.texts)


def test_a_row_has_what_is_reached_beside_the_peer(monkeypatch):
    model = Model("equation", "x", "numpy.roots", peers.root_of(0.3, -0.4), {"epochs": "150"})
    monkeypatch.setattr(models, "MODELS", (model,))
    (row,) = rows = models.measure()
    assert row["reaches"] == pytest.approx(4 / 3, abs=1e-9)
    assert row["peer_reaches"] == pytest.approx(4 / 3, abs=1e-12)
    assert models.table(rows).splitlines()[2].startswith("| equation epochs=150 | x | 1.3333 | 150 |")


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch):
    def missing(training):
        raise ImportError

    monkeypatch.setattr(models, "MODELS", (Model("line", "a", "nobody", missing, {"epochs": "1"}),))
    (row,) = models.measure()
    assert row["peer_reaches"] is None
    assert models.table([row]).endswith("| nobody |  |")


def trained_on(x, y, test_x, test_y, size=4):
    return Training(lambda state, x, y: (0.0, state), 0.0, Batches((x, y), size), {}, (test_x, test_y), 12)


def test_classifiers_of_scikit_learn_and_pytorch_learn_what_is_easy():
    x = np.random.default_rng(0).normal(size=(40, 8, 8)).astype("float32")
    labels = (x[:, 0, 0] > 0).astype(int)
    x[:, 0, 0] += np.where(labels, 9, -9)
    easy = trained_on(x[:30], labels[:30], x[30:], labels[30:])
    pytest.importorskip("sklearn")
    assert peers.sklearn_svc()(easy) == 1
    assert peers.sklearn_mlp(8, learning_rate_init=0.05)(easy) == 1
    pytest.importorskip("torch")
    assert peers.torch_recurrent("LSTM", 8, 8, 0.02, bidirectional=True)(easy) == 1
    assert (
        peers.torch_cnn([(2, 4), (1, 8), (1, 8), (1, 8)], [8], 0.01, dropout=0.1, batch_norm=True)(easy) == 1
    )


@pytest.mark.parametrize("transformer", [False, True])
def test_a_language_model_of_pytorch_learns_a_sentence_that_is_always_the_same(transformer):
    pytest.importorskip("torch")
    sentences = np.tile([1, 2, 3, 4, 0], (20, 1))
    always = Training(
        lambda state, x: (0.0, state), 0.0, Batches((sentences,), 10), {}, (sentences[:2],), 100
    )
    assert peers.torch_language_model(transformer, rate=0.01, features=8)(always) < 1.2


def test_the_majority_is_that_of_the_training_data_without_padding():
    tokens, tags = np.array([[3, 4, 0], [3, 0, 0]]), np.array([[1, 2, 0], [1, 0, 0]])
    assert peers.majority(trained_on(tokens, tags, tokens[:1], tags[:1], size=1)) == 0.5


def test_each_training_of_a_folder_is_timed(monkeypatch, tmp_path):
    (tmp_path / "one.py").write_text(
        "from dagexec.training import Training\n"
        "def build(n: int = 2):\n    return Training(lambda w: (w * w, w * 0.5), 1.0 * n, ())\n"
    )
    (tmp_path / "two.py").write_text("def build():\n    return (lambda x: x * x), (1.0,)\n")
    monkeypatch.setattr(training, "GRAPHS", tmp_path)
    monkeypatch.setattr(training, "VARIANTS", {"one": ({}, {"n": "3"})})
    rows = training.measure(quick=True)
    assert [(row["file"], row["parameters"]) for row in rows] == [("one", {}), ("one", {"n": "3"})]
    assert all(row["workers"] == 2 and 1 <= row["bound"] <= 2 for row in rows)
    assert training.table(rows).splitlines()[-1].startswith("| one n=3 | ")
