"""The op table: each op declared once, one file a family."""

from dagexec.ops import elementwise, linear, random, reductions, shape
from dagexec.ops.table import TABLE, bytes_moved, operations, python_op, specs_of

__all__ = [
    "TABLE",
    "bytes_moved",
    "elementwise",
    "linear",
    "operations",
    "python_op",
    "random",
    "reductions",
    "shape",
    "specs_of",
]
