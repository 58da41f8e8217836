"""`dagexec view`: what it writes and says, and how mistakes end."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dagexec.cli import main
from tests.page.test_html import Reader

GRAPHS = Path(__file__).parents[2] / "graphs"
RNN = [str(GRAPHS / "rnn.py"), "-p", "steps=2", "-p", "hidden=4", "-p", "batch=2"]


@pytest.fixture
def view(tmp_path, monkeypatch):
    """Runs the command in an empty folder; gives its result, and the data of page.html."""
    monkeypatch.chdir(tmp_path)

    def run(*args, status=0):
        result = CliRunner().invoke(main, ["view", *args])
        assert result.exit_code == status, result.output
        page = tmp_path / "page.html"
        return result, Reader(page.read_text(encoding="utf-8")).data if page.exists() else None

    return run


def test_it_records_a_run_on_each_executor(view):
    result, data = view(*RNN, "-o", "page.html", "--workers", "2")
    assert result.stdout == ""
    assert "page.html: 74 nodes, runs on serial, threads, processes, " in result.stderr
    assert [run["executor"] for run in data["runs"]] == ["serial", "threads", "processes"]
    assert data["file"] == RNN[0]
    assert len(data["values"]) > 60


def test_it_runs_what_is_asked_for_and_nothing_with_no_run(view):
    _, data = view(*RNN, "-o", "page.html", "--executors", "threads, serial,threads")
    assert [run["executor"] for run in data["runs"]] == ["threads", "serial"]
    _, data = view(*RNN, "-o", "page.html", "--no-run")
    assert (data["runs"], data["values"]) == ([], {})


def test_the_graph_is_shown_as_derived_or_rewritten_or_without_gradients(view):
    whole = view(*RNN, "-o", "page.html", "--no-run")[1]["nodes"]["phase"]
    forward = view(*RNN, "-o", "page.html", "--no-run", "--forward-only")[1]["nodes"]["phase"]
    _, data = view(*RNN, "-o", "page.html", "--executors", "serial", "--rewrites")
    assert set(whole) == {0, 1}
    assert set(forward) == {0}
    assert len(data["nodes"]["phase"]) < len(whole)
    ran = {node for nodes in data["runs"][0]["tasks"]["nodes"] for node in nodes}
    assert max(ran) < len(data["nodes"]["phase"])


def test_a_graph_of_tasks_is_shown_and_run(view):
    _, data = view(str(GRAPHS / "word_count.py"), "-p", "documents=2", "-p", "words=5", "-o", "page.html")
    assert len(data["runs"]) == 3
    assert set(data["specs"]) == {None}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([*RNN], "Missing option '-o'"),
        ([*RNN, "-o", "page.png"], "-o page.png: the ending says the format, and can be .html, .htm"),
        (
            [*RNN, "-o", "page.html", "--executors", "serial,gpu"],
            "'gpu' is not one of serial, threads, processes",
        ),
        ([*RNN, "-o", "page.html", "--executors", ""], "'' is not one of serial, threads, processes"),
        ([*RNN, "-o", "page.html", "-p", "step=2"], "has no parameter 'step'; did you mean 'steps'?"),
        (["nothing.py", "-o", "page.html"], "'nothing.py' does not exist"),
    ],
)
def test_what_is_given_wrong_is_named(view, args, message):
    result, data = view(*args, status=2)
    assert message in " ".join(result.stderr.split())
    assert data is None


def test_what_cannot_be_written_is_said_before_anything_is_run(view, tmp_path):
    Path("loud.py").write_text("raise RuntimeError('was run')")
    result, _ = view("loud.py", "-o", "nowhere/page.html", status=1)
    assert "cannot write nowhere/page.html" in result.stderr
    assert "was run" not in result.stderr


def test_a_run_that_cannot_be_recorded_says_how_to_leave_it_out(view):
    Path("locked.py").write_text(
        "from threading import Lock\ndef build(): return {'x': (Lock,), 'y': (id, 'x')}"
    )
    result, data = view("locked.py", "-o", "page.html", status=1)
    assert "in the run on processes; --executors" in result.stderr
    assert data is None


def test_a_failing_run_leaves_no_page(view):
    Path("failing.py").write_text("def build(): return {'x': (int, 'no number')}, 'x'")
    result, data = view("failing.py", "-o", "page.html", status=1)
    assert "ValueError" in result.stderr
    assert data is None
