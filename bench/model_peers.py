"""What others reach on the data of a graph file: scikit-learn, PyTorch, NumPy, and simple baselines.

Each function takes a `Training` and returns the figure to be put beside its metric. Those of PyTorch train
networks of the same sizes on the same batches with the same optimiser; only the first weights differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dagexec.data import Batches
from dagexec.training import Training

Peer = Callable[[Training], float]


def parts(training: Training) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What it is trained on, and what its metrics are computed on."""
    data, validation = (
        part.arrays if isinstance(part, Batches) else part for part in (training.data, training.validation)
    )
    return data or (), validation or data or ()


# --- scikit-learn ---------------------------------------------------------------------------------------
def fitted(make: Callable[[], Any]) -> Peer:
    """The accuracy of a classifier of scikit-learn on inputs made flat."""

    def accuracy(training: Training) -> float:
        (x, y), (test_x, test_y) = parts(training)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it could go on
            model = make().fit(x.reshape(len(x), -1), y)
        return float(model.score(test_x.reshape(len(test_x), -1), test_y))

    return accuracy


def sklearn_mlp(*hidden: int, **options: Any) -> Peer:
    """A multilayer perceptron."""

    def make() -> Any:
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(hidden, random_state=0, **options)

    return fitted(make)


def sklearn_svc() -> Peer:
    """A support vector machine with radial basis functions, the strongest simple model for small images."""

    def make() -> Any:
        from sklearn.svm import SVC

        return SVC(gamma="scale", C=10)

    return fitted(make)


def sklearn_words(longest: int) -> Peer:
    """Logistic regression on the counts of all runs of up to `longest` words."""

    def accuracy(training: Training) -> float:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        (x, y), (test_x, test_y) = parts(training)
        texts, test_texts = (
            [" ".join(f"w{word}" for word in row if word) for row in part] for part in (x, test_x)
        )
        count = CountVectorizer(ngram_range=(1, longest))
        model = make_pipeline(count, LogisticRegression(max_iter=1000)).fit(texts, y)
        return float(model.score(test_texts, test_y))

    return accuracy


def pca_error(training: Training) -> float:
    """The mean squared error of the best linear code of as many numbers."""
    from sklearn.decomposition import PCA

    (x, *_), (test_x, *_) = parts(training)
    x, test_x = (part.reshape(len(part), -1) for part in (x, test_x))
    code = PCA(smallest_layer(training.state)).fit(x)
    return float(np.mean((code.inverse_transform(code.transform(test_x)) - test_x) ** 2))


def smallest_layer(state: Any) -> int:
    """The length of the shortest bias in a state: that of the code of an autoencoder."""
    from dagexec.pytrees import flatten

    return min(leaf.shape[0] for leaf in flatten(state)[0] if np.ndim(leaf) == 1 and leaf.dtype.kind == "f")


def linear_error(training: Training) -> float:
    """The root of the mean squared error of a linear map of the numbers that are read."""
    from sklearn.linear_model import LinearRegression

    (x, y), (test_x, test_y) = parts(training)
    model = LinearRegression().fit(x.reshape(len(x), -1), y)
    return float(np.sqrt(np.mean((model.predict(test_x.reshape(len(test_x), -1)) - test_y) ** 2)))


# --- PyTorch --------------------------------------------------------------------------------------------
def _torch() -> Any:
    """PyTorch with one thread, as networks of this size are fastest, and a seed."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    return torch


def trained_by_torch(make: Callable[[], Any], rate: float, cosine: bool = False) -> Peer:
    """The accuracy of a network of PyTorch after Adam has seen the same batches."""

    def accuracy(training: Training) -> float:
        torch = _torch()
        model = make()
        optimiser = torch.optim.Adam(model.parameters(), rate)
        steps = training.epochs * training.steps
        follow = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps) if cosine else None
        for epoch in range(training.epochs):
            for x, labels in training.batches(epoch):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(model(torch.tensor(x)), torch.tensor(labels)).backward()
                optimiser.step()
                if follow is not None:
                    follow.step()
        test_x, test_labels = parts(training)[1]
        model.eval()
        with torch.no_grad():
            guesses = model(torch.tensor(test_x)).argmax(1).numpy()
        return float(np.mean(guesses == test_labels))

    return accuracy


def torch_cnn(
    stages: Sequence[tuple[int, int]],
    hidden: Sequence[int],
    rate: float,
    dropout: float,
    batch_norm: bool = False,
    zoom: int = 1,
) -> Peer:
    """Stages of so many 3 × 3 convolutions with so many maps, pooled after each stage, and dense layers."""

    def make() -> Any:
        from torch import nn

        size = 8 * zoom
        layers: list[Any] = [nn.Unflatten(1, (1, size))]
        units = 1
        for count, maps in stages:
            for _ in range(count):
                layers.append(nn.Conv2d(units, maps, 3, padding="same"))
                layers += [nn.BatchNorm2d(maps)] if batch_norm else []
                layers.append(nn.ReLU())
                units = maps
            layers += [nn.MaxPool2d(2)] if size > 1 else []
            size = max(1, size // 2)
        layers.append(nn.Flatten())
        units *= size**2
        for more in hidden:
            layers += [nn.Dropout(dropout), nn.Linear(units, more), nn.ReLU()]
            units = more
        return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(units, 10))

    return trained_by_torch(make, rate, cosine=True)


def torch_recurrent(kind: str, features: int, hidden: int, rate: float, bidirectional: bool = False) -> Peer:
    """A recurrent layer of PyTorch ("RNN", "LSTM", "GRU") and a dense one on its last state."""

    def make() -> Any:
        import torch

        class Classifier(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                layer = getattr(torch.nn, kind)
                self.cell = layer(features, hidden, batch_first=True, bidirectional=bidirectional)
                self.classes = torch.nn.Linear((1 + bidirectional) * hidden, 10)

            def forward(self, xs: Any) -> Any:
                _, last = self.cell(xs)
                last = last[0] if kind == "LSTM" else last
                return self.classes(last.transpose(0, 1).flatten(1))

        return Classifier()

    return trained_by_torch(make, rate)


def torch_language_model(transformer: bool, rate: float = 0.003, features: int = 64) -> Peer:
    """The perplexity of a language model of PyTorch: a GRU, or two encoder blocks with a causal mask."""

    def perplexity(training: Training) -> float:
        from dagexec import optim

        torch = _torch()
        (sentences,), (test,) = parts(training)
        words, length = int(sentences.max()) + 1, sentences.shape[1]
        model = _language_model(transformer, words, length, features)
        steps = training.epochs * training.steps
        schedule = optim.warmup(optim.cosine(rate, steps), 50)
        optimiser = torch.optim.AdamW(model.parameters(), rate)
        follow = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: float(schedule(step)) / rate)

        def surprise(batch: Any) -> Any:
            known = torch.tensor(batch)
            scores = model(known[:, :-1]).transpose(1, 2)
            return torch.nn.functional.cross_entropy(scores, known[:, 1:], ignore_index=0)

        for epoch in range(training.epochs):
            for (batch,) in training.batches(epoch):
                optimiser.zero_grad()
                surprise(batch).backward()
                optimiser.step()
                follow.step()
        model.eval()
        with torch.no_grad():
            return float(torch.exp(surprise(test)))

    return perplexity


def _language_model(transformer: bool, words: int, length: int, features: int) -> Any:
    import torch
    from torch import nn

    class Model(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(words, features)
            self.next = nn.Linear(features, words)
            if transformer:
                self.positions = nn.Parameter(0.02 * torch.randn(length, features))
                options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
                block = nn.TransformerEncoderLayer(features, 4, 4 * features, **options)
                norm = nn.LayerNorm(features)
                self.reader = nn.TransformerEncoder(block, 2, norm, enable_nested_tensor=False)
            else:
                self.reader = nn.GRU(features, features, batch_first=True)

        def forward(self, known: Any) -> Any:
            x = self.embedding(known)
            if not transformer:
                return self.next(self.reader(x)[0])
            mask = nn.Transformer.generate_square_subsequent_mask(known.shape[1])
            return self.next(self.reader(x + self.positions[: known.shape[1]], mask, is_causal=True))

    return Model()


# --- baselines ------------------------------------------------------------------------------------------
def majority(training: Training) -> float:
    """The share of the most frequent tag, said everywhere."""
    (_, tags), (tokens, test_tags) = parts(training)
    train_tokens = parts(training)[0][0]
    most = np.bincount(tags[train_tokens != 0]).argmax()
    return float(np.mean(test_tags[tokens != 0] == most))


def root_of(*coefficients: float) -> Peer:
    """The root of a polynomial that is next to 0, the highest power's coefficient first."""
    return lambda training: float(min((root for root in np.roots(coefficients)), key=abs).real)


def polynomial_error(training: Training) -> float:
    """The mean squared error of the polynomial that is nearest to the points."""
    (powers, y), (test_powers, test_y) = parts(training)
    weights = np.linalg.lstsq(powers, y)[0]
    return float(np.mean((test_powers @ weights - test_y) ** 2))


def least_squares(position: int) -> Peer:
    """Slope (0) or offset (1) of the line with the least squared distance from the points."""
    return lambda training: float(np.polyfit(*parts(training)[0], 1)[position])
