"""Training: a step run over and over, and what is asked of a step."""

from __future__ import annotations

import numpy as np
import pytest

import dagexec
from dagexec.training import Training, train

X = np.array([1.0, 2.0, 3.0])


def line(w, x, y):
    return np.mean((x * w["slope"] + w["offset"] - y) ** 2)


def step(w, x, y, rate=0.1):
    loss, g = dagexec.value_and_grad(line)(w, x, y)
    with dagexec.scope("update", phase="update"):
        return loss, {name: w[name] - rate * g[name] for name in w}


def fitted(**changes):
    start = {"slope": 0.0, "offset": 0.0}
    return Training(**({"step": step, "params": start, "data": (X, 2 * X + 1), "epochs": 500} | changes))


def test_training_finds_the_minimum():
    trained = train(fitted())
    assert trained.params["slope"] == pytest.approx(2, abs=1e-2)
    assert trained.params["offset"] == pytest.approx(1, abs=1e-2)
    assert len(trained.losses) == 500
    assert trained.losses[-1] < 1e-4 < trained.losses[0]


def test_an_epoch_is_one_step_on_the_last_parameters():
    w, losses = {"slope": 0.0, "offset": 0.0}, []
    for _ in range(3):
        loss, g = dagexec.value_and_grad(line)(w, X, 2 * X + 1)
        w = {name: w[name] - 0.1 * g[name] for name in w}
        losses.append(float(loss))
    trained = train(fitted(), epochs=3)
    assert trained.losses == pytest.approx(losses, rel=1e-12)
    assert trained.params["slope"] == pytest.approx(float(w["slope"]), rel=1e-12)


def test_forward_backward_and_update_are_one_graph():
    graph = fitted().graph()
    assert {node.phase for node in graph.nodes} == {"forward", "backward", "update"}


def test_each_executor_gives_the_same_bits():
    serial, threads = (train(fitted(epochs=20), executor=name, workers=2) for name in ("serial", "threads"))
    assert serial.losses == threads.losses
    assert serial.params == threads.params


def test_each_epoch_is_reported():
    seen = []
    trained = train(fitted(), epochs=4, on_epoch=lambda epoch, loss: seen.append((epoch, loss)))
    assert seen == list(enumerate(trained.losses))


def test_accuracy_is_that_of_the_last_parameters():
    close = train(fitted(accuracy=lambda w, x, y: np.mean(np.abs(w["slope"] * x + w["offset"] - y) < 0.1)))
    assert close.accuracy == 1.0
    assert train(fitted(epochs=1)).accuracy is None


def test_a_loss_that_is_not_finite_stops_the_training():
    with (
        np.errstate(all="ignore"),
        pytest.raises(ArithmeticError, match=r"epoch \d+: .*smaller learning rate"),
    ):
        train(fitted(step=lambda w, x, y: step(w, x, y, rate=1e200)))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda w, x, y: line(w, x, y), r"must return \(loss, new_params\)"),
        (lambda w, x, y: (line(w, x, y), w["slope"]), "its new parameters are"),
        (lambda w, x, y: (x, w), "scalar loss"),
        (lambda w, x, y: (line(w, x, y), w | {"slope": x}), r"w.slope, a float64\[\], into a float64\[3\]"),
    ],
)
def test_a_step_that_cannot_be_repeated_is_refused(broken, message):
    with pytest.raises(TypeError, match=message):
        fitted(step=broken).graph()
