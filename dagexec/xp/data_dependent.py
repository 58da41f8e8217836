"""Functions whose result's shape depends on the values: on arrays that have values only.

In a trace an array has none. These functions then say what to do instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dagexec.array import Array, TracingError, at, user_line


def values_for(x: Any, what: str, cure: str) -> Any:
    """The values of an array, for a function whose result's shape depends on them.

    Raises TracingError, with what to do instead and the user's line, for an array that is traced.
    """
    if type(x) is Array:
        raise TracingError(
            f"the shape of {what} depends on the values of {x!r}, which a trace does not know: {cure} "
            f"({at(user_line())})"
        )
    return np.asarray(x)


def nonzero(x: Any) -> tuple[Any, ...]:
    """The indices of the elements that are not zero, an array for each axis.

    >>> nonzero(np.array([0, 5, 7]))
    (array([1, 2]),)
    """
    cure = "use xp.where(x != 0, a, b) to choose by them, or xp.argsort(x == 0) for the indices in order"
    x = values_for(x, "nonzero(x)", cure)
    if not x.ndim:
        raise ValueError("nonzero: an array of no dimensions has no indices")
    return np.nonzero(x)


_SORT_INSTEAD = "use xp.sort(x) and compare neighbours, or find the values before tracing and pass them in"


def unique_all(x: Any) -> Any:
    """The distinct values in order, the index where each is first, those that restore `x`, and the counts."""
    return np.unique_all(values_for(x, "unique_all(x)", _SORT_INSTEAD))


def unique_counts(x: Any) -> Any:
    """The distinct values in order, and how often each occurs."""
    return np.unique_counts(values_for(x, "unique_counts(x)", _SORT_INSTEAD))


def unique_inverse(x: Any) -> Any:
    """The distinct values in order, and the indices that restore `x` from them."""
    return np.unique_inverse(values_for(x, "unique_inverse(x)", _SORT_INSTEAD))


def unique_values(x: Any) -> Any:
    """The distinct values in order.

    >>> unique_values(np.array([3, 1, 3]))
    array([1, 3])
    """
    return np.sort(np.unique_values(values_for(x, "unique_values(x)", _SORT_INSTEAD)))
