"""Transformations of functions, with the names and meanings that JAX users know. They nest.

Inside of a trace they work on what is being recorded: `value_and_grad` calls the function on the traced
arguments and derives the backward nodes there and then. Outside they trace the whole, run it and return
values. So `grad(grad(f))`, `jit(grad(f))` and `grad(jit(f))` all mean what they say.

Forward mode (`jvp`) is reverse mode applied twice. Loops and branches that are kept as such (`scan`, `cond`,
`while_loop`) are nodes that hold graphs; see subgraphs.py.

>>> import numpy as np
>>> float(grad(grad(np.sin))(0.5)), float(-np.sin(0.5))
(-0.479425538604203, -0.479425538604203)
"""

from dagexec.transform.batching import vmap
from dagexec.transform.branching import cond
from dagexec.transform.callables import call
from dagexec.transform.checkpointing import checkpoint
from dagexec.transform.compiling import jit
from dagexec.transform.custom import custom_vjp
from dagexec.transform.forward import jvp
from dagexec.transform.identities import stop_gradient
from dagexec.transform.jacobians import hessian, hvp, jacobian
from dagexec.transform.looping import fori_loop, while_loop
from dagexec.transform.reverse import grad, value_and_grad, vjp
from dagexec.transform.stepping import scan

__all__ = [
    "call",
    "checkpoint",
    "cond",
    "custom_vjp",
    "fori_loop",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "scan",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
