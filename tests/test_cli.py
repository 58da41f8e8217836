"""The command line: what each command tells, and how each mistake ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dagexec.cli import main, show
from dagexec.executors import CHOICES

ROOT = Path(__file__).parents[1]
GRAPHS = ROOT / "graphs"
SMALL_RNN = [str(GRAPHS / "rnn.py"), "-p", "steps=3", "-p", "hidden=4", "-p", "batch=2"]

FILES = {
    "square": "def build(size: int = 3): return lambda x: np.sum(x * x), (np.arange(float(size)),)",
    "vector": "def build(): return lambda x: x * x, (np.ones(3),)",
    "nobuild": "answer = 42",
    "notpython": "def build(:",
    "noimport": "import there_is_no_such_module\ndef build(): pass",
    "raising": "def inner(n): return 1 / n\ndef build(n: int = 0):\n  return inner(n)",
    "opening": "def build():\n  return np.load('nothing.npy')",
    "exiting": "def build():\n  raise SystemExit(7)",
    "misfit": "def build(): return lambda a: np.sum(a @ a), (np.ones((2, 3)),)",
    "branching": "def build(): return lambda x: x if x > 0 else -x, (np.ones(()),)",
    "failing": (
        "from dagexec import block, xp\n@block\ndef pick(x, i):\n  return xp.take(x, i)\n"
        "def build(): return lambda x, i: np.sum(pick(x, i) ** 2), (np.ones(3), np.array([1, 7]))"
    ),
    "wrongresult": "def build(): return 3",
    "dag": (
        "def load(number): return [number] * number\n"
        "def build(n: int = 3):\n"
        "  loads = {('load', i): (load, i) for i in range(n)}\n"
        "  return {**loads, '<total>': (sum, [(len, key) for key in loads])}, '<total>'"
    ),
    "partly": (
        "def fail(x): raise OSError('no [more]')\n"
        "def build(): return {'x': (fail, 1), 'y': (abs, 'x'), 'good': (abs, -1)}, ['y', 'good']"
    ),
    "hugenumber": "def build(): return {'x': (pow, 10, 5000)}",
    "leaving": "import sys\ndef build(): return {'x': (sys.exit, 0)}",
    "circular": "def build(): return {'x': (abs, 'y'), 'y': (abs, 'x')}",
    "infinite": "def build(): return lambda x: np.sum(np.log(x)), (np.zeros(3),)",
}


def call(*args):
    """The result of a command that is expected to end well."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == 0, result.stderr
    return result


def process(*args, **options):
    """A command in a process of its own."""
    command = [sys.executable, "-m", "dagexec", *map(str, args)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} | options.pop("env", {})
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, **options)


# --- mistakes -------------------------------------------------------------------------------------------
MISTAKES = {
    "a missing file": ("run nothing.py", 2, ["'nothing.py' does not exist", "see: dagexec run --help"]),
    "a folder": ("run .", 2, ["'.' is a directory"]),
    "no build": ("run nobuild.py", 2, ["nobuild.py has no function build", "build(...) -> (fn, args)"]),
    "no Python": ("run notpython.py", 1, ["SyntaxError: invalid syntax (notpython.py:2)"]),
    "a missing module": ("run noimport.py", 1, ["there_is_no_such_module", "noimport.py:2"]),
    "an unknown parameter": ("run square.py -p siez=3", 2, ["no parameter 'siez'; did you mean 'size'?"]),
    "a value of the wrong type": ("run square.py -p size=big", 2, ["size=big: 'big' is not an int"]),
    "no value": ("run square.py -p size", 2, ["'size' is not of the form name=value"]),
    "a build that raises": ("run raising.py", 1, ["ZeroDivisionError: division by zero (raising.py:2)"]),
    "a build that misses a file": ("run opening.py", 1, ["'nothing.npy' (opening.py:3)"]),
    "a build that exits": ("run exiting.py", 1, ["exiting.py calls sys.exit(7)"]),
    "a build that builds nothing": ("run wrongresult.py", 2, ["wrongresult.py returns a value of type int"]),
    "shapes that don't fit": ("run misfit.py", 1, ["ValueError: matmul of float64[2,3]", "misfit.py:2"]),
    "code that asks for a value": ("run branching.py", 1, ["TracingError: bool()", "branching.py:2"]),
    "a node that raises": (
        "run failing.py",
        1,
        ["out of bounds", " getitem(float64[3]", "in pick[0]", "failing.py:5"],
    ),
    "a cycle": ("draw circular.py -o x.svg", 2, ["circular.py builds has a cycle: 'x' → 'y' → 'x'"]),
    "tasks that fail": (
        "run partly.py --on-error continue",
        1,
        ["1 task failed, 1 skipped", "failed: x: OSError: no [more]", "skipped: y"],
    ),
    "a task of a DAG that fails": (
        "run partly.py",
        1,
        ["error: no [more] (partly.py:2)", "raised by node %0 x"],
    ),
    "a time that is none": ("run dag.py --timeout 0", 2, ["0.0 is not in the range"]),
    "an unknown executor": ("run square.py --executor gpu", 2, ["'gpu' is not one of", "'threads'"]),
    "no workers": ("run square.py --workers 0", 2, ["0 is not in the range"]),
    "an unknown command": ("rnu square.py", 2, ["No such command 'rnu'", "see: dagexec --help"]),
    "an unknown image ending": ("draw square.py -o x.gif", 2, ["-o x.gif", ".svg, .png, .pdf, .dot"]),
    "an unwritable image": ("draw square.py -o no/x.svg", 1, ["cannot write no/x.svg: No such file"]),
    "an image that is a folder": (
        "draw square.py -o made.svg",
        1,
        ["cannot write made.svg: it is a directory"],
    ),
    "no output": ("draw square.py", 2, ["Missing option '-o'"]),
    "an unknown level": ("draw square.py -o x.svg --level low", 2, ["'low' is not one of 'high', 'ops'"]),
    "an unwritable trace": ("run square.py --trace no/t.json", 1, ["cannot write no/t.json"]),
    "an output that is the graph file": (
        "run square.py --trace ./square.py",
        2,
        ["FILE and trace are one file: square.py"],
    ),
    "two outputs in one file": (
        "run square.py --timeline x.svg --draw ./x.svg",
        2,
        ["timeline and draw are one file: x.svg"],
    ),
    "a task that ends the process": ("run leaving.py", 1, ["the graph's code calls sys.exit(0)"]),
    "an unknown plot ending": ("train square.py --plot x.gif", 2, ["--plot x.gif", ".png"]),
    "nothing to train": ("train square.py", 2, ["square.py builds no training", "dagexec run"]),
    "to resume nothing": ("train square.py --resume", 2, ["--resume needs --checkpoint"]),
    "to resume what is not there": (
        f"train {GRAPHS / 'circle.py'} --resume --checkpoint no.safetensors",
        1,
        ["No such file", "no.safetensors"],
    ),
    "a checkpoint that is there": ("train square.py --checkpoint made.svg", 1, ["cannot write made.svg"]),
    "two seeds": ("train square.py --seed 1 -p seed=2", 2, ["give one of them"]),
    "a seed that is not taken": ("train square.py --seed 1", 2, ["no parameter 'seed'"]),
    "nothing to compare": ("train square.py --compare size=3", 2, ["not of the form name=a,b,c"]),
    "an unknown comparison": ("train square.py --compare siez=1,2", 2, ["did you mean 'size'"]),
    "a checkpoint of several": (
        "train square.py --compare size=1,2 --checkpoint c.safetensors",
        2,
        ["--compare makes several"],
    ),
    "a training that diverges": (f"train {GRAPHS / 'line.py'} -p rate=1e300", 1, ["smaller learning rate"]),
    "a folder that is none": ("list nowhere", 2, ["'nowhere' does not exist"]),
    "no command": ("", 2, ["Usage: dagexec", "bench"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_with_one_message_and_its_status(folder, mistake):
    command, status, said = MISTAKES[mistake]
    (folder / "made.svg").mkdir()
    before = sorted(folder.iterdir())
    result = CliRunner().invoke(main, command.split(), prog_name="dagexec")
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.startswith("Usage:" if mistake == "no command" else "error: ")
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error:") == (mistake != "no command")
    for words in said:
        assert words in result.stderr
    assert sorted(path for path in folder.iterdir() if path.name != "__pycache__") == before


@pytest.mark.parametrize("executor", CHOICES)
def test_a_node_that_raises_is_named_on_each_executor(folder, executor):
    result = CliRunner().invoke(main, ["run", "failing.py", "--executor", executor])
    assert result.exit_code == 1
    named = r"raised by node %\d getitem\(float64\[3\], int64\[2\]\) in pick\[0\], at failing.py:5"
    assert re.search(named, result.stderr)
    assert "Traceback" not in result.stderr


def test_a_graph_is_drawn_and_run_as_it_was_traced_or_rewritten(folder):
    Path("ones.py").write_text(
        "import numpy as np\ndef build(): return lambda x: np.sum(x * 1), (np.ones(3),)"
    )
    for args, wanted in {
        "draw ones.py -o x.svg": "6 nodes",
        "draw ones.py -o x.svg --rewrites": "4 nodes",
        "run ones.py": "4  (",
        "run ones.py --no-rewrites": "6  (",
    }.items():
        result = CliRunner().invoke(main, args.split())
        assert wanted in result.output, args


@pytest.mark.parametrize("args", [["--debug", "run", "raising.py"], ["run", "raising.py", "--debug"]])
def test_debug_shows_the_traceback_and_keeps_message_and_status(folder, args):
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert 'File "raising.py", line 2, in inner' in result.stderr
    assert "error: ZeroDivisionError" in result.stderr
    assert "--debug" not in result.stderr


def test_outputs_are_checked_before_the_file_is_run(folder):
    (folder / "marking.py").write_text("open('mark', 'w').close()\ndef build(): pass")
    for command in (
        "run marking.py --draw x.gif",
        "run marking.py --trace no/t",
        "draw marking.py -o no/x.png",
    ):
        assert CliRunner().invoke(main, command.split()).exit_code > 0
    assert not (folder / "mark").exists()


def test_a_missing_matplotlib_is_said_before_training(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["train", str(GRAPHS / "circle.py"), "--plot", "loss.png"])
    assert result.exit_code == 1
    assert result.stderr == "error: --plot needs matplotlib: pip install 'dagexec[draw]'\n"


# --- list -----------------------------------------------------------------------------------------------
def test_list_shows_all_samples_with_their_parameters():
    text = call("list", GRAPHS).stdout
    for name in ("vector_self_sum", "matrix_vector", "fnn", "rnn", "circle"):
        assert str(GRAPHS / f"{name}.py") in text
    assert "steps=16" in text
    assert "loss=squared|cross-entropy" in text
    assert "layers=256,512,512,10" in text


def test_list_as_json():
    rows = {row["name"]: row for row in json.loads(call("list", GRAPHS, "--json").stdout)}
    assert rows["rnn"]["parameters"]["steps"] == "16"
    assert rows["circle"]["doc"].startswith("A network that learns the circle")


def test_list_without_folder_shows_graphs_if_there_is_one_else_here(folder):
    assert "square.py" in call("list").stdout
    (folder / "graphs").mkdir()
    assert call("list").stdout == "no graph files in graphs\n"


def test_list_skips_files_without_build_and_shows_broken_ones_with_their_error(folder):
    text = call("list").stdout
    assert "nobuild.py" not in text
    assert "cannot be loaded: SyntaxError: invalid syntax (notpython.py:2)" in text
    assert "no module named 'there_is_no_such_module'" in text.lower()
    rows = {row["path"]: row for row in json.loads(call("list", "--json").stdout)}
    assert "SyntaxError" in rows["notpython.py"]["error"]


# --- run ------------------------------------------------------------------------------------------------
def test_run_tells_what_a_person_wants_to_know():
    text = call("run", *SMALL_RNN).stdout
    for name in ("nodes", "forward", "backward", "work", "span", "parallelism", "loss", "gradient", "time"):
        assert name in text
    assert re.search(r"worker 0 +\d+ tasks, busy", text)
    assert "\x1b" not in text


@pytest.mark.parametrize("executor", CHOICES)
def test_run_as_json_holds_the_numbers(folder, executor):
    command = ["run", "square.py", "-p", "size=4", "--json", "--executor", executor, "--workers", "2"]
    found = json.loads(call(*command).stdout)
    assert found["parameters"] == {"size": "4"}
    assert found["loss"] == 14
    assert found["gradient_norms"] == {"x": pytest.approx(2 * np.sqrt(14))}
    assert found["nodes"]["forward"] + found["nodes"]["backward"] >= found["tasks"] > 0
    assert found["parallelism"] == found["work"] / found["span"] >= 1
    assert len(found["seconds"]) == 1
    assert sum(worker["tasks"] for worker in found["by_worker"]) == found["tasks"]


def test_run_repeats(folder):
    found = json.loads(call("run", "square.py", "--repeat", 5, "--json").stdout)
    assert len(found["seconds"]) == 5
    assert min(found["seconds"]) <= found["median_seconds"] <= max(found["seconds"])
    assert "median of 5" in call("run", "square.py", "--repeat", 5).stdout


def test_run_forward_only_has_no_gradients(folder):
    found = json.loads(call("run", "square.py", "--forward-only", "--json").stdout)
    assert list(found["nodes"]) == ["forward"]
    assert (found["loss"], found["gradient_norms"]) == (5, {})


def test_run_shows_the_shape_of_what_is_no_scalar(folder):
    assert re.search(r"^result +float64\[3\]$", call("run", "vector.py").stdout, re.MULTILINE)


def test_run_draws_the_graph_as_it_was_derived(folder):
    call("run", GRAPHS / "rnn.py", "-p", "steps=2", "--draw", "run.dot")
    call("draw", GRAPHS / "rnn.py", "-p", "steps=2", "-o", "draw.dot")
    assert Path("run.dot").read_text() == Path("draw.dot").read_text()
    assert "site-packages" not in Path("run.dot").read_text()  # each line that is named is one of the file


def test_run_of_a_training_runs_one_step():
    found = json.loads(call("run", GRAPHS / "circle.py", "--json").stdout)
    assert list(found["nodes"]) == ["forward", "backward", "update"]
    assert found["loss"] > 0
    forward = json.loads(call("run", GRAPHS / "circle.py", "--forward-only", "--json").stdout)
    assert (list(forward["nodes"]), forward["loss"]) == (["forward"], found["loss"])


def test_run_warns_of_a_loss_that_is_not_finite(folder):
    result = call("run", "infinite.py", "--json")
    assert "warning: the loss is -inf" in result.stderr
    found = json.loads(result.stdout)
    assert found["loss"] is None
    assert found["warnings"] == ["the loss is -inf", "the gradient of x is inf"]


def test_run_writes_trace_and_picture(folder):
    found = json.loads(call("run", "square.py", "--trace", "t.json", "--draw", "x.dot", "--json").stdout)
    rows = json.loads((folder / "t.json").read_text())["traceEvents"]
    assert sum(row["ph"] == "X" for row in rows) == found["tasks"]
    assert "digraph" in (folder / "x.dot").read_text()


# --- draw, bench, train ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [
        "",
        "--level high --depth 2",
        "--level scalar",
        "--style bipartite",
        "--group level --color op",
        "--forward-only",
    ],
)
def test_draw_writes_a_picture(folder, options):
    call("draw", "square.py", "-o", "x.dot", *options.split())
    assert "digraph" in (folder / "x.dot").read_text()


def test_draw_knows_parameters_and_images(folder):
    call("draw", *SMALL_RNN, "--level", "high", "-o", "rnn.svg")
    assert "cell[2]" in (folder / "rnn.svg").read_text()


def test_bench_tells_times_speed_up_and_bound(folder):
    text = call("bench", "square.py", "--rounds", 2, "--workers", 2).stdout
    for words in (
        "square.py",
        "2 threads",
        "speed-up",
        "bound",
        "one thread for each worker",
        "cores; Python",
    ):
        assert words in text


def test_bench_as_json(folder):
    command = ["bench", "square.py", GRAPHS / "vector_self_sum.py", "-p", "size=5", "--rounds", 3, "--json"]
    found = json.loads(call(*command).stdout)
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["blas"]
    assert [Path(row["file"]).name for row in found["files"]] == ["square.py", "vector_self_sum.py"]
    for row in found["files"]:
        assert len(row["serial"]["seconds"]) == len(row["parallel"]["seconds"]) == 3
        assert row["speed_up"] == row["serial"]["median"] / row["parallel"]["median"]
        assert 1 <= row["bound"] <= row["workers"]


def test_train_tells_loss_and_accuracy_and_draws_the_curve(folder):
    text = call("train", GRAPHS / "circle.py", "--epochs", 30, "-p", "grid=11", "--plot", "loss.png").stdout
    assert re.search(r"^accuracy +\d+\.\d%$", text, re.MULTILINE)
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_train_as_json():
    found = json.loads(call("train", GRAPHS / "circle.py", "--epochs", 30, "-p", "grid=11", "--json").stdout)
    assert len(found["losses"]) == found["epochs"] == 30
    assert found["losses"][-1] < found["losses"][0]
    assert all(0 < share <= 1 for share in found["metrics"]["accuracy"])


CIRCLE = ["train", GRAPHS / "circle.py", "-p", "grid=7"]


def test_train_goes_on_from_its_checkpoint(folder):
    once = json.loads(call(*CIRCLE, "--epochs", 9, "--json").stdout)
    text = call(*CIRCLE, "--epochs", 4, "--checkpoint", "c.safetensors").stdout
    assert re.search(r"^checkpoint +c.safetensors$", text, re.MULTILINE)
    command = [*CIRCLE, "--epochs", 9, "--checkpoint", "c.safetensors", "--resume", "--json"]
    found = json.loads(call(*command).stdout)
    assert (found["losses"], found["metrics"]) == (once["losses"], once["metrics"])
    text = call(*CIRCLE, "--epochs", 11, "--checkpoint", "c.safetensors", "--resume").stdout
    assert re.search(r"^epochs +2 more, 11 in all, ", text, re.MULTILINE)


def test_ctrl_c_keeps_the_last_checkpoint_and_says_how_to_go_on(folder, monkeypatch):
    (folder / "interrupted.py").write_text(INTERRUPTED)
    result = CliRunner().invoke(main, ["train", "interrupted.py", "--checkpoint", "c.safetensors"])
    assert result.exit_code == 130
    assert result.stderr == (
        "error: interrupted: c.safetensors holds the last whole epoch, go on with --resume\n"
    )
    monkeypatch.setenv("CALM", "1")
    found = json.loads(
        call("train", "interrupted.py", "--checkpoint", "c.safetensors", "--resume", "--json").stdout
    )
    assert found["losses"] == [0, 1, 2, 3, 4]


INTERRUPTED = """
import os
import numpy as np
from dagexec import call, Spec
from dagexec.training import Training
def knock(n):
    if n == 3 and "CALM" not in os.environ:
        raise KeyboardInterrupt
    return n
def build():
    spec = Spec((), np.dtype(float))
    return Training(lambda n: (call(knock, n, spec=spec), n + 1), 0.0, (), epochs=5)
"""


def test_train_ends_when_patience_does(folder):
    text = call(*CIRCLE, "--epochs", 50, "-p", "rate=0", "--patience", 3).stdout
    assert re.search(r"^epochs +4 in .*no smaller loss for 3 epochs", text, re.MULTILINE)


def test_seed_is_the_parameter_of_build():
    texts = [
        call(*CIRCLE, "--epochs", 2, "--json", *seed).stdout for seed in (["--seed", 3], ["-p", "seed=3"])
    ]
    assert json.loads(texts[0])["losses"] == json.loads(texts[1])["losses"]


def test_compare_trains_with_each_value_side_by_side(folder):
    command = [*CIRCLE, "--epochs", 5, "--compare", "rate=0.1,4"]
    found = json.loads(call(*command, "--json").stdout)["runs"]
    alone = json.loads(call(*CIRCLE, "--epochs", 5, "-p", "rate=4", "--json").stdout)
    assert [run["rate"] for run in found] == ["0.1", "4"]
    assert found[1]["losses"] == alone["losses"] != found[0]["losses"]
    lines = call(*command, "--plot", "c.svg").stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["rate", "epochs"], ["0.1", "5"], ["4", "5"]]
    assert "rate 0.1" in (folder / "c.svg").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--compare", "rate=1,2", "--compare", "grid=5,7"], "one parameter at a time"),
        (["--compare", "rate=1,2", "-p", "rate=3"], "--compare rate=... and rate=3: give one of them"),
        (["--compare", "seed=1,2", "--seed", 3], "--compare seed=... and seed=3: give one of them"),
        (["--compare", "epochs=1,2", "--epochs", 3], "--compare epochs=... and --epochs 3: give one of them"),
    ],
)
def test_what_is_compared_is_given_once(options, said):
    result = CliRunner().invoke(main, [*map(str, CIRCLE), *map(str, options)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_an_error_in_build_names_the_users_file_and_parameters():
    result = CliRunner().invoke(main, [*map(str, CIRCLE), "-p", "seed=-1"])
    assert result.exit_code == 1
    assert re.search(r"^error: ValueError: .*non-negative.* \(\S+circle\.py:\d+\)$", result.stderr, re.M)
    assert "in build with grid=7, seed=-1" in result.stderr


def test_compare_takes_values_with_commas():
    runs = json.loads(call(*CIRCLE, "--epochs", 1, "--compare", "hidden=4;4,3", "--json").stdout)["runs"]
    assert [run["hidden"] for run in runs] == ["4", "4,3"]


# --- as a process ---------------------------------------------------------------------------------------
def test_the_program_prints_plain_text_into_a_pipe():
    done = process("run", *SMALL_RNN)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())


def test_the_program_ends_with_the_status_of_its_error(folder):
    assert [process("run", name).returncode for name in ("square.py", "raising.py", "nobuild.py")] == [
        0,
        1,
        2,
    ]


def test_the_program_knows_its_version():
    assert re.fullmatch(r"dagexec \d+\.\d+\.\d+\S*\n", process("--version").stdout)


def test_a_reader_that_has_enough_gets_no_traceback(folder):
    (folder / "wide.py").write_text(f"def build({', '.join(f'p{i}=0' for i in range(50_000))}): pass")
    command = f"{sys.executable} -m dagexec list . | head -c 100; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, "")


ENDLESS = """
import time
import numpy as np
from dagexec.graph import Op
from dagexec.array import record

def wait(xp):
    def kernel(x):
        open("started", "w").close()
        time.sleep(0.05)
        return x
    return kernel

SLOW = Op("slow", lambda x: x, wait)

def fn(x):
    for _ in range(2000):
        x = record(SLOW, (x,))
    return x

def build():
    return fn, (np.ones(3),)
"""


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_ctrl_c_ends_with_status_130(folder, executor):
    (folder / "endless.py").write_text(ENDLESS)
    command = [sys.executable, "-m", "dagexec", "run", "endless.py", "--executor", executor]
    running = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    while not (folder / "started").exists():
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (130, "error: interrupted\n")


# --- numbers --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (3e-9, "3 ns"),
        (9.999e-7, "1.00 µs"),
        (0.0123, "12.3 ms"),
        (0.99999, "1.00 s"),
        (123.4, "123 s"),
    ],
)
def test_seconds_have_three_digits_and_a_unit(value, text):
    assert show.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 op"), (999, "999 op"), (999_900, "1.00 Mop"), (2e21, "2000 Eop")]
)
def test_counts_have_three_digits_and_a_prefix(value, text):
    assert show.count(value, "op") == text


# --- DAGs of plain callables ----------------------------------------------------------------------------
def test_a_dag_is_run_and_its_results_are_shown(folder):
    said = call("run", "dag.py", "-p", "n=4", "--executor", "serial").stdout
    assert "tasks        5  in 2 levels, up to 4 side by side" in said
    assert "work         5 tasks" in said
    assert "result       <total> = 6" in said
    found = json.loads(call("run", "dag.py", "--json").stdout)
    assert (found["results"], found["work"], found["span"], found["loss"]) == (["3"], 4, 2, None)


def test_a_result_without_text_is_told_by_its_type(folder):
    assert "x = <int>" in call("run", "hugenumber.py").stdout
    assert json.loads(call("run", "hugenumber.py", "--json").stdout)["results"] == ["<int>"]


def test_verbose_tells_why_it_runs_on_what_it_runs_on(folder):
    quiet, said = (call("run", "square.py", "--executor", "serial", *more).stdout for more in ((), ("-v",)))
    assert len(said.splitlines()) > len(quiet.splitlines())


def test_a_task_that_fails_at_first_is_called_again(folder):
    (folder / "flaky.py").write_text(
        "calls = []\ndef flaky():\n  calls.append(1)\n  return 1 // (len(calls) - 1)\n"
        "def build(): return {'x': (flaky,)}\n"
    )
    assert "x = 1" in call("run", "flaky.py", "--retries", "1", "--executor", "serial").stdout


def test_a_task_that_takes_too_long_is_given_up(folder):
    (folder / "slow.py").write_text(
        "import time\ndef build(): return {'x': (time.sleep, 5), 'y': (abs, 'x')}, 'y'\n"
    )
    result = CliRunner().invoke(main, ["run", "slow.py", "--timeout", "0.01"])
    assert result.exit_code == 1
    assert "it has not ended after 0.01 seconds" in result.stderr


def test_a_dag_is_drawn_and_timed(folder):
    call("draw", "dag.py", "-o", "dag.dot")
    assert "\"('load', 0) = load\"" in (folder / "dag.dot").read_text()
    assert "<total> = sum" in (folder / "dag.dot").read_text()
    call("run", "dag.py", "--trace", "dag.json")
    names = {row["name"] for row in json.loads((folder / "dag.json").read_text())["traceEvents"]}
    assert {"<total>", "('load', 0)"} <= names
    (row,) = json.loads(call("bench", "dag.py", "--rounds", "1", "--json").stdout)["files"]
    assert row["executor"] == "threads"
