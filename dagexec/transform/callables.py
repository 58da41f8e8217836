"""`call`: a plain Python callable as a node of the graph.

>>> import numpy as np
>>> from dagexec.transform.compiling import jit
>>> jit(lambda x: call(np.sort, -x, spec=Spec((3,), "float64")))(np.array([1.0, 3.0, 2.0]))
array([-3., -2., -1.])
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import numpy as np
import optree

from dagexec.array import CURRENT, Array, at
from dagexec.array import call as apply
from dagexec.graph import ITEM, Op, Spec
from dagexec.pytrees import flatten
from dagexec.transform.subgraphs import is_number, name_of, node_of, spec_at

CURE = "wrap it in a function with a custom_vjp rule"


def call(fn: Callable[..., Any], *args: Any, spec: Any) -> Any:
    """`fn(*args)` as one node: when the graph runs, `fn` is called with the values.

    `fn` takes pytrees of NumPy arrays and may do whatever Python can, but should not change its arguments;
    for processes it must be picklable (by cloudpickle). `spec` is a Spec, or a pytree of them, of what it
    returns; that is checked in each run, and TypeError or ValueError is raised where it differs. Nothing is
    known of its derivative: to differentiate through it raises TypeError, unless it stands within a function
    with `custom_vjp`. Outside of a trace it is called at once.

    >>> import numpy as np
    >>> float(call(lambda x: x.max(), np.array([1.0, 3.0]), spec=Spec((), "float64")))
    3.0
    """
    leaves, structure = flatten(args)
    specs, results = flatten(spec)
    for found in specs:
        if not isinstance(found, Spec):
            raise TypeError(f"spec= takes a Spec or a pytree of them, not {found!r:.60}")
    inferred: Any = specs[0] if len(specs) == 1 else tuple(specs)
    op = Op(
        name_of(fn),
        lambda *given, **params: inferred,
        lambda xp, **params: partial(_checked_call, fn, structure, tuple(specs), results),
        partial(_refused, name_of(fn)),
        cost=lambda out, *given, **params: 1.0,
        family="python",
        doc="a plain Python callable",
    )
    trace = CURRENT.get()
    if trace is None:
        made = apply(op, *leaves)
        return optree.tree_unflatten(results, [made] if len(specs) == 1 else made)
    for leaf in leaves:
        spec_at(leaf, f"of {name_of(fn)}")
    node = trace.add(op, tuple(node_of(leaf).node for leaf in leaves), {}, inferred)
    if len(specs) == 1:
        return optree.tree_unflatten(results, [Array(node)])
    items = [Array(trace.add(ITEM, (node,), {"index": i}, part)) for i, part in enumerate(specs)]
    return optree.tree_unflatten(results, items)


def _checked_call(
    fn: Callable[..., Any],
    structure: optree.PyTreeSpec,
    specs: tuple[Spec, ...],
    results: optree.PyTreeSpec,
    *values: Any,
) -> Any:
    """Call the function and compare what it returns with its Specs."""
    returned = fn(*optree.tree_unflatten(structure, values))
    leaves, found = flatten(returned)
    if found != results:
        raise TypeError(f"{name_of(fn)} returned structure {found}, but its spec is {results}")
    checked = []
    for leaf, spec in zip(leaves, specs):
        number = is_number(leaf) and np.result_type(leaf, spec.dtype) == spec.dtype
        array = np.asarray(leaf, spec.dtype) if number else np.asarray(leaf)
        if array.shape != spec.shape or array.dtype != spec.dtype:
            given = Spec(array.shape, array.dtype)
            kind = ValueError if array.dtype == spec.dtype else TypeError
            raise kind(f"{name_of(fn)} returned {given}, but its spec is {spec}")
        checked.append(array)
    return checked[0] if len(specs) == 1 else tuple(checked)


def _refused(name: str, xp: Any, g: Any, y: Any, *inputs: Any, **params: Any) -> NoReturn:
    place = at(y.node.where) if isinstance(y, Array) else "define-by-run"
    raise TypeError(f"no gradient through the Python callable {name} ({place}): {CURE}")
