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

from dagexec.coarsen import coarsen
from dagexec.draw.labels import quoted, region_label
from dagexec.draw.layout import columns, levels, with_tags
from dagexec.draw.picture import Box, Picture, picture
from dagexec.draw.render import format_of, render
from dagexec.draw.style import EDGE, FRAMES, GRAPH, NODE, Look, arrow_look, box_look, caption, fills
from dagexec.graph import PHASES, Graph, method_of
from dagexec.plan import plan
from dagexec.rewrite.scalarize import scalarize

CHOICES: dict[str, tuple[str | None, ...]] = {
    "level": (None, "high", "ops", "scalar"),
    "style": ("plain", "bipartite"),
    "group": (None, "level", "task"),
    "color": ("phase", "op", "scope"),
}
MOST_BOXES = 100  # a graph of more nodes is folded, unless the level is asked for
Frames = dict[
    str, tuple[tuple[str, str], ...]
]  # by key of the box, from outside: what tells a frame, its label
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
    every operation, "scalar" every operation on numbers; None is "ops", above 100 nodes "high".
    `style`: "plain", or "bipartite" with values as squares and operations as ellipses.
    `group`: "level" frames what can run at the same time, "task" what `coarsen` joins into one task, with its
    estimated time. `color`: what the fillings tell, "phase", "op" (its family) or "scope".

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
    if group == "task" and level == "high":
        raise ValueError("group='task' frames operations, but level='high' folds them: choose level='ops'")
    if level is None:
        level = "ops" if len(graph) <= MOST_BOXES or group == "task" else "high"
    if level == "scalar":
        graph = scalarize(graph)
    seen = picture(graph, level=level, depth=depth, bipartite=style == "bipartite")
    column, level_of = levels(seen)
    if level != "scalar":  # one op is many scalars: too many to stand beside its twin
        column = column if group == "level" else columns(seen)
    seen, column = with_tags(seen, column)
    frames: Frames = (
        {key: ((name, name),) for key, name in level_of.items()}
        if group == "level"
        else _task_frames(graph)
        if group == "task"
        else _scope_frames(seen)
    )
    return _dot(seen, column, frames, name=graph.name, group=group, style=style, color=color)


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
    frames: Frames,
    *,
    name: str,
    group: str | None,
    style: str,
    color: str,
) -> pydot.Dot:
    filling = fills(seen.boxes, color)
    legend = caption(seen, name, style, color, filling, group)
    # Levels are rows: forward runs down, backward up again, and a row's width is what can run at a time.
    way = "TB" if group == "level" else "LR"
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
            dot.add_subgraph(_phase_frame(phase, boxes, nodes, frames, FRAMES[group]))
    for edge in (*_order(dot, seen, column), *_edges(seen, column)):
        dot.add_edge(edge)
    return dot


def _scope_frames(seen: Picture) -> Frames:
    """The frames of regions, one in another."""
    return {
        box.key: tuple([(name, region_label(name, box.phase)) for name in box.scope])
        for box in seen.boxes
        if box.kind in ("op", "value", "tag")
    }


def _task_frames(graph: Graph) -> Frames:
    """The frames of what runs as one task: all nodes that `coarsen` joins, and the values they make."""
    coarse = coarsen(plan(graph))
    frames: Frames = {}
    for number, (task, members) in enumerate(coarse.members.items(), 1):
        label = f"task {number}: {len(members)} nodes, {duration(coarse.seconds[task])}"
        for member in members:
            frames[f"n{member}"] = frames[f"v{member}"] = ((str(task), label),)
    return frames


def _phase_frame(
    phase: str, boxes: list[Box], nodes: Mapping[str, pydot.Node], frames: Frames, look: Look
) -> pydot.Subgraph:
    """The boxes of one phase, in their frames."""
    outer = pydot.Subgraph(f"cluster_{phase}", peripheries="0", label=quoted(""))
    made: dict[tuple[str, ...], pydot.Subgraph] = {(): outer}
    for box in boxes:
        path: tuple[str, ...] = ()
        for name, label in frames.get(box.key, ()):
            inside, path = path, (*path, name)
            if path not in made:
                made[path] = pydot.Subgraph(f"cluster_{phase}_{len(made)}", label=quoted(label), **look)
                made[inside].add_subgraph(made[path])
        made[path].add_node(nodes[box.key])
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


def duration(seconds: float) -> str:
    """A time with three digits.

    >>> duration(0.0000123), duration(0.0123)
    ('12.3 µs', '12.3 ms')
    """
    return f"{seconds * 1e6:.3g} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"


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
