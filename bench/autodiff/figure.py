"""The rows as a picture: how many times as fast as PyTorch eager, a line a workload, a mark a peer."""

from __future__ import annotations

from typing import Any

from bench.autodiff import peers as by
from bench.autodiff.rows import Cells, Rows, by_workload, ratio
from bench.autodiff.workloads import CHOSEN

# Colours that colour-blind eyes tell apart (Okabe and Ito); markers say it too.
MARKS = {
    by.DAGEXEC: ("o", "#0072B2"),
    by.JAX: ("s", "#D55E00"),
    by.JAX_SCAN: ("D", "#E69F00"),
    by.TORCH_COMPILED: ("^", "#009E73"),
    by.TORCH_FUSED: ("v", "#666666"),
    by.ONNX: ("P", "#56B4E9"),
    by.AUTOGRAD: ("x", "#CC79A7"),
}


def draw(rows: Rows, path: str, machine: str) -> None:
    """Draw what was measured on one thread into a file, whose ending says the format.

    Of the recurrent networks those of the whole run are shown, so that the lines can be read on a slide.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    cells = by_workload(rows, "array", 1)
    names = [name for name in CHOSEN if name in cells]
    with plt.rc_context({"font.size": 15}):
        figure, axes = plt.subplots(figsize=(16, 9))
        _panel(axes, cells, names)
        axes.set_title(
            "Value and gradients on one thread: times as fast as PyTorch eager",
            loc="left", x=-0.34, pad=18, fontweight="bold", fontsize=20,
        )  # fmt: skip
        figure.text(
            0.01, 0.01, f"{machine}; float32, medians of interleaved rounds of all peers in one process",
            fontsize=11, color="#555555",
        )  # fmt: skip
        figure.tight_layout(rect=(0, 0.03, 1, 1))
        figure.savefig(path, dpi=120)
        plt.close(figure)


def _panel(axes: Any, cells: Cells, names: list[str]) -> None:
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import LogLocator, NullLocator

    for peer, (marker, colour) in MARKS.items():
        found = {line: ratio(cells.get(name, {}), peer, by.TORCH) for line, name in enumerate(names)}
        points = [(figure, line) for line, figure in found.items() if figure is not None]
        if not points:
            continue
        size, layer = (240, 3) if peer == by.DAGEXEC else (70, 4)  # no mark hides another
        axes.scatter(*zip(*points), marker=marker, color=colour, label=peer, s=size, zorder=layer)
        for figure, line in points if peer == by.DAGEXEC else ():
            axes.annotate(
                f"{figure:.2g}×", (figure, line), xytext=(0, 11), textcoords="offset points", ha="center",
                fontsize=13, color=colour, fontweight="bold", zorder=5,
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )  # fmt: skip
    axes.axvline(1, color="black", linewidth=1.5, zorder=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(axis="both", color="#e5e5e5", zorder=0)
    axes.text(
        1, -0.075, "slower   ←   PyTorch eager   →   faster", ha="center", va="top",
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.35, -0.13), ncol=len(MARKS), frameon=False,
        fontsize=13, handletextpad=0.2, columnspacing=1.4,
    )  # fmt: skip
