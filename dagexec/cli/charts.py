"""A small chart in the terminal: a row of numbers as columns of blocks.

>>> print("\\n".join(columns([1, 8, 4, 4], width=40, height=2)))
8 ┤      ██████
  ┤▂▂▂▂▂▂██████████████████
  └────────────────────────
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

BLOCKS = " ▁▂▃▄▅▆▇█"
HIGHEST, THICKEST = 5, 6
PLAIN = " .....###"  # where the output has no such characters


def columns(values: Sequence[int], *, width: int, height: int = HIGHEST, blocks: str = BLOCKS) -> list[str]:
    """The lines of a chart with a column for each value; where there is no room, for the largest of several.

    Few values have columns of several characters. `width` counts all characters of a line; a value above 0
    is never drawn as nothing.
    """
    most = max(values, default=0) or 1
    height = min(height, most)
    margin = len(f"{most:,}")
    room = max(1, width - margin - 2)
    peaks = binned(values, room)
    thick = max(1, min(THICKEST, room // max(1, len(peaks))))
    eighths = [max(1, round(8 * height * value / most)) if value else 0 for value in peaks]
    axis, corner, rule = "┤└─" if blocks is BLOCKS else "|+-"
    lines = []
    for row in range(height):
        above = 8 * (height - 1 - row)
        cells = "".join(blocks[min(8, max(0, eighth - above))] * thick for eighth in eighths)
        lines.append(f"{f'{most:,}' if row == 0 else '':>{margin}} {axis}{cells}".rstrip())
    return [*lines, f"{'':>{margin}} {corner}{rule * thick * len(peaks)}"]


def binned(values: Sequence[int], most: int) -> list[int]:
    """At most so many values: of each few that stand together the largest.

    >>> binned([1, 5, 2, 2, 0, 9, 1], 3)
    [5, 9, 1]
    """
    size = max(1, ceil(len(values) / most))
    return [max(values[start : start + size]) for start in range(0, len(values), size)]
