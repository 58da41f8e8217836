"""What things look like: shapes and lines by what they stand for, and the filling of each box.

Colour is never the only sign: the phase shows in the corners of a box, the role in its outline, a measured
figure in its label.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

from dagexec.draw.labels import printable
from dagexec.draw.measured import Measured
from dagexec.draw.picture import Arrow, Box
from dagexec.draw.theme import Theme, text_on
from dagexec.graph import PHASES

Look = dict[str, Any]
Filling = dict[str, tuple[str, str]]  # colour and what it stands for, by the key of the box

FONT = "Helvetica"
MOST_PIXELS = "100,100"  # inches: larger pictures are scaled down, or a bitmap takes gigabytes
FAMILIES = ("elementwise", "linear", "python", "reduction", "index", "random", "special", "shape")

PHASE_SHAPES: dict[str, Look] = {
    "forward": {"shape": "box", "style": "rounded,filled"},
    "backward": {"shape": "box", "style": "filled"},
    "update": {"shape": "note", "style": "filled"},
}
PHASE_LINES = {"forward": "filled", "backward": "filled,dashed", "update": "filled,dotted"}
BIPARTITE_SHAPES = {"input": "box", "value": "box", "op": "ellipse", "fold": "ellipse"}


def graph_look(theme: Theme) -> Look:
    """The attributes of the whole picture, whose places are given."""
    return {
        "layout": "nop2",
        "bgcolor": theme.ground,
        "fontname": FONT,
        "fontsize": "11",
        "fontcolor": theme.text,
        "labelloc": "b",
        "labeljust": "l",
        "pad": "0.15",
        "size": MOST_PIXELS,
    }


def node_look(theme: Theme) -> Look:
    """What all boxes have in common."""
    return {"fontname": FONT, "fontsize": "11", "fontcolor": theme.text, "fixedsize": "true", "margin": "0"}


def edge_look(theme: Theme) -> Look:
    """What all arrows have in common."""
    return {"fontname": FONT, "fontsize": "9", "fontcolor": theme.grey, "arrowsize": "0.6"}


def frame_look(group: str | None, theme: Theme) -> Look:
    """The attributes of a frame: around a region, a task, or as a band behind a level."""
    look: Look = {
        "style": "rounded",
        "peripheries": "1",
        "color": theme.frame,
        "fontcolor": theme.grey,
        "fontname": FONT,
        "fontsize": "10",
    }
    if group == "level":
        look |= {"style": "filled", "fillcolor": theme.band, "color": theme.band}
    elif group == "task":
        look |= {"style": "rounded,filled", "fillcolor": theme.band, "color": theme.grey}
    return look


def box_look(box: Box, fill: str, style: str, theme: Theme) -> Look:
    """The attributes of a box: kind and phase give its shape, its role an accent."""
    look = {**PHASE_SHAPES[box.phase], "fillcolor": fill, "color": theme.phases[box.phase][1]}
    if box.kind == "input":
        again = box.role == "again"
        look = {"shape": "box", "style": "rounded,filled", "fontsize": "9", "fillcolor": theme.ground}
        look["color"] = theme.pale if again else theme.grey
    if box.kind == "value":
        look |= {"fillcolor": theme.ground, "fontsize": "9"}
    if box.role == "loss":
        look |= {"peripheries": "2", "penwidth": "1.6", "color": theme.loss[1]}
    elif box.role == "output":
        look |= {"penwidth": "2.6"}
    if style == "bipartite":
        look["shape"] = BIPARTITE_SHAPES[box.kind]
        look["style"] = "filled" if box.kind == "input" else PHASE_LINES[box.phase]
    if fill in theme.scale:
        look["fontcolor"] = text_on(fill)
    return look


def arrow_look(arrow: Arrow, source: Box, target: Box, theme: Theme) -> Look:
    """The attributes of an arrow: what is kept for later stands back behind the main flow."""
    if arrow.saved:
        return {"style": "dashed", "color": theme.pale, "arrowsize": "0.5"}
    if source.kind == "input" and source.beside is not None:
        return {"color": theme.pale, "arrowhead": "none"}
    return {"color": theme.phases[target.phase][1]}


def fills(boxes: Iterable[Box], color: str, theme: Theme, measured: Measured | None) -> Filling:
    """For each box its filling and what that stands for, as `color` says."""
    boxes = list(boxes)
    if measured is not None and color != "worker":
        return _on_scale(boxes, measured, theme)
    if measured is not None:
        names = {key: measured.text(figure) for key, figure in measured.of.items()}
        order = sorted(set(names.values()), key=lambda name: int(name.split()[1]))
    elif color == "op":
        names = {box.key: box.family for box in boxes}
        order = list(FAMILIES)
    elif color == "scope":  # numbered regions, `cell[0]`, `cell[1]`, are of one colour
        names = {box.key: printable(box.scope[0].split("[")[0], 30) for box in boxes if box.scope}
        order = list(dict.fromkeys(names.values()))
    else:
        accents = {"loss": theme.loss[0], "sum": theme.sum}
        return {box.key: (accents.get(box.role, theme.phases[box.phase][0]), box.phase) for box in boxes}
    tints = _tints(order, theme)
    return {
        box.key: (tints.get(names[box.key], theme.ground), names[box.key])
        if box.key in names
        else (theme.ground, f"no {color}")
        for box in boxes
    }


def _tints(names: Iterable[str], theme: Theme) -> Mapping[str, str]:
    return {name: theme.tints[number % len(theme.tints)] for number, name in enumerate(names)}


def _on_scale(boxes: Iterable[Box], measured: Measured, theme: Theme) -> Filling:
    bounds = [bound for bound, _ in scale_of(measured, theme)]
    return {
        box.key: (theme.scale[bisect_left(bounds[:-1], measured.of[box.key])], "measured")
        if box.key in measured.of
        else (theme.ground, "not measured")
        for box in boxes
    }


def scale_of(measured: Measured, theme: Theme) -> list[tuple[float, str]]:
    """The figure up to which each colour is for, from low to high: each twice the one before."""
    most = max(measured.of.values(), default=0.0)
    steps = len(theme.scale)
    return [(most / 2 ** (steps - 1 - step), color) for step, color in enumerate(theme.scale)]


def phases_of(boxes: Iterable[Box]) -> list[str]:
    """The phases that occur, in their order."""
    found = {box.phase for box in boxes}
    return [phase for phase in PHASES if phase in found]
