"""Graphs cut into shards: what is computed stays the same but for rounding, and the work really is cut."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

import dagexec
from dagexec import xp
from dagexec.graphfile import graph_of, load
from dagexec.ops import TABLE
from dagexec.rewrite.axes import axes_of
from dagexec.rewrite.split import split
from tests.ops import test_gradients
from tests.ops.cases import CASES
from tests.oracle import evaluate
from tests.rewrite.comparing import assert_close, check_close, ops
from tests.strategies import programs

assert test_gradients  # its cases are found in CASES as well

EVERYTHING = -1e9  # worth cutting at any price
GRAPHS = Path(__file__).parents[2] / "graphs"
RANDOM = np.random.default_rng(0)


def values(*shape):
    return RANDOM.uniform(-1, 1, shape)


def shards_of(graph):
    return {node.scope[0] for node in graph.nodes if node.scope and node.scope[0].startswith("shard[")}


# --- the same results -----------------------------------------------------------------------------------
@pytest.mark.parametrize("op", sorted(CASES))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_op_computes_the_same_in_shards(op):
    for case in CASES[op]:
        graph = dagexec.trace(case.fn)(*case.arguments)
        for shards in (2, 3):
            cut = evaluate(split(shards, EVERYTHING)(graph), *case.arguments)
            assert_close(cut, evaluate(graph, *case.arguments), rtol=1e-9, atol=1e-11)


@settings(max_examples=60)
@given(program=programs())
def test_random_programs_and_their_gradients_compute_the_same_in_shards(program):
    def total(arguments):
        return sum(np.sum(result) for result in program.run(*arguments))

    forward = dagexec.trace(lambda *arguments: program.run(*arguments))(*program.arguments)
    gradient = dagexec.trace(total)(program.arguments).backward()
    for graph, arguments in ((forward, program.arguments), (gradient, (program.arguments,))):
        cut = evaluate(split(2, EVERYTHING)(graph), *arguments)
        assert_close(cut, evaluate(graph, *arguments), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["fnn", "rnn", "circle", "transformer_classifier", "digits_cnn", "tagging"])
def test_samples_and_their_gradients_compute_the_same_in_shards(name):
    built = load(GRAPHS / f"{name}.py").built({})
    graph = graph_of(built)
    cut = split(2, EVERYTHING)(graph)
    assert len(shards_of(cut)) == 2
    found, expected = (
        dagexec.run(each, *built.args, executor="serial", rewrites=()) for each in (cut, graph)
    )
    assert_close(found, expected, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(
    ("fn", "shape"),
    [
        (lambda x: np.sum(x, axis=0), (5, 3)),
        (lambda x: np.mean(x), (5, 3)),
        (lambda x: np.max(x, axis=1, keepdims=True), (3, 5)),
        (lambda x: np.min(x), (7,)),
        (lambda x: np.all(x > -2, axis=0), (4, 3)),
        (lambda x: np.any(x > 0.9), (4, 3)),
        (lambda x: np.prod(x, axis=0), (4, 3)),
        (lambda x: xp.special.logsumexp(x, axis=0), (4, 3)),
        (lambda x: np.var(x, axis=0), (4, 3)),
        (lambda x: np.argmax(x, axis=0), (4, 3)),
        (lambda x: np.sort(x, axis=0), (4, 3)),
        (lambda x: np.cumsum(x, axis=0) * 2, (4, 3)),
        (lambda x: np.reshape(x * 2, (8, 3)) + 1, (4, 6)),
        (lambda x: np.reshape(x * 2, (4, 6)) + 1, (6, 4)),
        (lambda x: x[np.array([0, 2, 2, 1])] * 2, (4, 3)),
        (lambda x: x[np.arange(4), np.array([0, 2, 2, 1])] * 2, (4, 3)),
        (lambda x: x[1:, None] * x[:-1], (4, 3)),
        (lambda x: np.sum(np.stack(np.split(x * 2, 3, axis=1)), axis=0), (4, 6)),
        (lambda x: np.concatenate([x, x * 2], axis=0) * 3, (4, 6)),
        (lambda x: x @ x.T, (4, 6)),
        (lambda x: (x @ x[0]) @ x, (4, 6)),
        (lambda x: x - np.mean(x, axis=0), (4, 6)),
    ],
)  # fmt: skip
def test_what_is_cut_need_not_be_whole_multiples_or_stay_cut(fn, shape):
    for shards in (2, 3):
        check_close(split(shards, EVERYTHING), fn, values(*shape))
        rewritten = split(shards, EVERYTHING)(dagexec.trace(fn)(values(*shape)))
        assert all(len(axes_of(node).kept) <= 4 for node in rewritten.nodes)


def test_nan_and_infinity_come_through():
    x = values(6, 4)
    x[0, 0], x[5, 1], x[3, 3] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        for fn in (lambda x: np.max(x, axis=0), lambda x: np.sum(x, axis=0), lambda x: x * 0 + 1):
            check_close(split(2, EVERYTHING), fn, x)


# --- the work is cut ------------------------------------------------------------------------------------
def layers(params, x, targets):
    for w, b in params[:-1]:
        x = np.maximum(x @ w + b, 0)
    w, b = params[-1]
    return np.mean((x @ w + b - targets) ** 2)


def training_step(batch=512, width=128):
    params = [(values(width, width), values(width)) for _ in range(3)]
    args = params, values(batch, width), values(batch, width)
    return dagexec.trace(layers)(*args).backward(), args


def test_the_batch_is_cut_without_being_named():
    graph, args = training_step()
    cut = split(2)(graph)
    products = [node for node in cut.nodes if node.op.name == "matmul"]
    assert Counter(node.scope[0] for node in products) == {"shard[0]": 8, "shard[1]": 8}
    # Forward and for the inputs: half the rows. For the weights: a sum over half the rows.
    assert all(256 in (node.spec.shape[0], node.inputs[0].spec.shape[1]) for node in products)
    assert_close(evaluate(cut, *args), evaluate(graph, *args), rtol=1e-9)


def test_shards_wait_for_each_other_only_where_sums_are_made():
    cut = split(2)(training_step()[0])
    for node in cut.nodes:
        if node.scope and node.scope[0].startswith("shard["):
            others = {source.scope[0] for source in node.inputs if source.scope}
            assert others <= {node.scope[0]}


def test_a_part_of_a_backward_node_belongs_to_that_of_its_forward_node():
    cut = split(2)(training_step()[0])
    known = set(cut.nodes)
    parts = [node for node in cut.nodes if node.phase == "backward" and node.scope[:1] == ("shard[1]",)]
    assert parts
    assert all(node.grad_of is None or node.grad_of in known for node in parts)
    assert any(node.grad_of.scope[:1] == ("shard[1]",) for node in parts if node.grad_of)


@pytest.mark.parametrize(
    ("fn", "arguments"),
    [
        (lambda a, b: a @ b, (values(512, 300), values(300, 40))),
        (lambda a, b: a @ b, (values(1, 3000), values(3000, 900))),
        (lambda x: np.sum(np.exp(x)), (values(400_000),)),
        (lambda x: np.tanh(np.exp(x) + 1), (values(400_000),)),
    ],
    ids=["rows", "columns", "reduction", "chain"],
)
def test_one_large_product_reduction_or_chain_becomes_tiles(fn, arguments):
    graph = dagexec.trace(fn)(*arguments)
    cut = split(4)(graph)
    assert len(shards_of(cut)) == 4
    largest = max(node.spec.nbytes for node in cut.nodes if node.scope and node.op.name != "getitem")
    assert largest <= max(node.spec.nbytes for node in graph.nodes) / 2
    assert_close(evaluate(cut, *arguments), evaluate(graph, *arguments), rtol=1e-9)


def test_what_saves_nothing_is_left_alone():
    small = dagexec.trace(lambda x, w: np.tanh(x @ w))(values(8, 4), values(4, 4))
    assert split(2)(small) is small
    alone = dagexec.trace(lambda x: np.linalg.inv(x))(values(300, 300))
    assert split(2, EVERYTHING)(alone) is alone


def test_less_than_two_shards_are_refused():
    with pytest.raises(ValueError, match="1 shards; it must be two or more"):
        split(1)
    for nonsense in ("2", 2.0, None):
        with pytest.raises(TypeError, match="a number of shards, a whole one of two or more, not"):
            split(nonsense)


def test_a_rule_has_as_many_axes_as_the_result():
    for op in sorted(CASES):
        for case in CASES[op]:
            for node in dagexec.trace(case.fn)(*case.arguments).nodes:
                kept = axes_of(node).kept
                assert not kept or isinstance(node.spec, tuple) or len(kept) == node.spec.ndim


def test_shards_are_a_rewrite_like_others():
    graph, args = training_step(64, 32)
    compiled = dagexec.compile(graph, "serial", rewrites=(split(2, EVERYTHING),))
    assert_close(compiled(*args), evaluate(graph, *args), rtol=1e-9)
    assert "split_into_shards" in compiled.explain()
    assert "matmul" in TABLE
    assert ops(graph).count("matmul") * 2 == ops(split(2, EVERYTHING)(graph)).count("matmul")
