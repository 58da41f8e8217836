"""Rounds: who plays, who is out, and what the others notice of it."""

import time

import pytest

from bench import rounds
from bench.rounds import Cell, microseconds, play, times_as_fast


def test_contestants_take_turns():
    calls = []
    cells = [Cell(name, 1, lambda name=name: calls.append(name)) for name in "ab"]
    play(cells, seconds=10, rounds=3)
    assert calls == ["a", "b"] * 4  # the first run is not counted
    assert [len(cell.seconds) for cell in cells] == [3, 3]


def test_a_slow_contestant_plays_fewer_rounds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(rounds, "perf_counter", lambda: now[0])

    def lasting(seconds):
        def run():
            now[0] += seconds

        return run

    slow, fast = Cell("slow", 1, lasting(20.0)), Cell("fast", 1, lasting(0.01))
    play([slow, fast], seconds=1.0, rounds=9)
    assert (len(slow.seconds), len(fast.seconds)) == (rounds.AT_LEAST, 9)


def test_a_failing_contestant_says_why_and_the_others_go_on():
    runs = iter([1, 1])
    late = Cell("late", 1, lambda: [next(runs)])
    wrong, right = Cell("wrong", 1, lambda: [0]), Cell("right", 1, lambda: [1])
    play([late, wrong, right], seconds=1, rounds=5, expected=[[1], [1], [1]])
    assert late.error == "StopIteration"
    assert late.seconds == []
    assert "WrongResult" in wrong.error
    assert (right.error, len(right.seconds)) == (None, 5)


def test_a_contestant_that_hangs_is_stopped(monkeypatch):
    monkeypatch.setattr(rounds, "PATIENCE", 0.05)
    hung = Cell("hung", 1, lambda: time.sleep(60))
    play([hung], seconds=1, rounds=5)
    assert "TimeoutError" in hung.error


def test_a_ratio_is_of_the_same_round():
    fast = Cell("fast", 10, int, seconds=[1.0, 2.0, 4.0]).row()
    slow = Cell("slow", 5, int, seconds=[2.0, 4.0]).row()
    assert times_as_fast(fast, slow) == [4.0, 4.0, 4.0]
    assert microseconds(fast) == pytest.approx([2e5, 1.5e5, 3e5])
    assert microseconds(Cell("none", 1, int).row()) is None
