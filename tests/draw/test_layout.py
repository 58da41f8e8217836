"""Where boxes, frames and arrows stand: what a picture of a training graph promises, by definition."""

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.draw.chips import with_chips
from dagexec.draw.dot import _scope_frames
from dagexec.draw.labels import text_width
from dagexec.draw.layout import lay_out
from dagexec.draw.picture import picture
from dagexec.draw.twins import _sorted
from dagexec.graph import INPUT, Graph, Node, Spec
from dagexec.ops import python_op


@dagexec.block
def cell(x, h, w, u, v):
    h = np.tanh(x @ w + h @ u)
    return h, h @ v


def rnn(w, u, v, xs):
    h, outputs = np.zeros((2, 3)), []
    for x in xs:
        h, output = cell(x, h, w, u, v)
        outputs.append(output)
    with dagexec.scope("loss"):
        return np.sum(np.stack(outputs) ** 2)


def rnn_graph(steps=4):
    square = np.ones((3, 3))
    return dagexec.trace(rnn)(square, square, square, np.ones((steps, 2, 3))).backward((0, 1, 2))


def laid_out(graph, level="ops", style="plain", by_level=False, depth=1, brief=False):
    """The picture, its layout, and the rectangles of its boxes by the key: left, top, right, bottom."""
    seen = with_chips(picture(graph, level=level, depth=depth, brief=brief, bipartite=style == "bipartite"))
    layout = lay_out(seen, _scope_frames(seen), by_level=by_level, style=style)
    return seen, layout, {key: corners(place) for key, place in layout.boxes.items()}


def corners(place):
    x, y, half, high = place.x, place.y, place.width / 2, place.height / 2
    return x - half, y - high, x + half, y + high


def overlap(one, other, slack=0.01):
    return (
        one[0] < other[2] - slack
        and other[0] < one[2] - slack
        and one[1] < other[3] - slack
        and other[1] < one[3] - slack
    )


def on_curve(points, steps=8):
    """Points on a Bézier curve of 3n + 1 control points."""
    for at in range(0, len(points) - 1, 3):
        p = np.array(points[at : at + 4])
        for t in np.linspace(0, 1, steps):
            yield tuple(
                (1 - t) ** 3 * p[0] + 3 * t * (1 - t) ** 2 * p[1] + 3 * t**2 * (1 - t) * p[2] + t**3 * p[3]
            )


def crossed(line, rectangles):
    """The boxes that an arrow crosses, but for those at its ends."""
    return {
        key
        for x, y in [*on_curve(line.points), line.tip]
        for key, (left, top, right, bottom) in rectangles.items()
        if key not in (line.arrow.source, line.arrow.target) and left < x < right and top < y < bottom
    }


def test_an_arrow_goes_around_the_chips_on_its_target():
    x, y = (Node(INPUT, spec=Spec((3,), "float64"), name=name) for name in "xy")
    forward = Node(python_op(len), (x,))
    above = Node(python_op(len), phase="backward", grad_of=forward)
    beneath = Node(python_op(len), (above, y), phase="backward", grad_of=forward)
    _, layout, rectangles = laid_out(Graph([x, y, forward, above, beneath], [x, y], [beneath]))
    assert rectangles["n3"][3] < rectangles["n1"][1] < rectangles["n4"][1]  # y stands between the two
    (line,) = [line for line in layout.lines if line.arrow.source == "n3"]
    assert not crossed(line, rectangles)


def test_a_backward_op_stands_in_the_column_beneath_its_forward_twin():
    seen, layout, _ = laid_out(rnn_graph())
    twins = [
        (box, layout.boxes[box.twin]) for box in seen.boxes if box.twin in layout.boxes and box.role != "sum"
    ]
    twins = [(box, twin) for box, twin in twins if box.phase == "backward"]
    assert len(twins) > 20
    for box, twin in twins:
        assert layout.boxes[box.key].x == pytest.approx(twin.x), box
        assert layout.boxes[box.key].y > twin.y


@pytest.mark.parametrize("level", ["high", "ops"])
def test_forward_runs_to_the_right_above_and_backward_to_the_left_beneath(level):
    seen, layout, _ = laid_out(rnn_graph(), level)
    phase = {box.key: box.phase for box in seen.boxes if box.beside is None}
    assert max(layout.boxes[key].y for key in phase if phase[key] == "forward") < min(
        layout.boxes[key].y for key in phase if phase[key] == "backward"
    )
    for arrow in seen.arrows:
        if arrow.source in phase and phase[arrow.source] == phase[arrow.target]:
            step = layout.boxes[arrow.target].x - layout.boxes[arrow.source].x
            assert step > 0 if phase[arrow.target] == "forward" else step <= 0.01


def test_the_loss_stands_at_the_turn():
    seen, _, rectangles = laid_out(rnn_graph(), "high")
    (loss,) = [box.key for box in seen.boxes if box.role == "loss"]
    assert rectangles[loss][2] == max(right for _, _, right, _ in rectangles.values())


def test_cells_stand_in_a_row():
    seen, layout, _ = laid_out(rnn_graph(), "high")
    for phase in ("forward", "backward"):
        cells = [layout.boxes[box.key] for box in seen.boxes if box.kind == "fold" and box.phase == phase]
        assert len(cells) == 5
        assert len({round(place.y, 3) for place in cells}) == 1


def test_sums_of_shared_gradients_stand_in_one_row_a_parameter_beneath_all_else():
    seen, layout, rectangles = laid_out(rnn_graph())
    sums = [box for box in seen.boxes if box.role == "sum" and not box.scope]
    rows = {}
    for box in sums:
        rows.setdefault(round(layout.boxes[box.key].y, 3), set()).add(box.twin)
    assert len(sums) == 9  # four gradients each of three parameters
    assert all(len(parameters) == 1 for parameters in rows.values())
    others = [rectangles[box.key][3] for box in seen.boxes if box not in sums]
    assert min(rectangles[box.key][1] for box in sums) > max(others)


def test_blocks_that_are_alike_look_alike():
    graph = rnn_graph()
    seen, layout, _ = laid_out(graph)
    shapes = {}
    for box in seen.boxes:
        if box.scope and box.scope[0].startswith("cell") and box.beside is None and box.phase == "forward":
            shapes.setdefault(box.scope, []).append((box.label, layout.boxes[box.key]))
    shapes = [sorted(found, key=lambda part: (part[1].x, part[1].y)) for found in shapes.values()]
    assert len(shapes) == 4
    first = shapes[0]
    for other in shapes[1:]:
        assert [label for label, _ in other] == [label for label, _ in first]
        shift = other[0][1].x - first[0][1].x
        for (_, one), (_, two) in zip(first, other):
            assert two.x - one.x == pytest.approx(shift)
            assert two.y == pytest.approx(one.y)


def test_the_first_and_the_last_step_stand_on_the_way_back_as_those_between():
    seen, layout, _ = laid_out(rnn_graph(2))
    place = {}
    for box in seen.boxes:
        if box.scope and box.scope[0].startswith("cell") and box.phase == "backward" and box.beside is None:
            place.setdefault(box.scope[0], {})[box.label, layout.boxes[box.twin].y] = layout.boxes[box.key].y
    first, last = place["cell[0]"], place["cell[1]"]
    assert first.keys() != last.keys()  # the first sends nothing on, the last adds nothing
    common = first.keys() & last.keys()
    assert len(common) >= 5
    assert {key: first[key] for key in common} == {key: last[key] for key in common}


def test_an_input_stands_once_on_each_box_that_reads_it():
    seen, layout, rectangles = laid_out(rnn_graph())
    chips = [box for box in seen.boxes if box.beside is not None]
    weights = [chip for chip in chips if chip.label[0].startswith("w ")]
    assert len({chip.beside for chip in weights}) == len(weights) == 4
    for chip in chips:
        assert layout.boxes[chip.key].x == pytest.approx(layout.boxes[chip.beside].x)
        assert rectangles[chip.key][3] < rectangles[chip.beside][1]


def test_a_band_is_as_wide_as_all_others_of_its_phase():
    _, layout, _ = laid_out(rnn_graph(), by_level=True)
    for phase in ("forward", "backward"):
        sides = {
            (place[0], place[2]) for place in (corners(f.place) for f in layout.frames if f.phase == phase)
        }
        assert len(sides) == 1


@st.composite
def graphs(draw):
    """Graphs of no meaning: any wiring, scopes that are left and entered again, any phase and twin."""
    inputs = [
        Node(INPUT, spec=Spec((3,), "float64"), name=f"x{number}")
        for number in range(draw(st.integers(0, 3)))
    ]
    nodes = list(inputs)
    for number in range(draw(st.integers(1, 22))):
        phase = draw(st.sampled_from(["forward", "forward", "backward", "update"]))
        sources = draw(st.lists(st.sampled_from(nodes), max_size=3)) if nodes else []
        scope = tuple(draw(st.lists(st.sampled_from(["a[0]", "a[1]", "b"]), max_size=2)))
        twin = draw(st.sampled_from([None, *nodes])) if phase == "backward" else None
        nodes.append(
            Node(python_op(len), tuple(sources), scope=scope, phase=phase, grad_of=twin, name=f"{number}")
        )
    return Graph(nodes, inputs, nodes[-1:])


@given(graphs(), st.sampled_from(["high", "ops"]), st.sampled_from(["plain", "bipartite"]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_nothing_overlaps_and_no_arrow_crosses_a_box(graph, level, style, by_level):
    seen, layout, rectangles = laid_out(graph, level, style, by_level)
    assert rectangles.keys() == {box.key for box in seen.boxes}
    for one, other in combinations(rectangles, 2):
        assert not overlap(rectangles[one], rectangles[other]), (one, other)
    assert {(line.arrow.source, line.arrow.target) for line in layout.lines} == {
        (arrow.source, arrow.target) for arrow in seen.arrows
    }
    chips = {box.key for box in seen.boxes if box.beside is not None}
    for line in layout.lines:
        assert not crossed(line, rectangles)
        if line.arrow.source in chips:  # of several chips one stands on the other
            continue
        left, top, right, bottom = rectangles[line.arrow.target]
        x, y = line.tip
        assert left - 0.01 <= x <= right + 0.01
        assert top - 0.01 <= y <= bottom + 0.01


@given(graphs(), st.booleans())
@settings(max_examples=25, deadline=None)
def test_frames_hold_their_own_and_no_others(graph, bipartite):
    style = "bipartite" if bipartite else "plain"
    seen, layout, rectangles = laid_out(graph, "ops", style)
    frames = _scope_frames(seen)
    beside = {box.key: box.beside or box.key for box in seen.boxes}
    for frame in layout.frames:
        for key, place in rectangles.items():
            mine = any(label == frame.label for _, label in frames.get(beside[key], ()))
            if not mine:
                assert not overlap(place, corners(frame.place)), (frame, key)


@pytest.mark.parametrize("by_level", [False, True])
@pytest.mark.parametrize("level", ["high", "ops"])
def test_labels_of_arrows_lie_on_nothing(level, by_level):
    _, layout, rectangles = laid_out(rnn_graph(), level, by_level=by_level)
    labels = [
        (x - half, y - 4, x + half, y + 4)
        for line in layout.lines
        if line.arrow.label
        for x, y, half in [(*line.label, text_width(line.arrow.label, 9) / 2)]
    ]
    assert len(labels) >= 5 * (level == "high")
    for label in labels:
        assert not any(overlap(label, place) for place in rectangles.values())
        for line in layout.lines:
            assert not any(
                label[0] < x < label[2] and label[1] < y < label[3] for x, y in on_curve(line.points)
            )
    assert not any(overlap(one, other) for one, other in combinations(labels, 2))


def test_regions_that_wait_for_each_other_are_put_in_some_order():
    before = {"a": ["b"], "b": ["a"], "c": ["b"]}
    assert _sorted(before) == ["a", "b", "c"]
    assert before == {"a": [], "b": ["a"], "c": ["b"]}


def test_a_long_row_of_regions_is_shortened_and_the_picture_says_so():
    graph = rnn_graph(40)
    labels = [box.label[0] for box in laid_out(graph, "high", brief=True)[0].boxes]
    assert [label for label in labels if label.startswith("cell")] == [
        "cell[0]", "cell[1]", "cell[2]", "cell[3…37]", "cell[38]", "cell[39]",
    ]  # fmt: skip
    text = graph.to_dot().get_label()
    (count,) = re.findall(r"(\d+) of them folded into", text)
    assert int(count) == sum(
        box.nodes
        for box in laid_out(graph, "high", brief=True)[0].boxes
        if box.nodes > 1 and box.kind != "input"
    )


def test_a_great_graph_without_regions_is_folded_by_depth():
    random = np.random.default_rng(0)
    nodes = []
    for number in range(20_000):
        sources = random.integers(max(0, number - 50), number, 2) if number else []
        nodes.append(Node(python_op(len), tuple(nodes[source] for source in sources)))
    seen, _, _ = laid_out(Graph(nodes, [], nodes[-1:]), "high", brief=True)
    assert len(seen.boxes) <= 24
    assert sum(box.nodes for box in seen.boxes) == 20_000
