"""The Array API standard's names and signatures, version 2025.12, on one page.

The functions of this package take their arguments as loosely as NumPy does. `standard` gives them the
signature that the standard prescribes, so that what runs with `dagexec.xp` runs with any other library.

https://data-apis.org/array-api/2025.12/
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

VERSION = "2025.12"
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", VERSION)  # each includes those before

ELEMENTWISE = {
    "(x, /)": (
        "abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag "
        "isfinite isinf isnan log log10 log1p log2 logical_not negative positive real reciprocal round sign "
        "signbit sin sinh sqrt square tan tanh trunc"
    ),
    "(x1, x2, /)": (
        "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide "
        "equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and logical_or "
        "logical_xor maximum minimum multiply nextafter not_equal pow remainder subtract"
    ),
}
OTHERS = """
clip(x, /, min=None, max=None)

all(x, /, *, axis=None, keepdims=False)
any(x, /, *, axis=None, keepdims=False)
count_nonzero(x, /, *, axis=None, keepdims=False)
max(x, /, *, axis=None, keepdims=False)
mean(x, /, *, axis=None, keepdims=False)
min(x, /, *, axis=None, keepdims=False)
prod(x, /, *, axis=None, dtype=None, keepdims=False)
std(x, /, *, axis=None, correction=0.0, keepdims=False)
sum(x, /, *, axis=None, dtype=None, keepdims=False)
var(x, /, *, axis=None, correction=0.0, keepdims=False)
cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False)
cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)
diff(x, /, *, axis=-1, n=1, prepend=None, append=None)

argmax(x, /, *, axis=None, keepdims=False)
argmin(x, /, *, axis=None, keepdims=False)
argsort(x, /, *, axis=-1, descending=False, stable=True)
isin(x1, x2, /, *, invert=False)
nonzero(x, /)
searchsorted(x1, x2, /, *, side='left', sorter=None)
sort(x, /, *, axis=-1, descending=False, stable=True)
unique_all(x, /)
unique_counts(x, /)
unique_inverse(x, /)
unique_values(x, /)
where(condition, x1, x2, /)

broadcast_arrays(*arrays)
broadcast_shapes(*shapes)
broadcast_to(x, /, shape)
concat(arrays, /, *, axis=0)
expand_dims(x, /, axis)
flip(x, /, *, axis=None)
matrix_transpose(x, /)
moveaxis(x, source, destination, /)
permute_dims(x, /, axes)
repeat(x, repeats, /, *, axis=None)
reshape(x, /, shape, *, copy=None)
roll(x, /, shift, *, axis=None)
squeeze(x, /, axis)
stack(arrays, /, *, axis=0)
take(x, indices, /, *, axis=None)
take_along_axis(x, indices, /, *, axis=-1)
tile(x, repetitions, /)
unstack(x, /, *, axis=0)

matmul(x1, x2, /)
tensordot(x1, x2, /, *, axes=2)
vecdot(x1, x2, /, *, axis=-1)

arange(start, /, stop=None, step=1, *, dtype=None, device=None)
asarray(obj, /, *, dtype=None, device=None, copy=None)
empty(shape, *, dtype=None, device=None)
empty_like(x, /, *, dtype=None, device=None)
eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)
from_dlpack(x, /, *, device=None, copy=None)
full(shape, fill_value, *, dtype=None, device=None)
full_like(x, /, fill_value, *, dtype=None, device=None)
linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)
meshgrid(*arrays, indexing='xy')
ones(shape, *, dtype=None, device=None)
ones_like(x, /, *, dtype=None, device=None)
tril(x, /, *, k=0)
triu(x, /, *, k=0)
zeros(shape, *, dtype=None, device=None)
zeros_like(x, /, *, dtype=None, device=None)

__array_namespace_info__()
astype(x, dtype, /, *, copy=True, device=None)
can_cast(from_, to, /)
finfo(type, /)
iinfo(type, /)
isdtype(dtype, kind)
result_type(*arrays_and_dtypes)
"""
SIGNATURES = {name: signature for signature, names in ELEMENTWISE.items() for name in names.split()}
SIGNATURES |= {name: "(" + rest for name, rest in (line.split("(", 1) for line in OTHERS.split("\n") if line)}
CONSTANTS = ("e", "inf", "nan", "newaxis", "pi")
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    "complex64", "complex128",
)  # fmt: skip


def with_signature(function: Callable[..., Any], signature: str) -> Callable[..., Any]:
    """`function`, called with the arguments of another signature: keyword-only ones by name.

    It is compiled from text, as `collections.namedtuple` is: it binds as fast as a function written by hand.

    >>> with_signature(sorted, "(x, /, *, reverse=True)")([1, 3, 2])
    [3, 2, 1]
    """
    name = function.__name__
    # A name that stands in this package, so that an error is placed at the user's line.
    source = compile(
        f"def {name}{signature}: return _function({_forwarded(signature)})",
        os.path.join(os.path.dirname(__file__), f"<signature of {name}>"),
        "exec",
    )
    namespace: dict[str, Any] = {"_function": function}
    exec(source, namespace)
    made = namespace[name]
    made.__doc__, made.__module__ = function.__doc__, function.__module__
    return made  # type: ignore[no-any-return]


def _forwarded(signature: str) -> str:
    """The arguments with which a function of this signature calls another.

    >>> _forwarded("(x, /, shape, *, axis=None)"), _forwarded("(*arrays, indexing='xy')")
    ('x, shape, axis=axis', '*arrays, indexing=indexing')
    """
    given = []
    by_name = False
    for parameter in re.split(r",\s*", signature[1:-1]):
        name = parameter.partition("=")[0]
        if name.startswith("*"):
            by_name = True
        if name not in ("", "/", "*"):
            given.append(f"{name}={name}" if by_name and name[0] != "*" else name)
    return ", ".join(given)


def standard(functions: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """All of the standard's functions with its signatures, made from those of the same names."""
    return {name: with_signature(functions[name], signature) for name, signature in SIGNATURES.items()}
