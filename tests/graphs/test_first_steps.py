"""The first graph files: traces, equations, a line, the circle, overfitting, a genetic algorithm.

Where a file trains by gradients, one step of it is PyTorch's.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import optree
import pytest

import dagexec
from dagexec import random
from dagexec.array import TracingError
from dagexec.graphfile import graph_of, load
from dagexec.training import train

GRAPHS = Path(__file__).parents[2] / "graphs"
NAMES = (
    "first_steps", "equation", "equation_system", "line", "circle", "circle_scalar", "overfitting", "genetic"
)  # fmt: skip
FILES = {name: load(GRAPHS / f"{name}.py") for name in NAMES}
TOLERANCES = {"float64": 1e-8, "float32": 1e-4}


def built(name: str, **texts: str):
    return FILES[name].built(texts)


def training(name: str, **texts: str):
    return built(name, **texts).training


def part(name: str, function: str):
    """A function that a graph file defines."""
    return FILES[name].build.__globals__[function]


def as_dtype(tree, dtype):
    return optree.tree_map(lambda x: np.asarray(x, dtype)[()], tree)


def assert_step_is_that_of_pytorch(sample, loss, optimiser, dtype):
    """`loss(torch, state, *batch)` is the model once more; `optimiser(torch, params)` makes the update."""
    torch = pytest.importorskip("torch")
    state, *batch = as_dtype(sample.args, dtype)
    value, new = dagexec.run(dagexec.trace(sample.step)(state, *batch), state, *batch)
    theirs = optree.tree_map(lambda x: torch.tensor(x, requires_grad=True), state)
    wanted = loss(torch, theirs, *map(torch.tensor, batch))
    wanted.backward()
    leaves = optree.tree_leaves(theirs)
    optimiser(torch, leaves).step()
    found = optree.tree_leaves(new)
    assert {np.asarray(x).dtype for x in found} == {np.dtype(dtype)}
    near = {"rtol": 0, "atol": TOLERANCES[dtype]}
    np.testing.assert_allclose(value, wanted.item(), **near)
    for one, other in zip(found, leaves):
        np.testing.assert_allclose(one, other.detach().numpy(), **near)


def descent(rate, **options):
    return lambda torch, params: torch.optim.SGD(params, rate, **options)


# --- first steps ----------------------------------------------------------------------------------------
IMAGE = np.random.default_rng(0).permutation(16).reshape(4, 4)
LARGEST = np.array([[IMAGE[i : i + 2, j : j + 2].max() for j in (0, 2)] for i in (0, 2)])
KEPT = np.asarray(random.bernoulli(random.key(0), 0.5, (8,)))
TRACES = {
    "add": (5.0, (1.0, 1.0)),
    "minus": (-1.0, (1.0, -1.0)),
    "multiply": (6.0, (3.0, 2.0)),
    "relu": (3.5, ([0, 0, 1, 1],)),
    "dropout": (np.sum(2 * np.arange(1, 9)[KEPT]), (2.0 * KEPT,)),
    "max-pool": (LARGEST.sum(), (np.isin(IMAGE, LARGEST),)),
    "collatz": (1.0, (3**2 / 2**6,)),
}


BOTH_WAYS = [(what, how) for how in ("static", "define-by-run") for what in TRACES]
BOTH_WAYS.remove(("collatz", "static"))


@pytest.mark.parametrize(("what", "how"), BOTH_WAYS)
def test_each_first_step_has_its_value_and_its_gradients(what, how):
    sample = built("first_steps", what=what, how=how)
    value, gradients = dagexec.run(graph_of(sample), *sample.args)
    wanted, wanted_gradients = TRACES[what]
    assert np.ravel(value).tolist() == [wanted]
    for found, right in zip(gradients, wanted_gradients, strict=True):
        np.testing.assert_array_equal(found, right)


def test_dropout_drops_some_numbers_and_keeps_others():
    assert 0 < KEPT.sum() < 8


def test_a_recorded_graph_holds_the_values_and_a_static_one_does_not():
    values = {}
    for how in ("static", "define-by-run"):
        graph = graph_of(built("first_steps", what="multiply", how=how))
        assert [node.op.name for node in graph.nodes if node.inputs] == ["multiply"] * 3
        values[how] = getattr(graph.outputs[0], "value", None)
    assert values == {"static": None, "define-by-run": 6.0}


def test_a_loop_that_looks_at_values_needs_define_by_run():
    with pytest.raises(TracingError, match=r"first_steps\.py:\d+"):
        built("first_steps", what="collatz", how="static")


# --- equations ------------------------------------------------------------------------------------------
ROOT = (-0.4 + math.sqrt(0.52)) / 0.6, (-0.4 - math.sqrt(0.52)) / 0.6


@pytest.mark.parametrize(
    ("texts", "root"),
    [
        ({}, 4 / 3),
        ({"coefficients": "0.3,0.4,0.5"}, ROOT[0]),
        ({"coefficients": "0.3,0.4,0.5", "start": "-2"}, ROOT[1]),
    ],
)
def test_gradient_descent_solves_the_equations(texts, root):
    trained = train(training("equation", **texts))
    assert trained.state == pytest.approx(root, abs=1e-4)
    assert trained.metrics["x"][-1] == trained.state


def test_the_distance_to_the_root_shrinks_by_the_factor_that_the_file_names():
    xs = [0.0, *train(training("equation", rate="2"), epochs=5).metrics["x"]]
    distances = 4 / 3 - np.array(xs)
    np.testing.assert_allclose(distances[1:] / distances[:-1], 1 - 2 * 0.3**2 * 2, rtol=1e-12)


def test_too_large_a_rate_diverges():
    trained = train(training("equation", rate="12"), epochs=20)
    assert trained.losses[-1] > 10 * trained.losses[0]


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_step_of_the_equation_is_that_of_pytorch(dtype):
    def loss(torch, x):
        return (0.3 * x**2 + 0.4 * x + 0.5 - 0.8) ** 2

    sample = training("equation", coefficients="0.3,0.4,0.5", start="1.5")
    assert_step_is_that_of_pytorch(sample, loss, descent(1.0), dtype)


def test_an_equation_without_x_is_refused():
    with pytest.raises(ValueError, match=r"coefficients=\(0.3,\): at least two"):
        training("equation", coefficients="0.3")


SYSTEMS = {
    "x^2 + y^2 = 4; x*y = 1": lambda x, y: (x * x + y * y - 4, x * y - 1),
    "x^2 + y^2 + z^2 = 14; x*y*z = 6; x - y = 1": lambda x, y, z: (
        x * x + y * y + z * z - 14,
        x * y * z - 6,
        x - y - 1,
    ),
    "2*(a - 3) = -a/2": lambda a: (2 * (a - 3) + a / 2,),
    "u**3 - u = 6;": lambda u: (u**3 - u - 6,),
}


@pytest.mark.parametrize("text", SYSTEMS)
def test_a_system_given_as_text_is_solved(text):
    trained = train(training("equation_system", equations=text, starts="32", epochs="800"))
    solution = {name: values[-1] for name, values in trained.metrics.items()}
    assert SYSTEMS[text](**solution) == pytest.approx((0,) * text.strip(";").count("="), abs=1e-4)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_the_errors_of_a_system_and_their_gradients_are_those_of_pytorch(dtype):
    torch = pytest.importorskip("torch")
    trees = part("equation_system", "parse")("x^2 + y^2 = 4; x*y = 1 - y/2")
    value = part("equation_system", "value")
    x, y = np.random.default_rng(0).normal(size=(2, 7)).astype(dtype)

    def loss(point):
        return np.sum(sum(value(tree, point) ** 2 for tree in trees.values()))

    found, gradients = dagexec.value_and_grad(loss)({"x": x, "y": y})
    x, y = (torch.tensor(array, requires_grad=True) for array in (x, y))
    wanted = ((x**2 + y**2 - 4) ** 2 + (x * y - 1 + y / 2) ** 2).sum()
    wanted.backward()
    near = {"rtol": TOLERANCES[dtype]}
    np.testing.assert_allclose(found, wanted.item(), **near)
    np.testing.assert_allclose(gradients["x"], x.grad, **near)
    np.testing.assert_allclose(gradients["y"], y.grad, **near)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "needs one ="),
        ("x = y = 1", "needs one ="),
        ("2x = 1", "write products as"),
        ("sin(x) = 1", r"'sin\(x\)' is no polynomial"),
        ("x.real = 1", "'x.real' is no polynomial"),
        ("__import__('os').getcwd() = x", "is no polynomial"),
        ("1/x = 2", "'1 / x' is no polynomial"),
        ("x^y = 2", r"'x \*\* y' is no polynomial"),
        ("x = 1/0", "'1 / 0' is no polynomial"),
        ("x = 'a'", "'a'\" is no polynomial"),
        ("1 = 1", "no unknown"),
        ("", "no unknown"),
    ],
)
def test_what_is_no_polynomial_equation_is_refused_by_name(text, message):
    with pytest.raises(ValueError, match=message):
        training("equation_system", equations=text).graph()


# --- a line ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_step_of_the_line_is_that_of_pytorch(dtype):
    def loss(torch, params, x, y):
        return torch.nn.functional.mse_loss(params["a"] * x + params["b"], y)

    assert_step_is_that_of_pytorch(training("line"), loss, descent(0.05), dtype)


@pytest.mark.parametrize(("batch", "epochs", "near"), [("200", 200, 1e-6), ("10", 30, 0.1)])
def test_the_line_is_that_of_least_squares(batch, epochs, near):
    sample = training("line", batch=batch)
    trained = train(sample, epochs)
    a, b = part("line", "least_squares")(*sample.data.arrays)
    assert (trained.state["a"], trained.state["b"]) == pytest.approx((a, b), abs=near)
    assert (a, b) == pytest.approx((2, -1), abs=0.1)


# --- the circle -----------------------------------------------------------------------------------------
def test_the_circle_goes_as_the_table_in_its_file_says():
    trained = train(training("circle"))
    table = re.findall(r"^ +(\d+) +([\d.]+) +([\d.]+) %$", load_text("circle"), re.MULTILINE)
    assert [int(step) for step, _, _ in table] == [1, *range(200, 2001, 200)]
    for step, loss, right in table:
        assert trained.losses[int(step) - 1] == pytest.approx(float(loss), abs=6e-5)
        assert trained.metrics["accuracy"][int(step) - 1] == pytest.approx(float(right) / 100, abs=1e-3)
    assert len(trained.losses) == 2000


def load_text(name: str) -> str:
    return (GRAPHS / f"{name}.py").read_text()


def circle_loss(torch, layers, points, inside):
    for p in layers:
        points = torch.sigmoid(points @ p["weights"] + p["bias"])
    return torch.nn.functional.mse_loss(points[:, 0], inside)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_step_of_the_circle_is_that_of_pytorch(dtype):
    assert_step_is_that_of_pytorch(training("circle", hidden="8,5"), circle_loss, descent(4.0), dtype)


SMALL = {"grid": "4", "hidden": "3,2", "seed": "1"}


def stacked(layers):
    """Layers of numbers as the layers of arrays that `circle.py` has."""
    return [
        {"weights": np.array([p["weights"] for p in layer]).T, "bias": np.array([p["bias"] for p in layer])}
        for layer in layers
    ]


def test_at_scalar_level_a_step_is_that_of_the_arrays():
    scalars, arrays = training("circle_scalar", **SMALL), training("circle", **SMALL, rate="8")
    loss, layers = dagexec.run(scalars.graph(), *scalars.args)
    wanted, wanted_layers = dagexec.run(arrays.graph(), stacked(scalars.state), *arrays.data)
    np.testing.assert_allclose(loss, wanted, rtol=1e-12)
    for one, other in zip(optree.tree_leaves(stacked(layers)), optree.tree_leaves(wanted_layers)):
        np.testing.assert_allclose(one, other, rtol=1e-10)
    right = scalars.metrics["accuracy"](scalars.state)
    assert right == arrays.metrics["accuracy"](stacked(scalars.state), *arrays.data)


def test_at_scalar_level_every_value_is_one_number():
    graph = training("circle_scalar", **SMALL).graph()
    assert {node.spec.shape for node in graph.nodes} == {()}
    networks = {node.scope[0] for node in graph.nodes if node.scope and node.phase == "forward"}
    assert networks == {f"network[{i}]" for i in range(16)} | {"loss"}


def test_at_scalar_level_it_learns_as_well():
    """By default it takes seconds, so it is the arrays that go on to the end."""
    scalars, arrays = training("circle_scalar"), training("circle", grid="8", rate="8")
    twin = replace(arrays, state=stacked(scalars.state), epochs=scalars.epochs)
    trained = train(twin, executor="serial")
    assert trained.metrics["accuracy"][-1] >= 0.97
    first = train(scalars, epochs=5, executor="serial")
    assert first.losses == pytest.approx(trained.losses[:5], rel=1e-9)
    assert first.metrics["accuracy"] == trained.metrics["accuracy"][:5]


# --- over- and underfitting -----------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_step_of_the_polynomial_is_that_of_pytorch(dtype):
    def loss(torch, weights, powers, y):
        return torch.nn.functional.mse_loss(powers @ weights, y)

    sample = training("overfitting", degree="5", weight_decay="0.01")
    assert_step_is_that_of_pytorch(sample, loss, descent(0.3, weight_decay=0.01), dtype)


def test_the_losses_tell_underfitting_and_overfitting():
    last = {}
    for degree, epochs in ((1, 300), (3, 300), (15, 2000)):
        trained = train(training("overfitting", degree=str(degree)), epochs, executor="serial")
        last[degree] = trained.losses[-1], trained.metrics["validation loss"][-1]
    (seen1, unseen1), (seen3, unseen3), (seen15, unseen15) = last.values()
    assert seen1 > 2 * seen3 > 4 * seen15  # the more flexible, the closer to what it has seen
    assert unseen3 < min(unseen1, unseen15) / 2


@pytest.mark.parametrize("remedy", ["weight_decay", "patience"])
def test_weight_decay_and_early_stopping_help_against_overfitting(remedy):
    decay, patience = ("0.01", None) if remedy == "weight_decay" else ("0", 50)
    sample = training("overfitting", degree="15", weight_decay=decay)
    trained = train(sample, executor="serial", patience=patience)
    assert trained.metrics["validation loss"][-1] < 0.1


# --- the genetic algorithm ------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", ["0", "1"])
def test_evolution_solves_xor(seed):
    sample = training("genetic", seed=seed)
    trained = train(sample, epochs=20, executor="serial")
    best = trained.state["genes"][0]
    points, truth = sample.data
    assert sorted(zip(points.tolist(), truth)) == [([-1, -1], 0), ([-1, 1], 1), ([1, -1], 1), ([1, 1], 0)]
    outputs = np.tanh(points @ best[:8].reshape(2, 4) + best[8:12]) @ best[12:16] + best[16]
    assert np.array_equal(outputs > 0, truth == 1)
    assert trained.metrics["accuracy"][-1] == 1.0


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_how_wrong_a_network_is_pytorch_says_too(dtype):
    torch = pytest.importorskip("torch")
    sample = training("genetic", copies="5", noise="0.3")
    points, truth = as_dtype(sample.data, dtype)
    for genes in as_dtype(sample.state["genes"][:4], dtype):
        found, gradient = dagexec.value_and_grad(part("genetic", "measure"))(genes, points, truth)
        theirs = torch.tensor(genes, requires_grad=True)
        hidden = torch.tanh(torch.tensor(points) @ theirs[:8].reshape(2, 4) + theirs[8:12])
        wanted = torch.nn.functional.binary_cross_entropy_with_logits(
            hidden @ theirs[12:16] + theirs[16], torch.tensor(truth)
        )
        wanted.backward()
        assert found == pytest.approx(wanted.item(), abs=TOLERANCES[dtype])
        np.testing.assert_allclose(gradient, theirs.grad, rtol=0, atol=TOLERANCES[dtype])


def test_the_best_of_a_generation_lives_on_and_the_loss_never_rises():
    sample = training("genetic", population="12", elite="3")
    points, truth = sample.data
    measure = part("genetic", "measure")
    loss, state = dagexec.run(sample.graph(), *sample.args)
    losses = np.array([measure(genes, points, truth) for genes in sample.state["genes"]])
    assert loss == losses.min()
    np.testing.assert_array_equal(state["genes"][:3], sample.state["genes"][np.argsort(losses)[:3]])
    trained = train(sample, epochs=15, executor="serial")
    assert list(trained.losses) == sorted(trained.losses, reverse=True)


def test_without_mutation_each_gene_comes_from_a_parent():
    sample = training("genetic", population="9", mutation="0")
    _, state = dagexec.run(sample.graph(), *sample.args)
    parents, children = sample.state["genes"], state["genes"]
    assert all(set(column) <= set(pool) for column, pool in zip(children.T, parents.T))
    assert not all(any(np.array_equal(one, other) for other in parents) for one in children)  # they are mixed


def test_a_generation_is_as_wide_as_its_population():
    def width(population: int) -> int:
        graph = training("genetic", population=str(population)).graph()
        return dagexec.analyze(dagexec.plan(graph)).width

    assert width(8) >= 8
    assert width(24) >= 3 * width(8)


def test_executors_breed_the_same_networks():
    serial, threads = (
        train(training("genetic", population="8"), epochs=4, executor=name, workers=2)
        for name in ("serial", "threads")
    )
    np.testing.assert_array_equal(serial.state["genes"], threads.state["genes"])


def test_an_elite_that_leaves_no_room_for_children_is_refused():
    with pytest.raises(ValueError, match="elite=5 must be at least 1 and less than population=5"):
        training("genetic", elite="5", population="5")
