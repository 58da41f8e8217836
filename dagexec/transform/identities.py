"""Ops that give their first inputs back and differ in what happens to gradients, or in when they are run.

>>> from dagexec.transform.reverse import grad
>>> float(grad(lambda x: x * stop_gradient(x))(3.0))
3.0
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

import optree

from dagexec.array import Array, at
from dagexec.array import call as apply
from dagexec.graph import Op, Spec
from dagexec.ops.table import declare
from dagexec.pytrees import flatten


def first(x: Any, *others: Any) -> Any:
    """The first input."""
    return x


def firsts(*inputs: Any, results: int) -> tuple[Any, ...]:
    """As many of the first inputs as there are results."""
    return inputs[:results]


def first_kernel(xp: Any, **params: Any) -> Any:
    """The kernel of an op whose result is its first input."""
    return first


def firsts_kernel(xp: Any, *, results: int, **params: Any) -> Any:
    """The kernel of an op whose results are its first inputs."""
    return partial(firsts, results=results)


def firsts_spec(*specs: Spec, results: int, **params: Any) -> tuple[Spec, ...]:
    """The Specs of an op whose results are its first inputs."""
    return specs[:results]


def _free(out: Any, *specs: Any, **params: Any) -> float:
    return 0.0


STOP_GRADIENT = declare(
    Op(
        "stop_gradient",
        lambda x: x,
        first_kernel,
        batch=lambda xp, again, size, batched, x: again(x),
        cost=_free,
        family="structure",
        doc="the same array, as a constant to derivation",
    )
)


def _released(xp: Any, g: Any, y: Any, x: Any, *awaited: Any) -> tuple[Any, ...]:
    return (g, *[None] * len(awaited))


BARRIER = declare(
    Op(
        "barrier",
        lambda x, *awaited: x,
        first_kernel,
        _released,
        batch=lambda xp, again, size, batched, *inputs: again(*inputs),  # one for all if the first input is
        cost=_free,
        family="structure",
        doc="the first input, but not before the others are there",
    )
)


def _refused(xp: Any, g: Any, y: Array, x: Any, owner: str) -> NoReturn:
    raise TypeError(
        f"no gradient for an array that the custom_vjp function {owner} closes over ({at(y.node.where)}): "
        "pass it as an argument, or through stop_gradient"
    )


CLOSED_OVER = declare(
    Op(
        "closed_over",
        lambda x, owner: x,
        first_kernel,
        (_refused,),
        lambda xp, again, size, batched, x, owner: again(x, owner=owner),
        cost=_free,
        family="structure",
        doc="the same array, which must not be differentiated for",
    )
)


def stop_gradient(tree: Any) -> Any:
    """The same arrays, as constants to derivation: gradients end here.

    >>> import numpy as np
    >>> stop_gradient({"x": np.ones(2)})
    {'x': array([1., 1.])}
    """
    leaves, structure = flatten(tree)
    stopped = [apply(STOP_GRADIENT, leaf) if isinstance(leaf, Array) else leaf for leaf in leaves]
    return optree.tree_unflatten(structure, stopped)


def after(arrays: Sequence[Any], awaited: Sequence[Array]) -> list[Any]:
    """The arrays, for readers who must not begin before what is awaited has been computed."""
    return [apply(BARRIER, x, *awaited) if isinstance(x, Array) else x for x in arrays]
