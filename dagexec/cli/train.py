"""`dagexec train`: run the step of a graph file's training over and over, and show how the loss falls."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import click
import numpy as np

from dagexec.cli import show
from dagexec.cli.program import (
    debug_option,
    executor_option,
    file_argument,
    json_option,
    options,
    parameters_option,
    require_ending,
    require_writable,
    workers_option,
)
from dagexec.files import written_whole
from dagexec.graphfile import GraphFileError, load
from dagexec.progress import progress
from dagexec.training import train as train_epochs

PLOTS = (".svg", ".png", ".pdf")


@click.command()
@file_argument
@options(
    parameters_option,
    click.option(
        "--epochs", type=click.IntRange(min=1), help="Number of steps; by default what the file says."
    ),
    click.option("--plot", type=click.Path(path_type=Path), help=f"Draw the loss curve: {', '.join(PLOTS)}."),
    executor_option,
    workers_option,
    json_option,
    debug_option,
)
def train(
    file: Path,
    texts: dict[str, str],
    epochs: int | None,
    plot: Path | None,
    executor: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Train what FILE builds, if that is a Training."""
    if plot is not None:
        _require_plot(plot)
    loaded = load(file)
    training = loaded.built(texts).training
    if training is None:
        raise GraphFileError(f"{file} builds no training: its build returns (fn, args), see dagexec run")
    start = perf_counter()
    count = training.epochs if epochs is None else epochs
    with progress("training", count) as advance, np.errstate(all="ignore"):
        trained = train_epochs(
            training, count, executor, workers, lambda _, loss: advance(f"loss {loss:.4g}")
        )
    taken = perf_counter() - start
    if plot is not None:
        reached = "" if trained.accuracy is None else f", {trained.accuracy:.1%} right at the end"
        plot_losses(trained.losses, f"{loaded.name}: loss by epoch{reached}", plot)
    if as_json:
        rows = {"losses": trained.losses, "accuracy": trained.accuracy, "seconds": taken}
        show.print_json({"file": str(file), "epochs": count, **rows})
        return
    facts = [
        ("epochs", f"{count} in {show.seconds(taken)}"),
        ("loss", f"{show.number(trained.losses[0])} → {show.number(trained.losses[-1])}"),
    ]
    if trained.accuracy is not None:
        facts.append(("accuracy", f"{trained.accuracy:.1%}"))
    if plot is not None:
        facts.append(("plot", str(plot)))
    show.print_facts(facts)


def _require_plot(path: Path) -> None:
    require_ending(path, PLOTS, "--plot")
    require_writable(path)
    if importlib.util.find_spec("matplotlib") is None:
        raise click.ClickException("--plot needs matplotlib: pip install 'dagexec[draw]'")


def plot_losses(losses: Sequence[float], title: str, path: Path) -> None:
    """Draw a loss curve to a file; its ending says the format."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(losses) + 1), losses, color="#0072B2", linewidth=1.8)
    axes.set(title=title, xlabel="epoch", ylabel="loss")
    if min(losses) > 0 and max(losses) > 10 * min(losses):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter("{x:g}")
    last = (len(losses), losses[-1])
    axes.annotate(f"{losses[-1]:.3g}", last, (0, 6), textcoords="offset points", ha="right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    with written_whole(path, "wb") as output:
        figure.savefig(output, format=path.suffix[1:].lower(), dpi=150)
