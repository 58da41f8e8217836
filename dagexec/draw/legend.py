"""The caption of a picture: what it shows, what was folded, and a legend of what occurs in it.

It is HTML for Graphviz, which draws it as a table; every text in it is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TypeVar

from dagexec.draw.labels import printable, text_width
from dagexec.draw.measured import Measured
from dagexec.draw.picture import Box, Picture
from dagexec.draw.style import Filling, phases_of, scale_of
from dagexec.draw.theme import Theme, text_on
from dagexec.graph import PHASES

PHASE_WORDS = {
    "plain": {"forward": "round corners", "backward": "square corners", "update": "folded corner"},
    "bipartite": {"forward": "solid outline", "backward": "dashed outline", "update": "dotted outline"},
}
ROLE_WORDS = {
    "loss": "double outline: scalar result",
    "sum": "Σ: gradients of one value, summed",
    "output": "bold outline: result",
}
CORNERS = {"forward": "rounded", "backward": "solid", "update": "solid"}
MOST_KINDS = 10  # fillings that are explained
FONT_SIZE = 11.0
NARROWEST = 400.0  # points: a smaller picture's caption is as wide as that
TABLE = '<table align="left" border="0" cellborder="1" cellspacing="6" cellpadding="3">'

T = TypeVar("T")


def caption(
    seen: Picture,
    name: str,
    *,
    style: str,
    color: str,
    group: str | None,
    filling: Filling,
    theme: Theme,
    measured: Measured | None,
    width: float,
) -> str:
    """The caption as an HTML-like label, without the angle brackets' quoting that pydot leaves to it.

    It is wrapped to the picture's `width`, in points.
    """
    made = [box for box in seen.boxes if box.kind in ("op", "fold")]
    saved = any(arrow.saved for arrow in seen.arrows)
    words = _summary(seen, made, name).split("; ")
    lines = wrapped(words, [text_width(part, FONT_SIZE) for part in words], max(width, NARROWEST))
    text = "".join(_row(html.escape("; ".join(line)), padding=2) for line in lines)
    cells = list(_legend(made, style, color, group, filling, theme, measured, saved=saved))
    sizes = [text_width(cell[0], FONT_SIZE) + 12 for cell in cells]
    rows = []
    for row in wrapped(list(zip(cells, sizes)), sizes, max(width, NARROWEST)):
        rest = max(width, NARROWEST) - sum(size for _, size in row)  # or Graphviz would spread the cells
        filler = f'<td border="0" width="{max(rest, 0):.0f}"></td>'
        rows.append(_row(f"{TABLE}<tr>{''.join(_cell(*cell) for cell, _ in row)}{filler}</tr></table>"))
    return f'<<table border="0" cellspacing="0" cellpadding="0">{text}{"".join(rows)}</table>>'


def wrapped(parts: Sequence[T], sizes: Sequence[float], width: float) -> list[list[T]]:
    """Parts in lines that are at most so wide, where their sizes let them.

    >>> wrapped("abcd", [2, 2, 2, 5], 4)
    [['a', 'b'], ['c'], ['d']]
    """
    lines: list[list[T]] = []
    left = 0.0
    for part, size in zip(parts, sizes):
        if not lines or size > left:
            lines.append([])
            left = width
        lines[-1].append(part)
        left -= size
    return lines


def _row(inside: str, padding: int = 0) -> str:
    return f'<tr><td align="left" cellpadding="{padding}">{inside}</td></tr>'


def _summary(seen: Picture, made: Sequence[Box], name: str) -> str:
    nodes = {phase: sum(box.nodes for box in made if box.phase == phase) for phase in PHASES}
    counts = ", ".join(f"{count} {phase}" for phase, count in nodes.items() if count)
    words = f"{printable(name)}: {counts or 'no'} operations"
    if seen.folded:
        boxes = sum(box.nodes > 1 for box in made)
        into = "1 box" if boxes == 1 else f"{boxes} boxes"
        words += f"; {seen.folded} of them folded into {into} (level='ops' shows each)"
    if seen.turned:
        words += f"; transposes (ᵀ) stand in the labels of {seen.turned} products"
    return words


def _cell(words: str, fill: str, outline: str, shape: str) -> str:
    look = f'bgcolor="{fill}" color="{outline}" style="{shape}"'
    return f'<td {look}><font color="{text_on(fill)}">{html.escape(words)}</font></td>'


def _legend(
    made: Sequence[Box],
    style: str,
    color: str,
    group: str | None,
    filling: Filling,
    theme: Theme,
    measured: Measured | None,
    *,
    saved: bool,
) -> Iterator[tuple[str, str, str, str]]:
    """Words, filling, outline and corners for each filling, shape and line that occurs."""
    phases = phases_of(made)
    for phase in phases:
        fill, outline = theme.phases[phase]
        words = f"{phase}: {PHASE_WORDS[style][phase]}"
        yield words, fill if color == "phase" else theme.ground, outline, CORNERS[phase]
    if measured is not None and color != "worker":
        for bound, fill in scale_of(measured, theme):
            yield f"≤ {measured.text(bound)}", fill, theme.grey, "solid"
    elif color != "phase":
        for fill, meaning in sorted({filling[box.key] for box in made}, key=lambda pair: pair[1])[
            :MOST_KINDS
        ]:
            yield meaning, fill, theme.grey, "solid"
    for role, words in ROLE_WORDS.items():
        if any(box.role == role for box in made):
            fill = {"loss": theme.loss[0], "sum": theme.sum}.get(role, theme.ground)
            yield (
                words,
                fill if color == "phase" else theme.ground,
                theme.loss[1] if role == "loss" else theme.grey,
                "solid",
            )
    if saved:
        yield "dashed: kept from forward for backward", theme.ground, theme.pale, "dashed"
    if group == "task":
        yield "frame: one task, with its estimated time", theme.band, theme.grey, "rounded"
