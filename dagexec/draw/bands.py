"""Cells of a grid for levels: each level is a row, forward runs down on the left, backward up on the right.

Operations of one level can run at the same time: in level n of a phase stand those with n - 1 others of that
phase before them on the longest way. So a row's width is what can run at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dagexec.draw.grid import Framed
from dagexec.draw.labels import text_width
from dagexec.draw.picture import Picture
from dagexec.draw.routes import Area, Cell
from dagexec.draw.twins import Path
from dagexec.graph import PHASES

Neighbours = Mapping[str, Sequence[str]]
SWEEPS = 4
PAD = 4.0  # from a band to what it holds


def cells_by_level(picture: Picture) -> tuple[dict[str, Cell], dict[tuple[str, Path], tuple[Framed, str]]]:
    """Row (as the column along the flow) and lane of each box, and a band around each level."""
    before, after = _neighbours(picture)
    level = levels(picture)
    has_values = any(box.kind == "value" for box in picture.boxes)
    step = 2 if has_values else 1
    phase = {box.key: box.phase for box in picture.boxes}
    kind = {box.key: box.kind for box in picture.boxes}
    depth = {name: max((level[key] for key in level if phase[key] == name), default=0) for name in PHASES}
    rows: dict[str, int] = {}
    for box in picture.boxes:
        place = step * level[box.key] - (1 if has_values and box.kind != "value" else 0)
        rows[box.key] = place if box.phase == "forward" else -place
    deepest = step * max(depth.values())
    shift = {
        "forward": step * (max(depth.values()) - depth["forward"]),
        "backward": deepest + 1,
        "update": deepest + 1 - step * depth["backward"],
    }
    rows = {key: row + shift[phase[key]] for key, row in rows.items()}
    first = min(rows.values(), default=0)
    rows = {key: row - first for key, row in rows.items()}
    cells: dict[str, Cell] = {}
    bands: dict[tuple[str, Path], tuple[Framed, str]] = {}
    left = 0
    for name in PHASES:
        keys = [box.key for box in picture.boxes if box.phase == name]
        if not keys:
            continue
        lanes = _lanes(keys, rows, before, after, downwards=name == "forward")
        least, last = min(lanes.values()), max(lanes.values())
        cells |= {key: (rows[key], left + lanes[key] - least) for key in keys}
        here = Counter((level[key], rows[key]) for key in keys if kind[key] != "value")
        titles = {row: _title(name, number, count) for (number, row), count in here.items()}
        head = max(text_width(title, 10.0) for title in titles.values()) + 16
        for row, title in titles.items():
            area = Area(row, row, left, left + last - least)
            bands[name, (str(row),)] = Framed(area, 1, PAD, head), title
        left += last - least + 1
    return cells, bands


def _title(phase: str, level: int, count: int) -> str:
    return f"{phase} {level}" + f": {count} at once" * (count > 1)


def levels(picture: Picture) -> dict[str, int]:
    """The level of each operation within its phase, from 1; a value has its maker's."""
    before, after = _neighbours(picture)
    phase = {box.key: box.phase for box in picture.boxes}
    counts = {box.key: box.kind != "value" for box in picture.boxes}
    level: dict[str, int] = {}
    for box in picture.boxes:
        behind = (level[key] for key in before[box.key] if phase[key] == box.phase)
        level[box.key] = max(behind, default=0) + counts[box.key]
    kept: set[str] = set()  # made of forward values only: can wait for the gradient it meets
    for box in picture.boxes:
        made = before[box.key]
        early = all(key in kept or phase[key] == "forward" for key in made)
        if early and made and box.phase == "backward":
            kept.add(box.key)
    for box in reversed(picture.boxes):
        readers = [level[key] - counts[key] for key in after[box.key] if phase[key] == box.phase]
        if box.key in kept and readers:
            level[box.key] = max(level[box.key], min(readers))
    return level


def _lanes(
    keys: Sequence[str],
    rows: Mapping[str, int],
    before: Neighbours,
    after: Neighbours,
    *,
    downwards: bool,
) -> dict[str, int]:
    """Sweep over the rows and back: each box wants the mean lane of its neighbours in the sweep's back."""
    by_row: dict[int, list[str]] = {}
    for key in keys:
        by_row.setdefault(rows[key], []).append(key)
    lane: dict[str, int] = {}
    order = sorted(by_row, reverse=not downwards)
    widest = max(map(len, by_row.values()))
    for sweep in range(SWEEPS):
        near = before if sweep % 2 == 0 else after
        for row in order if sweep % 2 == 0 else reversed(order):
            wish = {}
            for key in by_row[row]:
                found = [lane[other] for other in near[key] if other in lane]
                wish[key] = sum(found) / len(found) if found else lane.get(key, widest / 2)
            _settle(sorted(by_row[row], key=lambda key: wish[key]), wish, lane, widest)
    return lane


def _settle(keys: Sequence[str], wish: Mapping[str, float], lane: dict[str, int], widest: int) -> None:
    """Lanes for one row, in this order, each as near to its wish as the others allow."""
    at = -1
    for number, key in enumerate(keys):
        rest = len(keys) - number - 1
        at = max(at + 1, min(round(wish[key]), widest - 1 - rest))
        lane[key] = at


def _neighbours(picture: Picture) -> tuple[Neighbours, Neighbours]:
    """Who stands before and after each box, without the arrows against the order of the boxes.

    Those exist where scopes are folded that were entered more than once; leaving them out keeps this acyclic.
    """
    order = {box.key: number for number, box in enumerate(picture.boxes)}
    before: dict[str, list[str]] = {key: [] for key in order}
    after: dict[str, list[str]] = {key: [] for key in order}
    for arrow in picture.arrows:
        if order[arrow.source] < order[arrow.target]:
            before[arrow.target].append(arrow.source)
            after[arrow.source].append(arrow.target)
    return before, after
