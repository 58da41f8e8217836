"""The page as a file: read back by a parser that knows nothing of how it was written."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.graph import INPUT, Graph, Node, Spec
from dagexec.page import html
from dagexec.page.html import page
from dagexec.page.model import model
from tests.page import graphs

NASTY = [
    "\"quotes\" and 'others'",
    "<script>alert(1)</script>",
    "</script><!-- ",
    "<!--dagexec:js-->",
    "script-src 'unsafe-inline'",
    "<!--<script>",
    "]]>",
    "a:b:c",
    "back\\slash\\u003c",
    "line\nbreak\r\n\u2028\u2029\x85",
    "\u202eright to left \u05d0\u05d1",
    "javascript:alert(1)",
    "x" * 10_000,
    "&lt;&amp;",
    "\x00\x1b\ufeff",
    "\ud800 alone",
]
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(st.characters(), max_size=40))  # lone surrogates as well
VOID = {"meta", "link", "br", "img", "input"}


class Reader(HTMLParser):
    """Elements, attributes, and the text of each element, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.comments: list[str] = []
        self.texts: dict[int, str] = {}
        self.open: list[int] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag):
        while self.open and self.elements[self.open.pop()][0] != tag:
            pass

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data

    def text_of(self, tag, **attributes):
        (found,) = [
            i
            for i, (name, attrs) in enumerate(self.elements)
            if name == tag and attributes.items() <= attrs.items()
        ]
        return self.texts.get(found, "")

    @property
    def data(self):
        return json.loads(self.text_of("script", id="dagexec-data"))

    @property
    def outline(self):
        """All that is markup, the title apart."""
        return [(tag, attrs) for tag, attrs in self.elements], self.comments


def named(name, scope, label):
    """A graph in which every text that a user chooses is chosen."""
    spec = Spec((2,), "float64")
    x = Node(INPUT, spec=spec, name=name)
    op = dagexec.ops.python_op(len)
    value = Node(op, (x,), {label or "k": label}, None, (scope,), "forward", label, None, (name or "f", 3))
    return Graph([x, value], [x], [value], name=label)


def small_page(data):
    """The page with a short script and no style, which a parser is through with at once."""
    short = {"page.js": "start()", "page.css": ""}
    with mock.patch.object(html, "_asset", lambda name: short.get(name) or ASSET(name)):
        return page(data)


ASSET = html._asset
PLAIN = Reader(small_page(model(named("x", "s", "y")))).outline


@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]))
def test_known_traps_stay_texts(text):
    assert_literal(text, text, text)


@settings(max_examples=40)
@given(TEXTS, TEXTS, TEXTS)
def test_texts_stay_texts(name, scope, label):
    assert_literal(name, scope, label)


def assert_literal(name, scope, label):
    text = small_page(model(named(name, scope, label), file=name or "file"))
    text = text.encode("utf-8").decode("utf-8")  # it can be written
    read = Reader(text)
    assert read.outline == PLAIN
    data = read.data
    assert data["name"] == label
    assert data["inputs"][0]["label"] == name
    assert data["scopes"][1] == [scope]
    assert data["nodes"]["name"].get("1", "") == label
    assert data["places"][0]["file"] == (name or "f")


@settings(max_examples=20)
@given(TEXTS)
def test_nothing_in_the_data_can_end_or_hide_the_script(text):
    written = html.json_text(model(named(text, text, text)))
    assert not re.search("[<\u2028\u2029\n\r]", written)


def test_no_link_is_made_of_a_users_text():
    read = Reader(page(model(named("javascript:alert(1)", "s", "javascript:alert(1)"), file="javascript:x")))
    for _, attributes in read.elements:
        for attribute in ("href", "src", "action", "formaction", "srcset"):
            assert attributes.get(attribute) in (None, "data:,")


def test_the_page_is_one_file_that_may_fetch_nothing_and_run_nothing_else():
    read = Reader(page(model(graphs.derived()[0])))
    (policy,) = [
        attrs["content"]
        for tag, attrs in read.elements
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe-inline" not in rules["script-src"]
    assert not re.search(r"https?:|\*", policy)
    (script,) = (
        read.texts[i] for i, (tag, attrs) in enumerate(read.elements) if tag == "script" and not attrs
    )
    digest = b64decode(re.search("'sha256-(.*?)'", rules["script-src"])[1])
    assert hashlib.sha256(script.encode()).digest() == digest
    assert not [attrs for tag, attrs in read.elements if "src" in attrs]
    assert not [name for _, attrs in read.elements for name in attrs if name.startswith("on")]


def test_the_title_names_the_graph_and_stays_short():
    assert Reader(page(model(named("x", "s", "</title><b>")))).text_of("title") == "</title><b> · dagexec"
    assert len(Reader(page(model(named("x", "s", "y" * 9999)))).text_of("title")) < 120


def test_a_page_holds_the_graph_its_runs_and_its_values(tmp_path):
    graph, args = graphs.derived()
    graph.to_html(tmp_path / "page.html", *args, runs=["serial", "threads"], workers=2, file="of.py")
    data = Reader((tmp_path / "page.html").read_text(encoding="utf-8")).data
    assert data["file"] == "of.py"
    assert [run["executor"] for run in data["runs"]] == ["serial", "threads"]
    assert set(data["values"]) >= {str(data["loss"]), "0"}
    assert data["nodes"] == model(graph)["nodes"]


def test_without_arguments_nothing_is_run(tmp_path):
    graph, _ = graphs.derived()
    graph.to_html(tmp_path / "page.html")
    data = Reader((tmp_path / "page.html").read_text(encoding="utf-8")).data
    assert (data["runs"], data["values"]) == ([], {})


def test_tasks_have_a_page_and_run_only_if_asked(tmp_path):
    calls = []
    graph = dagexec.task(lambda: calls.append(1))().graph()
    graph.to_html(tmp_path / "page.html")
    assert calls == []
    graph.to_html(tmp_path / "page.html", runs=["serial"])
    assert calls == [1]
    data = Reader((tmp_path / "page.html").read_text(encoding="utf-8")).data
    assert data["runs"][0]["tasks"]["nodes"] == [[0]]


def test_what_fails_leaves_the_old_page(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    graph, args = graphs.derived()
    with pytest.raises(ValueError, match=r"executor is 'gpu'; a page replays serial"):
        graph.to_html(path, *args, runs=["gpu"])
    with pytest.raises(ValueError, match=r"runs is 'serial', but must be a sequence of names"):
        graph.to_html(path, *args, runs="serial")
    with pytest.raises(ValueError, match="argument x"):
        graph.to_html(path, args[0], np.ones(5), args[2], runs=["serial"])
    with pytest.raises(OSError, match="no such folder"):
        graph.to_html(tmp_path / "no such folder" / "page.html")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
