"""Where boxes stand: forward runs along the columns to the right, backward returns to the left beneath it.

A backward box stands in the column of its forward twin, so the backward row is the mirror of the forward row.
Only columns are decided here; rows, and the curves of the arrows, are Graphviz's work.

>>> from dagexec.draw.picture import Arrow, Box, Picture
>>> def box(key, phase="forward", twin=None):
...     return Box(key, "op", (key,), phase, (), "elementwise", twin=twin)
>>> boxes = (box("a"), box("b"), box("db", "backward", "b"), box("da", "backward", "a"))
>>> arrows = (Arrow("a", "b", "", False), Arrow("db", "da", "", False))
>>> columns(Picture(boxes, arrows, 0))
{'a': 1, 'b': 2, 'db': 2, 'da': 1}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dagexec.draw.picture import Arrow, Box, Picture
from dagexec.graph import PHASES

REACH = 9  # columns that an arrow may cross
REACH_OF_SHARED = 6  # the same for a value that many read, and for the sum of many gradients
REACH_OF_SAVED = 3  # the same from forward to backward, which crosses rows as well
NAMED = 2  # names on one tag

Neighbours = Mapping[str, Sequence[str]]


def columns(picture: Picture) -> dict[str, int]:
    """The column of each box, by key: backward boxes beside their twins, inputs beside their first reader."""
    before, after = _neighbours(picture)
    column = _forward_columns(picture.boxes, before, after)
    last = max(column.values(), default=1)
    phase = {box.key: box.phase for box in picture.boxes}
    for box in picture.boxes:
        if box.phase == "forward":
            continue
        if box.twin in column:
            column[box.key] = column[box.twin]
        else:  # a backward value or an update: one further on the way back
            behind = [column[key] for key in before[box.key] if phase[key] != "forward"]
            column[box.key] = min(behind, default=last + 1) - 1
    return _beside_readers(picture.boxes, after, column)


def levels(picture: Picture) -> tuple[dict[str, int], dict[str, str]]:
    """The column of each box, and the level of each operation, by key.

    Operations of one level can run at the same time: in level n of a phase stand those with n - 1 others of
    that phase before them on the longest way.
    """
    before, after = _neighbours(picture)
    phase = {box.key: box.phase for box in picture.boxes}
    is_operation = {box.key: box.kind in ("op", "fold") for box in picture.boxes}
    level: dict[str, int] = {}
    for box in picture.boxes:
        behind = (level[key] for key in before[box.key] if phase[key] == box.phase)
        level[box.key] = max(behind, default=0) + is_operation[box.key]
    for box in reversed(picture.boxes):  # what reads only forward values can wait for the gradient it meets
        readers = [level[key] - is_operation[key] for key in after[box.key] if phase[key] == box.phase]
        made = [key for key in before[box.key] if phase[key] == box.phase]
        if box.phase == "backward" and readers and len(readers) >= len(made):
            level[box.key] = max(level[box.key], min(readers))
    depth = {name: max((level[key] for key in level if phase[key] == name), default=0) for name in PHASES}
    # Two columns a level: its operations, and the values they make. Backward starts beneath forward's last.
    start = {
        "forward": 0,
        "backward": 2 * depth["forward"],
        "update": 2 * (depth["forward"] - depth["backward"]),
    }
    column, name_of = {}, {}
    for box in picture.boxes:
        place = 2 * level[box.key] - is_operation[box.key]
        column[box.key] = place if box.phase == "forward" else start[box.phase] - place
        if is_operation[box.key]:
            name_of[box.key] = f"{box.phase} {level[box.key]}"
    return _beside_readers(picture.boxes, after, column), name_of


def with_tags(picture: Picture, column: dict[str, int]) -> tuple[Picture, dict[str, int]]:
    """The picture with each arrow across many columns cut into two short ones, that end in tags.

    A tag names what is at the other end; an input has none on its side. Nobody follows a line across many
    columns, and Graphviz, which finds a way for it through each of them, takes minutes for a few hundred.
    """
    place = {number: index for index, number in enumerate(sorted(set(column.values())))}
    box_of = {box.key: box for box in picture.boxes}
    readers = Counter(arrow.source for arrow in picture.arrows)
    near: list[Arrow] = []
    ends: dict[tuple[str, str, bool], list[str]] = {}  # names of the boxes far away, by what tag tells them
    for arrow in picture.arrows:
        source, target = box_of[arrow.source], box_of[arrow.target]
        reach = REACH_OF_SHARED if target.role == "sum" or readers[arrow.source] > 2 else REACH
        reach = REACH_OF_SAVED if arrow.saved else reach
        if abs(place[column[target.key]] - place[column[source.key]]) <= reach:
            near.append(arrow)
            continue
        if source.kind != "input":  # an input's name is known from its own box
            ends.setdefault((source.key, "to", arrow.saved), []).append(target.name)
        ends.setdefault((target.key, "from", arrow.saved), []).append(source.name)
    tags = []
    for (key, side, saved), names in ends.items():
        at, tag = box_of[key], f"{key}_{side}{'_saved' * saved}"
        more = f" +{len(names) - NAMED}" if len(names) > NAMED else ""
        label = f"{side} {', '.join(names[:NAMED])}{more}"
        scope = () if at.kind == "fold" else at.scope
        tags.append(Box(tag, "tag", (label,), at.phase, scope, at.family, tooltip=tuple(names)))
        near.append(Arrow(key, tag, "", saved) if side == "to" else Arrow(tag, key, "", saved))
        rightwards = (side == "to") == (at.phase == "forward")
        column[tag] = column[key] + (1 if rightwards else -1)
    return Picture((*picture.boxes, *tags), tuple(near), picture.folded), column


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


def _forward_columns(boxes: Sequence[Box], before: Neighbours, after: Neighbours) -> dict[str, int]:
    """As early as possible, then as late as possible where that makes arrows shorter."""
    forward = [box for box in boxes if box.phase == "forward"]
    column: dict[str, int] = {}
    for box in forward:
        earliest = max((column[key] for key in before[box.key] if key in column), default=0)
        column[box.key] = 0 if box.kind == "input" else earliest + 1
    scope = {box.key: box.scope for box in forward}
    inputs = {box.key for box in forward if box.kind == "input"}
    for box in reversed(forward):
        readers = [key for key in after[box.key] if key in column]
        made = [key for key in before[box.key] if key in column and key not in inputs]
        # A region stays together: what another region reads does not wait for it.
        if len(readers) >= max(len(made), 1) and all(scope[key] == box.scope for key in readers):
            column[box.key] = max(column[box.key], min(column[key] for key in readers) - 1)
    return column


def _beside_readers(boxes: Sequence[Box], after: Neighbours, column: dict[str, int]) -> dict[str, int]:
    """Inputs one column before their first reader: in the phase they belong to, if any reads them there."""
    phase = {box.key: box.phase for box in boxes}
    for box in boxes:
        if box.kind == "input" and after[box.key]:
            near = [column[key] for key in after[box.key] if phase[key] == box.phase]
            column[box.key] = min(near or [column[key] for key in after[box.key]]) - 1
    return column
