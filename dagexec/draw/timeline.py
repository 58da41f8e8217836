"""The timeline of a run as one small SVG: a lane for each worker, memory below.

A bar is a task, filled by its phase; what is on the critical path is outlined, idle time is hatched. Tasks
too short for a pixel share a bar, as high as the share of its time that was spent in them. Tooltips tell the
rest. The picture is static, needs nothing from outside, and follows the reader's light or dark scheme.

Names come from users: they enter as text of an XML tree, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, log10
from os import PathLike
from xml.etree import ElementTree as ET

from dagexec.draw.bars import Bar, Timetable, timetable
from dagexec.draw.labels import UNITS, duration, printable, size_text
from dagexec.events import Events
from dagexec.files import written_whole
from dagexec.graph import PHASES, method_of

WIDTH, LEFT, RIGHT = 960, 140, 14
PLOT = WIDTH - LEFT - RIGHT
TOP, MEMORY, GAP = 58, 56, 22
LANES, HIGHEST, LOWEST = 360, 26, 5  # pixels: of all lanes, of one at the most and at the least
OUTLINED_FROM = 4  # pixels of a bar that has room for an outline; a shorter one gets a stroke on top
NAMED_FROM = 46  # pixels of a bar that has room for a name
LETTER = 5.8  # pixels of a letter, on the average

# Okabe and Ito's colours; in the dark their lighter relatives.
STYLE = """
.dagexec-timeline { --ground: #ffffff; --ink: #1f2328; --quiet: #656d76; --line: #d0d7de; --hatch: #c9d1d9;
  --forward: #0072b2; --backward: #e69f00; --update: #009e73; --failed: #b3261e; --memory: #8a63a6;
  --on-forward: #ffffff; --on-backward: #1f2328; --on-update: #ffffff; --critical: #111111;
  font: 11px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
@media (prefers-color-scheme: dark) { .dagexec-timeline { --ground: #0d1117; --ink: #e6edf3;
  --quiet: #9198a1; --line: #30363d; --hatch: #3d444d; --forward: #4aa8e0; --backward: #d08700;
  --update: #2fb58a; --failed: #ff7b72; --memory: #b58fd1; --on-forward: #0d1117; --on-backward: #0d1117;
  --on-update: #0d1117; --critical: #ffffff; } }
.dagexec-timeline .ground { fill: var(--ground); }
.dagexec-timeline text { fill: var(--quiet); }
.dagexec-timeline .title { fill: var(--ink); font-size: 13px; font-weight: 600; }
.dagexec-timeline .lane { fill: url(#dagexec-idle); stroke: var(--line); stroke-width: 0.5; }
.dagexec-timeline .hatch { stroke: var(--hatch); stroke-width: 1.2; }
.dagexec-timeline .grid { stroke: var(--line); stroke-width: 0.5; }
.dagexec-timeline .forward { fill: var(--forward); }
.dagexec-timeline .backward { fill: var(--backward); }
.dagexec-timeline .update { fill: var(--update); }
.dagexec-timeline .failed { fill: var(--failed); }
.dagexec-timeline .critical { stroke: var(--critical); stroke-width: 1.6; }
.dagexec-timeline .on-path { fill: var(--critical); }
.dagexec-timeline .memory { fill: var(--memory); fill-opacity: 0.35; stroke: var(--memory); }
.dagexec-timeline text.on-forward { fill: var(--on-forward); }
.dagexec-timeline text.on-backward { fill: var(--on-backward); }
.dagexec-timeline text.on-update { fill: var(--on-update); }
.dagexec-timeline text.on-failed { fill: var(--ground); }
.dagexec-timeline .name { font-size: 10px; pointer-events: none; }
"""


def timeline(events: Events) -> str:
    """The timeline of a run as the text of an SVG, under 300 kB whatever the number of tasks.

    >>> import dagexec
    >>> _, events = dagexec.run(dagexec.trace(lambda x: x * 2)(1.0), 1.0, events=True)
    >>> timeline(events)[:40]
    '<svg xmlns="http://www.w3.org/2000/svg" '
    """
    return ET.tostring(_picture(events), encoding="unicode")


@method_of(Events)
def to_svg(events: Events, path: str | PathLike[str]) -> None:
    """Write the timeline of a run as an SVG, whole or not at all.

    Raises OSError, naming `path`, if it cannot be written.

    >>> import dagexec, tempfile
    >>> _, events = dagexec.run(dagexec.trace(lambda x: x * 2)(1.0), 1.0, events=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     events.to_svg(folder + "/run.svg")
    """
    with written_whole(path) as file:
        file.write(timeline(events))


@method_of(Events)
def _repr_svg_(events: Events) -> str:
    """What a notebook shows of a run."""
    return timeline(events)


def _picture(events: Events) -> ET.Element:
    seen = timetable(events, PLOT)
    lanes = list(seen.busy)
    step = max(LOWEST + 1, min(HIGHEST + 4, LANES // max(1, len(lanes))))
    bottom = TOP + step * len(lanes)
    has_memory = any(held for _, held in seen.memory)
    height = bottom + GAP + (MEMORY + GAP) * has_memory + GAP * bool(seen.joined)
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "dagexec-timeline",
            "role": "img",
            "viewBox": f"0 0 {WIDTH} {height}",
            "width": str(WIDTH),
            "height": str(height),
            "style": "max-width: 100%; height: auto",
        },
    )
    ET.SubElement(svg, "title").text = f"timeline of {printable(events.graph.name)}"
    ET.SubElement(svg, "style").text = STYLE
    _hatch(svg)
    _rect(svg, "ground", 0, 0, WIDTH, height)
    _text(svg, "title", 14, 22, _heading(events, seen))
    _legend(svg, seen, has_memory)
    if not seen.bars:
        return svg
    _axis(svg, seen.length, bottom)
    for number, worker in enumerate(lanes):
        y = TOP + number * step
        _rect(svg, "lane", LEFT, y, PLOT, step - 4 if step > 8 else step - 1)
        if step > 9 or number % 4 == 0:
            share = seen.busy[worker] / seen.length if seen.length else 0
            _text(svg, "", LEFT - 8, y + step / 2 + 2, f"worker {worker} · {share:.0%} busy", "end")
    for bar in seen.bars:
        y = TOP + lanes.index(bar.worker) * step
        _draw_bar(svg, events, bar, seen.length, y, step - 4 if step > 8 else step - 1)
    if has_memory:
        _draw_memory(svg, seen, bottom + GAP)
    if seen.joined:
        words = "too short to be told apart: they share bars, which are as high as they are busy"
        _text(svg, "", LEFT, height - 10, f"{seen.joined:,} of the tasks are {words}")
    return svg


def _heading(events: Events, seen: Timetable) -> str:
    tasks = f"{seen.tasks:,} task{'' if seen.tasks == 1 else 's'}"
    workers = f"{len(seen.busy)} worker{'' if len(seen.busy) == 1 else 's'}"
    name = printable(events.graph.name)
    if not seen.bars:
        return f"{name}: no task was run"
    share = f", {_percent(seen.critical / seen.length)} of it" if seen.length else ""
    length = f"{duration(seen.length)}; critical path {duration(seen.critical)}{share}"
    return f"{name}: {tasks} on {workers} in {length}"


def _legend(svg: ET.Element, seen: Timetable, has_memory: bool) -> None:
    """What fillings and outlines mean, in a row; only what occurs."""
    x = 14.0
    phases = {bar.phase for bar in seen.bars}
    rows = [(phase, phase) for phase in PHASES if phase in phases]
    rows += [("failed", "failed")] * any(bar.has_failed for bar in seen.bars)
    rows += [("ground critical", "critical path"), ("lane", "idle")] if seen.bars else []
    rows += [("memory", "memory of computed values")] * has_memory
    for look, words in rows:
        _rect(svg, look, x, 33, 16, 10)
        _text(svg, "", x + 21, 42, words)
        x += 21 + LETTER * len(words) + 20


def _axis(svg: ET.Element, length: float, bottom: float) -> None:
    """Lines at round moments, with the time below the lanes."""
    size, unit = next((row for row in UNITS if length >= row[0]), UNITS[-1])
    for moment in ticks(length / size):
        x = LEFT + PLOT * moment * size / length if length else LEFT
        ET.SubElement(
            svg, "line", {"class": "grid", "x1": _n(x), "x2": _n(x), "y1": str(TOP - 4), "y2": _n(bottom)}
        )
        if x < LEFT + PLOT - 20:
            _text(svg, "", x, bottom + 12, f"{moment:g} {unit}", "middle")


def ticks(length: float, most: int = 8) -> list[float]:
    """Round numbers from 0 to `length`, at most `most` and one.

    >>> ticks(10), ticks(1.7)
    ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.0, 0.5, 1.0, 1.5])
    """
    if length <= 0:
        return [0.0]
    power = 10.0 ** floor(log10(length / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if length / (power * factor) <= most)
    return [round(number * step, 12) for number in range(floor(length / step * (1 + 1e-9)) + 1)]


def _draw_bar(svg: ET.Element, events: Events, bar: Bar, length: float, y: float, height: float) -> None:
    scale = PLOT / length if length else 0.0
    x, width = LEFT + bar.start * scale, max(0.6, (bar.end - bar.start) * scale)
    lasting = bar.end - bar.start
    high = height * min(1.0, bar.busy / lasting) if len(bar.tasks) > 1 and lasting else height
    look = "failed" if bar.has_failed else bar.phase
    top = y + height - high
    if bar.is_critical and min(width, high) >= OUTLINED_FROM:  # inside, so that none covers another
        rect = _rect(svg, f"{look} critical", x + 0.8, top + 0.8, width - 1.6, high - 1.6)
    else:
        rect = _rect(svg, look, x, top, width, high)
        if bar.is_critical:
            _rect(svg, "on-path", x, y - 2, width, 2)
    ET.SubElement(rect, "title").text = "\n".join(_tooltip(events, bar))
    if width >= NAMED_FROM and height > 9:
        name = printable(events.name(bar.longest), int((width - 8) / LETTER))
        _text(svg, f"name on-{look}", x + 4, y + height / 2 + 3.5, name)


def _tooltip(events: Events, bar: Bar) -> Iterator[str]:
    node = events.graph.nodes[bar.longest]
    longest = printable("/".join((*node.scope, events.name(bar.longest))))
    if len(bar.tasks) > 1:
        yield f"{len(bar.tasks)} tasks, busy {duration(bar.busy)} of {duration(bar.end - bar.start)}"
        yield f"the longest: {longest}"
    else:
        yield f"{longest}  {printable(str(node.spec))}" if node.spec is not None else longest
        yield f"{duration(bar.end - bar.start)} from {duration(bar.start)} on"
    yield f"worker {bar.worker}, {bar.phase}" + (", on the critical path" if bar.is_critical else "")


def _draw_memory(svg: ET.Element, seen: Timetable, top: float) -> None:
    """The bytes that are held, as steps; of the changes within a pixel the highest is kept."""
    peak = max(held for _, held in seen.memory)
    _text(svg, "", LEFT - 8, top + 10, f"{size_text(peak)} peak", "end")
    _text(svg, "", LEFT - 8, top + MEMORY, "0", "end")
    path = [f"M{LEFT} {top + MEMORY}"]
    for x, held in _steps(seen):
        path.append(f"H{_n(x)}V{_n(top + MEMORY * (1 - held / peak if peak else 1))}")
    path.append(f"H{LEFT + PLOT}V{_n(top + MEMORY)}Z")
    ET.SubElement(svg, "path", {"class": "memory", "d": "".join(path)})


def _steps(seen: Timetable) -> Iterator[tuple[float, int]]:
    """(x, bytes) where they change; within one pixel the most that was held, then what was left."""
    most = left = 0
    pixel: int | None = None
    for moment, held in seen.memory:
        here = int(min(PLOT, PLOT * moment / seen.length)) if seen.length else 0
        if pixel is not None and here != pixel:
            yield from ((LEFT + pixel, most), (LEFT + pixel + 0.5, left))
            most = 0
        pixel, most, left = here, max(most, held), held
    if pixel is not None:
        yield from ((LEFT + pixel, most), (LEFT + pixel + 0.5, left))


def _hatch(svg: ET.Element) -> None:
    look = {"id": "dagexec-idle", "width": "6", "height": "6", "patternUnits": "userSpaceOnUse"}
    pattern = ET.SubElement(ET.SubElement(svg, "defs"), "pattern", look)
    ET.SubElement(pattern, "path", {"class": "hatch", "d": "M-1 1L1 -1M0 6L6 0M5 7L7 5"})


def _rect(parent: ET.Element, look: str, x: float, y: float, width: float, height: float) -> ET.Element:
    place = {"x": _n(x), "y": _n(y), "width": _n(width), "height": _n(height)}
    return ET.SubElement(parent, "rect", {"class": look, **place})


def _text(parent: ET.Element, look: str, x: float, y: float, words: str, anchor: str = "start") -> None:
    attributes = {"class": look, "x": _n(x), "y": _n(y), "text-anchor": anchor}
    ET.SubElement(parent, "text", {key: value for key, value in attributes.items() if value}).text = words


def _n(value: float) -> str:
    """A length in tenths of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def _percent(share: float) -> str:
    """A share with two digits.

    >>> _percent(0.999), _percent(0.357), _percent(0.00042)
    ('100%', '36%', '0.042%')
    """
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"
