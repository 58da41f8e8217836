"""Where Array, NumPy and the namespace meet: methods of Array, and NumPy's functions on traced arrays.

An Array's methods are the namespace's functions with the array as first argument. A NumPy function is carried
out by the namespace's function of the same name; `RENAMED` lists those that NumPy also has under an older name.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from dagexec.tracing import NUMPY_FUNCTIONS, Array
from dagexec.xp.computing import astype, clip, pow, std, var
from dagexec.xp.moving import index_with, matrix_transpose, permute_dims, reshape, swapaxes

METHODS = ("sum", "mean", "prod", "max", "min", "all", "any", "argmax", "argmin", "squeeze", "take", "dot")

RENAMED = {
    np.transpose: "permute_dims",
    np.concatenate: "concat",
    np.ravel: "ravel",
    np.array_split: "split",
    np.true_divide: "divide",
    np.linalg.matmul: "matmul",
    np.linalg.tensordot: "tensordot",
    np.linalg.vecdot: "vecdot",
    np.linalg.matrix_transpose: "matrix_transpose",
    np.linalg.outer: "outer",
}


def ravel(x: Any) -> Any:
    """The elements in one axis."""
    return reshape(x, (-1,))


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
        "__pow__": pow,
        "astype": astype,
        "clip": clip,
        "flatten": ravel,
        "ravel": ravel,
        "reshape": _reshape,
        "std": std,
        "swapaxes": swapaxes,
        "transpose": _transpose,
        "var": var,
        "T": property(permute_dims),
        "mT": property(matrix_transpose),
    }
    for name, function in methods.items():
        setattr(Array, name, function)
    for name, function in namespace.items():
        if callable(function) and not isinstance(function, type) and hasattr(np, name):
            NUMPY_FUNCTIONS[getattr(np, name)] = function
    for function, name in RENAMED.items():
        NUMPY_FUNCTIONS[function] = ravel if name == "ravel" else namespace[name]
