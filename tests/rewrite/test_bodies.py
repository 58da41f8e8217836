"""Graphs within graphs: rewritten like those around them, with the same results."""

import numpy as np

import dagexec
from dagexec import xp
from dagexec.rewrite import rewrite_bodies
from tests.rewrite.comparing import assert_close, ops

W, XS = np.random.default_rng(0).normal(size=(3, 3)), np.random.default_rng(1).normal(size=(5, 2, 3))


def check(fn, *arguments, gradient=True):
    graph = dagexec.trace(fn)(*arguments)
    graph = graph.backward() if gradient else graph
    rewritten = rewrite_bodies(graph)
    for executor in ("serial", "threads"):
        assert_close(
            dagexec.run(rewritten, *arguments, executor=executor, workers=2, rewrites=()),
            dagexec.run(graph, *arguments, executor=executor, workers=2, rewrites=()),
        )
    before, after = (str(one).splitlines() for one in (graph, rewritten))  # those of the bodies, too
    assert len(after) < len(before)


def test_a_recurrent_network_and_its_gradient():
    def step(hidden, x):
        hidden = xp.tanh(x @ W + hidden * 1)
        return hidden, xp.mean(hidden**2)

    def loss(xs):
        return xp.sum(dagexec.scan(step, xp.zeros((2, 3)), xs)[1])

    check(loss, XS)


def test_branches():
    def loss(x):
        return dagexec.cond(x[0] > 0, lambda x: xp.sum(x.T.T * 3 * 5), lambda x: xp.mean(xp.square(x)), x)

    check(loss, np.array([1.0, 2.0]))
    check(loss, np.array([-1.0, 2.0]))


def test_loops_within_loops():
    def inner(x):
        return dagexec.while_loop(lambda x: xp.sum(x) < 50, lambda x: 2 * (x * 1.5), x)

    def fn(xs):
        return dagexec.scan(lambda carry, x: (carry + xp.sum(inner(x)), None), 0.0, xs)[0]

    check(fn, np.abs(XS), gradient=False)


def test_without_graphs_within_it_a_graph_stays_the_same():
    graph = dagexec.trace(lambda x: x * 1)(np.ones(3))
    assert rewrite_bodies(graph) is graph
    assert ops(graph) == ["multiply"]
