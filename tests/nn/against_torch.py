"""What the tests of layers share: our values and gradients beside PyTorch's, for the same numbers."""

from __future__ import annotations

import numpy as np
import optree
import pytest

import dagexec

torch = pytest.importorskip("torch")

TOLERANCES = {"float64": 1e-8, "float32": 1e-4}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCES)


def numbers(seed, *shape, dtype="float64"):
    """Normal numbers, the same for a seed."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def tensors(tree):
    """The same arrays for PyTorch; those of floating-point numbers have gradients."""
    return optree.tree_map(lambda x: torch.tensor(x, requires_grad=np.asarray(x).dtype.kind == "f"), tree)


def require_same(ours, theirs, *args, dtype):
    """`ours(*args)` and `theirs(*args as tensors)` agree in value, dtype, and gradients for all of `args`.

    All arguments are pytrees of floating-point arrays. The elements of the result are weighed with random
    numbers before they are summed up, so that the gradient of each counts.
    """
    given = tensors(args)
    result = theirs(*given)
    weights = numbers(99, *result.shape, dtype=dtype)
    (result * torch.tensor(weights)).sum().backward()

    def both(*args):
        return ours(*args), dagexec.grad(lambda args: np.sum(ours(*args) * weights))(args)

    value, gradients = dagexec.run(dagexec.trace(both)(*args), *args)
    close = {"rtol": TOLERANCES[dtype], "atol": TOLERANCES[dtype]}
    assert np.asarray(value).dtype == np.dtype(dtype)
    np.testing.assert_allclose(value, result.detach().numpy(), **close)
    np.testing.assert_allclose(ours(*args), value, **close)  # computed at once, without a trace
    for gradient, tensor in zip(optree.tree_leaves(gradients), optree.tree_leaves(given), strict=True):
        assert gradient.dtype == np.dtype(dtype)
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), **close)
