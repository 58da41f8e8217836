"""Checkpoints: how far a training has come, in one safetensors file, so that it can go on with the same bits.

The file holds the state, the curves so far, and what the training is: its step, and the shapes of state and
data. It is written whole, so that an interrupt leaves the last one. A file of another training is refused.
Arrays are written in the order in which they lie in memory, since a product of the same numbers in another
order may have other bits.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from os import PathLike, fspath
from time import perf_counter
from typing import Any

import numpy as np
import optree

from dagexec import tensorfile
from dagexec.graph import Graph
from dagexec.pytrees import flatten

FORMAT = "dagexec checkpoint"
VERSION = 1
SECONDS_BETWEEN = 1.0  # at least, from one writing to the next
SHARE_OF_TIME = 0.05  # at most, that writing takes
LONGEST_PART = 200  # characters of what a training is that a message shows

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class SoFar:
    """What a training has come to: its state, each epoch's loss, and each metric after each epoch."""

    state: Any
    losses: tuple[float, ...]
    metrics: dict[str, tuple[Any, ...]]

    def after(self, state: Any, loss: float, measured: Mapping[str, Any]) -> SoFar:
        """The same with one more epoch. A new value: Ctrl-C never leaves half an epoch behind."""
        metrics = {name: (*values, measured[name]) for name, values in self.metrics.items()}
        return SoFar(state, (*self.losses, loss), metrics)


class Checkpoint:
    """The file in which a training is kept.

    What it is: the graph of its `step`, the arrays of its `data`, how they make `batches`, and its `metrics`.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        step: Graph,
        data: Iterable[Any],
        batches: str,
        metrics: Iterable[str],
    ) -> None:
        tensorfile.require_safetensors()
        self._path = fspath(path)
        self._state = step.in_tree.child(0)
        leaves = step.inputs[: self._state.num_leaves]
        self._names = ["state" + node.name.removeprefix(node.name.partition(".")[0]) for node in leaves]
        self._training = {
            "state": ", ".join(f"{name} {node.spec}" for name, node in zip(self._names, leaves)),
            "data": ", ".join(map(_summary, data)),
            "batches": batches,
            "metrics": ", ".join(metrics) or "none",
            "step": sha256(str(step).encode()).hexdigest(),
        }
        self._written = -1  # the number of epochs in the file
        self._next = perf_counter() + SECONDS_BETWEEN

    def read(self) -> SoFar:
        """What the file holds.

        Raises OSError if there is no such file, ValueError if it is damaged or of another training.
        """
        document, tensors = tensorfile.read(self._path, "checkpoint")
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"{self._path} is no checkpoint of a training")
        if document.get("version") != VERSION:
            raise ValueError(
                f"{self._path} has version {document.get('version')}; this dagexec reads {VERSION}"
            )
        self._require_same(document.get("training"))
        try:
            leaves = [_laid_out(tensors[name], document["layouts"][name]) for name in self._names]
            metrics = {name: _numbers(tensors[f"metric {name}"]) for name in document["metrics"]}
            losses = _numbers(tensors["losses"])
        except KeyError as error:
            raise ValueError(f"{self._path} is damaged: {error} is missing") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self._path} is damaged: {error}") from None
        self._written = len(losses)
        return SoFar(optree.tree_unflatten(self._state, leaves), losses, metrics)

    def write(self, so_far: SoFar) -> None:
        """Put it into the file, if it is not there yet."""
        if self._written == len(so_far.losses):
            return
        start = perf_counter()
        tensors, layouts = {}, {}
        for name, leaf in zip(self._names, flatten(so_far.state)[0]):
            tensors[name], layouts[name] = _as_it_lies(np.asarray(leaf))
        tensors["losses"] = np.array(so_far.losses, np.float64)
        tensors |= {f"metric {name}": np.array(values, np.float64) for name, values in so_far.metrics.items()}
        document = {"format": FORMAT, "version": VERSION, "training": self._training}
        document |= {"layouts": layouts, "metrics": list(so_far.metrics)}
        tensorfile.write(self._path, tensors, document)
        self._written = len(so_far.losses)
        end = perf_counter()
        self._next = end + max(SECONDS_BETWEEN, (end - start) / SHARE_OF_TIME)

    def write_at_times(self, so_far: SoFar) -> None:
        """Write it if the last time is long enough ago."""
        if perf_counter() >= self._next:
            self.write(so_far)

    def _require_same(self, training: Any) -> None:
        """Raise ValueError, with what differs, unless the file is of this training."""
        for part, wanted in self._training.items():
            found = training.get(part) if isinstance(training, dict) else None
            if found != wanted:
                shown = part != "step" and max(len(str(found)), len(wanted)) <= LONGEST_PART
                there = f": {found} there, {wanted} here" if shown else ""
                raise ValueError(
                    f"{self._path} is a checkpoint of another training: not the same {part}{there}; "
                    "build it with the same parameters, or start anew with another file"
                )


def _summary(array: Any) -> str:
    """Shape, dtype and a checksum of what an array holds."""
    array = np.ascontiguousarray(array)
    return (
        f"{array.dtype}{list(array.shape)} {zlib.crc32(array.view(np.uint8).data if array.size else b''):08x}"
    )


def _as_it_lies(array: Array) -> tuple[Array, Sequence[Any]]:
    """The array with its axes in the order of memory, as real numbers, and what it takes to undo that."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    lying, shape = np.ascontiguousarray(array.transpose(order)), [array.shape[axis] for axis in order]
    if array.dtype.kind == "c":  # safetensors has no complex128
        lying, shape = lying.view(array.real.dtype), [*shape, 2]
    return lying.reshape(shape), [array.dtype.name, order]


def _laid_out(tensor: Array, layout: Sequence[Any]) -> Array:
    """The array that `_as_it_lies` took apart."""
    dtype, order = np.dtype(layout[0]), layout[1]
    if dtype.kind == "c":
        tensor = tensor.view(dtype).reshape(tensor.shape[:-1])
    return tensor.transpose(np.argsort(order))


def _numbers(values: Array) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values.tolist())
