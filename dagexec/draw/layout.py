"""Where everything of a picture stands, in points: boxes, frames, arrows.

`cells_by_twin` or `cells_by_level` give each box its cell, `Router` each arrow its way, `Grid` the points.
Chips, the inputs that stand on their readers, are placed last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dagexec.draw.bands import cells_by_level
from dagexec.draw.grid import Framed, Grid, Point, Size, spline
from dagexec.draw.labels import text_width
from dagexec.draw.picture import Arrow, Box, Picture
from dagexec.draw.routes import Area, Cell, Router, Strip, Way
from dagexec.draw.twins import Path, cells_by_twin

FONT_SIZE = 11.0
CHIP_FONT_SIZE = 9.0
ARROW_FONT_SIZE = 9.0
FRAME_FONT_SIZE = 10.0
LINE = 1.25  # height of a line of text
CHIP_GAP = 4.0  # from a chip to what it stands on
PAD = 6.0  # from a frame to what it holds
TITLE = 11.0  # height of a frame's label
RIM = 4.0  # from the inner outline of a loss to the outer
HEAD_LENGTH = 6.0  # of an arrowhead

Frames = Mapping[str, tuple[tuple[str, str], ...]]  # by box, from outside: what tells a frame, its label


@dataclass(frozen=True)
class Rectangle:
    """A rectangle by its middle, y downwards."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Frame:
    """A rectangle around boxes, with a label at its upper left."""

    label: str
    phase: str
    place: Rectangle
    title: Point


@dataclass(frozen=True)
class Line:
    """An arrow's control points and tip, and where its label stands."""

    arrow: Arrow
    points: tuple[Point, ...]
    tip: Point
    label: Point


@dataclass(frozen=True)
class Layout:
    """The whole picture in points."""

    boxes: Mapping[str, Rectangle]
    frames: tuple[Frame, ...]
    lines: tuple[Line, ...]

    @property
    def width(self) -> float:
        """From the leftmost to the rightmost edge of a box or frame."""
        places = [*self.boxes.values(), *(frame.place for frame in self.frames)]
        left = min((place.x - place.width / 2 for place in places), default=0.0)
        return max((place.x + place.width / 2 for place in places), default=0.0) - left


def lay_out(picture: Picture, frames: Frames, *, by_level: bool, style: str) -> Layout:
    """Place all boxes, frames and arrows; `by_level`: levels as rows, else backward beneath forward."""
    standing = {box.key: box for box in picture.boxes if box.beside is None}
    chips: dict[str, list[Box]] = {}
    for box in picture.boxes:
        if box.beside is not None:
            chips.setdefault(box.beside, []).append(box)
    arrows = [arrow for arrow in picture.arrows if arrow.source in standing]
    bare = Picture(tuple(standing.values()), tuple(arrows), 0)
    paths = {key: tuple(name for name, _ in path) for key, path in frames.items()}
    if by_level:
        cells, framed = cells_by_level(bare)
    else:
        cells = cells_by_twin(bare, paths)
        framed = _framed(bare, cells, frames)
    areas: dict[str, tuple[Area, ...]] = {}
    if not by_level:
        for box in bare.boxes:
            path = paths.get(box.key, ())
            areas[box.key] = tuple(
                framed[box.phase, path[:depth]][0].area for depth in range(1, len(path) + 1)
            )
    extents = {key: extent(box, style) for key, box in ((box.key, box) for box in picture.boxes)}
    sizes = {}
    for key in standing:
        width, height = extents[key]
        stack = [extents[chip.key] for chip in chips.get(key, ())]
        widest = max((size[0] for size in stack), default=0.0)
        high = sum(size[1] + CHIP_GAP for size in stack)
        sizes[key] = (
            Size(height, width, widest + CHIP_GAP if stack else 0.0, high)
            if by_level
            else Size(width, height, high, widest)
        )
    ways = Router(standing, cells, areas, chips).ways(arrows)
    grid = Grid(cells, sizes, [one for one, _ in framed.values()], ways, _room(ways, cells, by_level))
    placed = {}
    for key in standing:
        along, across = grid.centre(key)
        x, y = (across, along) if by_level else (along, across)
        placed[key] = Rectangle(x, y, *extents[key])
        _place_chips(placed, placed[key], chips.get(key, ()), extents, by_level)
    labelled: set[object] = set()
    lines = []
    for way in ways:
        told = (way.net, way.arrow.label) in labelled or not way.arrow.label
        labelled.add((way.net, way.arrow.label))
        lines.append(_line(way, grid, by_level, told))
    lines = _with_room(lines, placed)
    for found in chips.values():
        lines += _chip_lines(found, placed, by_level)
    return Layout(
        placed,
        tuple(_frame(one, label, key[0], grid, by_level) for key, (one, label) in framed.items()),
        tuple(lines),
    )


def extent(box: Box, style: str) -> tuple[float, float]:
    """Width and height that the label of a box needs."""
    chip = box.kind == "input"
    size = CHIP_FONT_SIZE if chip or (style == "bipartite" and box.kind == "value") else FONT_SIZE
    width = max((text_width(line, size) for line in box.label), default=0.0)
    height = LINE * size * len(box.label)
    rim = 2 * RIM if box.role == "loss" else 0.0
    if box.kind in ("op", "fold") and style == "bipartite":
        return width * 1.15 + 12 + rim, height + 10 + rim
    if box.kind == "value" and style == "bipartite":
        return max(width + 6, height + 6) + rim, max(height + 6, min(width + 6, 26.0)) + rim
    return width + (8 if chip else 12) + rim, height + (3 if chip else 8) + rim


def _framed(
    picture: Picture, cells: Mapping[str, Cell], frames: Frames
) -> dict[tuple[str, Path], tuple[Framed, str]]:
    """The frame of each region in each phase, outer ones first."""
    found: dict[tuple[str, Path], list[int]] = {}
    labels: dict[tuple[str, Path], str] = {}
    for box in picture.boxes:
        column, lane = cells[box.key]
        path: Path = ()
        for name, label in frames.get(box.key, ()):
            path = (*path, name)
            area = found.setdefault((box.phase, path), [column, column, lane, lane])
            area[:] = min(area[0], column), max(area[1], column), min(area[2], lane), max(area[3], lane)
            labels[box.phase, path] = label
    rank: dict[tuple[str, Path], int] = {}
    for phase, path in sorted(found, key=lambda key: len(key[1]), reverse=True):
        mine = rank.setdefault((phase, path), 1)
        if len(path) > 1:
            outer = phase, path[:-1]
            rank[outer] = max(rank.get(outer, 1), mine + 1)
    return {
        (phase, path): (
            Framed(
                Area(*area),
                number := rank[phase, path],
                PAD * number,
                (PAD + TITLE) * number,
                tuple(name.split("[")[0] for name in path),
            ),
            labels[phase, path],
        )
        for (phase, path), area in sorted(found.items(), key=lambda part: len(part[0][1]))
    }


def _room(ways: list[Way], cells: Mapping[str, Cell], by_level: bool) -> dict[Strip, float]:
    """What the labels of arrows need: their width between columns, or their height above a track."""
    room: dict[Strip, float] = {}
    for way in ways:
        if not way.arrow.label:
            continue
        if way.along is not None:
            strip, size = ("lanes", way.along), ARROW_FONT_SIZE
        else:
            column = max(cells[way.arrow.source][0], cells[way.arrow.target][0])
            strip, size = ("columns", column), text_width(way.arrow.label, ARROW_FONT_SIZE)
        room[strip] = max(room.get(strip, 0.0), size)
    return room


def _place_chips(
    placed: dict[str, Rectangle],
    on: Rectangle,
    chips: list[Box] | tuple[()],
    extents: Mapping[str, tuple[float, float]],
    by_level: bool,
) -> None:
    """Chips stand on their reader, one on the other; where the flow runs down, to the left of it."""
    if by_level:
        y = on.y - sum(extents[chip.key][1] + CHIP_GAP for chip in chips) / 2
        for chip in chips:
            width, height = extents[chip.key]
            placed[chip.key] = Rectangle(
                on.x - on.width / 2 - CHIP_GAP - width / 2, y + (height + CHIP_GAP) / 2, width, height
            )
            y += height + CHIP_GAP
        return
    y = on.y - on.height / 2
    for chip in chips:
        width, height = extents[chip.key]
        y -= CHIP_GAP + height
        placed[chip.key] = Rectangle(on.x, y + height / 2, width, height)


def _chip_lines(chips: list[Box], placed: Mapping[str, Rectangle], by_level: bool) -> list[Line]:
    lines = []
    reader = chips[0].beside
    assert reader is not None
    below = placed[reader]
    for chip in chips:
        place = placed[chip.key]
        if by_level:
            start = place.x + place.width / 2, place.y
            end = below.x - below.width / 2, min(max(place.y, below.y - 5), below.y + 5)
        else:
            start, end = (place.x, place.y + place.height / 2), (place.x, below.y - below.height / 2)
            below = place
        lines.append(Line(Arrow(chip.key, reader), (start, start, end, end), end, start))
    return lines


def _line(way: Way, grid: Grid, by_level: bool, told: bool) -> Line:
    corners = grid.points(way)
    label = grid.label(way, corners)
    points, tip = spline(corners, HEAD_LENGTH)
    if by_level:
        points = [(y, x) for x, y in points]
        tip, label = (tip[1], tip[0]), (label[1], label[0])
    arrow = replace(way.arrow, label="") if told else way.arrow
    return Line(arrow, tuple(points), tip, label)


def _with_room(lines: list[Line], placed: Mapping[str, Rectangle]) -> list[Line]:
    """The lines, labelled where the label lies on no box, no other label and no arrow.

    There are two places for each, one on either side of its arrow. Linear in labels times boxes and arrows.
    """
    taken = [_sides(place) for place in placed.values()]
    for line in lines:
        corners = line.points[::3]
        for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], line.tip)):
            taken.append((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
    found = []
    for line in lines:
        if line.arrow.label:
            (x, y), (_, tip) = line.label, line.tip
            half = text_width(line.arrow.label, ARROW_FONT_SIZE) / 2
            for place in ((x, y), (x, 2 * tip - y)):
                sides = _sides(Rectangle(*place, 2 * half, ARROW_FONT_SIZE))
                if not any(_meet(sides, other) for other in taken):
                    taken.append(sides)
                    line = replace(line, label=place)
                    break
            else:
                line = replace(line, arrow=replace(line.arrow, label=""))
        found.append(line)
    return found


def _sides(place: Rectangle) -> tuple[float, float, float, float]:
    return (
        place.x - place.width / 2,
        place.y - place.height / 2,
        place.x + place.width / 2,
        place.y + place.height / 2,
    )


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _frame(framed: Framed, label: str, phase: str, grid: Grid, by_level: bool) -> Frame:
    x0, x1, y0, y1 = grid.frame(framed)
    if by_level:
        x0, x1, y0, y1 = y0, y1, x0, x1
    title = x0 + 6 + text_width(label, FRAME_FONT_SIZE) / 2, (y0 + y1) / 2 if by_level else y0 + 8
    return Frame(label, phase, Rectangle((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), title)
