"""A graph before and after a rewrite: what is computed, and what is left to compute."""

import numpy as np

import dagexec
from dagexec.graph import Graph
from tests.oracle import evaluate, leaves_of

ODD = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -2.5, 1e308, -1e-320, 3.0])


def ops(graph: Graph) -> list[str]:
    """The names of the operations, in their order."""
    return [node.op.name for node in graph.nodes if node.op.name not in ("input", "constant")]


def odd_values(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """NaN, infinities, zeros of both signs, huge and tiny numbers."""
    return np.random.default_rng(seed).choice(ODD, shape)


def assert_same_bits(found, expected, zeros=True):
    """The same arrays, signs of zeros included if `zeros`; a NaN is a NaN."""
    for one, other in zip(leaves_of(found), leaves_of(expected), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)
        if one.dtype.kind == "f" and zeros:
            known = ~np.isnan(other)
            np.testing.assert_array_equal(np.signbit(one)[known], np.signbit(other)[known])


def assert_close(found, expected, rtol=1e-12, atol=1e-12):
    """The same arrays, but for rounding."""
    for one, other in zip(leaves_of(found), leaves_of(expected), strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


def check_exact(rewrite, fn, *arguments, left=None, zeros=True):
    """A rewrite of the graph of `fn` changes no bit, on these arguments and on odd ones of their shapes."""
    graph = dagexec.trace(fn)(*arguments)
    rewritten = rewrite(graph)
    odd = [
        odd_values(np.shape(x), 1).astype(x.dtype) if np.asarray(x).dtype.kind == "f" else x
        for x in arguments
    ]
    with np.errstate(all="ignore"):
        for given in (arguments, odd):
            assert_same_bits(evaluate(rewritten, *given), evaluate(graph, *given), zeros)
    if left is not None:
        assert ops(rewritten) == left
    return rewritten


def check_close(rewrite, fn, *arguments, left=None, gradient=False):
    """A rewrite of the graph of `fn`, or of its gradient, changes nothing but rounding."""
    graph = dagexec.trace(fn)(*arguments)
    graph = graph.backward() if gradient else graph
    rewritten = rewrite(graph)
    assert_close(evaluate(rewritten, *arguments), evaluate(graph, *arguments))
    if left is not None:
        assert ops(rewritten) == left
    return rewritten
