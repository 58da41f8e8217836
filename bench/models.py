"""What each graph file reaches, from its own seed and settings, beside what others reach on the same data.

The figure is the metric of the last epoch, on data held out where there are some; a peer whose package is not
installed is left out. `python -m bench models` trains them all, which takes some minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench import model_peers as peers
from bench.model_peers import Peer
from dagexec.cli import show
from dagexec.graphfile import load
from dagexec.training import train

GRAPHS = Path(__file__).parent.parent / "graphs"

Row = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A graph file with parameters, the metric that counts, and who else is asked."""

    file: str
    metric: str
    peer: str = ""
    reaches: Peer | None = None
    texts: dict[str, str] = field(default_factory=dict)


def _vgg(*counts: int) -> Peer:
    """A VGG of an eighth of the paper's width, with batch norm."""
    stages = list(zip(counts, (8, 16, 32, 64, 64)))
    return peers.torch_cnn(stages, [512, 512], 0.002, 0.2, batch_norm=True, zoom=2)


MODELS = (
    Model("equation", "x", "numpy.roots", peers.root_of(0.3, -0.4)),
    Model(
        "equation",
        "x",
        "numpy.roots",
        peers.root_of(0.3, 0.4, -0.3),
        {"coefficients": "0.3,0.4,0.5"},
    ),
    Model("line", "a", "numpy.polyfit", peers.least_squares(0)),
    Model("line", "b", "numpy.polyfit", peers.least_squares(1)),
    Model("equation_system", "x"),
    Model("overfitting", "validation loss", "numpy.linalg.lstsq", peers.polynomial_error),
    Model(
        "circle",
        "accuracy",
        "scikit-learn MLP",
        peers.sklearn_mlp(16, activation="logistic", max_iter=2000, learning_rate_init=0.01),
    ),
    Model(
        "digits_mlp",
        "accuracy",
        "scikit-learn MLP",
        peers.sklearn_mlp(64, 64, batch_size=32, max_iter=30, learning_rate_init=0.002),
    ),
    Model(
        "convolution_1d",
        "accuracy",
        "scikit-learn MLP",
        peers.sklearn_mlp(32, batch_size=50, max_iter=20, learning_rate_init=0.01),
    ),
    Model("convolution_2d", "kernel error"),
    Model("digits_cnn", "accuracy", "PyTorch", peers.torch_cnn([(1, 32), (1, 64)], [], 0.003, 0.1)),
    Model(
        "digits_cnn",
        "accuracy",
        "PyTorch",
        peers.torch_cnn([(2, 16), (2, 32), (2, 64)], [64], 0.003, 0.1, batch_norm=True),
        {"depth": "8", "batch_norm": "yes"},
    ),
    Model("vgg", "accuracy", "PyTorch", _vgg(1, 1, 2, 2, 2)),
    Model("vgg", "accuracy", "PyTorch", _vgg(2, 2, 3, 3, 3), {"layers": "16"}),
    Model(
        "data_parallel",
        "accuracy",
        "scikit-learn MLP",
        peers.sklearn_mlp(
            512, 512, batch_size=256, max_iter=30, learning_rate_init=0.5, solver="sgd", momentum=0.0
        ),
    ),
    Model("sequence_classifier", "accuracy", "PyTorch", peers.torch_recurrent("LSTM", 8, 64, 0.005)),
    Model(
        "sequence_classifier",
        "accuracy",
        "PyTorch",
        peers.torch_recurrent("GRU", 8, 64, 0.005),
        {"cell": "gru"},
    ),
    Model(
        "sequence_classifier",
        "accuracy",
        "PyTorch",
        peers.torch_recurrent("RNN", 8, 64, 0.005),
        {"cell": "rnn"},
    ),
    Model(
        "sequence_classifier",
        "accuracy",
        "PyTorch",
        peers.torch_recurrent("LSTM", 8, 64, 0.005, bidirectional=True),
        {"bidirectional": "true"},
    ),
    Model("transformer_classifier", "accuracy", "scikit-learn SVC", peers.sklearn_svc()),
    Model("autoencoder", "validation loss", "scikit-learn PCA", peers.pca_error),
    Model("time_series", "error", "scikit-learn, linear", peers.linear_error),
    Model("translation", "right"),
    Model("translation_transformer", "right"),
    *[
        Model("language_model", "perplexity", texts={"model": name})
        for name in ("unigram", "bigram", "trigram")
    ],
    Model("language_model", "perplexity", "PyTorch", peers.torch_language_model(False), {"model": "rnn"}),
    Model(
        "language_model",
        "perplexity",
        "PyTorch",
        peers.torch_language_model(True),
        {"model": "transformer"},
    ),
    Model(
        "text_classification",
        "accuracy",
        "scikit-learn, counts of words",
        peers.sklearn_words(1),
        {"model": "bag"},
    ),
    Model(
        "text_classification",
        "accuracy",
        "scikit-learn, counts of 1 to 3 words",
        peers.sklearn_words(3),
        {"model": "cnn"},
    ),
    Model("tagging", "accuracy", "the most frequent tag", peers.majority),
    Model("tagging", "accuracy", "the most frequent tag", peers.majority, {"task": "segmentation"}),
    Model("genetic", "accuracy"),
)


def measure() -> list[Row]:
    """A row a model."""
    return list(map(_row, MODELS))


def _row(model: Model) -> Row:
    file = load(GRAPHS / f"{model.file}.py")
    training = file.built(model.texts).training
    if training is None:
        raise TypeError(f"{file.path} builds no training")
    start = perf_counter()
    with np.errstate(all="ignore"):
        trained = train(training)
    seconds = perf_counter() - start
    return {
        "file": model.file,
        "parameters": model.texts,
        "metric": model.metric,
        "reaches": trained.metrics[model.metric][-1],
        "epochs": trained.epochs,
        "seconds": seconds,
        "peer": model.peer,
        "peer_reaches": _reached(model, training),
    }


def _reached(model: Model, training: Any) -> float | None:
    """What the peer reaches; None where there is none, or it is not installed."""
    try:
        return None if model.reaches is None else model.reaches(training)
    except ImportError:
        return None


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| graph file | metric | reaches | epochs | time | beside it | reaches |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = " ".join([row["file"], *(f"{key}={text}" for key, text in row["parameters"].items())])
        ours, theirs = (_figure(row["metric"], row[key]) for key in ("reaches", "peer_reaches"))
        cells = [
            name,
            row["metric"],
            ours,
            str(row["epochs"]),
            show.seconds(row["seconds"]),
            row["peer"],
            theirs,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _figure(metric: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if metric in ("accuracy", "right") else f"{value:.5g}"
