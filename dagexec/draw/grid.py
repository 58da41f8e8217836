"""From cells to points: how wide columns and lanes are, where boxes, frames and arrows lie.

Two axes: columns follow one another along the flow, lanes across it. The flow runs to the right, or, for
levels, down; only the last step knows which. Units are points, y runs down.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dagexec.draw.routes import Area, Cell, Strip, Way, tracks

Point = tuple[float, float]

TRACK = 5.0  # between two tracks of a strip
HEAD = 12.0  # from a box to a track: room for an arrowhead
BETWEEN_LANES = 9.0
PORT = 4.5  # from the middle of a side to where an arrow that turns leaves or enters


@dataclass(frozen=True)
class Size:
    """The extent of a box along the flow and across it, and of what stands on it across the flow."""

    along: float
    across: float
    crown: float = 0.0
    crown_along: float = 0.0


@dataclass(frozen=True)
class Framed:
    """A frame around an area, with `pad` on three sides and `head` on the fourth, before its first lane.

    `rank` is one more than that of the frames in it; frames of the same `like` have columns of one width.
    """

    area: Area
    rank: int
    pad: float
    head: float
    like: Hashable = None


class Grid:
    """Positions along the flow (`begin`, `end` of a column) and across it (`top`, `bottom` of a lane)."""

    def __init__(
        self,
        cells: Mapping[str, Cell],
        sizes: Mapping[str, Size],
        frames: Sequence[Framed],
        ways: Sequence[Way],
        room: Mapping[Strip, float],
    ) -> None:
        """`room` is what labels of arrows need in a strip."""
        self.cells = cells
        self.sizes = sizes
        self.room = room
        self.track, count = tracks(ways, cells)
        self.count = count
        columns = 1 + max((column for column, _ in cells.values()), default=0)
        lanes = 1 + max((lane for _, lane in cells.values()), default=0)
        width = [0.0] * columns
        over, under = [0.0] * lanes, [0.0] * lanes
        for key, (column, lane) in cells.items():
            size = sizes[key]
            width[column] = max(width[column], size.along, size.crown_along)
            over[lane] = max(over[lane], size.across / 2 + size.crown)
            under[lane] = max(under[lane], size.across / 2)
        opened, closed = _reserves(frames, columns, lanes)
        gap = [
            2 * HEAD
            + TRACK * max(count.get(("columns", number), 0) - 1, 0)
            + room.get(("columns", number), 0.0)
            for number in range(columns + 1)
        ]
        _make_alike(frames, width, gap)
        self.begin, self.end, self.strip_begin = _march(
            gap,
            width,
            [closed.get(("columns", n), 0.0) for n in range(columns + 1)],
            [opened.get(("columns", n), 0.0) for n in range(columns + 1)],
        )
        lane_gap = [
            BETWEEN_LANES
            + (self._pitch(strip, room) * count[strip] if (strip := ("lanes", number)) in count else 0.0)
            for number in range(lanes + 1)
        ]
        self.top, self.bottom, self.lane_strip_begin = _march(
            lane_gap,
            [a + b for a, b in zip(over, under)],
            [closed.get(("lanes", n), 0.0) for n in range(lanes + 1)],
            [opened.get(("lanes", n), 0.0) for n in range(lanes + 1)],
        )
        self.middle = [top + over[lane] for lane, top in enumerate(self.top)]

    def centre(self, key: str) -> Point:
        """The middle of a box, along and across."""
        column, lane = self.cells[key]
        return (self.begin[column] + self.end[column]) / 2, self.middle[lane]

    def label(self, way: Way, corners: Sequence[Point]) -> Point:
        """Where the label of an arrow stands: on its track between lanes, else beside the tracks."""
        if way.along is not None:
            (x0, y0), (x1, _) = corners[2:4]
            return (x0 + x1) / 2, y0 - 7
        (column, _), (other, _) = self.cells[way.arrow.source], self.cells[way.arrow.target]
        number = max(column, other) if way.leaves is None else way.leaves
        strip = ("columns", number)
        tracks_end = self.strip_begin[number] + HEAD + TRACK * max(self.count.get(strip, 0) - 1, 0)
        x = tracks_end + HEAD / 2 + self.room.get(strip, 0.0) / 2
        return x, corners[-1][1] + (10 if way.out > 0 else -12)

    def frame(self, framed: Framed) -> tuple[float, float, float, float]:
        """First and last position along, first and last across."""
        area, pad = framed.area, framed.pad
        return (
            self.begin[area.first_column] - pad,
            self.end[area.last_column] + pad,
            self.top[area.first_lane] - framed.head,
            self.bottom[area.last_lane] + pad,
        )

    def points(self, way: Way) -> list[Point]:
        """The corners of an arrow's way, from the edge of one box to the edge of the other."""
        source, target = way.arrow.source, way.arrow.target
        (x0, y0), (x1, y1) = self.centre(source), self.centre(target)
        one, other = self.sizes[source], self.sizes[target]
        if way.leaves is None or way.enters is None:
            if way.out:
                return [(x0 + way.out * one.along / 2, y0), (x1 - way.into * other.along / 2, y1)]
            down = 1 if y1 > y0 else -1
            return [(x0, y0 + down * one.across / 2), (x1, y1 - down * other.across / 2)]
        x0 += way.out * one.along / 2
        x1 -= way.into * other.along / 2
        first = self._between_columns(way.leaves, way)
        if way.along is None:
            turn = y1
        else:
            strip = ("lanes", way.along)
            turn = (
                self.lane_strip_begin[way.along]
                + 1
                + self._pitch(strip, self.room) * (1 + self.track[strip, way.net])
            )
        y0 += _port(turn - y0, one)
        if way.along is None:
            y1 += _port(y0 - y1, other)
            return [(x0, y0), (first, y0), (first, y1), (x1, y1)]
        y1 += _port(turn - y1, other)
        last = self._between_columns(way.enters, way)
        return [(x0, y0), (first, y0), (first, turn), (last, turn), (last, y1), (x1, y1)]

    @staticmethod
    def _pitch(strip: Strip, room: Mapping[Strip, float]) -> float:
        """From one track between lanes to the next: more where labels stand on them."""
        return TRACK + room.get(strip, 0.0)

    def _between_columns(self, number: int, way: Way) -> float:
        strip = ("columns", number)
        return self.strip_begin[number] + HEAD + TRACK * self.track[strip, way.net]


def _port(turn: float, size: Size) -> float:
    offset = min(PORT, size.across / 4)
    return offset if turn > 0 else -offset


def _reserves(
    frames: Iterable[Framed], columns: int, lanes: int
) -> tuple[dict[Strip, float], dict[Strip, float]]:
    """The room that frames need in each strip: where they open and where they close."""
    opened: dict[Strip, float] = {}
    closed: dict[Strip, float] = {}
    for framed in frames:
        area, pad, head = framed.area, framed.pad, framed.head
        for found, strip, size in (
            (opened, ("columns", area.first_column), pad),
            (closed, ("columns", area.last_column + 1), pad),
            (opened, ("lanes", area.first_lane), head),
            (closed, ("lanes", area.last_lane + 1), pad),
        ):
            found[strip] = max(found.get(strip, 0.0), size)
    return opened, closed


def _make_alike(frames: Iterable[Framed], width: list[float], gap: list[float]) -> None:
    """Give the columns of frames that are alike the same widths, the innermost frames first."""
    alike: dict[Hashable, list[Area]] = {}
    for framed in sorted(frames, key=lambda framed: framed.rank):
        if framed.like is not None:
            area = framed.area
            alike.setdefault((framed.like, area.last_column - area.first_column), []).append(area)
    for areas in alike.values():
        columns = areas[0].last_column - areas[0].first_column
        for sizes, first in ((width, 0), (gap, 1)):
            for offset in range(first, columns + 1):
                widest = max(sizes[area.first_column + offset] for area in areas)
                for area in areas:
                    sizes[area.first_column + offset] = widest


def _march(
    gap: Sequence[float], size: Sequence[float], closed: Sequence[float], opened: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """Begin and end of each column (or lane), and where the free part of the strip before it begins."""
    begin, end, strip = [], [], []
    at = 0.0
    for number in range(len(size) + 1):
        strip.append(at + closed[number])
        at += closed[number] + gap[number] + opened[number]
        if number < len(size):
            begin.append(at)
            at += size[number]
            end.append(at)
    return begin, end, strip


def spline(corners: Sequence[Point], head: float, radius: float = 7.0) -> tuple[list[Point], Point]:
    """Round the corners: the control points of a Bézier curve that ends `head` before the last corner.

    Returns the 3n + 1 control points and the last corner, where the arrowhead's tip is.
    """
    corners = [*corners[:1], *(after for before, after in pairwise(corners) if before != after)]
    tip = corners[-1]
    if len(corners) == 1:
        return [tip] * 4, tip
    last = _towards(tip, corners[-2], min(head, 0.9 * _distance(tip, corners[-2])))
    line = [*corners[:-1], last]
    points = [line[0]]
    for before, corner, after in zip(line, line[1:], line[2:]):
        bend = min(radius, _distance(before, corner) / 2, _distance(corner, after) / 2)
        start, stop = _towards(corner, before, bend), _towards(corner, after, bend)
        points += [points[-1], start, start, _towards(start, corner, bend * 0.55)]
        points += [_towards(stop, corner, bend * 0.55), stop]
    points += [points[-1], last, last]
    return points, tip


def _distance(one: Point, other: Point) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(start: Point, goal: Point, length: float) -> Point:
    whole = _distance(start, goal)
    share = length / whole if whole else 0.0
    return start[0] + share * (goal[0] - start[0]), start[1] + share * (goal[1] - start[1])
