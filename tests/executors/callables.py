"""Graphs of plain callables on processes, and what it means for results to be identical."""

from __future__ import annotations

import gc
import os
import subprocess
import threading

import numpy as np

import dagexec
from dagexec.graph import Graph, Node
from dagexec.ops import python_op


def call(function, *sources):
    """A node that calls a Python function."""
    return Node(python_op(function), sources)


def graph_of(*outputs):
    """The graph of nodes made with `call`, sources first."""
    nodes: dict[Node, None] = {}

    def add(node):
        for source in node.inputs:
            add(source)
        nodes.setdefault(node)

    for node in outputs:
        add(node)
    return Graph(nodes, (), outputs)


def compiled(graph, workers=2, **how):
    return dagexec.compile(graph, "processes", workers, **how)


def run(*outputs, workers=2):
    with compiled(graph_of(*outputs), workers) as executor:
        return executor()


def identical(value, expected):
    """The same type, shape, dtype, strides and bits?"""
    if isinstance(expected, tuple | list):
        return len(value) == len(expected) and all(map(identical, value, expected))
    if isinstance(expected, np.ndarray):
        return (
            type(value) is np.ndarray
            and (value.shape, value.dtype, value.strides)
            == (expected.shape, expected.dtype, expected.strides)
            and value.tobytes() == expected.tobytes()
        )
    return type(value) is type(expected) and (value == expected or value.tobytes() == expected.tobytes())


def state():
    """What a run or an executor might leave behind in this process and beside it."""
    gc.collect()
    children = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True, check=False
    )
    lines = [line for line in children.stdout.splitlines() if not line.startswith("ps ")]
    return sorted(os.listdir("/dev/fd")), segments(), threading.active_count(), lines


def segments():
    """What lies in shared memory, without semaphores.

    Those come and go with the pools of tests that run side by side; dagexec has none.
    """
    return [name for name in os.listdir("/dev/shm") if not name.startswith("sem.")]
