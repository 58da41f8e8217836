"""Common subexpressions: equal ops of equal inputs and params are one, and nothing else is."""

import numpy as np

import dagexec
from dagexec import random, xp
from dagexec.graph import Graph, Node
from dagexec.ops import python_op
from dagexec.rewrite import merge_common
from tests.rewrite.comparing import check_exact, ops

X = np.arange(6.0).reshape(2, 3)


def test_equal_chains_are_one():
    check_exact(
        merge_common, lambda x: np.sin(np.exp(x)) * np.sin(np.exp(x)), X, left=["exp", "sin", "multiply"]
    )


def test_params_count():
    def fn(x):
        return np.sum(x, axis=0)[0] + np.sum(x, axis=1)[0] + x[0, 0] + x[0, 1] + x[0, 0]

    assert ops(check_exact(merge_common, fn, X)).count("getitem") == 4


def test_arrays_among_the_params_and_inputs_count():
    first, second = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])

    def fn(x):
        return (x + first) * (x + first.copy()) * (x + second)

    assert ops(check_exact(merge_common, fn, X)).count("add") == 2


def test_zeros_of_both_signs_and_numbers_of_two_kinds_are_not_the_same():
    check_exact(merge_common, lambda x: (xp.copysign(x, 0.0), xp.copysign(x, -0.0)), X, left=["copysign"] * 2)
    check_exact(
        merge_common,
        lambda x: (xp.astype(x, np.float32), xp.astype(x, np.float16)),
        X,
        left=["astype", "astype"],
    )


def test_the_same_key_gives_the_same_random_numbers():
    def fn(key):
        return random.uniform(key, (3,)) - random.uniform(key, (3,))

    key = random.key(0)
    assert ops(merge_common(dagexec.trace(fn)(key))).count("random_uniform") == 1


def test_plain_callables_are_called_as_often_as_they_stand_there():
    op = python_op(lambda: 1)
    nodes = [Node(op), Node(op)]
    graph = Graph(nodes, [], nodes)
    assert merge_common(graph) is graph


def test_branches_and_loops_are_left_alone():
    def fn(x):
        return sum(dagexec.cond(x[0, 0] > 0, lambda x: x * 2, lambda x: x, x) for _ in range(2))

    assert ops(merge_common(dagexec.trace(fn)(X))).count("cond") == 2


def test_a_forward_node_is_never_merged_into_a_backward_one():
    graph = dagexec.trace(lambda x: np.sum(np.exp(x) * np.exp(x)))(X).backward()
    merged = merge_common(graph)
    assert ops(merged).count("exp") == 1
    assert next(node for node in merged.nodes if node.op.name == "exp").phase == "forward"
    early = Node(graph.nodes[1].op, graph.inputs, {}, graph.inputs[0].spec, phase="backward")
    late = Node(graph.nodes[1].op, graph.inputs, {}, graph.inputs[0].spec, phase="forward")
    both = Graph([*graph.inputs, early, late], graph.inputs, [early, late])
    assert merge_common(both) is both


def test_what_a_checkpoint_recomputes_stays_recomputed():
    def fn(x):
        return np.sum(dagexec.checkpoint(lambda x: np.sin(np.sin(x)))(x))

    graph = dagexec.trace(fn)(X).backward()
    again = [n for n in merge_common(graph).nodes if n.op.name == "sin" and n.phase == "backward"]
    assert len(again) == 1
    assert ops(merge_common(graph)).count("sin") == ops(graph).count("sin")


def test_the_first_keeps_its_labels_and_twins_follow():
    def fn(x):
        with dagexec.scope("a"):
            first = np.exp(x)
        with dagexec.scope("b"):
            second = np.exp(x)
        return np.sum(first * second)

    merged = merge_common(dagexec.trace(fn)(X).backward())
    assert [node.scope for node in merged.nodes if node.op.name == "exp"] == [("a",)]
    known = set(merged.nodes)
    assert all(node.grad_of is None or node.grad_of in known for node in merged.nodes)
