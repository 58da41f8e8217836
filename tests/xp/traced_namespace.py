"""The namespace `dagexec.xp` by a detour: each function is traced on its arguments, and the graph is run.

A module that behaves as an Array API library, so a conformance suite can be run on it:
`ARRAY_API_TESTS_MODULE=tests.xp.traced_namespace`. Functions whose result's shape depends on data
are the namespace's own.
"""

from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import optree

from dagexec import xp
from dagexec.array import Array
from dagexec.tracing import trace
from dagexec.xp.standard import CONSTANTS, DTYPES, SIGNATURES
from tests.oracle import evaluate

DATA_DEPENDENT = ("nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values")
UNTRACED = (*DATA_DEPENDENT, "from_dlpack", "__array_namespace_info__")


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that traces `function` for the arrays among its arguments and runs the graph on them."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if function.__name__ == "repeat" and isinstance(args[1], np.ndarray):
            return function(*args, **kwargs)
        leaves, structure = optree.tree_flatten((args, kwargs), none_is_leaf=True)
        places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, np.ndarray | np.generic)]
        arrays = [leaves[place] for place in places]
        results: list[Any] = []

        def body(*values: Any) -> Any:
            filled = list(leaves)
            for place, value in zip(places, values):
                filled[place] = value
            args, kwargs = optree.tree_unflatten(structure, filled)
            results.append(function(*args, **kwargs))
            kinds = {type(leaf) for leaf in optree.tree_leaves(results[0])}
            # A dtype, a bool or a shape is known while tracing.
            return results[0] if kinds <= {Array, np.ndarray} else ()

        graph = trace(body)(*arrays)
        if graph.outputs:
            return optree.tree_map(np.array, evaluate(graph, *arrays))
        return results[0]

    return wrapper


for _name in (*DTYPES, *CONSTANTS, *UNTRACED):
    globals()[_name] = getattr(xp, _name)
for _name in SIGNATURES:
    if _name not in UNTRACED:
        globals()[_name] = traced(getattr(xp, _name))
for _name in ("linalg", "fft"):
    _extension = getattr(xp, _name, None)
    if isinstance(_extension, ModuleType):
        _functions = {name: part for name, part in vars(_extension).items() if isfunction(part)}
        globals()[_name] = SimpleNamespace(**{name: traced(part) for name, part in _functions.items()})
__array_api_version__ = xp.__array_api_version__
