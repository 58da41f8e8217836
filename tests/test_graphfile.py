"""Graph files: what makes one, how text becomes the values of its parameters, what its graph is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagexec
from dagexec.graphfile import (
    REQUIRED,
    Built,
    GraphFileError,
    Parameter,
    as_text,
    convert,
    graph_of,
    has_build,
    load,
)

BUILD = "def build(size=3): return lambda x: (x * x).sum(), (np.ones(size),)"


@pytest.fixture
def write(tmp_path):
    def written(*lines: str, name: str = "made.py") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(["import numpy as np", *lines]))
        return path

    return written


# --- loading --------------------------------------------------------------------------------------------
def test_a_graph_file_has_its_name_its_first_docstring_line_and_its_parameters(tmp_path):
    path = tmp_path / "squares.py"
    path.write_text('"""Squares.\n\nMore."""\nimport numpy as np\n' + BUILD)
    file = load(path)
    assert (file.name, file.doc, list(file.parameters)) == ("squares", "Squares.", ["size"])


def test_a_file_without_docstring_has_an_empty_doc(write):
    assert load(write(BUILD)).doc == ""


def test_a_file_without_build_is_refused_by_name(write):
    with pytest.raises(GraphFileError, match=r"made\.py has no function build"):
        load(write("build = 3"))


@pytest.mark.parametrize(
    "line", ["def build(): pass", "from os import walk as build", "if True: build = len"]
)
def test_build_is_found_without_running_the_file(write, line):
    assert has_build(write("raise RuntimeError", line))


@pytest.mark.parametrize("line", ["", "build", "def other():\n  build = 1"])
def test_no_build_is_found_without_running_the_file(write, line):
    assert not has_build(write("raise RuntimeError", line))


def test_what_is_not_python_is_a_syntax_error_that_names_the_file(tmp_path):
    path = tmp_path / "image.py"
    path.write_bytes(b"\x89PNG\0\0")
    with pytest.raises(SyntaxError) as caught:
        load(path)
    assert caught.value.filename == str(path)


def test_an_exit_in_the_file_does_not_end_the_caller(write):
    with pytest.raises(RuntimeError, match=r"made\.py calls sys.exit\(3\)"):
        load(write("raise SystemExit(3)"))


def test_a_file_imports_its_neighbours_and_leaves_the_path_as_it_was(write):
    write("SIZE = 4", name="neighbour_of_made.py")
    before = list(sys.path)
    path = write("def build():", "  from neighbour_of_made import SIZE", "  return abs, (np.ones(SIZE),)")
    assert load(path).built({}).args[0].shape == (4,)
    assert sys.path == before


def test_a_dataclass_in_a_file_with_postponed_annotations_works(tmp_path):
    path = tmp_path / "classes.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass P:\n  w: float\ndef build(w: float = 2):\n  return lambda p: p.w * p.w, (P(w),)\n"
    )
    built = load(path).built({"w": "3"})
    value, gradient = dagexec.run(graph_of(built), *built.args)
    assert (value, gradient.w) == (9, 6)


# --- parameters -----------------------------------------------------------------------------------------
def test_texts_are_converted_and_defaults_kept(write):
    path = write("def build(a: int = 1, b: float = 0.5, *, c: bool = False): return abs, (np.ones(a),)")
    assert load(path).arguments({"a": "7", "c": "yes"}) == {"a": 7, "b": 0.5, "c": True}


def test_an_unknown_parameter_is_answered_with_the_nearest(write):
    file = load(write("def build(steps=3, hidden=4): pass"))
    with pytest.raises(GraphFileError, match=r"no parameter 'stesp'; did you mean 'steps'\?"):
        file.arguments({"stesp": "3"})
    with pytest.raises(GraphFileError, match=r"its parameters are: steps, hidden"):
        file.arguments({"zzz": "3"})


def test_a_parameter_without_default_must_be_given(write):
    file = load(write("def build(size: int): return abs, (np.ones(size),)"))
    with pytest.raises(GraphFileError, match=r"needs 'size': give an int with -p size=\.\.\."):
        file.arguments({})


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [(3, "4", 4), (0.5, "4", 4.0), ("a", "4", "4"), ((1, 2), "3,4,5", (3, 4, 5)), ([0.5], "1", [1.0])],
)
def test_without_annotation_the_default_says_the_type(write, default, text, value):
    file = load(write(f"def build(it={default!r}): pass"))
    assert file.arguments({"it": text}) == {"it": value}
    assert type(file.arguments({"it": text})["it"]) is type(default)


KINDS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    str: st.text(),
    Literal["squared", "cross-entropy", 3]: st.sampled_from(["squared", "cross-entropy", 3]),
    tuple[int, ...]: st.lists(st.integers()).map(tuple),
    tuple[int, float]: st.tuples(st.integers(), st.floats(allow_nan=False)),
    list[float]: st.lists(st.floats(allow_nan=False)),
    int | None: st.none() | st.integers(),
    tuple[bool, ...] | int: st.integers(min_value=2) | st.lists(st.booleans(), min_size=1).map(tuple),
}


@given(st.sampled_from(list(KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), KINDS[kind])))
def test_the_text_of_a_value_converts_to_the_value(pair):
    kind, value = pair
    found = convert(Parameter("it", kind, REQUIRED), as_text(value))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        (int, "1.5", "an int"),
        (float, "fast", "a float"),
        (bool, "maybe", "true or false"),
        (Literal["a", "b"], "c", "one of 'a', 'b'"),
        (tuple[int, ...], "1,x", "ints with commas between them"),
        (tuple[int, int], "1", "2 ints with commas between them"),
        (int | None, "x", "an int or none"),
    ],
)
def test_a_text_that_does_not_convert_is_answered_with_what_would(kind, text, wanted):
    with pytest.raises(GraphFileError) as caught:
        convert(Parameter("it", kind, REQUIRED), text)
    assert str(caught.value) == f"parameter it={text}: {text!r} is not {wanted}"


def test_a_type_that_no_text_gives_is_said_to_be_one():
    with pytest.raises(GraphFileError, match="parameter it: a value of type dict cannot be given as text"):
        convert(Parameter("it", dict, REQUIRED), "3")


# --- what is built --------------------------------------------------------------------------------------
def test_a_build_that_returns_something_else_is_told_what_it_must_return(write):
    for result, outline in (
        ("3", "a value of type int"),
        ("(len, 3)", r"\(builtin.*, int\)"),
        ("None", "None"),
    ):
        with pytest.raises(GraphFileError, match=f"returns {outline}, but it must return"):
            load(write(f"def build(): return {result}")).built({})


def test_a_scalar_result_has_its_gradient_derived():
    graph = graph_of(Built(lambda x: np.sum(x * x), (np.ones(3),)))
    value, gradient = dagexec.run(graph, np.arange(3.0))
    assert value == 5
    np.testing.assert_array_equal(gradient, [0, 2, 4])


def test_forward_only_derives_nothing():
    graph = graph_of(Built(lambda x: np.sum(x * x), (np.ones(3),)), forward_only=True)
    assert {node.phase for node in graph.nodes} == {"forward"}


@pytest.mark.parametrize("x", [np.ones(3), np.ones((), int), np.ones((), complex)])
def test_a_result_that_is_no_real_scalar_has_no_gradient(x):
    graph = graph_of(Built(lambda x: x * x, (x,)))
    assert {node.phase for node in graph.nodes} == {"forward"}


RECORDED = """
import dagexec
def build(x: float = 3.0):
    v = dagexec.variable(x, "x")
    return (v * v).graph, (x,)
"""


def test_a_graph_may_come_with_its_arguments(write):
    sample = load(write(RECORDED)).built({"x": "5"})
    (value,), gradient = dagexec.run(graph_of(sample), *sample.args)
    assert (value, gradient) == (25, 10)
    assert dagexec.run(graph_of(sample, forward_only=True), *sample.args) == (25,)


def test_a_graph_that_has_its_gradients_already_stays_as_it_is(write):
    sample = load(write(RECORDED.replace(".graph,", ".graph.backward(),"))).built({"x": "5"})
    assert graph_of(sample) is graph_of(sample, forward_only=True) is sample.fn
    assert dagexec.run(sample.fn, *sample.args) == ((25,), 10)


# --- DAGs of plain callables ----------------------------------------------------------------------------
DAGS = {
    "a dictionary": ("{'x': -2, 'y': (abs, 'x'), 'z': (pow, 'y', 3)}", (8,)),
    "a dictionary and a key": ("{'x': -2, 'y': (abs, 'x'), 'z': (pow, 'y', 3)}, 'y'", 2),
    "a dictionary and keys": ("{'x': -2, 'y': (abs, 'x')}, ['x', ['y']]", (-2, (2,))),
    "a networkx graph": ("digraph()", (2,)),
    "a networkx graph and nodes": ("digraph(), ['x', 'y']", (-2, 2)),
    "what a task returns": ("task(abs)(-2)", 2),
    "a list of them": ("[task(abs)(-2), task(abs)(3)]", [2, 3]),
    "a pair of them": ("task(abs)(-2), task(abs)(3)", (2, 3)),
    "a dictionary of them": ("{'two': task(abs)(-2)}", {"two": 2}),
    "a graph": ("task(abs)(-2).graph()", 2),
}
DIGRAPH = (
    "import networkx as nx\nfrom dagexec import task\ndef digraph():\n  graph = nx.DiGraph()\n"
    "  graph.add_node('x', value=-2)\n  graph.add_node('y', function=abs)\n"
    "  graph.add_edge('x', 'y')\n  return graph"
)


@pytest.mark.parametrize("kind", DAGS)
def test_a_build_may_return_a_dag(write, kind):
    code, result = DAGS[kind]
    built = load(write(DIGRAPH, f"def build(): return {code}")).built({})
    assert (built.args, built.training) == ((), None)
    assert dagexec.run(graph_of(built)) == result


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("{'x': (abs, 'y'), 'y': (abs, 'x')}", r"has a cycle: '(x|y)' → '(x|y)' → '(x|y)'"),
        ("{'x': 1}, 'y'", "cannot be read: 'y' is not a key of the graph"),
        ("nx.path_graph(2, nx.DiGraph)", "cannot be read: node 0 has neither the attribute function"),
        ("dagexec.trace(lambda x: x)(1.0)", r"returns a graph with inputs, but no arguments"),
    ],
)
def test_a_dag_that_is_none_is_refused_with_the_reason(write, code, message):
    with pytest.raises(GraphFileError, match=rf"made\.py .*{message}"):
        load(write("import dagexec, networkx as nx", f"def build(): return {code}")).built({})
