"""NumPy's functions beyond the Array API, written in NumPy: run on traced arrays, they record what they do.

Each module holds one family. A function here gives on NumPy arrays what NumPy's own gives; on traced ones
each NumPy function that it calls is recorded, or is again one of these. `refused` says of the others why not.
"""

from dagexec.xp.numpy_functions import (
    calculus,
    decompositions,
    logic,
    matrices,
    polynomials,
    rearranging,
    reductions,
    refused,
    selecting,
    statistics,
    writing,
)
from dagexec.xp.numpy_functions.refused import OF_VALUES

__all__ = [
    "OF_VALUES",
    "calculus",
    "decompositions",
    "logic",
    "matrices",
    "polynomials",
    "rearranging",
    "reductions",
    "refused",
    "selecting",
    "statistics",
    "writing",
]
