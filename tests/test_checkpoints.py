"""Checkpoints: a resumed training has the same bits, and files that are not its own are refused."""

from __future__ import annotations

import runpy
import signal
import subprocess
import sys
from contextlib import suppress
from time import sleep

import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import dagexec
from dagexec.checkpoints import _as_it_lies, _laid_out
from dagexec.data import Batches
from dagexec.training import Training, train

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(20, 5)), RANDOM.normal(size=(20, 2))
WEIGHTS = {"a": RANDOM.normal(size=(5, 7)), "b": RANDOM.normal(size=(7, 2)).astype(np.float32)}


def step(state, x, y, rate=0.1):
    def loss(weights, noise):
        hidden = np.tanh(x @ weights["a"]) + 0.1 * noise
        return np.mean((hidden @ weights["b"] - y) ** 2)

    key, used = dagexec.random.split(state["key"])
    noise = dagexec.random.normal(used, (len(x), 7))
    value, g = dagexec.value_and_grad(loss)(state["weights"], noise)
    weights = {name: state["weights"][name] - rate * g[name] for name in g}
    weights = {name: weights[name].astype(WEIGHTS[name].dtype) for name in g}
    return value, {"weights": weights, "key": key, "phase": state["phase"] * 1j, "steps": state["steps"] + 1}


def training(**changes):
    state = {"weights": WEIGHTS, "key": dagexec.random.key(1), "phase": np.complex128(1), "steps": 0}
    metrics = {
        "size": lambda state, x, y: np.sum(state["weights"]["a"] ** 2),
        "sizes": lambda state, x, y: np.sum(state["weights"]["a"] ** 2, axis=0),
    }
    given = {"step": step, "state": state, "data": Batches((X, Y), 6, seed=2), "metrics": metrics}
    return Training(**(given | changes))


def assert_same(found, wanted):
    assert (found.losses, found.metrics) == (wanted.losses, wanted.metrics)
    for one, other in zip(*map(optree.tree_leaves, (found.state, wanted.state)), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("interrupted", [1, 3, 5])
def test_a_resumed_training_has_the_same_bits(interrupted, tmp_path):
    path = tmp_path / "c.safetensors"
    train(training(), interrupted, executor="serial", checkpoint=path)
    found = train(training(), 5, executor="serial", checkpoint=path, resume=True)
    assert_same(found, train(training(), 5, executor="serial"))
    assert (found.epochs, found.resumed) == (5, interrupted)


def test_a_finished_training_is_given_back(tmp_path):
    path = tmp_path / "c.safetensors"
    wanted = train(training(), 3, checkpoint=path)
    before = path.stat().st_mtime_ns
    found = train(training(), 2, checkpoint=path, resume=True)
    assert_same(found, wanted)
    assert path.stat().st_mtime_ns == before


def test_patience_counts_the_epochs_before(tmp_path):
    path = tmp_path / "c.safetensors"
    still = training(step=lambda *args: step(*args, rate=0.0), metrics={"validation loss": lambda *_: 1.0})
    wanted = train(still, patience=4)
    train(still, 2, checkpoint=path)
    assert train(still, patience=4, checkpoint=path, resume=True).epochs == wanted.epochs == 5
    assert wanted.why_it_ended == "no smaller validation loss for 4 epochs"


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted])
def test_an_interrupt_leaves_the_last_whole_epoch(error, tmp_path):
    path = tmp_path / "c.safetensors"
    steps = iter(range(100))

    def interrupt(loss):
        if next(steps) == 7:  # the second of three steps of the third epoch
            raise error

    with pytest.raises(error):
        train(training(), 5, on_step=interrupt, checkpoint=path)
    assert load_file(path)["losses"].shape == (2,)
    assert_same(train(training(), 5, checkpoint=path, resume=True), train(training(), 5))


def test_an_interrupt_in_the_first_epoch_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError):
        train(training(), on_step=lambda loss: 1 / 0, checkpoint=tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    train(training(), 2, checkpoint=path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(training(), 3, checkpoint=path, resume=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_written_while_training_but_not_after_each_epoch(tmp_path, monkeypatch):
    path, seen = tmp_path / "c.safetensors", []
    monkeypatch.setattr("dagexec.checkpoints.SECONDS_BETWEEN", 1e9)
    train(training(), 3, checkpoint=path, on_epoch=lambda *_: seen.append(path.exists()))
    assert (seen, path.exists()) == ([False] * 3, True)
    path.unlink()
    seen.clear()
    monkeypatch.setattr("dagexec.checkpoints.SECONDS_BETWEEN", -1e9)
    monkeypatch.setattr("dagexec.checkpoints.SHARE_OF_TIME", 1e9)
    train(training(), 3, checkpoint=path, on_epoch=lambda *_: seen.append(path.exists()))
    assert seen == [False, True, True]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A checkpoint as bytes, and a path for damaged ones."""
    path = tmp_path_factory.mktemp("kept") / "c.safetensors"
    train(training(), 2, executor="serial", checkpoint=path)
    return path.read_bytes(), path


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_checkpoint_is_refused_or_the_damage_does_not_matter(data, kept):
    content, path = bytearray(kept[0]), kept[1]
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with suppress(ValueError):
        found = train(training(), 2, executor="serial", checkpoint=path, resume=True)
        assert_same(found, train(training(), 2, executor="serial"))


KILLED = """
import sys
import numpy as np
from dagexec import checkpoints
from dagexec.training import Training, train
def training(epochs):
    return Training(lambda s: (s[0], s + 1), np.zeros(500_000), (), epochs=epochs)
if __name__ == "__main__":
    checkpoints.SECONDS_BETWEEN, checkpoints.SHARE_OF_TIME = -1e9, 1e9  # always
    train(training(5000), executor="serial", checkpoint=sys.argv[1])
"""


def test_a_training_that_is_killed_while_it_writes_leaves_a_whole_checkpoint(tmp_path):
    script, path = tmp_path / "killed.py", tmp_path / "c.safetensors"
    script.write_text(KILLED)
    with subprocess.Popen([sys.executable, script, path]) as process:
        while not path.exists() and process.poll() is None:
            sleep(0.02)
        sleep(0.1)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    epochs = len(load_file(path)["losses"])
    defined = runpy.run_path(str(script))
    found = train(defined["training"](epochs + 2), executor="serial", checkpoint=path, resume=True)
    assert found.losses == tuple(range(epochs + 2))
    assert (found.state == epochs + 2).all()


def test_where_no_checkpoint_can_be_written_it_is_said_before_training(tmp_path):
    for path in (tmp_path / "nowhere" / "c", tmp_path):
        with pytest.raises(OSError, match="cannot write"):
            train(training(), checkpoint=path, resume=path is tmp_path, on_step=lambda loss: 1 / 0)


@given(st.permutations(range(3)), st.sampled_from(["float32", "complex128", "uint64"]))
@settings(max_examples=20, deadline=None)
def test_arrays_keep_their_order_in_memory(order, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype).transpose(order)
    found = _laid_out(*_as_it_lies(array))
    np.testing.assert_array_equal(found, array)
    assert found.strides == array.strides


# --- files that are not its own ---------------------------------------------------------------------------
def faster(state, x, y):
    return step(state, x, y, rate=0.2)


OTHERS = {
    "another rate": ({"step": faster}, "not the same step;"),
    "another batch size": (
        {"data": Batches((X, Y), 7, seed=2)},
        "not the same batches: of 6, seed 2 there, of 7, seed 2 here",
    ),
    "another order": ({"data": Batches((X, Y), 6, seed=3)}, "not the same batches"),
    "other data": ({"data": Batches((X, Y + 1), 6, seed=2)}, r"not the same data: float64\[20, 5\]"),
    "other metrics": ({"metrics": {}}, "not the same metrics: size, sizes there, none here"),
    "more weights": ({"state": training().state | {"steps": np.zeros(2, int)}}, "not the same state"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_checkpoint_of_another_training_is_refused_with_what_differs(name, tmp_path):
    path = tmp_path / "c.safetensors"
    train(training(), 1, checkpoint=path)
    changes, said = OTHERS[name]
    with pytest.raises(ValueError, match=f"c.safetensors is a checkpoint of another training: {said}"):
        train(training(**changes), checkpoint=path, resume=True)


def test_a_checkpoint_is_not_overwritten_by_accident(tmp_path):
    path = tmp_path / "c.safetensors"
    train(training(), 1, checkpoint=path)
    with pytest.raises(FileExistsError, match="resume it, or remove it"):
        train(training(), 1, checkpoint=path)


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"

    def resumed(said, error=ValueError):
        with pytest.raises(error, match=said):
            train(training(), checkpoint=path, resume=True)

    resumed("No such file", FileNotFoundError)
    path.write_bytes(b"")
    resumed("no safetensors file, or is damaged")
    path.unlink()
    train(training(), 1, checkpoint=path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    resumed("no safetensors file, or is damaged")
    save_file({"a": np.ones(3)}, path)
    resumed("no dagexec checkpoint")
    path.unlink()
    dagexec.trace(lambda x: x + 1)(1.0).save(path)
    resumed("is no checkpoint of a training")
    path.write_bytes(whole.replace(b'\\"version\\": 1', b'\\"version\\": 2'))
    resumed("has version 2; this dagexec reads 1")
    path.write_bytes(whole.replace(b'"losses"', b'"lasses"'))
    resumed("is damaged: 'losses' is missing")


def test_without_safetensors_it_is_said_before_training(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install 'dagexec\[save\]'"):
        train(training(), checkpoint=tmp_path / "c", on_step=lambda loss: 1 / 0)
