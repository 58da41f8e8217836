"""Array libraries other than NumPy: whose arrays the arguments are, and constants for them.

A graph knows nothing of libraries; its plan does, for the kernels are bound to a namespace. What the
libraries' namespaces lack of the Array API standard is supplied by array-api-compat.

>>> library_of([1.0, np.ones(3)])
NumPy
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from dagexec.graph import Node, Spec

NUMPY_TYPES = (np.ndarray, np.generic, bool, int, float, complex)
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip
STANDARD = {
    "rint": "round",
    "fabs": "abs",
}  # what NumPy has beside the standard's, for floating-point numbers


@dataclass(frozen=True, slots=True)
class Library:
    """A namespace of array functions, and the device where its arrays are; None for NumPy."""

    xp: Any
    device: Any = None

    def array(self, value: np.ndarray[Any, Any]) -> Any:
        """A NumPy array as one of this library's."""
        return value if self.xp is np else self.xp.asarray(value.copy(), device=self.device)

    def __repr__(self) -> str:
        name = "NumPy" if self.xp is np else self.xp.__name__.removeprefix("array_api_compat.")
        return name if self.device is None else f"{name} on {self.device}"


NUMPY = Library(np)


def is_foreign(value: Any) -> bool:
    """Is it an array of another library than NumPy?"""
    if isinstance(value, NUMPY_TYPES) or isinstance(getattr(value, "node", None), Node):
        return False
    return array_api_compat.is_array_api_obj(value)


def library_of(values: Iterable[Any]) -> Library:
    """The library that some arguments belong to; Python numbers and NumPy's go with any other.

    Raises TypeError for arrays of two libraries or devices.
    """
    found = NUMPY
    for value in values:
        if is_foreign(value):
            xp = array_api_compat.array_namespace(value)
            library = Library(xp, array_api_compat.device(value))
            if found not in (NUMPY, library):
                raise TypeError(f"the arguments are arrays of {found} and of {library}")
            found = library
    return found


def spec_of(value: Any) -> Spec:
    """Shape and dtype of another library's array; TypeError for a dtype that NumPy has not."""
    name = str(value.dtype).rpartition(".")[2]
    if name not in DTYPES:
        raise TypeError(f"no graph has the dtype {value.dtype}, but only NumPy's own: {', '.join(DTYPES)}")
    return Spec(tuple(value.shape), np.dtype(name))


def dtype_in(xp: Any, dtype: np.dtype[Any]) -> Any:
    """NumPy's dtype as the namespace has it."""
    return dtype if xp is np else getattr(xp, dtype.name)


def function_in(xp: Any, name: str) -> Any:
    """A function of the namespace by NumPy's name for it; TypeError if there is none.

    >>> function_in(np, "rint")
    <ufunc 'rint'>
    """
    found = getattr(xp, name, None) or getattr(xp, STANDARD.get(name, ""), None)
    if found is None:
        raise TypeError(f"{Library(xp)} has no function {name!r}")
    return found
