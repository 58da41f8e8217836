"""DOT text to a file: by the system's `dot` if there is one, else by pygraphviz, whose wheels carry Graphviz.

Graphviz runs in a process of its own either way: a layout that fails cannot take the caller with it, and
Ctrl-C ends it.

>>> import tempfile, pathlib
>>> with tempfile.TemporaryDirectory() as folder:
...     path = pathlib.Path(folder, "two.dot")
...     render("digraph { a -> b }", path)
...     path.read_text()
'digraph { a -> b }'
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from os import PathLike
from pathlib import Path

from dagexec.files import written_whole

FORMATS = (".svg", ".png", ".pdf", ".dot")

# The same interface as `dot -Tsvg`: DOT text in, image out. pygraphviz warns on stderr about large graphs.
WITH_PYGRAPHVIZ = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1][2:], prog="dot"))
"""


def format_of(path: str | PathLike[str]) -> str:
    """The format that the ending of `path` asks for; ValueError if it is none of those known."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"{os.fspath(path)!r} does not end in one of {', '.join(FORMATS)}")
    return ending[1:]


def render(text: str, path: str | PathLike[str]) -> None:
    """Write the picture that the DOT `text` describes, whole or not at all.

    The ending of `path` says the format: .svg, .png, .pdf or .dot. Raises ValueError for another ending,
    OSError if the file cannot be written, ImportError if there is no Graphviz, RuntimeError if that fails.
    """
    wanted = format_of(path)
    with written_whole(path, "wb") as file:  # opened before the layout, which may take a while
        file.write(text.encode() if wanted == "dot" else _image(text, wanted))


def _image(text: str, wanted: str) -> bytes:
    done = subprocess.run(
        [*_graphviz(), f"-T{wanted}"], input=text.encode(), capture_output=True, check=False
    )
    if done.returncode != 0 or not done.stdout:
        message = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"Graphviz failed (exit status {done.returncode}): {message}")
    return done.stdout


def _graphviz() -> list[str]:
    if found := shutil.which("dot"):
        return [found]
    if importlib.util.find_spec("pygraphviz"):
        return [sys.executable, "-c", WITH_PYGRAPHVIZ]
    raise ImportError("drawing needs Graphviz: pip install 'dagexec[draw]', or install Graphviz itself")
