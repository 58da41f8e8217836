"""The caption of a picture: what it shows, what was folded, and a legend of what occurs in it.

It is HTML for Graphviz, which draws it as a table; every text in it is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from dagexec.draw.labels import printable
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
) -> str:
    """The caption as an HTML-like label, without the angle brackets' quoting that pydot leaves to it."""
    made = [box for box in seen.boxes if box.kind in ("op", "fold")]
    row = f'<td align="left" border="0" colspan="30">{html.escape(_summary(seen, made, name))}</td>'
    cells = "".join(
        _cell(words, fill, outline, shape)
        for words, fill, outline, shape in _legend(made, style, color, group, filling, theme, measured)
    )
    table = '<table border="0" cellborder="1" cellspacing="6" cellpadding="3">'
    return f"<{table}<tr>{row}</tr><tr>{cells}</tr></table>>"


def _summary(seen: Picture, made: Sequence[Box], name: str) -> str:
    nodes = {phase: sum(box.nodes for box in made if box.phase == phase) for phase in PHASES}
    counts = ", ".join(f"{count} {phase}" for phase, count in nodes.items() if count)
    words = f"{printable(name)}: {counts or 'no'} operations"
    if seen.folded:
        boxes = sum(box.nodes > 1 for box in made)
        words += f"; {seen.folded} of them folded into {boxes} boxes (level='ops' shows each)"
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
    if len(phases) > 1:
        yield "dashed: kept from forward for backward", theme.ground, theme.pale, "dashed"
    if group == "task":
        yield "frame: one task, with its estimated time", theme.band, theme.grey, "rounded"
