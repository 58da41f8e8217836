"""Tracing: pytrees in and out, where nodes are made, and errors that name the user's line."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest

from dagexec import xp
from dagexec.array import Array, TracingError
from dagexec.graph import Spec
from dagexec.pytrees import NAMESPACE
from dagexec.tracing import block, scope, trace
from tests.oracle import assert_same, evaluate, leaves_of, traced


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass
class Layer:
    weight: Any
    bias: Any = None


@dataclass(frozen=True)
class Frozen:
    scale: Any
    layers: Any = field(default_factory=list)


@dataclass
class Checked:
    """Refuses to be built from anything but arrays, as a user's class may."""

    x: Any

    def __post_init__(self) -> None:
        if not isinstance(self.x, np.ndarray):
            raise TypeError("x must be an ndarray")


ONE, TWO = np.ones(2), np.full((2, 2), 2.0)


def user_lines(graph: Any) -> set[str]:
    return {node.where[0] for node in graph.nodes if node.where}


# --- pytrees --------------------------------------------------------------------------------------------
TREES = {
    "array": ONE,
    "number": 2.5,
    "list": [ONE, TWO],
    "tuple": (ONE, (TWO, 1.0)),
    "dict": {"b": ONE, "a": {"c": TWO}},
    "ordered dict": OrderedDict(b=ONE, a=TWO),
    "named tuple": Pair(ONE, [TWO]),
    "dataclass": Layer(TWO, ONE),
    "dataclass with None": Layer(TWO),
    "frozen dataclass": Frozen(2.0, [Layer(TWO, ONE), Layer(TWO)]),
    "checking dataclass": Checked(ONE),
    "nested": {"layers": [Layer(TWO, Pair(ONE, None)), (ONE,)], "none": None, "empty": ()},
}


def doubled(tree: Any) -> Any:
    import optree

    return optree.tree_map(lambda leaf: leaf * 2, tree, namespace=NAMESPACE)


@pytest.mark.parametrize("name", TREES)
def test_arguments_and_results_keep_their_structure(name: str) -> None:
    tree = TREES[name]
    seen = []

    def fn(tree: Any) -> Any:
        seen.append(type(tree))
        return doubled(tree)

    graph = trace(fn)(tree)
    result = evaluate(graph, tree)
    assert type(result) is type(tree) or isinstance(tree, float)
    assert_same(leaves_of(result), [np.asarray(leaf) * 2.0 for leaf in leaves_of(tree)])
    assert len(graph.inputs) == len(graph.outputs) == len(leaves_of(tree))


def test_none_is_structure_and_not_an_array() -> None:
    graph = trace(lambda x, mask: (x if mask is None else x * mask, mask))(ONE, None)
    assert len(graph.inputs) == 1
    assert evaluate(graph, ONE, None)[1] is None


def test_arguments_are_named_by_their_path() -> None:
    def fn(params: Any, x: Any, *rest: Any) -> Any:
        return x

    graph = trace(fn)({"w": [ONE, TWO]}, ONE, Layer(TWO, 1.0), 3)
    assert [node.name for node in graph.inputs] == [
        "params.w.0", "params.w.1", "x", "arg2.weight", "arg2.bias", "arg3"
    ]  # fmt: skip
    assert graph.name == "fn"
    assert trace(np.tanh)(ONE).name == "tanh"


def test_only_shape_and_dtype_of_an_example_matter() -> None:
    for example in (np.ones((2, 3), np.float32), Spec((2, 3), np.float32), np.zeros((2, 3), "f4")[:, ::-1]):
        graph = trace(lambda x: x + 1)(example)
        assert graph.inputs[0].spec == Spec((2, 3), np.float32)
    assert [node.spec.dtype.name for node in trace(lambda *x: x)(1, 2.0, True, [1, 2]).inputs][:3] == [
        "int64", "float64", "bool"
    ]  # fmt: skip


@pytest.mark.parametrize(("example", "told"), [
    ("text", "a str"),
    (object(), "a object"),
    (lambda: 1, "a function"),
    (np.array(["a"]), "an array of <U1"),
    (np.array([None]), "an array of object"),
    (2**64, "an int of more than 64 bits"),
])  # fmt: skip
def test_argument_that_is_no_number_is_refused_by_name(example: Any, told: str) -> None:
    with pytest.raises(TypeError, match=rf"argument p\.a is {told}: only numbers and numeric arrays"):
        trace(lambda p: p)({"a": example})


@pytest.mark.parametrize("result", ["text", object(), np.array(["a"])])
def test_result_that_is_no_number_is_refused(result: Any) -> None:
    with pytest.raises(TypeError, match="is no number or numeric array"):
        trace(lambda x: (x, result))(ONE)


def test_results_may_be_constants_arguments_and_the_same_value_twice() -> None:
    def fn(x: Any, y: Any) -> Any:
        z = x + 1
        return z, z, x, 3, np.arange(2), y

    graph = trace(fn)(ONE, TWO)
    assert_same(list(evaluate(graph, ONE, TWO)), [ONE + 1, ONE + 1, ONE, np.asarray(3), np.arange(2), TWO])


def test_what_the_result_does_not_need_is_dropped() -> None:
    def fn(x: Any, unused: Any) -> Any:
        np.tanh(x) @ np.ones(2)
        return x + 1

    graph = trace(fn)(ONE, TWO)
    assert [node.op.name for node in graph.nodes] == ["input", "input", "constant", "add"]
    assert [node.name for node in graph.inputs] == ["x", "unused"]


def test_nodes_stand_in_topological_order_with_the_inputs_first() -> None:
    graph = trace(lambda x, y: np.tanh(3 * x) @ (y + 1))(ONE, TWO)
    places = {node: k for k, node in enumerate(graph.nodes)}
    assert all(places[source] < places[node] for node in graph.nodes for source in node.inputs)
    assert graph.nodes[:2] == graph.inputs


def test_function_is_called_once_and_not_when_the_graph_runs() -> None:
    calls = []
    graph = trace(lambda x: calls.append(1) or x + 1)(ONE)
    evaluate(graph, ONE)
    evaluate(graph, ONE * 5)
    assert calls == [1]


def test_closure_and_default_arguments_are_constants() -> None:
    def fn(x: Any, scale: Any = TWO) -> Any:
        return x @ scale + ONE

    graph = trace(fn)(ONE)
    assert len(graph.inputs) == 1
    assert_same(evaluate(graph, ONE), ONE @ TWO + ONE)


def test_trace_within_a_trace_is_a_graph_of_its_own() -> None:
    inner = []

    def fn(x: Any) -> Any:
        inner.append(trace(lambda y: y * 2)(x))
        return x + 1

    outer = trace(fn)(ONE)
    assert [node.op.name for node in inner[0].nodes] == ["input", "constant", "multiply"]
    assert "multiply" not in [node.op.name for node in outer.nodes]


def test_error_in_the_function_leaves_no_trace_open() -> None:
    with pytest.raises(ZeroDivisionError):
        trace(lambda x: 1 // 0)(ONE)
    assert_same(xp.add(ONE, 1), ONE + 1)
    assert_same(traced(lambda x: x + 1, ONE), ONE + 1)


def test_chain_of_20000_nodes_is_traced_without_recursion() -> None:
    def fn(x: Any) -> Any:
        for _ in range(20_000):
            x = np.sin(x)
        return x

    assert len(trace(fn)(1.0)) == 20_001


# --- where nodes are made -------------------------------------------------------------------------------
def test_node_knows_the_users_file_and_line() -> None:
    def fn(x: Any) -> Any:
        y = np.tanh(x)
        z = x @ y
        return xp.sum(z) + np.mean(x)

    graph = trace(fn)(ONE)
    first = fn.__code__.co_firstlineno
    lines = {node.op.name: node.where[1] - first for node in graph.nodes if node.where}
    assert lines == {"tanh": 1, "matmul": 2, "sum": 3, "mean": 3, "add": 3}
    assert user_lines(graph) == {__file__}


def test_functions_of_several_ops_name_the_users_line_too() -> None:
    graph = trace(
        lambda x: (np.einsum("ij,ij->i", x, x), np.tile(x, 2), x.std(), np.average(x, 0, ONE), x[[0], 1])
    )(TWO)
    assert user_lines(graph) == {__file__}
    assert user_lines(trace(lambda x: np.sum(np.prod(x, axis=0)))(TWO).backward()) == {__file__}


def test_scopes_nest() -> None:
    def fn(x: Any) -> Any:
        with scope("encoder"):
            x = np.sin(x)
            with scope("layer[0]"):
                x = np.cos(x)
        return np.tanh(x)

    graph = trace(fn)(ONE)
    assert [node.scope for node in graph.nodes[1:]] == [("encoder",), ("encoder", "layer[0]"), ()]


def test_scope_sets_the_phase_and_sets_it_back() -> None:
    def fn(x: Any) -> Any:
        with scope("sgd", phase="update"):
            with scope("inner"):
                x = np.sin(x)
            x = np.cos(x)
        return np.tanh(x)

    assert [node.phase for node in trace(fn)(ONE).nodes[1:]] == ["update", "update", "forward"]


def test_scope_is_left_when_an_error_leaves_it() -> None:
    def fn(x: Any) -> Any:
        try:
            with scope("broken", phase="update"):
                raise KeyError
        except KeyError:
            return np.sin(x)

    node = trace(fn)(ONE).nodes[-1]
    assert (node.scope, node.phase) == ((), "forward")


def test_unknown_phase_is_refused() -> None:
    with (
        pytest.raises(ValueError, match="phase is 'sideways'; it can be forward, backward, update"),
        scope("s", phase="sideways"),
    ):
        pass


def test_scope_and_block_do_nothing_outside_of_a_trace() -> None:
    @block
    def double(x: Any) -> Any:
        """Twice x."""
        return x * 2

    with scope("anything"):
        assert_same(double(ONE), ONE * 2)
    assert (double.__name__, double.__doc__) == ("double", "Twice x.")


def test_blocks_are_numbered_within_their_surroundings() -> None:
    @block
    def cell(x: Any) -> Any:
        return np.tanh(x)

    @block
    def layer(x: Any) -> Any:
        return cell(cell(x))

    graph = trace(lambda x: cell(layer(layer(x))))(ONE)
    assert [node.scope for node in graph.nodes[1:]] == [
        ("layer[0]", "cell[0]"),
        ("layer[0]", "cell[1]"),
        ("layer[1]", "cell[0]"),
        ("layer[1]", "cell[1]"),
        ("cell[0]",),
    ]
    assert trace(cell)(ONE).nodes[-1].scope == ("cell[0]",)  # each trace counts anew


# --- errors ---------------------------------------------------------------------------------------------
BUFFER = np.zeros((2, 2))


def _assign_into_ndarray(x: Any) -> Any:
    BUFFER[0] = x[0]
    return BUFFER


def _branch(x: Any) -> Any:
    if np.sum(x) > 0:
        return x
    return -x


class Misuse(NamedTuple):
    fn: Callable[[Any], Any]
    error: type[Exception]
    message: str


MISUSES = {
    "if": Misuse(_branch, TracingError, r"bool\(\) needs the value.*xp\.where"),
    "and": Misuse(lambda x: x.sum() > 0 and x, TracingError, r"bool\(\) needs the value.*xp\.where"),
    "chained comparison": Misuse(lambda x: 0 < x < 1, TracingError, r"bool\(\) needs the value"),
    "min": Misuse(lambda x: min(x[0, 0], 1.0), TracingError, r"bool\(\) needs the value"),
    "in": Misuse(lambda x: x.sum() in [1.0], TracingError, r"bool\(\) needs the value"),
    "float": Misuse(
        lambda x: float(x.sum()), TracingError, r"float\(\) needs the value of Array\(float64\[\], sum\)"
    ),
    "math": Misuse(lambda x: __import__("math").sin(x.sum()), TracingError, r"float\(\) needs the value"),
    "int": Misuse(lambda x: int(x.sum()), TracingError, r"int\(\) needs the value"),
    "complex": Misuse(lambda x: complex(x.sum()), TracingError, r"complex\(\) needs the value"),
    "item": Misuse(lambda x: x.sum().item(), TracingError, r"item\(\) needs the value"),
    "tolist": Misuse(lambda x: x.tolist(), TracingError, r"tolist\(\) needs the value"),
    "range": Misuse(lambda x: range(x.sum()), TracingError, "an index, length or count needs the value"),
    "list index": Misuse(lambda x: [1, 2][x.sum()], TracingError, r"use xp\.take for an index"),
    "asarray": Misuse(lambda x: np.asarray(x), TracingError, "making a NumPy array needs the value"),
    "array of arrays": Misuse(lambda x: np.array([x, x]), TracingError, r"xp\.stack for a list of arrays"),
    "array of scalars": Misuse(lambda x: np.array([x.sum(), 1.0]), TracingError, "making a NumPy array"),
    "ndarray indexed": Misuse(lambda x: BUFFER[x.astype(int)], TracingError, "making a NumPy array"),
    "ndarray assigned": Misuse(_assign_into_ndarray, TracingError, "making a NumPy array"),
    "vectorize": Misuse(lambda x: np.vectorize(abs)(x), TracingError, "making a NumPy array"),
    "out=": Misuse(
        lambda x: np.tanh(x, out=BUFFER), TypeError, r"np\.tanh: out= is a NumPy array.*xp\.zeros"
    ),
    "out= of a function": Misuse(
        lambda x: np.sum(x, out=BUFFER), TypeError, r"np\.sum: out= is a NumPy array"
    ),
    "where=": Misuse(
        lambda x: np.add(x, 1, where=BUFFER > 0),
        TypeError,
        r"np\.add: where= leaves elements without a value",
    ),
    "unknown argument": Misuse(
        lambda x: np.clip(x, 0, extra=1), TypeError, "unexpected keyword argument 'extra'"
    ),
    "order=": Misuse(lambda x: x.reshape(4, order="Z"), ValueError, "order 'Z' is not known"),
    "boolean mask": Misuse(lambda x: x[x > 0], TracingError, r"depends on the mask's values.*xp\.where"),
    "function without counterpart": Misuse(lambda x: np.roots(x), TypeError, r"np\.roots can't be traced"),
    "function of values": Misuse(lambda x: np.unique(x), TypeError, r"np\.unique can't be traced: the shape"),
    "ufunc without counterpart": Misuse(lambda x: np.frexp(x), TypeError, r"np\.frexp can't be traced"),
    "ufunc.at": Misuse(lambda x: np.add.at(BUFFER, 0, x), TypeError, r"np\.add\.at: a NumPy array"),
    "len of a scalar": Misuse(lambda x: len(x.sum()), TypeError, r"len\(\) of a 0-d array"),
    "iteration of a scalar": Misuse(lambda x: [*x.sum()], TypeError, "iteration over a 0-d array"),
    "too many operands": Misuse(lambda x: xp.sin(x, x), TypeError, r"sin: sin\(\) takes 1 positional"),
    "too few operands": Misuse(lambda x: xp.add(x), TypeError, r"add: add\(\) missing 1 required"),
    "where of one": Misuse(lambda x: np.where(x > 0), TypeError, r"np\.where\(condition\) without values"),
    "text as operand": Misuse(lambda x: np.add(x, "a"), TypeError, "str 'a' is no number or numeric array"),
    "None as operand": Misuse(lambda x: x**None, TypeError, "NoneType None is no number or numeric array"),
    "objects as operand": Misuse(lambda x: x * np.array([{}]), TypeError, "is no number or numeric array"),
    "ragged list": Misuse(lambda x: x + [[1], [2, 3]], ValueError, "inhomogeneous"),
    "shapes": Misuse(
        lambda x: x + np.ones(3),
        ValueError,
        r"add of float64\[2,2\] and float64\[3\]: shapes \(2, 2\) and \(3,\) do not broadcast",
    ),
    "inner lengths": Misuse(
        lambda x: x @ np.ones((3, 2)),
        ValueError,
        r"matmul of float64\[2,2\] and float64\[3,2\]: the last axis",
    ),
    "shapes of three": Misuse(
        lambda x: xp.clip(x, np.ones(3), 2),
        ValueError,
        r"clip of float64\[2,2\] and float64\[3\] and float64\[\]: shapes",
    ),
    "dtypes": Misuse(
        lambda x: x & (x > 0),
        TypeError,
        r"bitwise_and of float64\[2,2\] and bool\[2,2\]: not defined for float64 and bool",
    ),
    "negative of bool": Misuse(
        lambda x: -(x > 0), TypeError, r"negative of bool\[2,2\]: not defined for bool"
    ),
}


@pytest.mark.parametrize("name", MISUSES)
def test_error_names_culprit_and_the_users_line(name: str) -> None:
    fn, error, message = MISUSES[name]
    with pytest.raises(error, match=message) as caught:
        trace(fn)(TWO)
    assert type(caught.value) is error
    text = str(caught.value)
    assert "\n" not in text
    assert f"{__file__}:" in text
    line = int(text.rpartition(f"{__file__}:")[2].split(")")[0])
    first = fn.__code__.co_firstlineno
    assert line in {first + offset for _, _, offset in _lines(fn, first)}


def _lines(fn: Any, first: int) -> list[tuple[int, int, int]]:
    return [(start, end, line - first) for start, end, line in fn.__code__.co_lines() if line]


def test_number_put_into_an_ndarray_names_the_line_in_its_cause() -> None:
    def fn(x: Any) -> Any:
        BUFFER[0, 0] = x[0, 0]

    with pytest.raises((TypeError, ValueError)) as caught:  # NumPy puts its own message before ours
        trace(fn)(TWO)
    causes = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert any(isinstance(cause, TracingError) and __file__ in str(cause) for cause in causes)


def test_unsupported_operand_is_left_to_the_other_operand() -> None:
    class Other:
        def __radd__(self, other: Any) -> str:
            return "other"

    seen = []
    trace(lambda x: seen.append(x + Other()) or x)(ONE)
    assert seen == ["other"]
    with pytest.raises(TypeError, match="unsupported operand"):
        trace(lambda x: x + "a")(ONE)


def test_array_used_after_its_trace_is_an_error_at_the_users_line() -> None:
    kept: list[Array] = []
    trace(lambda x: kept.append(x) or x)(ONE)
    for use in (lambda: kept[0] + 1, lambda: np.sin(kept[0]), lambda: kept[0][0], lambda: xp.sum(kept[0])):
        with pytest.raises(TracingError, match=r"used after its trace has ended.*test_tracing\.py:\d+\)"):
            use()
    assert kept[0].shape == (2,)  # what it knows, it still tells


def test_array_of_another_trace_is_an_error_with_the_users_line() -> None:
    kept: list[Array] = []
    trace(lambda x: kept.append(x * 2) or x)(ONE)
    with pytest.raises(TracingError, match=r"add \(.*test_tracing\.py:\d+\) uses an array of another trace"):
        trace(lambda x: x + kept[0])(ONE)
    with pytest.raises(TracingError, match="the result holds an array of another trace"):
        trace(lambda x: kept[0])(ONE)


def test_array_of_an_outer_trace_is_not_let_into_an_inner_one() -> None:
    with pytest.raises(TracingError, match="array of another trace"):
        trace(lambda x: trace(lambda y: y + x)(1.0) and x)(ONE)


def test_error_that_the_function_raises_itself_is_passed_on() -> None:
    with pytest.raises(KeyError, match="mine"):
        trace(lambda x: {}["mine"])(ONE)
