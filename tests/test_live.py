"""The live view of a run: what it tells, and that it leaves a terminal and a pipe as they were."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import live
from dagexec.cli import main
from dagexec.simulation import simulate
from tests.dags import dag, edge_lists

ROOT = Path(__file__).parents[1]
SLOW = """
import time
def wait(number, seconds):
    print("task", number)
    time.sleep(seconds)
    return number
def fail(*values): raise OSError("no")
def build(n: int = 40, seconds: float = 0.05, failing: bool = False):
    dsk = {f"wait-{i}": (wait, i, seconds) for i in range(n)}
    return {**dsk, "end": (fail if failing else max, list(dsk))}, "end"
"""


@settings(max_examples=25)
@given(edge_lists(10), st.data())
def test_the_watch_tells_what_the_whole_log_does(edges, data):
    plan = dagexec.plan(dag(edges, range(len(edges))))
    costs = [float(data.draw(st.integers(0, 9))) for _ in edges]
    whole = list(simulate(plan, 2, costs=costs).events())
    log = dagexec.Events(plan.graph)
    watch = live.Watch(log, len(edges))
    for event in whole:
        log._events.append(event)
        if data.draw(st.booleans()):
            watch.look()
            seen = list(log)
            ended = {event.task for event in seen if event.kind == "end"}
            begun = {event.worker: event.task for event in seen if event.kind == "start"}
            assert watch.done == len(ended)
            running = {worker: task for worker, task in begun.items() if task not in ended}
            assert {worker: event.task for worker, event in watch.running.items()} == running
    watch.look()
    assert watch.done == len(edges)
    assert watch.slowest is not None
    assert watch.slowest[0] == max(costs)
    assert costs[watch.slowest[1]] == max(costs)


def test_a_flood_of_events_is_counted_and_not_read(monkeypatch):
    monkeypatch.setattr(live, "MOST_EVENTS", 8)
    log = dagexec.Events(dag([[] for _ in range(100)], [0]))
    watch = live.Watch(log, 100)
    for task in range(50):
        for kind in ("ready", "start", "end", "free"):
            log.note(kind, task, 0, time=float(task))
    watch.look()
    assert watch.done == 50
    assert not watch.has_seen_all
    assert watch.last == {0: 49}


def test_the_time_left_is_said_when_enough_is_done(monkeypatch):
    log = dagexec.Events(dag([[] for _ in range(400)], [0]))
    watch = live.Watch(log, 400)
    clock = [0.0]
    monkeypatch.setattr(live, "perf_counter", lambda: clock[0])
    watch._begin = 0.0

    def end(tasks):
        for task in tasks:
            log.note("start", task, 0)
            log.note("end", task, 0)
        watch.look()

    end(range(39))
    clock[0] = 4.0
    assert watch.left is None
    end(range(39, 100))
    assert watch.left == pytest.approx(12.0)
    end(range(100, 400))
    assert watch.left is None


# --- on a terminal --------------------------------------------------------------------------------------
SIZE = {"LINES": "24", "COLUMNS": "100", "TERM": "xterm-256color"}


def read_all(leader: int, on_words: Mapping[bytes, Callable[[], None]]) -> str:
    """All that is written to a terminal until it is closed; `on_words`: what to do once words were seen."""
    seen, waiting = b"", dict(on_words)
    while True:
        try:
            seen += os.read(leader, 1 << 16)
        except OSError:  # the other end is closed
            os.close(leader)
            return seen.decode()
        for words in [words for words in waiting if words in seen]:
            waiting.pop(words)()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text(SLOW)
    monkeypatch.chdir(tmp_path)
    for name, value in SIZE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return tmp_path


@pytest.fixture
def on_terminal(folder, monkeypatch):
    """The function that runs a command with its stderr on a terminal, and gives what came there, what came
    to stdout, a file, and the status. The view is drawn after 0.2 seconds."""
    monkeypatch.setattr(live, "SECONDS_BEFORE_BAR", 0.2)

    def run(*command):
        leader, follower = pty.openpty()
        with ThreadPoolExecutor() as pool:
            reading = pool.submit(read_all, leader, {})
            with (
                open(follower, "w") as stderr,
                open("out.txt", "w") as stdout,
                monkeypatch.context() as patch,
            ):
                patch.setattr(sys, "stderr", stderr)
                patch.setattr(sys, "stdout", stdout)
                with pytest.raises(SystemExit) as ended:
                    main.main(list(command))
            return reading.result(), (folder / "out.txt").read_text(), ended.value.code

    return run


def left_on_screen(text):
    """The lines that stay on a terminal that got `text`, by the few control sequences that rich writes."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]", text):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\x1b[2K":
            lines[row] = ""
        elif match := re.fullmatch(r"\x1b\[(\d*)A", token):
            row -= int(match[1] or 1)
        elif not token.startswith("\x1b"):
            lines[row] = f"{lines[row]:<{column}}"[:column] + token + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def cursor_is_shown(text):
    return text.count("\x1b[?25l") == text.count("\x1b[?25h")


def test_a_long_run_shows_what_goes_on_and_leaves_nothing_behind(on_terminal):
    text, printed, status = on_terminal("run", "slow.py", "--executor", "threads", "--workers", "2")
    assert status == 0
    for words in (" of 41 tasks", "worker 0", "worker 1", "wait-", "slowest"):
        assert words in text
    assert left_on_screen(text) == []
    assert cursor_is_shown(text)
    assert "\x1b" not in printed  # a file gets what tasks print, then the facts, all plain
    assert sum(line.startswith("task ") for line in printed.splitlines()) == 40
    assert "41  in 2 levels" in printed


def test_a_short_run_shows_nothing(on_terminal):
    text, _, status = on_terminal("run", "slow.py", "-p", "n=2", "-p", "seconds=0.001")
    assert (text, status) == ("", 0)


def test_an_error_ends_the_view_and_is_all_that_is_left(on_terminal):
    text, _, status = on_terminal(
        "run", "slow.py", "-p", "n=10", "-p", "failing=true", "--executor", "serial"
    )
    assert status == 1
    assert " of 11 tasks" in text
    assert left_on_screen(text)[0].startswith("error: no (slow.py:")
    assert cursor_is_shown(text)


def test_ctrl_c_ends_the_view_and_leaves_one_line(folder):
    command = ["run", "slow.py", "-p", "n=500", "--executor", "threads", "--workers", "2"]
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dagexec", *command],
        stdin=follower,
        stdout=subprocess.DEVNULL,
        stderr=follower,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    os.close(follower)
    text = read_all(leader, {b"slowest": lambda: process.send_signal(signal.SIGINT)})
    assert process.wait(10) == 130
    assert left_on_screen(text.replace("^C", "")) == ["error: interrupted"]
    assert cursor_is_shown(text)
