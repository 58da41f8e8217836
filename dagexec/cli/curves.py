"""Curves of training as a picture: the loss and each metric by epoch, of one training or of several compared.

A panel a quantity, with a line a training; losses share one panel, the training's own drawn solid and those
that are metrics ("validation loss") dashed. A metric that is a vector has a panel for each training, with a
line for each component, from dark (the first) to light. A legend stands beside its panels and covers nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagexec.files import written_whole
from dagexec.training import Metric, Trained

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito's
STYLES = ("-", ":", "-.")  # once the colours are used up
COLUMNS, WIDTH, HEIGHT, LEGEND = 4, 4.8, 3.4, 1.6  # inches, but for the columns
MOST_NAMED = 6  # more components than these are named by their first and last only


def draw_curves(runs: Mapping[str, Trained], parameter: str, title: str, path: Path) -> None:
    """Draw the curves of trainings to a file, whose ending says the format.

    `runs` are named by the values of `parameter` that are compared; a single one needs no name.
    """
    from matplotlib.figure import Figure

    metrics = next(iter(runs.values())).metrics
    vectors = [name for name, values in metrics.items() if values and isinstance(values[0], tuple)]
    scalars = [name for name in metrics if name not in vectors and not name.endswith("loss")]
    figure = Figure(layout="constrained")
    figure.suptitle(title)
    panels = _panels(figure, [1 + len(scalars), *[len(runs)] * len(vectors)])
    _draw_losses(next(panels), runs, parameter)
    for name in scalars:
        _draw_lines(next(panels), name, {value: run.metrics[name] for value, run in runs.items()}, parameter)
    for name in vectors:
        _draw_vectors([next(panels) for _ in runs], name, runs, parameter)
    if sum(map(_add_legend, figure.subfigs)):
        figure.set_figwidth(figure.get_figwidth() + LEGEND)
    with written_whole(path, "wb") as output:
        figure.savefig(output, format=path.suffix[1:].lower(), dpi=100)


def _panels(figure: Any, groups: Sequence[int]) -> Iterator[Any]:
    """Axes for groups of so many panels; each group starts a new row."""
    rows = [min(COLUMNS, count - start) for count in groups for start in range(0, count, COLUMNS)]
    figure.set_size_inches(max(WIDTH * max(rows), 6.4), HEIGHT * len(rows))
    for part, count in zip(figure.subfigures(len(rows), squeeze=False).flat, rows):
        yield from part.subplots(1, count, squeeze=False).flat


def _draw_losses(axes: Any, runs: Mapping[str, Trained], parameter: str) -> None:
    """The loss of each run, and dashed the metrics that are losses, too."""
    _draw_lines(axes, "loss", {value: run.losses for value, run in runs.items()}, parameter)
    drawn = [loss for run in runs.values() for loss in run.losses]
    for number, run in enumerate(runs.values()):
        for name, values in run.metrics.items():
            if name.endswith("loss"):
                axes.plot(_epochs(values), values, "--", color=_look(number)[0], linewidth=1.4)
                drawn += [value for value in values if isinstance(value, float)]
                if number == 0:
                    axes.plot([], [], "--", color="gray", label=name)
    _scale(axes, drawn)


def _draw_lines(axes: Any, name: str, lines: Mapping[str, Sequence[Metric]], parameter: str) -> None:
    for number, (value, values) in enumerate(lines.items()):
        color, style = _look(number)
        label = f"{parameter} {value}" if parameter else name
        mark = "o" if len(values) == 1 else None
        axes.plot(_epochs(values), values, style, color=color, linewidth=1.8, label=label, marker=mark)
        if not parameter:
            last = (len(values), values[-1])
            axes.annotate(f"{values[-1]:.3g}", last, (4, 0), textcoords="offset points", va="center")
    _dress(axes, name)


def _draw_vectors(panels: Sequence[Any], name: str, runs: Mapping[str, Trained], parameter: str) -> None:
    """A panel for each run, all with the same scale."""
    from matplotlib import colormaps

    drawn: list[float] = []
    for axes, (value, run) in zip(panels, runs.items()):
        vectors = [vector for vector in run.metrics[name] if isinstance(vector, tuple)]
        count = len(vectors[0])
        for component, values in enumerate(zip(*vectors)):
            color = colormaps["viridis"](0.9 * component / max(count - 1, 1))
            named = count <= MOST_NAMED or component in (0, count - 1)
            label = f"component {component}" if named else None
            axes.plot(_epochs(values), values, color=color, linewidth=1.5, label=label)
            drawn += values
        _dress(axes, f"{name}, {parameter} {value}" if parameter else name)
    for axes in panels:
        _scale(axes, drawn)
    low, high = zip(*(axes.get_ylim() for axes in panels))
    for axes in panels:
        axes.set_ylim(min(low), max(high))


def _add_legend(row: Any) -> bool:
    """Whether a row of panels, all with lines that mean the same, has several: said beside it."""
    handles, labels = row.axes[0].get_legend_handles_labels()
    if len(handles) > 1:
        row.legend(handles, labels, loc="outside right upper", frameon=False)
    return len(handles) > 1


def _dress(axes: Any, title: str) -> None:
    axes.set(title=title, xlabel="epoch")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.locator_params(axis="x", integer=True)


def _scale(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis for values that differ by more than ten times, none of them negative."""
    from matplotlib.ticker import LogLocator, NullFormatter

    finite = [value for value in values if math.isfinite(value)]
    positive = [value for value in finite if value > 0]
    if positive and min(finite) >= 0 and max(positive) > 10 * min(positive):
        axes.set_yscale("log")  # which leaves out what is 0
        if max(positive) < 1000 * min(positive):
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_major_formatter("{x:g}")


def _epochs(values: Sequence[Any]) -> range:
    return range(1, len(values) + 1)


def _look(number: int) -> tuple[str, str]:
    return COLORS[number % len(COLORS)], STYLES[number // len(COLORS) % len(STYLES)]
