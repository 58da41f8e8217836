"""The course: graphs/README.md names every graph file, and its pictures are those that a command makes."""

from __future__ import annotations

import re
from pathlib import Path

from bench.pictures import COMMANDS

GRAPHS = Path(__file__).parents[2] / "graphs"
TEXT = (GRAPHS / "README.md").read_text(encoding="utf-8")


def test_each_file_is_in_the_course():
    linked = set(re.findall(r"\]\((\w+\.py)\)", TEXT))
    assert linked == {path.name for path in GRAPHS.glob("*.py")}


def test_each_picture_is_there_shown_and_made_by_a_command():
    shown = re.findall(r"!\[[^]]+\]\(pictures/(\S+)\)", TEXT)
    assert len(set(shown)) == len(shown)
    assert set(shown) == set(COMMANDS) == {path.name for path in (GRAPHS / "pictures").iterdir()}


def test_the_commands_name_files_that_are_there():
    for command in COMMANDS.values():
        (file,) = re.findall(r"graphs/(\w+\.py)", command)
        assert (GRAPHS / file).exists()
