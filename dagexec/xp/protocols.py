"""Where Array, NumPy and the namespace meet: methods of Array, and NumPy's functions on traced arrays.

A NumPy function is carried out by what `numpy_functions` has for it, or else by the namespace's function of
the same name; `RENAMED` lists those that NumPy has under another name. An Array's methods are NumPy's
functions with the array as first argument.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
import optree

from dagexec.array import Array, at, naming_the_line, user_line
from dagexec.ops import TABLE
from dagexec.xp import composed, linalg, registry
from dagexec.xp.assigning import assign, assign_in_place, index_view, rows, store
from dagexec.xp.computing import FUNCTIONS, astype
from dagexec.xp.computing import pow as power
from dagexec.xp.moving import permute_dims
from dagexec.xp.numpy_functions import OF_VALUES
from dagexec.xp.numpy_functions.rearranging import flatten
from dagexec.xp.numpy_functions.rearranging import reshape as reshaped
from dagexec.xp.numpy_functions.statistics import sort
from dagexec.xp.registry import NUMPY_FUNCTIONS, OUT_POSITION, REFUSED
from dagexec.xp.standard import VERSIONS
from dagexec.xp.ufuncs import ROWS, array_ufunc

METHODS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in (
        "sum", "mean", "prod", "max", "min", "all", "any", "argmax", "argmin", "var", "std", "cumsum",
        "cumprod", "argsort", "argpartition", "searchsorted", "clip", "round", "conj", "conjugate", "squeeze",
        "swapaxes", "take", "choose", "dot", "repeat", "diagonal", "trace", "ravel", "nonzero", "put",
    )
}  # fmt: skip


# --- NumPy's call ---------------------------------------------------------------------------------------
def _array_function(x: Array, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    ours = NUMPY_FUNCTIONS.get(function)
    name = f"{function.__module__}.{function.__name__}".replace("numpy", "np")
    if ours is None:
        why = REFUSED.get(function, "no op computes it; dagexec.xp lists what can be traced")
        if why.startswith(OF_VALUES) and not _any_traced((args, kwargs)):
            return _of_values(function, args, kwargs)
        raise TypeError(f"{name} can't be traced: {why} ({at(user_line())})")
    place = OUT_POSITION.get(function)
    if place is None or not (kwargs or len(args) > place):
        return ours(*args, **kwargs)
    out = kwargs.pop("out", None)
    if len(args) > place:
        args, out = (*args[:place], *args[place + 1 :]), args[place]
    result = ours(*args, **kwargs)
    return result if out is None else naming_the_line(store, name)(result, out)


def _any_traced(arguments: Any) -> bool:
    leaves: list[Any] = optree.tree_leaves(arguments)
    return any(type(leaf) is Array for leaf in leaves)


def _of_values(function: Any, args: Any, kwargs: Any) -> Any:
    """NumPy's function of arrays that are recorded and have a value: the result has no history."""
    arguments: Any = (args, kwargs)
    args, kwargs = optree.tree_map(
        lambda leaf: np.asarray(leaf) if isinstance(leaf, Array) else leaf, arguments
    )
    return function(*args, **kwargs)


# --- methods --------------------------------------------------------------------------------------------
def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method that is NumPy's function of the array."""
    if function not in OUT_POSITION:
        return NUMPY_FUNCTIONS.get(function) or (lambda x, *args, **kwargs: function(x, *args, **kwargs))
    return lambda x, *args, **kwargs: _array_function(x, function, (), (x, *args), kwargs)


def _reshape(x: Array, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    lengths = shape[0] if len(shape) == 1 else shape
    return reshaped(x, lengths, order)


def _transpose(x: Array, *axes: Any) -> Any:
    return permute_dims(x, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None)


def _astype(
    x: Array, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
) -> Any:
    cast = astype(x, dtype)
    return composed.copy(cast) if cast is x and copy else cast


def _sort(x: Array, axis: int = -1, kind: Any = None, order: None = None, *, stable: Any = None) -> None:
    store(sort(x, axis), x)


def _partition(x: Array, kth: Any, axis: int = -1, kind: str = "introselect", order: None = None) -> None:
    store(sort(x, axis), x)


def _fill(x: Array, value: Any) -> None:
    assign(x, Ellipsis, value)


def _compress(x: Array, condition: Any, axis: int | None = None, out: None = None) -> Any:
    return np.compress(condition, x, axis)


def _namespace(x: Array, *, api_version: str | None = None) -> Any:
    if api_version not in (None, *VERSIONS):
        raise ValueError(f"version {api_version!r} of the Array API; there is {', '.join(VERSIONS)}")
    return sys.modules["dagexec.xp"]


def _refuse(what: str, why: str) -> Callable[..., NoReturn]:
    def refuse(x: Array, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{what} can't be traced: {why} ({at(user_line())})")

    return refuse


_MEMORY = "a traced array has no memory yet"
OWN_METHODS: dict[str, Callable[..., Any]] = {
    "__array_namespace__": _namespace,
    "__getitem__": index_view,
    "__iter__": rows,
    "__setitem__": assign,
    "astype": _astype,
    "compress": _compress,
    "copy": composed.copy,
    "fill": _fill,
    "flatten": flatten,
    "partition": _partition,
    "reshape": _reshape,
    "sort": _sort,
    "transpose": _transpose,
    "view": _refuse("x.view", f"{_MEMORY}; convert the values with astype"),
    "tobytes": _refuse("x.tobytes", _MEMORY),
    "resize": _refuse("x.resize", "the shape of an array stays; use np.resize"),
    "setflags": _refuse("x.setflags", _MEMORY),
}
IN_PLACE = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and_", "or_", "xor", "lshift", "rshift"),
)
_NAMES = {"__getitem__": "x[...]", "__setitem__": "x[...] = value"}
PROPERTIES: dict[str, Callable[[Array], Any]] = {
    "T": permute_dims,
    "itemsize": lambda x: x.dtype.itemsize,
    "nbytes": lambda x: x.size * x.dtype.itemsize,
    "flat": _refuse("x.flat", "use x.ravel() to read, and np.put(x, i, v) to assign"),
}


def connect(namespace: Mapping[str, Any]) -> None:
    """Give Array its methods and NumPy's functions their counterparts in `namespace`."""
    ours = {getattr(np, name): function for name, function in namespace.items() if hasattr(np, name)}
    ours |= {
        getattr(np.linalg, name): getattr(linalg, name) for name in linalg.__all__ if hasattr(np.linalg, name)
    }
    for theirs, function in ours.items():
        if theirs not in NUMPY_FUNCTIONS:  # what is written for NumPy's arguments goes first
            registry.connect(theirs, function)
    for theirs, function in NUMPY_FUNCTIONS.items():
        if isinstance(theirs, np.ufunc) and FUNCTIONS.get(function.__name__) is inspect.unwrap(function):
            ROWS[theirs] = TABLE[function.__name__]
    for name, function in OWN_METHODS.items():
        setattr(Array, name, naming_the_line(function, _NAMES.get(name, name)))
    for name, function in METHODS.items():
        setattr(Array, name, _method(function))
    for name, function in PROPERTIES.items():
        setattr(Array, name, property(function))
    for name, protocol in (("__array_ufunc__", array_ufunc), ("__array_function__", _array_function)):
        setattr(Array, name, protocol)
    setattr(Array, "__pow__", power)  # noqa: B010
    for name in IN_PLACE:
        setattr(Array, f"__i{name.strip('_')}__", naming_the_line(assign_in_place(name), f"{name} in place"))
    for name, counterpart in (("mT", "matrix_transpose"), ("real", "real"), ("imag", "imag")):
        setattr(Array, name, property(namespace[counterpart]))
