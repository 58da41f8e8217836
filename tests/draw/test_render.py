"""Pictures as files: formats, text that stays text, and no half-written file."""

import os
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.draw import draw
from dagexec.draw import render as rendering
from dagexec.draw.labels import printable, quoted
from dagexec.draw.render import render
from dagexec.graph import INPUT, Graph, Node, Spec
from dagexec.ops import python_op

SVG = "{http://www.w3.org/2000/svg}"
SIGNS = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph"}


def texts(path):
    """All texts of an SVG image; Graphviz writes spaces as such that do not break."""
    tree = ElementTree.parse(path)
    return [(element.text or "").replace("\N{NO-BREAK SPACE}", " ") for element in tree.iter(f"{SVG}text")]


def graph_named(name):
    x = Node(INPUT, spec=Spec((), "float64"), name=name)
    y = Node(python_op(len), (x,), scope=(name,) if name else ())
    return Graph([x, y], [x], [y], name=name)


@pytest.mark.parametrize("ending", SIGNS)
def test_the_ending_says_the_format(tmp_path, ending):
    graph = dagexec.trace(lambda x: np.sum(x * x))(np.ones(3)).backward()
    draw(graph, tmp_path / f"picture.{ending}")
    assert (tmp_path / f"picture.{ending}").read_bytes().startswith(SIGNS[ending])
    assert os.listdir(tmp_path) == [f"picture.{ending}"]


@pytest.mark.parametrize("name", ["picture.bmp", "picture"])
def test_an_unknown_ending_is_refused_with_those_known(tmp_path, name):
    with pytest.raises(ValueError, match=r"does not end in one of \.svg, \.png, \.pdf, \.dot"):
        draw(graph_named("x"), tmp_path / name)


@given(name=st.text(max_size=40))
@example("node")
@example("graph")
@example("<b>bold</b>")
@example("<script>alert(1)</script>")
@example('a "quoted" name')
@example("back\\slash\\n \\N \\")
@example("line\nbreak\r\nand\ttab")
@example("a:b:c")
@example("&amp; &lt; &#65; &")
@example("שלום עולם")
@example("\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe")
@example("{a|b}")
@example("\x00\x01\ud800\ufffe")
@example("]; x -> y [label=")
@settings(max_examples=20)
def test_names_are_shown_literally(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("names") / "picture.svg"
    render(f"digraph {{ n0 [label={quoted(name)}] }}", path)
    assert "".join(texts(path)) == printable(name, 1000)


@pytest.mark.parametrize("name", ["node", "<b>&amp;</b>", 'a\\N"]; x -> y', "a\nb", "a:b", "\ud800", "שלום"])
def test_a_graph_is_drawn_whatever_its_names(tmp_path, name):
    draw(graph_named(name), tmp_path / "picture.svg", level="ops")
    found = texts(tmp_path / "picture.svg")
    assert printable(name) in found  # the input, and the frame of the scope
    assert any(text.startswith(f"{printable(name)}: 1 forward") for text in found)


def test_a_long_name_is_cut(tmp_path):
    draw(graph_named("x" * 10_000), tmp_path / "picture.svg")
    assert max(map(len, texts(tmp_path / "picture.svg"))) < 120
    assert any("x…" in text for text in texts(tmp_path / "picture.svg"))


def test_every_choice_of_picture_can_be_rendered(tmp_path):
    @dagexec.block
    def layer(x, w):
        return np.maximum(x @ w, 0)

    def loss(w, x):
        return np.mean((layer(x, w) + np.split(x, 2, axis=0)[0]) ** 2)

    graph = dagexec.trace(loss)(np.ones((2, 2)), np.ones((2, 2)))
    for part in (graph, graph.backward()):
        for level in ("high", "ops", "scalar"):
            for style in ("plain", "bipartite"):
                for group in (None, "level"):
                    draw(part, tmp_path / "picture.svg", level=level, style=style, group=group)
                    assert any("forward" in text for text in texts(tmp_path / "picture.svg"))


@given(st.data())
@settings(max_examples=15)
def test_any_graph_can_be_rendered(tmp_path_factory, data):
    nodes = []
    for _ in range(data.draw(st.integers(1, 25))):
        sources = data.draw(st.lists(st.sampled_from(nodes), max_size=3)) if nodes else []
        phase = data.draw(st.sampled_from(["forward", "backward", "update"]))
        grad_of = data.draw(st.sampled_from([None, *nodes]))
        scope = tuple(data.draw(st.lists(st.sampled_from("ab"), max_size=2)))
        nodes.append(Node(python_op(len), tuple(sources), scope=scope, phase=phase, grad_of=grad_of))
    choices = {
        "level": data.draw(st.sampled_from(["high", "ops"])),
        "style": data.draw(st.sampled_from(["plain", "bipartite"])),
        "group": data.draw(st.sampled_from([None, "level"])),
    }
    draw(Graph(nodes, [], nodes[-1:]), tmp_path_factory.mktemp("any") / "picture.svg", **choices)


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        draw(graph_named("x"), tmp_path / "missing" / "picture.svg")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "picture.svg"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="Graphviz failed"):
        render("digraph { this is no DOT", path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["picture.svg"]


def test_a_folder_in_the_way_is_an_os_error(tmp_path):
    (tmp_path / "picture.svg").mkdir()
    with pytest.raises(OSError, match=r"picture\.svg"):
        draw(graph_named("x"), tmp_path / "picture.svg")
    assert os.listdir(tmp_path) == ["picture.svg"]


def test_the_systems_dot_is_preferred(tmp_path, monkeypatch):
    fake = tmp_path / "dot"
    fake.write_text('#!/bin/sh\necho "$1"\n')
    fake.chmod(0o755)
    monkeypatch.setattr(rendering.shutil, "which", lambda name: str(fake))
    render("digraph {}", tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").read_text() == "-Tsvg\n"


def test_without_graphviz_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(rendering.shutil, "which", lambda name: None)
    monkeypatch.setattr(rendering.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'dagexec\[draw\]'"):
        draw(graph_named("x"), tmp_path / "picture.svg")
    assert os.listdir(tmp_path) == []
