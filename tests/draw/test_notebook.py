"""What objects show of themselves in a notebook, by IPython's protocol of `_repr_*_` methods."""

from __future__ import annotations

from base64 import b64decode
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import dagexec
from dagexec.draw import notebook, render
from dagexec.draw.timeline import timeline

NAME = 'a "<b>" & \\c'


def graph():
    return dagexec.trace(lambda w, x: np.sum(np.tanh(x @ w)))(np.ones((3, 2)), np.ones((4, 3))).backward()


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_a_graph_shows_its_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    svg = ET.fromstring(graph()._repr_svg_())
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    shown = "".join(svg.itertext())
    assert "tanh 4×2" in shown
    assert not list(tmp_path.iterdir())


def test_a_graph_is_text_where_there_is_no_graphviz(monkeypatch):
    def missing():
        raise ImportError

    monkeypatch.setattr(render, "_graphviz", missing)
    assert graph()._repr_svg_() is None
    page = Elements(dagexec.compile(graph(), "serial")._repr_html_())
    assert "img" not in [tag for tag, _ in page.found]
    assert "serial" in page.text


def test_a_graph_too_large_for_a_layout_is_text(monkeypatch):
    assert graph()._repr_svg_() is not None
    monkeypatch.setattr(notebook, "MOST_ARROWS", 5)
    monkeypatch.setattr(notebook, "render", None)  # is not even tried
    assert graph()._repr_svg_() is None


def test_a_run_shows_its_timeline():
    _, events = dagexec.run(graph(), np.ones((3, 2)), np.ones((4, 3)), events=True)
    assert events._repr_svg_() == timeline(events)


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_a_compiled_graph_shows_facts_and_picture(executor):
    with dagexec.compile(graph(), executor, 2) as compiled:
        page = Elements(compiled._repr_html_())
        for words in (compiled.explain(), f"{len(compiled.plan.tasks)} tasks", "levels"):
            assert words in page.text
        ((_, image),) = [element for element in page.found if element[0] == "img"]
        kind, _, data = image["src"].partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert "tanh" in "".join(ET.fromstring(b64decode(data)).itertext())


def test_names_are_data():
    odd = dagexec.from_dask({NAME: (abs, -1)}, NAME)
    odd.name = NAME
    page = Elements(dagexec.compile(odd, "serial")._repr_html_())
    assert {tag for tag, _ in page.found} == {"div", "p", "strong", "pre", "img"}
    assert page.text.startswith('a "<b>" & \\c: ')
