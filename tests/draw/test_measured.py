"""Pictures coloured by what a run has measured."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import dagexec
from dagexec.cli import main
from dagexec.draw import to_dot
from dagexec.draw.measured import measures
from dagexec.draw.theme import THEMES, text_on
from dagexec.events import Events

LINE = str(Path(__file__).parents[2] / "graphs" / "line.py")


def graph_and_events():
    """A product on worker 0 for 8 s, then a sum on worker 1 for 1 s; 512 and 8 bytes."""
    graph = dagexec.trace(lambda x: np.sum(np.tanh(x)))(np.ones((8, 8)))
    events = Events(graph)
    (tanh, total) = (n for n, node in enumerate(graph.nodes) if node.op.name in ("tanh", "sum"))
    for task, worker, start, end, value in (
        (tanh, 0, 0.0, 8.0, np.ones((8, 8))),
        (total, 1, 8.0, 9.0, np.float64(1)),
    ):
        events.note("start", task, worker, time=start)
        events.note("end", task, worker, value, time=end)
    return graph, events, tanh, total


@pytest.mark.parametrize(
    ("color", "lines"),
    [("time", ("8 s", "1 s")), ("memory", ("512 B", "8 B")), ("worker", ("worker 0", "worker 1"))],
)
def test_the_label_tells_the_figure_and_the_legend_its_colour(color, lines):
    graph, events, *_ = graph_and_events()
    dot = to_dot(graph, color=color, events=events)
    text = dot.to_string()
    fills = re.findall(r'label="(?:tanh|sum)[^"]*\\n([^"\\]*)".*?fillcolor="(#\w+)"', text)
    assert tuple(line for line, _ in fills) == lines
    assert len({fill for _, fill in fills}) == 2
    for _, fill in fills:
        assert f'bgcolor="{fill}"' in dot.get_label()


def test_each_colour_of_the_scale_stands_for_twice_the_one_before():
    graph, events, *_ = graph_and_events()
    scale = THEMES["light"].scale
    text = to_dot(graph, color="time", events=events).to_string()
    assert re.search(rf'label="tanh[^"]*".*?fillcolor="{scale[-1]}"', text)
    assert re.search(rf'label="sum[^"]*".*?fillcolor="{scale[-4]}"', text)  # an eighth


def test_tasks_joined_share_the_time():
    graph, events, tanh, total = graph_and_events()
    events.members = {total: (tanh, total)}
    assert measures(graph, events, "time") == {tanh: {0: 8.0, 1: 0.5}, total: {1: 0.5}}


@pytest.mark.parametrize("color", ["time", "memory", "worker"])
def test_a_measured_colour_needs_events_of_this_graph(color):
    graph, events, *_ = graph_and_events()
    with pytest.raises(
        ValueError, match=f"color='{color}' shows what a run has measured: pass the run's events"
    ):
        to_dot(graph, color=color)
    with pytest.raises(ValueError, match="of another graph"):
        to_dot(dagexec.trace(lambda x: x * x)(1.0), color=color, events=events)
    with pytest.raises(TypeError, match=f"events is a list, but color='{color}' needs the Events of a run"):
        to_dot(graph, color=color, events=[*events])


@pytest.mark.parametrize(("color", "told"), [("time", 's"'), ("worker", "worker 0")])
def test_the_command_runs_the_graph_to_measure_it(tmp_path, color, told):
    path = tmp_path / "line.dot"
    result = CliRunner().invoke(main, ["draw", LINE, "-o", str(path), "--color", color, "--theme", "dark"])
    assert result.exit_code == 0, result.output
    assert told in path.read_text()
    assert THEMES["dark"].ground in path.read_text()


def lightness(color):
    """The relative luminance of WCAG 2."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", THEMES)
def test_text_can_be_read_on_every_filling_and_the_scale_runs_one_way(name):
    theme = THEMES[name]

    def contrast(one, other):
        low, high = sorted((lightness(one), lightness(other)))
        return (high + 0.05) / (low + 0.05)

    for filling in (
        theme.ground,
        theme.band,
        theme.loss[0],
        theme.sum,
        *theme.tints,
        *(f for f, _ in theme.phases.values()),
    ):
        assert contrast(theme.text, filling) >= 4.5
    for filling in theme.scale:
        assert contrast(text_on(filling), filling) >= 4.5
    steps = [contrast(theme.ground, filling) for filling in theme.scale]
    assert steps == sorted(steps)
