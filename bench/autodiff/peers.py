"""Who computes value and gradients: each peer made ready for a workload, called as its users call it.

A peer is a function `(workload, threads) -> Ready`: imports and the conversion of the data are no part of its
first call, tracing and compiling are. Threads of PyTorch are set here; those of BLAS and of XLA, and where
torch.compile keeps what it compiled, by the environment of the process (process.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from time import perf_counter
from typing import Any

import numpy as np
import optree

import dagexec
from bench.autodiff.kits import DagexecKit, JaxKit, Kit, TorchKit
from bench.autodiff.workloads import Workload
from dagexec.graph import Graph
from dagexec.rewrite import (
    REWRITES,
    Rewrite,
    broadcasts,
    factors,
    identities,
    products,
    reductions,
    rewritten,
    simplify,
    split,
)
from dagexec.rewrite.fold_constants import RULES as FOLDING
from dagexec.rewrite.rules import by_rules, joined

DAGEXEC = "dagexec"
DAGEXEC_AUTO = "dagexec auto"
DAGEXEC_THREADS = "dagexec threads"
DAGEXEC_BLAS = "dagexec BLAS threads"
DAGEXEC_SHARDS = "dagexec shards"
CHOICES = (DAGEXEC, DAGEXEC_BLAS, DAGEXEC_THREADS, DAGEXEC_SHARDS)  # what auto chooses from
WITHOUT = "without "  # and the name of a rewrite
NO_REWRITES = "no rewrites"
AUTOGRAD = "HIPS autograd"
TORCH = "PyTorch eager"
TORCH_COMPILED = "torch.compile"
TORCH_FUSED = "PyTorch fused"
JAX = "JAX jit"
JAX_SCAN = "JAX scan"
ONNX = "ONNX Runtime"

# The rules of `simplify`, in its order: each kind is a rewrite of its own.
RULES = {
    "factors": factors.RULES,
    "reductions": reductions.RULES,
    "products": products.RULES,
    "fold_constants": FOLDING,
    "identities": identities.RULES,
    "broadcasts": broadcasts.RULES,
}
# All that can be switched off: `simplify` as a whole, and then each kind of its rules.
REWRITE_NAMES = [*dict.fromkeys(rewrite.__name__ for rewrite in REWRITES if rewrite is not simplify)]
REWRITE_NAMES += [simplify.__name__, *RULES]


class NotApplicableError(Exception):
    """The peer has no form for this workload: it gets no row."""


@dataclass(frozen=True)
class Ready:
    """A peer that could begin.

    `make()` is what a first call does before it runs, and gives the steady call; `arrays(result)` is the
    value and the gradients, in the order of the parameters' leaves. `stages` says what `make` took time for,
    `chosen()`, after the runs, what they were run on.
    """

    make: Callable[[], Callable[[], Any]]
    arrays: Callable[[Any], list[np.ndarray]]
    stages: dict[str, float] = field(default_factory=dict)
    chosen: Callable[[], str] = str


Peer = Callable[[Workload, int], Ready]


def _leaves(result: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in optree.tree_leaves(result)]


# --- dagexec --------------------------------------------------------------------------------------------
def dagexec_on(executor: str, rewrites: Sequence[Rewrite] | None = None, blas: bool = False) -> Peer:
    """Trace, derive and compile; then calls of the compiled graph."""

    def ready(workload: Workload, threads: int) -> Ready:
        loss = partial(workload.loss, DagexecKit())
        return compiled_by_dagexec(loss, workload.args, executor, threads, rewrites, blas)

    return ready


def dagexec_on_shards(workload: Workload, threads: int) -> Ready:
    """On threads, the work cut into as many shards."""
    _, graph = _derived(workload)
    if threads == 1 or split(threads)(graph) is graph:  # nothing is worth cutting
        raise NotApplicableError
    return dagexec_on("threads", (*REWRITES, split(threads)))(workload, threads)


def compiled_by_dagexec(
    loss: Callable[..., Any],
    args: tuple[Any, ...],
    executor: str = "serial",
    threads: int = 1,
    rewrites: Sequence[Rewrite] | None = None,
    blas: bool = False,
) -> Ready:
    """The compiled graph of value and gradients; with `blas`, one worker and all threads for BLAS."""
    stages: dict[str, float] = {}
    made: list[Any] = []

    def timed(stage: str, function: Callable[[], Any]) -> Any:
        start = perf_counter()
        result = function()
        stages[stage] = perf_counter() - start
        return result

    def make() -> Callable[[], Any]:
        traced = timed("trace", lambda: dagexec.trace(loss)(*args))
        graph = timed("derive", lambda: traced.backward(wrt=0))
        compiled = timed("compile", lambda: dagexec.compile(graph, executor, threads, rewrites=rewrites))
        stages["nodes"] = len(graph)
        if blas:  # one of auto's choices, which nobody else can ask for
            compiled._runner._blas_threads = threads
        made.append(compiled)
        return lambda: compiled(*args)

    return Ready(make, _leaves, stages, lambda: made[0].explain().partition("\n")[0] if made else "")


def without(name: str) -> Peer:
    """dagexec without one of its rewrites, or without one of the kinds of rules that `simplify` has."""
    rewrites = tuple(_less(rewrite, name) for rewrite in REWRITES if rewrite.__name__ != name)

    def ready(workload: Workload, threads: int) -> Ready:
        graph, with_all = _derived(workload)
        if str(rewritten(graph, rewrites)) == str(with_all):  # it does nothing here
            raise NotApplicableError
        return compiled_by_dagexec(partial(workload.loss, DagexecKit()), workload.args, rewrites=rewrites)

    return ready


@lru_cache(1)
def _derived(workload: Workload) -> tuple[Graph, Graph]:
    """Value and gradients of a workload, and these after all rewrites."""
    graph = dagexec.trace(partial(workload.loss, DagexecKit()))(*workload.args).backward(wrt=0)
    return graph, rewritten(graph)


def _less(rewrite: Rewrite, name: str) -> Rewrite:
    """A rewrite as it is, but `simplify` without the rules of this name."""
    if rewrite is not simplify or name not in RULES:
        return rewrite
    kept = joined(*(rules for kind, rules in RULES.items() if kind != name))
    return lambda graph: by_rules(graph, kept)


# --- HIPS autograd --------------------------------------------------------------------------------------
def autograd(workload: Workload, threads: int) -> Ready:
    """`value_and_grad` over its NumPy."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    function = value_and_grad(partial(workload.loss, Kit(anp)))
    return Ready(lambda: lambda: function(*workload.args), _leaves)


# --- PyTorch --------------------------------------------------------------------------------------------
def torch_eager(workload: Workload, threads: int) -> Ready:
    """Functions of torch.nn.functional, and `torch.autograd.grad`."""
    return _torch(workload, threads, lambda loss: loss)


def torch_compiled(workload: Workload, threads: int) -> Ready:
    """The same loss under torch.compile."""
    import torch

    load_compiler()
    torch.compiler.reset()  # after eight losses it would compile no more
    return _torch(workload, threads, torch.compile)


@cache
def load_compiler() -> None:
    """Let torch.compile import what it imports when it is first used, and find its C++ compiler."""
    import torch

    torch.compile(torch.sin)(torch.ones(3, requires_grad=True)).sum().backward()


def _torch(workload: Workload, threads: int, compiled: Callable[[Any], Any]) -> Ready:
    import torch

    torch.set_num_threads(threads)
    data: Any = optree.tree_map(torch.tensor, workload.data)
    params: Any = optree.tree_map(lambda leaf: torch.tensor(leaf, requires_grad=True), workload.params)
    leaves, loss = optree.tree_leaves(params), partial(workload.loss, TorchKit())

    def make() -> Callable[[], Any]:
        function = compiled(loss)

        def run() -> Any:
            value = function(params, *data)
            return value, *torch.autograd.grad(value, leaves)

        return run

    return Ready(make, _from_torch)


def _from_torch(result: Any) -> list[np.ndarray]:
    return [leaf.detach().numpy() for leaf in result]


def torch_fused(workload: Workload, threads: int) -> Ready:
    """torch.nn.RNN or torch.nn.LSTM: the whole sequence in one call of PyTorch's own kernels."""
    import torch

    if not workload.recurrent:
        raise NotApplicableError
    torch.set_num_threads(threads)
    xs, state, target = (torch.tensor(array) for array in workload.data)
    params = workload.params
    layer = getattr(torch.nn, workload.recurrent)(xs.shape[-1], state.shape[-1])
    trained = [layer.bias_ih_l0, layer.weight_hh_l0, layer.weight_ih_l0]
    layer.bias_hh_l0.requires_grad_(False)
    with torch.no_grad():
        layer.bias_hh_l0.zero_()
        for parameter, name in zip(trained, ("b", "u", "w")):
            parameter.copy_(torch.tensor(params[name].T))
    start = state[None] if workload.recurrent == "RNN" else (state[None], state[None])

    def run() -> Any:
        value = ((layer(xs, start)[0][-1] - target) ** 2).mean()
        return value, *torch.autograd.grad(value, trained)

    return Ready(lambda: run, lambda result: [array.T for array in _from_torch(result)])


# --- JAX ------------------------------------------------------------------------------------------------
def jax_jit(workload: Workload, threads: int) -> Ready:
    """jit(value_and_grad(loss)), loops unrolled."""
    return _jax(workload, JaxKit())


def jax_scan(workload: Workload, threads: int) -> Ready:
    """The same with lax.scan as the loop."""
    if not workload.recurrent:
        raise NotApplicableError
    return _jax(workload, JaxKit(scan=True))


@cache
def load_jax() -> None:
    """Let JAX make ready what it needs for the first program of all."""
    import jax

    jax.jit(jax.grad(jax.numpy.sin))(1.0)


def _jax(workload: Workload, kit: JaxKit) -> Ready:
    import jax

    load_jax()
    args: Any = optree.tree_map(jax.numpy.asarray, workload.args)

    def make() -> Callable[[], Any]:
        function = jax.jit(jax.value_and_grad(partial(workload.loss, kit)))
        return lambda: jax.block_until_ready(function(*args))

    return Ready(make, _leaves)


# --- ONNX Runtime ---------------------------------------------------------------------------------------
def onnx_runtime(workload: Workload, threads: int) -> Ready:
    """The graph that dagexec derived, written in ONNX, as ONNX Runtime has no gradients of its own."""
    import onnxruntime

    from bench.autodiff.onnx_graph import onnx_model

    loss, leaves = partial(workload.loss, DagexecKit()), optree.tree_leaves(workload.args)

    def make() -> Callable[[], Any]:
        graph = dagexec.trace(loss)(*workload.args).backward(wrt=0)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(onnx_model(graph), options, ["CPUExecutionProvider"])
        given = {f"i{number}": leaf for number, leaf in enumerate(leaves)}
        wanted = [f"o{number}" for number in range(len(graph.outputs))]
        return lambda: session.run(wanted, given)

    return Ready(make, _leaves)


PEERS: dict[str, Peer] = {  # in the order of tables
    DAGEXEC: dagexec_on("serial"),
    DAGEXEC_AUTO: dagexec_on("auto"),
    DAGEXEC_BLAS: dagexec_on("serial", blas=True),
    DAGEXEC_THREADS: dagexec_on("threads"),
    DAGEXEC_SHARDS: dagexec_on_shards,
    NO_REWRITES: dagexec_on("serial", ()),
    **{WITHOUT + name: without(name) for name in REWRITE_NAMES},
    TORCH: torch_eager,
    JAX: jax_jit,
    JAX_SCAN: jax_scan,
    TORCH_COMPILED: torch_compiled,
    TORCH_FUSED: torch_fused,
    AUTOGRAD: autograd,
    ONNX: onnx_runtime,
}
