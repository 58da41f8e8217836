"""Each column of the page's data against the graph, by its definition."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path

import numpy as np
import pytest

import dagexec
from dagexec.graph import PHASES
from dagexec.interop import from_dask
from dagexec.ops import operations
from dagexec.page.model import model
from tests.page import graphs


@pytest.fixture(scope="module", params=[graphs.derived, graphs.step])
def graph(request):
    return request.param()[0]


def test_every_column_says_of_each_node_what_the_graph_does(graph):
    data = model(graph)
    columns = data["nodes"]
    number = {node: i for i, node in enumerate(graph.nodes)}
    for i, node in enumerate(graph.nodes):
        assert data["ops"][columns["op"][i]]["name"] == node.op.name
        assert data["ops"][columns["op"][i]]["family"] == node.op.family
        assert columns["inputs"][i] == [number[source] for source in node.inputs]
        assert data["scopes"][columns["scope"][i]] == list(node.scope)
        assert PHASES[columns["phase"][i]] == node.phase
        assert columns["name"].get(str(i), "") == node.name
        assert columns["flops"][i] == operations(node)
        if node.grad_of is None:
            assert columns["gradOf"][i] == -1
        else:
            assert graph.nodes[columns["gradOf"][i]] is node.grad_of
        assert (columns["where"][i] == -1) == (node.where is None)
        told = data["specs"][columns["spec"][i]]
        parts = told["parts"] if isinstance(node.spec, tuple) else [told]
        specs = node.spec if isinstance(node.spec, tuple) else (node.spec,)
        assert [(part["dtype"], tuple(part["shape"])) for part in parts] == [
            (spec.dtype.name, spec.shape) for spec in specs
        ]
        assert columns["bytes"][i] == sum(
            np.dtype(part["dtype"]).itemsize * int(np.prod(part["shape"], dtype=int)) for part in parts
        )


def test_columns_have_one_entry_for_each_node_and_tables_hold_nothing_twice(graph):
    data = model(graph)
    lists = [column for column in data["nodes"].values() if isinstance(column, list)]
    assert {len(column) for column in lists} == {len(graph)}
    for table in ("scopes", "specs", "places"):
        rows = [json.dumps(row) for row in data[table]]
        assert len(set(rows)) == len(rows)
    assert data["scopes"][0] == []


def test_what_json_gives_back_is_the_same(graph):
    data = model(graph)
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_inputs_results_and_loss_are_named(graph):
    data = model(graph)
    assert [(entry["node"], entry["label"]) for entry in data["inputs"]] == [(0, "w"), (1, "x"), (2, "y")]
    assert [graph.nodes[entry["node"]] for entry in data["outputs"]] == list(graph.outputs)
    assert data["outputs"][0] == {"node": data["loss"], "label": "loss"}
    assert data["outputs"][1]["label"] == ("∇w" if graph.name.endswith("backward") else "1")


def test_a_loss_that_is_one_of_several_results_is_found():
    graph = dagexec.trace(dagexec.checkpoint(lambda w: np.sum(np.tanh(w) ** 2)))(np.ones(3)).backward()
    data = model(graph)
    assert graph.nodes[data["loss"]] is graph.outputs[0]
    assert [entry["label"] for entry in data["outputs"]] == ["loss", "∇w"]


def test_gradients_that_are_put_together_of_parts_are_named_by_their_place():
    def energy(p):
        return np.sum(p["a"] * p["b"])

    graph = dagexec.trace(energy)({"a": np.ones(2), "b": np.ones(2)}).backward()
    labels = [entry["label"] for entry in model(dagexec.scalarize(graph))["outputs"]]
    assert labels == ["loss", "∇a", "∇b"]


def test_the_documentation_names_every_key():
    page = (Path(__file__).parents[2] / "docs" / "page.md").read_text(encoding="utf-8")
    data = model(graphs.derived()[0])
    told = set(data) - {"format", "name", "file"} | set(data["nodes"]) | set(data["ops"][0]) - {"family"}
    for key in told:
        assert f"`{key}`" in page, key


def test_the_users_lines_come_with_their_text(monkeypatch):
    graph, _ = graphs.derived()
    file = inspect.getsourcefile(graphs)
    monkeypatch.chdir(os.path.dirname(file))
    data = model(graph)
    place = data["places"][data["nodes"]["where"][data["loss"]]]
    assert place["file"] == "graphs.py"
    assert place["text"] == inspect.getsource(graphs).splitlines()[place["line"] - 1].strip()
    assert place["text"].startswith("return np.mean(")


def test_paths_outside_of_the_working_directory_stay_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model(graphs.derived()[0], file="/else/where.py")["file"] == "/else/where.py"


def test_small_constants_are_shown_and_parameters_are_text():
    data = model(dagexec.trace(lambda x: np.sum(x * np.arange(4.0), axis=0)[:2] * 3)(np.ones((2, 4))))
    names = [data["ops"][op]["name"] for op in data["nodes"]["op"]]
    shown = {names[int(i)]: text for i, text in data["nodes"]["params"].items()}
    assert shown == {"sum": "axis=(0,), keepdims=False", "getitem": "index=[:2]"}
    assert sorted(data["nodes"]["constant"].values()) == ["3", "[0 1 2 …]"]


def test_a_graph_of_callables_has_neither_specs_nor_gradients():
    data = model(graphs.tasks())
    assert data["specs"] == [None]
    assert data["nodes"]["inputs"] == [[], [0]]
    assert data["gradients"] == {}
    assert data["loss"] == -1
    assert {op["rule"] for op in data["ops"]} == {None}


class Silent:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "told"), [(10**5000, "<int>"), (Silent(), "<Silent>")], ids=["number", "object"]
)
def test_a_constant_without_text_is_told_by_its_type(value, told):
    graph = from_dask({"x": value, "y": (type, "x")})
    assert model(graph)["nodes"]["constant"] == {"0": told}
    assert f"value = {told}" in graph.to_dot().to_string()
    assert f"constant(value={told})" in str(graph)
