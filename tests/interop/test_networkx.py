"""Graphs of networkx: what their nodes compute, and what is refused."""

from __future__ import annotations

from graphlib import CycleError
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagexec
from tests.dags import edge_lists, mix, values_of

from_networkx = dagexec.from_networkx


def show(*values: Any, **named: Any) -> tuple[Any, ...]:
    """A result that shows each argument and where it went."""
    return (*values, *sorted(named.items()))


def digraph(**attributes: dict[str, Any]) -> nx.DiGraph:
    made = nx.DiGraph()
    for node, given_ in attributes.items():
        made.add_node(node, **given_)
    return made


@st.composite
def graphs(draw: st.DrawFn) -> tuple[nx.DiGraph, list[list[int]]]:
    """A random graph of functions, its nodes and edges added in any order, and the sources of each node."""
    edges = draw(edge_lists(max_size=15))
    made: Any = nx.DiGraph()
    for number in draw(st.permutations(range(len(edges)))):
        made.add_node(number, function=mix(number))
    for number, sources in draw(st.permutations(list(enumerate(edges)))):
        for source in draw(st.permutations(sorted(set(sources)))):
            places = tuple(place for place, other in enumerate(sources) if other == source)
            made.add_edge(source, number, arg=places if len(places) > 1 else places[0])
    return made, edges


@given(graphs(), st.data())
def test_each_node_computes_from_its_predecessors(pair, data):
    made, edges = pair
    right = values_of(edges)
    outputs = data.draw(st.lists(st.sampled_from(list(made)), max_size=4))
    assert dagexec.run(from_networkx(made, outputs)) == tuple(right[node] for node in outputs)
    sinks = [node for node in made if not made.out_degree(node)]
    assert dagexec.run(from_networkx(made)) == tuple(right[node] for node in sinks)


@given(edge_lists(max_size=15), st.randoms())
def test_arguments_stand_in_the_order_in_which_edges_were_added(edges, random):
    made: Any = nx.DiGraph()
    made.add_nodes_from(range(len(edges)), function=show)
    arrows = [(source, reader) for reader, sources in enumerate(edges) for source in sources]
    random.shuffle(arrows)
    made.add_edges_from(arrows)
    values: dict[int, Any] = {}
    for node in nx.topological_sort(made):
        values[node] = show(*[values[source] for source, reader in dict.fromkeys(arrows) if reader == node])
    sinks = [node for node in made if not made.out_degree(node)]
    assert dagexec.run(from_networkx(made)) == tuple(values[node] for node in sinks)


@given(graphs())
def test_the_way_back_gives_the_same_nodes_and_edges(pair):
    made, _ = pair
    back = from_networkx(made, list(made)).to_networkx()
    names = nx.get_node_attributes(back, "name")
    assert set(names.values()) == set(map(str, made))
    places = {(names[a], names[b]): where for a, b, where in back.edges(data="positions")}
    given_ = {(str(a), str(b)): where for a, b, where in made.edges(data="arg")}
    assert places == {edge: at if isinstance(at, tuple) else (at,) for edge, at in given_.items()}


def test_edges_say_which_argument_they_are():
    made = digraph(f={"function": show}, **{name: {"value": name} for name in "abcde"})
    for source, place in {"a": None, "b": 0, "c": "last", "d": None, "e": (3, "also")}.items():
        made.add_edge(source, "f", **({} if place is None else {"arg": place}))
    assert dagexec.run(from_networkx(made, "f")) == ("b", "a", "d", "e", ("also", "e"), ("last", "c"))


def test_one_output_gives_its_value_and_nested_lists_give_tuples():
    made = digraph(a={"value": 1}, b={"value": (2, [3])})
    assert dagexec.run(from_networkx(made, "b")) == (2, [3])
    assert dagexec.run(from_networkx(made, [["a"], "b"])) == ((1,), (2, [3]))


def test_only_what_the_outputs_need_is_in_the_graph():
    made = digraph(a={"value": 1}, b={"function": abs}, c={"function": abs})
    made.add_edges_from([("a", "b"), ("a", "c")])
    assert [node.name for node in from_networkx(made, ["b"]).nodes] == ["a", "b"]


def test_a_long_chain():
    made: Any = nx.path_graph(20_000, nx.DiGraph)
    nx.set_node_attributes(made, lambda *values: sum(values) + 1, "function")
    assert dagexec.run(from_networkx(made)) == (20_000,)


@pytest.mark.parametrize(
    ("attributes", "kind", "message"),
    [
        ({}, ValueError, "node 'n' has neither the attribute function nor value"),
        ({"function": abs, "value": 1}, ValueError, "node 'n' has a function and a value"),
        ({"function": 3}, TypeError, "the function of node 'n' is not callable: 3"),
        ({"value": 3}, ValueError, "node 'n' has a value, and so no predecessors"),
    ],
)
def test_a_node_that_cannot_be_computed_is_named(attributes, kind, message):
    made = digraph(m={"value": 1}, n=attributes)
    made.add_edge("m", "n")
    with pytest.raises(kind, match=message):
        from_networkx(made)


@pytest.mark.parametrize(
    ("places", "kind", "message"),
    [
        ((0, 0), ValueError, "node 'f' has argument 0 from 'a' and 'b'"),
        (("x", "x"), ValueError, "node 'f' has argument 'x' from 'a' and 'b'"),
        ((0, 2), ValueError, "node 'f' has an argument 2, but no argument 1"),
        ((0, -1), TypeError, "the edge from 'b' to 'f' has arg -1: no position and no name"),
        ((0, 1.5), TypeError, "the edge from 'b' to 'f' has arg 1.5: no position and no name"),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused(places, kind, message):
    made = digraph(a={"value": 1}, b={"value": 2}, f={"function": show})
    for source, place in zip("ab", places):
        made.add_edge(source, "f", arg=place)
    with pytest.raises(kind, match=message):
        from_networkx(made)


def test_a_cycle_is_told_with_its_members():
    made = digraph(**{name: {"function": abs} for name in "abcd"})
    nx.add_cycle(made, "abc")
    with pytest.raises(CycleError) as caught:
        from_networkx(made)
    first, *members = caught.value.args[1]
    assert nx.is_path(made, [first, *members])
    assert (first, len(members)) == (members[-1], 3)


@pytest.mark.parametrize("kind", [nx.Graph, nx.MultiDiGraph])
def test_other_kinds_of_graphs_are_refused(kind):
    with pytest.raises(TypeError, match=f"the graph is a {kind.__name__}, but must be a networkx.DiGraph"):
        from_networkx(kind())


def test_an_unknown_output_is_named():
    with pytest.raises(KeyError, match="'gone' is not a node of the graph"):
        from_networkx(nx.DiGraph(), ["gone"])


def test_no_nodes_give_no_results():
    assert dagexec.run(from_networkx(nx.DiGraph())) == ()
