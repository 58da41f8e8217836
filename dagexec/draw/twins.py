"""Cells of a grid for training graphs: forward runs to the right, backward returns beneath it.

Columns follow the flow: a forward box stands right of all it reads, a backward box in the column of its
forward twin, so the backward rows mirror the forward rows. Lanes run along the flow: the longest way through
a region is a straight line on lane 0; what feeds it stands above, what is made of it beside it on the other
side. A region is laid out by itself, before what is around it, so blocks that are alike look alike.

>>> from dagexec.draw.picture import Arrow, Box, Picture
>>> def box(key, phase="forward", twin=None):
...     return Box(key, "op", (key,), phase, (), "elementwise", twin=twin)
>>> boxes = (box("a"), box("b"), box("db", "backward", "b"), box("da", "backward", "a"))
>>> arrows = (Arrow("a", "b"), Arrow("db", "da"))
>>> cells_by_twin(Picture(boxes, arrows, 0), {})
{'a': (0, 0), 'b': (1, 0), 'db': (1, 1), 'da': (0, 1)}
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import takewhile

from dagexec.draw.picture import Box, Picture
from dagexec.graph import PHASES

Path = tuple[str, ...]
Cell = tuple[int, int]  # column, lane
NARROW = 3  # columns of updates that stand left of all else
Item = str | Path  # what a region holds: boxes by key, regions by path


@dataclass
class Region:
    """A part of the picture that is laid out by itself; columns and lanes count from its own first ones."""

    items: dict[str, list[Item]] = field(default_factory=dict)  # by phase, in topological order
    before: dict[str, dict[Item, list[Item]]] = field(default_factory=dict)  # by phase: what an item reads
    behind: dict[Item, list[Item]] = field(default_factory=dict)  # what it reads on the way back
    leaving: set[Item] = field(default_factory=set)  # what others read on the way on
    start: dict[Item, int] = field(default_factory=dict)  # first column of each item
    lane: dict[tuple[Item, str], int] = field(default_factory=dict)  # lane 0 of each item, by phase
    extent: dict[str, tuple[int, int]] = field(default_factory=dict)  # first and last lane, by phase
    width: int = 1  # columns


def cells_by_twin(picture: Picture, paths: Mapping[str, Path]) -> dict[str, Cell]:
    """Column and lane of each box, by key; `paths` says in which region a box is, from outside.

    Linear in boxes and arrows, but for the sorting of regions that wait for each other.
    """
    boxes = {box.key: box for box in picture.boxes}
    regions = _regions(picture, paths)
    families: dict[Path, list[Path]] = {}
    for path in sorted(regions, key=len, reverse=True):
        families.setdefault(tuple(name.split("[")[0] for name in path), []).append(path)
    for family in families.values():
        for path in family:
            _lay_out(regions[path], regions, boxes)
        if len(family) > 1:
            _make_alike([regions[path] for path in family], regions, boxes)
    return _absolute(regions, boxes)


def _regions(picture: Picture, paths: Mapping[str, Path]) -> dict[Path, Region]:
    """All regions with what they hold and which of their items read which."""
    regions: dict[Path, Region] = {(): Region()}
    phase = {box.key: box.phase for box in picture.boxes}
    role = {box.key: box.role for box in picture.boxes}
    for box in picture.boxes:
        path = paths.get(box.key, ())
        items: list[Item] = [*(path[:depth] for depth in range(1, len(path) + 1)), box.key]
        for depth, item in enumerate(items):
            region = regions.setdefault(path[:depth], Region())
            region.before.setdefault(box.phase, {}).setdefault(item, [])
    for arrow in picture.arrows:
        if phase[arrow.source] == "forward" != phase[arrow.target]:
            continue  # what is kept for later decides nothing
        one, other = paths.get(arrow.source, ()), paths.get(arrow.target, ())
        common = common_length(one, other)
        source = arrow.source if len(one) == common else one[: common + 1]
        target = arrow.target if len(other) == common else other[: common + 1]
        if phase[arrow.source] == phase[arrow.target] and role[arrow.target] != "sum":
            for depth in range(common + 1, len(one) + 1):
                leaves = one[: depth + 1] if depth < len(one) else arrow.source
                regions[one[:depth]].leaving.add(leaves)
        if source != target:
            region = regions[one[:common]]
            region.before[phase[arrow.target]][target].append(source)
            if phase[arrow.source] != "forward":
                region.behind.setdefault(target, []).append(source)
    for region in regions.values():
        for name, before in region.before.items():
            region.items[name] = _sorted(before)
    return regions


def common_length(one: Sequence[object], other: Sequence[object]) -> int:
    """How many first entries two sequences share.

    >>> common_length("abc", "abd")
    2
    """
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other))))


def _sorted(before: dict[Item, list[Item]]) -> list[Item]:
    """Items in topological order; where regions wait for each other, the first to begin goes first.

    What an item reads that comes later than it is dropped from `before`.
    """
    items = list(before)
    order = {item: number for number, item in enumerate(items)}
    after: dict[Item, list[Item]] = {item: [] for item in items}
    for item in items:
        before[item] = [source for source in dict.fromkeys(before[item]) if source in order]
        for source in before[item]:
            after[source].append(item)
    waiting = {item: len(before[item]) for item in items}
    ready = [order[item] for item in items if not waiting[item]]
    stuck = deque(items)
    done: dict[Item, int] = {}
    while len(done) < len(items):
        while not ready:
            if (first := stuck.popleft()) not in done:
                ready.append(order[first])
        item = items[heappop(ready)]
        if item in done:
            continue
        done[item] = len(done)
        for reader in after[item]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready, order[reader])
    for item in items:
        before[item] = [source for source in before[item] if done[source] < done[item]]
    return list(done)


def _lay_out(region: Region, regions: Mapping[Path, Region], boxes: Mapping[str, Box]) -> None:
    """Columns and lanes of a region whose inner regions are laid out."""
    width = {
        item: 1 if isinstance(item, str) else regions[item].width
        for items in region.items.values()
        for item in items
    }
    _set_columns(region, width, boxes, root=region is regions[()])
    for phase, items in region.items.items():
        extent = {item: (0, 0) if isinstance(item, str) else regions[item].extent[phase] for item in items}
        root = region is regions[()]
        sums = [item for item in items if root and isinstance(item, str) and boxes[item].role == "sum"]
        others = [item for item in items if item not in set(sums)]
        lane = Lanes(region, phase, others, width, extent).lane
        floor = max((lane[item] + extent[item][1] for item in others), default=-1)
        for item, row in Lanes(region, phase, sums, width, extent, downwards=True).lane.items():
            lane[item] = floor + 1 + row
        _set_lanes(region, phase, lane, extent)


def _set_lanes(
    region: Region, phase: str, lane: Mapping[Item, int], extent: Mapping[Item, tuple[int, int]]
) -> None:
    region.lane |= {(item, phase): row for item, row in lane.items()}
    first = min(row + extent[item][0] for item, row in lane.items())
    last = max(row + extent[item][1] for item, row in lane.items())
    region.extent[phase] = first, last


def _make_alike(family: Sequence[Region], regions: Mapping[Path, Region], boxes: Mapping[str, Box]) -> None:
    """Lay the lanes of regions with the same columns as if all of them held what any of them holds.

    The first and the last step of a network lack a gradient or a sum; what they have stands as in the others.
    Nothing is done where the regions have little in common.
    """
    whole = Region(width=max(region.width for region in family))
    named = [_names(region, boxes) for region in family]
    extents: dict[str, dict[Item, tuple[int, int]]] = {}
    width: dict[Item, int] = {}
    for region, names in zip(family, named):
        whole.leaving |= {names[item] for item in region.leaving}
        for item, name in names.items():
            wide = 1 if isinstance(item, str) else regions[item].width
            same = whole.start.setdefault(name, region.start[item]), width.setdefault(name, wide)
            if same != (region.start[item], wide):
                return
        for phase, items in region.items.items():
            before = whole.before.setdefault(phase, {})
            extent = extents.setdefault(phase, {})
            for item in items:
                sources = region.before[phase][item]
                before.setdefault(names[item], []).extend(names[source] for source in sources)
                first, last = (0, 0) if isinstance(item, str) else regions[item].extent[phase]
                low, high = extent.get(names[item], (first, last))
                extent[names[item]] = min(low, first), max(high, last)
    for phase, before in whole.before.items():
        most = max(len(region.items.get(phase, ())) for region in family)
        if 3 * len(before) > 4 * most:
            return
    for phase, before in whole.before.items():
        lane = Lanes(whole, phase, _sorted(before), width, extents[phase]).lane
        for region, names in zip(family, named):
            if phase in region.items:
                own = {item: lane[names[item]] for item in region.items[phase]}
                _set_lanes(region, phase, own, {item: extents[phase][names[item]] for item in own})


def _names(region: Region, boxes: Mapping[str, Box]) -> dict[Item, Item]:
    """What each item is called in all regions that are alike: by its operation and that of its twin."""
    names: dict[Item, Item] = {}
    count: Counter[str] = Counter()
    for phase, items in region.items.items():
        for item in items:
            if item in names:
                continue
            if isinstance(item, str):
                box = boxes[item]
                what = next((line for line in box.label if not line.startswith("∇")), "")
                twin = names.get(box.twin, "") if box.twin else ""
                name = f"{phase} {box.kind} {what.rsplit(' ', 1)[0]} of ({twin})"
            else:
                name = item[-1].split("[")[0]
            names[item] = f"{name} {count[name]}"
            count[name] += 1
    return names


def _set_columns(region: Region, width: Mapping[Item, int], boxes: Mapping[str, Box], *, root: bool) -> None:
    """Forward early, or later where that makes arrows shorter; backward beneath the twins.

    Sums of the gradients of inputs, at the root, stand beneath what they add first.
    """
    start = region.start
    forward = region.items.get("forward", [])
    before = region.before.get("forward", {})
    after: dict[Item, list[Item]] = {item: [] for item in forward}
    for item in forward:
        start[item] = max((start[source] + width[source] for source in before[item]), default=0)
        for source in before[item]:
            after[source].append(item)
    for item in reversed(forward):
        if after[item] and len(after[item]) >= len(before[item]):
            start[item] = min(start[reader] for reader in after[item]) - width[item]
    last = max((start[item] + width[item] for item in forward), default=1) - 1
    for phase in ("backward", "update"):
        for item in region.items.get(phase, ()):
            twin = boxes[item].twin if isinstance(item, str) else None
            if item in start:
                continue
            if twin in start:
                start[item] = start[twin]
                continue
            behind = [start[source] for source in region.behind.get(item, ()) if source in start]
            stays = root and _adds_first(item, region, boxes)
            start[item] = min(behind) - (0 if stays else width[item]) if behind else last
    _draw_in(region, width)
    first = min(start.values(), default=0)
    for item in start:
        start[item] -= first
    region.width = max((start[item] + width[item] for item in start), default=1)


def _draw_in(region: Region, width: Mapping[Item, int]) -> None:
    """Updates late where that makes arrows shorter; many columns of them beneath the gradients."""
    start = region.start
    others = {item for phase, items in region.items.items() if phase != "update" for item in items}
    updates = [item for item in region.items.get("update", ()) if item not in others]
    after: dict[Item, list[Item]] = {item: [] for item in updates}
    for item in updates:
        for source in region.before["update"][item]:
            if source in after:
                after[source].append(item)
    for item in reversed(updates):
        behind = region.behind.get(item, ())
        if after[item] and len(after[item]) >= len(behind):
            start[item] = max(start[reader] + width[reader] for reader in after[item])
        elif not behind:
            start[item] = min(start[one] for one in updates)
    if not updates or not others:
        return
    wide = max(start[item] + width[item] for item in updates) - min(start[item] for item in updates)
    if wide > NARROW:
        room = max(start[item] + width[item] for item in others)
        room -= max(start[item] + width[item] for item in updates)
        shift = min(room, min(start[item] for item in others) - min(start[item] for item in updates))
        for item in updates:
            start[item] += max(shift, 0)


def _adds_first(item: Item, region: Region, boxes: Mapping[str, Box]) -> bool:
    """Whether an item is one sum of gradients, and of none that are sums themselves."""
    sums = [one for one in (item, *region.behind.get(item, ())) if one in boxes and boxes[one].role == "sum"]
    return sums == [item] and boxes[sums[0]].nodes == 1


class Lanes:
    """The lane of each item of one phase: chains of items, each on one lane, stacked without overlap.

    The first chain is the longest way; then, chain by chain, what feeds a chain goes above and what reads
    from it beneath (above as well on the way forward, whose lower side faces the way back).
    """

    def __init__(
        self,
        region: Region,
        phase: str,
        items: Sequence[Item],
        width: Mapping[Item, int],
        extent: Mapping[Item, tuple[int, int]],
        *,
        downwards: bool = False,
    ) -> None:
        """`extent` is that of each item around its lane 0; `downwards`: what feeds a chain is beneath too."""
        self.columns = region.width
        self.leaving = region.leaving
        self.width = width
        self.start = region.start
        self.extent = extent
        self.rightwards = phase == "forward"
        self.lane: dict[Item, int] = {}
        self.top: dict[int, int] = {}  # by column, the first and the last lane in use
        self.bottom: dict[int, int] = {}
        self.downwards = downwards
        known, before = set(items), region.before[phase]
        self.before = {item: [one for one in before[item] if one in known] for item in items}
        self.after: dict[Item, list[Item]] = {item: [] for item in items}
        for item in items:
            for source in self.before[item]:
                self.after[source].append(item)
        self.behind = self._lengths(items, self.before)
        self.ahead = self._lengths(items[::-1], self.after)
        first = max(items, key=lambda item: (self.ahead[item], item in self.leaving), default=None)
        for seed in items if first is None else (first, *items):
            if seed not in self.lane:
                self._spread(self._chain(seed, self.after, self.ahead, ahead=True))

    def _lengths(self, items: Sequence[Item], towards: Mapping[Item, list[Item]]) -> dict[Item, int]:
        """How many columns the longest way on from each item crosses."""
        length: dict[Item, int] = {}
        for item in items:
            on = [length[one] + self._distance(item, one) for one in towards[item]]
            length[item] = max(on, default=0)
        return length

    def _distance(self, one: Item, other: Item) -> int:
        return abs(self.start[one] - self.start[other])

    def _spread(self, chain: list[Item]) -> None:
        """Place a chain, then all that hangs on it: first what feeds it and that, then what reads from it."""
        self._place(chain, upwards=self.rightwards)
        feeding, reading = deque(chain), deque(chain)
        while feeding or reading:
            if feeding:
                found = [source for source in self.before[feeding.popleft()] if source not in self.lane]
                chains = [(source, self.before, self.behind, False) for source in found]
            else:
                found = [reader for reader in self.after[reading.popleft()] if reader not in self.lane]
                chains = [(reader, self.after, self.ahead, True) for reader in found]
            for item, towards, length, ahead in chains:
                if item not in self.lane:
                    chain = self._chain(item, towards, length, ahead=ahead)
                    self._place(chain, upwards=self.rightwards or not (ahead or self.downwards))
                    feeding.extend(chain)
                    reading.extend(chain)

    def _chain(
        self, item: Item, towards: Mapping[Item, list[Item]], length: Mapping[Item, int], *, ahead: bool
    ) -> list[Item]:
        """From `item` the longest way on through what has no place yet.

        Where it stays in a column on its way ahead, the last of that column's items is on the chain: the
        others stand above it, as what feeds it.
        """
        chain = [item]
        while True:
            on = [one for one in towards[item] if one not in self.lane]
            on = [one for one in on if self._beyond(item, one, ahead) or (ahead and self._leads_on(one))]
            if not on:
                return chain
            after = max(on, key=lambda one: self._fitness(item, one, length))
            while chain and not self._beyond(chain[-1], after, ahead):
                chain.pop()
            item = after
            chain.append(item)

    def _leads_on(self, item: Item) -> bool:
        return self.ahead[item] > 0 or item in self.leaving

    def _fitness(self, item: Item, on: Item, length: Mapping[Item, int]) -> tuple[int, bool, int]:
        """How good it is to go on from `item`: far, out of the region, by many steps."""
        distance = self._distance(item, on)
        return distance + length[on], on in self.leaving, -distance

    def _beyond(self, item: Item, other: Item, ahead: bool) -> bool:
        left, right = (item, other) if ahead == self.rightwards else (other, item)
        return self.start[left] + self.width[left] <= self.start[right]

    def _place(self, chain: Sequence[Item], *, upwards: bool) -> None:
        columns = range(
            min(self.start[item] for item in chain),
            max(self.start[item] + self.width[item] for item in chain),
        )
        over = min(self.extent[item][0] for item in chain)
        under = max(self.extent[item][1] for item in chain)
        if upwards:
            used = [self.top[column] for column in columns if column in self.top]
            lane = min(used) - 1 - under if used else 0
        else:
            used = [self.bottom[column] for column in columns if column in self.bottom]
            lane = max(used) + 1 - over if used else 0
        if not self.lane:  # the main way has its lane for itself
            columns = range(self.columns)
        for item in chain:
            self.lane[item] = lane
        for column in columns:
            self.top[column] = min(self.top.get(column, lane + over), lane + over)
            self.bottom[column] = max(self.bottom.get(column, lane + under), lane + under)


def _absolute(regions: Mapping[Path, Region], boxes: Mapping[str, Box]) -> dict[str, Cell]:
    """The cells of all boxes, counted from the first column and lane of the picture."""
    root = regions[()]
    offset: dict[str, int] = {}
    lanes = 0
    for phase in PHASES:
        if phase in root.extent:
            first, last = root.extent[phase]
            offset[phase] = lanes - first
            lanes += last - first + 1
    where: dict[Path, tuple[int, dict[str, int]]] = {(): (0, offset)}
    cells: dict[str, Cell] = {}
    for path in sorted(regions, key=len):
        region = regions[path]
        column, lane = where[path]
        for item, start in region.start.items():
            if isinstance(item, str):
                phase = boxes[item].phase
                cells[item] = column + start, lane[phase] + region.lane[item, phase]
            else:
                inner = {phase: lane[phase] + region.lane[item, phase] for phase in regions[item].extent}
                where[item] = column + start, inner
    return {key: cells[key] for key in boxes}
