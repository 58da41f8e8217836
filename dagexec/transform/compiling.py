"""Functions traced and run: `jit` keeps the plan for the next call, `at_once` does not.

>>> at_once(lambda x: x * 2, (3.0,)).item()
6.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import numpy as np
import optree

from dagexec.array import CURRENT, Array
from dagexec.array import call as apply
from dagexec.executors import Compiled, compile, run
from dagexec.executors.compiled import MISSED
from dagexec.graph import CONSTANT, INPUT, ITEM, Graph, Node
from dagexec.pytrees import flatten
from dagexec.tracing import leaf_spec, trace


def jit(fn: Callable[..., Any], *, executor: str = "auto", workers: int | None = None) -> Callable[..., Any]:
    """`fn` traced and planned on the first call with each set of shapes and dtypes, then only run.

    Arguments, also those by keyword, and result are pytrees of arrays and numbers; a Python number among the
    arguments is an array of NumPy's dtype for it (float64, int64). What else `fn` does (printing, reading a
    global) happens while tracing only. Within a trace it is simply called.

    >>> import numpy as np
    >>> double = jit(lambda x: x * 2)
    >>> double(np.ones(3)), double(np.ones(3))
    (array([2., 2., 2.]), array([2., 2., 2.]))
    """
    plans: dict[Any, Compiled] = {}
    latest: dict[bool, Compiled] = {}  # of calls with and without keywords: most are like the one before

    @wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is not None:
            return fn(*args, **kwargs)
        given = (*args, kwargs) if kwargs else args
        leaves, structure = flatten(given)
        compiled = latest.get(bool(kwargs))
        if compiled is not None and structure == compiled.graph.in_tree:
            result = compiled.at_once(leaves)
            if result is not MISSED:
                return result
        key = bool(kwargs), structure, tuple(map(_kind, leaves))
        if key not in plans:
            function, args = positional(fn, args, kwargs)
            if any(isinstance(leaf, Array) for leaf in leaves):
                return at_once(function, args)
            plans[key] = compile(trace(function)(*args), executor, workers)
        latest[bool(kwargs)] = plans[key]
        return plans[key](*given)

    return wrapped


def _kind(leaf: Any) -> Any:
    """What a plan depends on of an argument: shape and dtype; nothing equal to that for a recorded array."""
    if leaf.__class__ is np.ndarray:
        return leaf.shape, leaf.dtype
    if isinstance(leaf, Array):
        return None
    spec = leaf_spec(leaf, "of a jit function")
    return spec.shape, spec.dtype


def positional(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A function and its arguments, the ones by keyword as a last argument, a dict."""
    if not kwargs:
        return fn, args

    @wraps(fn)
    def with_keywords(*args: Any) -> Any:
        return fn(*args[:-1], **args[-1])

    del with_keywords.__wrapped__  # its arguments have other names
    return with_keywords, (*args, dict(kwargs))


def at_once(fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """`fn(*args)` by tracing and running it; what is recorded by define-by-run keeps its history."""
    graph = trace(fn)(*args)
    leaves = flatten(args)[0]
    if any(isinstance(leaf, Array) for leaf in leaves):
        return optree.tree_unflatten(graph.out_tree, _interpreted(graph, leaves))
    return run(graph, *args, rewrites=())  # for a single run they take longer than they gain


def _interpreted(graph: Graph, leaves: list[Any]) -> list[Any]:
    """The results of a graph, with each of its ops applied to arrays that have values."""
    values: dict[Node, Any] = dict(zip(graph.inputs, leaves))
    for node in graph.nodes:
        if node.op is CONSTANT:
            values[node] = node.params["value"]
        elif node.op is ITEM:
            values[node] = values[node.inputs[0]][node.params["index"]]
        elif node.op is not INPUT:
            values[node] = apply(node.op, *[values[source] for source in node.inputs], **node.params)
    return [values[node] for node in graph.outputs]
