"""The convolutional graph files: their losses and gradients are PyTorch's, and they learn what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optree
import pytest

import dagexec
from dagexec.graphfile import load
from dagexec.training import train

GRAPHS = Path(__file__).parents[2] / "graphs"
TOLERANCES = {"float64": 1e-8, "float32": 1e-4}


def training_of(name, **texts):
    return load(GRAPHS / f"{name}.py").built(texts).training


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def require_same(torch, training, theirs, dtype, params_of=lambda state: state[0]):
    """The loss of the first step and the gradients, as Adam remembers them, are those of `theirs`.

    `theirs` is a function of the parameters and the batch, both as tensors.
    """

    def as_dtype(x):
        return x.astype(dtype) if np.asarray(x).dtype.kind == "f" else x

    state, *batch = optree.tree_map(as_dtype, training.args)
    value, new_state = dagexec.run(dagexec.trace(training.step)(state, *batch), state, *batch)
    mean = next(part["mean"] for part in new_state if isinstance(part, dict) and "mean" in part)
    params = optree.tree_map(lambda x: torch.tensor(x, requires_grad=True), params_of(state))
    loss = theirs(params, *map(torch.tensor, batch))
    loss.backward()
    close = {"rtol": TOLERANCES[dtype], "atol": TOLERANCES[dtype]}
    np.testing.assert_allclose(value, loss.detach().numpy(), **close)
    for found, tensor in zip(*map(optree.tree_leaves, (mean, params)), strict=True):
        np.testing.assert_allclose(found / (1 - 0.9), tensor.grad.numpy(), **close)


def network_in(torch):
    F = torch.nn.functional

    def loss(params, images, labels):
        x = images[:, None]
        for layers in params["stages"]:
            for layer in layers:
                x = F.conv2d(x, layer["conv"]["weights"], layer["conv"]["bias"], padding=1)
                if "norm" in layer:
                    x = F.batch_norm(x, None, None, layer["norm"]["scale"], layer["norm"]["bias"], True)
                x = x.relu()
            x = F.max_pool2d(x, 2) if x.shape[-1] > 1 else x
        x = x.flatten(1)
        for number, layer in enumerate(params["dense"]):
            x = (x.relu() if number else x) @ layer["weights"] + layer["bias"]
        return F.cross_entropy(x, labels)

    return loss


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("digits_cnn", {"width": "4"}),
        ("digits_cnn", {"depth": "8", "width": "4", "batch_norm": "yes"}),
        ("vgg", {"layers": "11", "width": "2", "batch_norm": "no"}),
        ("vgg", {"layers": "16", "width": "1", "batch_norm": "no", "zoom": "1"}),
    ],
)
def test_a_step_of_the_digit_readers_is_that_of_pytorch(torch, name, texts, dtype):
    training = training_of(name, **texts, dropout="0", batch="8")
    require_same(torch, training, network_in(torch), dtype)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("texts", [{}, {"pooling": "avg"}, {"pooling": "none"}, {"model": "dense"}])
def test_a_step_of_the_pattern_finder_is_that_of_pytorch(torch, texts, dtype):
    def theirs(params, x, labels):
        if texts.get("model"):
            x = (x[:, 0] @ params[0]["weights"] + params[0]["bias"]).relu()
        else:
            x = torch.nn.functional.conv1d(x, params[0]["weights"], params[0]["bias"]).relu()
            x = {"none": x.flatten(1), "avg": x.mean(2)}.get(texts.get("pooling"), x.amax(2))
        return torch.nn.functional.cross_entropy(x @ params[1]["weights"] + params[1]["bias"], labels)

    require_same(torch, training_of("convolution_1d", **texts), theirs, dtype)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("pooling", ["none", "max", "avg"])
def test_a_step_of_the_filter_finder_is_that_of_pytorch(torch, pooling, dtype):
    pools = {"max": torch.nn.functional.max_pool2d, "avg": torch.nn.functional.avg_pool2d}

    def theirs(params, image, wanted):
        y = torch.nn.functional.conv2d(image, params["weights"], params["bias"])
        return ((pools[pooling](y, 2) if pooling in pools else y) - wanted).square().mean()

    require_same(torch, training_of("convolution_2d", pooling=pooling), theirs, dtype)


def test_convolutions_read_98_percent_of_the_digits_they_have_not_seen():
    trained = train(training_of("digits_cnn", epochs="8"), executor="serial")
    assert trained.metrics["accuracy"][-1] >= 0.98


def test_eight_layers_learn_and_nothing_is_dropped_when_they_are_measured():
    training = training_of("digits_cnn", depth="8", width="4", batch_norm="yes", dropout="0.3", epochs="2")
    trained = train(training, executor="serial")
    assert trained.losses[1] < 0.9 * trained.losses[0]
    again = dagexec.run(training.metrics_graph(), *training.metrics_args(trained.state))
    assert float(again["accuracy"]) == trained.metrics["accuracy"][-1]


def test_sixteen_layers_learn_with_batch_norm():
    training = training_of("vgg", layers="16", width="4", zoom="1", dropout="0", rate="0.005", epochs="2")
    losses = train(training, executor="serial").losses
    assert losses[1] < 0.75 * losses[0]


def test_a_convolution_finds_a_pattern_where_it_was_never_shown_and_a_dense_layer_does_not():
    def accuracy(**texts):
        training = training_of("convolution_1d", **texts, epochs="8")
        return train(training, executor="serial").metrics["accuracy"][-1]

    largest = accuracy()
    assert largest >= 0.92
    assert accuracy(pooling="avg") < largest - 0.03
    assert accuracy(model="dense") < 0.75


@pytest.mark.parametrize(("texts", "most"), [({}, 1e-3), ({"pooling": "max"}, 1e-2)])
def test_the_kernel_of_a_filter_is_found_again(texts, most):
    training = training_of("convolution_2d", **texts)
    assert train(training, executor="serial").metrics["kernel error"][-1] <= most
