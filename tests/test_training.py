"""Training: a step run over and over, and what is asked of a step."""

from __future__ import annotations

import numpy as np
import pytest

import dagexec
from dagexec.data import Batches
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
    return Training(**({"step": step, "state": start, "data": (X, 2 * X + 1), "epochs": 500} | changes))


def test_training_finds_the_minimum():
    trained = train(fitted())
    assert trained.state["slope"] == pytest.approx(2, abs=1e-2)
    assert trained.state["offset"] == pytest.approx(1, abs=1e-2)
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
    assert trained.state["slope"] == pytest.approx(float(w["slope"]), rel=1e-12)


def test_forward_backward_and_update_are_one_graph():
    graph = fitted().graph()
    assert {node.phase for node in graph.nodes} == {"forward", "backward", "update"}


def test_each_executor_gives_the_same_bits():
    serial, threads = (train(fitted(epochs=20), executor=name, workers=2) for name in ("serial", "threads"))
    assert serial.losses == threads.losses
    assert serial.state == threads.state


def test_each_epoch_is_reported():
    seen = []
    metrics = {"slope": lambda w, x, y: w["slope"]}
    trained = train(fitted(metrics=metrics), epochs=4, on_epoch=lambda *found: seen.append(found))
    slopes = [{"slope": slope} for slope in trained.metrics["slope"]]
    assert seen == list(zip(range(4), trained.losses, slopes))
    assert slopes[-1] == {"slope": float(trained.state["slope"])}


def test_metrics_are_computed_after_each_epoch_on_the_validation_data():
    def close(w, x, y):
        return np.mean(np.abs(w["slope"] * x + w["offset"] - y) < 0.1)

    apart = (X + 10, 2 * (X + 10) + 1)
    metrics = {"close": close, "each": lambda w, x, y: w["slope"] * x}
    trained = train(fitted(metrics=metrics, validation=apart))
    assert (trained.metrics["close"][0], trained.metrics["close"][-1]) == (0.0, 1.0)
    assert trained.metrics["each"][-1] == tuple(trained.state["slope"] * apart[0])
    assert {len(values) for values in trained.metrics.values()} == {500}


def test_a_loss_that_is_not_finite_stops_the_training():
    with (
        np.errstate(all="ignore"),
        pytest.raises(ArithmeticError, match=r"epoch \d+: .*smaller learning rate"),
    ):
        train(fitted(step=lambda w, x, y: step(w, x, y, rate=1e200)))


def rooted(w, x, y):
    return np.sqrt(np.sum(x) - 10), w


NOT_FINITE = {
    "data": ({"data": (X, np.array([1.0, np.nan, 2.0]))}, "epoch 1: array 1 of the data holds NaN"),
    "the start": ({"state": {"slope": 0.0, "offset": np.inf}}, "the state it starts from holds NaN or inf"),
    "the step": ({"step": rooted}, "this is the first step, so look for .*root"),
}


@pytest.mark.parametrize("name", NOT_FINITE)
def test_where_a_loss_that_is_not_finite_comes_from_is_said(name):
    changes, said = NOT_FINITE[name]
    with np.errstate(all="ignore"), pytest.raises(ArithmeticError, match=said):
        train(fitted(**changes))


def test_metrics_of_batches_are_the_mean_over_them():
    apart = X + np.arange(4)[:, None]
    metrics = {"m": lambda w, x, y: np.mean(w["slope"] * x), "v": lambda w, x, y: w["slope"] * x[0]}
    batches = Batches((apart, 2 * apart), size=2)
    found = train(fitted(metrics=metrics, validation=batches, epochs=3))
    whole = train(fitted(metrics=metrics, validation=(apart, 2 * apart), epochs=3))
    assert found.metrics["m"] == pytest.approx(whole.metrics["m"], rel=1e-12)
    first = [batch[0][0] for batch in batches.epoch(0)]
    assert found.metrics["v"][-1] == pytest.approx(np.mean(first, axis=0) * found.state["slope"], rel=1e-12)


@pytest.mark.parametrize("name", ["data", "validation"])
@pytest.mark.parametrize("data", [X, [X, X], "x"])
def test_data_that_are_no_tuple_are_refused(name, data):
    with pytest.raises(TypeError, match=f"{name} must be a tuple of arrays, as .x, y., not "):
        fitted(**{name: data})


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"step": 3}, TypeError, "step must be a function"),
        ({"metrics": [line]}, TypeError, "metrics must be functions by name, not a list"),
        ({"metrics": {1: line}}, TypeError, "metrics must be functions by name, not 1"),
        ({"metrics": {"m": 3}}, TypeError, "metrics must be functions by name, not 'm': 3"),
        ({"data": (X[:0], X[:0])}, ValueError, r"array 0 of data is empty: its shape is \(0,\)"),
        ({"validation": (X, X[:, None][:, :0])}, ValueError, "array 1 of validation is empty"),
        ({"data": (X, np.array(["a", "b", "a"]))}, TypeError, r"array 1 of data holds <U1, .*np\.unique"),
        ({"data": Batches((X, np.array([None] * 3)), 1)}, TypeError, "array 1 of data holds object"),
    ],
)
def test_what_could_not_be_trained_on_is_refused_at_once(changes, error, said):
    with pytest.raises(error, match=said):
        fitted(**changes)


@pytest.mark.parametrize("epochs", [2.5, "3"])
def test_epochs_are_whole_numbers(epochs):
    with pytest.raises(TypeError, match="integer"):
        train(fitted(epochs=epochs))


def test_the_metric_that_fails_is_named():
    with pytest.raises(ZeroDivisionError) as error:
        train(fitted(metrics={"fine": line, "broken": lambda *_: 1 / 0}))
    assert error.value.__notes__ == ["in the metric 'broken'"]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (
            lambda w, x, y: np.ones((2, 2)) * w["slope"],
            "'m' must be a real scalar or vector, but it is float64",
        ),
        (lambda w, x, y: w["slope"] * 1j, "'m' must be a real scalar or vector, but it is complex128"),
        (lambda w, x, y: w, "one scalar or vector"),
    ],
)
def test_a_metric_that_is_no_curve_is_refused(metric, said):
    with pytest.raises(TypeError, match=said):
        fitted(metrics={"a": lambda w, x, y: w["slope"], "m": metric}).metrics_graph()


def test_an_epoch_of_batches_is_a_step_on_each_and_its_loss_their_mean():
    batches = Batches((np.arange(7.0), 2 * np.arange(7.0)), size=3, seed=4)
    w, losses = {"slope": 0.0, "offset": 0.0}, []
    for epoch in range(2):
        found = []
        for batch in batches.epoch(epoch):
            loss, w = step(w, *batch, rate=0.01)
            found.append(float(loss))
        losses.append(np.mean(found))
    seen = []
    trained = train(fitted(step=slow, data=batches), epochs=2, on_step=seen.append)
    assert trained.losses == pytest.approx(losses, rel=1e-12)
    assert trained.state["slope"] == pytest.approx(float(w["slope"]), rel=1e-12)
    assert len(seen) == 4
    assert np.mean(seen[2:]) == pytest.approx(trained.losses[1], rel=1e-12)


def slow(w, x, y):
    return step(w, x, y, rate=0.01)


def test_patience_ends_it_when_the_loss_no_longer_falls():
    losses = iter([5.0, 4.0, 4.5, 3.0, 3.0, 3.5, 3.2, 1.0])
    later = Training(
        lambda n: (dagexec.call(lambda n: next(losses), n, spec=dagexec.Spec((), float)), n), 0.0, ()
    )
    trained = train(later, epochs=8, executor="serial", patience=3)
    assert trained.losses == (5.0, 4.0, 4.5, 3.0, 3.0, 3.5, 3.2)
    assert trained.why_it_ended == "no smaller loss for 3 epochs"
    with pytest.raises(ValueError, match="patience is 0; at least one is needed"):
        train(later, patience=0)


@pytest.mark.parametrize(
    ("loss", "watched"),
    [(lambda w, x, y: w["slope"] * np.nan, "validation loss"), (lambda w, x, y: w["slope"] * x, "loss")],
)
def test_patience_ends_with_nan_and_does_not_watch_a_vector(loss, watched):
    still = fitted(step=lambda w, x, y: step(w, x, y, rate=0.0), metrics={"validation loss": loss})
    trained = train(still, patience=3)
    assert trained.why_it_ended == f"no smaller {watched} for 3 epochs"
    assert trained.epochs <= 4


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda w, x, y: line(w, x, y), r"must return a tuple \(loss, new_state\), not \*"),
        (lambda w, x, y: (line(w, x, y), w["slope"]), "its new state is"),
        (lambda w, x, y: (x, w), "scalar loss"),
        (lambda w, x, y: (line(w, x, y), w | {"slope": x}), r"w.slope, a float64\[\], into a float64\[3\]"),
    ],
)
def test_a_step_that_cannot_be_repeated_is_refused(broken, message):
    with pytest.raises(TypeError, match=message):
        fitted(step=broken).graph()
