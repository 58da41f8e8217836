"""The README's Python runs as it stands there."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dagexec.graphfile import graph_of, load
from dagexec.training import train

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_ten_lines_trace_differentiate_run_and_draw(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pygraphviz")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(BLOCKS[0], names)
    t = np.tanh(3.0)
    assert names["value"] == pytest.approx(8 * t**2)
    assert np.allclose(names["gradients"]["w"], 4 * 2 * t * (1 - t**2))  # type: ignore[index]
    assert (tmp_path / "loss.svg").read_text().startswith("<?xml")
    assert "matmul" in capsys.readouterr().out


def test_any_functions_make_a_graph(tmp_path, monkeypatch):
    pytest.importorskip("pygraphviz")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(BLOCKS[1], names)
    assert names["result"].compute() == "aabbcc"  # type: ignore[attr-defined]
    assert "join" in (tmp_path / "join.svg").read_text()


def test_the_page_of_transformations_runs():
    page = (README.parent / "docs" / "transformations.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    assert np.allclose(names["of_each_row"].mean(axis=0), names["gradient"])
    assert np.allclose(names["matrix"] @ names["gradient"], names["curvature"])
    assert names["noise"].shape == (3,)


def test_the_page_of_rewrites_shows_what_they_do():
    page = README.parent / "docs" / "rewrites.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 10
    assert not found.failed


def test_the_graph_file_and_the_training_step_are_what_they_say(tmp_path):
    for number, block in enumerate(block for block in BLOCKS if "def build" in block):
        (tmp_path / f"file{number}.py").write_text(block)
    built = load(tmp_path / "file0.py").built({"n": "4"})
    assert graph_of(built).backward is not None
    training = load(tmp_path / "file1.py").built({}).training
    assert training is not None
    assert np.allclose(train(training, 200).state, [1, -2], atol=1e-3)
