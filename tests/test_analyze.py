"""`dagexec analyze` and `dagexec run --timeline`: what they tell, draw and refuse."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from dagexec import from_dask
from dagexec.cli import charts, main
from dagexec.cli.figures import draw_study
from dagexec.study import study

FILES = {
    "rnn": (
        "from dagexec import block\n@block\ndef cell(h, w): return np.tanh(h @ w)\n"
        "def fn(w, h):\n  for _ in range(8): h = cell(h, w)\n  return np.sum(h)\n"
        "def build(size: int = 4): return fn, (np.eye(size), np.ones((2, size)))"
    ),
    "dag": "def build(): return {'a [red] key': (abs, -1), 't': (str, 'a [red] key')}, 't'",
    "empty": "def build(): return lambda x: x, (np.ones(3),)",
    "marking": "open('mark', 'w').close()\ndef build(): pass",
}


def call(command):
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_analyze_tells_what_limits_a_program(folder):
    text = call("analyze rnn.py --workers 4,1,2,1 --rounds 2")
    for words in ("work", "span", "parallelism", "width", "median of 2 recorded runs", "cores; Python"):
        assert words in text
    assert re.search(r"^ *\d+%  .* ×8  cell\[0\.\.7\] tanh$", text, re.MULTILINE)
    assert "what limits 4 workers" in text
    rows = re.findall(r"^ +([124])  +[\d.]+ .s +([\d.]+) +([\d.]+) ", text, re.MULTILINE)
    assert [row[0] for row in rows] == ["1", "2", "4"]
    assert all(float(gain) <= float(most) for _, gain, most in rows)
    assert "█" in text
    assert "\x1b" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_analyze_as_json_holds_the_numbers(folder):
    found = json.loads(call("analyze rnn.py -p size=5 --workers 1,64 --rounds 2 --json"))
    assert found["parameters"] == {"size": "5"}
    assert found["recorded_runs"] == 2
    assert sum(found["widths"]) == found["tasks"] == sum(level["tasks"] for level in found["levels"])
    assert found["parallelism"] == found["work_seconds"] / found["span_seconds"]
    one, many = found["workers"]
    assert one["predicted_seconds"] == pytest.approx(found["work_seconds"])
    assert many["predicted_seconds"] == pytest.approx(found["span_seconds"])
    assert one["executor"] == "serial"
    assert len(one["measured_seconds"]) == 2
    assert one["measured_speed_up"] == 1
    assert many["bound"] == pytest.approx(found["parallelism"])
    assert sum(part["share"] for part in found["critical_path"]) == pytest.approx(1)


def test_keys_are_no_markup(folder):
    assert "a [red] key\n" in call("analyze dag.py --rounds 1 --workers 1")


def test_a_graph_without_a_task_has_nothing_to_limit(folder):
    text = call("analyze empty.py --forward-only --rounds 1")
    assert re.search(r"^work +0 s +\(0 tasks", text, re.MULTILINE)
    assert "critical path, the costliest" not in text


def test_the_figure_shows_profile_speed_up_and_path(folder, monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    drawn, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *a, **k: (drawn.append(figure), save(figure, *a, **k))
    )
    assert "written: x.svg" in call("analyze rnn.py --workers 1,2,32 --rounds 1 --plot x.svg")
    profile, speed, path = drawn[0].axes
    lines = {line.get_label().split(" ")[0].rstrip(":"): line for line in speed.get_lines()}
    assert set(lines) == {"bound", "predicted", "measured"}
    assert list(lines["predicted"].get_xdata()) == [1, 2, 32]
    bound = dict(zip(lines["bound"].get_xdata(), lines["bound"].get_ydata()))
    for workers, gain in zip(*lines["predicted"].get_data()):
        assert gain <= bound[workers] * (1 + 1e-9)
    assert sum(bar.get_width() for bar in path.patches) == pytest.approx(1)
    assert "work / span" in profile.texts[0].get_text()
    words = "".join(ET.parse("x.svg").getroot().itertext())
    assert "cell[0..7] tanh" in words


def test_names_in_the_figure_are_data(folder):
    pytest.importorskip("matplotlib")
    dsk = {"$x_{<b>$": (abs, -1), "y": (str, "$x_{<b>$")}
    draw_study(study(from_dask(dsk, "y"), (), (1,), 1), "a $x_{$ title", folder / "y.svg")
    words = "".join(ET.parse("y.svg").getroot().itertext())
    assert "a $x_{$ title" in words
    assert "$x_{<b>$" in words


# --- the chart ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("values", [[1], [3, 1, 2], list(range(500)), [7] * 40, [0, 5]])
@pytest.mark.parametrize("blocks", [charts.BLOCKS, charts.PLAIN])
def test_a_chart_fits_its_width_and_is_as_high_as_its_values(values, blocks):
    lines = charts.columns(values, width=60, height=5, blocks=blocks)
    assert max(map(len, lines)) <= 60
    full = blocks[8]
    rows = [line.ljust(60) for line in lines[:-1]]
    heights = [
        sum(row[place] in blocks[1:] for row in rows) for place in range(len(f"{max(values)}") + 2, 60)
    ]
    assert max(heights) == len(rows) == min(5, max(values))
    assert full in lines[0]
    assert all(sign in blocks + "┤└─|+-0123456789, " for line in lines for sign in line)


# --- what is refused ------------------------------------------------------------------------------------
MISTAKES = {
    "analyze marking.py --workers 0": "'0' is no number of workers",
    "analyze marking.py --workers 1,,2": "a number is missing",
    "analyze marking.py --workers 1;2": "'1;2' is no number of workers; give whole numbers",
    "analyze marking.py --workers 1,²": "'²' is no number of workers",
    f"analyze marking.py --workers {10**30}": "is no number of workers; give whole numbers from 1 to 100,000",
    "analyze marking.py --rounds 0": "0 is not in the range",
    "analyze marking.py --plot x.gif": "--plot x.gif: the ending says the format, and can be .png, .svg",
    "analyze marking.py --plot no/x.svg": "cannot write no/x.svg",
    "run marking.py --timeline x.png": "--timeline x.png: the ending says the format, and can be .svg",
    "run marking.py --timeline no/x.svg": "cannot write no/x.svg",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_said_before_the_file_is_run(folder, command):
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert MISTAKES[command] in result.stderr
    assert result.stderr.startswith("error: ")
    assert not (folder / "mark").exists()


def test_a_missing_matplotlib_is_said_before_measuring(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["analyze", "marking.py", "--plot", "x.png"])
    assert result.stderr == "error: --plot needs matplotlib: pip install 'dagexec[draw]'\n"
    assert not (folder / "mark").exists()


def test_run_writes_the_timeline(folder):
    assert "written: t.svg" in call("run rnn.py --timeline t.svg")
    assert ET.parse("t.svg").getroot().get("class") == "dagexec-timeline"
