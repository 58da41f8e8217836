"""A graph as DOT text, made with pydot: `to_dot` and `draw`.

Each box has a synthetic id (`n3` for the node at position 3, `v3` for its value), so no name that a user
chose can be mistaken for syntax. The columns of `layout` become `rank=same` groups; an arrow that runs to the
left is written from head to tail with `dir=back`, which keeps Graphviz from breaking the columns up.

>>> import dagexec
>>> dot = to_dot(dagexec.trace(lambda x: x * x)(3.0))
>>> print(dot.to_string().splitlines()[-2])
n0 -> n1 [color="#666666", weight=1];
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from os import PathLike
from typing import Any

import pydot

from dagexec.draw.labels import quoted, region_label
from dagexec.draw.layout import columns, levels, with_tags
from dagexec.draw.picture import Box, Picture, picture
from dagexec.draw.render import format_of, render
from dagexec.draw.style import EDGE, FRAME, GRAPH, NODE, arrow_look, box_look, caption, fills
from dagexec.graph import PHASES, Graph, method_of
from dagexec.rewrite.scalarize import scalarize

CHOICES: dict[str, tuple[str | None, ...]] = {
    "level": (None, "high", "ops", "scalar"),
    "style": ("plain", "bipartite"),
    "group": (None, "level"),
    "color": ("phase", "op", "scope"),
}
MOST_BOXES = 400  # a graph of more nodes is folded, unless the level is asked for
UNSEEN: dict[str, Any] = {"style": "invis", "weight": "0"}


@method_of(Graph)
def to_dot(
    graph: Graph,
    *,
    level: str | None = None,
    depth: int = 1,
    style: str = "plain",
    group: str | None = None,
    color: str = "phase",
) -> pydot.Dot:
    """The picture of a graph as DOT.

    `level`: "high" folds each region (to `depth` names of its scope) into one box for each phase, "ops" shows
    every operation, "scalar" every operation on numbers; None is "ops", above 400 nodes "high".
    `style`: "plain", or "bipartite" with values as squares and operations as ellipses.
    `group`: "level" frames what can run at the same time. `color`: what the fillings tell, "phase", "op" (its
    family) or "scope".

    Raises ValueError for any other choice, and for what `scalarize` cannot do.

    >>> import dagexec
    >>> to_dot(dagexec.trace(lambda x: x + 1)(3.0)).get_rankdir()
    'LR'
    """
    for name, value in (("level", level), ("style", style), ("group", group), ("color", color)):
        if value not in CHOICES[name]:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, CHOICES[name]))}")
    if depth < 1:
        raise ValueError(f"depth={depth!r}: at least one name of the scope is needed")
    if level is None:
        level = "ops" if len(graph) <= MOST_BOXES else "high"
    if level == "scalar":
        graph = scalarize(graph)
    seen = picture(graph, level=level, depth=depth, bipartite=style == "bipartite")
    column, level_of = levels(seen)
    if level != "scalar":  # one op is many scalars: too many to stand beside its twin
        column = columns(seen) if group is None else column
    frames = level_of if group == "level" else None
    return _dot(*with_tags(seen, column), frames, name=graph.name, style=style, color=color)


@method_of(Graph)
def draw(
    graph: Graph,
    path: str | PathLike[str],
    *,
    level: str | None = None,
    depth: int = 1,
    style: str = "plain",
    group: str | None = None,
    color: str = "phase",
) -> None:
    """Draw a graph to a file: .svg, .png, .pdf, or .dot for the text itself. For the choices see `to_dot`.

    Raises ValueError for an unknown ending or choice, OSError if the file cannot be written (nothing half
    written stays), ImportError if there is no Graphviz, RuntimeError if that fails.

    >>> import dagexec, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw(dagexec.trace(lambda x: x + 1)(3.0), folder + "/sum.svg")
    """
    format_of(path)
    dot = to_dot(graph, level=level, depth=depth, style=style, group=group, color=color)
    render(dot.to_string(), path)


def _dot(
    seen: Picture,
    column: Mapping[str, int],
    level_of: Mapping[str, str] | None,
    *,
    name: str,
    style: str,
    color: str,
) -> pydot.Dot:
    filling = fills(seen.boxes, color)
    legend = caption(seen, name, style, color, filling)
    # Levels are rows: forward runs down, backward up again, and a row's width is what can run at a time.
    way = "TB" if level_of is not None else "LR"
    dot = pydot.Dot("dagexec", graph_type="digraph", label=legend, rankdir=way, **GRAPH)
    dot.set_node_defaults(**NODE)
    dot.set_edge_defaults(**EDGE)
    dot.add_node(pydot.Node("left", shape="point", **UNSEEN))
    nodes = {
        box.key: pydot.Node(
            box.key,
            label=quoted(*box.label),
            tooltip=quoted(*box.tooltip),
            **box_look(box, filling[box.key][0], style),
        )
        for box in seen.boxes
    }
    for phase in PHASES:
        if boxes := [box for box in seen.boxes if box.phase == phase]:
            dot.add_subgraph(_phase_frame(phase, boxes, nodes, level_of))
    for edge in (*_order(dot, seen, column), *_edges(seen, column)):
        dot.add_edge(edge)
    return dot


def _phase_frame(
    phase: str, boxes: list[Box], nodes: Mapping[str, pydot.Node], level_of: Mapping[str, str] | None
) -> pydot.Subgraph:
    """The boxes of one phase, in frames for their scopes or, where `level_of` is given, for their levels."""
    outer = pydot.Subgraph(f"cluster_{phase}", peripheries="0", label=quoted(""))
    frames: dict[tuple[str, ...], pydot.Subgraph] = {(): outer}
    for box in boxes:
        path = box.scope if box.kind in ("op", "value", "tag") else ()
        if level_of is not None:
            path = (level_of[box.key],) if box.key in level_of else ()
        for end in range(1, len(path) + 1):
            if path[:end] not in frames:
                name = path[end - 1] if level_of is not None else region_label(path[end - 1], phase)
                frame = pydot.Subgraph(f"cluster_{phase}_{len(frames)}", label=quoted(name), **FRAME)
                frames[path[: end - 1]].add_subgraph(frame)
                frames[path[:end]] = frame
        frames[path].add_node(nodes[box.key])
    return outer


def _order(dot: pydot.Dot, seen: Picture, column: Mapping[str, int]) -> Iterator[pydot.Edge]:
    """Add a `rank=same` group for each column; arrows that are not seen keep columns and phases in order."""
    members: dict[int, list[str]] = {}
    for box in sorted(seen.boxes, key=lambda box: PHASES.index(box.phase)):
        members.setdefault(column[box.key], []).append(box.key)
    ordered = [members[number] for number in sorted(members)]
    for number, keys in enumerate(ordered):
        rank = pydot.Subgraph(f"column_{number}", rank="same")
        for key in keys:
            rank.add_node(pydot.Node(key))
        dot.add_subgraph(rank)
    for left, right in pairwise(ordered):
        yield pydot.Edge(left[0], right[0], **UNSEEN)
    # Graphviz tends to put on top what it meets first on its way from the left: that is to be forward.
    phase = {box.key: box.phase for box in seen.boxes}
    for name in PHASES:
        found = [key for keys in ordered for key in keys if phase[key] == name]
        if found:
            yield pydot.Edge("left", found[0], **UNSEEN)


def _edges(seen: Picture, column: Mapping[str, int]) -> Iterator[pydot.Edge]:
    box_of = {box.key: box for box in seen.boxes}
    readers = Counter(arrow.source for arrow in seen.arrows)
    for arrow in seen.arrows:
        look = arrow_look(arrow, box_of[arrow.source], box_of[arrow.target], readers[arrow.source])
        ends = (arrow.source, arrow.target)
        distance = column[arrow.target] - column[arrow.source]
        if arrow.label and distance:  # Graphviz may abort on a label within a column
            look["label"] = quoted(arrow.label)
        if distance < 0:
            ends = (arrow.target, arrow.source)
            look["dir"] = "back"
        yield pydot.Edge(*ends, **look)
