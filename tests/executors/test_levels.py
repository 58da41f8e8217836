"""Programs of graphs of scalars: types and bits of the tasks run one by one, whichever program it is."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.executors.levels import AT_ONCE, Levels, groups_of
from dagexec.executors.program import Program
from dagexec.executors.scalars import scalars_of
from dagexec.executors.serial import Serial, run_steps
from dagexec.executors.straight import Straight
from dagexec.graph import Graph, Node, Spec
from dagexec.ops import TABLE
from dagexec.rewrite import scalarize
from dagexec.steps import all_steps

UNARY = (
    "negative abs square sqrt exp expm1 log log1p sin cos tan tanh atan sinh cosh sign floor rint isfinite"
)
BINARY = "add subtract multiply divide remainder pow maximum minimum atan2 copysign less greater_equal equal"
NUMBERS = [0.0, -0.0, 1.0, 2.0, 0.5, -1.5, 3.0, 1e-3, 700.0, -40.0, 1e30, float("inf"), float("nan")]


def by_steps(plan, arguments):
    values = plan.values(list(map(np.asarray, arguments)))
    run_steps(plan, all_steps(plan), values, [])
    return plan.results(values)


def programs(plan):
    scalars = scalars_of(plan)
    groups = groups_of(scalars)
    return [Levels(scalars, groups), Straight(scalars, groups)]


def same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted):
        assert type(one) is type(other)
        assert (one.shape, one.dtype, one.strides) == (other.shape, other.dtype, other.strides)
        assert (
            np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
            or (np.isnan(one) & np.isnan(other)).all()
        )


def check(graph, *arguments):
    """Twice by each program, on the leaves of the arguments."""
    plan = dagexec.plan(graph)
    with np.errstate(all="ignore"):
        wanted = by_steps(plan, arguments)
        for program in programs(plan):
            for _ in range(2):
                same(program(list(map(np.asarray, arguments)), []), wanted)


@st.composite
def scalar_graphs(draw, dtype):
    """A graph of scalars of every kind, and its arguments."""
    leaves = draw(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4))
    nodes = [Node(TABLE["input"], spec=Spec((), dtype), name=f"x{i}") for i in range(len(leaves))]
    inputs = list(nodes)
    nodes.append(Node(TABLE["constant"], params={"value": np.array(2.0, dtype)}, spec=Spec((), dtype)))
    for _ in range(draw(st.integers(1, 25))):
        floats = [node for node in nodes if node.spec.dtype == dtype]
        truths = [node for node in nodes if node.spec.dtype == bool]
        one, other = draw(st.sampled_from(floats)), draw(st.sampled_from(floats))
        if truths and draw(st.booleans()):
            op, sources = TABLE["where"], (draw(st.sampled_from(truths)), one, other)
        elif draw(st.booleans()):
            op, sources = TABLE[draw(st.sampled_from(UNARY.split()))], (one,)
        else:
            op, sources = TABLE[draw(st.sampled_from(BINARY.split()))], (one, other)
        nodes.append(Node(op, sources, spec=op.infer(*[source.spec for source in sources])))
    outputs = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=5))
    return Graph(nodes, inputs, outputs), [dtype(leaf) for leaf in leaves]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@settings(max_examples=40)
@given(st.data())
def test_random_graphs(dtype, data):
    graph, arguments = data.draw(scalar_graphs(dtype))
    check(graph, *arguments)


def many(name, *columns):
    """A graph of the operation on each row of some columns."""
    op = TABLE[name]
    inputs = [[Node(TABLE["input"], spec=Spec((), column[0].dtype)) for _ in column] for column in columns]
    results = [Node(op, row, spec=op.infer(*[one.spec for one in row])) for row in zip(*inputs)]
    leaves = [*chain.from_iterable(inputs)]
    return Graph([*leaves, *results], leaves, results)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_vectors_have_the_bits_of_single_numbers(dtype):
    """Of each operation many at once, with what is special among them."""
    random = np.random.default_rng(0)
    xs = [*map(dtype, NUMBERS), *(random.standard_normal(100) * 10).astype(dtype)]
    ys = [*map(dtype, reversed(NUMBERS)), *np.resize([2, 0.5, -1, 3, 1.7], 100).astype(dtype)]
    for name in UNARY.split():
        check(many(name, xs), *xs)
    for name in BINARY.split():
        check(many(name, xs, ys), *xs, *ys)


def layer(W, b, x):
    return np.tanh(x @ W + b)


def squares(W, b, x):
    return np.mean(layer(W, b, x) ** 2)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_array_code_as_scalars(dtype):
    random = np.random.default_rng(1)
    arguments = [random.standard_normal(shape).astype(dtype) for shape in ((3, 4), (4,), (5, 3))]
    check(scalarize(dagexec.trace(layer)(*arguments)), *arguments)
    check(scalarize(dagexec.trace(squares)(*arguments).backward((0, 1))), *arguments)
    check(scalarize(dagexec.trace(squares)(*arguments)).backward((0, 1)), *arguments)


@pytest.mark.parametrize(
    "function",
    [
        lambda W, x: [sum(w * y for w, y in zip(row, x)) for row in W],  # rows are several results of a node
        lambda W, x: ([sum(w * y for w, y in zip(row, x)) for row in W], np.split(W, 2)[1], W.T[1], x[::-1]),
        lambda W, x: (np.stack([W[1, 2] * x[0], x[1]])[::-1].reshape(2, 1), W, x[0], np.flip(W)),
        lambda W, x: np.mean(np.stack([(w > x[0]) == (w > x[1]) for row in W for w in row])),
        lambda W, x: [np.where(x[0] > 0, W[0, 0], w) for row in W for w in row],
        lambda W, x: [np.astype(x[0] * w, int) for row in W for w in row],
    ],
)
def test_what_is_moved_and_what_is_left_to_the_end(function):
    W, x = np.random.default_rng(2).standard_normal((4, 3)), np.array([0.5, -1.0, 2.0])
    check(dagexec.trace(function)(W, x), W, x)


def test_results_without_elements_need_no_numbers_of_their_dtype():
    x, nothing = np.array(3.0), np.zeros((3, 0), np.int32)
    compiled = dagexec.compile(dagexec.trace(lambda x, nothing: [np.tanh(x) - x, nothing])(x, nothing))
    for _ in range(4):
        _, found = compiled(x, nothing)
        assert (found.shape, found.dtype) == ((3, 0), np.int32)
    assert isinstance(program(compiled), Straight)


def test_long_chains_and_numbers_that_are_read_twice():
    def chain(x, y):
        for _ in range(300):  # more than parentheses may nest
            x = -(x + y) * 0.5
        return x * x + np.square(x - y) + (x - y) / (x - y) + np.power(np.tanh(x), 2.0)

    check(dagexec.trace(chain)(0.1, 0.2), 0.3, 0.4)
    check(dagexec.trace(chain)(0.1, 0.2).backward((0, 1)), 0.3, 0.4)


def wide(x):
    """More numbers at a level than are gathered at once, in no order."""
    random = np.random.default_rng(3)
    pairs = random.integers(0, len(x), (2 * AT_ONCE + 3, 2))
    return [x[i] * x[j] for i, j in pairs.tolist()]


def test_more_numbers_than_are_gathered_at_once():
    numbers = np.random.default_rng(4).standard_normal(50).tolist()
    check(dagexec.trace(wide)(numbers), *numbers)


def narrow(x, y):
    for _ in range(5):
        x, y = np.tanh(x) * y, x / y
    return x + y


def program(compiled):
    return compiled._runner._execute.program


def test_wide_graphs_go_level_by_level_and_narrow_ones_straight_on():
    numbers = np.random.default_rng(5).standard_normal(50).tolist()
    compiled = dagexec.compile(dagexec.trace(wide)(numbers))
    compiled(numbers)
    assert isinstance(program(compiled), Levels)
    compiled = dagexec.compile(dagexec.trace(narrow)(1.0, 2.0))
    results = [compiled(0.5, 1.5), compiled(0.5, 1.5), compiled(np.array(0.5), 1.5)]
    assert isinstance(program(compiled), Straight)
    assert "tanh" in compiled.source
    assert "straight" in compiled.explain()
    assert [(type(result), result) for result in results] == [(np.float64, results[0])] * 3
    compiled = dagexec.compile(dagexec.trace(lambda x: np.sum(x * 2) * 3)(np.ones(3)))
    for _ in range(3):
        compiled(np.ones(3))
    assert isinstance(program(compiled), Program)


def test_python_numbers_give_way_where_numpy_warns():
    graph = dagexec.trace(lambda x, y: (x / y, np.exp(x)))(1.0, 1.0)
    straight = programs(dagexec.plan(graph))[1]
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert straight([1.0, 0.0], []) == [np.inf, np.exp(1.0)]
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert straight([1000.0, 1.0], []) == [1000.0, np.inf]
    assert straight([1.0, 2.0], []) == [0.5, np.exp(1.0)]


def test_the_number_that_raises_is_named():
    graph = dagexec.trace(lambda x, y: [a / b + 1 for a, b in zip(x, y)])([1.0, 2.0], [1.0, 1.0])
    number = graph.nodes.index(graph.outputs[1].inputs[0])
    for program in programs(dagexec.plan(graph)):
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError) as caught:
            program([1.0, 2.0, 3.0, 0.0], [])
        (note,) = caught.value.__notes__
        assert f"node %{number} divide" in note
        assert "test_levels.py" in note


def test_a_run_is_stopped_between_groups():
    numbers = np.random.default_rng(6).standard_normal(50).tolist()
    serial = Serial(dagexec.plan(dagexec.trace(wide)(numbers)))
    serial(serial.plan.values(numbers), None, [])
    with pytest.raises(KeyboardInterrupt):
        serial.by_program(numbers, [KeyboardInterrupt()])


def test_half_precision_and_complex_numbers_are_left_to_others():
    for number in (np.float16(1), 1j):
        assert scalars_of(dagexec.plan(dagexec.trace(lambda x: x * x + x)(number))) is None
