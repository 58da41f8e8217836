"""The rows as a picture: how many times as fast as PyTorch eager, a line a workload, a mark a peer."""

from __future__ import annotations

from typing import Any

from bench.autodiff import peers as by
from bench.autodiff.rows import Rows, by_workload, ratio

# Colours that colour-blind eyes tell apart (Okabe and Ito); markers say it too.
MARKS = {
    by.DAGEXEC: ("o", "#0072B2"),
    by.DAGEXEC_AUTO: ("o", "#0072B2"),
    by.JAX: ("s", "#D55E00"),
    by.JAX_SCAN: ("D", "#E69F00"),
    by.TORCH_COMPILED: ("^", "#009E73"),
    by.TORCH_FUSED: ("v", "#666666"),
    by.AUTOGRAD: ("x", "#CC79A7"),
}


def draw(rows: Rows, path: str, machine: str) -> None:
    """Draw one panel for one thread and one for two into a file, whose ending says the format."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.size": 13, "axes.spines.top": False, "axes.spines.right": False}):
        figure, panels = plt.subplots(1, 2, figsize=(16, 9), sharey=False)
        _panel(panels[0], rows, 1, by.DAGEXEC)
        _panel(panels[1], rows, 2, by.DAGEXEC_AUTO)
        figure.text(0.01, 0.01, machine, fontsize=10, color="#555555")
        figure.tight_layout(rect=(0, 0.03, 1, 1))
        figure.savefig(path, dpi=120)
        plt.close(figure)


def _panel(axes: Any, rows: Rows, threads: int, ours: str) -> None:
    cells = by_workload(rows, "array", threads)
    if not cells:
        axes.set_axis_off()
        return
    workloads = list(cells)
    for peer, (marker, colour) in MARKS.items():
        if peer.startswith("dagexec") and peer != ours:
            continue
        points = [
            (figure, line)
            for line, name in enumerate(workloads)
            if (figure := ratio(cells[name], peer, by.TORCH)) is not None
        ]
        if points:
            axes.scatter(
                *zip(*points), marker=marker, color=colour, label=peer, zorder=4 if peer == ours else 3,
                s=130 if peer == ours else 60, alpha=1 if peer == ours else 0.85,
            )  # fmt: skip
    axes.axvline(1, color="black", linewidth=1, zorder=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.set_yticks(range(len(workloads)), workloads)
    axes.invert_yaxis()
    axes.grid(axis="both", color="#e5e5e5", zorder=0)
    axes.set_xlabel("times as fast as PyTorch eager (log scale; more is better)")
    title = f"Value and gradients, {threads} thread{'s' * (threads > 1)}"
    axes.set_title(title, loc="left", fontweight="bold")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", frameon=True, fontsize=11)
