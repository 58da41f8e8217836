"""Reverse mode: `grad`, `value_and_grad` and `vjp`, by deriving what the function has recorded.

>>> value, pullback = vjp(lambda x, y: x * y, 3.0, 4.0)
>>> float(value), tuple(map(float, pullback(1.0)))
(12.0, (4.0, 3.0))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import numpy as np
import optree

from dagexec.array import ALIAS, CURRENT, Array, Trace, as_nodes, at, current_trace, user_line
from dagexec.backward import derive, require_float, seed_of
from dagexec.graph import Node
from dagexec.ops.table import as_tuple
from dagexec.pytrees import flatten
from dagexec.tracing import leaf_spec
from dagexec.transform.compiling import at_once, jit

Argnums = int | Sequence[int]
Pullback = Callable[[Any], tuple[Any, ...]]


def value_and_grad(fn: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that returns `(fn(*args), gradients)`.

    `fn` returns a real scalar, or `(scalar, aux)` with `has_aux`. The gradients have the structure of
    argument `argnums`, or are a tuple of such for several. Arguments by keyword are passed on. Raises
    TypeError where the result is no scalar or the argument is not floating-point, ValueError where there is
    no such argument.

    >>> value, g = value_and_grad(lambda p: p["w"] ** 2 + p["b"])({"w": 3.0, "b": 1.0})
    >>> float(value), {name: float(part) for name, part in g.items()}
    (10.0, {'w': 6.0, 'b': 1.0})
    """

    @wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        recording = CURRENT.get()
        if recording is None:
            return at_once(partial(wrapped, **kwargs), args)
        new_args, targets, structure, start = differentiable(recording, args, argnums)
        result = fn(*new_args, **kwargs)
        value = result[0] if has_aux else result
        if len(leaves := flatten(value)[0]) != 1:
            raise TypeError(
                f"the gradient is that of a real scalar, but the result is a tree of {len(leaves)} arrays"
            )
        (node,) = as_nodes(recording, leaves)
        seed = Array(recording.constant(seed_of(node)))
        gradients = derive(recording, recording.nodes[start:], [(node, seed)], targets)
        return result, optree.tree_unflatten(structure, gradients)

    return wrapped


def grad(fn: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that returns the gradient of `fn`: `value_and_grad` without the value.

    With `has_aux` it returns `(gradients, aux)`.

    >>> float(grad(lambda x: x**3)(2.0))
    12.0
    """
    both = value_and_grad(fn, argnums, has_aux)

    @wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is None:  # trace this, not both: then the value is not computed
            return at_once(partial(wrapped, **kwargs), args)
        result, gradients = both(*args, **kwargs)
        return (gradients, result[1]) if has_aux else gradients

    return wrapped


def vjp(fn: Callable[..., Any], *args: Any) -> tuple[Any, Pullback]:
    """The value of `fn(*args)`, and the function from its cotangent to those of the arguments.

    >>> value, pullback = vjp(lambda x, y: x * y, 3.0, 4.0)
    >>> float(value), tuple(map(float, pullback(1.0)))
    (12.0, (4.0, 3.0))
    """
    recording = CURRENT.get()
    if recording is not None:
        return _recorded_vjp(recording, fn, args)
    back = jit(lambda args, cotangent: vjp(fn, *args)[1](cotangent))
    return at_once(fn, args), lambda cotangent: back(args, cotangent)


def _recorded_vjp(recording: Trace, fn: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Pullback]:
    new_args, targets, structure, start = differentiable(recording, args, tuple(range(len(args))))
    result = fn(*new_args)
    leaves, tree = flatten(result)
    outputs = [as_nodes(recording, (leaf,))[0] for leaf in leaves]
    end = len(recording.nodes)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        trace = current_trace()
        parts, given = flatten(cotangent)
        if given != tree:
            raise ValueError(f"the cotangent's structure {given} is not the result's {tree}")
        seeds = []
        for node, part in zip(outputs, parts):
            (seed,) = as_nodes(trace, (part,))
            if seed.spec.shape != node.spec.shape:
                raise ValueError(
                    f"a cotangent {seed.spec} does not fit the result {node.spec} ({at(user_line())})"
                )
            seeds.append((node, Array(seed)))
        gradients = derive(trace, recording.nodes[start:end], seeds, targets)
        return optree.tree_unflatten(structure, gradients)  # type: ignore[return-value]

    return result, pullback


def differentiable(
    recording: Trace, args: tuple[Any, ...], argnums: Argnums
) -> tuple[list[Any], list[Node], optree.PyTreeSpec, int]:
    """The arguments with fresh nodes for those in `argnums`; these nodes, their structure and their place.

    Fresh, because the function may also reach the same array by another way (a closure), and the derivative
    is for this argument alone.
    """
    numbers = as_tuple(argnums)
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise ValueError(f"argnums={argnums}: there are {len(args)} arguments, counted from 0")
    if len({number % len(args) for number in numbers}) < len(numbers):
        raise ValueError(f"argnums={argnums} names an argument twice")
    single = isinstance(argnums, int | np.integer)
    chosen = tuple(args[number] for number in numbers)
    leaves, structure = flatten(chosen[0] if single else chosen)
    for leaf in leaves:
        require_float(leaf_spec(leaf, f"argument {argnums}"), f"argument {argnums}")
    sources = [as_nodes(recording, (leaf,))[0] for leaf in leaves]
    start = len(recording.nodes)
    targets = [recording.add(ALIAS, (source,), {}, source.spec) for source in sources]
    fresh = optree.tree_unflatten(structure, [Array(node) for node in targets])
    new_args = list(args)
    for number, value in zip(numbers, (fresh,) if single else fresh):
        new_args[number] = value
    return new_args, targets, structure, start
