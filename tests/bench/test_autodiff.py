"""The benchmark of value and gradients: every peer computes the same, rows, demands, text, picture."""

import json
import subprocess
import sys
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.autodiff import child, cold, grid, measuring, memory, micro, report, scalars
from bench.autodiff import peers as by
from bench.autodiff import workloads as array
from bench.autodiff.child import BEGUN, TURNS, Job, largest_difference, measure
from bench.autodiff.demands import demands
from bench.autodiff.process import Child
from bench.autodiff.scalars import MICRO, SCALAR_PEERS, SCALARS
from bench.autodiff.workloads import LSTM, WORKLOADS, Workload
from dagexec.executors.blas import blas_threads

TINY = {
    "tiny net": array.tiny_net,
    "FNN": partial(array.fnn, 4, (6, 5, 10)),
    "RNN": partial(array.rnn, 3, 4, 2),
    "LSTM": partial(array.lstm, 2, 3, 2),
    "CNN": partial(array.convolutional, 2, (1, 8), ((2,), (3,)), 3, (1, 0), (5, 10)),
    "transformer": partial(array.transformer, 4, 2, 3, 2, 1),
    "towers": partial(array.towers, 2, 3, 2),
}
NEEDS = {
    by.AUTOGRAD: "autograd",
    by.TORCH: "torch",
    by.TORCH_FUSED: "torch",
    by.ONNX: "onnxruntime",
    by.JAX: "jax",
    by.JAX_SCAN: "jax",
}
# These compile for seconds; the benchmark itself compares all that it measures. The rewrites have tests.
LEFT_OUT = (by.TORCH_COMPILED, by.JAX, by.WITHOUT)
COMPILED_FOR_LONG = {(by.JAX_SCAN, "LSTM")}


def ready(name, peer):
    if peer in NEEDS and find_spec(NEEDS[peer]) is None:
        pytest.skip(f"{NEEDS[peer]} is not installed")
    try:
        return by.PEERS[peer](TINY[name](), 1)
    except by.NotApplicableError:
        pytest.skip(f"{peer} has no form of {name}")


@pytest.mark.filterwarnings("default")  # what a peer warns about is its own affair
@pytest.mark.parametrize("peer", [peer for peer in by.PEERS if not peer.startswith(LEFT_OUT)])
@pytest.mark.parametrize("name", TINY)
def test_peers_compute_the_same_value_and_gradients(name, peer):
    if (peer, name) in COMPILED_FOR_LONG:
        pytest.skip("compiled for long, and has nothing that the RNN has not")
    contestant = ready(name, peer)
    if peer == by.ONNX and name in ("FNN", "CNN"):
        with pytest.raises(NotImplementedError, match="no form in ONNX is written for"):
            contestant.make()
        return
    found = contestant.arrays(contestant.make()())
    assert largest_difference(found, child._expected(TINY[name]())) < 2e-5
    assert all(gradient.dtype == np.float32 for gradient in found[1:])


def test_the_expected_gradient_is_the_slope_of_the_loss():
    """So that not all peers agree on something else."""
    tiny = array.tiny_net()
    expected = child._expected(tiny)
    kit, step = by.Kit(np), 1e-6
    params = [{name: leaf.astype(float) for name, leaf in layer.items()} for layer in tiny.params]
    slopes = []
    for sign in (1, -1):
        params[1]["b"] = tiny.params[1]["b"].astype(float) + sign * step
        slopes.append(tiny.loss(kit, params, *tiny.data))
    assert expected[0] == pytest.approx(np.mean(slopes), rel=1e-6)
    assert expected[3] == pytest.approx((slopes[0] - slopes[1]) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("peer", SCALAR_PEERS)
@pytest.mark.parametrize(
    "make",
    [scalars.matrix_vector, partial(scalars.circle, 2, 2), partial(scalars.rnn, 2), partial(scalars.dag, 50)],
)
def test_peers_compute_the_same_of_numbers(make, peer):
    if peer == by.JAX:
        pytest.skip("JAX has float64 in a process of its own only")
    if peer in NEEDS and find_spec(NEEDS[peer]) is None:
        pytest.skip(f"{NEEDS[peer]} is not installed")
    workload = make()
    contestant = SCALAR_PEERS[peer](workload, 1)
    run = contestant.make()
    for result in (run(), run(), run(), run()):
        assert largest_difference(contestant.arrays(result), child._expected(workload)) < 1e-12


def test_the_small_engine_knows_its_operators():
    x, y = micro.Value(1.5), micro.Value(-0.5)
    micro.backward(result := micro.exp(x * y) / (2 - -y + micro.tanh(x)) - 1 / x + y)
    step = 1e-6

    def plain(x, y):
        return np.exp(x * y) / (2 + y + np.tanh(x)) - 1 / x + y

    assert result.data == pytest.approx(plain(1.5, -0.5))
    assert x.grad == pytest.approx((plain(1.5 + step, -0.5) - plain(1.5 - step, -0.5)) / (2 * step))
    assert y.grad == pytest.approx((plain(1.5, -0.5 + step) - plain(1.5, -0.5 - step)) / (2 * step))


@pytest.mark.parametrize("nodes", [100, 1_000, 5_000])
def test_a_random_graph_has_so_many_nodes_all_of_which_count(nodes):
    workload = scalars.dag(nodes)
    assert abs(workload.nodes - nodes) <= nodes // 50 + 4
    assert workload.params == scalars.dag(nodes).params
    assert np.isfinite(child._expected(workload)[0])


def rows_of(job):
    """The rows, without the lines of what has begun."""
    return [row for row in measure(job) if row["section"] != BEGUN]


@pytest.fixture
def small(monkeypatch):
    for name, make in TINY.items():
        monkeypatch.setitem(WORKLOADS, name, make)
    monkeypatch.setitem(SCALARS, "few", partial(scalars.dag, 50))
    monkeypatch.setattr(child, "BURST", 0.0)
    monkeypatch.setattr(child.gc, "collect", int)


def test_a_row_has_the_first_call_and_a_median_for_each_burst(small):
    rows = rows_of(Job(["tiny net", "few"], [by.DAGEXEC, by.NO_REWRITES, MICRO], 1, 10.0, 4))
    assert [(row["section"], row["peer"]) for row in rows] == [
        ("array", by.DAGEXEC),
        ("array", by.NO_REWRITES),
        ("scalar", by.DAGEXEC),
        ("scalar", MICRO),
    ]
    for row in rows:
        assert (row["error"], len(row["seconds"]), row["first"] > 0) == (None, 4, True)
        assert row["difference"] < 1e-6
        assert row["blas_threads"] == blas_threads()
    assert set(rows[0]["stages"]) == {"trace", "derive", "compile", "nodes"}


def test_a_peer_that_is_slow_takes_fewer_turns(small):
    (row,) = rows_of(Job(["tiny net"], [by.DAGEXEC], 1, 0.0, 9))
    assert len(row["seconds"]) == child.AT_LEAST


def test_a_turn_begins_when_the_threads_of_the_one_before_have_stopped_spinning(monkeypatch):
    seconds, slept = iter([0.0, 0.012, 0.012, 0.016, 0.016, 0.0161]), []
    monkeypatch.setattr(child, "process_time", lambda: next(seconds))
    monkeypatch.setattr(child, "sleep", slept.append)
    child._wait_for_threads()
    assert slept == [child.PAUSE] * 3


@pytest.mark.parametrize(("threads", "calls", "made"), [(1, 1, 1), (1, 4, 5), (2, 1, 2), (2, 4, 5)])
def test_a_turn_has_a_call_that_is_not_counted_unless_it_is_one_long_call_on_one_thread(threads, calls, made):
    runs = []
    contestant = child.Contestant("peer", run=lambda: runs.append(1), calls=calls)
    child._burst(contestant, 1.0, threads)
    assert (len(runs), len(contestant.seconds)) == (made, 1)


def failing(workload, threads):
    raise ImportError("no such library")


def wrong(workload, threads):
    right = by.PEERS[by.DAGEXEC](workload, threads)
    return by.Ready(right.make, lambda result: [1.1 * leaf for leaf in right.arrays(result)])


def other_shape(workload, threads):
    right = by.PEERS[by.DAGEXEC](workload, threads)
    return by.Ready(right.make, lambda result: right.arrays(result)[:-1])


def raising(workload, threads):
    calls = iter(range(child.WARM_UP + 1))

    def run():
        next(calls)
        return [np.zeros(())]

    return by.Ready(lambda: run, lambda result: child._expected(workload))


@pytest.mark.parametrize(
    ("peer", "error"),
    [
        (failing, "ImportError: no such library"),
        (wrong, "WrongResult: off by 1.0e-01"),
        (other_shape, "ValueError: the results have other shapes than expected"),
        (raising, "StopIteration"),
    ],
)
def test_a_peer_that_fails_keeps_the_reason_and_the_others_go_on(small, monkeypatch, peer, error):
    monkeypatch.setitem(by.PEERS, "peer", peer)
    lost, found = rows_of(Job(["tiny net"], ["peer", by.DAGEXEC], 1, 0.01, 3))
    assert lost["error"].startswith(error)
    assert lost["seconds"] == []
    assert found["error"] is None


def test_large_graphs_of_numbers_are_not_for_everyone(small, monkeypatch):
    monkeypatch.setitem(scalars.LONGEST, by.AUTOGRAD, 10)
    (row,) = rows_of(Job(["few"], [by.AUTOGRAD], 1, 0.01, 3))
    assert row["error"] == "left out above 10 nodes"


def test_what_is_left_out_has_a_row_that_says_why(small):
    lost = {"tiny net": {by.DAGEXEC: "compiles for long"}}
    (row,) = rows_of(Job(["tiny net"], [by.DAGEXEC], 1, 0.01, 3, lost=lost))
    assert (row["error"], row["first"], row["seconds"]) == ("compiles for long", None, [])


def test_before_each_first_call_a_line_says_what_begins(small):
    lines = list(measure(Job(["tiny net"], [by.DAGEXEC, by.NO_REWRITES], 1, 0.01, 3)))
    assert [line["peer"] for line in lines if line["section"] == BEGUN] == [by.DAGEXEC, by.NO_REWRITES, TURNS]


def test_a_job_is_done_in_a_process_with_its_threads():
    (row,) = measuring.in_child(Job(["tiny net 16-32-1, batch 4"], [by.DAGEXEC], 1, 0.01, 3))
    assert (row["workload"], row["threads"], row["error"]) == ("tiny net 16-32-1, batch 4", 1, None)
    (lost,) = measuring.in_child(Job(["tiny net"], [], 10_000, 0.01, 3))
    assert (lost["section"], lost["error"]) == ("failure", "there are not 10000 cores")


ALONE = """
import json, sys
from bench.autodiff.child import Job, measure
from bench.autodiff.measuring import ALONE
from bench.autodiff.workloads import FNN
rows = [row for row in measure(Job([FNN], ALONE, 2, 0.0, 1, section="choice")) if row["section"] == "choice"]
loaded = sorted({"autograd", "jax", "onnxruntime", "torch"} & set(sys.modules))
print(json.dumps([{row["peer"]: row["error"] for row in rows}, loaded]))
"""


def test_what_auto_chooses_from_is_measured_without_a_peer():
    found = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    errors, loaded = json.loads(found.stdout)
    assert errors == dict.fromkeys((*by.CHOICES, by.DAGEXEC_AUTO))
    assert loaded == []


class Scripted:
    """In place of processes: what each of them prints before it fails with its error, or ends well."""

    def __init__(self, *runs):
        self.runs, self.jobs = list(runs), []

    def __call__(self, module, threads, arguments, given, variables):
        self.jobs.append(json.loads(given))
        self.printed, self.error = self.runs.pop(0)
        return self

    def rows(self):
        return iter(self.printed)


def begun(workload, peer):
    return {"section": BEGUN, "workload": workload, "peer": peer}


def test_what_ends_its_process_is_left_out_of_the_next(monkeypatch):
    found = {"section": "array", "workload": "one", "peer": "slow"}
    scripted = Scripted(
        ([begun("one", "slow"), found, begun("two", "slow")], "stopped"),
        ([begun("two", TURNS)], "ended by SIGSEGV"),
        ([], None),
    )
    monkeypatch.setattr(measuring, "Child", scripted)
    rows = list(measuring.in_child(Job(["one", "two", "three"], ["slow"], 1, 0.01, 3)))
    assert rows == [found, {"section": "failure", "workload": "two", "error": "ended by SIGSEGV"}]
    assert [job["workloads"] for job in scripted.jobs] == [
        ["one", "two", "three"],
        ["two", "three"],
        ["three"],
    ]
    assert scripted.jobs[1]["lost"] == {"two": {"slow": "stopped"}}


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("print('{}'); raise SystemExit('no {such} thing')", "exit status 1: no {such} thing"),
        ("import os; print('{}', flush=True); os.abort()", "ended by SIGABRT"),
        (
            "import faulthandler, time; print('{}', flush=True);"
            "faulthandler.dump_traceback_later(0.1, exit=True); time.sleep(60)",
            "stopped, as its first call took too long",
        ),
    ],
)
def test_a_process_says_how_it_failed_and_keeps_what_it_printed(program, error):
    child = Child("no_matter", 1)
    child._command = [sys.executable, "-I", "-S", "-c", program]
    assert list(child.rows()) == [{}]
    assert child.error == error


def test_memory_of_a_step_is_its_arrays_and_what_the_process_grew_by(monkeypatch):
    arrays = array.fnn(64, (512, 256, 10))
    monkeypatch.setitem(WORKLOADS, "wide", lambda: arrays)
    found = memory.measure(by.DAGEXEC, "wide")
    gradients = sum(leaf.nbytes for layer in arrays.params for leaf in layer.values())
    assert gradients < found["arrays"] < 3 * gradients
    assert 0 <= found["grown"] < 50e6


def test_a_cold_start_says_where_its_time_goes(monkeypatch):
    monkeypatch.setattr(cold, "STEPS", 5)
    found = cold.measure()
    assert found["nodes"] > 50
    assert found["all"] >= sum(found[stage] for stage in ("trace", "derive", "compile", "run"))


def row(workload, peer, seconds, section="array", threads=1, **about):
    return {
        "section": section, "workload": workload, "peer": peer, "threads": threads, "seconds": [seconds] * 3,
        "first": 100 * seconds, "warm_up": [seconds] * 5, "stages": {}, "error": None, "tasks": 1,
        "blas_threads": threads, **about,
    }  # fmt: skip


COLD = {"nodes": 20_000, "all": 3.5, "import": 1, "trace": 1, "derive": 1, "compile": 1, "run": 0}


MADE_UP = [
    row(array.TINY, by.DAGEXEC, 1.0),
    row(array.TINY, by.TORCH, 6.0),
    row(array.TINY, by.AUTOGRAD, 19.0),
    row(LSTM, by.DAGEXEC, 1.0),
    row(LSTM, by.JAX, 0.5) | {"seconds": [], "error": "Boom: no"},
    *(
        row(array.TOWERS, peer, seconds, "choice", threads=2)
        for peer, seconds in ((by.DAGEXEC, 2.0), (by.DAGEXEC_AUTO, 1.5), (by.DAGEXEC_THREADS, 1.0))
    ),
    *(
        row(array.TOWERS, peer, seconds, threads=2)
        for peer, seconds in ((by.DAGEXEC_AUTO, 3.0), (by.TORCH, 2.4))
    ),
    row(
        "DAG of 10^5", by.DAGEXEC, 2.0, "scalar", nodes=10**8, first=3.0,
        stages={"trace": 0.25, "derive": 0.25, "compile": 0.25, "nodes": 7},
    ),
    row(array.TINY, by.NO_REWRITES, 2.0, "rewrite"),
    row(array.TINY, by.DAGEXEC, 1.0, "rewrite"),
    {"section": "memory", "workload": "FNN", "peer": by.DAGEXEC, "arrays": 3_000_000, "grown": 10_000_000},
    {"section": "memory", "workload": "FNN", "peer": by.TORCH, "arrays": 2_000_000, "grown": 20_000_000},
    {"section": "cold", **COLD},
]  # fmt: skip


def test_a_demand_is_judged_by_the_worst_workload():
    found = {
        (demand["what"], demand["demanded"]): (demand["measured"], demand["met"])
        for demand in demands(MADE_UP)
    }
    for what, demanded, measured, met in (
        ("tiny net: times as fast as PyTorch eager", "≥ 5×", f"6× ({array.TINY})", True),
        ("tiny net: times as fast as HIPS autograd", "≥ 20×", f"19× ({array.TINY})", False),
        ("LSTM: times as fast as JAX jit", "≥ 3×", "not measured", None),
        ("unrolled recurrent, first call: times as soon as JAX jit", "≥ 10×", f"0.5× ({LSTM})", False),
        ("scalars, DAGs of 10^5 and 10^6: ns a node", "≤ 30 ns", "20 ns (DAG of 10^5)", True),
        ("scalars, planning: µs a node", "≤ 1.5 µs", "0.005 µs (DAG of 10^5)", True),
        (
            "two threads, alone, auto: share of the speed of the best choice",
            "≥ 0.95",
            f"0.667 ({array.TOWERS})",
            False,
        ),
        (
            "two threads, alone, towers on workers: times as fast as dagexec",
            "≥ 1.9×",
            f"2× ({array.TOWERS})",
            True,
        ),
        (
            "two threads, alone, auto, all: times as fast as dagexec",
            "≥ 0.97×",
            f"1.33× ({array.TOWERS})",
            True,
        ),
        (
            "two threads, beside peers, towers: times as fast as PyTorch eager",
            "≥ 1×",
            f"0.8× ({array.TOWERS})",
            False,
        ),
        ("memory, arrays at the peak of a step: times PyTorch's", "≤ 1×", "1.5× (FNN)", False),
        ("memory, growth of the process: times PyTorch's", "≤ 1×", "0.5× (FNN)", True),
        ("cold start of an RNN of 1,000 steps", "≤ 3 s", "3.5 s (20,000 nodes)", False),
    ):
        assert found[what, demanded] == (measured, met)


def test_the_table_has_a_part_for_all_that_was_measured():
    text = report.table(MADE_UP)
    for part in (
        "ms, one thread",
        "two threads, dagexec alone: two cores; auto and its choices, no peer is imported; "
        "BLAS threads there: 2",
        "ms, two threads, beside peers",
        "ms, two threads, dagexec alone",
        "ns a node",
        "First call",
        "What each rewrite gains",
        "Peak memory",
        "Cold start",
        f"JAX jit: Boom: no ({LSTM})",
        "NOT MET by 17% (1 of 1)",  # of 3 s, which a cold start of 3.5 s takes longer
    ):
        assert part in text
    assert "NOT MET" not in report.table(MADE_UP[:1])


@pytest.fixture
def fixed(monkeypatch):
    rows = [*MADE_UP, *demands(MADE_UP)]
    monkeypatch.setattr(measuring, "measure", lambda quick=False: iter(rows))


def run(*arguments):
    return CliRunner().invoke(main, ["autodiff", *map(str, arguments)])


def test_the_command_prints_and_draws(fixed, tmp_path):
    plot = tmp_path / "figure.png"
    result = run("--quick", "--json", "--plot", plot)
    assert len(json.loads(result.stdout)["rows"]) > len(MADE_UP)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_what_was_saved_is_printed_again_as_text_or_markdown(fixed, tmp_path):
    file = tmp_path / "figures.json"
    printed = run("--quick", "--save", file).stdout
    assert run("--from", file).stdout == printed
    assert f"| {array.TINY} | 6.0 | 19 |" in run("--from", file, "--markdown").stdout


def test_figures_are_saved_as_they_come(monkeypatch, tmp_path):
    def interrupted(quick):
        yield MADE_UP[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "measure", interrupted)
    file = tmp_path / "figures.json"
    run("--quick", "--save", file)
    assert json.loads(file.read_text())["rows"] == [MADE_UP[0]]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"benchmark": "overhead", "machine_line": ""}', '{"benchmark": "autodiff"}']
)
def test_a_file_that_is_no_figures_is_refused(tmp_path, text):
    file = tmp_path / "figures.json"
    file.write_text(text)
    result = run("--from", file)
    assert result.exit_code == 2
    assert f"{file}" in result.stderr


def test_figures_of_another_version_are_to_be_measured_again(tmp_path):
    file = tmp_path / "figures.json"
    older = [{key: value for key, value in row.items() if key != "blas_threads"} for row in MADE_UP]
    file.write_text(json.dumps({"benchmark": "autodiff", "machine_line": "", "rows": older}))
    result = run("--from", file)
    assert result.exit_code == 2
    assert "measure again" in result.stderr


def test_a_table_has_its_columns_below_each_other():
    made = grid.Grid("Times", ["a", "bcd"], {"small": ["1.25", "2"], "larger": ["", "33.5"]}, ["Notes."])
    assert made.text().splitlines() == [
        "Times",
        "            a    bcd",
        "small    1.25      2",
        "larger          33.5",
        "Notes.",
    ]


@pytest.fixture
def asked(monkeypatch):
    """The jobs, none of which is done, and the workloads whose memory is asked for."""
    jobs, memory = [], []

    def alone(module, *arguments):
        memory.append(arguments)
        return {"error": "not measured"}

    monkeypatch.setattr(measuring, "in_child", lambda job: jobs.append(job) or [])
    monkeypatch.setattr(measuring, "_alone", alone)
    return jobs, memory


def test_the_whole_run_has_each_workload_on_one_thread_and_on_two(asked):
    jobs, memory = asked
    list(measuring.measure())
    one, two, alone, numbers, rewrites = jobs
    assert (one.threads, two.threads, alone.threads) == (1, 2, 2)
    assert one.workloads == two.workloads == alone.workloads == list(array.CHOSEN)
    assert [job.section for job in jobs] == ["array", "array", "choice", "array", "rewrite"]
    assert numbers.workloads == list(SCALARS)
    assert set(rewrites.workloads) < set(array.CHOSEN)
    assert {name for _, name in filter(None, memory)} == set(array.CHOSEN)
    known = {peer for job in jobs for peer in job.peers}
    assert known == {*by.PEERS, MICRO}
    for job in jobs:
        for name, lost in job.lost.items():
            assert name in WORKLOADS
            assert set(lost) <= {by.JAX, by.TORCH_COMPILED}


def test_the_recurrent_networks_of_the_whole_run_have_all_sizes():
    words = [name.replace(",", "").split() for name in array.CHOSEN_RNNS]
    assert {word for _, word, *_ in words} == {"8", "32", "128"}
    assert {word[4] for word in words} == {"16", "128", "512"}
    assert {word[6] for word in words} == {"1", "32"}


def test_a_part_can_be_measured_by_its_name(asked):
    jobs, _ = asked
    list(measuring.measure_only("LeNet"))
    assert [(job.workloads, job.threads) for job in jobs] == [
        ([array.LENET], 1),
        ([array.LENET], 2),
        ([array.LENET], 2),
        ([array.LENET], 1),
    ]
    result = run("--only", "nothing")
    assert result.exit_code == 2
    assert "no workload has 'nothing' in its name" in result.stderr
    assert "measured as a whole" in CliRunner().invoke(main, ["overhead", "--only", "x"]).stderr


def test_without_a_rewrite_there_is_a_row_where_it_changes_something():
    rnn = TINY["RNN"]()
    ready = by.PEERS[by.WITHOUT + "sum_products"](rnn, 1)
    assert largest_difference(ready.arrays(ready.make()()), child._expected(rnn)) < 2e-5
    for name in ("compute_safely", "products"):
        with pytest.raises(by.NotApplicableError):
            by.PEERS[by.WITHOUT + name](rnn, 1)
    with pytest.raises(by.NotApplicableError):
        by.PEERS[by.WITHOUT + "sum_products"](TINY["tiny net"](), 1)


def test_recurrent_workloads_say_so():
    assert isinstance(TINY["LSTM"](), Workload)
    assert [TINY[name]().recurrent for name in ("RNN", "LSTM", "FNN")] == ["RNN", "LSTM", ""]
