"""The lanes count the arrays that pass between processes, by dagexec and by pipe alike."""

import pytest

from bench import passing
from bench.dags import in_order
from bench.passing import lanes, piped_lanes, seconds_an_array
from bench.peers import ADAPTERS, PROCESSES, SERIAL


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(passing, "NUMBERS", 1_000)


def test_nothing_passes_in_one_process():
    assert in_order(lanes()) == [0]
    with ADAPTERS[SERIAL]([lanes()]) as (run,):
        assert list(run()) == [0]


def test_two_arrays_a_stage_pass_through_the_pipes():
    with piped_lanes() as (run,):
        assert [run(), run()] == [[2 * passing.STAGES - 1]] * 2


def test_what_passes_between_the_workers_of_dagexec_is_counted():
    with ADAPTERS[PROCESSES]([lanes()]) as (run,):
        (passed,) = run()
    assert 0 <= passed <= 2 * passing.STAGES


def test_a_run_without_passing_has_no_cost_of_passing():
    assert seconds_an_array({"seconds": [1.0], "passed": [0]}, {"seconds": [1.0]}) is None
