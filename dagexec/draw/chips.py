"""Inputs as chips: each stands on the box that reads it, once for each reader.

A parameter that all cells of a network read would else be the start of a line to each of them, across the
whole picture.
"""

from __future__ import annotations

from dataclasses import replace

from dagexec.draw.picture import Arrow, Box, Picture

MOST = 4  # chips on one box; of more, the last stands for the rest


def with_chips(picture: Picture) -> Picture:
    """The picture with its inputs beside their readers; an input that nothing reads stays as it is."""
    box_of = {box.key: box for box in picture.boxes}
    chips: dict[str, list[Box]] = {}
    rest: list[Arrow] = []
    drawn: set[str] = set()
    for arrow in picture.arrows:
        box, reader = box_of[arrow.source], box_of[arrow.target]
        if box.kind != "input":
            rest.append(arrow)
            continue
        key = f"{box.key}_{reader.key}" if box.key in drawn else box.key
        drawn.add(box.key)
        role = "again" if key != box.key else box.role
        chip = replace(box, key=key, beside=reader.key, phase=reader.phase, scope=reader.scope, role=role)
        chips.setdefault(reader.key, []).append(chip)
    made: list[Box] = []
    for target, found in chips.items():
        if len(found) > MOST:
            kept, others = found[: MOST - 1], found[MOST - 1 :]
            count = sum(chip.nodes for chip in others)
            lines = tuple(
                line for chip in others for line in (chip.tooltip if chip.nodes > 1 else chip.label)
            )
            joined = replace(others[0], label=(f"+ {count} inputs",), tooltip=lines, nodes=count, role="")
            found = [*kept, joined]
        made += found
        rest += [Arrow(chip.key, target) for chip in found]
    boxes = [box for box in picture.boxes if box.key not in drawn]
    return replace(picture, boxes=(*boxes, *made), arrows=tuple(rest))
