"""What `to_dot` says about a graph: which boxes and arrows there are, and where they stand."""

import re

import numpy as np
import pygraphviz
import pytest

import dagexec
from dagexec.coarsen import coarsen
from dagexec.draw import to_dot, to_networkx
from dagexec.graph import CONSTANT, Graph, Node, Spec
from dagexec.ops import python_op

SCALAR = Spec((), "float64")


@dagexec.block
def cell(x, h, w):
    return np.tanh(x @ w + h @ w)


def rnn(w, xs):
    h = np.zeros((2, 3))
    for x in xs:
        h = cell(x, h, w)
    with dagexec.scope("loss"):
        return np.sum(h**2)


def rnn_graph(steps=3):
    return dagexec.trace(rnn)(np.ones((3, 3)), [np.ones((2, 3))] * steps)


def parsed(graph, **choices):
    """The DOT text, read back: labels, frames (label and rectangle), arrows from tail to head.

    An input that is drawn once for each reader has one id: that it is drawn with first.
    """
    dot = pygraphviz.AGraph(string=to_dot(graph, **choices).to_string())
    nodes = [dot.get_node(key) for key in dot.nodes()]
    labels = {str(node): node.attr["label"].replace("\\n", " ") for node in nodes if "_" not in node}
    frames = [
        (part.graph_attr["label"], [float(x) for x in part.graph_attr["bb"].split(",")])
        for part in dot.subgraphs()
    ]
    arrows = {(tail.partition("_")[0], head) for tail, head in dot.edges()}
    return labels, frames, arrows


def inside(graph, **choices):
    """For each frame its label and the ids of the boxes in it."""
    dot = pygraphviz.AGraph(string=to_dot(graph, **choices).to_string())
    found = []
    for part in dot.subgraphs():
        left, low, right, high = (float(x) for x in part.graph_attr["bb"].split(","))
        keys = set()
        for key in dot.nodes():
            x, y = (float(at) for at in dot.get_node(key).attr["pos"].split(","))
            if left < x < right and low < y < high:
                keys.add(key)
        found.append((part.graph_attr["label"], keys))
    return found


def drawn(graph):
    """The ids that a picture of every op has."""
    return {
        f"n{number}"
        for number, node in enumerate(graph.nodes)
        if node.op.name not in ("item", "permute_dims")
        and not (node.op is CONSTANT and node.spec.shape == ())
    }


@pytest.mark.parametrize("style", ["plain", "bipartite"])
@pytest.mark.parametrize("group", [None, "level", "task"])
@pytest.mark.parametrize("color", ["phase", "op", "scope"])
def test_each_op_is_drawn_once_whatever_the_choices(style, group, color):
    graph = rnn_graph().backward()
    text = to_dot(graph, level="ops", style=style, group=group, color=color).to_string()
    for key in drawn(graph):
        assert len(re.findall(rf"^{key} \[", text, re.MULTILINE)) == 1


def test_arrows_are_those_of_the_graph():
    graph = dagexec.trace(lambda x, y: np.sum(np.tanh(x @ y) * x))(np.ones((3, 3)), np.ones((3, 3)))
    _, _, arrows = parsed(graph, level="ops")
    shown = drawn(graph)
    edges = {(f"n{a}", f"n{b}") for a, b in to_networkx(graph).edges}
    assert arrows == {edge for edge in edges if set(edge) <= shown}
    assert arrows


def test_what_the_forward_twin_has_read_comes_from_it_on_the_way_back():
    graph = dagexec.trace(lambda x, y: np.sum(x * y))(np.ones(3), np.ones(3)).backward((0, 1))
    _, _, arrows = parsed(graph, level="ops")
    number = {node: f"n{i}" for i, node in enumerate(graph.nodes)}
    (product,) = [node for node in graph.nodes if node.op.name == "multiply" and node.phase == "forward"]
    gradients = [node for node in graph.nodes if node.grad_of is product]
    assert len(gradients) == 2
    for node in gradients:  # g * y and g * x
        before = {tail for tail, head in arrows if head == number[node]}
        cotangent = next(source for source in node.inputs if source.phase == "backward")
        assert before == {number[product], number[cotangent]}


def test_transposes_stand_in_the_labels_of_the_products_that_read_them():
    graph = dagexec.trace(lambda x, w: np.sum(x @ w))(np.ones((2, 3)), np.ones((3, 4))).backward((0, 1))
    labels, _, _ = parsed(graph, level="ops")
    assert not any("permute" in label for label in labels.values())
    assert sum("matmul(·ᵀ, ·)" in label for label in labels.values()) == 1
    assert sum("matmul(·, ·ᵀ)" in label for label in labels.values()) == 1
    shown = dagexec.trace(lambda x: (x.T @ x, x.T))(np.ones((2, 3)))
    assert any("permute" in label for label in parsed(shown, level="ops")[0].values())


def test_items_are_not_drawn_and_arrows_pass_through_them():
    graph = dagexec.trace(lambda x: np.tanh(np.unstack(x)[1]))(np.ones((2, 3)))
    labels, _, arrows = parsed(graph, level="ops")
    name = {label.split(" ")[0]: key for key, label in labels.items()}
    assert set(name) == {"x", "unstack", "tanh"}
    assert arrows == {(name["x"], name["unstack"]), (name["unstack"], name["tanh"])}


def test_scalar_constants_stand_in_their_readers_labels():
    graph = dagexec.trace(lambda x: 1 - 2 * x)(np.ones((4, 5)))
    labels, _, _ = parsed(graph, level="ops")
    assert sorted(labels.values()) == ["1 − ·  4×5", "2 × ·  4×5", "x 4×5"]


def test_regions_fold_into_one_box_for_each_phase():
    graph = rnn_graph(steps=3).backward()
    labels, _, arrows = parsed(graph, level="high")
    key = {label: key for key, label in labels.items()}
    nodes = [node for node in graph.nodes if node.scope == ("cell[1]",)]
    counts = {phase: sum(node.phase == phase for node in nodes) for phase in ("forward", "backward")}
    forward, backward = f"cell[1] {counts['forward']} ops", f"∇cell[1] {counts['backward']} ops"
    assert counts["forward"] == 4
    assert forward in key
    assert backward in key
    assert (key[forward], key[backward]) in arrows  # what forward keeps for backward
    assert sum(label.startswith("cell[") for label in labels.values()) == 3


def test_gradient_sums_of_the_same_sources_are_one_folded_box():
    @dagexec.block
    def step(x, w, b):
        return np.tanh(x @ w + b)

    def chain(w, b, x):
        for _ in range(3):
            x = step(x, w, b)
        return np.sum(x)

    graph = dagexec.trace(chain)(np.ones((3, 3)), np.ones(3), np.ones((2, 3))).backward((0, 1))
    labels, _, arrows = parsed(graph, level="high")
    (sums,) = [key for key, label in labels.items() if "Σ" in label]
    assert labels[sums] == "∇b w Σ of 3 each"
    assert {labels[tail].split(" ")[0] for tail, head in arrows if head == sums} == {
        "∇step[0]", "∇step[1]", "∇step[2]",
    }  # fmt: skip


def test_what_one_rule_made_is_one_folded_box():
    graph = dagexec.trace(lambda x: np.max(np.max(x, 1)))(np.ones((3, 4))).backward()
    labels, _, _ = parsed(graph, level="high")
    made = [node for node in graph.nodes if node.phase == "backward"]
    folded = [label for label in labels.values() if label.startswith("∇max")]
    assert sum(int(label.split(" ")[-2]) for label in folded) <= len(made)
    assert len(folded) == 2


def test_the_shared_parameters_gradient_sum_is_one_folded_box():
    labels, _, _ = parsed(rnn_graph(steps=3).backward(), level="high")
    assert "∇w Σ 6 of 3×3" in labels.values()


def deep(layers, x):
    for p in layers:
        x = dense(p, x)
    with dagexec.scope("loss"):
        return np.sum(x**2)


@dagexec.block
def dense(p, x):
    return x @ p["weights"] + p["bias"]


def deep_graph(layers):
    params = [{"weights": np.ones((3, 3)), "bias": np.ones(3)} for _ in range(layers)]
    return dagexec.trace(deep)(params, np.ones((2, 3))).backward()


def test_of_many_inputs_those_that_the_same_boxes_read_are_one():
    labels, _, arrows = parsed(deep_graph(6), level="high")
    ids = {label: key for key, label in labels.items()}
    inputs = {label for label in labels.values() if "layers" in label and "∇" not in label}
    assert inputs == {f"layers.{number} 2 inputs" for number in range(6)}
    for number in range(6):
        assert (ids[f"layers.{number} 2 inputs"], ids[f"dense[{number}] 2 ops"]) in arrows


def test_few_inputs_are_drawn_one_by_one_and_so_are_all_where_ops_are():
    few, _, _ = parsed(deep_graph(2), level="high")
    assert {"layers.0.bias 3", "layers.0.weights 3×3"} < set(few.values())
    every, _, _ = parsed(deep_graph(6), level="ops")
    assert sum(label.startswith("layers.") for label in every.values()) == 12


def test_depth_says_how_much_of_the_scope_is_kept():
    @dagexec.block
    def inner(x):
        return np.tanh(x * x)

    @dagexec.block
    def outer(x):
        return inner(inner(x))

    graph = dagexec.trace(outer)(np.ones(3))
    assert set(parsed(graph, level="high")[0].values()) == {"x 3", "outer[0] 4 ops"}
    deeper = set(parsed(graph, level="high", depth=2)[0].values())
    assert deeper == {"x 3", "outer[0]/inner[0] 2 ops", "outer[0]/inner[1] 2 ops"}


def test_a_large_graph_is_folded_unless_the_level_is_asked_for():
    graph = rnn_graph(steps=30).backward()
    assert len(graph) > 300
    assert "cell[2] 4 ops" in parsed(graph)[0].values()
    assert "folded" in to_dot(graph).get_label()
    assert "cell[2] 4 ops" not in parsed(graph, level="ops")[0].values()


@pytest.mark.parametrize("style", ["plain", "bipartite"])
def test_bands_hold_ops_that_do_not_wait_for_each_other(style):
    graph = rnn_graph().backward()
    digraph = to_networkx(graph)
    bands = inside(graph, level="ops", group="level", style=style)
    ops = {key for key in drawn(graph) if graph.nodes[int(key[1:])].op.family != "structure"}
    for _, keys in bands:
        assert not digraph.subgraph({int(key[1:]) for key in keys & ops}).edges
    assert [sum(key in keys for _, keys in bands) for key in ops] == [1] * len(ops)
    for label, keys in bands:
        count = len({key for key in keys if key in ops})
        assert label.endswith(f": {count} at once") == (count > 1)
    assert {label.split(":")[0] for label, _ in bands} > {"forward 1", "forward 2", "backward 1"}


@pytest.mark.parametrize("style", ["plain", "bipartite"])
def test_task_frames_hold_what_a_coarse_plan_joins(style):
    x = np.ones((500, 500))
    graph = dagexec.trace(lambda w, x: np.sum(np.tanh(np.tanh(x @ w) @ w)))(x, x).backward()
    coarse = coarsen(dagexec.plan(graph))
    assert len(coarse.members) > 1
    frames = [
        {key for key in keys if key[0] == "n" and key in drawn(graph)}
        for _, keys in inside(graph, group="task", style=style)
    ]
    inputs = {number for number, node in enumerate(graph.nodes) if node.op.name == "input"}
    found = {frozenset(int(key[1:]) for key in keys) - inputs for keys in frames}
    phase = [node.phase for node in graph.nodes]
    parts = {
        frozenset(n for n in members if phase[n] == part and f"n{n}" in drawn(graph))
        for members in coarse.members.values()
        for part in ("forward", "backward")
    }
    assert found == parts - {frozenset()}


def test_a_task_frame_tells_how_many_nodes_and_how_long():
    graph = dagexec.trace(lambda x: np.sum(np.tanh(x @ x)))(np.ones((500, 500)))
    (seconds,) = coarsen(dagexec.plan(graph)).seconds[-1:]
    assert f'"task 1: 3 nodes, {seconds * 1e3:.3g} ms"' in to_dot(graph, group="task").to_string()


def test_task_frames_show_every_operation():
    graph = rnn_graph(steps=120)
    assert "cell[7] 4 ops" not in parsed(graph, group="task")[0].values()
    with pytest.raises(ValueError, match="level='high' folds them: choose level='ops'"):
        to_dot(graph, group="task", level="high")


def test_bipartite_pictures_have_a_square_between_ops():
    graph = dagexec.trace(lambda x: np.sum(np.tanh(x)))(np.ones(3))
    labels, _, arrows = parsed(graph, style="bipartite")
    assert arrows == {("n0", "n1"), ("n1", "v1"), ("v1", "n2"), ("n2", "v2")}
    text = to_dot(graph, style="bipartite").to_string()
    shape = dict(re.findall(r"^([nv]\d) \[.*shape=(\w+)", text, re.MULTILINE))
    assert shape == {"n0": "box", "n1": "ellipse", "v1": "box", "n2": "ellipse", "v2": "box"}
    assert labels["v1"] == "3"


def test_elements_of_a_gradient_are_named_among_scalars():
    graph = dagexec.trace(lambda A, x: np.sum(A @ x))(np.ones((2, 2)), np.ones(2)).backward()
    (labels, _, _) = parsed(graph, level="scalar")
    named = sorted(label.split(" = ")[0] for label in labels.values() if label.startswith("∇"))
    assert named == ["∇A[0,0]", "∇A[0,1]", "∇A[1,0]", "∇A[1,1]"]


def test_the_scalar_picture_shows_nothing_but_scalars():
    graph = dagexec.trace(lambda A, x: A @ x)(np.ones((3, 3)), np.ones(3))
    labels, _, _ = parsed(graph, level="scalar")
    counted = {label: list(labels.values()).count(label) for label in ("×", "+")}
    assert counted == {"×": 9, "+": 6}
    elements = {f"A[{i},{j}]" for i in range(3) for j in range(3)} | {f"x[{i}]" for i in range(3)}
    assert set(labels.values()) - {"×", "+"} == elements


def test_the_loss_and_the_sum_of_gradients_are_told_without_colour():
    text = to_dot(rnn_graph().backward(), level="high").to_string()
    (loss,) = re.findall(r'^n\d+ \[label="loss.*$', text, re.MULTILINE)
    (total,) = re.findall(r'^n\d+ \[label="∇w.*$', text, re.MULTILINE)
    assert "peripheries=2" in loss
    assert "Σ" in total


def test_a_region_entered_again_is_still_drawn():
    nodes = [Node(python_op(len), scope=("a",))]
    for scope in ("b", "a", "b", "a"):
        nodes.append(Node(python_op(len), (nodes[-1],), scope=(scope,)))
    _, _, arrows = parsed(Graph(nodes, [], nodes[-1:]), level="high")
    assert arrows == {("n0", "n1"), ("n1", "n0")}


def test_an_empty_graph_has_a_picture():
    assert parsed(Graph([], [], []))[0] == {}


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("level", "low", "'scalar'"),
        ("style", "fancy", "'bipartite'"),
        ("group", "x", "'level'"),
        ("color", "x", "'op'"),
        ("theme", "x", "'dark'"),
    ],
)
def test_an_unknown_choice_is_refused_with_those_known(name, value, known):
    with pytest.raises(ValueError, match=f"{name}={value!r} is not one of .*{known}"):
        to_dot(rnn_graph(), **{name: value})


@pytest.mark.parametrize("depth", [0, "1", 1.5])
def test_a_depth_that_is_no_number_from_one_on_is_refused(depth):
    with pytest.raises(ValueError, match=f"depth={depth!r}: at least one name"):
        to_dot(rnn_graph(), level="high", depth=depth)
