"""Graphs in Dask's form: a dictionary of tasks, run by `get` as Dask specifies it.

A value of the dictionary is a task, `(function, *arguments)` or a task object of `dask.task_spec`; or another
key, of which it is an alias; or a list of such; or else data. An argument that is a key of the dictionary
stands for that key's value; tasks may be nested in arguments, and keys and tasks in lists, tuples and sets.
A key can be anything hashable. Dask itself is not needed and not imported: there are no task objects unless
it has been.

Most tasks call a function with values of tasks that stand before them. To those the loop in `_read` gives a
few hundred nanoseconds; the rest are read by `_Reader` and become one `Expression` each.

>>> dsk = {"x": 1, "y": (abs, -2), "z": (sum, ["x", "y", (pow, "y", 3)])}
>>> get(dsk, "z"), get(dsk, ["x", ["y"]])
(11, (1, (2,)))
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Unpack

import optree

from dagexec.collector import collector_paused
from dagexec.executors import Options, Runner, TasksFailed
from dagexec.graph import Graph
from dagexec.interop.arranging import arranged, topological_order
from dagexec.interop.expressions import Keywords, Writer, name_of
from dagexec.plan import Function, Plan

BY_TASK = ("retries", "timeout", "priority")  # options that may be mappings
Read = tuple[list[Function | None], list[tuple[int, ...]], dict[int, Any]]


def get(
    dsk: Any,
    keys: Any,
    *,
    executor: str = "auto",
    workers: int | None = None,
    num_workers: int | None = None,
    **options: Unpack[Options],
) -> Any:
    """Compute the values of some keys of a graph in Dask's form; only what they need is run.

    `keys` is one key, or a list of keys and of such lists, which gives tuples nested in the same way. For
    `executor`, `workers` and the options see `compile`. Also a scheduler for Dask's collections:
    `x.compute(scheduler=dagexec.get)` or `dask.config.set(scheduler=dagexec.get)`; `num_workers` is what Dask
    calls the workers. Dask's callbacks are not called.

    Raises KeyError for an unknown key, `graphlib.CycleError` (a ValueError) for tasks that wait for each
    other, with the members, and what the tasks raise, with a note that names the task.

    >>> get({"a": (pow, 2, 10), "b": (divmod, "a", 1000)}, "b")
    (1, 24)
    """
    _check_options(options)
    plan = plan_of(dsk, keys)
    if any(isinstance(options.get(name), Mapping) for name in BY_TASK):
        _leave_out(plan, _dictionary(dsk), options)
    count = num_workers if workers is None else workers
    with Runner(plan, executor, count, options) as runner:
        try:
            return _packed(keys, iter(runner.run()))
        except TasksFailed as failed:
            failed.results = _packed(keys, iter(failed.results))
            raise


def plan_of(dsk: Any, keys: Any) -> Plan:
    """The plan that computes the values of `keys`: one key, or a list of keys and of such lists.

    >>> plan_of({"x": 1, "y": (abs, "x"), "z": (abs, "y")}, "y").labels
    ['x', 'y']
    """
    return _planned(_dictionary(dsk), flat(keys))


def from_dask(dsk: Any, keys: Any = None) -> Graph:
    """The Graph of a graph in Dask's form: to draw, to analyse, to compile for many runs.

    Without `keys`, all that nobody reads are outputs, and running the graph gives the tuple of their values;
    with them, it gives what `get` gives.

    >>> import dagexec
    >>> graph = from_dask({"x": 1, "y": (abs, -2), "z": (max, "x", "y")})
    >>> [node.name for node in graph.nodes], dagexec.run(graph)
    (['x', 'y', 'z'], (2,))
    """
    if keys is None:
        return _planned(_dictionary(dsk), None).graph
    return with_structure(plan_of(dsk, keys).graph, keys)


# --- keys -------------------------------------------------------------------------------------------------
def flat(keys: Any) -> list[Any]:
    """The keys in nested lists, one after another."""
    if not isinstance(keys, list):
        return [keys]
    if list not in set(map(type, keys)):
        return keys
    return list(chain.from_iterable(map(flat, keys)))


def _packed(keys: Any, results: Iterator[Any]) -> Any:
    """The results of `flat(keys)`, as tuples where the keys are lists."""
    if not isinstance(keys, list):
        return next(results)
    return tuple([_packed(key, results) if isinstance(key, list) else next(results) for key in keys])


def with_structure(graph: Graph, keys: Any) -> Graph:
    """The graph whose outputs, those of `flat(keys)`, are given in tuples where the keys are in lists."""
    structure = optree.tree_structure(_packed(keys, iter(graph.outputs)))
    return Graph(graph.nodes, (), graph.outputs, out_tree=structure)


def _leave_out(plan: Plan, dsk: Mapping[Any, Any], options: Options) -> None:
    """Take from options by task what is for keys of the graph that are not needed, or are data."""
    tasks = {plan.key(task) for task in plan.tasks}
    given: Any = options
    for name in BY_TASK:
        if isinstance(given.get(name), Mapping):
            given[name] = {key: value for key, value in given[name].items() if key in tasks or key not in dsk}


def _check_options(options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in Options.__annotations__:
            known = ", ".join(["executor", "workers", "num_workers", *Options.__annotations__])
            raise TypeError(f"get() got an unexpected keyword argument {name!r}; it takes {known}")


# --- the dictionary ---------------------------------------------------------------------------------------
def _dictionary(dsk: Any) -> Mapping[Any, Any]:
    if type(dsk) is dict:
        return dsk
    if not isinstance(dsk, Mapping):
        if not hasattr(dsk, "__dask_graph__"):
            raise TypeError(f"the graph is a {type(dsk).__name__}, but must be a mapping from keys to tasks")
        dsk = dsk.__dask_graph__()
    return dict(dsk.items())


class _OutOfOrder(Exception):  # noqa: N818 - not an error, but a reason to begin again
    """Raised where a task reads one that stands after it."""


@collector_paused()
def _planned(dsk: Mapping[Any, Any], keys: list[Any] | None) -> Plan:
    number: dict[Any, int] = {}
    try:
        functions, sources, constants = _read(dsk, number)
        in_order = True
    except _OutOfOrder:
        number = dict(zip(dsk, range(len(dsk))))
        functions, sources, constants = _read(dsk, number)
        in_order = False
    if keys is None:
        read = set(chain.from_iterable(sources))
        wanted = [slot for slot in number.values() if slot not in read]
        if not in_order:  # nobody wants a cycle at whose end there is nothing
            topological_order(list(dsk), sources, number.values())
    else:
        try:
            wanted = [number[key] for key in keys]
        except KeyError as error:
            raise KeyError(f"{error.args[0]!r} is not a key of the graph") from None
    del number  # as large as what follows
    return arranged(list(dsk), functions, sources, constants, wanted, in_order=in_order)


def _read(dsk: Mapping[Any, Any], number: dict[Any, int]) -> Read:
    """The flat lists of a dictionary. `number` holds the keys that tasks may read, and is added to.

    So if it is empty at first, a task that reads one that stands after it raises _OutOfOrder.
    """
    functions: list[Function | None] = []
    sources: list[tuple[int, ...]] = []
    slots: tuple[int, ...]
    constants: dict[int, Any] = {}
    find = number.__getitem__
    reader = _Reader(dsk, number)
    for slot, (key, value) in enumerate(dsk.items()):
        if type(value) is tuple and value and callable(value[0]):
            function = value[0]
            size = len(value)
            try:
                # Up to three arguments are looked up without a loop, which saves a third of the whole.
                if size == 2:
                    slots = (number[value[1]],)
                elif size == 3:
                    slots = (number[value[1]], number[value[2]])
                elif size == 4:
                    slots = (number[value[1]], number[value[2]], number[value[3]])
                else:
                    slots = tuple(map(find, value[1:]))
            except Exception:  # an argument that is no key, or cannot be looked up
                function, slots, _ = reader.read(key, value)
        else:
            function, slots, data = reader.read(key, value)
            if function is None:
                constants[slot] = data
        functions.append(function)
        sources.append(slots)
        number[key] = slot
    return functions, sources, constants


# --- a task that is more than a function and keys ---------------------------------------------------------
class _Reference:
    """Stands for the value of a key."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key


class _Parts:
    """A call, or a container: what makes its value of its parts, the parts to be read, those that have been.

    `as_is` says that a part is data unless it is one of Dask's objects.
    """

    __slots__ = ("as_is", "build", "is_call", "places", "rest", "start", "varies")

    def __init__(self, build: Function, parts: Iterable[Any], *, as_is: bool = False, is_call: bool = True):
        self.build = build
        self.rest = iter(parts)
        self.as_is = as_is
        self.is_call = is_call
        self.places: list[int] = []
        self.start = 0
        self.varies = is_call  # else it is data, made now and once, unless a part varies


class _Reader:
    """Reads values of the dictionary, each into a function and the slots of its arguments."""

    def __init__(self, dsk: Mapping[Any, Any], number: Mapping[Any, int]) -> None:
        self._dsk = dsk
        self._number = number
        spec = self._spec = sys.modules.get("dask._task_spec")
        self._dasks_own = () if spec is None else (spec.GraphNode, spec.TaskRef)

    def read(self, key: Any, value: Any) -> tuple[Function | None, tuple[int, ...], Any]:
        """The function and its slots; no function and no slots, but the value itself where that is data."""
        part = self._part(value, as_is=False, is_argument=False)
        if isinstance(part, _Reference):
            return same, (self._slot(part.key, key),), None
        if not isinstance(part, _Parts):
            return None, (), part
        writer = Writer()
        place = self._write(key, part, writer)
        if not part.varies:
            return None, (), writer.registers[place]
        return writer.function(), tuple(writer.slots), None

    def _write(self, key: Any, outermost: _Parts, writer: Writer) -> int:
        """Write what makes a value of its parts, and of theirs before; the register it will be in."""
        stack = [outermost]
        while True:
            parts = stack[-1]
            for value in parts.rest:
                part = self._part(value, as_is=parts.as_is, is_argument=parts.is_call)
                if isinstance(part, _Parts):
                    part.start = len(writer.registers)
                    stack.append(part)
                    break
                if isinstance(part, _Reference):
                    parts.varies = True
                    parts.places.append(writer.hole(self._slot(part.key, key)))
                else:
                    parts.places.append(writer.constant(part))
            else:
                stack.pop()
                if parts.varies:
                    place = writer.step(parts.build, parts.places)
                else:
                    place = writer.constant(parts.build(*writer.cut(parts.start)))
                if not stack:
                    return place
                stack[-1].places.append(place)
                stack[-1].varies |= parts.varies

    def _part(self, value: Any, *, as_is: bool, is_argument: bool) -> Any:
        """A reference, or parts to be read; anything else is data."""
        if isinstance(value, self._dasks_own):
            return _dask_part(value, self._spec)
        if as_is or isinstance(value, _Reference):
            return value
        kind = type(value)
        if kind is tuple and value and callable(value[0]):
            return _Parts(value[0], value[1:])
        try:
            if value in self._dsk:
                return _Reference(value)
        except Exception:  # it cannot be looked up, so it is no key
            pass
        if isinstance(value, list | tuple | set | frozenset):
            return _Parts(kind if hasattr(kind, "_fields") else Gathered(kind), value, is_call=False)
        if kind is dict and is_argument:
            return _Parts(Named(tuple(value)), value.values(), as_is=True, is_call=False)
        return value

    def _slot(self, source: Any, reader: Any) -> int:
        slot = self._number.get(source)
        if slot is not None:
            return slot
        if source in self._dsk:
            raise _OutOfOrder from None
        raise KeyError(f"{source!r}, which {reader!r} reads, is not a key of the graph") from None


def _dask_part(value: Any, spec: Any) -> Any:
    """What an object of the module `dask.task_spec` is to a reader."""
    if isinstance(value, spec.TaskRef):
        return _Reference(value.key)
    if isinstance(value, spec.Alias):
        return _Reference(value.target)
    if isinstance(value, spec.DataNode):
        return value.value
    if isinstance(value, spec.Task) and type(value).__call__ is spec.Task.__call__:
        names = tuple(value.kwargs)
        build = Keywords(value.func, names) if names else value.func
        return _Parts(build, chain(value.args, value.kwargs.values()), as_is=True)
    keys = tuple(value.dependencies)  # of a kind that is not known, but that can be called with their values
    return _Parts(Called(value, keys), map(_Reference, keys), as_is=True)


# --- what tasks do beside the functions of their own --------------------------------------------------------
def same(value: Any) -> Any:
    """The value of an alias."""
    return value


class Gathered:
    """Makes a list, tuple or set of values."""

    __slots__ = ("_kind",)

    def __init__(self, kind: Callable[[Iterable[Any]], Any]) -> None:
        self._kind = kind

    def __call__(self, *values: Any) -> Any:
        return self._kind(values)

    @property
    def __name__(self) -> str:
        return name_of(self._kind)


class Named:
    """Makes a dictionary of values."""

    __slots__ = ("_keys",)

    def __init__(self, keys: tuple[Any, ...]) -> None:
        self._keys = keys

    def __call__(self, *values: Any) -> dict[Any, Any]:
        return dict(zip(self._keys, values))


class Called:
    """Calls a task object with the values of the keys that it depends on, by key."""

    __slots__ = ("_keys", "_task")

    def __init__(self, task: Callable[[dict[Any, Any]], Any], keys: tuple[Any, ...]) -> None:
        self._task = task
        self._keys = keys

    def __call__(self, *values: Any) -> Any:
        return self._task(dict(zip(self._keys, values)))
