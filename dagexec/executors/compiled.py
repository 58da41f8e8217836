"""A graph made ready: `compile` rewrites and plans once, `Compiled` is called often, `run` does both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any, Unpack

import numpy as np

from dagexec.events import Events
from dagexec.executors.arena import private
from dagexec.executors.arguments import FLOATS, KIND, alike, kinds_of
from dagexec.executors.failures import TasksFailed
from dagexec.executors.prepared import prepared
from dagexec.executors.runner import Options, Runner
from dagexec.graph import Graph, Node, Spec
from dagexec.libraries import NUMPY, Library, is_foreign, library_of, spec_of
from dagexec.ops import are_numbers
from dagexec.plan import Plan, estimated_seconds, plan
from dagexec.pytrees import flatten
from dagexec.rewrite import REWRITES, Rewrite

# Families of ops whose results may lie in the memory of others.
SHARING = ("structure", "shape", "index", "control")
# Families whose results lie in memory of their own.
NEW = ("elementwise", "linear", "reduction")
MISSED = object()  # stands for a result that is still to be computed


class Compiled:
    """A planned graph, called like the function it was traced from.

    Arguments are NumPy arrays and numbers, or arrays of another library that follows the Array API standard
    (PyTorch, CuPy); each library has a plan of its own, made when its arrays are first met. Processes take
    NumPy arrays only.

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
        rewrites: Sequence[Rewrite] | None,
        options: Options,
    ) -> None:
        self.graph = graph
        if rewrites is None:  # numbers have programs that gain less than rewriting takes
            rewrites = () if are_numbers(graph.nodes) else REWRITES
        _, self._stages, planned = prepared(graph, () if _numbers_nodes(options) else rewrites)
        self._make_runner = partial(Runner, executor=executor, workers=workers, options=options)
        self._runner = self._make_runner(planned)
        self._runners = {NUMPY: self._runner}
        self._making = Lock()
        self._executor = executor
        self._events = events
        self._kinds = kinds_of(graph.inputs)
        outputs = self._rewritten.outputs
        self._are_new = (
            executor != "processes"  # whose results may be read-only
            and len(set(outputs)) == len(outputs)
            and all(node.op.family in NEW for node in outputs)
        )

    def __call__(self, *args: Any) -> Any:
        """Run the graph on arguments of the structure, shapes and dtypes that it was traced with.

        Raises TypeError or ValueError where they differ, or are arrays of several libraries. An error in a
        node stops the run; it keeps its type and has a note that names the node.
        """
        leaves = self._leaves(args)
        result = self.at_once(leaves)
        return self._run(leaves) if result is MISSED else result

    def at_once(self, leaves: list[Any]) -> Any:
        """The result for arguments taken apart, if a program takes them as they are, else MISSED."""
        results = self._runner.at_once(leaves) if self._events is False else None
        if results is None:
            return MISSED
        if not self._are_new:
            results = _own(results, leaves)
        return self.graph.out_tree.unflatten(results)

    def _run(self, leaves: list[Any]) -> Any:
        """Run on arguments that are still to be checked, and perhaps to be converted."""
        library, arguments = NUMPY, leaves
        if not alike(KIND, leaves, self._kinds):
            library = library_of(leaves)
            arguments = [_checked(leaf, node, library) for leaf, node in zip(leaves, self.graph.inputs)]
        runner = self._runner_for(library)
        log = None if self._events is False else self._log(runner.plan.graph)
        try:
            results = runner.run(arguments, log)
            if library is not NUMPY:
                results = self._copied(results, library)
            elif not self._are_new:
                results = _own(results, arguments)
        except TasksFailed as failed:
            failed.results = self.graph.out_tree.unflatten(failed.results)
            raise
        result = self.graph.out_tree.unflatten(results)
        return result if log is None else (result, log)

    def _runner_for(self, library: Library) -> Runner:
        if library not in self._runners:
            if self._executor == "processes":
                raise TypeError(f"processes exchange NumPy arrays, not those of {library}: use threads")
            with self._making:
                if library not in self._runners:
                    self._runners[library] = self._make_runner(plan(self._rewritten, library))
        return self._runners[library]

    def _log(self, graph: Graph) -> Events:
        if not isinstance(self._events, Events):
            return Events(graph)
        self._events.graph = graph
        return self._events

    @property
    def _rewritten(self) -> Graph:
        return self._stages[-1][1] if self._stages else self.graph

    def _copied(self, results: list[Any], library: Library) -> list[Any]:
        """Results in memory of their own: copies of those that may be views of others or of arguments."""
        seen: set[Node] = set()
        for position, node in enumerate(self._rewritten.outputs):
            if node in seen or node.op.family in SHARING:
                results[position] = library.xp.asarray(results[position], copy=True)
            seen.add(node)
        return results

    def _leaves(self, args: Any) -> list[Any]:
        try:
            return self.graph.in_tree.flatten_up_to(args)
        except ValueError:
            given, wanted = flatten(args)[1], self.graph.in_tree
            names = ", ".join([node.name for node in self.graph.inputs])
            raise TypeError(
                f"the arguments have structure {given}, but the graph takes {wanted}: {names}"
            ) from None

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

    @property
    def source(self) -> str:
        """The flat program that a serial run has become, a call a line; empty before the third run.

        >>> import dagexec
        >>> compiled = dagexec.compile(dagexec.trace(lambda x: np.tanh(x) * x)(np.ones(3)), "serial")
        >>> for _ in range(3):
        ...     result = compiled(np.ones(3))
        >>> print(compiled.source)
        %1 = tanh(%0)                            bytes 0 to 24
        %2 = multiply(%1, %0)                    a result
        """
        return self._runner.source

    def explain(self) -> str:
        """What it runs on and why, in lines: by estimates, and by what the runs so far have shown.

        Then what each rewrite has done, with the estimated time of the graph on one worker.
        """
        return "\n".join([self._runner.explain(), *self._what_rewrites_did()])

    def _what_rewrites_did(self) -> Iterator[str]:
        before = self.graph
        for name, after in self._stages:
            if after is not before:
                nodes = f"{len(before):,} nodes become {len(after):,}"
                yield f"{name}: {nodes}, {_milliseconds(before)} ms become {_milliseconds(after)}"
            before = after

    def close(self) -> None:
        """Let threads and processes go."""
        for runner in self._runners.values():
            runner.close()

    def __enter__(self) -> Compiled:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = f"{self.executor}, {self.workers} worker{'s' if self.workers > 1 else ''}"
        return f"<Compiled {self.graph.name}: {len(self.plan.tasks)} tasks, {where}>"


def _numbers_nodes(options: Options) -> bool:
    """Do some options speak of nodes by number? Then these are numbers in the graph as it was given."""
    return "costs" in options or any(isinstance(option, Mapping) for option in options.values())


def _milliseconds(graph: Graph) -> str:
    return f"{sum(map(estimated_seconds, graph.nodes)) * 1e3:.3g}"


def _checked(leaf: Any, node: Node, library: Library) -> Any:
    """An argument as the array that `node` stands for; Python numbers are converted, arrays must fit."""
    spec = node.spec
    if library is not NUMPY:
        if not is_foreign(leaf):
            return library.array(_checked(leaf, node, NUMPY))
        _check_spec(spec_of(leaf), node)
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
    _check_spec(Spec(array.shape, array.dtype), node)
    return array


def _check_spec(spec: Spec, node: Node) -> None:
    if spec != node.spec:
        raise ValueError(f"argument {node.name} is {spec}, but the graph was traced for {node.spec}")


def _own(results: list[Any], arguments: Sequence[Any]) -> list[Any]:
    """The results, each in memory of its own: the caller may write to it, and changes nothing else."""
    if FLOATS.issuperset(map(type, results)):
        return results
    taken = set() if FLOATS.issuperset(map(type, arguments)) else set(map(_owner, arguments))
    for position, value in enumerate(results):
        if value.__class__ is not np.float64 and isinstance(value, np.ndarray):
            owner = _owner(value)
            if not value.flags.writeable:
                results[position] = value.copy()
            elif owner in taken:
                results[position] = private(value)  # with the same strides, as from every executor
            else:
                taken.add(owner)
    return results


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
    rewrites: Sequence[Rewrite] | None = None,
    **options: Unpack[Options],
) -> Compiled:
    """Rewrite and plan a graph for many runs.

    `executor` is "serial", "threads", "processes" or "auto", which compares, tries, and explains itself
    (`explain()`); `workers` defaults to the number of cores. For the options see `Options`. Results have the
    same bits on every executor; only "auto" may let BLAS use several threads, which may change the last bits.

    `rewrites` are functions from graph to graph, applied one after another: by default those of
    `dagexec.rewrite.REWRITES`, which make it faster and may change the last bits, `()` for none. Where
    options give nodes by number (`costs`, or mappings), nothing is rewritten, and by default no graph of
    nothing but numbers.

    Raises ValueError for an unknown executor, no workers, or options that make no sense, TypeError for a
    rewrite that is none.

    >>> import dagexec
    >>> double = dagexec.compile(dagexec.trace(lambda x: x * 2)(1.0))
    >>> float(double(3.0)), double.executor
    (6.0, 'serial')
    """
    return Compiled(graph, executor, workers, events, rewrites, options)


def run(
    graph: Graph,
    *args: Any,
    executor: str = "auto",
    workers: int | None = None,
    events: bool | Events = False,
    rewrites: Sequence[Rewrite] | None = None,
    **options: Unpack[Options],
) -> Any:
    """Run a graph once: `compile(graph, ...)(*args)`.

    >>> import dagexec
    >>> float(dagexec.run(dagexec.trace(lambda x, y: x * y)(1.0, 1.0), 3.0, 4.0))
    12.0
    """
    with Compiled(graph, executor, workers, events, rewrites, options) as compiled:
        return compiled(*args)
