"""What the page knows of a graph: a Graph as a dictionary that JSON can hold, a list for each column.

Index i of every column is node i of `graph.nodes`. What many nodes share (ops, scopes, specs, places) stands
once, and the columns hold its number. Texts are kept as they are: the page shows them as text, never as
markup.

>>> import numpy as np, dagexec
>>> data = model(dagexec.trace(lambda x: np.sum(x * x))(np.ones(3)))
>>> [data["ops"][op]["name"] for op in data["nodes"]["op"]], data["nodes"]["inputs"]
(['input', 'multiply', 'sum'], [[], [0, 0], [1]])
>>> data["specs"], data["nodes"]["spec"]
([{'dtype': 'float64', 'shape': [3]}, {'dtype': 'float64', 'shape': []}], [0, 0, 1])
>>> data["inputs"], data["outputs"], data["loss"]
([{'node': 0, 'label': 'x'}], [{'node': 2, 'label': 'loss'}], 2)
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from os import PathLike
from typing import Any

import numpy as np

from dagexec.collector import collector_paused
from dagexec.draw.labels import printable, values_text
from dagexec.graph import CONSTANT, PHASES, Graph, Node, Op, Spec, text_of
from dagexec.ops import operations, specs_of
from dagexec.page.gradients import gradients, losses_of
from dagexec.page.rules import parameters_text, rule_text

FORMAT = 1
LONGEST_LINE = 200  # characters of the user's code that are shown
LONGEST_PARAMETER = 120
SMALL = 1000  # elements: of larger constants no value is shown


@collector_paused()
def model(graph: Graph, *, file: str | PathLike[str] | None = None) -> dict[str, Any]:
    """The graph as a dictionary of lists, numbers and texts; docs/page.md says what each holds.

    `file` is named as the source. What runs add (`values`, `runs`) is empty here; see `recording`.
    """
    number = {node: place for place, node in enumerate(graph.nodes)}
    ops, scopes, specs, places = _Numbers(), _Numbers([()]), _Numbers(), _Numbers()
    columns = {
        "op": [ops[node.op] for node in graph.nodes],
        "inputs": [[number[source] for source in node.inputs] for node in graph.nodes],
        "scope": [scopes[node.scope] for node in graph.nodes],
        "phase": [PHASES.index(node.phase) for node in graph.nodes],
        "spec": [specs[node.spec] for node in graph.nodes],
        "gradOf": [-1 if node.grad_of is None else number.get(node.grad_of, -1) for node in graph.nodes],
        "where": [-1 if node.where is None else places[node.where] for node in graph.nodes],
        "flops": [_short(operations(node)) for node in graph.nodes],
        "bytes": [sum([spec.nbytes for spec in specs_of(node)]) for node in graph.nodes],
        "name": _texts(graph, lambda node: node.name),
        "params": _texts(graph, _parameters),
        "constant": _texts(graph, _constant),
    }
    examples = _examples(graph)
    gradient = gradients(graph)
    losses = [number[node] for node in losses_of(graph)]
    return {
        "format": FORMAT,
        "name": graph.name,
        "file": None if file is None else shown_path(str(file)),
        "ops": [{"name": op.name, "family": op.family, "rule": rule_text(examples[op])} for op in ops],
        "scopes": [list(scope) for scope in scopes],
        "specs": [_spec(spec) for spec in specs],
        "places": [_place(*where) for where in places],
        "nodes": columns,
        "inputs": [{"node": number[node], "label": node.name} for node in graph.inputs],
        "outputs": _outputs(graph, number, gradient, losses),
        "loss": losses[0] if losses else -1,
        "values": {},
        "gradients": {str(node): made for node, made in gradient.items()},
        "runs": [],
    }


class _Numbers:
    """Numbers given to values, each once, in the order in which they are first met."""

    def __init__(self, known: Iterable[Hashable] = ()) -> None:
        self._number = {value: place for place, value in enumerate(known)}

    def __getitem__(self, value: Hashable) -> int:
        return self._number.setdefault(value, len(self._number))

    def __iter__(self) -> Any:
        return iter(self._number)


def _texts(graph: Graph, text_of: Callable[[Node], str]) -> dict[str, str]:
    """The texts of those nodes that have one, by their numbers."""
    return {str(place): text for place, node in enumerate(graph.nodes) if (text := text_of(node))}


def _examples(graph: Graph) -> dict[Op, Node]:
    """For each op a node that applies it, one that was differentiated if there is one."""
    found: dict[Op, Node] = {}
    for node in graph.nodes:
        found.setdefault(node.op, node)
    differentiated = {node.grad_of for node in graph.nodes}
    for node in reversed(graph.nodes):
        if node in differentiated:
            found[node.op] = node
    return found


def _outputs(
    graph: Graph, number: Mapping[Node, int], gradient: Mapping[int, int], losses: list[int]
) -> list[dict[str, Any]]:
    """The results, each with the name of what it is the gradient of, else its place in the structure."""
    of = {made: node for node, made in gradient.items()}
    told = []
    for node, path in zip(graph.outputs, graph.out_tree.paths(), strict=True):
        place = number[node]
        label = ".".join(map(str, path)) or "result"
        if path[:1] == (1,) and graph.name.endswith(".backward"):
            only = graph.inputs[0].name if len(graph.inputs) == 1 else ""
            label = "∇" + (".".join(map(str, path[1:])) or only)
        if place in losses:
            label = "loss"
        elif place in of and (name := graph.nodes[of[place]].name):
            label = f"∇{name}"
        told.append({"node": place, "label": label})
    return told


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _spec(spec: Any) -> dict[str, Any] | None:
    if spec is None:
        return None
    if isinstance(spec, tuple):
        return {"parts": [_spec(part) for part in spec]}
    return {"dtype": spec.dtype.name, "shape": list(spec.shape)}


def _parameters(node: Node) -> str:
    return "" if node.op is CONSTANT else ", ".join(parameters_text(node, LONGEST_PARAMETER))


def _constant(node: Node) -> str:
    if node.op is not CONSTANT:
        return ""
    value = node.params["value"]
    if not isinstance(node.spec, Spec):
        return printable(text_of(value), LONGEST_PARAMETER)
    return values_text(np.asarray(value)) if node.spec.size <= SMALL else ""


def _place(file: str, line: int) -> dict[str, Any]:
    text = ""
    with suppress(ValueError):  # of a name that no file can have
        text = linecache.getline(file, line).strip()
    return {"file": shown_path(file), "line": line, "text": printable(text, LONGEST_LINE) or None}


def shown_path(path: str) -> str:
    """A path as seen from the working directory, if it lies below it."""
    return path.removeprefix(os.getcwd() + os.sep)
