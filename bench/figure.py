"""The figures of the schedulers' benchmark as a picture: what a task costs, and what two threads gain."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench.dags import FULL
from bench.peers import AUTO, CEILING, DASK_THREADS, GRAPHLIB, JOBLIB, SERIAL, THREADS
from bench.rounds import microseconds, times_as_fast

Row = dict[str, Any]
Rows = list[Row]

# Colours that colour-blind eyes tell apart (Okabe and Ito); markers say it too.
MARKERS = {
    "wide": ("o", "#0072B2"),
    "chain": ("s", "#D55E00"),
    "tree": ("^", "#009E73"),
    "layered": ("D", "#CC79A7"),
    "grid": ("v", "#E69F00"),
}
LINES = {
    CEILING: ("#666666", "--", "x"),
    THREADS: ("#0072B2", "-", "o"),
    AUTO: ("#009E73", "-", "^"),
    GRAPHLIB: ("#E69F00", "-", "s"),
    DASK_THREADS: ("#D55E00", "-", "D"),
    JOBLIB: ("#CC79A7", "-", "v"),
}


def draw(rows: Rows, path: str, machine: str) -> None:
    """Draw the two panels into a file, whose ending says the format."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(16, 9), width_ratios=(1.2, 1))
        measured = [row for row in rows if row.get("seconds")]
        _overhead(left, [row for row in measured if row["section"] == "overhead"])
        _speed_up(right, [row for row in measured if row.get("payload") == "sha256"])
        figure.text(0.01, 0.01, machine, fontsize=10, color="#555555")
        figure.tight_layout(rect=(0, 0.03, 1, 1))
        figure.savefig(path, dpi=120)
        plt.close(figure)


def _overhead(axes: Any, rows: Rows) -> None:
    if not rows:
        axes.set_axis_off()
        return
    names = list(dict.fromkeys(row["scheduler"] for row in rows))
    medians = {(row["scheduler"], row["shape"]): microseconds(row) for row in rows}
    for shape, (marker, colour) in MARKERS.items():
        points = [(name, found[0]) for name in names if (found := medians.get((name, shape)))]
        axes.scatter(
            [cost for _, cost in points],
            [names.index(name) for name, _ in points],
            marker=marker, color=colour, s=70, alpha=0.85, label=shape, zorder=3,
        )  # fmt: skip
    for line, name in enumerate(names):
        costs = [found[0] for shape in FULL if (found := medians.get((name, shape)))]
        if costs:
            axes.plot([min(costs), max(costs)], [line, line], color="#bbbbbb", linewidth=4, zorder=1)
            axes.annotate(
                f"{_short(min(costs))} – {_short(max(costs))}", (max(costs), line),
                xytext=(10, 0), textcoords="offset points", va="center", fontsize=11,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlim(right=axes.get_xlim()[1] * 6)  # room for the figures beside the points
    axes.set_yticks(range(len(names)), names)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("dagexec") else "normal")
    axes.invert_yaxis()
    axes.grid(axis="x", color="#dddddd", zorder=0)
    axes.set_xlabel("µs a task (log scale; less is better)")
    axes.set_title("What a scheduler costs: trivial callables, two workers", loc="left", fontweight="bold")
    axes.legend(title="graph", loc="upper right", frameon=True)


def _short(cost: float) -> str:
    return f"{cost:.3g}" if cost < 100 else f"{cost:,.0f}"


def _speed_up(axes: Any, rows: Rows) -> None:
    if not rows:
        axes.set_axis_off()
        return
    serial = {(row["payload_us"], row["shape"]): row for row in rows if row["scheduler"] == SERIAL}
    lengths = sorted({row["payload_us"] for row in rows})
    for name, (colour, style, marker) in LINES.items():
        ratios = {length: _ratios(rows, serial, name, length) for length in lengths}
        known = [length for length in lengths if ratios[length]]
        if not known:
            continue
        middle = [median(ratios[length]) for length in known]
        axes.plot(known, middle, style, color=colour, marker=marker, linewidth=2.5, markersize=8, label=name)
        low, high = ([pick(ratios[length]) for length in known] for pick in (min, max))
        axes.fill_between(known, low, high, color=colour, alpha=0.1)
    axes.axhline(1, color="black", linewidth=1)
    axes.text(0.01, 1.02, "serial", transform=axes.get_yaxis_transform())
    axes.set_xscale("log")
    axes.set_xticks(lengths, [f"{length:,} µs" for length in lengths])
    axes.minorticks_off()
    axes.set_ylim(0, 2.1)
    axes.grid(axis="y", color="#dddddd", zorder=0)
    axes.set_xlabel("length of a task that releases the GIL (SHA-256)")
    axes.set_ylabel("speed-up over serial dagexec")
    axes.set_title("What two threads gain: wide, layered, grid", loc="left", fontweight="bold")
    axes.legend(loc="lower right", frameon=True)


def _ratios(rows: Rows, serial: dict[tuple[int, str], Row], name: str, length: int) -> list[float]:
    found = []
    for row in rows:
        if row["scheduler"] == name and row["payload_us"] == length:
            ratio = times_as_fast(row, serial[length, row["shape"]])
            if ratio:
                found.append(ratio[0])
    return found
