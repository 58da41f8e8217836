"""Branches that do the same: one on stacked arrays, where that is faster."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.rewrite import merge_common, rewritten, stack_branches
from tests.oracle import evaluate
from tests.rewrite.comparing import assert_close, assert_same_bits, odd_values, ops
from tests.rewrite.recurrent import count, recurrent
from tests.strategies import programs

# Where the branches' arguments are, for one argument of `branches` branches: what is given, and branch k's.
GIVEN = {
    "one by one": (list, lambda x, k, n: x[k]),
    "stacked": (np.stack, lambda x, k, n: x[k]),
    "in reverse": (np.stack, lambda x, k, n: x[n - 1 - k]),
    "along the last axis": (partial(np.stack, axis=-1), lambda x, k, n: x[..., k]),
    "cut": (lambda x: np.concatenate([np.atleast_1d(one) for one in x]), None),
    "shared": (lambda x: x[0], lambda x, k, n: x),
}
TAKEN = {
    "listed": lambda results: results,
    "summed": lambda results: [sum(np.sum(x) for x in column) for column in zip(*results)],
    "added": lambda results: [sum(column[1:], column[0]) for column in zip(*results)],
    "stacked": lambda results: [np.stack(column) for column in zip(*results)],
    "joined": lambda results: [
        np.concatenate([x[None] for x in column], axis=-1) for column in zip(*results)
    ],
    "first": lambda results: results[0],
}


def cut(x, k, n, shape):
    rows = x.shape[0] // n
    return np.reshape(x[k * rows : (k + 1) * rows], shape)


@st.composite
def branching(draw):
    """A random program applied to several arguments, and what is made of its results."""
    program = draw(programs(max_steps=8))
    number = draw(st.integers(2, 5))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    ways = [draw(st.sampled_from([*GIVEN])) for _ in program.arguments]
    arguments = [
        GIVEN[way][0]([random.uniform(-1, 1, x.shape) for _ in range(number)])
        for way, x in zip(ways, program.arguments)
    ]
    taken = TAKEN[draw(st.sampled_from([*TAKEN]))]

    def take(way, x, k, like):
        return cut(x, k, number, like.shape) if way == "cut" else GIVEN[way][1](x, k, number)

    def fn(arguments):
        return taken([
            program.run(*[take(*one, k, like) for *one, like in zip(ways, arguments, program.arguments)])
            for k in range(number)
        ])  # fmt: skip

    return fn, arguments


@settings(max_examples=50)
@given(branching())
def test_random_branches_and_their_gradients(case):
    fn, arguments = case
    forward = dagexec.trace(fn)(arguments)

    def total(arguments):
        return sum(np.sum(x) for x in dagexec.pytrees.flatten(fn(arguments))[0])

    for graph in (forward, dagexec.trace(total)(arguments).backward()):
        merged = merge_common(graph)
        stacked = stack_branches(merged)
        assert_close(evaluate(stacked, arguments), evaluate(graph, arguments), rtol=1e-9, atol=1e-9)
        for node in stacked.nodes:
            if node.phase == "forward":
                assert all(source.phase == "forward" for source in node.inputs)


@settings(max_examples=25)
@given(recurrent())
def test_gradients_of_recurrent_networks(network):
    arguments = network.arguments()
    graph = dagexec.trace(network.loss)(*arguments).backward(wrt=(0, 1))
    assert_close(evaluate(stack_branches(graph), *arguments), evaluate(graph, *arguments), 1e-9, 1e-9)


@st.composite
def mazes(draw):
    """Elementwise ops on arrays of one shape, so that any may wait for any."""
    steps = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 19), st.integers(0, 19)), max_size=20))

    def fn(x):
        values = [x, x + 1]
        for kind, one, other in steps:
            a, b = values[one % len(values)], values[other % len(values)]
            values.append([np.sin, np.cos][kind](a) if kind < 2 else a * b)
        return np.stack(values)

    return fn


@settings(max_examples=40)
@given(mazes())
def test_whatever_waits_for_whatever(fn):
    graph = dagexec.trace(fn)(np.linspace(0, 1, 3))
    x = odd_values((3,), 0)
    with np.errstate(all="ignore"):
        assert_same_bits(evaluate(stack_branches(graph), x), evaluate(graph, x))


def test_derivatives_at_all_steps_are_taken_at_once():
    def loss(u, x):
        h = np.zeros((2, 4))
        for t in range(10):
            h = np.tanh(x[t] + h @ u)
        return np.sum(h)

    arguments = np.eye(4) / 2, np.random.default_rng(0).normal(size=(10, 2, 4))
    graph = dagexec.trace(loss)(*arguments).backward()
    stacked = stack_branches(graph)
    assert_close(evaluate(stacked, *arguments), evaluate(graph, *arguments))
    assert (count(graph, "square"), count(stacked, "square")) == (10, 1)


def towers(number, size, products=3):
    """A loss over towers of matrix products, and its arguments."""
    random = np.random.default_rng(0)
    weights = [[random.normal(size=(size, size)) / 4 for _ in range(products)] for _ in range(number)]

    def loss(weights, x):
        total = 0.0
        for tower in weights:
            y = x
            for w in tower:
                y = np.tanh(y @ w)
            total = total + np.mean(y * y)
        return total

    return loss, (weights, random.normal(size=(size, size)))


def test_small_towers_are_one_and_large_ones_are_not():
    loss, arguments = towers(8, 16)
    small = dagexec.trace(loss)(*arguments)
    assert [name for name in ops(stack_branches(small)) if name not in ("concat", "reshape")] == [
        *["matmul", "tanh"] * 3, "multiply", "mean", "sum", "add"
    ]  # fmt: skip
    loss, arguments = towers(8, 256)
    large = dagexec.trace(loss)(*arguments)
    assert count(stack_branches(large), "matmul") == 24


def test_gradients_of_towers_are_stacked_too():
    loss, arguments = towers(8, 16)
    graph = dagexec.trace(loss)(*arguments).backward(wrt=0)
    stacked = stack_branches(graph)
    assert_close(evaluate(stacked, *arguments), evaluate(graph, *arguments), rtol=1e-9, atol=1e-9)
    assert count(stacked, "tanh") == 3
    assert count(stacked, "matmul") == 3 + 2 + 3 * 8  # forward, to the values, to the weights
    assert all(node.grad_of is None or node.grad_of in stacked.nodes for node in stacked.nodes)


def test_weights_in_one_array_are_read_there_and_so_are_their_gradients():
    def loss(w, x):
        return sum(np.sum(np.tanh(x @ w[k])) for k in range(6))

    arguments = np.random.default_rng(0).normal(size=(6, 8, 8)), np.ones((3, 8))
    graph = dagexec.trace(loss)(*arguments).backward()
    stacked = rewritten(graph)
    assert_close(evaluate(stacked, *arguments), evaluate(graph, *arguments))
    assert count(stacked, "matmul") == 2
    assert count(stacked, "concat") == count(stacked, "stack") == count(stacked, "getitem") == 0


def test_elementwise_branches_have_the_same_bits():
    def fn(x, y):
        return np.stack([np.exp(np.sin(x[k]) * y - np.tanh(y / (x[k] + 2))) for k in range(5)])

    for seed in range(4):
        arguments = odd_values((5, 7, 9), seed), odd_values((9,), seed + 1)
        graph = dagexec.trace(fn)(*arguments)
        stacked = stack_branches(graph)
        assert count(stacked, "exp") == 1
        with np.errstate(all="ignore"):
            assert_same_bits(evaluate(stacked, *arguments), evaluate(graph, *arguments))


def test_heads_cut_from_one_product_are_one():
    def fn(q, k, v):
        heads = [slice(4 * h, 4 * h + 4) for h in range(4)]
        scores = [q[:, head] @ k[:, head].T for head in heads]
        return np.concatenate([np.tanh(s) @ v[:, head] for s, head in zip(scores, heads)], axis=-1)

    arguments = [np.random.default_rng(seed).normal(size=(6, 16)) for seed in range(3)]
    graph = dagexec.trace(fn)(*arguments)
    stacked = stack_branches(graph)
    assert_close(evaluate(stacked, *arguments), evaluate(graph, *arguments))
    assert [name for name in ops(stacked) if name not in ("permute_dims", "reshape", "getitem")] == [
        "matmul", "tanh", "matmul"
    ]  # fmt: skip


def test_gates_of_a_cell_are_one_for_each_step():
    def fn(w, u, x):
        h = c = np.zeros((1, 4))
        for t in range(8):
            i, f, o, g = (np.tanh(x[t] @ w[n] + h @ u[n]) for n in range(4))
            c = f * c + i * g
            h = o * np.tanh(c)
        return h

    random = np.random.default_rng(0)
    weights = [[random.normal(size=(4, 4)) for _ in range(4)] for _ in range(2)]
    arguments = (*weights, random.normal(size=(8, 1, 4)))
    graph = dagexec.trace(fn)(*arguments)
    stacked = rewritten(graph)
    assert_close(evaluate(stacked, *arguments), evaluate(graph, *arguments))
    assert count(stacked, "tanh") == 2 * 8


def test_a_stack_is_labelled_like_what_its_branches_have_in_common():
    def fn(x):
        with dagexec.scope("net"):
            found = []
            for k in range(4):
                with dagexec.scope(f"branch[{k}]"):
                    found.append(np.tanh(x[k]))
        return np.stack(found)

    stacked = stack_branches(dagexec.trace(fn)(np.ones((4, 3))))
    (node,) = [node for node in stacked.nodes if node.op.name == "tanh"]
    assert node.scope == ("net",)


def test_what_has_other_shapes_stays():
    graph = dagexec.trace(lambda x: [np.sum(np.sin(x[k:])) for k in range(4)])(np.ones(5))
    assert stack_branches(graph) is graph


@pytest.mark.parametrize("fn", [
    lambda x: [np.sin(x[0]), np.cos(x[1]), np.tanh(x[2])],
    lambda x: [np.sin(x[0]), np.sin(x[1])],
    lambda x: np.sin(np.sin(np.sin(x))),
])  # fmt: skip
def test_where_nothing_is_gained_the_graph_is_the_same(fn):
    graph = dagexec.trace(fn)(np.ones((3, 4)))
    assert stack_branches(graph) is graph


def test_what_computes_the_same_is_no_stack():
    x = np.arange(3.0)
    graph = dagexec.trace(lambda x: [np.sum(np.tanh(np.sin(x))) for _ in range(4)])(x)
    stacked = stack_branches(graph)
    assert count(stacked, "sin") == 4  # merge_common makes them one
    assert_same_bits(evaluate(stacked, x), evaluate(graph, x))


def halved(number, length, steps):
    """The graph of several branches of so many steps on arrays of so many numbers."""

    def fn(x):
        branches = [*x]
        for _ in range(steps):
            branches = [y * 0.5 + 0.25 for y in branches]
        return np.stack(branches)

    return dagexec.trace(fn)(np.ones((number, length)))


def test_what_takes_long_is_left_to_the_workers_or_to_the_cache():
    assert count(stack_branches(halved(4, 4000, 2)), "multiply") == 2
    assert count(stack_branches(halved(4, 4000, 40)), "multiply") == 4 * 40  # a branch is worth a worker
    assert count(stack_branches(halved(4, 40, 40)), "multiply") == 40
    assert count(stack_branches(halved(8, 4000, 2)), "multiply") == 2
    assert count(stack_branches(halved(8, 4400, 2)), "multiply") == 8 * 2


def test_what_nobody_notices_is_left():
    def fn(x, w):
        return np.stack([np.sin(x[k]) for k in range(4)]), w @ w

    graph = dagexec.trace(fn)(np.ones((4, 3)), np.ones((4, 4)))
    assert count(stack_branches(graph), "sin") == 1
    beside = dagexec.trace(fn)(np.ones((4, 3)), np.ones((600, 600)))
    assert stack_branches(beside) is beside


def test_parts_of_a_stack_are_read():
    def fn(x):
        found = [np.tanh(x[k]) for k in range(6)]
        return np.stack([np.sin(y) for y in found[1:5]]), found[0] + found[2] + found[4], found[5]

    x = np.random.default_rng(0).normal(size=(6, 3))
    graph = dagexec.trace(fn)(x)
    stacked = stack_branches(graph)
    assert (count(stacked, "tanh"), count(stacked, "sin")) == (1, 1)
    assert_same_bits(evaluate(stacked, x), evaluate(graph, x))


def test_slices_of_several_arrays_at_several_places_are_joined():
    def fn(xs):
        return np.stack([np.cos(np.sin(x[k : k + 2])) for k, x in enumerate(xs)])

    xs = [np.random.default_rng(k).normal(size=(6, 3)) for k in range(4)]
    graph = dagexec.trace(fn)(xs)
    stacked = stack_branches(graph)
    assert (count(stacked, "concat"), count(stacked, "sin")) == (1, 1)
    assert_same_bits(evaluate(stacked, xs), evaluate(graph, xs))


def test_stacks_that_wait_for_each_other_are_not_both_made():
    def fn(x):
        values = [f(x) for f in (np.exp, np.tanh, np.arctan, np.square, np.abs, np.negative)]
        sines, cosines = [np.sin(y) for y in values[:3]], [np.cos(y) for y in values[3:]]
        all_cosines = [np.cos(y) for y in sines] + cosines
        all_sines = sines + [np.sin(y) for y in cosines]
        return np.stack(all_sines), np.stack(all_cosines)

    x = np.linspace(0, 1, 5)
    graph = dagexec.trace(fn)(x)
    stacked = stack_branches(graph)
    assert sorted([count(stacked, "sin"), count(stacked, "cos")]) == [1, 6]
    assert_same_bits(evaluate(stacked, x), evaluate(graph, x))


def test_every_executor_has_the_same_bits():
    loss, arguments = towers(4, 8)
    graph = dagexec.trace(loss)(*arguments).backward(wrt=(0, 1))
    expected = dagexec.run(graph, *arguments, executor="serial")
    compiled = dagexec.compile(graph, "serial")
    assert any(line.startswith("stack_branches") for line in compiled.explain().splitlines())
    for executor in ("serial", "threads"):
        with dagexec.compile(graph, executor, workers=2) as again:
            for _ in range(4):  # by steps, then as a program
                assert_same_bits(again(*arguments), expected)
