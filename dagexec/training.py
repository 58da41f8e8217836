"""Training: one step is one graph, compiled once and run on one batch after another.

A `Training` is a step with what it starts from. The step is array code from a state and a batch to the loss
and the new state: it holds the forward pass, `value_and_grad` and the update, so all three are nodes of one
graph and are scheduled together. The state is whatever changes: parameters, what the optimiser remembers,
running statistics, a random key. `train` runs the step over and over, each time on the last one's state; an
epoch is one pass over the data.

>>> import numpy as np
>>> from dagexec import scope, value_and_grad
>>> def step(w, x, y):
...     loss, g = value_and_grad(lambda w, x, y: np.mean((x * w - y) ** 2))(w, x, y)
...     with scope("update", phase="update"):
...         return loss, w - 0.1 * g
>>> x = np.array([1.0, 2.0, 3.0])
>>> trained = train(Training(step, 0.0, (x, 2 * x), epochs=50))
>>> round(float(trained.state), 6), trained.losses[0] > trained.losses[-1]
(2.0, True)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dagexec.checkpoints import Checkpoint, SoFar
from dagexec.data import Batches
from dagexec.executors import Compiled, compile
from dagexec.files import require_writable
from dagexec.graph import Graph
from dagexec.pytrees import flatten
from dagexec.tracing import trace

Metric = float | tuple[float, ...]
WATCHED = "validation loss"  # the metric that early stopping looks at, where there is one of this name
LONGEST_OUTLINE = 200  # characters of a structure that a message shows


@dataclass(frozen=True, slots=True)
class Training:
    """A training step and what it starts from; `build` of a graph file may return one.

    `step(state, *batch)` gives `(loss, new_state)`, the latter with the structure, shapes and dtypes of
    `state`. `data` is a tuple of arrays, all of which each step takes, or `Batches` of them. Each of
    `metrics`, by name, is array code from the state and `validation` (or, without, all of the data) to a
    scalar or a vector, computed after each epoch. Where `validation` are Batches, since there is no room for
    all at once, it is the mean over the batches.
    """

    step: Callable[..., tuple[Any, Any]]
    state: Any
    data: tuple[Any, ...] | Batches
    metrics: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    validation: tuple[Any, ...] | Batches | None = None
    epochs: int = 100

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for what could not be trained on, before anything takes time."""
        if not callable(self.step):
            raise TypeError(f"step must be a function (state, *batch) -> (loss, state), not {self.step!r}")
        _require_arrays("data", self.data)
        if self.validation is not None:
            _require_arrays("validation", self.validation)
        if not isinstance(self.metrics, Mapping):
            raise TypeError(f"metrics must be functions by name, not a {type(self.metrics).__name__}")
        for name, metric in self.metrics.items():
            if not isinstance(name, str) or not callable(metric):
                raise TypeError(f"metrics must be functions by name, not {name!r}: {metric!r}")

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments of the first step."""
        return self.state, *(self.data.first if isinstance(self.data, Batches) else self.data)

    @property
    def steps(self) -> int:
        """How many steps an epoch has."""
        return len(self.data) if isinstance(self.data, Batches) else 1

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """What the steps of an epoch take."""
        return self.data.epoch(epoch) if isinstance(self.data, Batches) else iter([self.data])

    def graph(self) -> Graph:
        """The graph of one step.

        Raises TypeError unless it gives a scalar loss and a new state that fits in the place of the old.
        """
        graph = trace(self.step)(*self.args)
        name = graph.name
        if graph.out_tree.type is not tuple or len(graph.out_tree.children()) != 2:
            raise TypeError(f"{name} must return a tuple (loss, new_state), not {_outline(graph.out_tree)}")
        loss, new_state = graph.out_tree.children()
        state = graph.in_tree.child(0)
        if new_state != state:
            raise TypeError(
                f"{name} takes the state {_outline(state)}, but its new state is {_outline(new_state)}"
            )
        spec = graph.outputs[0].spec
        if not loss.is_leaf() or spec.shape != () or spec.dtype.kind not in "fiu":
            raise TypeError(f"{name} must return a real scalar loss, but it is {spec}")
        for given, new in zip(graph.inputs, graph.outputs[1:]):
            if given.spec != new.spec:
                raise TypeError(f"{name} turns {given.name}, a {given.spec}, into a {new.spec}")
        return graph

    def measured(self) -> Iterator[tuple[Any, ...]]:
        """What the metrics take, besides the state."""
        if isinstance(self.validation, Batches):
            return self.validation.epoch(0)
        data = self.data.arrays if isinstance(self.data, Batches) else self.data
        return iter([data if self.validation is None else self.validation])

    def metrics_args(self, state: Any) -> tuple[Any, ...]:
        """The arguments of the metrics; where these are computed on batches, on the first."""
        return state, *next(self.measured())

    def metrics_graph(self) -> Graph:
        """The graph that computes all metrics. Raises TypeError if one is neither a scalar nor a vector."""

        def metrics(state: Any, *data: Any) -> dict[str, Any]:
            found = {}
            for name, metric in self.metrics.items():
                try:
                    found[name] = metric(state, *data)
                except Exception as error:
                    error.add_note(f"in the metric {name!r}")
                    raise
            return found

        graph = trace(metrics)(*self.metrics_args(self.state))
        if not all(leaf.is_leaf() for leaf in graph.out_tree.children()):
            raise TypeError(
                f"each metric must be one scalar or vector, but they are {_outline(graph.out_tree)}"
            )
        for name, node in zip(sorted(self.metrics), graph.outputs):
            if len(node.spec.shape) > 1 or node.spec.dtype.kind not in "fiub":
                raise TypeError(f"the metric {name!r} must be a real scalar or vector, but it is {node.spec}")
        return graph


@dataclass(frozen=True, slots=True)
class Trained:
    """What training gives.

    The last `state`; each epoch's loss, the mean over its steps, each before its update; each metric after
    each epoch; `why_it_ended` in words; how many of the epochs a checkpoint had that was `resumed`.
    """

    state: Any
    losses: tuple[float, ...]
    metrics: dict[str, tuple[Metric, ...]]
    why_it_ended: str
    resumed: int = 0

    @property
    def epochs(self) -> int:
        """How many epochs the state has gone through."""
        return len(self.losses)


def train(
    training: Training,
    epochs: int | None = None,
    executor: str = "auto",
    workers: int | None = None,
    on_epoch: Callable[[int, float, dict[str, Metric]], None] = lambda epoch, loss, metrics: None,
    on_step: Callable[[float], None] = lambda loss: None,
    checkpoint: str | PathLike[str] | None = None,
    resume: bool = False,
    patience: int | None = None,
) -> Trained:
    """Run the step until the state has gone `epochs` times over the data.

    `on_epoch(number, loss, metrics)` is called after each epoch, `on_step(loss)` after each step. With
    `patience` it ends after so many epochs without a smaller loss than ever before: that of the metric
    "validation loss", if there is one.

    The file `checkpoint` is written about once a second, after whole epochs, and at the end, also where that
    is an error or Ctrl-C; with `resume` the training goes on from there, as if it had not been interrupted.

    Raises ArithmeticError as soon as a loss is not finite; ValueError for less than one epoch, and for a
    checkpoint that is damaged or of another training; FileExistsError rather than overwrite one, and OSError
    where none can be written, before it begins.
    """
    epochs = training.epochs if epochs is None else epochs
    _require_positive(epochs=epochs, patience=patience)
    graph = training.graph()
    kept = None if checkpoint is None else _checkpoint(training, graph, checkpoint, resume)
    so_far = SoFar(training.state, (), dict.fromkeys(training.metrics, ()))
    if kept is not None and resume:
        so_far = kept.read()
    resumed = len(so_far.losses)

    def keep() -> None:
        if kept is not None and so_far.losses:
            kept.write(so_far)

    with ExitStack() as opened:
        opened.callback(keep)
        step = opened.enter_context(compile(graph, executor, workers))
        measure = _measuring(training, executor, workers, opened)
        while not (why := _end(so_far, epochs, patience)):
            epoch = len(so_far.losses)
            loss, state = _epoch(step, so_far.state, training.batches(epoch), epoch, on_step)
            measured = measure(state)
            so_far = so_far.after(state, loss, measured)
            on_epoch(epoch, loss, measured)
            if kept is not None:
                kept.write_at_times(so_far)
    return Trained(so_far.state, so_far.losses, so_far.metrics, why, resumed)


def _epoch(
    step: Compiled,
    state: Any,
    batches: Iterator[tuple[Any, ...]],
    epoch: int,
    on_step: Callable[[float], None],
) -> tuple[float, Any]:
    """The mean of the losses, and the state after the last batch."""
    losses = []
    for batch in batches:
        loss, new_state = step(state, *batch)
        losses.append(float(loss))
        if not math.isfinite(losses[-1]):
            why = _why_not_finite(state, batch, first=epoch == 0 and len(losses) == 1)
            raise ArithmeticError(f"the loss is {losses[-1]} in epoch {epoch + 1}: {why}")
        state = new_state
        on_step(losses[-1])
    return math.fsum(losses) / len(losses), state


def _why_not_finite(state: Any, batch: tuple[Any, ...], *, first: bool) -> str:
    for number, data in enumerate(batch):
        if not _all_finite(data):
            return f"array {number} of the data holds NaN or infinities"
    if not first:
        return "training diverged; try a smaller learning rate"
    if not _all_finite(state):
        return "the state it starts from holds NaN or infinities"
    return "this is the first step, so look for numbers too large, divisions by 0, or a root or log of less"


def _all_finite(tree: Any) -> bool:
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in flatten(tree)[0])


def _measuring(
    training: Training, executor: str, workers: int | None, opened: ExitStack
) -> Callable[[Any], dict[str, Metric]]:
    """The function from a state to the metrics."""
    if not training.metrics:
        return lambda state: {}
    compiled = opened.enter_context(compile(training.metrics_graph(), executor, workers))

    def measure(state: Any) -> dict[str, Metric]:
        found = [compiled(state, *batch) for batch in training.measured()]
        means = {name: np.mean([one[name] for one in found], 0, np.float64) for name in training.metrics}
        return {name: _number(mean) for name, mean in means.items()}

    return measure


def _number(value: Any) -> Metric:
    return float(value) if np.ndim(value) == 0 else tuple(map(float, value))


def _end(so_far: SoFar, epochs: int, patience: int | None) -> str:
    """Why the training ends here; nothing if it goes on."""
    if len(so_far.losses) >= epochs:
        return "all epochs done"
    name, losses = "loss", so_far.losses
    watched = so_far.metrics.get(WATCHED, ())
    if watched and not isinstance(watched[0], tuple):
        name, losses = WATCHED, watched
    lowest = min((loss for loss in losses if not math.isnan(loss)), default=math.nan)
    best = losses.index(lowest) + 1 if lowest in losses else 0
    if patience is not None and len(losses) - best >= patience:
        return f"no smaller {name} for {patience} epochs"
    return ""


def _checkpoint(training: Training, graph: Graph, path: str | PathLike[str], resume: bool) -> Checkpoint:
    if Path(path).exists() and not resume:
        raise FileExistsError(f"{path} is there already: resume it, or remove it to start anew")
    require_writable(Path(path))
    data = training.data
    if isinstance(data, Batches):
        arrays, batches = data.arrays, f"of {data.size}, seed {data.seed}"
    else:
        arrays, batches = data, "none"
    return Checkpoint(path, graph, arrays, batches, training.metrics)


def _require_positive(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and operator.index(number) < 1:
            raise ValueError(f"{name} is {number}; at least one is needed")


def _require_arrays(name: str, data: Any) -> None:
    """Raise TypeError or ValueError unless data are Batches, or arrays of numbers with something in them."""
    if not isinstance(data, tuple | Batches):  # a single array would be taken apart row by row
        raise TypeError(f"{name} must be a tuple of arrays, as (x, y), not {type(data).__name__}")
    for number, array in enumerate(data.arrays if isinstance(data, Batches) else data):
        for leaf in flatten(array)[0]:
            dtype = getattr(leaf, "dtype", None)
            if isinstance(dtype, np.dtype) and dtype.kind not in "biufc":
                raise TypeError(
                    f"array {number} of {name} holds {dtype}, no numbers: number the names of classes "
                    "with np.unique(names, return_inverse=True)"
                )
            if 0 in np.shape(leaf):
                raise ValueError(f"array {number} of {name} is empty: its shape is {np.shape(leaf)}")


def _outline(structure: Any) -> str:
    """The structure of a pytree, * for each array, cut where it is long."""
    text = str(structure).removeprefix("PyTreeSpec(").removesuffix(")")
    return text if len(text) <= LONGEST_OUTLINE else f"{text[:LONGEST_OUTLINE]}…"
