"""Graphs of single numbers: what is computed, and who computes it. Numbers are float64, as Python's are.

A workload is a function of a list of numbers, written with Python's operators, `tanh` and `exp`. Its nodes
are these numbers and the operations forward; the figures are nanoseconds a node, for value and gradients.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.autodiff import micro
from bench.autodiff.peers import AUTOGRAD, DAGEXEC, JAX, TORCH, Ready, compiled_by_dagexec, load_jax

MICRO = "micrograd-like"
LONGEST = {JAX: 2_000, AUTOGRAD: 20_000, TORCH: 20_000}  # nodes; JAX takes minutes to compile more


@dataclass(frozen=True)
class Scalars:
    """A function `loss(ops, numbers)` of numbers, and the numbers; `ops` has tanh and exp."""

    loss: Callable[[Any, Any], Any]
    params: list[float]

    @property
    def nodes(self) -> int:
        """How many numbers there are, and operations on them; constants apart."""
        values = [micro.Value(number) for number in self.params]
        made = micro.in_order(self.loss(micro, values))
        return len(self.params) + sum(1 for value in made if value.inputs)


def total(numbers: Sequence[Any]) -> Any:
    """The sum as a balanced tree."""
    numbers = list(numbers)
    while len(numbers) > 1:
        pairs = [a + b for a, b in zip(numbers[::2], numbers[1::2])]
        numbers = pairs + numbers[2 * len(pairs) :]
    return numbers[0]


def _normal(count: int, seed: int = 0) -> list[float]:
    generator = random.Random(seed)
    return [generator.gauss(0, 1) for _ in range(count)]


def matrix_vector(size: int = 3) -> Scalars:
    """The sum of W x, for the gradients of both."""

    def loss(ops: Any, numbers: Any) -> Any:
        matrix, vector = numbers[: size * size], numbers[size * size :]
        rows = [matrix[row * size : (row + 1) * size] for row in range(size)]
        return total([total([w * x for w, x in zip(row, vector)]) for row in rows])

    return Scalars(loss, _normal(size * size + size))


def circle(hidden: int = 4, grid: int = 11) -> Scalars:
    """2-hidden-1 with sigmoids, squared distance from inside or outside, over grid × grid points."""
    axis = [4 * i / (grid - 1) - 2 for i in range(grid)]
    points = [(x, y, float(x * x + y * y < 1)) for x in axis for y in axis]

    def loss(ops: Any, numbers: Any) -> Any:
        def neuron(weights: Any, bias: Any, inputs: Any) -> Any:
            weighted = total([*(w * x for w, x in zip(weights, inputs)), bias])
            return 1 / (1 + ops.exp(-weighted))

        def error(x: float, y: float, inside: float) -> Any:
            values = [neuron(numbers[3 * i : 3 * i + 2], numbers[3 * i + 2], (x, y)) for i in range(hidden)]
            off = neuron(numbers[3 * hidden : -1], numbers[-1], values) - inside
            return off * off

        return total([error(*point) for point in points])

    return Scalars(loss, _normal(4 * hidden + 1))


def rnn(steps: int = 8, features: int = 2, hidden: int = 4) -> Scalars:
    """tanh of what is read and what is remembered; the sum of the last state's squares."""
    inputs = [_normal(features, seed) for seed in range(steps)]
    width = features + hidden

    def loss(ops: Any, numbers: Any) -> Any:
        state: Any = [0.1] * hidden
        for x in inputs:
            read = [*x, *state]
            state = [
                ops.tanh(total([w * r for w, r in zip(numbers[i * width : (i + 1) * width], read)]))
                for i in range(hidden)
            ]
        return total([h * h for h in state])

    return Scalars(loss, _normal(hidden * width))


def dag(nodes: int, seed: int = 0) -> Scalars:
    """A random graph of sums, products and tanh, a hundredth of it leaves; what nobody reads is added up.

    Each operation reads any two earlier values. Where a product or sum could become large, it is a tanh.
    """
    generator = random.Random(seed)
    leaves = max(4, nodes // 100)
    bounds, read, operations = [1.0] * leaves, [False] * leaves, []
    unread = leaves
    while len(operations) + unread <= nodes:  # the rest will be the sum
        name = generator.choice(("add", "multiply", "tanh"))
        a, b = (int(generator.random() * len(bounds)) for _ in range(2))
        bound = bounds[a] + bounds[b] if name == "add" else bounds[a] * bounds[b]
        if name == "tanh" or bound > 4:
            name, b, bound = "tanh", a, 1.0
        unread += 1 - (not read[a]) - (not read[b] and a != b)
        read[a] = read[b] = True
        operations.append((name, a, b))
        bounds.append(bound)
        read.append(False)
    ends = [index for index, seen in enumerate(read) if not seen]

    def loss(ops: Any, numbers: Any) -> Any:
        values, tanh = list(numbers), ops.tanh
        for name, a, b in operations:
            if name == "add":
                values.append(values[a] + values[b])
            elif name == "multiply":
                values.append(values[a] * values[b])
            else:
                values.append(tanh(values[a]))
        return total([values[index] for index in ends])

    return Scalars(loss, [generator.uniform(-1, 1) for _ in range(leaves)])


SCALARS: dict[str, Callable[[], Scalars]] = {
    "3×3 matrix-vector": matrix_vector,
    "circle net, 121 points": circle,
    "scalar RNN, 8 steps": rnn,
    "DAG of 10^3": partial(dag, 1_000),
    "DAG of 10^5": partial(dag, 100_000),
    "DAG of 10^6": partial(dag, 1_000_000),
}


# --- who computes it ------------------------------------------------------------------------------------
def dagexec_serial(workload: Scalars, threads: int) -> Ready:
    """Trace, derive, compile."""
    ready = compiled_by_dagexec(partial(workload.loss, np), (workload.params,))
    return Ready(ready.make, _flat, ready.stages, ready.chosen)


def micrograd(workload: Scalars, threads: int) -> Ready:
    """The engine of micro.py."""

    def run() -> Any:
        numbers = [micro.Value(number) for number in workload.params]
        value = workload.loss(micro, numbers)
        micro.backward(value)
        return value.data, [number.grad for number in numbers]

    return Ready(lambda: run, _flat)


def autograd(workload: Scalars, threads: int) -> Ready:
    """`value_and_grad` of a function of a list of numbers."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    function = value_and_grad(partial(workload.loss, anp))
    return Ready(lambda: lambda: function(workload.params), _flat)


def torch_eager(workload: Scalars, threads: int) -> Ready:
    """Tensors without axes."""
    import torch

    torch.set_num_threads(threads)
    numbers = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in workload.params]

    def run() -> Any:
        value = workload.loss(torch, numbers)
        return value, torch.autograd.grad(value, numbers)

    return Ready(lambda: run, lambda result: _flat((result[0].detach(), result[1])))


def jax_jit(workload: Scalars, threads: int) -> Ready:
    """jit(value_and_grad(loss)) of a list of numbers."""
    import jax

    load_jax()
    numbers = [jax.numpy.asarray(number) for number in workload.params]

    def make() -> Callable[[], Any]:
        function = jax.jit(jax.value_and_grad(partial(workload.loss, jax.numpy)))
        return lambda: jax.block_until_ready(function(numbers))

    return Ready(make, _flat)


def _flat(result: Any) -> list[np.ndarray]:
    """The value and the gradients, as two arrays."""
    return [np.asarray(result[0], float), np.asarray([float(gradient) for gradient in result[1]])]


SCALAR_PEERS: dict[str, Callable[[Scalars, int], Ready]] = {
    DAGEXEC: dagexec_serial,
    MICRO: micrograd,
    AUTOGRAD: autograd,
    TORCH: torch_eager,
    JAX: jax_jit,
}
