"""Which nodes share a box in a folded picture.

A region's nodes of one phase share one. Where there are still too many boxes, so do the inner ones of a long
row of numbered regions (`cell[3…125]`), and then the nodes of no region, by their depth in the graph.

>>> few = [("cell[%d]" % number,) for number in range(128)]
>>> shortened(few)[("cell[7]",)]
('cell[3…125]',)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dagexec.graph import CONSTANT, INPUT, Graph, Node, Scope

MOST_BOXES = 60  # of a folded picture, before rows of regions are shortened
MOST_LOOSE = 200  # nodes of no region, before they are joined by depth
SLICES = 24  # what they are joined to, for each phase at the most
FIRST, LAST = 3, 2  # regions of a row that stay; of fewer than that and three more, all do
NUMBERED = re.compile(r"(.*)\[(\d+)\]")


@dataclass(frozen=True)
class Folding:
    """The region that each node is folded into, where there is one; `slices` are those made here."""

    depth: int
    renamed: Mapping[Scope, Scope] = field(default_factory=dict)
    slice_of: Mapping[Node, Scope] = field(default_factory=dict)

    def region(self, node: Node) -> Scope:
        """The path of the region whose box the node shares; () if it is drawn by itself."""
        if not node.scope:
            return self.slice_of.get(node, ())
        path = node.scope[: self.depth]
        return self.renamed.get(path, path)


def folding(graph: Graph, depth: int, *, brief: bool) -> Folding:
    """How `graph` is folded; `brief`: as far as it takes for a picture that fits a page."""
    if not brief:
        return Folding(depth)
    paths = dict.fromkeys(node.scope[:depth] for node in graph.nodes if node.scope)
    loose = [node for node in graph.nodes if not node.scope and node.op not in (INPUT, CONSTANT)]
    return Folding(
        depth,
        shortened(paths) if len(paths) > MOST_BOXES // 2 else {},
        _slices(graph, loose) if len(loose) > MOST_LOOSE else {},
    )


def shortened(paths: Iterable[Scope]) -> dict[Scope, Scope]:
    """For each region within a long row of numbered ones, the name that all of those share."""
    rows: dict[tuple[Scope, str], list[Scope]] = {}
    for path in paths:
        if found := NUMBERED.fullmatch(path[-1]):
            rows.setdefault((path[:-1], found[1]), []).append(path)
    renamed = {}
    for (outer, name), row in rows.items():
        inner = row[FIRST:-LAST]
        if len(inner) >= 3:
            numbers = [int(path[-1][len(name) + 1 : -1]) for path in inner]
            for path in inner:
                renamed[path] = (*outer, f"{name}[{min(numbers)}…{max(numbers)}]")
    return renamed


def _slices(graph: Graph, loose: Iterable[Node]) -> dict[Node, Scope]:
    """The nodes of no region, joined by depth in the graph: slices of equally many levels."""
    level: dict[Node, int] = {}
    for node in graph.nodes:
        level[node] = 1 + max([level[source] for source in node.inputs], default=0)
    by_phase: dict[str, list[Node]] = {}
    for node in loose:
        by_phase.setdefault(node.phase, []).append(node)
    slices: dict[Node, Scope] = {}
    for phase, nodes in by_phase.items():
        first, last = min(level[node] for node in nodes), max(level[node] for node in nodes)
        step = -(-(last - first + 1) // SLICES)
        for node in nodes:
            begin = first + (level[node] - first) // step * step
            end = min(begin + step - 1, last)
            depth = f"{begin}" if begin == end else f"{begin}–{end}"
            slices[node] = (f"{phase}, depth {depth}",)
    return slices
