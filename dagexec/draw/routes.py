"""Ways of arrows through the free strips of a grid, and what room they need there.

Boxes stand in cells; between the columns and between the lanes run free strips. An arrow leaves its box on
the side the flow goes to, crosses lanes in a strip between columns, runs along in a strip between lanes, and
enters where the flow comes from; so it never crosses a box. Arrows of one net (from one box to many, or from
many to one) share their way. In a strip, nets side by side get a track each.

Nothing is measured here: the ways are told in cells, `grid` turns them into points.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from dagexec.draw.picture import Arrow, Box

Cell = tuple[int, int]
Net = tuple[str, Hashable]  # ("from" or "kept", source) or ("into", sources)
Strip = tuple[str, int]  # "columns" or "lanes", and the number of the column or lane it lies before
MANY = 3  # arrows into one box that share their way


@dataclass(frozen=True)
class Area:
    """A rectangle of cells: what a frame surrounds. Last ones are included."""

    first_column: int
    last_column: int
    first_lane: int
    last_lane: int


@dataclass(frozen=True)
class Way:
    """One arrow's way: straight where `leaves` is None, else through strips.

    `leaves` and `enters` are strips between columns; where they differ, `along` is the strip between lanes
    that joins them. `out` and `into` say on which side of its box (+1 in the direction of the columns) it
    leaves and enters.
    """

    arrow: Arrow
    net: Net
    out: int = 0
    into: int = 0
    leaves: int | None = None
    enters: int | None = None
    along: int | None = None


class Router:
    """Finds a way for each arrow and a track for each net in each strip."""

    def __init__(
        self,
        boxes: Mapping[str, Box],
        cells: Mapping[str, Cell],
        areas: Mapping[str, tuple[Area, ...]],
        crowned: Iterable[str],
    ) -> None:
        """`areas` are those around a box, from outside; `crowned` boxes have others standing on them."""
        self.boxes = boxes
        self.cells = cells
        self.areas = areas
        self.crowned = set(crowned)
        self.in_lane: dict[int, list[int]] = {}
        self.in_column: dict[int, list[int]] = {}
        for column, lane in cells.values():
            self.in_lane.setdefault(lane, []).append(column)
            self.in_column.setdefault(column, []).append(lane)
        for places in (*self.in_lane.values(), *self.in_column.values()):
            places.sort()

    def ways(self, arrows: Iterable[Arrow]) -> list[Way]:
        """The way of each arrow, in their order."""
        arrows = list(arrows)
        into = Counter(arrow.target for arrow in arrows if not arrow.saved)
        sources: dict[str, list[str]] = {}
        for arrow in arrows:
            if self._collects(arrow, into):
                sources.setdefault(arrow.target, []).append(arrow.source)
        nets = {key: ("into", tuple(found)) for key, found in sources.items()}
        self.along_of: dict[Net, int] = {}  # of what is collected; the same sources, the same way
        ways = []
        for arrow in arrows:
            net: Net = "kept" if arrow.saved else "from", arrow.source
            if self._collects(arrow, into):
                net = nets[arrow.target]
            ways.append(self._way(arrow, net))
        return ways

    def _collects(self, arrow: Arrow, into: Mapping[str, int]) -> bool:
        many = into[arrow.target] >= MANY or self.boxes[arrow.target].role == "sum"
        return many and not arrow.saved

    def _way(self, arrow: Arrow, net: Net) -> Way:
        (from_column, from_lane), (to_column, to_lane) = self.cells[arrow.source], self.cells[arrow.target]
        out = _direction(self.boxes[arrow.source])
        into = _direction(self.boxes[arrow.target])
        ahead = from_lane == to_lane and out == into and (to_column - from_column) * out > 0
        if ahead and _nothing_between(self.in_lane[from_lane], from_column, to_column):
            return Way(arrow, net, out, into)
        if from_column == to_column:
            lower = arrow.target if to_lane > from_lane else arrow.source
            if lower not in self.crowned and _nothing_between(
                self.in_column[from_column], from_lane, to_lane
            ):
                return Way(arrow, net)
        if from_column == to_column:  # out on the side where it enters, not around both boxes
            out = -into
        leaves = from_column + (out > 0)
        enters = to_column + (into < 0)
        along = None
        if leaves != enters:
            along = self._along(arrow, from_lane, to_lane)
            if net[0] == "into":
                along = self.along_of.setdefault(net, along)
        return Way(arrow, net, out, into, leaves, enters, along)

    def _along(self, arrow: Arrow, from_lane: int, to_lane: int) -> int:
        """The strip between lanes: beside the target, outside of frames that hold but one end."""
        ends = []
        outer, inner = self.areas.get(arrow.source, ()), self.areas.get(arrow.target, ())
        common = 0
        while common < min(len(outer), len(inner)) and outer[common] is inner[common]:
            common += 1
        for areas, lane in ((outer, from_lane), (inner, to_lane)):
            area = areas[common] if len(areas) > common else None
            ends.append((area.first_lane, area.last_lane) if area else (lane, lane))
        (from_first, from_last), (to_first, to_last) = ends
        if from_last < to_first:
            return to_first
        if to_last < from_first:
            return to_last + 1
        return min(from_first, to_first)


def _direction(box: Box) -> int:
    return 1 if box.phase == "forward" else -1


def _nothing_between(places: list[int], one: int, other: int) -> bool:
    first, last = sorted((one, other))
    return bisect_left(places, last) - bisect_left(places, first) <= 1


def tracks(
    ways: Iterable[Way], cells: Mapping[str, Cell]
) -> tuple[dict[tuple[Strip, Net], int], dict[Strip, int]]:
    """The track of each net in each strip, and how many tracks a strip has.

    Nets whose stretches of a strip overlap get different tracks; the least number of tracks does (left-edge
    algorithm, Hashimoto and Stevens 1971).
    """
    stretch: dict[tuple[Strip, Net], tuple[float, float]] = {}

    def note(strip: Strip, net: Net, one: float, other: float) -> None:
        low, high = stretch.get((strip, net), (one, one))
        stretch[strip, net] = min(low, one, other), max(high, one, other)

    for way in ways:
        if way.leaves is None or way.enters is None:
            continue
        from_lane, to_lane = cells[way.arrow.source][1], cells[way.arrow.target][1]
        if way.along is None:
            note(("columns", way.leaves), way.net, from_lane, to_lane)
        else:
            note(("columns", way.leaves), way.net, from_lane, way.along - 0.5)
            note(("columns", way.enters), way.net, to_lane, way.along - 0.5)
            note(("lanes", way.along), way.net, way.leaves - 0.5, way.enters - 0.5)
    by_strip: dict[Strip, list[tuple[float, float, Net]]] = {}
    for (strip, net), (low, high) in stretch.items():
        by_strip.setdefault(strip, []).append((low, high, net))
    track: dict[tuple[Strip, Net], int] = {}
    count: dict[Strip, int] = {}
    for strip, found in by_strip.items():
        count[strip] = 0
        ends: list[tuple[float, int]] = []
        for low, high, net in sorted(found, key=lambda part: part[:2]):
            if ends and ends[0][0] < low:
                _, number = heappop(ends)
            else:
                number = count[strip]
                count[strip] += 1
            heappush(ends, (high, number))
            track[strip, net] = number
    return track, count
