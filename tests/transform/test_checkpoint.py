"""checkpoint: the same gradients, less memory, and nothing recomputed before it is needed."""

from __future__ import annotations

import numpy as np
import pytest

import dagexec
from dagexec import checkpoint, grad, run, trace, value_and_grad, xp

X = np.linspace(-1.0, 1.0, 1000)


def chain(x, steps=8):
    for _ in range(steps):
        x = np.sin(x) * 1.5
    return x


def loss(wrap, blocks=8):
    block = wrap(chain)

    def f(x):
        for _ in range(blocks):
            x = block(x)
        return np.sum(x)

    return f


def plain(fn):
    return fn


def test_gradients_are_the_same_to_all_orders(agree):
    def program(lib, w, x):
        inner = lib.checkpoint(lambda p, x: {"y": lib.np.tanh(x @ p["w"]) * x})
        y = inner({"w": w}, x)["y"]
        return lib.np.sum(inner({"w": w * 2}, y)["y"] ** 2)

    w, x = np.linspace(-1, 1, 9).reshape(3, 3), np.ones(3)
    agree(lambda lib, w, x: lib.value_and_grad(lambda *a: program(lib, *a), (0, 1))(w, x), w, x)
    agree(lambda lib, w, x: lib.hessian(lambda x: program(lib, w, x))(x), w, x)
    agree(lambda lib, w, x: lib.jvp(lambda x: program(lib, w, x), (x,), (x,)), w, x)


def test_closed_over_arrays_have_gradients_too():
    def f(w):
        return np.sum(checkpoint(lambda x: np.sin(x * w) * w)(w + 1))

    x = np.ones(3) / 3
    unwrapped = grad(lambda w: np.sum(np.sin((w + 1) * w) * w))(x)
    np.testing.assert_allclose(grad(f)(x), unwrapped, rtol=1e-14)


def test_nested_checkpoints():
    once, twice = (grad(loss(wrap, 2))(X) for wrap in (checkpoint, lambda f: checkpoint(checkpoint(f))))
    assert np.array_equal(once, grad(loss(plain, 2))(X))
    assert np.array_equal(twice, once)


def test_fewer_bytes_are_held():
    peaks = {}
    for wrap in (plain, checkpoint):
        _, events = run(trace(grad(loss(wrap)))(X), X, executor="serial", events=True)
        peaks[wrap] = events.peak_bytes()
    assert peaks[checkpoint] < 0.5 * peaks[plain]


def test_nothing_is_recomputed_before_its_cotangent_is_there():
    graph = trace(value_and_grad(loss(checkpoint, 2)))(X)
    after_barrier = set()
    for node in graph.nodes:
        if node.op.name == "barrier" or not after_barrier.isdisjoint(node.inputs):
            after_barrier.add(node)
    sines = [node for node in graph.nodes if node.op.name == "sin"]
    recomputed = [node for node in sines if node.phase == "backward"]
    assert after_barrier.issuperset(recomputed)
    assert len(recomputed) == 2 * 7  # the last one's value is not needed
    assert len(sines) == 2 * 8 + 2 * 7


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_all_executors_give_the_same_bits(executor):
    graph = trace(value_and_grad(loss(checkpoint, 2)))(X)
    expected, found = (run(graph, X, executor=name, workers=2) for name in ("serial", executor))
    assert found[0] == expected[0]
    assert np.array_equal(found[1], expected[1])


def test_outside_of_a_trace_and_without_derivation_it_is_the_function():
    assert np.array_equal(checkpoint(chain)(X), chain(X))
    assert np.array_equal(checkpoint(chain)(X, steps=3), chain(X, 3))
    assert np.array_equal(dagexec.jit(checkpoint(lambda x: xp.sin(x)))(X), np.sin(X))
