"""The dense layer: each output is a weighted sum of all inputs, and a bias."""

from __future__ import annotations

from typing import Any

from dagexec import xp
from dagexec.array import naming_the_line, shape_of
from dagexec.nn.initialisers import Initialiser, he_normal
from dagexec.tracing import block


def init_dense(
    key: Any, inputs: int, outputs: int, *, weights: Initialiser = he_normal, dtype: Any = "float32"
) -> dict[str, Any]:
    """Parameters of `dense`: weights (inputs, outputs) from the initialiser `weights`, and a bias of zeros.

    >>> from dagexec import random
    >>> {name: p.shape for name, p in init_dense(random.key(0), 3, 2).items()}
    {'weights': (3, 2), 'bias': (2,)}
    """
    return {"weights": weights(key, (inputs, outputs), dtype), "bias": xp.zeros(outputs, dtype=dtype)}


@naming_the_line
@block
def dense(params: Any, x: Any) -> Any:
    """x @ weights + bias over the last axis of `x`: (..., inputs) becomes (..., outputs).

    Raises ValueError where `x` does not have as many features as the weights have rows.

    >>> import numpy as np
    >>> dense({"weights": np.ones((3, 2)), "bias": np.zeros(2)}, np.ones((4, 3))).shape
    (4, 2)
    """
    shape, (inputs, outputs) = shape_of(x), shape_of(params["weights"])
    if not shape or shape[-1] != inputs:
        raise ValueError(
            f"x of shape {shape} does not end with the {inputs} inputs of weights {(inputs, outputs)}: "
            f"make the layer with init_dense(key, {shape[-1] if shape else 1}, {outputs})"
        )
    return x @ params["weights"] + params["bias"]
