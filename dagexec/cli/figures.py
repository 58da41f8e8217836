"""The figure of `dagexec analyze --plot`: one slide of the parallelism profile, speed-up and critical path.

The colours are Okabe and Ito's; lines differ in their style as well, and every line is named beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dagexec.cli import show
from dagexec.files import written_whole
from dagexec.study import MOST_PARTS, Study

ENDINGS = (".png", ".svg", ".pdf")
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#8C8C8C", "#333333"
SIZE = (12.8, 7.2)  # inches, the shape of a slide
LONGEST_TITLE, LONGEST_NAME = 140, 38
STEEP = 8  # times the mean: a peak as high as this needs a logarithmic axis
MANY_WORKERS = 16  # as many as these do, too
FONT: Any = {"font.size": 11, "axes.titlesize": 12.5, "axes.titleweight": "bold", "svg.fonttype": "none"}


def draw_study(found: Study, title: str, path: Path) -> None:
    """Draw the figure to a file, whose ending says the format."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(FONT):
        figure: Any = Figure(SIZE, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12, hspace=0.04, wspace=0.04)
        title = _plain(title, LONGEST_TITLE)
        figure.suptitle(title, fontsize=min(15, 15 * 85 / len(title)), fontweight="bold")
        panels = figure.subplot_mosaic([["profile", "profile"], ["speed", "path"]], height_ratios=[1, 1.25])
        _draw_profile(panels["profile"], found)
        _draw_speed_up(panels["speed"], found)
        _draw_path(panels["path"], found)
        with written_whole(path, "wb") as output:
            figure.savefig(output, format=path.suffix[1:].lower(), dpi=150)


def _draw_profile(axes: Any, found: Study) -> None:
    """How many tasks run at each moment, with a worker for each."""
    analysis = found.analysis
    unit, name = _unit(analysis.span)
    moments = [moment / unit for moment, _ in analysis.profile]
    running = [tasks for _, tasks in analysis.profile]
    if moments:
        axes.stairs(running[:-1], moments, fill=True, color=BLUE, alpha=0.85, linewidth=0)
        axes.set_xlim(0, moments[-1])
    peak = max([*running, analysis.parallelism])
    axes.set_ylim(0, 1.12 * peak)
    if peak > STEEP * analysis.parallelism:  # else one burst would hide all the rest
        axes.set_yscale("log", base=2)
        axes.set_ylim(0.6, 1.5 * peak)
        axes.yaxis.set_major_formatter("{x:g}")
    axes.axhline(analysis.parallelism, color=ORANGE, linestyle="--", linewidth=1.8)
    words = f"work / span = {show.three_digits(analysis.parallelism)}"
    axes.annotate(
        words, (1, analysis.parallelism), (-6, 5), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", color=ORANGE, weight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )  # fmt: skip
    work, span = show.seconds(analysis.work), show.seconds(analysis.span)
    _dress(axes, f"Tasks that can run at the same time: work {work}, span {span}", name, "tasks")
    if axes.get_yscale() == "linear":
        axes.locator_params(axis="y", integer=True)


def _draw_speed_up(axes: Any, found: Study) -> None:
    """Predicted and measured, below the two bounds."""
    analysis, rows = found.analysis, found.rows
    workers = [row.workers for row in rows]
    most = max(workers)
    predicted = [found.predicted_speed_up(row) for row in rows]
    fine = sorted({*workers, min(max(analysis.parallelism, min(workers)), most)})
    bound = [min(number, analysis.parallelism) for number in fine]
    measured = [(row.workers, gain) for row in rows if (gain := found.measured_speed_up(row)) is not None]
    axes.plot(fine, bound, "--", color=GREY, linewidth=1.6, label="bound: min(P, work / span)")
    axes.plot(workers, predicted, "-o", color=BLUE, linewidth=2, label="predicted (simulated)")
    if measured:
        look = {"linestyle": ":", "marker": "D", "color": ORANGE, "linewidth": 2, "markersize": 7}
        axes.plot(*zip(*measured), label="measured", **look)
    if most >= MANY_WORKERS:
        axes.set_xscale("log", base=2)
    axes.set_xticks(workers, [str(number) for number in workers])
    axes.minorticks_off()
    axes.set_ylim(0, 1.18 * max([*bound, *predicted, *(gain for _, gain in measured)]))
    axes.legend(frameon=False, loc="upper left" if analysis.parallelism > most / 2 else "lower right")
    _dress(axes, "Speed-up over one worker", "workers", "times as fast")


def _draw_path(axes: Any, found: Study) -> None:
    """The shares of the critical path, the largest on top."""
    parts = [
        (f"{_plain(part.name, LONGEST_NAME)}{f'  ×{part.tasks}' if part.tasks > 1 else ''}", part.share)
        for part in found.critical_path[:MOST_PARTS]
    ]
    if others := found.critical_path[MOST_PARTS:]:
        parts.append((f"{len(others)} others", sum(part.share for part in others)))
    names, shares = [name for name, _ in parts], [share for _, share in parts]
    colors = [GREEN] * len(parts[:MOST_PARTS]) + [GREY] * bool(others)
    bars = axes.barh(range(len(parts)), shares, color=colors, height=0.72)
    axes.bar_label(bars, [show.share(share) for share in shares], padding=4)
    axes.set_yticks(range(len(parts)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(shares, default=1) or 1)
    axes.set_xticks([])
    tasks = show.plural(len(found.analysis.critical_path), "task")
    _dress(axes, f"Where the critical path goes ({tasks})", "", "")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)


def _dress(axes: Any, title: str, across: str, up: str) -> None:
    axes.set_title(title, loc="left", color=INK)
    axes.set(xlabel=across, ylabel=up)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)


def _unit(length: float) -> tuple[float, str]:
    return next((unit for unit in ((1.0, "s"), (1e-3, "ms")) if length >= unit[0]), (1e-6, "µs"))


def _plain(text: str, longest: int) -> str:
    """Text that matplotlib takes for no formula."""
    return show.abridged(text, longest).replace("$", r"\$")
