"""The residual connection (He et al. 2015, arXiv 1512.03385): a layer adds to its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dagexec.array import naming_the_line, shape_of
from dagexec.tracing import block


@naming_the_line
@block
def residual(layer: Callable[..., Any], params: Any, x: Any, *rest: Any, **options: Any) -> Any:
    """x + layer(params, x, *rest, **options): the gradient reaches `x` undiminished, however deep the stack.

    Raises ValueError where the layer changes the shape.

    >>> import numpy as np
    >>> residual(lambda p, x: p * x, 2.0, np.array([1.0, 3.0]))
    array([3., 9.])
    """
    change = layer(params, x, *rest, **options)
    if shape_of(change) != shape_of(x):
        raise ValueError(
            f"{getattr(layer, '__name__', 'the layer')} turns shape {shape_of(x)} into {shape_of(change)}, "
            "which can't be added: make its output as wide as its input"
        )
    return x + change
