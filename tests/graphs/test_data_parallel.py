"""Data-parallel training: shards change who computes what, not what is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optree
import pytest

import dagexec
from dagexec.analysis import analyze
from dagexec.graphfile import graph_of, load
from dagexec.training import train

FILE = Path(__file__).parents[2] / "graphs" / "data_parallel.py"
SMALL = {"hidden": "24,16", "batch": "48"}


def built(**texts: str):
    return load(FILE).built(SMALL | texts)


@pytest.mark.parametrize("shards", ["2", "3"])
def test_a_step_in_shards_is_a_step_on_the_whole_batch(shards):
    whole, split = built(shards="1"), built(shards=shards)
    found = dagexec.run(graph_of(split), *split.args, executor="threads", workers=2)
    wanted = dagexec.run(graph_of(whole), *whole.args)
    for one, other in zip(*map(optree.tree_leaves, (found, wanted)), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)


def test_loss_and_step_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    sample = built(shards="2", rate="0.25")
    (layers, _), images, labels = sample.args
    tensors = [{name: torch.tensor(p, requires_grad=True) for name, p in layer.items()} for layer in layers]
    x = torch.tensor(images).reshape(len(images), -1)
    for number, layer in enumerate(tensors):
        x = x @ layer["weights"] + layer["bias"]
        x = torch.relu(x) if number < len(tensors) - 1 else x
    wanted = torch.nn.functional.cross_entropy(x, torch.tensor(labels))
    wanted.backward()
    loss, (found, _) = dagexec.run(graph_of(sample), *sample.args)
    assert float(loss) == pytest.approx(wanted.item(), abs=1e-5)
    for layer, new in zip(tensors, found, strict=True):
        for name, p in layer.items():
            np.testing.assert_allclose(new[name], (p - 0.25 * p.grad).detach().numpy(), rtol=0, atol=1e-5)


def test_two_shards_can_keep_two_workers_busy():
    one, two = (analyze(dagexec.plan(graph_of(built(shards=shards, hidden="256,256")))) for shards in "12")
    assert two.bound(2) > 1.9 > one.bound(2)


def test_it_learns():
    trained = train(built(shards="2", epochs="8", rate="0.3").training)
    assert trained.metrics["accuracy"][-1] > 0.9


def test_a_batch_that_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="48 images cannot be split into 5 equal shards"):
        built(shards="5")
