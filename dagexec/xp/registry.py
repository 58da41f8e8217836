"""Which function of ours stands for which of NumPy's, and why some have none.

`@implements(np.median)` above a function makes it what NumPy's does to traced arrays. It takes NumPy's
arguments; `out` it leaves alone, for that is seen to where NumPy's calls arrive.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from dagexec.array import naming_the_line

F = TypeVar("F", bound=Callable[..., Any])

NUMPY_FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # NumPy's functions to ours
OUT_POSITION: dict[Any, int] = {}  # where `out` stands among their arguments
REFUSED: dict[Any, str] = {}  # NumPy's functions that can't be traced, and why


def implements(*functions: Any) -> Callable[[F], F]:
    """Let a function carry out NumPy's `functions` on traced arrays."""

    def register(ours: F) -> F:
        for function in functions:
            connect(function, ours)
        return ours

    return register


def connect(theirs: Any, ours: Callable[..., Any]) -> None:
    """Let `ours` carry out NumPy's function `theirs`, whose names for the arguments it then understands."""
    ours = naming_the_line(ours, f"np.{theirs.__name__}")
    try:
        parameters = inspect.signature(theirs).parameters
    except (TypeError, ValueError):
        parameters = inspect.signature(ours).parameters
    expected = [name for name, parameter in parameters.items() if parameter.kind in _POSITIONAL]
    if "out" in parameters:
        OUT_POSITION[theirs] = expected.index("out") if "out" in expected else sys.maxsize
    expected = [name for name in expected if name != "out"]
    NUMPY_FUNCTIONS[theirs] = _renaming(expected, ours)


def _renaming(expected: list[str], ours: Callable[..., Any]) -> Callable[..., Any]:
    """`ours`, with the arguments that it calls otherwise taken under NumPy's names: `a` for `x`."""
    known = inspect.signature(ours).parameters
    positional = [name for name, parameter in known.items() if parameter.kind in _POSITIONAL]
    names = {name: own for name, own in zip(expected, positional) if name != own and name not in known}
    unnamed = sum(parameter.kind is inspect.Parameter.POSITIONAL_ONLY for parameter in known.values())
    if not names and not unnamed:
        return ours

    def renamed(*args: Any, **kwargs: Any) -> Any:
        args += tuple(kwargs.pop(name) for name in expected[len(args) : unnamed] if name in kwargs)
        return ours(*args, **{names.get(name, name): value for name, value in kwargs.items()})

    return renamed


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
