"""One training step of each graph file in `graphs/`, on several workers and on one, beside the bound.

The bound is min(workers, work / span) with work and span as measured on one worker. Each worker has one BLAS
thread, and the two are timed in turns. Small steps lose on several workers: what the scheduler does for a
task is then more than the task. `executor="auto"` runs those on one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dagexec.cli import show
from dagexec.cli.list import graph_files
from dagexec.graphfile import GraphFile, graph_of
from dagexec.timing import Times, compare

GRAPHS = Path(__file__).parent.parent / "graphs"
ROUNDS, QUICK_ROUNDS = 20, 3
WORKERS = 2

VARIANTS: dict[str, tuple[dict[str, str], ...]] = {  # the default and, where that is small, a larger one
    "autoencoder": ({}, {"hidden": "1024,512", "batch": "256"}),
    "data_parallel": ({"shards": "1"}, {"shards": "2"}, {"shards": "4"}),
    "digits_cnn": ({}, {"width": "64", "batch": "128"}),
    "digits_mlp": ({}, {"width": "1024", "batch": "256"}),
    "genetic": ({}, {"copies": "5000", "noise": "0.2"}),
    "language_model": ({}, {"features": "256"}),
    "sequence_classifier": ({}, {"bidirectional": "true", "hidden": "256", "batch": "128"}),
    "tagging": ({}, {"hidden": "256"}),
    "transformer_classifier": ({}, {"features": "128", "batch": "128"}),
    "translation": ({}, {"size": "256"}),
}

Row = dict[str, Any]


def measure(quick: bool = False) -> list[Row]:
    """A row a training."""
    with np.errstate(all="ignore"):
        return [
            row
            for _, file in graph_files(GRAPHS)
            for texts in VARIANTS.get(getattr(file, "name", ""), ({},))
            for row in _rows(file, texts, QUICK_ROUNDS if quick else ROUNDS)
        ]


def _rows(file: GraphFile | Exception, texts: dict[str, str], rounds: int) -> list[Row]:
    """The row of a file; none if it trains nothing."""
    if isinstance(file, Exception):
        raise file
    built = file.built(texts)
    if built.training is None:
        return []
    graph = graph_of(built)
    found = compare(graph, built.args, "threads", WORKERS, rounds)
    return [
        {
            "file": file.name,
            "parameters": texts,
            "nodes": len(graph),
            "serial_seconds": _figures(found.serial),
            "parallel_seconds": _figures(found.parallel),
            "workers": found.workers,
            "speed_up": found.speed_up,
            "bound": found.bound,
        }
    ]


def _figures(times: Times) -> list[float]:
    """The median and the quartiles."""
    return [times.median, *times.spread]


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        f"A training step on one worker and on {WORKERS} threads: medians [quartiles]",
        "",
        "| graph file | nodes | serial | threads | speed-up | bound |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = " ".join([row["file"], *(f"{key}={text}" for key, text in row["parameters"].items())])
        times = " | ".join(_spread(row[key]) for key in ("serial_seconds", "parallel_seconds"))
        lines.append(f"| {name} | {row['nodes']:,} | {times} | {row['speed_up']:.2f} | {row['bound']:.2f} |")
    return "\n".join(lines)


def _spread(figures: list[float]) -> str:
    middle, low, high = map(show.seconds, figures)
    return f"{middle} [{low}, {high}]"
