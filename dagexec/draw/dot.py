"""A graph as DOT text, made with pydot: `to_dot` and `draw`.

Each box has a synthetic id (`n3` for the node at position 3, `v3` for its value), so no name that a user
chose can be mistaken for syntax. Everything has its place already (`pos`, in points); Graphviz only renders.

>>> import dagexec
>>> dot = to_dot(dagexec.trace(lambda x: x * x)(3.0))
>>> dot.get_node("n1")[0].get_label(), dot.get_node("n1")[0].get_width()
('"multiply"', '0.833')
"""

from __future__ import annotations

from os import PathLike

import pydot

from dagexec.coarsen import coarsen
from dagexec.draw.chips import with_chips
from dagexec.draw.grid import Point
from dagexec.draw.labels import duration, quoted, region_label
from dagexec.draw.layout import RIM, Frames, Layout, lay_out
from dagexec.draw.legend import caption
from dagexec.draw.measured import MEASURED, measured_boxes, with_figures
from dagexec.draw.picture import Picture, picture
from dagexec.draw.render import format_of, render
from dagexec.draw.style import (
    Filling,
    arrow_look,
    box_look,
    edge_look,
    fills,
    frame_look,
    graph_look,
    node_look,
)
from dagexec.draw.theme import THEMES, Theme
from dagexec.events import Events
from dagexec.graph import Graph, method_of
from dagexec.plan import plan
from dagexec.rewrite.scalarize import scalarize

CHOICES: dict[str, tuple[str | None, ...]] = {
    "level": (None, "high", "ops", "scalar"),
    "style": ("plain", "bipartite"),
    "group": (None, "level", "task"),
    "color": ("phase", "op", "scope", *MEASURED),
    "theme": tuple(THEMES),
}
MOST_BOXES = 300  # a graph of more nodes is folded, unless the level is asked for


@method_of(Graph)
def to_dot(
    graph: Graph,
    *,
    level: str | None = None,
    depth: int = 1,
    style: str = "plain",
    group: str | None = None,
    color: str = "phase",
    events: Events | None = None,
    theme: str = "light",
) -> pydot.Dot:
    """The picture of a graph as DOT, with the places of everything.

    `level`: "high" folds each region (to `depth` names of its scope) into one box for each phase, "ops" shows
    every operation, "scalar" every operation on numbers; None is "ops", and above 300 nodes "high" with long
    rows of numbered regions, and nodes of no region, joined as well.
    `style`: "plain", or "bipartite" with values as squares and operations as ellipses.
    `group`: "level" puts what can run at the same time on one row, "task" frames what `coarsen` joins into
    one task, with its estimated time.
    `color`: what the fillings tell: "phase", "op" (its family), "scope", or what a run has measured, which
    takes the run's `events`: "time", "memory" (bytes of the results) or "worker".
    `theme`: "light" or "dark" ground.

    Raises ValueError for any other choice, for events that are missing or of another graph, and for what
    `scalarize` cannot do.

    >>> import dagexec
    >>> to_dot(dagexec.trace(lambda x: x + 1)(3.0)).get_layout()
    'nop2'
    """
    chosen = {"level": level, "style": style, "group": group, "color": color, "theme": theme}
    for name, value in chosen.items():
        if value not in CHOICES[name]:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, CHOICES[name]))}")
    if not isinstance(depth, int) or depth < 1:
        raise ValueError(f"depth={depth!r}: at least one name of the scope is needed")
    if group == "task" and level == "high":
        raise ValueError("group='task' frames operations, but level='high' folds them: choose level='ops'")
    if color in MEASURED and events is None:
        raise ValueError(f"color={color!r} shows what a run has measured: pass the run's events=")
    if color in MEASURED and not isinstance(events, Events):
        raise TypeError(f"events is a {type(events).__name__}, but color={color!r} needs the Events of a run")
    if color in MEASURED and level == "scalar":
        raise ValueError(f"color={color!r}: the run was of whole operations: choose level='ops' or 'high'")
    brief = level is None and len(graph) > MOST_BOXES and group != "task"
    if level is None:
        level = "high" if brief else "ops"
    if level == "scalar":
        graph = scalarize(graph)
    seen = picture(graph, level=level, depth=depth, brief=brief, bipartite=style == "bipartite")
    measured = None
    if color in MEASURED and events is not None:
        measured = measured_boxes(seen, graph, events, color)
        seen = with_figures(seen, measured)
    seen = with_chips(seen)
    frames = _task_frames(graph) if group == "task" else _scope_frames(seen)
    placed = lay_out(seen, frames, by_level=group == "level", style=style)
    colors = THEMES[theme]
    filling = fills(seen.boxes, color, colors, measured)
    legend = caption(
        seen,
        graph.name,
        style=style,
        color=color,
        group=group,
        filling=filling,
        theme=colors,
        measured=measured,
        width=placed.width,
    )
    return _dot(seen, placed, legend, filling, group=group, style=style, theme=colors)


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
    events: Events | None = None,
    theme: str = "light",
) -> None:
    """Draw a graph to a file: .svg, .png, .pdf, or .dot for the text itself. For the choices see `to_dot`.

    Raises ValueError for an unknown ending or choice, OSError if the file cannot be written (nothing half
    written stays), ImportError if there is no Graphviz, RuntimeError if that fails.

    >>> import dagexec, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw(dagexec.trace(lambda x: x + 1)(3.0), folder + "/sum.svg")
    """
    format_of(path)
    dot = to_dot(
        graph,
        level=level,
        depth=depth,
        style=style,
        group=group,
        color=color,
        events=events,
        theme=theme,
    )
    render(dot.to_string(), path)


def _dot(
    seen: Picture,
    placed: Layout,
    legend: str,
    filling: Filling,
    *,
    group: str | None,
    style: str,
    theme: Theme,
) -> pydot.Dot:
    """The DOT text of a picture whose places are known: Graphviz only renders it (`layout=nop2`)."""
    dot = pydot.Dot("dagexec", graph_type="digraph", label=legend, **graph_look(theme))
    dot.set_node_defaults(**node_look(theme))
    dot.set_edge_defaults(**edge_look(theme))
    for number, frame in enumerate(placed.frames):
        place = frame.place
        left, top = place.x - place.width / 2, place.y - place.height / 2
        dot.add_subgraph(
            pydot.Subgraph(
                f"cluster_{frame.phase}_{number}",
                label=quoted(frame.label),
                bb=points((left, top + place.height), (left + place.width, top), between=","),
                lp=points(frame.title),
                **frame_look(group, theme),
            )
        )
    for box in seen.boxes:
        place = placed.boxes[box.key]
        rim = 2 * RIM if box.role == "loss" else 0  # Graphviz draws it around the size it is given
        dot.add_node(
            pydot.Node(
                box.key,
                label=quoted(*box.label),
                tooltip=quoted(*box.tooltip),
                pos=points((place.x, place.y)),
                width=f"{(place.width - rim) / 72:.3f}",
                height=f"{(place.height - rim) / 72:.3f}",
                **box_look(box, filling[box.key][0], style, theme),
            )
        )
    box_of = {box.key: box for box in seen.boxes}
    for line in placed.lines:
        arrow = line.arrow
        look = arrow_look(arrow, box_of[arrow.source], box_of[arrow.target], theme)
        if arrow.label:
            look |= {"label": quoted(arrow.label), "lp": points(line.label)}
        start = "" if look.get("arrowhead") == "none" else f"e,{points(line.tip)[1:-1]} "
        way = f'"{start}{points(*line.points)[1:-1]}"'
        dot.add_edge(pydot.Edge(arrow.source, arrow.target, pos=way, **look))
    return dot


def points(*found: Point, between: str = " ") -> str:
    """Points as DOT writes them, where y runs up.

    >>> points((1, 2), (3.14159, 0))
    '"1,-2 3.14,0"'
    """
    return '"' + between.join(f"{_short(x)},{_short(-y)}" for x, y in found) + '"'


def _short(number: float) -> str:
    return f"{round(number, 2) + 0.0:g}"


def _scope_frames(seen: Picture) -> Frames:
    """The frames of regions, one in another."""
    return {
        box.key: tuple([(name, region_label(name, box.phase)) for name in box.scope])
        for box in seen.boxes
        if box.kind in ("op", "value")
    }


def _task_frames(graph: Graph) -> Frames:
    """The frames of what runs as one task: all nodes that `coarsen` joins, and the values they make."""
    coarse = coarsen(plan(graph))
    frames: dict[str, tuple[tuple[str, str], ...]] = {}
    for number, (task, members) in enumerate(coarse.members.items(), 1):
        label = f"task {number}: {len(members)} nodes, {duration(coarse.seconds[task])}"
        for member in members:
            frames[f"n{member}"] = frames[f"v{member}"] = ((str(task), label),)
    return frames
