"""Training: one step is one graph, compiled once and run once an epoch.

A `Training` is a step with what it starts from. The step is array code from parameters and data to the loss
and the new parameters: it holds the forward pass, `value_and_grad` and the update, so all three are nodes of
one graph and are scheduled together. `train` runs it over and over, each time on the last step's parameters.

>>> import numpy as np
>>> from dagexec import scope, value_and_grad
>>> def step(w, x, y):
...     loss, g = value_and_grad(lambda w, x, y: np.mean((x * w - y) ** 2))(w, x, y)
...     with scope("update", phase="update"):
...         return loss, w - 0.1 * g
>>> x = np.array([1.0, 2.0, 3.0])
>>> trained = train(Training(step, 0.0, (x, 2 * x), epochs=50))
>>> round(float(trained.params), 6), trained.losses[0] > trained.losses[-1]
(2.0, True)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dagexec.executors import compile
from dagexec.graph import Graph
from dagexec.tracing import trace


@dataclass(frozen=True, slots=True)
class Training:
    """A training step and what it starts from; `build` of a graph file may return one.

    `step(params, *data)` gives `(loss, new_params)`, the latter with the structure and shapes of `params`.
    `accuracy(params, *data)`, if given, is the part of the data that is got right, from 0 to 1.
    """

    step: Callable[..., tuple[Any, Any]]
    params: Any
    data: tuple[Any, ...]
    accuracy: Callable[..., Any] | None = None
    epochs: int = 100

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments of the first step."""
        return self.params, *self.data

    def graph(self) -> Graph:
        """The graph of one step.

        Raises TypeError unless it gives a scalar loss and new parameters that fit in the place of the old.
        """
        graph = trace(self.step)(*self.args)
        name = graph.name
        if graph.out_tree.type is not tuple or len(graph.out_tree.children()) != 2:
            raise TypeError(f"{name} must return (loss, new_params), but it returns {graph.out_tree}")
        loss, new_params = graph.out_tree.children()
        params = graph.in_tree.child(0)
        if new_params != params:
            raise TypeError(f"{name} takes parameters {params}, but its new parameters are {new_params}")
        spec = graph.outputs[0].spec
        if not loss.is_leaf() or spec.shape != () or spec.dtype.kind not in "fiu":
            raise TypeError(f"{name} must return a real scalar loss, but it is {spec}")
        for given, new in zip(graph.inputs, graph.outputs[1:]):
            if given.spec != new.spec:
                raise TypeError(f"{name} turns {given.name}, a {given.spec}, into a {new.spec}")
        return graph


@dataclass(frozen=True, slots=True)
class Trained:
    """What training gives: the last parameters, each epoch's loss before its update, the last accuracy."""

    params: Any
    losses: tuple[float, ...]
    accuracy: float | None


def train(
    training: Training,
    epochs: int | None = None,
    executor: str = "auto",
    workers: int | None = None,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Trained:
    """Run the step `epochs` times, each on the parameters that the last one gave.

    `on_epoch(number, loss)` is called after each. Raises ArithmeticError as soon as a loss is not finite,
    ValueError for less than one epoch.
    """
    params, losses = training.params, []
    epochs = training.epochs if epochs is None else epochs
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}; at least one is needed")
    with compile(training.graph(), executor, workers) as step:
        for epoch in range(epochs):
            loss, params = step(params, *training.data)
            losses.append(float(loss))
            if not math.isfinite(losses[-1]):
                raise ArithmeticError(
                    f"the loss is {losses[-1]} in epoch {epoch + 1}: "
                    "training diverged; try a smaller learning rate"
                )
            on_epoch(epoch, losses[-1])
    accuracy = training.accuracy
    return Trained(
        params, tuple(losses), None if accuracy is None else float(accuracy(params, *training.data))
    )
