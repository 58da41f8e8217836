"""The gallery's maker knows the samples: all of them, with parameters that they have."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from dagexec.graph import Graph
from dagexec.graphfile import has_build, load

pytest.importorskip("PIL")
ROOT = Path(__file__).parents[2]
FOUND = importlib.util.spec_from_file_location("gallery_make", ROOT / "docs" / "gallery" / "make.py")
make = importlib.util.module_from_spec(FOUND)


@pytest.fixture(scope="module", autouse=True)
def _loaded():
    sys.modules[FOUND.name] = make  # dataclasses look a class's module up there
    FOUND.loader.exec_module(make)
    yield
    del sys.modules[FOUND.name]


def test_every_graph_file_is_in_the_gallery_once():
    files = sorted(path.stem for path in (ROOT / "graphs").glob("*.py") if has_build(path))
    assert sorted(sample.name for sample in make.SAMPLES) == files
    assert set(make.LIVE) <= set(files)


def test_each_sample_takes_its_parameters(monkeypatch):
    monkeypatch.chdir(ROOT)
    for sample in make.SAMPLES:
        file = load(make.GRAPHS / f"{sample.name}.py")
        for parameters in (sample.parameters, sample.ops, sample.scalar):
            file.arguments(parameters or {})


def test_pictures_are_drawn_at_each_level_with_the_commands_that_draw_them(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(make, "PICTURES", tmp_path)
    monkeypatch.setattr(Graph, "draw", lambda graph, path, **choices: path.write_text("<svg/>"))
    (sample,) = (sample for sample in make.SAMPLES if sample.name == "vector_self_sum")
    shown = list(make.pictures_of(sample))
    assert [one.command for one in shown] == [
        f"dagexec draw graphs/vector_self_sum.py --level {level} -o vector_self_sum_{level}.svg"
        for level in ("ops", "scalar")  # it has no regions to fold
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(one.path.name for one in shown)


def test_the_indexes_escape_and_link_what_is_shown(monkeypatch):
    path = make.PICTURES / "a b.svg"
    found = [(make.Sample("line"), "x < y & <b>", [make.Shown(path, "every <op>", 'draw -p a="1"')])]
    page = make.web_page(found)
    assert "x &lt; y &amp; &lt;b&gt;" in page
    assert "<b>" not in page
    assert 'src="pictures/a%20b.svg"' in page
    assert "[![every <op>](pictures/a%20b.svg)](pictures/a%20b.svg)" in make.markdown(found)
