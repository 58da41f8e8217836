"""The graphs on which schedulers are compared: five shapes, each a list of sources in topological order.

Every scheduler gets the same tasks with the same callables; what differs from one to the next is only the
form: a list of (function, sources) for a loop, a dictionary as Dask specifies it, the calls of a level for
joblib. So a `Dag` is kept as plain lists, and the forms are made from it.

>>> small = dag("tree", 7)
>>> small.sources
[(), (), (), (), (0, 1), (2, 3), (4, 5)]
>>> small.dictionary()["t6"]  # doctest: +ELLIPSIS
(<function two at ...>, 't4', 't5')
>>> small.outputs, small.levels
([6], [[0, 1, 2, 3], [4, 5], [6]])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from random import Random
from typing import Any

Sources = list[tuple[int, ...]]

LAYER = 200  # tasks a layer of the random layered graph


def none() -> int:
    """The trivial callable of a task without inputs."""
    return 1


def one(a: int) -> int:
    """The trivial callable of a task with one input."""
    return a ^ 1


def two(a: int, b: int) -> int:
    """The trivial callable of a task with two inputs."""
    return a ^ b


def three(a: int, b: int, c: int) -> int:
    """The trivial callable of a task with three inputs."""
    return a ^ b ^ c


TRIVIAL = (none, one, two, three)  # by number of inputs


@dataclass(frozen=True)
class Dag:
    """Tasks in topological order: task n calls `functions[n]` with the values of the tasks `sources[n]`."""

    name: str
    functions: list[Callable[..., Any]]
    sources: Sources

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def outputs(self) -> list[int]:
        """The tasks whose values nobody reads: what a run returns, in this order."""
        read = {source for sources in self.sources for source in sources}
        return [task for task in range(len(self)) if task not in read]

    @cached_property
    def levels(self) -> list[list[int]]:
        """The tasks by the length of the longest path to them."""
        depth = [0] * len(self)
        for task, sources in enumerate(self.sources):
            depth[task] = 1 + max((depth[source] for source in sources), default=-1)
        levels: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
        for task, level in enumerate(depth):
            levels[level].append(task)
        return levels

    def dictionary(self, prefix: str = "t") -> dict[str, tuple[Any, ...]]:
        """The graph as Dask specifies it: for each key a tuple of a function and the keys that it reads."""
        keys = self.keys(range(len(self)), prefix)
        return {
            key: (function, *[keys[source] for source in sources])
            for key, function, sources in zip(keys, self.functions, self.sources)
        }

    def keys(self, tasks: Sequence[int], prefix: str = "t") -> list[str]:
        """The keys of some tasks in `dictionary(prefix)`."""
        return [f"{prefix}{task}" for task in tasks]


def dag(shape: str, tasks: int, function: Callable[..., Any] | None = None) -> Dag:
    """The graph of a shape with at most so many tasks; each calls `function`, else the trivial callable."""
    sources = SHAPES[shape](tasks)
    functions = [function or TRIVIAL[len(inputs)] for inputs in sources]
    return Dag(shape, functions, sources)


def wide(tasks: int) -> Sources:
    """Tasks that have nothing to do with each other."""
    return [()] * tasks


def chain(tasks: int) -> Sources:
    """Each task reads the one before."""
    return [(task - 1,) if task else () for task in range(tasks)]


def tree(tasks: int) -> Sources:
    """A binary tree, from the leaves (a power of two of them) to the root."""
    leaves = 1 << ((tasks + 1).bit_length() - 2)
    return [
        (2 * (task - leaves), 2 * (task - leaves) + 1) if task >= leaves else ()
        for task in range(2 * leaves - 1)
    ]


def layered(tasks: int, width: int = LAYER) -> Sources:
    """Layers of `width` tasks, each of which reads two or three random ones of the layer before."""
    random = Random(0).random
    sources: Sources = []
    for task in range(tasks):
        before = task // width * width - width
        inputs: set[int] = set()
        fan_in = min(2 + (random() < 0.5), width) if before >= 0 else 0
        while len(inputs) < fan_in:
            inputs.add(before + int(random() * width))
        sources.append(tuple(inputs))
    return sources


def grid(tasks: int) -> Sources:
    """A square in which each task reads its neighbours above and on the left."""
    side = isqrt(tasks)
    return [
        (*([task - side] if task >= side else []), *([task - 1] if task % side else []))
        for task in range(side * side)
    ]


SHAPES: dict[str, Callable[[int], Sources]] = {
    "wide": wide,
    "chain": chain,
    "tree": tree,
    "layered": layered,
    "grid": grid,
}
FULL = {"wide": 20_000, "chain": 20_000, "tree": 2 * 2**14 - 1, "layered": 20_000, "grid": 140 * 140}


def in_order(dag: Dag) -> list[Any]:
    """The values of the outputs, by a bare loop: what every scheduler must compute."""
    values: list[Any] = []
    for function, sources in zip(dag.functions, dag.sources):
        values.append(function(*[values[source] for source in sources]))
    return [values[task] for task in dag.outputs]
