"""A graph made ready to run: `compile` plans once, `Compiled` is called many times, `run` does both."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
import optree

from dagexec.events import Events
from dagexec.executors.arena import private
from dagexec.executors.failures import TasksFailed
from dagexec.executors.runner import Options, Runner
from dagexec.graph import Graph, Node
from dagexec.plan import Plan, plan
from dagexec.pytrees import flatten


class Compiled:
    """A planned graph, called like the function it was traced from.

    With `events=True` a call returns `(result, events)`; given an Events to append to, which another thread
    may watch, that is the one. `executor` names what it runs on ("auto" has been decided), `workers` how
    many there are. Threads and processes stay for the next call, until `close()` or the end of a `with`
    block.
    """

    def __init__(
        self,
        graph: Graph,
        executor: str,
        workers: int | None,
        events: bool | Events,
        options: Options,
    ) -> None:
        self.graph = graph
        self._runner = Runner(plan(graph), executor, workers, options)
        self._events = events

    def __call__(self, *args: Any) -> Any:
        """Run the graph on arguments of the structure, shapes and dtypes that it was traced with.

        Raises TypeError or ValueError where they differ. An error in a node stops the run; it keeps its type
        and has a note that names the node.
        """
        arguments = list(map(_checked, self._leaves(args), self.graph.inputs))
        values = self.plan.values()
        for slot, argument in zip(self.plan.inputs, arguments):
            values[slot] = argument
        log = (
            self._events if isinstance(self._events, Events) else Events(self.graph) if self._events else None
        )
        try:
            results = _own(self._runner.run(values, log), arguments)
        except TasksFailed as failed:
            failed.results = optree.tree_unflatten(self.graph.out_tree, failed.results)
            raise
        result = optree.tree_unflatten(self.graph.out_tree, results)
        return result if log is None else (result, log)

    def _leaves(self, args: Any) -> list[Any]:
        try:
            return self.graph.in_tree.flatten_up_to(args)
        except ValueError:
            given, wanted = flatten(args)[1], self.graph.in_tree
            raise TypeError(f"the arguments have structure {given}, but the graph takes {wanted}") from None

    @property
    def plan(self) -> Plan:
        """The plan that is run; where tasks were joined, for threads, its `members` tell which."""
        return self._runner.plan

    @property
    def executor(self) -> str:
        """What it runs on: of "auto", what has been chosen last."""
        return self._runner.executor

    @property
    def workers(self) -> int:
        """How many workers it runs on."""
        return self._runner.workers

    def explain(self) -> str:
        """What it runs on and why, in lines: by estimates, and by what the runs so far have shown."""
        return self._runner.explain()

    def close(self) -> None:
        """Let threads and processes go."""
        self._runner.close()

    def __enter__(self) -> Compiled:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = f"{self.executor}, {self.workers} worker{'s' if self.workers > 1 else ''}"
        return f"<Compiled {self.graph.name}: {len(self.plan.tasks)} tasks, {where}>"


def _checked(leaf: Any, node: Node) -> Any:
    """An argument as the array that `node` stands for; Python numbers are converted, arrays must fit."""
    spec = node.spec
    if leaf.__class__ is np.ndarray and leaf.shape == spec.shape and leaf.dtype == spec.dtype:
        return leaf
    if isinstance(leaf, int | float | complex) and not isinstance(leaf, np.generic):
        array = np.asarray(leaf)
        if array.dtype != spec.dtype and np.can_cast(array.dtype, spec.dtype, "same_kind"):
            array = array.astype(spec.dtype)
    elif isinstance(leaf, list | tuple | dict):
        raise TypeError(
            f"argument {node.name} is a {type(leaf).__name__}, but the graph takes an array there"
        )
    else:
        array = np.asarray(leaf)
    if array.shape != spec.shape or array.dtype != spec.dtype:
        raise ValueError(
            f"argument {node.name} is {array.dtype.name}[{','.join(map(str, array.shape))}], "
            f"but the graph was traced for {spec}"
        )
    return array


def _own(results: list[Any], arguments: list[Any]) -> list[Any]:
    """The results, each in memory of its own: the caller may write to it, and changes nothing else."""
    taken = {id(value) if value.base is None else _owner(value) for value in arguments}
    owned = []
    for value in results:
        if isinstance(value, np.ndarray):
            owner = id(value) if value.base is None else _owner(value)
            if not value.flags.writeable:
                value = value.copy()
            elif owner in taken:
                value = private(value)  # with the same strides, as from every executor
            else:
                taken.add(owner)
        owned.append(value)
    return owned


def _owner(array: Any) -> int:
    """The identity of the object whose memory an array lies in."""
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return id(array)


def compile(
    graph: Graph,
    executor: str = "auto",
    workers: int | None = None,
    *,
    events: bool | Events = False,
    **options: Unpack[Options],
) -> Compiled:
    """Plan a graph for many runs.

    `executor` is "serial", "threads", "processes" or "auto", which compares, tries, and explains itself
    (`explain()`); `workers` defaults to the number of cores. For the options see `Options`. Results have the
    same bits on every executor; only "auto" may let BLAS use several threads, which may change the last bits.
    Raises ValueError for an unknown executor, no workers, or options that make no sense.

    >>> import dagexec
    >>> double = dagexec.compile(dagexec.trace(lambda x: x * 2)(1.0))
    >>> float(double(3.0)), double.executor
    (6.0, 'serial')
    """
    return Compiled(graph, executor, workers, events, options)


def run(
    graph: Graph,
    *args: Any,
    executor: str = "auto",
    workers: int | None = None,
    events: bool | Events = False,
    **options: Unpack[Options],
) -> Any:
    """Run a graph once: `compile(graph, ...)(*args)`.

    >>> import dagexec
    >>> float(dagexec.run(dagexec.trace(lambda x, y: x * y)(1.0, 1.0), 3.0, 4.0))
    12.0
    """
    with Compiled(graph, executor, workers, events, options) as compiled:
        return compiled(*args)
