"""`dagexec run`: derive, run, and tell what a person wants to know.

With `--repeat N` the time is that of N runs, and one more run is recorded to tell what ran where; a single
run is recorded itself. Of a DAG of plain callables the costs are not known: its work is the number of its
tasks, and its span that of the tasks on the longest path.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Unpack

import click
import numpy as np

from dagexec.analysis import Analysis, analyze
from dagexec.cli import show
from dagexec.cli.draw import require_image
from dagexec.cli.program import (
    debug_option,
    executor_option,
    file_argument,
    forward_option,
    json_option,
    options,
    parameters_option,
    require_apart,
    require_ending,
    workers_option,
)
from dagexec.draw.labels import printable
from dagexec.events import Events
from dagexec.executors import Options, TasksFailed, compile
from dagexec.files import require_writable
from dagexec.graph import Graph, Node, text_of
from dagexec.graphfile import Built, GraphFile, as_text, graph_of, load
from dagexec.live import live
from dagexec.progress import progress
from dagexec.pytrees import flatten
from dagexec.rewrite import Rewrite
from dagexec.timing import Times, take_turns

MOST_NORMS = 8  # more gradients than this are not shown one by one
MOST_RESULTS = 4  # of a DAG of callables
LONGEST_RESULT = 200  # characters
MOST_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Report:
    """A run and what is known of it. `norms` holds the gradients' norms by the arguments' names."""

    graph: Graph
    analysis: Analysis
    executor: str
    workers: int
    times: Times
    events: Events
    results: tuple[Any, ...]
    norms: dict[str, float]
    explanation: str
    is_dag: bool  # of plain callables

    @property
    def loss(self) -> float | None:
        """The first result, if it is a single real number."""
        if self.is_dag or not self.results or np.shape(self.results[0]) or np.iscomplexobj(self.results[0]):
            return None
        return float(self.results[0])

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the numbers."""
        values = {"the loss": self.loss} | {
            f"the gradient of {name}": norm for name, norm in self.norms.items()
        }
        return [f"{name} is {value}" for name, value in values.items() if value and not math.isfinite(value)]


@click.command()
@file_argument
@options(
    parameters_option,
    executor_option,
    workers_option,
    click.option(
        "--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Number of timed runs."
    ),
    forward_option,
    click.option(
        "--on-error",
        type=click.Choice(["stop", "continue"]),
        default="stop",
        show_default=True,
        help="Stop at the first failure, or run what does not depend on it.",
    ),
    click.option(
        "--retries", type=click.IntRange(min=0), default=0, help="Calls again of a task that fails."
    ),
    click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds a task may take."),
    click.option("--no-rewrites", is_flag=True, help="Run the graph as it was traced and derived."),
    click.option("--trace", type=click.Path(path_type=Path), help="Write a trace for ui.perfetto.dev."),
    click.option("--timeline", type=click.Path(path_type=Path), help="Draw what ran where and when: .svg."),
    click.option(
        "--draw", "picture", type=click.Path(path_type=Path), help="Draw the graph, before any rewrites."
    ),
    click.option("-v", "--verbose", is_flag=True, help="Say why it runs on what it runs on."),
    json_option,
    debug_option,
)
def run(
    file: Path,
    texts: dict[str, str],
    executor: str,
    workers: int | None,
    repeat: int,
    forward_only: bool,
    trace: Path | None,
    timeline: Path | None,
    picture: Path | None,
    verbose: bool,
    as_json: bool,
    no_rewrites: bool,
    **how: Unpack[Options],
) -> None:
    """Run the graph of FILE, with its gradients, and report."""
    if picture is not None:
        require_image(picture, "--draw")
    if timeline is not None:
        require_ending(timeline, (".svg",), "--timeline")
        require_writable(timeline)
    if trace is not None:
        require_writable(trace)
    require_apart(FILE=file, trace=trace, timeline=timeline, draw=picture)
    loaded = load(file)
    built = loaded.built(texts)
    graph = graph_of(built, forward_only)
    rewrites = () if no_rewrites else None
    try:
        report = _measured(built, graph, executor, workers, repeat, rewrites, how)
    except TasksFailed as failed:
        run_graph = compile(graph, "serial", rewrites=rewrites).plan.graph
        raise click.ClickException("\n".join(_failures(failed, run_graph))) from None
    if trace is not None:
        report.events.to_chrome(trace)
    if timeline is not None:
        report.events.to_svg(timeline)
    if picture is not None:
        graph.draw(picture)
    arguments = {name: as_text(value) for name, value in loaded.arguments(texts).items()}
    if as_json:
        show.print_json(_as_json(loaded, arguments, report))
    else:
        given = "  ".join(f"{name}={text}" for name, text in arguments.items())
        show.print_hanging(f"{loaded.name}  ", given, lead_style="bold")
        show.print_facts(list(_facts(report, len(graph))))
        if verbose:
            click.echo(report.explanation)
        for path in filter(None, (trace, timeline, picture)):
            click.echo(f"written: {path}")
    for text in report.warnings:
        show.warn(text)


def _measured(
    built: Built,
    graph: Graph,
    executor: str,
    workers: int | None,
    repeat: int,
    rewrites: Sequence[Rewrite] | None,
    how: Options,
) -> Report:
    times = None
    with np.errstate(all="ignore"):  # the results are checked instead
        if repeat > 1:
            with (
                compile(graph, executor, workers, rewrites=rewrites, **how) as timed,
                progress("running", repeat) as advance,
            ):
                (times,) = take_turns([lambda: timed(*built.args)], repeat, advance)
        log = Events(graph)
        with (
            compile(graph, executor, workers, events=log, rewrites=rewrites, **how) as recorded,
            live("recording" if times else "running", log, len(recorded.plan.tasks)),
        ):
            start = perf_counter()
            result, _ = recorded(*built.args)
            times = times or Times((perf_counter() - start,))
    return Report(
        recorded.plan.graph,
        analyze(recorded.plan),
        recorded.executor,
        recorded.workers,
        times,
        log,
        tuple(flatten(result)[0] if built.dag is None else graph.out_tree.flatten_up_to(result)),
        _norms(built, graph, result),
        recorded.explain(),
        built.dag is not None,
    )


def _norms(built: Built, graph: Graph, result: Any) -> dict[str, float]:
    """The norms of the gradients for `args[0]`, where the result holds them."""
    if built.training is not None or len(graph.outputs) == 1 or not graph.name.endswith(".backward"):
        return {}
    gradients = flatten(result[1])[0]
    return {node.name: float(np.linalg.norm(np.ravel(g))) for node, g in zip(graph.inputs, gradients)}


# --- for people -----------------------------------------------------------------------------------------
def _facts(report: Report, derived: int) -> Iterable[tuple[str, str]]:
    found = report.analysis
    nodes = " · ".join(f"{phase} {number}" for phase, number in found.nodes.items())
    before = "" if derived == len(report.graph) else f"; before rewrites {derived}"
    yield "nodes", f"{len(report.graph)}  ({nodes}{before})"
    yield "tasks", f"{found.tasks}  in {show.plural(found.levels, 'level')}, up to {found.width} side by side"
    if report.is_dag:
        yield (
            "work",
            f"{show.plural(int(found.work), 'task')}  (each counts as one: their costs are not known)",
        )
        yield "span", f"{show.plural(int(found.span), 'task')}  (on the longest path)"
    else:
        yield "work", f"{show.count(found.work, 'op')}  (estimated operations)"
        yield "span", f"{show.count(found.span, 'op')}  (of them on the critical path)"
    yield "parallelism", f"{show.three_digits(found.parallelism)}  (work / span)"
    yield ("result" if report.loss is None else "loss"), _result(report)
    if report.norms:
        yield "gradient", _gradients(report.norms)
    yield "time", _time(report.times)
    yield "ran on", f"{report.executor}, {show.plural(report.workers, 'worker')}"
    yield from _workers(report)
    if not report.is_dag or report.events.peak_bytes():
        yield "memory", f"{show.nbytes(report.events.peak_bytes())} of computed values at the peak"


def name_of(node: Node) -> str:
    """What a node is called: its key or name, else its op."""
    return node.name or node.op.name


def _result(report: Report) -> str:
    if report.loss is not None:
        return show.number(report.loss)
    if report.is_dag:
        named = [
            f"{printable(name_of(node))} = {printable(text_of(result), LONGEST_RESULT)}"
            for node, result in zip(report.graph.outputs[:MOST_RESULTS], report.results)
        ]
        more = len(report.results) - MOST_RESULTS
        return ", ".join(named) + (f" and {more} more" if more > 0 else "")
    return ", ".join(str(node.spec) for node in report.graph.outputs)


def _gradients(norms: dict[str, float]) -> str:
    total = show.number(math.sqrt(sum(norm**2 for norm in norms.values())))
    if len(norms) == 1:
        return f"norm {total}"
    shown = [f"{name} {show.three_digits(norm)}" for name, norm in list(norms.items())[:MOST_NORMS]]
    more = f" and {len(norms) - MOST_NORMS} more" if len(norms) > MOST_NORMS else ""
    return f"norm {total}  ({' · '.join(shown)}{more})"


def _time(times: Times) -> str:
    if len(times.seconds) == 1:
        return f"{show.seconds(times.median)}  (one run; --repeat N for a median)"
    low, high = times.spread
    spread = f"{show.seconds(low)} to {show.seconds(high)}"
    return f"{show.seconds(times.median)}  (median of {len(times.seconds)}, the middle half {spread})"


def _workers(report: Report) -> Iterable[tuple[str, str]]:
    """What each worker did in the recorded run."""
    spans = report.events.spans()
    length = max((end for _, _, _, end in spans), default=0.0)
    tasks = Counter(worker for _, worker, _, _ in spans)
    for worker, busy in sorted(report.events.busy().items()):
        share = f", {busy / length:.0%} of the run" if length else ""
        yield f"  worker {worker}", f"{show.plural(tasks[worker], 'task')}, busy {show.seconds(busy)}{share}"


def _failures(failed: TasksFailed, graph: Graph) -> Iterable[str]:
    """What failed and why, and what was skipped because of that."""
    keys = [*failed.failed, *failed.skipped]
    tasks = {key: printable(name_of(graph.nodes[key])) for key in keys}
    skipped = [tasks[key] for key in failed.skipped]
    yield f"{show.plural(len(failed.failed), 'task')} failed, {len(skipped)} skipped because of that"
    for key, error in list(failed.failed.items())[:MOST_FAILURES]:
        yield f"  failed: {tasks[key]}: {type(error).__name__}: {error}"
    if len(failed.failed) > MOST_FAILURES:
        yield f"  and {len(failed.failed) - MOST_FAILURES} more"
    if skipped:
        more = f" and {len(skipped) - MOST_FAILURES} more" if len(skipped) > MOST_FAILURES else ""
        yield f"  skipped: {', '.join(skipped[:MOST_FAILURES])}{more}"


# --- for programs ---------------------------------------------------------------------------------------
def _as_json(file: GraphFile, arguments: dict[str, str], report: Report) -> dict[str, Any]:
    found = report.analysis
    tasks = Counter(worker for _, worker, _, _ in report.events.spans())
    return {
        "file": str(file.path),
        "parameters": arguments,
        "nodes": found.nodes,
        "tasks": found.tasks,
        "levels": found.levels,
        "width": found.width,
        "work": found.work,
        "span": found.span,
        "parallelism": found.parallelism,
        "loss": report.loss,
        "results": [printable(text_of(result), LONGEST_RESULT) for result in report.results]
        if report.is_dag
        else None,
        "gradient_norms": report.norms,
        "seconds": report.times.seconds,
        "median_seconds": report.times.median,
        "executor": report.executor,
        "workers": report.workers,
        "by_worker": [
            {"worker": worker, "tasks": tasks[worker], "busy_seconds": busy}
            for worker, busy in sorted(report.events.busy().items())
        ],
        "peak_bytes": report.events.peak_bytes(),
        "explanation": report.explanation,
        "warnings": report.warnings,
    }
