"""What things look like: tables of colours, shapes and lines, and the legend made from them.

The colours are tints of Okabe and Ito's palette, told apart by colour-blind eyes; and colour is never the
only sign. The phase shows in the corners of a box, the role in its outline.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dagexec.draw.labels import printable
from dagexec.draw.picture import Arrow, Box, Picture
from dagexec.graph import PHASES

Look = dict[str, Any]
Filling = dict[str, tuple[str, str]]  # colour and what it stands for, by the key of the box

FONT = "Helvetica"
WHITE = "#FFFFFF"
GREY = "#666666"
PALE = "#A0A0A0"

GRAPH: Look = {
    "newrank": "true",  # else frames and columns exclude each other
    "bgcolor": WHITE,  # so that the picture reads on a dark page as well
    "fontname": FONT,
    "fontsize": "11",
    "fontcolor": "#333333",
    "labelloc": "b",
    "labeljust": "l",
    "nodesep": "0.16",
    "ranksep": "0.32",
    "pad": "0.15",
    "size": "100,100",  # inches: larger pictures are scaled down, or a bitmap takes gigabytes
}
NODE: Look = {"fontname": FONT, "fontsize": "11", "height": "0.3", "margin": "0.09,0.04"}
EDGE: Look = {"fontname": FONT, "fontsize": "9", "fontcolor": GREY, "arrowsize": "0.6"}
FRAME: Look = {
    "style": "rounded",
    "peripheries": "1",
    "color": "#BBBBBB",
    "fontcolor": GREY,
    "fontsize": "10",
    "labeljust": "l",
}
FRAMES: dict[str | None, Look] = {  # by what they group
    None: FRAME,
    "level": FRAME,
    "task": FRAME | {"style": "rounded,filled", "fillcolor": "#F1F1F1", "color": "#8C8C8C", "labelloc": "t"},
}

# By phase: filling and outline, then the shape in the plain style and the line in the bipartite one.
PHASE_COLORS = {
    "forward": ("#D6ECFA", "#0072B2"),
    "backward": ("#FDE8C4", "#B36B00"),
    "update": ("#D3EFE4", "#00775A"),
}
PHASE_SHAPES: dict[str, Look] = {
    "forward": {"shape": "box", "style": "rounded,filled"},
    "backward": {"shape": "box", "style": "filled"},
    "update": {"shape": "note", "style": "filled"},
}
PHASE_LINES = {"forward": "filled", "backward": "filled,dashed", "update": "filled,dotted"}
FAMILY_COLORS = {
    "elementwise": "#D6ECFA",
    "reduction": "#F6DBEA",
    "linear": "#FDE8C4",
    "shape": "#E4E4E4",
    "index": "#FBF6BF",
    "python": "#D3EFE4",
}
SCOPE_COLORS = ("#D6ECFA", "#FDE8C4", "#D3EFE4", "#F6DBEA", "#FBF6BF", "#FBD9C3", "#CFDCF0", "#E4E4E4")

KIND_LOOKS: dict[str, Look] = {
    "input": {
        "shape": "ellipse",
        "margin": "0.02,0.02",
        "style": "filled",
        "fillcolor": WHITE,
        "color": GREY,
    },
    "value": {"fillcolor": WHITE},
    "tag": {
        "shape": "plaintext",
        "style": "",
        "fontsize": "9",
        "fontcolor": GREY,
        "margin": "0.02",
        "height": "0.2",
    },
}
SQUARE: Look = {"shape": "square", "margin": "0.02", "fontsize": "9"}
WIDEST_SQUARE = 12  # characters of a line; what is longer makes a box less high than wide
BIPARTITE_SHAPES = {
    "input": SQUARE,
    "value": SQUARE,
    "op": {"shape": "ellipse"},
    "fold": {"shape": "ellipse"},
}
ROLE_LOOKS: dict[str, Look] = {
    "loss": {"peripheries": "2", "penwidth": "1.6", "fillcolor": "#F4CFE3", "color": "#A0327E"},
    "sum": {"shape": "octagon", "style": "filled", "fillcolor": "#FBF3A6", "margin": "0.02,0.01"},
    "output": {"penwidth": "2.6"},
}

PHASE_WORDS = {
    "plain": {"forward": "round corners", "backward": "square corners", "update": "folded corner"},
    "bipartite": {"forward": "solid outline", "backward": "dashed outline", "update": "dotted outline"},
}
ROLE_WORDS = {
    "loss": "double outline: scalar result",
    "sum": "Σ: gradients of one value, summed",
    "output": "bold outline: result",
}


def box_look(box: Box, fill: str, style: str) -> Look:
    """The attributes of a box: kind and phase give its shape, its role an accent."""
    look = {**PHASE_SHAPES[box.phase], "fillcolor": fill, "color": PHASE_COLORS[box.phase][1]}
    look |= KIND_LOOKS.get(box.kind, {})
    look |= ROLE_LOOKS.get(box.role, {})
    if style == "bipartite" and box.kind != "tag":
        look |= BIPARTITE_SHAPES.get(box.kind, {})
        if look["shape"] == "square" and max(map(len, box.label)) > WIDEST_SQUARE:
            look["shape"] = "box"
        look["style"] = PHASE_LINES[box.phase]
    return look


def arrow_look(arrow: Arrow, source: Box, target: Box, readers: int) -> Look:
    """The attributes of an arrow: what is read by many or kept for later steps back behind the main flow.

    Graphviz draws arrows of great weight short and straight.
    """
    if arrow.saved:
        return {"style": "dashed", "color": PALE, "arrowsize": "0.5", "weight": "0"}
    if "tag" in (source.kind, target.kind):
        return {"color": PALE, "arrowsize": "0.5", "weight": "0"}
    if source.kind == "input":
        return {"color": PALE if readers > 2 else GREY, "weight": "0" if readers > 2 else "1"}
    return {"color": PHASE_COLORS[target.phase][1], "weight": "1" if target.role == "sum" else "4"}


def fills(boxes: Iterable[Box], color: str) -> Filling:
    """For each box its filling, as `color` says."""
    found: Filling = {}
    scopes = {"no scope": WHITE}
    for box in boxes:
        if color == "phase":
            found[box.key] = (PHASE_COLORS[box.phase][0], box.phase)
        elif color == "op":
            found[box.key] = (FAMILY_COLORS.get(box.family, WHITE), box.family)
        else:  # numbered regions, `cell[0]`, `cell[1]`, are of one colour
            name = printable(box.scope[0].split("[")[0], 30) if box.scope else "no scope"
            scopes.setdefault(name, SCOPE_COLORS[(len(scopes) - 1) % len(SCOPE_COLORS)])
            found[box.key] = (scopes[name], name)
    return found


def caption(seen: Picture, name: str, style: str, color: str, filling: Filling, group: str | None) -> str:
    """What the picture shows, what was folded, and the legend of what occurs in it: HTML for Graphviz."""
    made = [box for box in seen.boxes if box.kind in ("op", "fold")]
    nodes = {phase: sum(box.nodes for box in made if box.phase == phase) for phase in PHASES}
    counts = ", ".join(f"{count} {phase}" for phase, count in nodes.items() if count)
    summary = f"{printable(name)}: {counts or 'no'} operations"
    if seen.folded:
        boxes = sum(box.nodes > 1 for box in made)
        summary += f"; {seen.folded} of them folded into {boxes} boxes (level='ops' shows each)"
    cells = "".join(_legend(made, style, color, filling))
    if group == "task":
        look = FRAMES[group]
        words = "frame: one task, with its estimated time"
        cells += f'<td bgcolor="{look["fillcolor"]}" color="{look["color"]}" style="rounded">{words}</td>'
    row = f'<td align="left" border="0" colspan="20">{html.escape(summary)}</td>'
    table = '<table border="0" cellborder="1" cellspacing="6" cellpadding="3">'
    return f"<{table}<tr>{row}</tr><tr>{cells}</tr></table>>"


def _legend(made: Sequence[Box], style: str, color: str, filling: Filling) -> Iterator[str]:
    """One table cell for each filling, shape and line that occurs."""
    corners = {"forward": "rounded", "backward": "solid", "update": "solid"}
    phases = [phase for phase in PHASES if any(box.phase == phase for box in made)]
    for phase in phases:
        fill, outline = PHASE_COLORS[phase]
        look = f'bgcolor="{fill if color == "phase" else WHITE}" color="{outline}" style="{corners[phase]}"'
        yield f"<td {look}>{phase}: {PHASE_WORDS[style][phase]}</td>"
    if color != "phase":
        for fill, meaning in list(dict.fromkeys(filling[box.key] for box in made))[:10]:
            yield f'<td bgcolor="{fill}" color="{GREY}">{html.escape(meaning)}</td>'
    for role, words in ROLE_WORDS.items():
        if any(box.role == role for box in made):
            fill, outline = ROLE_LOOKS[role].get("fillcolor", WHITE), ROLE_LOOKS[role].get("color", GREY)
            yield f'<td bgcolor="{fill}" color="{outline}">{words}</td>'
    if len(phases) > 1:
        yield f'<td color="{PALE}" style="dashed">dashed: kept from forward for backward</td>'
