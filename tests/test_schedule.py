"""The scheduling core against the definitions of a topological order and of a dead value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dagexec.plan import plan
from dagexec.schedule import Schedule
from tests.dags import dag, edge_lists, some_of


@given(st.data(), edge_lists())
def test_tasks_are_handed_out_once_after_their_inputs_and_values_die_with_their_last_reader(data, edges):
    outputs = data.draw(some_of(edges))
    schedule = Schedule(plan(dag(edges, outputs)))
    running: list[int] = []
    handed_out: list[int] = []
    done: list[int] = []
    dead: list[int] = []
    announced = [task for task, sources in enumerate(edges) if not sources]
    while not schedule.finished:
        # any number of workers, which end in any order
        if schedule.waiting and (not running or data.draw(st.booleans())):
            task = schedule.ready()
            assert task is not None
            assert set(edges[task]) <= set(done)
            running.append(task)
            handed_out.append(task)
            continue
        task = running.pop(data.draw(st.integers(0, len(running) - 1)))
        done.append(task)
        made_ready, now_dead = schedule.done(task)
        announced += made_ready
        dead += now_dead
        readers = {n: [r for r, sources in enumerate(edges) if n in sources] for n in done}
        expected = {n for n in done if set(readers[n]) <= set(done) and n not in outputs}
        assert set(dead) == expected
    assert sorted(handed_out) == list(range(len(edges))) == sorted(announced)
    assert len(dead) == len(set(dead))


@given(st.data(), edge_lists())
def test_the_task_with_the_longest_path_to_the_end_is_handed_out_first(data, edges):
    """Plain callables all cost the same, so the longest path has the most nodes."""
    schedule = Schedule(plan(dag(edges, [])))
    height = [1] * len(edges)
    for node in reversed(range(len(edges))):
        for source in edges[node]:
            height[source] = max(height[source], height[node] + 1)
    ready = {task for task, sources in enumerate(edges) if not sources}
    while not schedule.finished:
        task = schedule.ready()
        assert task is not None
        assert height[task] == max(height[other] for other in ready)
        ready.remove(task)
        ready.update(schedule.done(task)[0])


@given(edge_lists())
def test_nothing_is_handed_out_after_a_failure(edges):
    schedule = Schedule(plan(dag(edges, [])))
    schedule.ready()
    schedule.failed()
    assert schedule.ready() is None
    assert schedule.waiting == 0
    assert schedule.finished
