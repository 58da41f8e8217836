"""Graph files: any Python file with a function `build(...)` that says what to compute and on what.

`build` returns `(fn, args)`, array code (or a Graph of it) and the tuple of arguments to call it with, or a
`Training`, or a DAG of plain callables: a dictionary in Dask's form, a networkx.DiGraph (either may come with
the keys that are wanted, `(dictionary, keys)`), what `@task` functions return, or a Graph.

The parameters of `build` are what may be changed from outside, as text: `convert` turns `"64,32,1"` into the
tuple that the annotation (or else the default) asks for. What the user gave wrong, such as a file without
`build` or a parameter that it does not have, is a `GraphFileError`; an error in the file's own code stays
what it is.

>>> import tempfile, pathlib
>>> with tempfile.TemporaryDirectory() as folder:
...     path = pathlib.Path(folder, "double.py")
...     _ = path.write_text('''"Twice a vector."
... import numpy as np
... def build(size: int = 3):
...     return lambda x: np.sum(2 * x), (np.ones(size),)
... ''')
...     file = load(path)
>>> file.name, file.doc, [str(parameter) for parameter in file.parameters.values()]
('double', 'Twice a vector.', ['size=3'])
>>> graph_of(file.built({"size": "5"}))
<Graph lambda.backward: 7 nodes>
"""

from __future__ import annotations

import inspect
import symtable
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import CycleError
from os import PathLike
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import cloudpickle
import networkx as nx
import optree

from dagexec.backward import backward
from dagexec.graph import Graph, reachable
from dagexec.interop import from_dask, from_networkx
from dagexec.pytrees import flatten
from dagexec.tasks import Deferred
from dagexec.tasks import graph_of as graph_of_tasks
from dagexec.tracing import trace
from dagexec.training import Training

REQUIRED = inspect.Parameter.empty
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
KINDS = "int, float, bool, str, a Literal, or a tuple or list of these"


class GraphFileError(ValueError):
    """Raised where a graph file, or a parameter given for it, is not what it must be."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of `build`: what its value must be, and what it is if not given."""

    name: str
    kind: Any
    default: Any

    def __str__(self) -> str:
        """As it is written on the command line, with its default (of several choices the first)."""
        if get_origin(self.kind) is Literal:
            choices = sorted(get_args(self.kind), key=lambda choice: choice != self.default)
            return f"{self.name}={'|'.join(map(str, choices))}"
        return f"{self.name}={f'<{noun(self.kind)}>' if self.default is REQUIRED else as_text(self.default)}"


@dataclass(frozen=True, slots=True)
class Built:
    """What `build` returned: array code with its arguments, or a training whose step that is, or a DAG."""

    fn: Callable[..., Any] | Graph | None  # a Graph is array code that the file has traced or recorded itself
    args: tuple[Any, ...]
    training: Training | None = None
    dag: Graph | None = None  # of plain callables; then there is no `fn`, and there are no `args`


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A loaded graph file. `doc` is the first line of its docstring."""

    path: Path
    name: str
    doc: str
    build: Callable[..., Any]
    parameters: Mapping[str, Parameter]

    def arguments(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The arguments of `build`, given some of them as text; defaults for the others.

        Raises GraphFileError for a name that `build` does not take, a text that does not convert, and a
        parameter without default that is missing.
        """
        for name in texts:
            if name not in self.parameters:
                close = get_close_matches(name, self.parameters, 1)
                known = ", ".join(self.parameters) or "none"
                hint = f"did you mean {close[0]!r}?" if close else f"its parameters are: {known}"
                raise GraphFileError(f"{self.path} has no parameter {name!r}; {hint}")
        arguments = {}
        for name, parameter in self.parameters.items():
            if name in texts:
                arguments[name] = convert(parameter, texts[name])
            elif parameter.default is REQUIRED:
                raise GraphFileError(
                    f"{self.path} needs {name!r}: give {noun(parameter.kind)} with -p {name}=..."
                )
            else:
                arguments[name] = parameter.default
        return arguments

    def built(self, texts: Mapping[str, str]) -> Built:
        """The result of `build`; GraphFileError if it is nothing that can be run."""
        arguments = self.arguments(texts)
        with _running(self.path):
            try:
                result = self.build(**arguments)
            except Exception as error:
                if texts:
                    error.add_note(
                        f"in build with {', '.join(f'{name}={text}' for name, text in texts.items())}"
                    )
                raise
        if isinstance(result, Training):
            return Built(result.step, result.args, result)
        match result:
            case (fn, args) if (callable(fn) or isinstance(fn, Graph)) and isinstance(args, tuple | list):
                return Built(fn, tuple(args))
        dag = _dag(result, self.path)
        if dag is not None:
            dag.name = self.name if dag.name == "graph" else dag.name
            return Built(None, (), None, dag)
        raise GraphFileError(
            f"build of {self.path} returns {_outline(result)}, but it must return (fn, args), "
            "a function and the tuple of its arguments, or a dagexec.training.Training, or a DAG of "
            "functions: a dictionary, a networkx.DiGraph, what @task functions return, or a Graph"
        )


# --- DAGs of plain callables ----------------------------------------------------------------------------
def _dag(result: Any, path: Path) -> Graph | None:
    """The graph of plain callables that `build` returned; None if it returned none."""
    graph, wanted = result, None
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Mapping | nx.DiGraph):
        graph, wanted = result
    try:
        leaves = optree.tree_leaves(graph, none_is_leaf=True)
        if leaves and set(map(type, leaves)) == {Deferred}:
            return graph_of_tasks(graph)
        if isinstance(graph, Mapping):
            return from_dask(graph, wanted)
        if isinstance(graph, nx.DiGraph):
            return from_networkx(graph, wanted)
    except CycleError as error:
        members = " → ".join(map(repr, error.args[1]))
        raise GraphFileError(f"the graph that {path} builds has a cycle: {members}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise GraphFileError(f"the graph that {path} builds cannot be read: {error.args[0]}") from error
    if isinstance(graph, Graph):
        if graph.inputs:
            raise GraphFileError(
                f"build of {path} returns a graph with inputs, but no arguments: return (fn, args)"
            )
        return graph
    return None


# --- loading --------------------------------------------------------------------------------------------
def has_build(path: Path) -> bool:
    """Whether a Python file defines `build` at its top level; found out without running the file.

    Raises SyntaxError if it is not Python.
    """
    table = symtable.symtable(_source(path), str(path), "exec")  # type: ignore[arg-type]  # takes bytes as well
    if "build" not in table.get_identifiers():
        return False
    symbol = table.lookup("build")
    return symbol.is_assigned() or symbol.is_imported()


def load(path: str | PathLike[str]) -> GraphFile:
    """Run a graph file and return what it defines.

    Raises OSError if it cannot be read, SyntaxError if it is not Python, GraphFileError if it has no `build`.
    """
    path = Path(path)
    module = ModuleType(f"graphfile_{path.stem}")
    module.__file__ = str(path)
    code = compile(_source(path), str(path), "exec")
    sys.modules[module.__name__] = module  # dataclasses look a class's module up there
    cloudpickle.register_pickle_by_value(module)  # and no worker process could import it
    with _running(path):
        exec(code, module.__dict__)
    build = getattr(module, "build", None)
    if not callable(build):
        raise GraphFileError(f"{path} has no function build: a graph file defines build(...) -> (fn, args)")
    doc = (inspect.getdoc(module) or "").partition("\n")[0]
    return GraphFile(path, path.stem, doc, build, _parameters(build))


def _source(path: Path) -> bytes:
    source = path.read_bytes()
    if b"\0" in source:
        raise SyntaxError("not Python: the file holds null bytes", (str(path), 1, None, None))
    return source


@contextmanager
def _running(path: Path) -> Iterator[None]:
    """What a graph file's own code runs in: it can import its neighbours, as a script can, but not exit."""
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(
            f"{path} calls sys.exit({error.code}) where it should only define or build"
        ) from None
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _parameters(build: Callable[..., Any]) -> dict[str, Parameter]:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = {}
    for name, parameter in inspect.signature(build, eval_str=True).parameters.items():
        if parameter.kind in named:
            kind = parameter.annotation
            if kind is REQUIRED:
                kind = _kind_of(parameter.default)
            found[name] = Parameter(name, kind, parameter.default)
    return found


def _kind_of(default: Any) -> Any:
    """The kind of a parameter without annotation: that of its default; text if there is none."""
    if default is REQUIRED or default is None:
        return str
    if isinstance(default, tuple | list):
        of_items = type(default[0]) if default else str
        return tuple[of_items, ...] if isinstance(default, tuple) else list[of_items]  # type: ignore[valid-type]
    return type(default)


# --- values from text -----------------------------------------------------------------------------------
def convert(parameter: Parameter, text: str) -> Any:
    """The value that `text` stands for; GraphFileError if it is not what the parameter takes.

    >>> convert(Parameter("layers", tuple[int, ...], ()), "64,32,1")
    (64, 32, 1)
    """
    try:
        return value_of(parameter.kind, text)
    except GraphFileError as error:
        raise GraphFileError(f"parameter {parameter.name}: {error}") from None
    except ValueError:
        wanted = noun(parameter.kind)
        raise GraphFileError(f"parameter {parameter.name}={text}: {text!r} is not {wanted}") from None


def value_of(kind: Any, text: str) -> Any:
    """`text` as a value of the type `kind`; ValueError if it is none, GraphFileError if no text could be."""
    if kind in (int, float, str):
        return kind(text)
    if kind is bool:
        return _looked_up(TRUTH, text.lower())
    if kind is NoneType:
        return _looked_up({"none": None}, text.lower())
    origin, parts = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return _looked_up({str(choice): choice for choice in parts}, text)
    if origin in (Union, UnionType):
        return _first_that_fits(parts, text)
    if origin in (tuple, list):
        return origin(_items(origin, parts or (str, ...), text))
    raise GraphFileError(f"a value of type {_type_name(kind)} cannot be given as text; what can: {KINDS}")


def _looked_up(values: Mapping[str, Any], text: str) -> Any:
    if text not in values:
        raise ValueError(text)
    return values[text]


def _first_that_fits(kinds: tuple[Any, ...], text: str) -> Any:
    for kind in sorted(kinds, key=lambda kind: kind is not NoneType):
        try:
            return value_of(kind, text)
        except ValueError:
            continue
    raise ValueError(text)


def _items(origin: type, parts: tuple[Any, ...], text: str) -> Iterator[Any]:
    texts = text.removesuffix(",").split(",") if text else []
    if origin is list or parts[-1] is ...:
        return iter([value_of(parts[0], item.strip()) for item in texts])
    if len(texts) != len(parts):
        raise ValueError(text)
    return iter([value_of(part, item.strip()) for part, item in zip(parts, texts)])


def as_text(value: Any) -> str:
    """A value as it is written on the command line: what `value_of` reads.

    >>> as_text((64, 32)), as_text(True), as_text(None)
    ('64,32', 'true', 'none')
    """
    if isinstance(value, tuple | list):
        return ",".join(map(as_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def noun(kind: Any) -> str:
    """What a parameter takes, in words.

    >>> noun(int), noun(tuple[int, ...]), noun(Literal["a", "b"])
    ('an int', 'ints with commas between them', "one of 'a', 'b'")
    """
    simple = {int: "an int", float: "a float", bool: "true or false", str: "text", NoneType: "none"}
    if kind in simple:
        return simple[kind]
    origin, parts = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(repr, parts))}"
    if origin in (Union, UnionType):
        return " or ".join(map(noun, parts))
    if origin in (tuple, list):
        count = len(parts) if origin is tuple and parts[1:] and parts[-1] is not ... else ""
        return f"{count} {_type_name((parts or (str,))[0])}s with commas between them".strip()
    return _type_name(kind)


def _type_name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def _outline(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(type(item).__name__ for item in value)})"
    return "None" if value is None else f"a value of type {type(value).__name__}"


# --- what was built, as a graph -------------------------------------------------------------------------
def graph_of(built: Built, forward_only: bool = False) -> Graph:
    """The graph of what was built: with gradients for the first argument if the result is a real scalar.

    That of a training is its step, and with `forward_only` what the loss depends on. A DAG is its own.
    """
    if built.training is not None:
        step = built.training.graph()
        return _loss_alone(step) if forward_only else step
    if built.fn is None:
        assert built.dag is not None
        return built.dag
    graph = built.fn if isinstance(built.fn, Graph) else trace(built.fn)(*built.args)
    return graph if forward_only or not has_gradient(graph) else backward(graph)


def has_gradient(graph: Graph) -> bool:
    """Whether the result is one real scalar, and the first argument holds nothing but real numbers."""
    arguments: Any = optree.tree_unflatten(graph.in_tree, graph.inputs)
    first = flatten(arguments[0])[0] if arguments else []
    if len(graph.outputs) != 1 or not first or any(node.spec.dtype.kind != "f" for node in first):
        return False
    spec = graph.outputs[0].spec
    return spec is not None and spec.shape == () and spec.dtype.kind == "f"


def _loss_alone(step: Graph) -> Graph:
    """What the first output of a training step depends on."""
    given = set(step.inputs)
    needed = [node for node in reachable(step.nodes, step.outputs[:1]) if node not in given]
    loss = step.out_tree.child(0)
    return Graph([*step.inputs, *needed], step.inputs, step.outputs[:1], step.in_tree, loss, step.name)
