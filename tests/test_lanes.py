"""Lanes: each task in one of them, after what it reads, with few waits between them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import dagexec
from dagexec.lanes import WAKING, lanes_of, legs_of, seconds_in_lanes, writers_of
from dagexec.plan import lay_out
from dagexec.rewrite.split import split


def plan_of(sources, seconds):
    plan = lay_out(
        [abs] * len(sources), [tuple(s) for s in sources], [(len(sources) - 1, None)], constants={}
    )
    plan.__dict__["seconds"] = list(seconds)
    return plan


@st.composite
def plans(draw):
    sources = [
        draw(st.lists(st.integers(0, n - 1), max_size=3)) if n else []
        for n in range(draw(st.integers(1, 30)))
    ]
    return plan_of(
        sources, draw(st.lists(st.sampled_from([1e-6, 3e-5, 2e-4]), min_size=30, max_size=30))[: len(sources)]
    )


@given(plan=plans(), workers=st.integers(1, 4))
def test_each_task_has_a_lane_and_begins_after_what_it_reads(plan, workers):
    lanes = lanes_of(plan, workers)
    assert sorted(lanes) == list(plan.tasks)
    assert set(lanes.values()) <= set(range(workers))
    place = {task: number for number, task in enumerate(lanes)}
    assert all(place[slot] < place[task] for task in plan.tasks for slot in plan.sources[task])


@given(plan=plans(), workers=st.integers(1, 4), free=st.sets(st.integers(0, 29)))
def test_legs_wait_for_all_that_their_tasks_read_and_only_for_earlier_ones(plan, workers, free):
    writers = writers_of(plan, free)
    lanes = {task: lane for task, lane in lanes_of(plan, workers).items() if task not in free}
    legs, waits = legs_of(lanes, writers)
    leg_of = {task: number for number, leg in enumerate(legs) for task in leg}
    assert sorted(leg_of) == sorted(lanes)
    before = []  # all legs that are over when one begins
    for number, (leg, awaited) in enumerate(zip(legs, waits)):
        assert len({lanes[task] for task in leg}) == 1
        assert all(other < number for other in awaited)
        before.append(set(awaited).union(*[before[other] for other in awaited]))
        for task in leg:
            for slot in writers[task] - free:
                same = leg_of[slot] == number and leg.index(slot) < leg.index(task)
                assert same or leg_of[slot] in before[number]
        lane = [other for other in range(number) if lanes[legs[other][0]] == lanes[leg[0]]]
        assert set(lane) <= before[number]  # in a lane one leg follows another


def test_a_leg_that_others_wait_for_is_over():
    reads = {0: [], 1: [0], 2: [0], 3: [1, 2]}
    assert legs_of({0: 0, 1: 1, 2: 0, 3: 0}, reads) == ([[0], [1], [2], [3]], [(), (0,), (0,), (2, 1)])


def test_what_makes_a_view_is_looked_through():
    plan = plan_of([[], [0], [1], [2, 0]], [1e-4, 1e-6, 1e-6, 1e-4])
    assert writers_of(plan, {1, 2}) == {0: set(), 1: {0}, 2: {0, 1}, 3: {0, 1, 2}}


def test_shards_stay_in_their_lanes_and_wait_at_sums_only():
    def loss(w, x):
        return np.mean(np.tanh(np.tanh(x @ w) @ w) ** 2)

    graph = split(2)(dagexec.trace(loss)(np.ones((128, 128)), np.ones((1024, 128))).backward())
    plan = dagexec.plan(graph)
    lanes = lanes_of(plan, 2)
    for shard in ("shard[0]", "shard[1]"):
        long = [n for n in plan.tasks if graph.nodes[n].scope[:1] == (shard,) and plan.seconds[n] > 1e-5]
        assert len({lanes[task] for task in long}) == 1
    legs, _ = legs_of(lanes, writers_of(plan, {task for task in lanes if plan.seconds[task] < 2e-6}))
    assert len(legs) < 12


def test_a_chain_has_one_lane_and_independent_tasks_have_all():
    chain = plan_of([[], [0], [1], [2]], [1e-4] * 4)
    assert set(lanes_of(chain, 2).values()) == {0}
    assert seconds_in_lanes(chain, 2) == 4e-4
    fan = plan_of([[], [], [], [], [0, 1, 2, 3]], [1e-4] * 5)
    assert sorted(list(lanes_of(fan, 2).values())[:4]) == [0, 0, 1, 1]
    assert seconds_in_lanes(fan, 2) == 3e-4 + WAKING


def test_what_is_short_is_not_taken_from_another_lane():
    plan = plan_of([[], [0], [0], [0], [1, 2, 3]], [1e-4, 1e-5, 1e-5, 1e-5, 1e-4])
    assert set(lanes_of(plan, 2).values()) == {0}
