"""What a run has measured, by node and by box: seconds, bytes, worker.

A task that was several nodes joined gives each of them an equal share of its time; its bytes are those of
its last node, whose value it hands on.

>>> import dagexec
>>> graph = dagexec.trace(lambda x: (x + 1) * 2)(1.0)
>>> _, events = dagexec.run(graph, 1.0, events=True)
>>> [sorted(measures(graph, events, color)) for color in ("time", "memory", "worker")]
[[2, 4], [2, 4], [2, 4]]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dagexec.draw.labels import duration, size_text
from dagexec.draw.picture import Box, Picture
from dagexec.events import Events
from dagexec.graph import Graph

MEASURED = ("time", "memory", "worker")


@dataclass(frozen=True)
class Measured:
    """One figure for each box that has one, by key, and what `color` they are for."""

    color: str
    of: Mapping[str, float]

    def text(self, figure: float) -> str:
        """The figure as a legend writes it."""
        if self.color == "worker":
            return f"worker {figure:.0f}"
        return duration(figure) if self.color == "time" else size_text(figure)


def measures(graph: Graph, events: Events, color: str) -> dict[int, dict[int, float]]:
    """By the node's position in the graph: seconds (or bytes) on each worker.

    Raises ValueError if the events are of nodes that the graph does not have, as of a graph that was
    rewritten before it ran.
    """
    place = {node: number for number, node in enumerate(graph.nodes)}
    found: dict[int, dict[int, float]] = {}

    def add(number: int, worker: int, figure: float) -> None:
        node = events.graph.nodes[number]
        if node not in place:
            raise ValueError(
                f"the events are of another graph, which has {node!r}: "
                "draw that one, events.graph, or run this one with rewrites=()"
            )
        on = found.setdefault(place[node], {})
        on[worker] = on.get(worker, 0.0) + figure

    if color == "memory":
        for event in events:
            if event.kind == "end":
                add(event.task, event.worker, float(event.bytes))
        return found
    for task, worker, start, end in events.spans():
        members = events.members.get(task, (task,))
        for member in members:
            add(member, worker, (end - start) / len(members))
    return found


def measured_boxes(picture: Picture, graph: Graph, events: Events, color: str) -> Measured:
    """The figures of all boxes: sums over their nodes; of workers the one that was at it longest."""
    by_node = measures(graph, events, color)
    of: dict[str, float] = {}
    for box in picture.boxes:
        if box.kind not in ("op", "fold"):
            continue
        on: dict[int, float] = {}
        for member in box.members:
            for worker, figure in by_node.get(member, {}).items():
                on[worker] = on.get(worker, 0.0) + figure
        if on:
            of[box.key] = max(on, key=lambda worker: on[worker]) if color == "worker" else sum(on.values())
    return Measured(color, of)


def with_figures(picture: Picture, measured: Measured) -> Picture:
    """The picture with each figure as the last line of its box's label."""

    def told(box: Box) -> Box:
        if box.key not in measured.of:
            return box
        return replace(box, label=(*box.label, measured.text(measured.of[box.key])))

    return replace(picture, boxes=tuple(map(told, picture.boxes)))
