"""Where Array, NumPy and the namespace meet: methods of Array, and NumPy's functions on traced arrays.

An Array's methods are the namespace's functions with the array as first argument. A NumPy function is carried
out by the namespace's function of the same name; `RENAMED` lists those that NumPy has under another name,
`NUMPY_ONLY` what only NumPy has.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dagexec.array import NUMPY_FUNCTIONS, Array, naming_the_line, shape_of
from dagexec.ops.table import normalize_axes
from dagexec.xp import composed
from dagexec.xp.computing import clip
from dagexec.xp.moving import index_with, permute_dims, reshape

METHODS = (
    "sum", "mean", "prod", "max", "min", "all", "any", "argmax", "argmin", "var", "std", "astype", "clip",
    "squeeze", "swapaxes", "take", "dot", "repeat", "diagonal", "trace",
)  # fmt: skip
RENAMED = {
    np.amax: "max",
    np.amin: "min",
    np.transpose: "permute_dims",
    np.concatenate: "concat",
    np.true_divide: "divide",
    np.linalg.matmul: "matmul",
    np.linalg.tensordot: "tensordot",
    np.linalg.vecdot: "vecdot",
    np.linalg.matrix_transpose: "matrix_transpose",
    np.linalg.outer: "outer",
    np.linalg.diagonal: "diagonal",
    np.linalg.trace: "trace",
}


def _size(x: Any, axis: int | tuple[int, ...] | None = None) -> int:
    return int(np.prod([shape_of(x)[n] for n in normalize_axes(axis, len(shape_of(x)))], dtype=np.int64))


def _result_type(*operands: Any) -> np.dtype[Any]:
    return np.result_type(*[x.dtype if isinstance(x, Array) else x for x in operands])


def _clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return clip(x, a_min if min is None else min, a_max if max is None else max)


NUMPY_ONLY: dict[Callable[..., Any], Callable[..., Any]] = {
    np.shape: shape_of,
    np.ndim: lambda x: len(shape_of(x)),
    np.size: _size,
    np.result_type: _result_type,
    np.clip: _clip,
    np.copy: composed.copy,
    np.ravel: composed.ravel,
    np.atleast_1d: composed.atleast_1d,
    np.atleast_2d: composed.atleast_2d,
    np.vstack: composed.vstack,
    np.hstack: composed.hstack,
    np.column_stack: composed.column_stack,
    np.average: composed.average,
    np.inner: composed.inner,
    np.linalg.norm: composed.norm,
}


def _reshape(x: Array, *shape: Any) -> Any:
    return reshape(x, shape[0] if len(shape) == 1 else shape)


def _transpose(x: Array, *axes: Any) -> Any:
    return permute_dims(x, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None)


def _namespace(x: Array, *, api_version: str | None = None) -> Any:
    return sys.modules["dagexec.xp"]


def connect(namespace: Mapping[str, Any]) -> None:
    """Give Array its methods and NumPy's functions their counterparts in `namespace`."""
    methods = {name: namespace[name] for name in METHODS} | {
        "__array_namespace__": _namespace,
        "__getitem__": index_with,
        "__pow__": namespace["pow"],
        "copy": composed.copy,
        "flatten": composed.ravel,
        "ravel": composed.ravel,
        "reshape": _reshape,
        "transpose": _transpose,
    }
    for name, function in methods.items():
        setattr(Array, name, naming_the_line(function, "x[...]" if name == "__getitem__" else name))
    for name, function in (("T", permute_dims), ("mT", namespace["matrix_transpose"])):
        setattr(Array, name, property(function))
    NUMPY_FUNCTIONS.update({getattr(np, name): f for name, f in namespace.items() if hasattr(np, name)})
    NUMPY_FUNCTIONS.update({function: namespace[name] for function, name in RENAMED.items()})
    NUMPY_FUNCTIONS.update(
        {function: naming_the_line(ours, function.__name__) for function, ours in NUMPY_ONLY.items()}
    )
