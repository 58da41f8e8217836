"""Task functions: what their calls build, what that computes, and what a Deferred is not."""

from __future__ import annotations

import pickle
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagexec
from dagexec import task
from dagexec.tasks import Deferred, compute, graph_of
from tests.dags import edge_lists, mix, values_of

EXECUTORS = ("serial", "threads", "processes")
Pair = namedtuple("Pair", "left right")


@task
def show(*values: Any, **named: Any) -> tuple[Any, ...]:
    """A result that shows each argument and where it went."""
    return (*values, *named.items())


@task
def increase(value: int) -> int:
    return value + 1


# --- what is computed -------------------------------------------------------------------------------------
@given(edge_lists(), st.data())
def test_calls_compute_what_the_functions_do(edges, data):
    made: list[Deferred] = []
    for number, sources in enumerate(edges):
        made.append(task(mix(number))(*[made[source] for source in sources]))
    wanted = data.draw(st.lists(st.sampled_from(range(len(edges))), max_size=4))
    right = values_of(edges)
    assert compute(*[made[n] for n in wanted], executor="serial") == tuple(right[n] for n in wanted)
    if wanted:
        assert dagexec.run(graph_of([made[n] for n in wanted])) == [right[n] for n in wanted]


TREES: Any = st.recursive(
    st.sampled_from([None, 1, "text", 2.5]) | st.builds(increase, st.integers(0, 9)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("zyx"), inner)
        | st.tuples(inner, inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=8,
)


def computed(tree: Any) -> Any:
    """A tree with the values of its Deferreds."""
    if isinstance(tree, Deferred):
        return tree.compute(executor="serial")
    if isinstance(tree, Pair):
        return Pair(*map(computed, tree))
    if isinstance(tree, list | tuple):
        return type(tree)(map(computed, tree))
    return {key: computed(value) for key, value in tree.items()} if isinstance(tree, dict) else tree


@given(st.lists(TREES, max_size=3), st.dictionaries(st.sampled_from("cba"), TREES))
def test_deferreds_are_found_in_arguments_and_what_is_computed(args, named):
    right = (*map(computed, args), *computed(named).items())
    assert show(*args, **named).compute(executor="serial") == right
    assert compute(args, named, executor="serial") == (computed(args), computed(named))


def test_an_argument_without_deferreds_is_passed_as_it_is():
    array, nest = np.ones(3), [{"a": [1]}]
    given_, inner, same = show(array, nest, [nest, increase(1)]).compute(executor="serial")[:3]
    assert given_ is array
    assert inner is nest
    assert same == [nest, 2]


def test_a_task_is_run_once_for_all_who_read_it():
    calls: list[int] = []
    once = task(lambda: calls.append(1) or len(calls))()
    assert compute(show(once, once), [once], executor="serial") == ((1, 1), [1])


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_chain_of_a_hundred_thousand_calls(executor):
    value = increase(0)
    for _ in range(99_999):
        value = increase(value)
    assert value.compute(executor=executor, workers=2) == 100_000


def test_functions_of_every_kind_can_be_tasks():
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        @task
        def times(self, value):
            """Multiplied."""
            return self.factor * value

    assert task(len)([1, 2]).compute() == 2
    assert Scale(3).times(increase(1)).compute() == 6
    assert Scale.times.__doc__ == "Multiplied."
    assert increase.__wrapped__(1) == 2


def test_calling_a_task_within_a_task_builds_as_everywhere():
    @task
    def outer(value):
        inner = increase(value)
        assert isinstance(inner, Deferred)
        return inner.compute(executor="serial")

    for executor in EXECUTORS:
        assert outer(outer(1)).compute(executor=executor, workers=2) == 3


def test_building_does_not_call_the_function():
    assert isinstance(task(lambda: 1 / 0)(), Deferred)


def test_the_same_function_as_a_graph():
    graph = increase(increase(1)).graph()
    assert dagexec.run(graph) == 3
    assert [node.name for node in graph.nodes] == ["increase", "increase"]
    assert len({id(node.op.kernel(np)) for node in graph_of([show(), show()]).nodes}) == 1


# --- errors -----------------------------------------------------------------------------------------------
def place_of(call: Any) -> tuple[Any, str]:
    code = call.__code__
    return call(), f"{code.co_filename}:{code.co_firstlineno}"


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_error_names_the_task_and_the_line_of_the_call(executor):
    value, place = place_of(lambda: increase("text"))
    with pytest.raises(TypeError) as caught:
        show(value).compute(executor=executor, workers=2)
    assert any(f"task <increase, {place}>" in note for note in caught.value.__notes__)


def test_each_node_knows_the_line_of_its_call():
    value, place = place_of(lambda: increase(0))
    (node,) = value.graph().nodes
    assert node.where is not None
    assert f"{node.where[0]}:{node.where[1]}" == place


def test_options_and_reports_go_by_deferred():
    bad = task(lambda: 1 / 0)()
    above = increase(bad)
    with pytest.raises(dagexec.TasksFailed) as caught:
        compute(above, {"good": increase(1)}, on_error="continue", retries={bad: 1})
    assert list(caught.value.failed) == [bad]
    assert caught.value.skipped == [above]
    assert caught.value.results[1] == {"good": 2}


def test_what_is_no_deferred_makes_no_graph():
    with pytest.raises(TypeError, match="not of 3"):
        graph_of([increase(1), 3])


# --- what a Deferred is not -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("use", "kind", "message"),
    [
        (bool, TypeError, "is not computed yet, so it is neither true nor false"),
        (list, TypeError, "is not computed yet, so there is nothing to go through"),
        (lambda value: value.shape, AttributeError, "is not computed yet, so it has no attribute 'shape'"),
        (pickle.dumps, TypeError, "is not computed yet, so it cannot be copied or sent"),
    ],
)
def test_a_deferred_is_not_the_value(use, kind, message):
    with pytest.raises(kind, match=rf"<increase, .*> {message}; .* call its compute\(\)"):
        use(increase(1))
