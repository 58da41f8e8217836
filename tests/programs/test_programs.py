"""Plain NumPy programs, unchanged: values are NumPy's, gradients those of differences and of JAX."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optree
import pytest

import dagexec
from dagexec.pytrees import flatten
from tests.programs import programs


class Program(NamedTuple):
    """What to differentiate, for its first argument, and where."""

    loss: Any
    arguments: tuple[Any, ...]


def _data() -> dict[str, Program]:
    random = np.random.default_rng(20)
    features = random.normal(size=(30, 4))
    times = np.linspace(0.0, 5.0, 12)
    return {
        "rosenbrock": Program(programs.rosenbrock, (random.normal(size=6),)),
        "logistic regression": Program(
            programs.logistic_loss,
            ({"weights": random.normal(size=4), "bias": 0.3}, features, (features[:, 0] > 0).astype(float)),
        ),
        "kalman filter": Program(
            programs.kalman_loss,
            (
                {"A": 0.8 * np.eye(3) + 0.05 * random.normal(size=(3, 3)), "C": random.normal(size=(2, 3))}
                | {"log_q": np.float64(-1.0), "log_r": np.float64(-0.7)},
                random.normal(size=(8, 2)),
            ),
        ),
        "runge-kutta": Program(
            programs.rk4_loss,
            (np.array([1.1, 0.4, 0.1, 0.4]), np.array([10.0, 5.0]), random.normal(8.0, 1.0, size=(20, 2))),
        ),
        "fft convolution": Program(
            programs.fft_convolution_loss,
            (random.normal(size=5), random.normal(size=32), random.normal(size=32)),
        ),
        "gaussian process": Program(
            programs.gaussian_process_loss,
            (
                {"log_scale": 0.2, "log_length": -0.1, "log_noise": -1.0},
                times,
                np.sin(times) + 0.1 * random.normal(size=12),
            ),
        ),
    }


PROGRAMS = _data()


@pytest.fixture(params=PROGRAMS)
def program(request):
    return PROGRAMS[request.param]


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_value_and_gradient(program, executor):
    graph = dagexec.trace(program.loss)(*program.arguments).backward()
    value, gradient = dagexec.run(graph, *program.arguments, executor=executor)
    np.testing.assert_allclose(value, program.loss(*program.arguments), rtol=1e-12)
    found = np.concatenate([np.ravel(leaf) for leaf in flatten(gradient)[0]])
    np.testing.assert_allclose(found, differences(program), rtol=1e-6, atol=1e-8)


def test_the_page_shows_the_programs_as_they_are():
    page = (Path(__file__).parents[2] / "docs" / "programs.md").read_text(encoding="utf-8")
    functions = [value for value in vars(programs).values() if inspect.isfunction(value)]
    assert len(functions) == len(PROGRAMS) + 1
    for function in functions:
        assert inspect.getsource(function) in page


def differences(program: Program) -> np.ndarray:
    """The gradient by central differences, extrapolated once (Richardson)."""
    leaves, structure = flatten(program.arguments[0])
    flat = np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(float)
    ends = np.cumsum([np.size(leaf) for leaf in leaves])[:-1]

    def loss(vector: np.ndarray) -> float:
        parts = [part.reshape(np.shape(leaf)) for part, leaf in zip(np.split(vector, ends), leaves)]
        return program.loss(optree.tree_unflatten(structure, parts), *program.arguments[1:])

    def central(step: float) -> np.ndarray:
        moves = step * np.eye(flat.size)
        return np.array([(loss(flat + move) - loss(flat - move)) / (2 * step) for move in moves])

    return (4 * central(1e-4) - central(2e-4)) / 3


def test_second_derivatives(program):
    """A Hessian-vector product is the derivative of the gradient along the vector."""
    rest = program.arguments[1:]
    leaves, structure = flatten(program.arguments[0])
    random = np.random.default_rng(3)
    direction = [random.normal(size=np.shape(leaf)) for leaf in leaves]

    def along(params):
        gradient = flatten(dagexec.grad(program.loss)(params, *rest))[0]
        return sum(np.sum(part * share) for part, share in zip(gradient, direction))

    gradient = dagexec.jit(dagexec.grad(program.loss))
    found = flatten(dagexec.grad(along)(program.arguments[0]))[0]

    def moved(step: float) -> list[np.ndarray]:
        params = [np.asarray(leaf) + step * part for leaf, part in zip(leaves, direction)]
        return flatten(gradient(optree.tree_unflatten(structure, params), *rest))[0]

    for after, before, exact in zip(moved(1e-5), moved(-1e-5), found, strict=True):
        np.testing.assert_allclose(exact, (after - before) / 2e-5, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_jax(program, monkeypatch):
    jax = pytest.importorskip("jax")
    wanted_type = np.float64
    with jax.enable_x64(True):
        monkeypatch.setattr(programs, "np", jax.numpy)
        arguments = optree.tree_map(lambda leaf: jax.numpy.asarray(leaf, wanted_type), program.arguments)
        theirs = flatten(jax.grad(program.loss)(*arguments))[0]
    monkeypatch.undo()
    ours = flatten(dagexec.grad(program.loss)(*program.arguments))[0]
    for found, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, np.asarray(wanted), rtol=1e-9, atol=1e-11)
