"""How a Graph and a Compiled show themselves in a notebook (a run's Events: see timeline.py).

IPython asks an object for `_repr_svg_()` or `_repr_html_()`; an answer of None, as where there is no
Graphviz, leaves the plain text. A picture of too many arrows is not begun: its layout would take minutes.

Source: IPython's documentation, "Integrating your objects with IPython: Rich display".
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from dagexec.analysis import analyze
from dagexec.draw.dot import to_dot
from dagexec.draw.labels import printable
from dagexec.draw.render import render
from dagexec.executors import Compiled
from dagexec.graph import Graph, method_of

MOST_ARROWS = 1500  # Graphviz takes some seconds for these


@method_of(Graph)
def _repr_svg_(graph: Graph) -> str | None:
    """The picture of a graph, folded as `draw` folds it; None without Graphviz, or where it is too large.

    >>> import dagexec
    >>> _repr_svg_(dagexec.trace(lambda x: x + 1)(3.0))[:4]
    '<svg'
    """
    text = to_dot(graph).to_string()
    if text.count("->") > MOST_ARROWS:
        return None
    with TemporaryDirectory() as folder:
        path = Path(folder, "graph.svg")
        try:
            render(text, path)
        except (ImportError, RuntimeError):
            return None
        picture = path.read_text(encoding="utf-8")
    return picture[picture.index("<svg") :]  # what stands before is for a file of its own


@method_of(Compiled)
def _repr_html_(compiled: Compiled) -> str:
    """What is run, on what and why, above the picture of the graph as it is run.

    >>> import dagexec
    >>> _repr_html_(dagexec.compile(dagexec.trace(lambda x: x + 1)(3.0), "serial"))[:27]
    '<div><p><strong>lambda</str'
    """
    division = ET.Element("div")
    heading = ET.SubElement(division, "p")
    name = ET.SubElement(heading, "strong")
    name.text = printable(compiled.graph.name)
    name.tail = f": {', '.join(_facts(compiled))}"
    ET.SubElement(division, "pre").text = compiled.explain()
    graph = compiled.plan.graph
    if (picture := _repr_svg_(graph)) is not None:
        # As an image: the ids of several pictures do not meet.
        data = b64encode(picture.encode()).decode()
        look = {"src": f"data:image/svg+xml;base64,{data}", "alt": repr(graph), "style": "max-width: 100%"}
        ET.SubElement(division, "img", look)
    return ET.tostring(division, encoding="unicode", method="html")


def _facts(compiled: Compiled) -> Iterator[str]:
    found = analyze(compiled.plan)
    yield f"{len(compiled.plan.graph)} nodes"
    yield f"{found.tasks} tasks on {found.levels} levels, up to {found.width} side by side"
    yield f"parallelism {found.parallelism:.3g} by operations"
