"""Spec, Node and Graph: values that check themselves and print themselves."""

import pickle

import numpy as np
import pytest

from dagexec.graph import INPUT, Graph, Node, Op, Spec, method_of, reachable
from dagexec.ops import TABLE
from dagexec.ops.table import bytes_moved, declare, normalize_axes, operations, specs_of
from dagexec.tracing import trace


def chain(length: int) -> list[Node]:
    nodes = [Node(INPUT, spec=Spec((2,), "f8"), name="x")]
    for _ in range(length):
        nodes.append(Node(TABLE["sin"], (nodes[-1],), spec=nodes[-1].spec))
    return nodes


def test_spec_knows_what_an_array_of_it_takes() -> None:
    for shape in ((), (3,), (2, 0), (2, 3, 4)):
        array, spec = np.empty(shape, np.float32), Spec(shape, "f4")
        assert (spec.ndim, spec.size, spec.nbytes) == (array.ndim, array.size, array.nbytes)


def test_specs_are_equal_by_shape_and_dtype() -> None:
    assert Spec((2,), "f4") == Spec((2,), np.float32)
    assert len({Spec((2,), "f4"), Spec((2,), np.float32), Spec((2,), "f8"), Spec((3,), "f4")}) == 3
    assert Spec((2,), "f4") != (2,)
    assert repr(Spec((2, 3), "i8")) == "int64[2,3]"


def test_nodes_are_compared_by_identity() -> None:
    first, second = chain(0)[0], chain(0)[0]
    assert first != second
    assert len({first, second}) == 2


def test_node_that_reads_a_later_one_is_refused() -> None:
    nodes = chain(2)
    with pytest.raises(ValueError, match=r"<sin .*> reads <sin .*>, which does not stand before it"):
        Graph([nodes[0], nodes[2], nodes[1]], nodes[:1], nodes[-1:])


def test_input_and_output_must_be_nodes_of_the_graph() -> None:
    nodes, other = chain(2), chain(0)[0]
    with pytest.raises(ValueError, match="not one of its nodes"):
        Graph(nodes, [other], nodes[-1:])
    with pytest.raises(ValueError, match="not one of its nodes"):
        Graph(nodes[:2], nodes[:1], nodes[-1:])


def test_graph_without_a_tree_takes_and_gives_tuples() -> None:
    nodes = chain(2)
    graph = Graph(iter(nodes), nodes[:1], nodes[1:])
    assert len(graph) == 3
    assert (graph.in_tree.num_leaves, graph.out_tree.num_leaves) == (1, 2)
    assert repr(graph) == "<Graph graph: 3 nodes>"


def test_printed_graph_shows_arguments_nodes_phases_and_results() -> None:
    def loss(p: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
        return np.sum(np.tanh(x @ p["w"]) * 2.0, axis=0)

    graph = trace(loss)({"w": np.ones((3, 2))}, np.ones((4, 3)))
    assert str(graph).split("\n") == [
        "loss(p.w: float64[3,2], x: float64[4,3]):",
        "  %2 = matmul(x, p.w)                            float64[4,2]",
        "  %3 = tanh(%2)                                  float64[4,2]",
        "  %5 = multiply(%3, 2.0)                         float64[4,2]",
        "  %6 = sum(%5, axis=(0,), keepdims=False)        float64[2]",
        "  return %6",
    ]
    lines = str(trace(lambda x: np.sum(x * x))(np.ones(2)).backward()).split("\n")
    assert lines.count("  # backward") == 1
    assert lines[-1].startswith("  return ")


def test_printing_hides_the_values_of_large_constants() -> None:
    text = str(trace(lambda x: x + np.arange(1000.0))(1.0))
    assert len(text) < 400


def test_reachable_keeps_order_and_leaves_out_what_is_not_needed() -> None:
    nodes = chain(3)
    side = Node(TABLE["cos"], (nodes[1],), spec=nodes[1].spec)
    order = [*nodes[:2], side, *nodes[2:]]
    assert reachable(order, [nodes[-1]]) == nodes
    assert reachable(order, [side]) == [*nodes[:2], side]
    assert reachable(order, []) == []


def test_op_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="op 'sin' belongs to a table"):
        pickle.dumps(TABLE["sin"])


def test_name_stands_in_the_table_once() -> None:
    with pytest.raises(ValueError, match="op 'sin' is declared twice"):
        declare(Op("sin", lambda x: x, lambda xp: xp.sin))


def test_row_stands_under_its_own_name_with_what_describes_it() -> None:
    for name, op in TABLE.items():
        assert op.name == name == repr(op)
        assert op.family, name
        assert op.doc or op.family == "structure", name


def test_method_of_a_later_stage_is_documented_there() -> None:
    class Owner:
        pass

    @method_of(Owner)
    def size(owner: Owner) -> int:
        """One."""
        return 1

    assert Owner().size() == size(Owner()) == 1  # type: ignore[attr-defined]
    assert Graph.backward.__doc__


@pytest.mark.parametrize(
    ("axis", "ndim", "expected"),
    [
        (None, 2, (0, 1)),
        (-1, 3, (2,)),
        ((-1, 0), 3, (0, 2)),
        ([1], 2, (1,)),
        ((), 2, ()),
        (np.int64(0), 1, (0,)),
    ],
)
def test_axes_are_sorted_and_counted_from_the_front(axis: object, ndim: int, expected: object) -> None:
    assert normalize_axes(axis, ndim) == expected  # type: ignore[arg-type]


def test_cost_counts_operations_and_bytes() -> None:
    graph = trace(lambda a, b: np.sum(a @ b))(np.ones((2, 3)), np.ones((3, 4)))
    matmul, total = graph.nodes[-2:]
    assert operations(matmul) == 2 * 2 * 3 * 4
    assert operations(total) == 2 * 4
    assert bytes_moved(matmul) == 8 * (6 + 12 + 8)
    assert operations(graph.inputs[0]) == 0
    assert bytes_moved(graph.inputs[0]) == 0


def test_every_node_of_a_traced_graph_has_a_cost() -> None:
    def everything(x: np.ndarray) -> list[np.ndarray]:
        first, second = np.split(np.stack([x, x]), 2)
        return [np.mean(first[0] ** 2.5), np.max(second.T), np.where(x > 0, x, 0)[np.array([0, 1])]]

    for node in trace(everything)(np.ones(3)).nodes:
        assert operations(node) >= 0
        assert bytes_moved(node) >= 0
        assert all(isinstance(spec, Spec) for spec in specs_of(node))
