"""The op table: each op declared once, one file a family."""

from dagexec.ops import (
    assignment,
    checking,
    convolution,
    decompositions,
    elementwise,
    fourier,
    linear,
    numpy_ufuncs,
    pooling,
    random,
    reductions,
    shape,
    solving,
    sorting,
    special,
)
from dagexec.ops.table import TABLE, are_numbers, bytes_moved, operations, python_op, specs_of

__all__ = [
    "TABLE",
    "are_numbers",
    "assignment",
    "bytes_moved",
    "checking",
    "convolution",
    "decompositions",
    "elementwise",
    "fourier",
    "linear",
    "numpy_ufuncs",
    "operations",
    "pooling",
    "python_op",
    "random",
    "reductions",
    "shape",
    "solving",
    "sorting",
    "special",
    "specs_of",
]
