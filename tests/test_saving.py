"""Saved graphs: what is read is what was written; damaged and foreign files are refused."""

from __future__ import annotations

import json
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import dagexec
from dagexec import xp
from dagexec.graph import Graph
from dagexec.graphfile import graph_of, load

SAMPLES = ["circle", "fnn", "matrix_vector", "rnn", "vector_self_sum"]
RNG = np.random.default_rng(0)


def fields(graph: Graph) -> list[tuple]:
    """All there is to know of a graph's nodes but their arrays."""
    number = {node: n for n, node in enumerate(graph.nodes)}
    return [
        (node.op.name, [number[s] for s in node.inputs], node.spec, node.scope, node.phase, node.name)
        + (number.get(node.grad_of), node.where, str({k: v for k, v in node.params.items() if k != "value"}))
        for node in graph.nodes
    ]


def there_and_back(graph: Graph, folder: Path) -> Graph:
    graph.save(folder / "graph.safetensors")
    return dagexec.load(folder / "graph.safetensors")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_with_its_gradients_comes_back_and_runs_to_the_same_bits(name, tmp_path):
    path = Path(__file__).parent.parent / "graphs" / f"{name}.py"
    built = load(path).built({})
    graph = graph_of(built)
    again = there_and_back(graph, tmp_path)
    assert fields(again) == fields(graph)
    assert (again.in_tree, again.out_tree, again.name) == (graph.in_tree, graph.out_tree, graph.name)
    assert str(again) == str(graph)
    with np.errstate(all="ignore"):
        ours, theirs = dagexec.run(again, *built.args), dagexec.run(graph, *built.args)
    for a, b in zip(xp_leaves(ours), xp_leaves(theirs), strict=True):
        assert a.tobytes() == b.tobytes()


def xp_leaves(tree):
    from dagexec.pytrees import flatten

    return [np.asarray(leaf) for leaf in flatten(tree)[0]]


CONSTANTS = {
    "scalars": [np.float32(0.1), np.float64(np.nan), np.inf, -0.0, np.int8(-3), np.uint64(2**64 - 1), True],
    "complex": [np.complex64(1 + 2j), np.array([1 + 2j, complex(np.inf, -0.0)])],
    "arrays": [np.arange(6.0).reshape(2, 3).T, np.zeros((2, 0)), np.array([True, False]), np.float16([1.5])],
}


@pytest.mark.parametrize("kind", CONSTANTS)
def test_constants_keep_their_bits(kind, tmp_path):
    values = [np.asarray(value) for value in CONSTANTS[kind]]
    graph = dagexec.trace(lambda: tuple(xp.asarray(value) for value in values))()
    again = there_and_back(graph, tmp_path)
    for value, node in zip(values, again.outputs, strict=True):
        found = node.params["value"]
        assert (found.dtype, found.shape, found.tobytes()) == (value.dtype, value.shape, value.tobytes())
        assert not found.flags.writeable


def test_parameters_that_json_does_not_have(tmp_path):
    def f(x):
        indexed = x[1:, ..., None][::-1, np.array([0, 2])]
        return {"sum": np.sum(indexed, axis=(0, 1)), "cast": [indexed.astype(np.float32), (x.T,)]}

    x = RNG.normal(size=(4, 3))
    graph = dagexec.trace(f)(x)
    again = there_and_back(graph, tmp_path)
    assert fields(again) == fields(graph)
    for a, b in zip(xp_leaves(dagexec.run(again, x)), xp_leaves(f(x)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_derived_graph_can_be_derived_again(tmp_path):
    graph = there_and_back(dagexec.trace(lambda x: np.sum(np.sin(x) ** 2))(np.ones(3)), tmp_path)
    x = np.array([0.1, 0.2, 0.3])
    value, gradient = dagexec.run(there_and_back(graph.backward(), tmp_path), x)
    np.testing.assert_allclose(value, np.sum(np.sin(x) ** 2))
    np.testing.assert_allclose(gradient, np.sin(2 * x))


@dataclass
class Pair:
    a: float
    b: float


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (lambda: dagexec.from_dask({"x": (len, "abc")}), "len.*a function of this program"),
        (lambda: dagexec.trace(lambda p: p.a * p.b)(Pair(1.0, 2.0)), "structure.*Pair.*use tuples"),
    ],
)
def test_what_cannot_be_saved_says_so_and_leaves_no_file(graph, said, tmp_path):
    with pytest.raises(TypeError, match=said):
        graph().save(tmp_path / "g.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_without_safetensors_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    graph = dagexec.trace(lambda x: x)(1.0)
    for use in (graph.save, dagexec.load):
        with pytest.raises(ImportError, match=r"pip install 'dagexec\[save\]'"):
            use(tmp_path / "g.safetensors")


# --- bad files --------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "g.safetensors"
    dagexec.trace(lambda x: np.sum(x[1:] @ np.arange(6.0).reshape(3, 2)))(np.ones((4, 3))).save(path)
    return path


def with_document(saved: Path, folder: Path, change) -> Path:
    """A copy of a saved graph whose JSON is changed."""
    data = saved.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    document = json.loads(header["__metadata__"]["dagexec"])
    change(document)
    header["__metadata__"]["dagexec"] = json.dumps(document)
    text = json.dumps(header).encode()
    path = folder / "changed.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    return path


def set_at(*path, to):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = to

    return change


CHANGES = {
    "a later version": (set_at("version", to=2), "version is 2, and this dagexec reads version 1"),
    "another format": (set_at("format", to="x"), "format is not"),
    "an unknown op": (
        set_at("graph", "nodes", 1, "op", to="frobnicate"),
        "node %1: there is no op 'frobnicate'",
    ),
    "a node that reads a later one": (set_at("graph", "nodes", 1, "inputs", to=[3]), "node %1: .*node 3"),
    "a negative reference": (set_at("graph", "nodes", 1, "inputs", to=[-1]), "node %1: .*node -1"),
    "a wrong shape": (set_at("graph", "nodes", 0, "spec", to={"spec": [[9], "float64"]}), "node %1"),
    "no nodes": (lambda document: document["graph"].pop("nodes"), "no 'nodes'"),
    "a strange value": (set_at("graph", "nodes", 1, "params", to={"index": {"pickle": "x"}}), "'pickle'"),
    "a missing parameter": (set_at("graph", "nodes", 1, "params", to={}), "node %1"),
    "a dtype of objects": (set_at("graph", "nodes", 0, "spec", to={"spec": [[4, 3], "object"]}), "no dtype"),
    "a structure of another size": (set_at("graph", "in_tree", to={"tuple": [0, 1]}), "2 leaves for 1"),
    "an output that is not there": (set_at("graph", "outputs", to=[77]), "node 77"),
    "a list": (lambda document: document.update(graph=[]), "holds no graph"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_document_is_refused_with_what_is_wrong(name, saved, tmp_path):
    change, said = CHANGES[name]
    with pytest.raises(ValueError, match=said) as error:
        dagexec.load(with_document(saved, tmp_path, change))
    assert "changed.safetensors" in str(error.value)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "f"
    with pytest.raises(FileNotFoundError):
        dagexec.load(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="no safetensors file, or is damaged"):
        dagexec.load(path)
    path.write_text("import os")
    with pytest.raises(ValueError, match="no safetensors file, or is damaged"):
        dagexec.load(path)
    save_file({"a": np.ones(3)}, path)
    with pytest.raises(ValueError, match="no dagexec graph"):
        dagexec.load(path)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_harmless(data, saved, tmp_path_factory):
    content = bytearray(saved.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "g"
    path.write_bytes(content)
    with suppress(ValueError):
        graph = dagexec.load(path)
        # Nothing but a constant, a name or a line was changed.
        assert dagexec.run(graph, np.ones((4, 3))).shape == ()
