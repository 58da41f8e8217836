"""Matrices of derivatives, and their products with vectors.

>>> import numpy as np
>>> def rosenbrock(p):
...     return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
>>> hessian(rosenbrock)(np.array([1.0, 1.0]))
array([[ 802., -400.],
       [-400.,  200.]])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import numpy as np
import optree

from dagexec import xp
from dagexec.array import CURRENT, at, user_line
from dagexec.ops.table import as_tuple
from dagexec.pytrees import flatten
from dagexec.tracing import leaf_spec
from dagexec.transform.batching import vmap
from dagexec.transform.compiling import at_once
from dagexec.transform.forward import arguments, fitting
from dagexec.transform.reverse import Argnums, Pullback, grad, vjp


def jacobian(fn: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that returns the derivative of each element of the result by each element of an argument.

    In reverse mode, the rows as one batch (`vmap`): suited to functions with few results. For a result of
    shape S and an argument of shape T the derivative has shape S + T. Pytrees nest: the structure of the
    result, with that of argument `argnums` (a tuple of such for several) in place of each array. Raises
    TypeError where result or argument are not floating-point.

    >>> import numpy as np
    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    @wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is None:
            return at_once(partial(wrapped, **kwargs), args)
        numbers = as_tuple(argnums)
        for number in numbers:
            if not -len(args) <= number < len(args):
                raise ValueError(f"argnums={argnums}: there are {len(args)} arguments, counted from 0")

        def of_chosen(*chosen: Any) -> Any:
            full = list(args)
            for number, value in zip(numbers, chosen):
                full[number] = value
            return fn(*full, **kwargs)

        value, pullback = vjp(of_chosen, *[args[number] for number in numbers])
        leaves, structure = flatten(value)
        rows = [_rows(leaves, position, structure, pullback) for position in range(len(leaves))]
        single = isinstance(argnums, int | np.integer)
        return optree.tree_unflatten(structure, [row[0] if single else row for row in rows])

    return wrapped


def _rows(leaves: list[Any], position: int, structure: optree.PyTreeSpec, pullback: Pullback) -> Any:
    """The derivative of one array of the result: the pullbacks of its elements, all in one batch."""
    specs = [leaf_spec(leaf, "of the result") for leaf in leaves]
    spec = specs[position]
    if spec.dtype.kind != "f":
        raise TypeError(f"the Jacobian is that of real numbers, but the result is {spec} ({at(user_line())})")

    def row(one: Any) -> Any:
        seeds = [xp.zeros(other.shape, dtype=other.dtype) for other in specs]
        seeds[position] = one
        return pullback(optree.tree_unflatten(structure, seeds))

    if not spec.shape:
        return row(np.ones((), spec.dtype))
    columns, tree = flatten(vmap(row)(np.eye(spec.size, dtype=spec.dtype).reshape(spec.size, *spec.shape)))
    return optree.tree_unflatten(
        tree, [xp.reshape(column, (*spec.shape, *column.shape[1:])) for column in columns]
    )


def hessian(fn: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that returns the second derivatives of `fn`: the Jacobian of the Jacobian.

    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])
    """
    return jacobian(jacobian(fn, argnums), argnums)


def hvp(fn: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a real scalar function times a vector, at the cost of a few gradients.

    `tangents` has the structure and shapes of `primals`. The result is like the primal if there is one, else
    a tuple with what belongs to each. No Hessian is made: as it is symmetric, its product with a vector is
    the pullback of the gradient.

    >>> import numpy as np
    >>> hvp(lambda x: x[0] ** 2 * x[1], (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    array([4., 2.])
    """
    primals, tangents = arguments("hvp", primals), arguments("hvp", tangents)
    if CURRENT.get() is None:
        return at_once(lambda *both: hvp(fn, *both), (primals, tangents))
    directions = fitting(primals, tangents)
    result = vjp(grad(fn, tuple(range(len(primals)))), *primals)[1](directions)
    return result[0] if len(primals) == 1 else result
