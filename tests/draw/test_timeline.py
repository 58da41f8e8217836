"""The timeline of a run: what is drawn where, names as data, and how large it gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree as ET

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.draw.bars import LONGEST_JOINED, critical_tasks, timetable
from dagexec.draw.labels import printable
from dagexec.draw.timeline import LEFT, PLOT, ticks, timeline
from dagexec.graph import Graph, Node
from dagexec.ops import python_op
from dagexec.simulation import simulate
from tests.dags import dag, edge_lists

SVG = "{http://www.w3.org/2000/svg}"


def simulated(edges, costs, workers):
    plan = dagexec.plan(dag(edges, range(len(edges))))
    return simulate(plan, workers, costs=costs).events()


@st.composite
def runs(draw, max_size=30, longest=9):
    """A simulated run of a random DAG, its edges and costs (whole numbers: sums are exact)."""
    edges = draw(edge_lists(max_size))
    costs = draw(st.lists(st.integers(0, longest), min_size=len(edges), max_size=len(edges)))
    return simulated(edges, costs, draw(st.integers(1, 4))), edges, costs


def parsed(events: dagexec.Events) -> ET.Element:
    return ET.fromstring(timeline(events))


def bars(svg: ET.Element) -> Iterator[tuple[ET.Element, str]]:
    """The bars, with their tooltips."""
    for rect in svg.iter(f"{SVG}rect"):
        if (title := rect.find(f"{SVG}title")) is not None:
            yield rect, title.text


def words(svg: ET.Element) -> list[str]:
    return [text.text for text in svg.iter(f"{SVG}text")]


# --- what is drawn --------------------------------------------------------------------------------------
@settings(max_examples=30)
@given(runs(), st.sampled_from([3, 20, 800]))
def test_bars_hold_each_task_once_on_its_worker_within_its_time(run, pixels):
    events, _, costs = run
    seen = timetable(events, pixels)
    spans = {task: (worker, start, end) for task, worker, start, end in events.spans()}
    assert sorted(task for bar in seen.bars for task in bar.tasks) == sorted(spans)
    for bar in seen.bars:
        for task in bar.tasks:
            worker, start, end = spans[task]
            assert worker == bar.worker
            assert bar.start <= start <= end <= bar.end
        assert bar.busy == sum(costs[task] for task in bar.tasks)
        assert costs[bar.longest] == max(costs[task] for task in bar.tasks)
    for worker in seen.busy:
        lane = [bar for bar in seen.bars if bar.worker == worker]
        assert all(before.end <= after.start for before, after in pairwise(lane))
    assert seen.busy == events.busy()


@settings(max_examples=30)
@given(runs(), st.integers(1, 50))
def test_only_what_is_shorter_than_a_pixel_shares_a_bar(run, pixels):
    events, _, costs = run
    seen = timetable(events, pixels)
    for bar in seen.bars:
        if len(bar.tasks) > 1:
            assert all(costs[task] < (seen.length / pixels or 1) for task in bar.tasks)


def test_short_tasks_make_bars_of_a_few_pixels():
    seen = timetable(simulated([[] for _ in range(900)], [1] * 900, 1), 300)
    pixels = [(bar.end - bar.start) * 300 / 900 for bar in seen.bars]
    assert max(pixels) <= LONGEST_JOINED + 1
    assert sum(pixels) == pytest.approx(300)


@settings(max_examples=30)
@given(runs(), st.integers(1, 9))
def test_there_are_no_more_bars_than_asked_for_or_one_a_worker(run, most):
    seen = timetable(run[0], 800, most)
    assert len(seen.bars) <= max(most, len(seen.busy))
    assert sum(len(bar.tasks) for bar in seen.bars) == seen.tasks


@settings(max_examples=30)
@given(runs())
def test_the_critical_path_is_the_longest_path_of_the_graph(run):
    events, edges, costs = run
    digraph = nx.DiGraph()
    digraph.add_nodes_from([("start", -1), ("end", -1)])
    for task, sources in enumerate(edges):
        digraph.add_edge(("start", -1), (task, 0), weight=0)
        digraph.add_edge((task, 0), (task, 1), weight=costs[task])
        digraph.add_edge((task, 1), ("end", -1), weight=0)
        digraph.add_edges_from([((source, 1), (task, 0)) for source in sources], weight=0)
    length, path = critical_tasks(events)
    assert length == nx.dag_longest_path_length(digraph)
    assert sum(costs[task] for task in path) == length
    ordered = sorted(path)
    lengths = [sum(costs[task] for task in ordered[: place + 1]) for place in range(len(ordered))]
    assert lengths == sorted(lengths)
    for before, after in pairwise(ordered):
        assert before in edges[after]


def test_joined_nodes_are_one_task_and_items_are_seen_through():
    def fn(x):
        values, _ = np.linalg.eigh(x)
        return np.sin(np.cos(values)) + 1

    graph = dagexec.trace(fn)(np.eye(3))
    eigh, cos, sin, add = (
        next(place for place, node in enumerate(graph.nodes) if node.op.name == name)
        for name in ("eigh", "cos", "sin", "add")
    )
    log = dagexec.Events(graph)
    log.members = {sin: (cos, sin)}
    for time, task in enumerate((eigh, sin, add)):
        log.note("start", task, 0, time=float(time))
        log.note("end", task, 0, time=time + 1.0)
    assert critical_tasks(log) == (3.0, {eigh, sin, add})


def test_bars_stand_at_their_times_in_the_look_of_their_phase():
    graph = dagexec.trace(lambda x: np.sum(np.sin(x)))(np.ones(3)).backward()
    tasks = dagexec.plan(graph).tasks
    log = dagexec.Events(graph)
    for place, task in enumerate(tasks):
        log.note("start", task, place % 2, time=10.0 + place)
        log.note("end", task, place % 2, np.ones(place), time=10.5 + place)
    length = len(tasks) - 0.5
    found = list(bars(parsed(log)))
    assert len(found) == len(tasks)
    for rect, title in found:
        place = next(i for i, task in enumerate(tasks) if title.startswith(log.name(task)))
        critical = "critical" in rect.get("class")
        inset = 0.8 if critical else 0
        assert float(rect.get("x")) == pytest.approx(LEFT + PLOT * place / length + inset, abs=0.06)
        assert float(rect.get("width")) == pytest.approx(PLOT * 0.5 / length - 2 * inset, abs=0.06)
        assert rect.get("class").split()[0] == graph.nodes[tasks[place]].phase
        assert critical == ("on the critical path" in title)
    svg = parsed(log)
    assert {"forward", "backward", "critical path", "idle", "memory of computed values"} <= set(words(svg))
    assert "update" not in words(svg)
    assert any(f"{len(tasks)} tasks on 2 workers in {length:g} s" in text for text in words(svg))


def test_a_failure_is_seen():
    log = dagexec.Events(dagexec.trace(lambda x: x + 1)(1.0))
    log.note("start", 2, 0, time=0.0)
    log.note("error", 2, 0, time=1.0)
    ((rect, _),) = bars(parsed(log))
    assert rect.get("class").split()[0] == "failed"
    assert "failed" in words(parsed(log))


def test_the_peak_of_memory_is_drawn_however_short_it_is():
    log = dagexec.Events(dagexec.trace(lambda x: np.cos(np.sin(x)) + 1)(1.0))  # %1 = sin, %2 = cos, %4 = add
    for kind, task, time, size in [
        ("start", 1, 0.0, 0),
        ("end", 1, 50.0, 1000),
        ("start", 2, 50.0, 0),
        ("end", 2, 50.0001, 3096),
        ("free", 1, 50.0002, 1000),
        ("free", 2, 50.0003, 3096),
        ("start", 4, 50.0003, 0),
        ("end", 4, 100.0, 8),
    ]:
        log.note(kind, task, 0, np.empty(size, "u1"), time)
    svg = parsed(log)
    path = svg.find(f"{SVG}path[@class='memory']").get("d")
    heights = [float(found) for found in re.findall(r"V([\d.]+)", path)]
    assert "4 KiB peak" in words(svg)
    assert max(heights) - min(heights) == 56


def test_a_run_of_nothing_and_one_in_no_time_are_drawn():
    assert any(
        "no task was run" in text for text in words(parsed(dagexec.Events(dagexec.trace(np.sin)(1.0))))
    )
    edges = [[] for _ in range(1500)]
    assert list(bars(parsed(simulated(edges, [0] * 1500, 2))))


@given(st.floats(1e-9, 1e9))
def test_ticks_are_few_round_and_within(length):
    found = ticks(length)
    assert 2 <= len(found) <= 10
    assert found[0] == 0
    assert found[-1] <= length * (1 + 1e-8)
    steps = {f"{after - before:.6e}" for before, after in pairwise(found)}
    assert len(steps) == 1
    assert steps.pop()[0] in "125"


# --- names are data -------------------------------------------------------------------------------------
@settings(max_examples=40)
@given(st.text(max_size=40), st.text(max_size=40))
def test_names_appear_as_they_are(name, scope):
    node = Node(python_op(abs), (), name=name, scope=(scope,))
    graph = Graph([node], (), [node], name=name)
    log = dagexec.Events(graph)
    log.note("start", 0, 0, time=0.0)
    log.note("end", 0, 0, time=1.0)
    svg = parsed(log)
    assert {element.tag.removeprefix(SVG) for element in svg.iter()} == {
        *("svg", "title", "style", "defs", "pattern", "path", "rect", "text", "line")
    }
    ((_, title),) = bars(svg)
    shown = printable(f"{scope}/{name or 'abs'}")
    assert title.split("\n")[0] == shown
    assert svg.find(f"{SVG}title").text == f"timeline of {printable(name)}"


def test_nothing_is_fetched_and_no_script_is_in_it():
    odd = 'a"><script>alert(1)</script><a href="javascript:x">\x00\ud800'
    node = Node(python_op(abs), (), name=odd)
    log = dagexec.Events(Graph([node], (), [node], name=odd))
    log.note("start", 0, 0, time=0.0)
    log.note("end", 0, 0, time=1.0)
    text = timeline(log)
    text.encode()
    assert "<script" not in text
    assert "<a " not in text
    assert re.findall(r"(?:https?:|url\()[^\"')]*", text) == [
        "http://www.w3.org/2000/svg",
        "url(#dagexec-idle",
    ]


# --- size -----------------------------------------------------------------------------------------------
def test_a_hundred_thousand_events_stay_small(tmp_path):
    workers = 7
    random = np.random.default_rng(0)
    lengths = random.exponential(1.0, 33_000)
    log = dagexec.Events(dag([[] for _ in lengths], [0]))
    free = [0.0] * workers
    for task, length in enumerate(lengths):
        worker = task % workers
        log.note("start", task, worker, time=free[worker] + random.random())
        free[worker] += 1 + length
        log.note("end", task, worker, time=free[worker])
        log.note("free", task, worker, time=free[worker])
    log.to_svg(tmp_path / "run.svg")
    assert (tmp_path / "run.svg").stat().st_size < 300_000
    titles = [title for _, title in bars(ET.parse(tmp_path / "run.svg").getroot())]
    counts = [re.match(r"(\d+) tasks, busy", title) for title in titles]
    assert sum(int(count[1]) if count else 1 for count in counts) == len(lengths)
