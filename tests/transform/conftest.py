"""JAX in double precision, and both libraries' transformations under the same names."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dagexec
from tests.oracle import leaves_of


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        yield jax


OURS = SimpleNamespace(
    np=dagexec.xp,
    scan=dagexec.scan,
    cond=dagexec.cond,
    while_loop=dagexec.while_loop,
    fori_loop=dagexec.fori_loop,
    **{
        name: getattr(dagexec, name)
        for name in (
            "checkpoint", "custom_vjp", "grad", "hessian", "jacobian", "jit", "jvp", "stop_gradient",
            "value_and_grad", "vjp", "vmap",
        )
    },
)  # fmt: skip


@pytest.fixture
def agree(jax):
    """Whether a program gives the same with both libraries: `agree(program, *arguments)`.

    `program(lib, *arguments)` takes everything from `lib`.
    """
    lax = jax.lax
    theirs = SimpleNamespace(
        np=jax.numpy,
        scan=lax.scan,
        cond=lax.cond,
        while_loop=lax.while_loop,
        fori_loop=lax.fori_loop,
        stop_gradient=lax.stop_gradient,
        checkpoint=jax.checkpoint,
        custom_vjp=jax.custom_vjp,
        grad=jax.grad,
        hessian=jax.hessian,
        jacobian=jax.jacobian,
        jit=jax.jit,
        jvp=jax.jvp,
        value_and_grad=jax.value_and_grad,
        vjp=jax.vjp,
        vmap=jax.vmap,
    )

    def check(program: Callable[..., Any], *arguments: Any, rtol: float = 1e-10) -> Any:
        expected = jax.tree.leaves(program(theirs, *arguments))
        result = program(OURS, *arguments)
        compiled = dagexec.run(dagexec.trace(lambda *args: program(OURS, *args))(*arguments), *arguments)
        for found in (result, compiled):
            leaves = leaves_of(found)
            assert len(leaves) == len(expected)
            for ours, their in zip(leaves, expected):
                np.testing.assert_allclose(np.asarray(ours), np.asarray(their), rtol=rtol, atol=1e-12)
        return result

    return check


@pytest.fixture
def rng():
    return np.random.default_rng(0)
