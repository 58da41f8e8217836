"""Special functions: SciPy's own, on traced arrays, give what SciPy gives, and have their derivatives."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from dagexec import run, trace, xp
from dagexec.ops.special import NAMES
from dagexec.xp.special import COMPOSED
from tests.oracle import assert_same, check_gradient, traced

scipy_special = pytest.importorskip("scipy.special")
RANDOM = np.random.default_rng(2)
X = RANDOM.uniform(0.2, 0.8, (2, 3))
Y = RANDOM.uniform(1.5, 2.5, 3)
OPERANDS: dict[str, tuple[Any, ...]] = {
    "zeta": (Y, X),
    "ive": (Y, X),
    "radian": (Y, X, Y),
}
ORDERS = {"zeta", "gammainc", "gammaincc", "jv", "iv", "ive"}  # no gradient for the first operand


def operands_of(name: str) -> tuple[Any, ...]:
    """Operands of a function, in its domain."""
    function = getattr(scipy_special, name)
    return OPERANDS.get(name, (X, Y)[: getattr(function, "nin", 2)])


@pytest.mark.parametrize("name", [*NAMES, *COMPOSED])
def test_a_function_of_scipy_gives_what_scipy_gives(name: str) -> None:
    function, operands = getattr(scipy_special, name), operands_of(name)
    assert_same(traced(function, *operands), function(*operands), rtol=1e-10)
    assert_same(np.asarray(getattr(xp.special, name)(*operands)), function(*operands), rtol=1e-10)


@pytest.mark.parametrize("name", [*NAMES, *COMPOSED])
def test_derivative_is_that_of_central_differences(name: str) -> None:
    operands = operands_of(name)
    wrt = range(1, len(operands)) if name in ORDERS else range(len(operands))
    graph = trace(getattr(scipy_special, name))(*operands)
    check_gradient(graph, *operands, wrt=tuple(wrt), tolerance=1e-6)


@pytest.mark.parametrize("name", ["xlogy", "xlog1py"])
def test_a_product_with_zero_has_a_derivative(name: str) -> None:
    graph = trace(lambda a, b: np.sum(getattr(scipy_special, name)(a, b)))(np.zeros(2), np.zeros(2))
    _, (of_a, of_b) = run(graph.backward((0, 1)), np.zeros(2), np.zeros(2))
    assert_same((of_a, of_b), (np.zeros(2), np.zeros(2)))


def test_sums_of_exponentials() -> None:
    big = np.array([[1000.0, 1000.0, -np.inf], [-1000.0, 0.0, 1.0]])
    for axis in (None, 0, 1):
        assert_same(xp.special.logsumexp(big, axis), scipy_special.logsumexp(big, axis))
    for name in ("softmax", "log_softmax"):
        ours, theirs = getattr(xp.special, name), getattr(scipy_special, name)
        assert_same(traced(lambda x, ours=ours: ours(x, axis=1), X), theirs(X, axis=1))
        check_gradient(trace(lambda x, ours=ours: ours(x, axis=1))(X), X, tolerance=1e-8)
    weighted = traced(lambda x, b: xp.special.logsumexp(x, 1, b=b), X, Y)
    assert_same(weighted, scipy_special.logsumexp(X, 1, b=Y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_dtype_is_that_of_scipy(dtype: Any) -> None:
    x = np.arange(1, 4).astype(dtype)
    assert_same(traced(scipy_special.erf, x), scipy_special.erf(x))
    assert_same(traced(scipy_special.xlogy, x, x), scipy_special.xlogy(x, x))


def test_a_function_of_scipy_that_is_no_op_says_so() -> None:
    with pytest.raises(TypeError, match=r"fresnel can't be traced.*test_special"):
        trace(scipy_special.fresnel)(X)


UNDER_THE_ARRAY_API = """
import numpy as np, scipy.special as special
from tests.oracle import check_gradient, traced, assert_same
from dagexec import trace
x = np.random.default_rng(0).uniform(0.2, 0.8, (3, 4))
for fn in (
    lambda x: special.logsumexp(x, axis=1), lambda x: special.softmax(x, axis=1),
    lambda x: special.log_softmax(x, axis=0), lambda x: special.xlogy(x, x), special.expit, special.erf,
    special.gammaln, special.ndtr, special.logit, lambda x: special.betaln(x, x),
    lambda x: special.rel_entr(x, 2 * x),
):
    assert_same(traced(fn, x), np.asarray(fn(x)))
    check_gradient(trace(fn)(x), x, tolerance=1e-6)
print("all")
"""


def test_scipy_finds_the_namespace_by_the_array_api() -> None:
    # SciPy reads the variable once, when it is imported.
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNDER_THE_ARRAY_API],
        env=os.environ | {"SCIPY_ARRAY_API": "1", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.stdout.strip() == "all", run.stderr
