"""Graphs in files: one safetensors file with the constants as tensors and the graph as JSON in the metadata.

`graph.save(path)` and `load(path)`. Ops are named and looked up in the op table, so nothing of a file is ever
run as code. What JSON does not have is written as an object with one key, which says what it is:
`{"tuple": [0, 1]}`, `{"slice": [0, null, 2]}`, `{"dtype": "float32"}`, `{"graph": {...}}` and so on.

The tensors are named by the order in which the graph needs them.

>>> import numpy as np, dagexec, tempfile
>>> graph = dagexec.trace(lambda x: np.sum(x[1:] * np.arange(3.0)))(np.ones(4))
>>> with tempfile.TemporaryDirectory() as folder:
...     graph.save(f"{folder}/g.safetensors")
...     again = load(f"{folder}/g.safetensors")
>>> str(again) == str(graph), float(dagexec.run(again, np.ones(4)))
(True, 3.0)
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath
from typing import Any

import numpy as np
import optree

from dagexec import tensorfile
from dagexec.array import at
from dagexec.graph import CONSTANT, INPUT, NO_PARAMS, PHASES, Graph, Node, Spec, method_of
from dagexec.ops import TABLE
from dagexec.pytrees import flatten

FORMAT = "dagexec graph"
VERSION = 1
KINDS = "biufc"  # of the dtypes that arrays have here


@method_of(Graph)
def save(graph: Graph, path: str | PathLike[str]) -> None:
    """Write the graph to a file that `load` reads, whole or not at all.

    Arguments and result may be nested tuples, lists and dicts of arrays. Raises TypeError for what an open
    format cannot hold: a node that calls a plain Python function, a structure of a class of one's own.
    Needs the package safetensors (the extra `save`).
    """
    tensorfile.require_safetensors()
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    document = {"format": FORMAT, "version": VERSION, "graph": _Writer(tensors).graph(graph)}
    tensorfile.write(path, tensors, document)


def load(path: str | PathLike[str]) -> Graph:
    """The graph of a file that `graph.save` has written.

    Raises OSError if there is no such file, ValueError if it is damaged, of another format, or of a later
    version than this one. Nothing in the file is run; shapes and dtypes are inferred again and compared.
    """
    document, tensors = tensorfile.read(path, "graph")
    name = fspath(path)
    try:
        return _read(document, tensors)
    except RecursionError:
        raise ValueError(f"{name} is damaged: nested too deeply") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        said = f"no {error.args[0]!r}" if isinstance(error, KeyError) and error.args else str(error)
        raise ValueError(f"{name} holds no graph that can be read: {said}") from error


def _read(document: Any, tensors: dict[str, Any]) -> Graph:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    if document["version"] != VERSION:
        raise ValueError(f"its version is {document['version']}, and this dagexec reads version {VERSION}")
    return _Reader(tensors).graph(document["graph"])


# --- writing ----------------------------------------------------------------------------------------------
class _Writer:
    """Makes JSON of a graph, and puts its arrays into `tensors`."""

    def __init__(self, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
        self._tensors = tensors

    def graph(self, graph: Graph) -> dict[str, Any]:
        numbers = {node: number for number, node in enumerate(graph.nodes)}
        return {
            "name": graph.name,
            "nodes": [self._node(node, numbers) for node in graph.nodes],
            "inputs": [numbers[node] for node in graph.inputs],
            "outputs": [numbers[node] for node in graph.outputs],
            "in_tree": self._tree(graph.in_tree),
            "out_tree": self._tree(graph.out_tree),
        }

    def _node(self, node: Node, numbers: dict[Node, int]) -> dict[str, Any]:
        """The node's fields, without those that are empty."""
        if TABLE.get(node.op.name) is not node.op:
            raise TypeError(
                f"{node.op.name} ({at(node.where)}) cannot be saved: it is no row of the op table, "
                "but a function of this program"
            )
        try:
            params = {key: self.value(value) for key, value in node.params.items()}
        except TypeError as error:
            raise TypeError(f"{node.op.name} ({at(node.where)}) cannot be saved: {error}") from None
        found = {
            "op": node.op.name,
            "inputs": [numbers[source] for source in node.inputs],
            "params": params,
            "spec": None if node.spec is None else self.value(node.spec),
            "scope": list(node.scope),
            "phase": "" if node.phase == "forward" else node.phase,
            "name": node.name,
            "grad_of": numbers.get(node.grad_of) if node.grad_of is not None else None,
            "where": None if node.where is None else list(node.where),
        }
        return {key: value for key, value in found.items() if value not in (None, "", [], {})}

    def _tree(self, structure: optree.PyTreeSpec) -> Any:
        try:
            return self.value(optree.tree_unflatten(structure, range(structure.num_leaves)))
        except TypeError as error:
            raise TypeError(
                f"the structure of arguments or result cannot be saved: {error}; use tuples, lists and dicts"
            ) from None

    def value(self, value: Any) -> Any:
        """A parameter as JSON."""
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if np.isfinite(value) else {"float": repr(value)}
        if kind is complex:
            return {"complex": [self.value(value.real), self.value(value.imag)]}
        if kind is list:
            return list(map(self.value, value))
        if kind is tuple:
            return {"tuple": list(map(self.value, value))}
        if kind is dict:
            return {"dict": [[self.value(key), self.value(item)] for key, item in value.items()]}
        if kind is slice:
            return {"slice": [self.value(part) for part in (value.start, value.stop, value.step)]}
        if value is Ellipsis:
            return {"ellipsis": True}
        if isinstance(value, np.dtype):
            return {"dtype": value.name}
        if kind is Spec:
            return {"spec": [list(value.shape), value.dtype.name]}
        if kind is Graph:
            return {"graph": self.graph(value)}
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in KINDS:
            return self._array(np.asarray(value))
        raise TypeError(f"an open format has no place for the {kind.__name__} {value!r:.60}")

    def _array(self, array: np.ndarray[Any, Any]) -> Any:
        if array.ndim == 0:
            return {"scalar": [array.dtype.name, self.value(array.item())]}
        name = str(len(self._tensors))
        parts = np.ascontiguousarray(array)  # safetensors takes the memory as it lies there
        if array.dtype.kind == "c":  # and has no complex128
            parts = parts.view(parts.real.dtype).reshape((*array.shape, 2))
        self._tensors[name] = parts
        return {"tensor": [name, array.dtype.name]}


# --- reading ----------------------------------------------------------------------------------------------
class _Reader:
    """Makes a graph of JSON and of `tensors`."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self._tensors = tensors
        self._makers: dict[str, Callable[[Any], Any]] = {
            "float": float,
            "complex": lambda parts: complex(*map(self.value, parts)),
            "tuple": lambda items: tuple(map(self.value, items)),
            "dict": lambda items: {self.value(key): self.value(item) for key, item in items},
            "slice": lambda parts: slice(*map(self.value, parts)),
            "ellipsis": lambda _: Ellipsis,
            "dtype": _dtype,
            "spec": lambda parts: Spec(_shape(parts[0]), _dtype(parts[1])),
            "graph": self.graph,
            "scalar": lambda parts: np.asarray(self.value(parts[1]), _dtype(parts[0])),
            "tensor": self._tensor,
        }

    def value(self, found: Any) -> Any:
        """A parameter from JSON."""
        if isinstance(found, list):
            return list(map(self.value, found))
        if not isinstance(found, dict):
            return found
        ((kind, content),) = found.items()
        if kind not in self._makers:
            raise ValueError(f"a value of unknown kind {kind!r}")
        return self._makers[kind](content)

    def graph(self, found: dict[str, Any]) -> Graph:
        nodes: list[Node] = []
        for number, row in enumerate(found["nodes"]):
            try:
                nodes.append(self._node(row, nodes))
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise ValueError(f"node %{number}: {error}") from error
        inputs = [_numbered(nodes, number) for number in found["inputs"]]
        outputs = [_numbered(nodes, number) for number in found["outputs"]]
        if any(node.op is not INPUT for node in inputs) or len(set(inputs)) < len(inputs):
            raise ValueError("an input of the graph is no input node, or is named twice")
        in_tree, out_tree = self._tree(found["in_tree"], inputs), self._tree(found["out_tree"], outputs)
        return Graph(nodes, inputs, outputs, in_tree, out_tree, str(found["name"]))

    def _node(self, row: dict[str, Any], before: list[Node]) -> Node:
        op = TABLE.get(row["op"])
        if op is None:
            raise ValueError(f"there is no op {row['op']!r}")
        inputs = tuple([_numbered(before, number) for number in row.get("inputs", ())])
        params = {str(key): self.value(value) for key, value in row.get("params", {}).items()} or NO_PARAMS
        spec = self.value(row["spec"])
        if op is CONSTANT:
            params["value"].flags.writeable = False
            inferred: Any = Spec(params["value"].shape, params["value"].dtype)
        else:
            inferred = spec if op is INPUT else op.infer(*(node.spec for node in inputs), **params)
        if inferred != spec:
            raise ValueError(f"{op.name} gives {inferred}, but the file says {spec}")
        phase = row.get("phase", "forward")
        if phase not in PHASES:
            raise ValueError(f"there is no phase {phase!r}")
        where = row.get("where")
        return Node(
            op,
            inputs,
            params,
            spec,
            tuple(map(str, row.get("scope", ()))),
            phase,
            str(row.get("name", "")),
            _numbered(before, row["grad_of"]) if "grad_of" in row else None,
            None if where is None else (str(where[0]), int(where[1])),
        )

    def _tree(self, found: Any, leaves: list[Node]) -> optree.PyTreeSpec:
        numbers, structure = flatten(self.value(found))
        if numbers != list(range(len(leaves))):
            raise ValueError(f"a structure of {len(numbers)} leaves for {len(leaves)} arrays")
        return structure

    def _tensor(self, parts: Any) -> np.ndarray[Any, Any]:
        name, dtype = parts[0], _dtype(parts[1])
        array = self._tensors[name]
        if dtype.kind == "c":
            array = array.view(dtype).reshape(array.shape[:-1])
        if array.dtype != dtype:
            raise ValueError(f"tensor {name!r} is {array.dtype.name}, but should be {dtype.name}")
        return array  # type: ignore[no-any-return]


def _numbered(nodes: list[Node], number: Any) -> Node:
    if not isinstance(number, int) or not 0 <= number < len(nodes):
        raise ValueError(f"it refers to node {number!r}, which does not stand before it")
    return nodes[number]


def _shape(lengths: Any) -> tuple[int, ...]:
    if not all(type(length) is int and length >= 0 for length in lengths):
        raise ValueError(f"{lengths} is no shape")
    return tuple(lengths)


def _dtype(name: Any) -> np.dtype[Any]:
    dtype = np.dtype(str(name))
    if dtype.kind not in KINDS:
        raise ValueError(f"{name!r} is no dtype of numbers")
    return dtype
