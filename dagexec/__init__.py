"""Array code to computational graph, its backward graph, parallel execution, and pictures of every step.

>>> import numpy as np, dagexec
>>> def loss(w, x):
...     return np.sum(np.tanh(x @ w) ** 2)
>>> w, x = np.ones((3, 2)), np.ones((4, 3))
>>> graph = dagexec.trace(loss)(w, x)
>>> value, gradient = dagexec.run(graph.backward(), w, x, executor="threads")
>>> gradient.shape
(3, 2)
"""

from dagexec import data, draw, nn, optim, page, random, xp  # draw and page also give Graph its methods
from dagexec.analysis import analyze, measured_seconds
from dagexec.array import TracingError
from dagexec.events import Event, Events
from dagexec.executors import Compiled, Failure, Handle, TasksFailed, compile, run, submit
from dagexec.graph import Graph, Node, Op, Spec
from dagexec.interop import from_dask, from_networkx, get
from dagexec.plan import Plan, plan
from dagexec.rewrite import scalarize
from dagexec.saving import load
from dagexec.schedule import Schedule
from dagexec.simulation import simulate, speedups
from dagexec.tasks import compute, task
from dagexec.tracing import block, scope, trace
from dagexec.transform import (
    call,
    checkpoint,
    cond,
    custom_vjp,
    fori_loop,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    scan,
    stop_gradient,
    value_and_grad,
    vjp,
    vmap,
    while_loop,
)
from dagexec.variable import backward, variable
