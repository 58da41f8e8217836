"""Special functions: the error function, gamma and Bessel functions, entropies. Their kernels are SciPy's,
but for that of softplus.

SciPy is imported when the first of them is used; without it there is an ImportError that says so. A kernel is
sent to other processes by name. The derivatives are those of the NIST Digital Library of Mathematical
Functions, https://dlmf.nist.gov, chapters 5, 7, 8, 10 and 25.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import pi, sqrt
from typing import Any

import array_api_compat
import numpy as np

from dagexec.graph import Op, Spec
from dagexec.ops import batched
from dagexec.ops.elementwise import TRANSCENDENTAL, ufunc_dtype
from dagexec.ops.table import Rule, broadcast_shapes, declare

NAMES: list[str] = []


def scipy_ufunc(name: str) -> np.ufunc:
    """SciPy's own ufunc; ImportError if SciPy is not installed."""
    try:
        from scipy.special import _ufuncs
    except ImportError:
        raise ImportError(f"{name} is computed by SciPy, which is not installed: pip install scipy") from None
    found: np.ufunc = getattr(_ufuncs, name, None) or getattr(_ufuncs, f"_{name}")  # zeta is hidden there
    return found


def _infer(name: str, *specs: Spec) -> Spec:
    shape = broadcast_shapes(*[spec.shape for spec in specs])
    return Spec(shape, ufunc_dtype(scipy_ufunc(name), *[spec.dtype for spec in specs]))


def _computed(name: str, *operands: Any) -> Any:
    return scipy_ufunc(name)(*operands)


def _computed_elsewhere(xp: Any, name: str, *operands: Any) -> Any:
    """The same for arrays of another library, by way of NumPy."""
    device = array_api_compat.device(operands[0])
    values = [np.asarray(array_api_compat.to_device(operand, "cpu")) for operand in operands]
    return xp.asarray(_computed(name, *values), device=device)


@dataclass(frozen=True)
class NoDerivative:
    """In the place of a gradient rule: there is a gradient, but not in a form that could be computed here."""

    name: str
    operand: str

    def __call__(self, xp: Any, g: Any, y: Any, *operands: Any) -> Any:
        where = y.node.where
        place = f" ({where[0]}:{where[1]})" if where else ""
        raise TypeError(f"no gradient of {self.name} for its operand {self.operand} is known here{place}")


def _special(name: str, *vjp: Rule | None, doc: str) -> None:
    """Declare the op whose kernel is SciPy's ufunc of the same name."""
    NAMES.append(name)
    declare(
        Op(
            name,
            partial(_infer, name),
            lambda xp: partial(_computed, name) if xp is np else partial(_computed_elsewhere, xp, name),
            vjp if any(vjp) else (),
            batched.elementwise,
            cost=lambda out, *specs: 2 * TRANSCENDENTAL * out.size,
            family="special",
            doc=doc,
        )
    )


# --- the error function and what is made of it ----------------------------------------------------------
def _bell(xp: Any, x: Any) -> Any:
    return xp.exp(-0.5 * xp.square(x)) / sqrt(2 * pi)


_special("erf", lambda xp, g, y, x: g * (2 / sqrt(pi)) * xp.exp(-xp.square(x)), doc="error function")
_special("erfc", lambda xp, g, y, x: -g * (2 / sqrt(pi)) * xp.exp(-xp.square(x)), doc="1 − erf(x)")
_special("erfcx", lambda xp, g, y, x: g * (2 * x * y - 2 / sqrt(pi)), doc="exp(x²) erfc(x)")
_special("erfinv", lambda xp, g, y, x: g * (sqrt(pi) / 2) * xp.exp(xp.square(y)), doc="inverse of erf")
_special("erfcinv", lambda xp, g, y, x: -g * (sqrt(pi) / 2) * xp.exp(xp.square(y)), doc="inverse of erfc")
_special("ndtr", lambda xp, g, y, x: g * _bell(xp, x), doc="distribution function of the normal distribution")
_special(
    "log_ndtr",
    lambda xp, g, y, x: g * xp.exp(-0.5 * xp.square(x) - y) / sqrt(2 * pi),
    doc="logarithm of ndtr, exact where that underflows",
)
_special("ndtri", lambda xp, g, y, x: g / _bell(xp, y), doc="inverse of ndtr")

# --- the logistic function ------------------------------------------------------------------------------
_special("expit", lambda xp, g, y, x: g * (y * (1 - y)), doc="1 / (1 + exp(−x))")


def _sigmoid(xp: Any, x: Any) -> Any:
    return 0.5 * xp.tanh(0.5 * x) + 0.5


def _sigmoid_into(inputs: Any, out: Any) -> Any:
    return [
        (np.multiply, (*inputs, 0.5, out)),
        (np.tanh, (out, out)),
        (np.multiply, (out, 0.5, out)),
        (np.add, (out, 0.5, out)),
    ]


declare(
    Op(
        "sigmoid",
        lambda x: Spec(x.shape, ufunc_dtype(np.tanh, x.dtype)),
        lambda xp: partial(_sigmoid, xp),
        (lambda xp, g, y, x: g * (y * (1 - y)),),
        batched.elementwise,
        cost=lambda out, x: (TRANSCENDENTAL + 3) * out.size,
        into=_sigmoid_into,
        onnx="Sigmoid",
        doc="expit by tanh, which is vectorised and needs no exponential that could overflow",
    )
)
_special("log_expit", lambda xp, g, y, x: g * xp.special.expit(-x), doc="logarithm of expit")


def _softplus(xp: Any, x: Any) -> Any:
    """In float32 a fifth of the time of np.logaddexp(x, 0), whose loop is not vectorised."""
    positive = xp.maximum(x, 0) if xp is np else xp.where(x > 0, x, 0)
    return positive + xp.log1p(xp.exp(-xp.abs(x)))


declare(
    Op(
        "softplus",
        lambda x: Spec(x.shape, ufunc_dtype(np.exp, x.dtype)),
        lambda xp: partial(_softplus, xp),
        (lambda xp, g, y, x: g * xp.exp(x - y),),
        batched.elementwise,
        cost=lambda out, x: 2 * TRANSCENDENTAL * out.size,
        family="special",
        doc="log(1 + exp(x)), without overflow",
    )
)
_special("logit", lambda xp, g, y, x: g / (x * (1 - x)), doc="log(x / (1 − x)), the inverse of expit")

# --- the gamma function and its relatives ---------------------------------------------------------------
_special("gamma", lambda xp, g, y, x: g * y * xp.special.psi(x), doc="gamma function")
_special("gammaln", lambda xp, g, y, x: g * xp.special.psi(x), doc="logarithm of |gamma(x)|")
_special("rgamma", lambda xp, g, y, x: -g * y * xp.special.psi(x), doc="1 / gamma(x)")
_special("psi", lambda xp, g, y, x: g * xp.special.zeta(2.0, x), doc="derivative of gammaln, for x > 0")
_special(
    "zeta",
    NoDerivative("zeta", "s"),
    lambda xp, g, y, s, q: -g * s * xp.special.zeta(s + 1, q),
    doc="zeta function of Hurwitz: the sum of (k + q)⁻ˢ over k ≥ 0",
)
_special(
    "beta",
    lambda xp, g, y, a, b: g * y * (xp.special.psi(a) - xp.special.psi(a + b)),
    lambda xp, g, y, a, b: g * y * (xp.special.psi(b) - xp.special.psi(a + b)),
    doc="gamma(a) gamma(b) / gamma(a + b)",
)
_special(
    "betaln",
    lambda xp, g, y, a, b: g * (xp.special.psi(a) - xp.special.psi(a + b)),
    lambda xp, g, y, a, b: g * (xp.special.psi(b) - xp.special.psi(a + b)),
    doc="logarithm of |beta(a, b)|",
)


def _gamma_density(xp: Any, a: Any, x: Any) -> Any:
    return xp.exp(xp.special.xlogy(a - 1, x) - x - xp.special.gammaln(a))


_special(
    "gammainc",
    NoDerivative("gammainc", "a"),
    lambda xp, g, y, a, x: g * _gamma_density(xp, a, x),
    doc="share of the gamma function's integral up to x",
)
_special(
    "gammaincc",
    NoDerivative("gammaincc", "a"),
    lambda xp, g, y, a, x: -g * _gamma_density(xp, a, x),
    doc="share of the gamma function's integral from x on",
)

# --- entropies ------------------------------------------------------------------------------------------
_special(
    "xlogy",
    lambda xp, g, y, a, b: g * xp.log(xp.where(xp.equal(a, 0), 1, b)),
    lambda xp, g, y, a, b: g * a / xp.where(xp.equal(a, 0), 1, b),
    doc="a log(b), and 0 where a = 0",
)
_special(
    "xlog1py",
    lambda xp, g, y, a, b: g * xp.log1p(xp.where(xp.equal(a, 0), 0, b)),
    lambda xp, g, y, a, b: g * a / (1 + xp.where(xp.equal(a, 0), 0, b)),
    doc="a log(1 + b), and 0 where a = 0",
)
_special("entr", lambda xp, g, y, x: -g * (xp.log(x) + 1), doc="−x log(x)")
_special(
    "rel_entr",
    lambda xp, g, y, a, b: g * (xp.log(a / b) + 1),
    lambda xp, g, y, a, b: -g * a / b,
    doc="a log(a / b)",
)
_special(
    "kl_div",
    lambda xp, g, y, a, b: g * xp.log(a / b),
    lambda xp, g, y, a, b: g * (1 - a / b),
    doc="a log(a / b) − a + b",
)

# --- Bessel functions -----------------------------------------------------------------------------------
_special("j0", lambda xp, g, y, x: -g * xp.special.j1(x), doc="Bessel function of order 0")
_special("j1", lambda xp, g, y, x: g * 0.5 * (xp.special.j0(x) - xp.special.jv(2.0, x)), doc="of order 1")
_special(
    "jv",
    NoDerivative("jv", "v"),
    lambda xp, g, y, v, x: g * 0.5 * (xp.special.jv(v - 1, x) - xp.special.jv(v + 1, x)),
    doc="Bessel function of real order",
)
_special("i0", lambda xp, g, y, x: g * xp.special.i1(x), doc="modified Bessel function of order 0")
_special("i1", lambda xp, g, y, x: g * 0.5 * (xp.special.i0(x) + xp.special.iv(2.0, x)), doc="of order 1")
_special(
    "iv",
    NoDerivative("iv", "v"),
    lambda xp, g, y, v, x: g * 0.5 * (xp.special.iv(v - 1, x) + xp.special.iv(v + 1, x)),
    doc="modified Bessel function of real order",
)
_special(
    "i0e",
    lambda xp, g, y, x: g * (xp.special.i1e(x) - xp.sign(x) * y),
    doc="exp(−|x|) i0(x)",
)
_special(
    "i1e",
    lambda xp, g, y, x: g * (0.5 * (xp.special.i0e(x) + xp.special.ive(2.0, x)) - xp.sign(x) * y),
    doc="exp(−|x|) i1(x)",
)
_special(
    "ive",
    NoDerivative("ive", "v"),
    lambda xp, g, y, v, x: g * (0.5 * (xp.special.ive(v - 1, x) + xp.special.ive(v + 1, x)) - xp.sign(x) * y),
    doc="exp(−|x|) iv(v, x)",
)
