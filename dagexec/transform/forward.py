"""Forward mode, as reverse mode applied twice.

The pullback of a function is linear in its cotangent, and the transpose of a linear function is its own
pullback. So the pushforward is the pullback of the pullback; the cotangent that this is taken at does not
matter and does not remain in the graph.

>>> value, tangent = jvp(lambda x: x**3, (2.0,), (1.0,))
>>> float(value), float(tangent)
(8.0, 12.0)

The trick is J. Townsend's, "A new trick for calculating Jacobian vector products" (2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optree

from dagexec import xp
from dagexec.array import CURRENT, Array, at, user_line
from dagexec.pytrees import flatten
from dagexec.tracing import leaf_spec
from dagexec.transform.compiling import at_once
from dagexec.transform.reverse import vjp


def arguments(name: str, given: Any) -> tuple[Any, ...]:
    """Primals or tangents, one for each argument; TypeError for what is no tuple or list of them."""
    if not isinstance(given, tuple | list):
        raise TypeError(
            f"{name} takes its primals and tangents as tuples, one for each argument: (x,), not "
            f"{type(given).__name__} ({at(user_line())})"
        )
    return tuple(given)


def jvp(fn: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of `fn(*primals)`, and how it changes along `tangents`.

    `tangents` has the structure and shapes of `primals`, which are floating-point; the second result has
    the structure of the first (zeros where that is of integers). Raises ValueError where a tangent does not
    fit its primal, TypeError for primals without a derivative.

    >>> import numpy as np
    >>> value, tangent = jvp(np.sin, (0.0,), (2.0,))
    >>> float(value), float(tangent)
    (0.0, 2.0)
    """
    primals, tangents = arguments("jvp", primals), arguments("jvp", tangents)
    if CURRENT.get() is None:
        return at_once(lambda *both: jvp(fn, *both), (primals, tangents))  # type: ignore[no-any-return]
    directions = fitting(primals, tangents)
    value, pullback = vjp(fn, *primals)
    leaves, structure = flatten(value)
    specs = [leaf_spec(leaf, "of jvp") for leaf in leaves]
    moving = [spec.dtype.kind in "fc" for spec in specs]

    def transposed(*cotangents: Any) -> tuple[Any, ...]:
        given = iter(cotangents)
        full = [next(given) if moves else xp.zeros(spec.shape) for moves, spec in zip(moving, specs)]
        return pullback(optree.tree_unflatten(structure, full))

    anywhere = [xp.zeros(spec.shape, dtype=spec.dtype) for moves, spec in zip(moving, specs) if moves]
    pushed = iter(vjp(transposed, *anywhere)[1](directions))
    parts = [
        next(pushed) if moves else xp.zeros(spec.shape, dtype=spec.dtype)
        for moves, spec in zip(moving, specs)
    ]
    return value, optree.tree_unflatten(structure, parts)


def fitting(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tangents in the dtypes of the primals; ValueError where structure or shapes differ."""
    leaves, structure = flatten(primals)
    parts, given = flatten(tangents)
    if given != structure:
        raise ValueError(
            f"the tangents' structure {given} is not the primals' {structure} ({at(user_line())})"
        )
    fitted: list[Array] = []
    for leaf, part in zip(leaves, parts):
        spec, found = leaf_spec(leaf, "of jvp"), leaf_spec(part, "of jvp")
        if found.shape != spec.shape:
            raise ValueError(f"a tangent {found} does not fit the primal {spec} ({at(user_line())})")
        fitted.append(part if found.dtype == spec.dtype else xp.astype(xp.asarray(part), spec.dtype))
    return optree.tree_unflatten(structure, fitted)  # type: ignore[return-value]
