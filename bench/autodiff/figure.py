"""The rows as a picture: how many times as fast as PyTorch eager, a line a workload, a mark a peer."""

from __future__ import annotations

from typing import Any

from bench.autodiff import peers as by
from bench.autodiff.rows import Cells, Rows, by_workload, ratio
from bench.autodiff.workloads import QUICK

# Colours that colour-blind eyes tell apart (Okabe and Ito); markers say it too.
MARKS = {
    by.DAGEXEC: ("o", "#0072B2"),
    by.DAGEXEC_AUTO: ("o", "#0072B2"),
    by.JAX: ("s", "#D55E00"),
    by.JAX_SCAN: ("D", "#E69F00"),
    by.TORCH_COMPILED: ("^", "#009E73"),
    by.TORCH_FUSED: ("v", "#666666"),
    by.AUTOGRAD: ("x", "#CC79A7"),
    by.ONNX: ("P", "#56B4E9"),
}


def draw(rows: Rows, path: str, machine: str) -> None:
    """Draw a panel for one thread and one for two into a file, whose ending says the format.

    Of the recurrent networks those of the quick form are shown, so that the lines can be read on a slide.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    panels = [(by_workload(rows, "array", 1), by.DAGEXEC), (by_workload(rows, "array", 2), by.DAGEXEC_AUTO)]
    names = [name for name in QUICK if any(name in cells for cells, _ in panels)]
    with plt.rc_context({"font.size": 14, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(1, 2, figsize=(16, 9), sharey=True)
        for number, (cells, ours) in enumerate(panels):
            _panel(axes[number], cells, names, ours)
            axes[number].set_title("two threads" if number else "one thread", loc="left", fontweight="bold")
        axes[0].set_yticks(range(len(names)), names)
        axes[0].invert_yaxis()
        _legend(figure, axes)
        figure.suptitle("Value and gradients: times as fast as PyTorch eager", fontweight="bold", fontsize=18)
        figure.text(0.01, 0.01, machine, fontsize=10, color="#555555")
        figure.tight_layout(rect=(0, 0.08, 1, 1))
        figure.savefig(path, dpi=120)
        plt.close(figure)


def _panel(axes: Any, cells: Cells, names: list[str], ours: str) -> None:
    for peer, (marker, colour) in MARKS.items():
        if peer in (by.DAGEXEC, by.DAGEXEC_AUTO) and peer != ours:
            continue
        found = {line: ratio(cells.get(name, {}), peer, by.TORCH) for line, name in enumerate(names)}
        points = [(figure, line) for line, figure in found.items() if figure is not None]
        if not points:
            continue
        size, layer = (150, 4) if peer == ours else (70, 3)
        label = "dagexec" if peer == ours else peer
        axes.scatter(*zip(*points), marker=marker, color=colour, label=label, s=size, zorder=layer, alpha=0.9)
        for figure, line in points if peer == ours else ():
            axes.annotate(
                f"{figure:.2g}×", (figure, line), xytext=(0, 9), textcoords="offset points", ha="center",
                fontsize=11, color=colour, fontweight="bold",
            )  # fmt: skip
    axes.axvline(1, color="black", linewidth=1.5, zorder=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.grid(axis="both", color="#e5e5e5", zorder=0)
    axes.set_xlabel("slower  ←  PyTorch eager  →  faster")


def _legend(figure: Any, axes: Any) -> None:
    """One for both panels, below them."""
    marks = {}
    for panel in axes:
        handles, labels = panel.get_legend_handles_labels()
        marks |= dict(zip(labels, handles))
    if marks:
        figure.legend(
            marks.values(),
            marks,
            loc="lower center",
            ncol=len(marks),
            frameon=False,
            bbox_to_anchor=(0.5, 0.03),
        )
