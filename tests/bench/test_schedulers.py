"""The benchmark of schedulers as a whole, on tiny graphs: rows, text, demands, picture."""

import json
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from bench import figure, million, schedulers
from bench.__main__ import main
from bench.dags import FULL
from bench.demands import demands
from bench.peers import ADAPTERS, LOOP, PROCESSES, SERIAL, THREADS
from bench.rounds import Cell
from bench.schedulers import Effort, contest, dag, in_order


@pytest.fixture
def tiny(monkeypatch):
    for shape in list(FULL):
        if shape in ("wide", "layered"):
            monkeypatch.setitem(FULL, shape, 30)
        else:
            monkeypatch.delitem(FULL, shape)
    monkeypatch.setattr("gc.collect", int)
    monkeypatch.setattr(schedulers, "PAYLOAD_SHAPES", ("wide",))
    monkeypatch.setattr(schedulers, "SPINNING_TASKS", 4)
    monkeypatch.setattr(schedulers, "ON_THREADS", (SERIAL, THREADS))
    monkeypatch.setattr(schedulers, "ON_PROCESSES", (SERIAL, PROCESSES))
    monkeypatch.setattr("bench.passing.NUMBERS", 1_000)
    monkeypatch.setattr(million, "SHAPES", {})
    effort = Effort(2, 0.01, (LOOP, SERIAL, THREADS), (), {10: 9}, 100)
    monkeypatch.setattr(schedulers, "QUICK", effort)


def test_the_command_measures_every_part_and_prints_it_as_text_picture_and_json(tiny, monkeypatch, tmp_path):
    rows = schedulers.measure(quick=True)
    monkeypatch.setattr(schedulers, "measure", lambda quick: rows)
    plot = tmp_path / "figure.png"
    result = CliRunner().invoke(main, ["schedulers", "--quick", "--plot", str(plot)], catch_exceptions=False)
    for part in ("µs a task", "Speed-up", "8 MB", "Demanded, measured"):
        assert part in result.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")
    result = CliRunner().invoke(main, ["schedulers", "--quick", "--json"], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert {"cores", "python"} <= set(found["machine"])
    cells = [row for row in found["rows"] if row["section"] == "overhead" and row["scheduler"] == LOOP]
    assert [row["shape"] for row in cells] == list(FULL)
    assert all(row["error"] is None and row["seconds"] for row in cells)


def test_a_benchmark_without_a_picture_says_so():
    result = CliRunner().invoke(main, ["overhead", "--plot", "x.png"])
    assert result.exit_code == 2
    assert "overhead has no picture" in result.stderr


def test_a_scheduler_that_does_not_start_fails_alone(monkeypatch):
    @contextmanager
    def missing(dags):
        raise ImportError("no such scheduler")
        yield

    monkeypatch.setitem(ADAPTERS, "missing", missing)
    graph = dag("chain", 5)
    lost, loop = contest({"missing": graph, LOOP: graph}, schedulers.QUICK, in_order)
    assert lost.error == "ImportError: no such scheduler"
    assert loop.seconds


def test_a_demand_is_judged_by_the_worst_graph():
    def rows(shape, loop, threads):
        about = {"section": "overhead", "shape": shape}
        return [
            Cell(name, 10, int, [seconds] * 3).row(**about)
            for name, seconds in ((LOOP, loop), (THREADS, threads))
        ]

    found = next(demands(rows("wide", 1.0, 1.5) + rows("chain", 1.0, 2.5)))
    assert (found["demanded"], found["measured"], found["met"]) == ("≤ 2×", "2.5× (chain)", False)
    assert found["figures"] == pytest.approx({"wide": 1.5, "chain": 2.5})
    assert next(demands([]))["met"] is None


@pytest.mark.parametrize("part", million.PARTS)
def test_the_big_graphs_are_measured_in_children(part, monkeypatch):
    monkeypatch.setattr(million, "PARTS", {part: None})
    row = million.measure("wide", 2_000)
    assert "error" not in row[part], row[part]
    assert all(figure for figure in row[part].values())


def test_a_child_that_fails_leaves_its_error_in_the_row():
    assert "bench.million" not in million._in_child("no such part", "wide", 10)
    assert "KeyError" in million._in_child("no such part", "wide", 10)["error"]


def test_a_picture_is_drawn_of_rows_with_gaps(tmp_path):
    rows = [Cell(LOOP, 10, int, error="lost").row(section="overhead", shape="wide")]
    figure.draw(rows, str(tmp_path / "gaps.svg"), "a machine")
    assert "a machine" in (tmp_path / "gaps.svg").read_text()
