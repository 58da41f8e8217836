"""Batches for processes: closed under dependency, each task once, values dead after their last reader."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagexec.executors.batches import WORTH_SHARING, Batches
from dagexec.plan import lay_out
from tests.dags import edge_lists


def plan_of(edges, outputs=()):
    return lay_out(
        [len] * len(edges), list(map(tuple, edges)), [(number, None) for number in outputs], constants={}
    )


@given(edges=edge_lists(), share=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_every_task_is_done_once_after_its_inputs_whatever_happens_to_its_batch(edges, share, seed):
    choice = random.Random(seed)  # drawn one by one, the smallest example would give back forever
    outputs = choice.sample(range(len(edges)), choice.randint(0, min(4, len(edges))))
    plan = plan_of(edges, outputs)
    batches = Batches(plan)
    costs = [choice.uniform(0.0, 3.0) for _ in edges]
    under_way = []
    done: list[int] = []
    dead: list[int] = []
    while batches.remaining:
        assert batches.waiting() or under_way
        if batches.waiting() and (not under_way or choice.random() < 0.6):
            batch = batches.take(choice.uniform(0.1, 20.0), costs, share)
            known = set(done)
            for task in batch.tasks:
                assert known.issuperset(edges[task])
                known.add(task)
            assert not {task for other in under_way for task in other.tasks} & set(batch.tasks)
            under_way.append(batch)
            continue
        batch = under_way.pop(choice.randrange(len(under_way)))
        count = choice.randint(-1, len(batch.tasks))
        if count < 0:
            batches.give_back(batch.tasks, alone=choice.random() < 0.5)
            continue
        done += batch.tasks[:count]
        gone = batches.done(batch, count)
        for slot in gone:
            readers = {reader for reader, sources in enumerate(edges) if slot in sources}
            assert readers <= set(done)
            assert slot in done
            assert slot not in outputs
        dead += gone
    assert sorted(done) == list(range(len(edges)))
    assert sorted(dead) == sorted(set(range(len(edges))) - set(outputs))
    assert batches.take(1.0, costs, share) is None
    assert not under_way


@given(edges=edge_lists(), budget=st.floats(0.5, 40.0))
def test_a_batch_ends_with_its_budget_and_leaves_nothing_that_it_could_take(edges, budget):
    plan = plan_of(edges)
    batches = Batches(plan)
    costs = [1.0] * len(edges)
    batch = batches.take(budget, costs, 1)
    assert len(batch.tasks) == batch.cost <= budget + 1
    taken = set(batch.tasks)
    possible = [task for task in plan.tasks if task not in taken and taken.issuperset(edges[task])]
    assert not possible or batch.cost >= budget


@given(edges=edge_lists(), budget=st.floats(1.0, 30.0))
def test_the_tasks_of_a_deadly_batch_come_one_at_a_time(edges, budget):
    batches = Batches(plan_of(edges))
    costs = [1.0] * len(edges)
    batch = batches.take(budget, costs, 1)
    suspects = set(batch.tasks)
    batches.give_back(batch.tasks, alone=True)
    while batches.remaining:
        batch = batches.take(30.0, costs, 1)
        assert len(batch.tasks) == 1 or not suspects & set(batch.tasks)
        batches.done(batch, len(batch.tasks))


@pytest.mark.parametrize(("tasks", "workers"), [(8, 2), (100, 2), (1000, 5)])
def test_ready_tasks_are_shared_among_the_workers(tasks, workers):
    batches = Batches(plan_of([[]] * tasks))
    sizes = [len(batches.take(1e9, [1e9] * tasks, workers).tasks) for _ in range(workers)]
    assert sizes == [1] * workers
    batches = Batches(plan_of([[]] * tasks))
    batch = batches.take(float(tasks), [1.0] * tasks, workers)
    assert len(batch.tasks) == max(-(-tasks // workers), WORTH_SHARING * tasks)


def test_too_little_work_is_not_shared():
    batches = Batches(plan_of([[]] * 100))
    assert len(batches.take(1000.0, [1.0] * 100, 4).tasks) == 100


@given(edges=edge_lists(), budget=st.floats(0.5, 40.0), share=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_a_batch_has_no_more_roots_than_it_may_and_none_is_lost(edges, budget, share, seed):
    choice = random.Random(seed)
    plan = plan_of(edges)
    batches = Batches(plan)
    costs = [1.0] * len(edges)
    while batches.remaining:
        most = choice.randint(0, 3)
        waiting = batches.waiting(most)
        assert batches.waiting(0) <= waiting <= batches.waiting(0) + most
        batch = batches.take(budget, costs, share, most)
        assert (batch is None) == (waiting == 0)
        if batch is None:
            continue
        assert len(set(plan.roots) & set(batch.tasks)) <= most
        if choice.random() < 0.3:
            batches.give_back(batch.tasks, alone=choice.random() < 0.5)
        else:
            batches.done(batch, choice.randint(0, len(batch.tasks)))


@given(edges=edge_lists())
def test_the_most_urgent_task_comes_first(edges):
    plan = plan_of(edges)
    batches = Batches(plan)
    first = batches.take(0.5, [1.0] * len(edges), 1).tasks
    assert first == [min(plan.roots, key=plan.rank.__getitem__)]
