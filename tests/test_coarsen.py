"""Coarse plans: the same values from fewer tasks, with no parallelism lost."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optree
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagexec
from dagexec.coarsen import GRAIN, HAND_OVER, LONGEST_CHAIN, coarsen
from dagexec.executors.serial import Serial
from dagexec.executors.threads import Threads
from dagexec.plan import Plan, lay_out, longest_paths
from dagexec.simulation import simulate
from tests.dags import Boom, dag, edge_lists, side_by_side, some_of, values_of
from tests.strategies import programs

MICRO = 1e-6


def measured(edges: Sequence[Sequence[int]], outputs: Sequence[int], costs: Sequence[float], **options: Any):
    """The plan of a DAG whose nodes took so many microseconds."""
    plan = dagexec.plan(dag(edges, outputs, **options))
    return replace(plan, costs=[cost * MICRO for cost in costs])


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[list[int]], Plan]:
    """The sources of a random DAG's nodes, and its plan with random costs: zero, tiny, or long."""
    edges = draw(edge_lists() | st.lists(edge_lists(10), max_size=4).map(side_by_side).filter(len))
    cost = st.sampled_from([0, 0.5, 2, 10, 60, 500]) | st.integers(0, 100)
    costs = draw(st.lists(cost, min_size=len(edges), max_size=len(edges)))
    return edges, measured(edges, draw(some_of(edges)), costs)


choices = st.fixed_dictionaries(
    {
        "grain": st.sampled_from([0.0, 20e-6, None, 1.0]),
        "workers": st.integers(1, 4),
        "stretch": st.sampled_from([0.0, 0.03, 0.5]),
    }
)


def run_on(plan: Plan, executor: str, arguments: Sequence[Any] = ()) -> list[Any]:
    """All slots' values after a run."""
    values = plan.values()
    for slot, argument in zip(plan.inputs, arguments):
        values[slot] = argument
    execute = Serial(plan) if executor == "serial" else Threads(plan, 2)
    try:
        execute(values, None, [])
    finally:
        execute.close()
    return values


def results_of(plan: Plan, values: Sequence[Any]) -> list[Any]:
    return [values[slot] if item is None else values[slot][item] for slot, item in plan.outputs]


def members_of(plan: Plan, task: int) -> tuple[int, ...]:
    return plan.members.get(task, (task,))


def span(plan: Plan) -> float:
    """The longest path, a hand-over counted for each task."""
    costs = [seconds + HAND_OVER for seconds in plan.seconds]
    return max(longest_paths(plan.tasks, plan.successors, costs)[task] for task in plan.tasks)


# --- what holds for every plan --------------------------------------------------------------------------
@pytest.mark.parametrize("executor", ["serial", "threads"])
@given(plans(), choices)
def test_a_coarse_plan_computes_the_same_values_and_keeps_none_but_results(executor, case, options):
    edges, plan = case
    coarse = coarsen(plan, **options)
    values = run_on(coarse, executor)
    expected = values_of(edges)
    assert results_of(coarse, values) == [expected[slot] for slot, _ in plan.outputs]
    kept = {slot for slot, _ in coarse.outputs}
    assert [slot for slot, value in enumerate(values) if value is not None and slot not in kept] == []


@given(plans(), choices)
def test_every_node_is_in_one_task_and_after_what_it_reads(case, options):
    edges, plan = case
    coarse = coarsen(plan, **options)
    assert len(set(coarse.tasks)) == len(coarse.tasks)
    order = [member for task in coarse.tasks for member in members_of(coarse, task)]
    assert sorted(order) == plan.tasks
    place = {member: number for number, member in enumerate(order)}
    assert all(place[source] < place[node] for node, sources in enumerate(edges) for source in sources)
    for task, members in coarse.members.items():
        assert len(members) > 1
        assert members[-1] == task
    for task in plan.tasks:
        if task not in coarse.members:
            assert coarse.functions[task] in (plan.functions[task], None) or coarse.sources[task]


@given(plans(), choices)
def test_edges_and_costs_are_those_of_the_members(case, options):
    edges, plan = case
    coarse = coarsen(plan, **options)
    task_of = {member: task for task in coarse.tasks for member in members_of(coarse, task)}
    between = {(task_of[source], task_of[node]) for node, sources in enumerate(edges) for source in sources}
    found = {(source, task) for task in coarse.tasks for source in coarse.sources[task]}
    assert found == {(source, task) for source, task in between if source != task}
    for task in coarse.tasks:
        assert coarse.unmet[task] == len(coarse.sources[task])
        expected = sum(plan.seconds[member] for member in members_of(coarse, task))
        assert coarse.seconds[task] == pytest.approx(expected)


@given(plans(), choices)
def test_the_longest_path_gets_no_longer_than_allowed(case, options):
    _, plan = case
    assert span(coarsen(plan, **options)) <= (1 + options["stretch"]) * span(plan) * (1 + 1e-9)


@given(plans(), choices)
def test_the_simulated_time_gets_no_longer_than_allowed(case, options):
    _, plan = case
    workers = options["workers"]
    coarse = coarsen(plan, **options)
    chains = coarsen(plan, grain=0.0, workers=workers)  # what is joined in any case

    def time(plan: Plan) -> float:
        return simulate(plan, workers, overhead=HAND_OVER).makespan

    assert time(coarse) <= max((1 + options["stretch"]) * time(plan), time(chains)) * (1 + 1e-9)


@given(plans(), choices)
def test_a_task_is_within_the_grain_or_one_long_chain_with_tiny_ones_that_read_it(case, options):
    _, plan = case
    grain = GRAIN if options["grain"] is None else options["grain"]
    chains = coarsen(plan, grain=0.0)
    long = {task: chains.seconds[task] for task in chains.tasks}
    coarse = coarsen(plan, **options)
    for task, members in coarse.members.items():
        longest = max(long.get(member, 0.0) for member in members)
        assert coarse.seconds[task] <= max(grain, longest + grain) * (1 + 1e-9)


@given(plans(), choices)
def test_a_coarse_plan_stays_as_it_is(case, options):
    _, plan = case
    coarse = coarsen(plan, **options)
    assert not coarse.members or coarsen(coarse, **options) is coarse


# --- array programs -------------------------------------------------------------------------------------
def same_bits(plan: Plan, coarse: Plan, arguments: Sequence[Any]) -> None:
    expected = results_of(plan, run_on(plan, "serial", arguments))
    for executor in ("serial", "threads"):
        found = results_of(coarse, run_on(coarse, executor, arguments))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


@given(programs(), choices)
def test_programs_and_their_gradients_have_the_same_bits(program, options):
    def loss(*arguments):
        return sum(np.sum(np.sin(result)) for result in program.run(*arguments))

    graph = dagexec.trace(loss)(*program.arguments).backward()
    plan = dagexec.plan(graph)
    same_bits(plan, coarsen(plan, **options), program.arguments)


@given(st.sampled_from([0.0, 20e-6, None]), st.booleans())
def test_values_with_several_items_are_read_item_by_item(grain, whole):
    def program(x):
        a, b, c = np.split(np.sin(x), 3)
        d, e = np.split(np.cos(np.concatenate([b, a])), 2)
        heavy = x[:, None] * x
        return [c, a, np.sum(heavy @ heavy) + d, e * c] + ([e, d] if whole else [])

    x = np.linspace(0, 1, 300)
    plan = dagexec.plan(dagexec.trace(program)(x))
    coarse = coarsen(plan, grain=grain)
    assert coarse.members
    same_bits(plan, coarse, [x])


def test_a_plan_of_unmeasured_callables_stays_as_it_is():
    plan = dagexec.plan(dag([[], [0], [1]], [2]))
    assert coarsen(plan) is plan


# --- what is joined -------------------------------------------------------------------------------------
def chain(length: int) -> list[list[int]]:
    return [[number - 1] if number else [] for number in range(length)]


def test_a_chain_is_one_task_whatever_the_grain():
    coarse = coarsen(measured(chain(5), [4], [1000] * 5), grain=0.0)
    assert coarse.members == {4: (0, 1, 2, 3, 4)}


def test_a_long_chain_is_cut_so_that_a_run_can_be_stopped():
    costs = [LONGEST_CHAIN / MICRO / 4] * 12
    coarse = coarsen(measured(chain(12), [11], costs))
    assert list(coarse.members) == [3, 7, 11]


def test_a_step_that_reads_one_value_twice_is_still_a_chain():
    coarse = coarsen(measured([[], [0, 0], [1, 1]], [2], [300, 300, 300]))
    assert coarse.members == {2: (0, 1, 2)}


def test_long_tasks_that_can_run_side_by_side_stay_apart():
    edges = [[], [0], [0], [1, 2]]
    assert coarsen(measured(edges, [3], [300] * 4)).members == {}


def test_tiny_tasks_beside_a_long_path_are_joined():
    edges = side_by_side(
        [[[], [0], [0], [1, 2]], *[[[]]] * 12]
    )  # two long tasks side by side, twelve tiny ones
    plan = measured(edges, range(len(edges)), [300] * 4 + [10] * 12)
    coarse = coarsen(plan)
    assert len(coarse.tasks) == 5
    assert coarse.members == {15: tuple(range(4, 16))}


def test_joined_tasks_are_no_longer_than_the_grain():
    edges = side_by_side([[[], [0], [0], [1, 2]], *[[[]]] * 9])
    plan = measured(edges, range(len(edges)), [300] * 4 + [30] * 9)
    assert sorted(map(len, coarsen(plan, grain=100e-6).members.values())) == [3, 3, 3]


def test_tasks_on_the_longest_path_wait_for_no_other():
    edges = [[], [0], [1], [2], [0], [0]]  # a chain, and two short tasks that read its first
    plan = measured(edges, [3, 4, 5], [100, 100, 100, 100, 60, 60])
    coarse = coarsen(plan)
    assert coarse.members == {3: (1, 2, 3), 5: (4, 5)}


def test_a_joined_task_is_as_urgent_as_its_most_urgent_member():
    plan = replace(measured([[], [0], []], [1, 2], [1, 1, 500]), priority={0: 7.0, 1: 3.0, 2: 1.0})
    assert coarsen(plan).priority == {1: 7.0, 2: 1.0}


# --- inside a task --------------------------------------------------------------------------------------
class Value:
    """Something that can be watched."""


def test_a_value_inside_a_task_is_dropped_at_its_last_reader():
    alive: list[list[int]] = []
    made: list[weakref.ref[Value]] = []

    def make(*values):
        del values
        alive.append([number for number, value in enumerate(made) if value() is not None])
        made.append(weakref.ref(value := Value()))
        return value

    plan = lay_out([make] * 5, [(), (0,), (1, 0), (2,), (3,)], [(4, None)], constants={})
    coarse = coarsen(replace(plan, costs=[MICRO] * 5))
    assert coarse.members == {4: (0, 1, 2, 3, 4)}
    run_on(coarse, "serial")
    # While a task runs, its caller still holds what it reads.
    assert alive == [[], [0], [0, 1], [2], [3]]


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_an_error_names_the_member_that_raised_it_and_no_other(executor):
    plan = measured(chain(4), [3], [1] * 4, failing=frozenset({2}))
    coarse = coarsen(plan)
    assert coarse.members == {3: (0, 1, 2, 3)}
    with pytest.raises(Boom, match="node 2") as caught:
        run_on(coarse, executor)
    assert caught.value.__notes__ == ["raised by node %2 n2()"]


def test_a_task_of_labelled_callables_has_a_graph_of_all():
    functions = [lambda: 1, abs, abs]
    plan = lay_out(functions, [(), (0,), (1,)], [(2, None)], constants={}, labels="abc")
    coarse = coarsen(replace(plan, costs=[MICRO] * 3))
    assert coarse.members == {2: (0, 1, 2)}
    assert [node.name for node in coarse.graph.nodes] == ["a", "b", "c"]
    assert optree.tree_leaves(results_of(coarse, run_on(coarse, "threads"))) == [1]
