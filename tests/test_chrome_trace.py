"""The trace file against the Trace Event Format: row by row by a schema, then what Perfetto asks of all."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import dagexec

SCHEMA = json.loads(Path(__file__).with_name("trace_event.schema.json").read_text())
VALID = jsonschema.Draft202012Validator(SCHEMA)


def loss(w, x):
    hidden = np.tanh(x @ w)
    return np.sum(hidden * hidden) + np.sum(np.sin(x) @ np.cos(w))


def failing():
    graph = dagexec.trace(lambda x, i: np.tanh(x)[i])(np.ones(3), np.array([0]))
    log = dagexec.Events(graph)
    with dagexec.compile(graph, "serial", events=log) as compiled, pytest.raises(IndexError):
        compiled(np.ones(3), np.array([5]))
    return log


def recorded(executor, workers=2):
    w, x = np.ones((8, 8)), np.ones((16, 8))
    graph = dagexec.trace(loss)(w, x).backward()
    return dagexec.run(graph, w, x, executor=executor, workers=workers, events=True)[1]


def overlapping():
    """A log by clocks that disagree: two tasks of a worker at once, noted in another order than they ran."""
    log = dagexec.Events(dagexec.trace(lambda x: np.sin(np.cos(x)) + 1)(1.0))  # %1 = cos, %2 = sin
    for kind, task, time in [
        ("start", 2, 5.0),
        ("end", 2, 6.0),
        ("start", 1, 1.0),
        ("end", 1, 5.0000004),
        ("free", 1, 5.5),
    ]:
        log.note(kind, task, 1, np.ones(task), time)
    return log


def odd_names():
    dsk = {'a "<b>"\n\x00\u202e': (abs, -1), ("x", 1): (abs, 'a "<b>"\n\x00\u202e')}
    return dagexec.run(dagexec.from_dask(dsk, ("x", 1)), executor="threads", workers=2, events=True)[1]


RUNS = {
    "serial": lambda: recorded("serial", None),
    "threads": lambda: recorded("threads"),
    "processes": lambda: recorded("processes"),
    "a run that failed": failing,
    "clocks that disagree": overlapping,
    "odd names": odd_names,
    "nothing": lambda: dagexec.Events(dagexec.trace(lambda x: x + 1)(1.0)),
}


@pytest.fixture(params=RUNS)
def run(request, tmp_path):
    """The events of a run, and the rows of its trace file."""
    events = RUNS[request.param]()
    events.to_chrome(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text(), parse_constant=pytest.fail)
    VALID.validate(trace)
    return events, trace["traceEvents"]


def test_metadata_comes_first_and_names_the_process_and_each_worker(run):
    events, rows = run
    kinds = "".join(row["ph"] for row in rows)
    assert kinds.rfind("M") < min(
        [place for place, kind in enumerate(kinds) if kind != "M"], default=len(rows)
    )
    named = {row["tid"]: row["args"]["name"] for row in rows if row["name"] == "thread_name"}
    assert named == {event.worker: f"worker {event.worker}" for event in events}
    assert sum(row["name"] == "process_name" for row in rows) == 1


def test_rows_are_sorted_by_time_in_microseconds(run):
    events, rows = run
    moments = [row["ts"] for row in rows if row["ph"] != "M"]
    assert moments == sorted(moments)
    last = max((event.time for event in events), default=0) - events.begin
    assert max(moments, default=0) <= last * 1e6 + 0.001
    instants = [row["ts"] for row in rows if row["ph"] == "i"]
    times = sorted(event.time for event in events if event.kind in ("ready", "free", "error"))
    assert instants == pytest.approx([(time - events.begin) * 1e6 for time in times], abs=0.001)


def test_each_task_has_its_row_and_a_worker_runs_one_at_a_time(run):
    events, rows = run
    complete = [row for row in rows if row["ph"] == "X"]
    by_task = {row["args"]["task"]: row for row in complete}
    assert len(by_task) == len(complete) == len(events.spans())
    for task, worker, start, end in events.spans():
        row = by_task[task]
        assert (row["name"], row["tid"]) == (events.name(task), worker)
        assert row["ts"] >= start * 1e6 - 0.001
        assert row["ts"] + row["dur"] == pytest.approx(end * 1e6, abs=0.001)
    for worker in {row["tid"] for row in complete}:
        for before, after in pairwise(row for row in complete if row["tid"] == worker):
            assert before["ts"] + before["dur"] <= after["ts"] + 1e-6


def test_the_counter_tells_what_is_held(run):
    events, rows = run
    counted = [row["args"]["bytes"] for row in rows if row["ph"] == "C"]
    assert counted == [held for _, held in events.live_bytes()]
    assert min(counted, default=0) >= 0
    ends = [event for event in events if event.kind == "end"]
    if counted:
        freed = {event.task for event in events if event.kind == "free"}
        assert counted[-1] == sum(event.bytes for event in ends if event.task not in freed)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ph": "X", "name": "add", "cat": "forward", "pid": 0, "tid": 0, "ts": 1.0},  # no duration
        {"ph": "X", "name": "add", "cat": "forward", "pid": 0, "tid": 0, "ts": "1", "dur": 1},
        {"ph": "X", "name": "add", "cat": "forward", "pid": 0, "tid": 0, "ts": 1, "dur": -1},
        {"ph": "i", "s": "x", "name": "free", "pid": 0, "tid": 0, "ts": 1},
        {"ph": "C", "name": "live", "pid": 0, "ts": 1, "args": {"bytes": "12"}},
        {"ph": "M", "name": "thread_name", "pid": 0, "args": {"name": "worker 0"}},  # of which thread?
        {"ph": "M", "name": "thread_name", "pid": 0, "tid": 0, "args": {}},
        {"ph": "Q", "name": "add", "pid": 0, "tid": 0, "ts": 1},
    ],
)
def test_the_schema_refuses_what_the_format_does_not_have(wrong):
    assert not VALID.is_valid({"traceEvents": [wrong]})
