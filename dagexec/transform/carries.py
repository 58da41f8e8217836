"""What a loop hands from one step to the next must stay what it is: checks with both sides named.

>>> import numpy as np
>>> check_carry("scan", "step", ([Spec((), "int64")], one()), [np.float64(1)], one())
Traceback (most recent call last):
TypeError: scan: step takes a carry that is int64[], but returns float64[]: the dtypes differ
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optree

from dagexec.graph import Spec
from dagexec.tracing import leaf_spec


def one() -> optree.PyTreeSpec:
    """The structure of a single array."""
    leaf: Any = 0
    return optree.tree_structure(leaf)


def check_carry(
    owner: str,
    step: str,
    taken: tuple[Sequence[Spec], optree.PyTreeSpec],
    leaves: Sequence[Any],
    structure: optree.PyTreeSpec,
) -> None:
    """Raise TypeError unless what a step returns is like what it takes, in structure, shapes and dtypes."""
    specs, wanted = taken
    if structure != wanted:
        raise TypeError(f"{owner}: {step} takes a carry of structure {wanted}, but returns {structure}")
    for spec, leaf, path in zip(specs, leaves, paths(structure, "carry")):
        found = leaf if isinstance(leaf, Spec) else leaf_spec(leaf, path)
        if found != spec:
            what = "a carry that" if path == "carry" else f"a carry of which {path}"
            raise TypeError(
                f"{owner}: {step} takes {what} is {spec}, but returns {found}: {difference(spec, found)}"
            )


def difference(left: Spec, right: Spec) -> str:
    """What differs between two Specs, in words."""
    parts = ["shapes"] * (left.shape != right.shape) + ["dtypes"] * (left.dtype != right.dtype)
    return f"the {' and '.join(parts)} differ"


def paths(structure: optree.PyTreeSpec, root: str) -> list[str]:
    """How each leaf is reached, as Python: `carry[0]['a']`."""
    return [accessor.codify(root) for accessor in structure.accessors()]
