"""`cond`: one of two functions, chosen when the graph runs.

A `cond` node holds both functions as graphs and runs one of them. Its gradient is a `cond` of the gradients.

>>> from dagexec.tracing import trace
>>> graph = trace(lambda x: cond(x > 0, lambda x: x * 2, lambda x: -x, x))(1.0)
>>> [node.op.name for node in graph.nodes]
['input', 'constant', 'greater', 'cond', 'item']
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import optree

from dagexec.array import Array, at, user_line
from dagexec.array import call as apply
from dagexec.graph import Graph, Op, Spec
from dagexec.ops.table import declare
from dagexec.pytrees import flatten
from dagexec.transform.carries import difference, paths
from dagexec.transform.subgraphs import (
    Found,
    Part,
    Program,
    batched_part,
    check_inputs,
    differentiable,
    is_number,
    name_of,
    node_of,
    only_read,
    pulled_back,
    recorded_tree,
    restricted,
    spec_at,
    specs_out,
    subgraphs,
    work,
    zeros_like,
)


def _specs(pred: Spec, *operands: Spec, on_true: Graph, on_false: Graph) -> tuple[Spec, ...]:
    if pred.shape != () or pred.dtype.kind != "b":
        raise TypeError(f"the predicate is {pred}, but must be a scalar bool")
    check_inputs(on_true, operands)
    check_inputs(on_false, operands)
    if specs_out(on_true) != specs_out(on_false):
        raise ValueError(f"the branches return {specs_out(on_true)} and {specs_out(on_false)}")
    return tuple(specs_out(on_true))


def _chosen(
    pred: Any, *operands: Any, branches: tuple[Program, Program], places: Sequence[int], count: int
) -> Any:
    results: list[Any] = [None] * count
    for place, value in zip(places, branches[0 if pred else 1](*operands)):
        results[place] = value
    return tuple(results)


def _kernel(xp: Any, *, on_true: Graph, on_false: Graph, read: Sequence[int] | None = None) -> Any:
    count = len(on_true.outputs)
    places = range(count) if read is None else sorted(read)
    wanted = [place in places for place in range(count)]
    branches = Program(restricted(on_true, wanted), xp), Program(restricted(on_false, wanted), xp)
    return partial(_chosen, branches=branches, places=tuple(places), count=count)


def _pulled(
    xp: Any, g: Any, y: Any, pred: Array, *operands: Array, on_true: Graph, on_false: Graph
) -> list[Any]:
    wanted = [any(pair) for pair in zip(differentiable(on_true), differentiable(on_false))]
    if not any(wanted):
        return [None] * (1 + len(operands))
    known = [position for position, part in enumerate(g) if isinstance(part, Array)]
    given = [*operands, *[g[position] for position in known]]

    def back(graph: Graph) -> Part:
        def function(leaves: list[Array]) -> list[Any]:
            cotangents: list[Any] = [None] * len(g)
            for position, leaf in zip(known, leaves[len(operands) :]):
                cotangents[position] = leaf
            shares = pulled_back(graph, leaves[: len(operands)], cotangents)
            return [
                zeros_like(x.node.spec) if share is None else share
                for share, x, wants in zip(shares, operands, wanted)
                if wants
            ]

        return Part(f"{graph.name}.backward", function, [x.node.spec for x in given])

    graphs, _ = subgraphs(back(on_true), back(on_false))
    (true_back, false_back), kept = only_read(graphs)
    read = [x for x, keep in zip(given, kept) if keep]
    shares = iter(apply(COND, pred, *read, on_true=true_back, on_false=false_back))
    return [None, *[next(shares) if wants else None for wants in wanted]]


def _batched(
    xp: Any,
    again: Any,
    size: int,
    batched: Sequence[bool],
    pred: Array,
    *operands: Array,
    on_true: Graph,
    on_false: Graph,
) -> Any:
    made = [True] * len(on_true.outputs)
    parts = [batched_part(graph, batched[1:], made, size) for graph in (on_true, on_false)]
    if not batched[0]:
        (true_part, false_part), _ = subgraphs(*parts)
        return again(pred, *operands, on_true=true_part, on_false=false_part)
    sides = [part.function(list(operands)) for part in parts]  # each is right for some of the slices
    return tuple(
        xp.where(xp.reshape(pred, (size,) + (1,) * (left.ndim - 1)), left, right)
        for left, right in zip(*sides)
    )


COND = declare(
    Op(
        "cond",
        _specs,
        _kernel,
        _pulled,
        _batched,
        cost=lambda out, *specs, on_true, on_false: max(work(on_true), work(on_false)),
        family="control",
        doc="one of two graphs, chosen by the first input",
    )
)


def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """`true_fun(*operands)` if `pred`, else `false_fun(*operands)`.

    Where `pred` is a traced array, a scalar bool, both functions are recorded and the graph chooses when it
    runs; they may also use other traced arrays. Then their results must agree in structure, shapes and
    dtypes, else TypeError is raised. Where it is a value, the chosen function is simply called.

    >>> from dagexec.transform.reverse import grad
    >>> float(grad(lambda x: cond(x > 0, lambda x: x**2, lambda x: -x, x))(3.0))
    6.0
    """
    spec = spec_at(pred, "pred of cond")
    if spec.shape:
        raise TypeError(f"cond: the predicate is {spec}, but must be a scalar ({at(user_line())})")
    if pred.__class__ is not Array:
        return (true_fun if pred else false_fun)(*operands)
    leaves, structure = flatten(operands)
    specs = [spec_at(leaf, "of cond") for leaf in leaves]
    found = Found(), Found()
    graphs, captured = _both(true_fun, false_fun, structure, specs, found)
    if _settle_numbers(found, graphs):
        graphs, captured = _both(true_fun, false_fun, structure, specs, found)
    _check_branches((name_of(true_fun), name_of(false_fun)), found, graphs)
    (on_true, on_false), kept = only_read(graphs)
    given = [x for x, keep in zip([*map(node_of, leaves), *captured], kept) if keep]
    chooser = pred if spec.dtype.kind == "b" else pred != 0
    results = apply(COND, chooser, *given, on_true=on_true, on_false=on_false) if found[0].leaves else ()
    return optree.tree_unflatten(found[0].tree, results)


def _both(
    true_fun: Callable[..., Any],
    false_fun: Callable[..., Any],
    structure: optree.PyTreeSpec,
    specs: list[Spec],
    found: tuple[Found, Found],
) -> tuple[list[Graph], list[Array]]:
    return subgraphs(
        recorded_tree(true_fun, structure, specs, found[0]),
        recorded_tree(false_fun, structure, specs, found[1]),
    )


def _settle_numbers(found: tuple[Found, Found], graphs: list[Graph]) -> bool:
    """Give Python numbers that one branch returns the dtype of what the other does; is there any?"""
    for one, other, graph in ((found[0], found[1], graphs[1]), (found[1], found[0], graphs[0])):
        for position, (leaf, opposite) in enumerate(zip(one.leaves, other.leaves)):
            dtype = graph.outputs[position].spec.dtype
            if is_number(leaf) and not is_number(opposite) and np.result_type(leaf, dtype) == dtype:
                one.dtypes[position] = dtype
    return bool(found[0].dtypes or found[1].dtypes)


def _check_branches(names: tuple[str, str], found: tuple[Found, Found], graphs: list[Graph]) -> None:
    place = at(user_line())
    if found[0].tree != found[1].tree:
        raise TypeError(
            f"cond: {names[0]} (true) returns structure {found[0].tree}, {names[1]} (false) {found[1].tree} "
            f"({place})"
        )
    sides = zip(paths(found[0].tree, "result"), specs_out(graphs[0]), specs_out(graphs[1]))
    for path, left, right in sides:
        if left != right:
            raise TypeError(
                f"cond: {path} is {left} from {names[0]} (true), but {right} from {names[1]} (false): "
                f"{difference(left, right)} ({place})"
            )
