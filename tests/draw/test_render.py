"""Pictures as files: formats, text that stays text, and no half-written file."""

import os
import xml.etree.ElementTree as ElementTree

import numpy as np
import pygraphviz
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.draw import draw, to_dot
from dagexec.draw import render as rendering
from dagexec.draw.labels import printable
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


NASTY = [
    "node",
    "graph",
    "<b>bold</b>",
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    'a "quoted" name',
    "back\\slash\\n \\N \\",
    "line\nbreak\r\nand\ttab",
    "a:b:c",
    "&amp; &lt; &#65; &",
    "שלום עולם",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "{a|b}",
    "\x00\x01\ud800\ufffe",
    "]; x -> y [label=",
    "<<table><tr><td href='javascript:x'>1</td></tr></table>>",
    "x" * 10_000,
]
DRAWN = {"svg", "g", "title", "a", "text", "path", "polygon", "polyline", "ellipse"}


@given(st.lists(st.text(max_size=40) | st.sampled_from(NASTY), min_size=1, max_size=12), st.booleans())
@example(NASTY, False)
@example(NASTY, True)
@settings(max_examples=4, deadline=None)
def test_names_are_shown_literally_in_dot_and_svg(tmp_path_factory, names, by_level):
    """Of inputs, tasks, regions and the graph; never as markup, never as a link."""
    inputs = [Node(INPUT, spec=Spec((), "float64"), name=name) for name in names]
    tasks = [
        Node(python_op(len), (source,), scope=(name,) if name else (), name=name)
        for name, source in zip(names, inputs)
    ]
    graph = Graph([*inputs, *tasks], inputs, tasks, name=names[0])
    dot = to_dot(graph, level="ops", group="level" if by_level else None)
    read = pygraphviz.AGraph(string=dot.to_string())
    assert set(read.nodes()) == {f"n{number}" for number in range(2 * len(names))}
    assert len(read.edges()) == len(names)
    path = tmp_path_factory.mktemp("names") / "picture.svg"
    render(dot.to_string(), path)
    shown = texts(path)
    for name in names:
        label = printable(name, 30) or "scalar"
        assert label in shown  # the input
        assert any(text.startswith(f"{label} = len") for text in shown) or not name or name == "len"
        assert by_level or not name or printable(name) in shown  # the frame
    assert any(text.startswith(f"{printable(names[0])}: {len(names)} forward") for text in shown)
    for element in ElementTree.parse(path).iter():
        assert element.tag.removeprefix(SVG) in DRAWN
        assert not any(key.endswith("href") or key.startswith("on") for key in element.attrib)


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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_choice_of_picture_can_be_rendered(tmp_path, theme):
    @dagexec.block
    def layer(x, w):
        return np.maximum(x @ w, 0)

    def loss(w, x):
        return np.mean((layer(x, w) + np.split(x, 2, axis=0)[0]) ** 2)

    graph = dagexec.trace(loss)(np.ones((2, 2)), np.ones((2, 2))).backward()
    styles = {"light": "plain", "dark": "bipartite"}
    for level, group in (("high", None), ("ops", "level"), ("ops", "task"), ("scalar", None)):
        draw(graph, tmp_path / "picture.svg", level=level, group=group, theme=theme, style=styles[theme])
        assert any("forward" in text for text in texts(tmp_path / "picture.svg"))


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
