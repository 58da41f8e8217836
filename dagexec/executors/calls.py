"""The calls of a program: which function writes which value where, and what is a view of what.

An Operand stands for an array that is not there yet, among the arguments of a call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagexec.executors.observing import Key, Seen, sources_of
from dagexec.plan import Plan


class Operand:
    """Stands for an array among the arguments of a call; it has the array's shape and dtype."""

    __slots__ = ("dtype", "key", "shape")

    def __init__(self, key: Key, seen: Seen) -> None:
        self.key = key
        self.shape = seen.shape
        self.dtype = seen.dtype


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments, in which Operands, alone or in tuples, stand for arrays."""

    task: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    may_overwrite: bool = False  # may the result lie where an operand of its shape lay?

    @property
    def keys(self) -> list[Key]:
        """What it reads and writes."""
        keys = []
        for argument in self.arguments:
            if argument.__class__ is Operand:
                keys.append(argument.key)
            elif argument.__class__ is tuple:
                keys += [part.key for part in argument if part.__class__ is Operand]
        return keys


@dataclass(frozen=True, slots=True)
class View:
    """A task whose results lie in the memory of what it reads."""

    function: Callable[..., Any]
    sources: Sequence[Key]
    results: Sequence[Key]


class UnforeseenError(Exception):
    """Values lie in memory in a way that no program is made for."""


def calls_of(plan: Plan, seen: Mapping[Key, Seen]) -> tuple[list[Call], list[View]]:
    """The calls and views of a plan whose values lay in memory as `seen` tells.

    Raises UnforeseenError where that is in a way that no program is made for.
    """
    results: dict[int, list[Key]] = {}
    for key in seen:
        results.setdefault(key[0], []).append(key)
    calls: list[Call] = []
    views: list[View] = []
    for task in plan.tasks:
        function, sources = sources_of(plan, task)
        if not all(source in seen for source in sources):
            raise UnforeseenError
        owners = [seen[key].owner for key in results[task]]
        if owners == results[task]:
            calls += _calls(plan, task, function, sources, results[task], seen)
        elif all(owner[0] != task for owner in owners):
            views.append(View(function, sources, results[task]))
        else:
            raise UnforeseenError
    return calls, views


def _calls(
    plan: Plan,
    task: int,
    function: Callable[..., Any],
    sources: Sequence[Key],
    results: Sequence[Key],
    seen: Mapping[Key, Seen],
) -> list[Call]:
    """The calls that write a task's results to their places."""
    inputs = tuple([Operand(key, seen[key]) for key in sources])
    outs = tuple([Operand(key, seen[key]) for key in results])
    if results[0][1] is not None:
        return [Call(task, _store_all, (function, outs, *inputs))]
    node = plan.graph.nodes[task]
    writers = node.op.into(inputs, outs[0], **node.params) if node.op.into else []
    if writers:
        alone = len(writers) == 1 and node.op.family == "elementwise" and not _is_complex_number(outs[0])
        return [
            Call(task, writer, tuple(arguments), alone and isinstance(writer, np.ufunc))
            for writer, arguments in writers
        ]
    return [Call(task, _store, (function, outs[0], *inputs))]


def _is_complex_number(out: Operand) -> bool:
    """Is it one complex number? NumPy rounds its product otherwise where that lies over a factor."""
    return out.dtype.kind == "c" and math.prod(out.shape) == 1


def _store(kernel: Callable[..., Any], out: Any, *inputs: Any) -> None:
    np.copyto(out, kernel(*inputs))


def _store_all(kernel: Callable[..., Any], outs: tuple[Any, ...], *inputs: Any) -> None:
    for out, result in zip(outs, kernel(*inputs), strict=True):
        np.copyto(out, result)
