"""What the standard tells of dtypes and of the library: finfo, result_type, the inspection interface."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dagexec.array import Array
from dagexec.xp.standard import DTYPES


def dtype_of(x: Any) -> Any:
    """The dtype of an array; anything else (a dtype, a Python number) as it is."""
    return x.dtype if isinstance(x, Array | np.ndarray | np.generic) else x


class FloatInfo(NamedTuple):
    """Limits of a floating-point dtype."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype[Any]


class IntegerInfo(NamedTuple):
    """Limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: np.dtype[Any]


def finfo(type: Any) -> FloatInfo:
    """Limits of a floating-point dtype, or of an array's; of a complex one those of its parts.

    >>> finfo(np.float32).bits, finfo(np.ones(3)).eps
    (32, 2.220446049250313e-16)
    """
    info = np.finfo(dtype_of(type))
    eps, largest, least, normal = map(float, (info.eps, info.max, info.min, info.smallest_normal))
    return FloatInfo(info.bits, eps, largest, least, normal, info.dtype)


def iinfo(type: Any) -> IntegerInfo:
    """Limits of an integer dtype, or of an array's.

    >>> iinfo("int8").max
    127
    """
    info = np.iinfo(dtype_of(type))
    return IntegerInfo(info.bits, int(info.max), int(info.min), info.dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is another one, or of a kind such as "integral", or any of a tuple of those.

    >>> isdtype(np.dtype("int8"), "integral"), isdtype(np.dtype("int8"), ("bool", "real floating"))
    (True, False)
    """
    return np.isdtype(np.dtype(dtype), kind)


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype that arrays, dtypes and Python numbers have together, by NumPy's promotion."""
    return np.result_type(*[dtype_of(x) for x in arrays_and_dtypes])


def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """Whether a dtype (or an array's) goes into `to` with all its values, or by another rule of NumPy's."""
    return np.can_cast(dtype_of(from_), to, casting)


_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}


class NamespaceInfo:
    """The standard's inspection interface: what the library can do, its devices and dtypes.

    >>> NamespaceInfo().default_dtypes()["integral"]
    dtype('int64')
    """

    def capabilities(self) -> dict[str, Any]:
        """What works with arrays outside of a trace; in a trace, no shape may depend on data."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """Always "cpu"."""
        return "cpu"

    def devices(self) -> list[str]:
        """The only one, "cpu"."""
        return ["cpu"]

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype[Any]]:
        """The dtypes of arrays made without one."""
        require_cpu(device)
        names = {"real floating": "float64", "complex floating": "complex128"}
        names |= {"integral": "int64", "indexing": "int64"}
        return {kind: np.dtype(name) for kind, name in names.items()}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype[Any]]:
        """The dtypes by name: all, or those of a kind, or of any of a tuple of kinds."""
        require_cpu(device)
        kinds = (kind,) if isinstance(kind, str) else tuple(_KINDS) if kind is None else kind
        for name in kinds:
            if name not in _KINDS:
                raise ValueError(f"kind is {name!r}; it can be {', '.join(map(repr, _KINDS))}")
        letters = "".join(_KINDS[name] for name in kinds)
        return {name: np.dtype(name) for name in DTYPES if np.dtype(name).kind in letters}


def __array_namespace_info__() -> NamespaceInfo:  # noqa: N807
    """What the library can do, as the standard's inspection interface asks."""
    return NamespaceInfo()


def require_cpu(device: Any) -> None:
    """Raise ValueError for any other device than "cpu" (None means it)."""
    if device not in (None, "cpu"):
        raise ValueError(f"device {device!r}: there is only 'cpu'")
