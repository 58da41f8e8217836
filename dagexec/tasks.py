"""Functions whose calls build a graph: `@task` makes a call return a `Deferred`, to be computed later.

A Deferred is an argument for other tasks, also by name and within lists, tuples and dicts; `compute` gives
what it stands for. It holds what is to be called, the Deferreds whose values that needs, and the line of the
call. So the graph is nothing but Deferreds that refer to earlier ones: a few hundred bytes a call.

Calling a task never computes anything, wherever it is called. The function itself is its `__wrapped__`.

>>> @task
... def square(x):
...     return x * x
>>> @task
... def total(values, start=0):
...     return sum(values, start)
>>> result = total([square(number) for number in range(4)], start=square(10))
>>> result.compute(), compute(result, square(5))
(114, (114, 25))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, NoReturn, Unpack

import optree

from dagexec.array import at, user_line
from dagexec.collector import collector_paused
from dagexec.executors import Options, Runner, TasksFailed
from dagexec.graph import Graph, Node, Op, Where
from dagexec.interop.expressions import Keywords, Writer, name_of
from dagexec.ops import python_op
from dagexec.plan import Function, Plan, lay_out


class Deferred:
    """What a task will return: an argument for other tasks, until it is computed.

    In options and reports it is the key of its task: `compute(a, b, priority={a: 1})`.
    """

    __slots__ = ("_function", "_sources", "_where")

    def __init__(self, function: Function, sources: tuple[Deferred, ...], where: Where | None) -> None:
        self._function = function
        self._sources = sources
        self._where = where

    def compute(
        self, *, executor: str = "auto", workers: int | None = None, **options: Unpack[Options]
    ) -> Any:
        """Run the tasks that this needs, each once; see `dagexec.compile` for the executors and options."""
        return _computed(self, executor, workers, options)

    def graph(self) -> Graph:
        """The graph of the tasks that this needs: to draw, to analyse, to compile for many runs."""
        return graph_of(self)

    def __str__(self) -> str:
        return name_of(self._function)

    def __repr__(self) -> str:
        return f"<{self}, {at(self._where)}>"

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not computed yet, so it is neither true nor false; {CURE}")

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not computed yet, so there is nothing to go through; {CURE}")

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{self!r} is not computed yet, so it has no attribute {name!r}; {CURE}")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not computed yet, so it cannot be copied or sent; {CURE}")


CURE = "give it to another task, or call its compute()"


def task(function: Callable[..., Any]) -> Callable[..., Deferred]:
    """Make a function a task: a call builds a node of a graph, and returns the Deferred of its result.

    >>> @task
    ... def load(name, size=1):
    ...     return name * size
    >>> load(load("ab"), size=3).compute()
    'ababab'
    """

    @wraps(function)
    def defer(*args: Any, **kwargs: Any) -> Deferred:
        where = user_line()
        if not kwargs and {Deferred}.issuperset(map(type, args)):
            return Deferred(function, args, where)
        return Deferred(*_written(function, args, kwargs), where)

    return defer


def compute(
    *trees: Any, executor: str = "auto", workers: int | None = None, **options: Unpack[Options]
) -> tuple[Any, ...]:
    """The values of several Deferreds, also of those in lists, tuples and dicts, in one run.

    See `dagexec.compile` for the executors and options.

    >>> double = task(lambda x: 2 * x)
    >>> compute(double(1), {"two": double(2)})
    (2, {'two': 4})
    """
    result: tuple[Any, ...] = _computed(trees, executor, workers, options)
    return result


def graph_of(tree: Any) -> Graph:
    """The graph of a Deferred, or of all in lists, tuples and dicts; running it gives the like of values.

    >>> double = task(lambda x: 2 * x)
    >>> graph_of([double(double(1)), double(2)])
    <Graph graph: 3 nodes>
    """
    leaves, structure = optree.tree_flatten(tree, none_is_leaf=True)
    for leaf in leaves:
        if type(leaf) is not Deferred:
            raise TypeError(f"a graph is made of what tasks return, not of {leaf!r}")
    ops: dict[int, Op] = {}
    nodes: dict[Deferred, Node] = {}
    for deferred in _numbered(leaves):
        function = deferred._function
        if id(function) not in ops:
            ops[id(function)] = python_op(function)
        inputs = tuple([nodes[source] for source in deferred._sources])
        nodes[deferred] = Node(ops[id(function)], inputs, name=str(deferred), where=deferred._where)
    return Graph(nodes.values(), (), [nodes[leaf] for leaf in leaves], out_tree=structure)


# --- a call ---------------------------------------------------------------------------------------------
def _written(
    function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Function, tuple[Deferred, ...]]:
    """A call as a function of the Deferreds in it, and these."""
    writer = Writer()
    places = [_place(value, writer) for value in (*args, *kwargs.values())]
    writer.step(Keywords(function, tuple(kwargs)) if kwargs else function, places)
    return writer.function(), tuple(writer.slots)


def _place(value: Any, writer: Writer) -> int:
    if type(value) is Deferred:
        return writer.hole(value)
    leaves, structure = optree.tree_flatten(value, none_is_leaf=True)
    if Deferred not in set(map(type, leaves)):
        return writer.constant(value)
    places = [writer.hole(leaf) if type(leaf) is Deferred else writer.constant(leaf) for leaf in leaves]
    return writer.step(Unflatten(structure), places)


class Unflatten:
    """Puts leaves back into the structure that they came from."""

    __slots__ = ("_structure",)

    def __init__(self, structure: optree.PyTreeSpec) -> None:
        self._structure = structure

    def __call__(self, *leaves: Any) -> Any:
        return optree.tree_unflatten(self._structure, leaves)


# --- many calls -----------------------------------------------------------------------------------------
def _computed(tree: Any, executor: str, workers: int | None, options: Options) -> Any:
    leaves, structure = optree.tree_flatten(tree, none_is_leaf=True)

    def put_back(results: Iterator[Any]) -> Any:
        return optree.tree_unflatten(
            structure, [next(results) if type(leaf) is Deferred else leaf for leaf in leaves]
        )

    with Runner(
        _plan([leaf for leaf in leaves if type(leaf) is Deferred]), executor, workers, options
    ) as runner:
        try:
            return put_back(iter(runner.run()))
        except TasksFailed as failed:
            failed.results = put_back(iter(failed.results))
            raise


@collector_paused()
def _plan(wanted: Sequence[Deferred]) -> Plan:
    number = _numbered(wanted)
    return lay_out(
        [deferred._function for deferred in number],
        [tuple([number[source] for source in deferred._sources]) for deferred in number],
        [(number[deferred], None) for deferred in wanted],
        constants={},
        labels=list(number),
    )


def _numbered(wanted: Sequence[Deferred]) -> dict[Deferred, int]:
    """`wanted` and all that they need, each after what it needs, with their numbers in that order."""
    number: dict[Deferred, int] = {}
    stack = list(wanted)
    stack.reverse()
    while stack:
        deferred = stack[-1]
        missing = [source for source in deferred._sources if source not in number]
        if missing:
            missing.reverse()
            stack += missing
        else:
            stack.pop()
            number.setdefault(deferred, len(number))
    return number
