"""All rewrites together, on random programs and their gradients: against the graph as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import xp
from dagexec.rewrite import (
    REWRITES,
    apply_identities,
    assemble,
    batch_products,
    compute_safely,
    fold_constants,
    fold_products,
    gather_factors,
    merge_common,
    reduce_less,
    simplify,
    simplify_exactly,
    sink_broadcasts,
    sum_products,
    transpose_once,
)  # fmt: skip
from tests.oracle import evaluate
from tests.rewrite.comparing import assert_close, assert_same_bits, odd_values
from tests.strategies import programs

EXACT = (fold_constants, merge_common, apply_identities, sink_broadcasts, simplify_exactly)
TO_ROUNDING = (compute_safely, gather_factors, reduce_less, fold_products, simplify)
TO_ROUNDING += (assemble, sum_products, batch_products, transpose_once)


def gradient_of(program):
    """The graph of all results and of the gradient of their sum for all arguments."""

    def total(arguments):
        return sum(np.sum(result) for result in program.run(*arguments))

    graph = dagexec.trace(lambda *arguments: program.run(*arguments))(*program.arguments)
    return graph, dagexec.trace(total)(program.arguments).backward()


@settings(max_examples=25)
@given(program=programs(), seed=st.integers(0, 99))
def test_exact_rewrites_change_no_bit_whatever_the_values(program, seed):
    odd = tuple(odd_values(x.shape, seed + k) for k, x in enumerate(program.arguments))
    forward, gradient = gradient_of(program)
    for rewrite in EXACT:
        with np.errstate(all="ignore"):
            for given_ in (program.arguments, odd):
                assert_same_bits(evaluate(rewrite(forward), *given_), evaluate(forward, *given_))
                assert_same_bits(evaluate(rewrite(gradient), given_), evaluate(gradient, given_))


@settings(max_examples=25)
@given(program=programs())
def test_other_rewrites_change_nothing_but_rounding(program):
    graphs = gradient_of(program)
    for graph, arguments in zip(graphs, (program.arguments, (program.arguments,))):
        expected = evaluate(graph, *arguments)
        for rewrite in TO_ROUNDING:
            assert_close(evaluate(rewrite(graph), *arguments), expected, rtol=1e-9, atol=1e-9)
        for rewrite in REWRITES:
            graph = rewrite(graph)
        assert_close(evaluate(graph, *arguments), expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=15)
@given(program=programs())
def test_what_is_rewritten_twice_is_the_same_graph(program):
    _, graph = gradient_of(program)
    for rewrite in (fold_constants, merge_common, apply_identities):
        graph = rewrite(graph)
        assert rewrite(graph) is graph


@settings(max_examples=15)
@given(program=programs())
def test_every_node_keeps_a_line_and_forward_reads_forward(program):
    _, graph = gradient_of(program)
    known = {node.where for node in graph.nodes}
    for rewrite in REWRITES:
        graph = rewrite(graph)
    for node in graph.nodes:
        assert node.op.name in ("input", "constant") or node.where in known
        if node.phase == "forward":
            assert all(source.phase == "forward" for source in node.inputs)


def test_every_executor_has_the_same_bits():
    def loss(w, x):
        hidden = xp.tanh(x @ w)
        return xp.mean(xp.log(xp.sum(xp.exp(hidden), axis=-1)))

    w, x = np.random.default_rng(0).normal(size=(4, 4)), np.random.default_rng(1).normal(size=(5, 3, 4))
    graph = dagexec.trace(loss)(w, x).backward()
    expected = dagexec.run(graph, w, x, executor="serial")
    for executor in ("threads", "processes"):
        assert_same_bits(dagexec.run(graph, w, x, executor=executor, workers=2), expected)


def test_each_rewrite_is_explained():
    graph = dagexec.trace(lambda x: xp.mean(xp.square(x)))(np.ones(4)).backward()
    lines = dagexec.compile(graph, "serial").explain().splitlines()
    assert any(line.startswith(f"simplify: {len(graph)} nodes become 5") for line in lines), lines


@pytest.mark.parametrize("rewrite", [*EXACT, *TO_ROUNDING])
def test_a_graph_with_nothing_to_gain_is_the_same(rewrite):
    graph = dagexec.trace(lambda x, y: xp.sin(x) @ xp.cos(y))(np.ones((2, 3)), np.ones((3, 2)))
    assert rewrite(graph) is graph
