"""Counters count down to 0, each number once, with the interpreter lock and without."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given, settings

from dagexec.executors import Runner
from dagexec.executors.counting import begun, counters
from dagexec.plan import lay_out
from tests.dags import edge_lists, mix, values_of

COUNTS = [2, 3, 254, 255, 256, 100_000]


@pytest.fixture(params=[True, False], ids=["gil", "free-threaded"])
def gil(request, monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: request.param, raising=False)
    return request.param


@pytest.mark.parametrize("count", COUNTS)
def test_a_counter_counts_down_to_zero(gil, count):
    (template,) = counters([count])
    for _ in range(2):  # a template is used for every run
        counter = iter(template)
        numbers = [next(counter) for _ in range(count)]
        assert numbers == list(range(count - 1, -1, -1))


@pytest.mark.parametrize("count", [0, 1])
def test_what_counts_from_one_needs_no_counter(gil, count):
    assert begun(counters([count])) == [None]


def test_counters_of_one_list_do_not_share_a_count(gil):
    templates = counters([3, 3, 2])
    first, second, third = begun(templates)
    assert [next(first), next(first), next(second), next(third), next(first)] == [2, 1, 2, 1, 0]
    again = begun(templates)[0]
    assert next(again) == 2


@pytest.mark.parametrize("count", [2, 255, 1000, 100_000])
def test_of_several_threads_each_number_is_given_to_one(gil, count):
    (template,) = counters([count])
    counter, threads = iter(template), 4
    together = Barrier(threads)

    def take(number):
        together.wait(30)
        share = count // threads + (number < count % threads)
        return [next(counter) for _ in range(share)]

    with ThreadPoolExecutor(threads) as pool:
        taken = [value for values in pool.map(take, range(threads)) for value in values]
    assert sorted(taken) == list(range(count))


@settings(max_examples=50)
@given(edges=edge_lists())
def test_threads_are_right_where_counters_have_locks(edges):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
        functions = [mix(number) for number in range(len(edges))]
        outputs = [(number, None) for number in range(len(edges))]
        plan = lay_out(functions, [tuple(sources) for sources in edges], outputs, constants={})
        with Runner(plan, "threads", 3) as runner:
            for _ in range(3):
                assert runner.run() == values_of(edges)
