"""`dagexec train`: train what a graph file builds, show loss and metrics, keep checkpoints, compare."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from rich.table import Table

from dagexec.cli import show
from dagexec.cli.curves import draw_curves
from dagexec.cli.program import (
    debug_option,
    executor_option,
    file_argument,
    json_option,
    options,
    parameters_option,
    require_ending,
    workers_option,
)
from dagexec.data import Batches
from dagexec.files import require_writable
from dagexec.graphfile import GraphFile, GraphFileError, load
from dagexec.progress import progress
from dagexec.training import Metric, Trained, Training
from dagexec.training import train as train_epochs

PLOTS = (".svg", ".png", ".pdf")
WIDE = 1000  # columns of a table that goes into a file, where nothing needs to be wrapped
MOST_COMPONENTS = 8  # of a vector that are shown


def _compared(ctx: click.Context, _: click.Parameter, texts: tuple[str, ...]) -> tuple[str, list[str]] | None:
    if not texts:
        return None
    if len(texts) > 1:
        raise click.BadParameter("one parameter at a time: give it once", ctx)
    text = texts[0]
    name, equals, values = text.partition("=")
    found = [value.strip() for value in values.split(";" if ";" in values else ",")]
    if not name or not equals or len(found) < 2 or len(set(found)) < len(found):
        raise click.BadParameter(
            f"{text!r} is not of the form name=a,b,c, or name=a;b;c where values have commas", ctx
        )
    return name.strip(), found


@click.command()
@file_argument
@options(
    parameters_option,
    click.option(
        "--epochs",
        type=click.IntRange(min=1),
        help="Passes over the data; by default what the file says. "
        "A schedule in the file does not know of them: see -p epochs=N.",
    ),
    click.option("--seed", type=click.IntRange(min=0), help="The same as -p seed=N."),
    click.option(
        "--patience", type=click.IntRange(min=1), help="End after so many epochs of no smaller loss."
    ),
    click.option(
        "--checkpoint", type=click.Path(path_type=Path), help="Keep the training in a safetensors file."
    ),
    click.option("--resume", is_flag=True, help="Go on from the file of --checkpoint."),
    click.option(
        "--compare",
        metavar="NAME=A,B,...",
        multiple=True,
        callback=_compared,
        help="Train once with each value of a parameter. Use ; between values that have commas.",
    ),
    click.option("--plot", type=click.Path(path_type=Path), help=f"Draw the curves: {', '.join(PLOTS)}."),
    executor_option,
    workers_option,
    json_option,
    debug_option,
)
def train(
    file: Path,
    texts: dict[str, str],
    epochs: int | None,
    seed: int | None,
    patience: int | None,
    checkpoint: Path | None,
    resume: bool,
    compare: tuple[str, list[str]] | None,
    plot: Path | None,
    executor: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Train what FILE builds, if that is a Training."""
    name, values = compare or ("", [""])
    _require_sense(texts, seed, checkpoint, resume, name, plot)
    if seed is not None:
        texts = {**texts, "seed": str(seed)}
    if name in texts:
        raise click.UsageError(f"--compare {name}=... and {name}={texts[name]}: give one of them")
    if name == "epochs" and epochs is not None:
        raise click.UsageError(f"--compare epochs=... and --epochs {epochs}: give one of them")
    loaded = load(file)
    trainings = {
        value: _training(loaded, {**texts, name: value} if compare else texts, epochs) for value in values
    }
    runs, seconds = {}, {}
    for value, (training, count) in trainings.items():
        start = perf_counter()
        how: dict[str, Any] = {"checkpoint": checkpoint, "resume": resume, "patience": patience}
        how |= {"executor": executor, "workers": workers, "epochs": count}
        runs[value] = _trained(training, f"{name} {value}".strip() or "training", count, how)
        seconds[value] = perf_counter() - start
    if plot is not None:
        draw_curves(runs, name, loaded.name, plot)
    if as_json:
        rows = [_as_json(name, value, run, seconds[value]) for value, run in runs.items()]
        show.print_json({"file": str(file)} | ({"runs": rows} if compare else rows[0]))
        return
    if compare:
        _print_comparison(name, runs, seconds)
    else:
        show.print_facts(_facts(trainings[""][0], runs[""], seconds[""], checkpoint))
    if plot is not None:
        click.echo(f"written: {plot}")


def _require_sense(
    texts: dict[str, str],
    seed: int | None,
    checkpoint: Path | None,
    resume: bool,
    compared: str,
    plot: Path | None,
) -> None:
    """Raise what is wrong with the options before anything takes time."""
    if plot is not None:
        require_ending(plot, PLOTS, "--plot")
        require_writable(plot)
        if importlib.util.find_spec("matplotlib") is None:
            raise click.ClickException("--plot needs matplotlib: pip install 'dagexec[draw]'")
    if resume and checkpoint is None:
        raise click.UsageError("--resume needs --checkpoint PATH, the file to go on from")
    if checkpoint is not None:
        if compared:
            raise click.UsageError("--checkpoint keeps one training, but --compare makes several")
        require_writable(checkpoint)
        if checkpoint.exists() and not resume:
            raise click.UsageError(f"{checkpoint} is there already: add --resume, or remove it to start anew")
    if seed is not None and "seed" in texts:
        raise click.UsageError(f"--seed {seed} and -p seed={texts['seed']}: give one of them")


def _training(loaded: GraphFile, texts: Mapping[str, str], epochs: int | None) -> tuple[Training, int]:
    """What the file builds, and the number of epochs."""
    training = loaded.built(texts).training
    if training is None:
        raise GraphFileError(
            f"{loaded.path} builds no training: its build returns (fn, args), see dagexec run"
        )
    return training, training.epochs if epochs is None else epochs


def _trained(training: Training, label: str, epochs: int, how: dict[str, Any]) -> Trained:
    """Train with a progress bar that shows loss and metrics."""
    done, note = 0, ""
    with progress(label, epochs * training.steps, lambda: done) as advance, np.errstate(all="ignore"):

        def on_step(loss: float) -> None:
            nonlocal done
            done += 1
            advance(note or f"loss {loss:.4g}")

        def on_epoch(epoch: int, loss: float, metrics: dict[str, Metric]) -> None:
            nonlocal done, note
            done = (epoch + 1) * training.steps
            parts = [f"epoch {epoch + 1}", f"loss {loss:.4g}"]
            scalars = {name: value for name, value in metrics.items() if isinstance(value, float)}
            note = "  ".join(parts + [f"{name} {_value(name, value)}" for name, value in scalars.items()])

        try:
            return train_epochs(training, on_step=on_step, on_epoch=on_epoch, **how)
        except KeyboardInterrupt:
            path = how["checkpoint"]
            if path is None or not path.exists():
                raise
            raise KeyboardInterrupt(f"{path} holds the last whole epoch, go on with --resume") from None


# --- what is printed ------------------------------------------------------------------------------------
def _facts(
    training: Training, trained: Trained, seconds: float, checkpoint: Path | None
) -> list[tuple[str, str]]:
    data = training.data
    now = f"{trained.epochs - trained.resumed} more, " if trained.resumed else ""
    facts = [("epochs", f"{now}{trained.epochs} in all, {show.seconds(seconds)}  ({trained.why_it_ended})")]
    if isinstance(data, Batches):
        left = f", {data.left_out} left out, others in each epoch" if data.left_out else ""
        facts.append(("data", f"{data.rows} rows in {len(data)} batches of {data.size}{left}"))
    facts.append(("loss", f"{show.number(trained.losses[0])} → {show.number(trained.losses[-1])}"))
    facts += [(name, _value(name, values[-1])) for name, values in trained.metrics.items()]
    if checkpoint is not None:
        facts.append(("checkpoint", str(checkpoint)))
    return facts


def _value(name: str, value: Metric) -> str:
    """A metric: an accuracy in percent, of a vector its first components."""
    if isinstance(value, tuple):
        shown = " ".join(f"{component:.3g}" for component in value[:MOST_COMPONENTS])
        return shown + (f" and {len(value) - MOST_COMPONENTS} more" if len(value) > MOST_COMPONENTS else "")
    return f"{value:.1%}" if "accuracy" in name else show.number(value)


def _print_comparison(name: str, runs: Mapping[str, Trained], seconds: Mapping[str, float]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    metrics = list(next(iter(runs.values())).metrics)
    table.add_column(name)
    for column in ("epochs", "loss", *metrics, "time"):
        table.add_column(column, justify="right")
    for value, run in runs.items():
        cells = [show.number(run.losses[-1]), *[_value(name, run.metrics[name][-1]) for name in metrics]]
        table.add_row(value, str(run.epochs), *cells, show.seconds(seconds[value]))
    screen = show.console()
    if not screen.is_terminal:
        screen.width = WIDE
    screen.print(table)


def _as_json(name: str, value: str, run: Trained, seconds: float) -> dict[str, Any]:
    row: dict[str, Any] = {name: value} if name else {}
    return row | {
        "epochs": run.epochs,
        "losses": run.losses,
        "metrics": run.metrics,
        "why_it_ended": run.why_it_ended,
        "seconds": seconds,
    }
