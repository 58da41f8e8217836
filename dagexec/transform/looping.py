"""`while_loop` and `fori_loop`: loops whose number of steps may only be known when the graph runs.

A `while_loop` node holds condition and step as graphs. As its length is not known, nothing can be kept of
each step: it has no gradient in reverse mode.

>>> from dagexec.transform.compiling import jit
>>> float(jit(lambda x: while_loop(lambda x: x < 100, lambda x: x * 2, x))(3.0))
192.0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np
import optree

from dagexec.array import CURRENT, Array, at, user_line
from dagexec.array import call as apply
from dagexec.graph import Graph, Op, Spec
from dagexec.ops.table import declare
from dagexec.pytrees import flatten
from dagexec.transform.carries import check_carry
from dagexec.transform.stepping import scan
from dagexec.transform.subgraphs import (
    Found,
    Program,
    batched_part,
    carry_flags,
    check_inputs,
    dependent,
    is_number,
    name_of,
    node_of,
    only_read,
    recorded_tree,
    spec_at,
    specs_out,
    spread,
    subgraphs,
    work,
)


def _specs(*specs: Spec, condition: Graph, body: Graph, carries: int) -> tuple[Spec, ...]:
    check_inputs(condition, specs)
    check_inputs(body, specs)
    if specs_out(condition) != [Spec((), np.bool)]:
        raise ValueError(f"{condition.name} returns {specs_out(condition)}, but must return a scalar bool")
    if specs_out(body) != list(specs[:carries]):
        raise ValueError(
            f"{body.name} takes a carry of {list(specs[:carries])}, but returns {specs_out(body)}"
        )
    return tuple(specs_out(body))


def _repeated(*inputs: Any, condition: Program, body: Program, carries: int) -> tuple[Any, ...]:
    carry, rest = list(inputs[:carries]), inputs[carries:]
    while condition(*carry, *rest)[0]:
        carry = body(*carry, *rest)
    return tuple(carry)


def _kernel(xp: Any, *, condition: Graph, body: Graph, carries: int, read: Any = None) -> Any:
    return partial(_repeated, condition=Program(condition, xp), body=Program(body, xp), carries=carries)


def _refused(xp: Any, g: Any, y: Array, *inputs: Any, **params: Any) -> NoReturn:
    raise TypeError(
        f"no gradient through while_loop ({at(y.node.where)}): its number of steps is not known before it "
        "runs; use scan, or fori_loop with bounds that are numbers"
    )


def _batched(
    xp: Any,
    again: Any,
    size: int,
    batched: Sequence[bool],
    *inputs: Array,
    condition: Graph,
    body: Graph,
    carries: int,
) -> Any:
    flags = carry_flags(body, list(batched), carries)
    each_its_own = dependent(condition, flags) == [True]
    if each_its_own:  # those that have ended keep their value while others go on
        flags[:carries] = [True] * carries
    going = batched_part(condition, flags, [each_its_own], size)
    step = batched_part(body, flags, flags[:carries], size)

    def any_goes_on(leaves: list[Array]) -> list[Any]:
        return [xp.any(goes_on) for goes_on in going.function(leaves)]

    def step_where_it_goes_on(leaves: list[Array]) -> Sequence[Any]:
        after = step.function(leaves)
        if not each_its_own:
            return after
        (goes_on,) = going.function(leaves)
        return [
            xp.where(xp.reshape(goes_on, (size,) + (1,) * (new.ndim - 1)), new, old)
            for new, old in zip(after, leaves)
        ]

    (of_all, body), _ = subgraphs(
        going._replace(function=any_goes_on), step._replace(function=step_where_it_goes_on)
    )
    carry = [spread(x, size) if flag and not old else x for x, flag, old in zip(inputs, flags, batched)]
    operands = [*carry[:carries], *inputs[carries:]]
    return again(*operands, condition=of_all, body=body, carries=carries)


WHILE_LOOP = declare(
    Op(
        "while_loop",
        _specs,
        _kernel,
        _refused,
        _batched,
        cost=lambda out, *specs, condition, body, carries: work(condition) + work(body),  # of one step
        family="control",
        doc="a graph applied as long as another says so",
    )
)


def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any) -> Any:
    """Apply `value = body_fun(value)` as long as `cond_fun(value)` is true.

    The value is a pytree that keeps its structure, shapes and dtypes, else TypeError is raised. Both
    functions may use other traced arrays. It has no gradient (TypeError). Outside of a trace it is a Python
    loop.

    >>> float(while_loop(lambda x: x < 10, lambda x: x * 3, 1.0))
    27.0
    """
    leaves, structure = flatten(init_val)
    leaves = [np.asarray(leaf) if is_number(leaf) else leaf for leaf in leaves]
    specs = [spec_at(leaf, "of init_val") for leaf in leaves]
    if CURRENT.get() is None:
        return _stepwise(cond_fun, body_fun, leaves, structure, specs)
    arguments = flatten((init_val,))[1]
    going, after = Found(), Found(dict(enumerate(spec.dtype for spec in specs)))
    graphs, captured = subgraphs(
        recorded_tree(cond_fun, arguments, specs, going), recorded_tree(body_fun, arguments, specs, after)
    )
    if specs_out(graphs[0]) != [Spec((), np.bool)]:
        raise TypeError(
            f"while_loop: {name_of(cond_fun)} must return a scalar bool, but returns "
            f"{', '.join(map(str, specs_out(graphs[0])))} ({at(user_line())})"
        )
    _check(body_fun, (specs, structure), specs_out(graphs[1]), after.tree)
    (condition, body), kept = only_read(graphs, always=len(leaves))
    given = [x for x, keep in zip([*map(node_of, leaves), *captured], kept) if keep]
    results = apply(WHILE_LOOP, *given, condition=condition, body=body, carries=len(leaves))
    return optree.tree_unflatten(structure, results)


def _check(
    body_fun: Callable[[Any], Any],
    taken: tuple[Sequence[Spec], optree.PyTreeSpec],
    leaves: Sequence[Any],
    structure: optree.PyTreeSpec,
) -> None:
    try:
        check_carry("while_loop", name_of(body_fun), taken, leaves, structure)
    except TypeError as error:
        raise TypeError(f"{error} ({at(user_line())})") from None


def _stepwise(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    leaves: list[Any],
    structure: optree.PyTreeSpec,
    specs: list[Spec],
) -> Any:
    value = optree.tree_unflatten(structure, leaves)
    while cond_fun(value):
        found = Found(dict(enumerate(spec.dtype for spec in specs)))
        leaves = found.take(body_fun(value))
        _check(body_fun, (specs, structure), leaves, found.tree)
        value = optree.tree_unflatten(structure, leaves)
    return value


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Apply `value = body_fun(i, value)` for `i` from `lower` to `upper - 1`.

    With bounds that are numbers it is a `scan`, and has a gradient; else a `while_loop`.

    >>> int(fori_loop(0, 5, lambda i, total: total + i, 0))
    10
    """
    if isinstance(lower, int | np.integer) and isinstance(upper, int | np.integer):

        def step(value: Any, i: Any) -> tuple[Any, None]:
            return body_fun(i, value), None

        return scan(step, init_val, np.arange(lower, max(lower, upper)))[0]
    value = while_loop(
        lambda pair: pair[0] < upper, lambda pair: (pair[0] + 1, body_fun(*pair)), (lower, init_val)
    )
    return value[1]
