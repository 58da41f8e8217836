"""The sample graphs: their values and gradients are JAX's, where the model is written again in jax.numpy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optree
import pytest

import dagexec
from dagexec.analysis import analyze
from dagexec.cli.list import graph_files
from dagexec.graph import Graph
from dagexec.graphfile import GraphFile, graph_of, load
from dagexec.training import train

GRAPHS = Path(__file__).parents[2] / "graphs"


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def built(name: str, **texts: str):
    return load(GRAPHS / f"{name}.py").built(texts)


def fnn(jax, loss):
    def model(params, x, targets):
        for number, p in enumerate(params):
            x = jax.numpy.dot(x, p["weights"]) + p["bias"]
            if number < len(params) - 1:
                x = jax.nn.relu(x)
        if loss == "squared":
            return ((x - targets) ** 2).sum(axis=1).mean()
        return -(targets * jax.nn.log_softmax(x, axis=1)).sum(axis=1).mean()

    return model


def rnn(jax):
    def model(params, xs, targets):
        def cell(h, x):
            h = jax.numpy.tanh(x @ params["W"] + h @ params["U"] + params["b"])
            return h, h @ params["V"] + params["c"]

        start = jax.numpy.zeros((xs.shape[1], params["U"].shape[0]))
        _, ys = jax.lax.scan(cell, start, xs)
        return ((ys - targets) ** 2).sum(axis=2).mean()

    return model


def circle_step(jax):
    def loss(layers, points, inside):
        for p in layers:
            points = jax.nn.sigmoid(points @ p["weights"] + p["bias"])
        return ((points[:, 0] - inside) ** 2).mean()

    def step(layers, points, inside):
        value, g = jax.value_and_grad(loss)(layers, points, inside)
        return value, jax.tree.map(lambda p, g: p - 4.0 * g, layers, g)

    return step


SAMPLES: list[tuple[str, dict[str, str], Any]] = [
    ("vector_self_sum", {}, lambda jax: lambda v: jax.numpy.sum(2 * v)),
    ("vector_self_sum", {"size": "100"}, lambda jax: lambda v: jax.numpy.sum(2 * v)),
    ("matrix_vector", {}, lambda jax: lambda W, x: jax.numpy.einsum("ij,j->", W, x)),
    (
        "matrix_vector",
        {"rows": "7", "columns": "2"},
        lambda jax: lambda W, x: jax.numpy.einsum("ij,j->", W, x),
    ),
    ("fnn", {}, lambda jax: fnn(jax, "squared")),
    ("fnn", {"layers": "5,4"}, lambda jax: fnn(jax, "squared")),
    ("fnn", {"loss": "cross-entropy", "layers": "20,30,30,30,5"}, lambda jax: fnn(jax, "cross-entropy")),
    ("rnn", {}, rnn),
    ("rnn", {"steps": "1"}, rnn),
    ("rnn", {"steps": "50", "hidden": "8", "features": "3", "outputs": "2", "batch": "5", "seed": "1"}, rnn),
]


@pytest.mark.parametrize(("name", "texts", "model"), SAMPLES)
def test_value_and_gradient_are_those_of_jax(jax, name, texts, model):
    sample = built(name, **texts)
    found = dagexec.run(graph_of(sample), *sample.args)
    wanted = jax.value_and_grad(model(jax))(*sample.args)
    assert_close(found, wanted)


def test_a_circle_step_is_that_of_jax(jax):
    sample = built("circle", hidden="16,8")
    assert_close(dagexec.run(graph_of(sample), *sample.args), circle_step(jax)(*sample.args))


def assert_close(found: Any, wanted: Any) -> None:
    """Equal to ten digits, by the largest number of each array."""
    found_leaves, wanted_leaves = optree.tree_leaves(found), optree.tree_leaves(wanted)
    assert len(found_leaves) == len(wanted_leaves)
    for one, other in zip(found_leaves, wanted_leaves):
        other = np.asarray(other)
        assert one.dtype == other.dtype == np.float64
        scale = max(1.0, np.max(np.abs(other)))
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * scale)


def test_circle_learns_at_least_97_percent_of_its_points():
    training = built("circle").training
    trained = train(training, epochs=1000)
    points, inside = training.data
    accuracy = trained.metrics["accuracy"][-1]
    assert accuracy >= 0.97
    for p in trained.state:
        points = 1 / (1 + np.exp(-(points @ p["weights"] + p["bias"])))
    assert np.mean((points[:, 0] > 0.5) == (inside == 1)) == accuracy
    assert len(inside) == 41 * 41
    assert 0.15 < np.mean(inside) < 0.25  # π / 16


def test_each_step_of_the_rnn_is_a_block_of_its_own():
    graph = graph_of(built("rnn", steps="5", hidden="4"))
    cells = {node.scope[0] for node in graph.nodes if node.phase == "forward" and node.scope}
    assert cells == {"cell[0]", "cell[1]", "cell[2]", "cell[3]", "cell[4]", "loss"}
    assert cells == {node.scope[0] for node in graph.nodes if node.phase == "backward" and node.scope}


def test_an_rnn_of_a_thousand_steps_runs():
    sample = built("rnn", steps="1000", hidden="4", batch="2", features="2", outputs="1")
    value, gradients = dagexec.run(graph_of(sample), *sample.args)
    assert np.isfinite(value)
    assert gradients["U"].shape == (4, 4)


def test_fnn_takes_float32_throughout():
    sample = built("fnn", dtype="float32", layers="4,3,2")
    dtypes = {node.spec.dtype.name for node in graph_of(sample).nodes}
    assert "float32" in dtypes
    assert "float64" not in dtypes


def test_fnn_refuses_fewer_than_two_layers():
    with pytest.raises(ValueError, match=r"layers=\(5,\): at least two sizes"):
        built("fnn", layers="5")


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
@pytest.mark.parametrize("documents", [1, 2, 7, 8])
def test_word_count_counts_the_words_of_all_documents(executor, documents):
    graph = graph_of(built("word_count", documents=str(documents), words="50", top="100", seed="3"))
    texts = [node for node in graph.nodes if node.name == "document"]
    whole = Graph(graph.nodes, (), [*graph.outputs, *texts])
    (found, *texts) = dagexec.run(whole, executor=executor, workers=2)
    counts = Counter(" ".join(texts).split())
    assert dict(found) == counts
    assert [number for _, number in found] == sorted(counts.values(), reverse=True)
    assert (len(texts), sum(counts.values())) == (documents, 50 * documents)


def test_every_graph_file_is_loaded_and_documented():
    found = {path.stem: file for path, file in graph_files(GRAPHS)}
    for file in found.values():
        assert isinstance(file, GraphFile), file
        assert file.doc.endswith((".", "?"))
        assert "seed" not in file.parameters or file.parameters["seed"].default == 0
    for name in ("vector_self_sum", "matrix_vector", "fnn", "rnn", "circle", "word_count"):
        assert analyze(dagexec.plan(graph_of(found[name].built({})))).parallelism >= 1


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others():
    first, again, other = (built("rnn", seed=seed).args for seed in ("0", "0", "1"))
    for left, right in zip(optree.tree_leaves(first), optree.tree_leaves(again)):
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(first[1], other[1])
