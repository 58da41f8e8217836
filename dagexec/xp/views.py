"""Views: what is assigned to a slice, transpose or reshape of a traced array reaches the array, and back.

A traced array has no memory, so none lies in another's. Instead an Array that NumPy would make as a view
remembers what it is a view of, and how to put its elements back; that one knows its views. When one of them
comes to stand for a new value, so do the others, by nodes that are recorded then.

>>> import numpy as np, dagexec
>>> def centred(x):
...     x = x.copy()
...     for row in x:
...         row -= np.mean(row)
...     return x
>>> dagexec.jit(centred)(np.array([[1.0, 3.0], [5.0, 6.0]]))
array([[-1. ,  1. ],
       [-0.5,  0.5]])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from dagexec.array import CURRENT, Array


def linked(base: Any, view: Any, derive: Callable[[Any], Any], put: Callable[[Any, Any], Any]) -> Any:
    """`view`, which `derive` makes from `base`; `put(base, view)` is the base with the view's elements.

    NumPy makes numbers, not views, where there are no axes; and gradient rules assign to nothing.
    """
    if isinstance(view, Array) and view.shape and view is not base and not _in_a_rule():
        view.source = base, derive, put
        if not hasattr(base, "views"):
            base.views = {}
        views, key = base.views, id(view)
        views[key] = ref(view, lambda _: views.pop(key, None))
    return view


def _in_a_rule() -> bool:
    trace = CURRENT.get()
    return trace is not None and trace.grad_of is not None


def spread(x: Array) -> None:
    """Let the views of `x`, and what it is a view of, follow its new value, and theirs in turn."""
    changed: list[tuple[Array, Array | None]] = [(x, None)]
    while changed:
        x, came_from = changed.pop()
        for seen in list(getattr(x, "views", {}).values()):
            view = seen()
            if view is not None and view is not came_from:
                view.node = view.source[1](x).node
                changed.append((view, x))
        if hasattr(x, "source") and x.source[0] is not came_from:
            base, _, put = x.source
            base.node = put(base, x).node
            changed.append((base, x))
