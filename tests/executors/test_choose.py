"""What `auto` takes for a plan of array operations, by estimates; no clock is looked at."""

import re

import numpy as np
import pytest

import dagexec
from dagexec.coarsen import coarsen
from dagexec.executors import measured, serial
from dagexec.executors.choose import choose
from dagexec.executors.measured import TRIALS, Measured
from dagexec.executors.serial import OBSERVED
from dagexec.nn import conv2d
from tests.rewrite.comparing import assert_same_bits


def ones(*shape):
    return np.ones(shape, np.float32)


def towers(*weights):
    return [w @ w @ w for w in weights]


def layers(w, x):
    for _ in range(3):
        x = np.tanh(np.exp(np.tanh(x @ w)))
    return np.mean(x)


def chosen(fn, *args, workers=2, blas=2, gradient=False):
    graph = dagexec.trace(fn)(*args)
    plan = dagexec.plan(graph.backward() if gradient else graph)
    return choose(plan, workers, blas), plan


def test_wide_graphs_run_on_several_workers_as_they_are():
    choice, plan = chosen(towers, *[ones(300, 300)] * 8)
    assert choice.executor == "measured"
    assert choice.plan is plan


def test_a_batch_is_cut_into_shards_where_the_graph_is_narrow():
    choice, _ = chosen(layers, ones(64, 64), ones(4096, 64), gradient=True)
    assert choice.executor == "measured"
    scopes = {node.scope[0] for node in choice.plan.graph.nodes if node.scope}
    assert {"shard[0]", "shard[1]"} <= scopes
    assert "2 workers on 2 shards" in choice.reasons[0]


def test_blas_threads_are_preferred_where_shards_gain_little_more():
    sizes = [(784, 256), (256, 128), (128, 10)]

    def network(weights, x):
        for w in weights:
            x = np.maximum(x @ w, 0)
        return np.mean(x)

    choice, _ = chosen(network, [ones(*size) for size in sizes], ones(128, 784), gradient=True)
    assert (choice.executor, choice.blas_threads) == ("serial", 2)
    estimates = dict(re.findall("(with 2 BLAS threads|2 shards) ([0-9.]+)", choice.reasons[0]))
    assert float(estimates["2 shards"]) < float(estimates["with 2 BLAS threads"])


@pytest.mark.parametrize(("channels", "gains"), [(8, False), (64, True)])
def test_convolutions_gain_by_blas_threads_where_they_multiply_more_than_they_gather(channels, gains):
    params = {"weights": ones(channels, channels, 3, 3), "bias": ones(channels)}
    choice, _ = chosen(lambda params, x: conv2d(params, x), params, ones(16, channels, 32, 32))
    assert (choice.executor, choice.blas_threads) == ("serial", 2 if gains else 1)


def test_one_task_is_cut_as_well():
    compiled = dagexec.compile(dagexec.trace(np.exp)(ones(2_000_000)), workers=2)
    assert compiled.workers == 2
    assert len(compiled.plan.graph.nodes) > 2


def test_what_cannot_be_cut_is_left_to_blas():
    choice, _ = chosen(lambda x: np.linalg.inv(x) @ np.linalg.inv(x @ x), np.eye(800))
    assert (choice.executor, choice.blas_threads, choice.plan) == ("serial", 2, None)


@pytest.mark.parametrize(
    ("fn", "args"),
    [
        (towers, [ones(8, 8)] * 8),
        (layers, [ones(16, 16), ones(32, 16)]),
        (lambda x: np.cumsum(np.sort(x)), [ones(100_000)]),
    ],
)
def test_what_is_short_or_one_path_stays_serial(fn, args):
    choice, _ = chosen(fn, *args, gradient=fn is layers)
    assert (choice.executor, choice.blas_threads) == ("serial", 1)


def test_one_core_is_serial():
    choice, _ = chosen(layers, ones(64, 64), ones(4096, 64), workers=1, blas=1)
    assert choice.executor == "serial"


def test_measured_costs_and_options_by_number_keep_the_graph():
    graph = dagexec.trace(layers)(ones(64, 64), ones(4096, 64)).backward()
    with dagexec.compile(graph, workers=2, costs=[1e-3] * len(graph)) as compiled:
        assert compiled.plan.graph is graph
    with dagexec.compile(graph, workers=2, rewrites=(), on_error="continue") as compiled:
        assert compiled.plan.graph is graph


def test_each_run_of_auto_has_the_same_bits():
    args = np.random.default_rng(0).normal(size=(64, 64)), np.random.default_rng(1).normal(size=(2048, 64))
    graph = dagexec.trace(layers)(*args).backward()
    with dagexec.compile(graph, workers=2) as compiled:
        assert "shards" in compiled.explain()
        runs = [compiled(*args) for _ in range(2 * (TRIALS + OBSERVED) + 2)]
        assert "measured" in compiled.explain()
    for run in runs[1:]:
        assert_same_bits(run, runs[0])


@pytest.mark.parametrize("faster", ["threads", "serial"])
def test_the_faster_one_stays_and_the_other_is_let_go(monkeypatch, faster):
    x = ones(300, 300)
    plan = dagexec.plan(dagexec.trace(towers)(x, x))
    both = Measured(plan, coarsen(plan), 2)
    clock = [0.0]
    monkeypatch.setattr(measured, "perf_counter", lambda: clock[0])
    for name, candidate in list(both._candidates.items()):

        def timed(*args, candidate=candidate, seconds=1.0 if name == faster else 2.0):
            clock[0] += seconds
            return candidate(*args)

        timed.close, timed.plan, timed.story = candidate.close, candidate.plan, candidate.story
        both._candidates[name] = timed
    for _ in range(2 * (TRIALS + OBSERVED)):
        both(plan.values([x, x]), None, [])
    assert both.chosen == faster
    assert list(both._candidates) == [faster]
    both.close()


def test_serial_trials_are_of_the_flat_program(monkeypatch):
    x = ones(300, 300)
    plan = dagexec.plan(dagexec.trace(towers)(x, x))
    both = Measured(plan, coarsen(plan), 2)
    for _ in range(2 * OBSERVED):
        both(plan.values([x, x]), None, [])

    def fail(*_):
        raise AssertionError("run step by step")

    monkeypatch.setattr(serial, "run_steps", fail)
    for _ in range(2 * TRIALS + 2):
        both(plan.values([x, x]), None, [])
    both.close()
