"""Cases for products, solvers, decompositions and Fourier transforms, of real and of complex numbers.

Eigenvectors and singular vectors are known up to a sign or phase, so their cases are functions of what does
not depend on it; the decompositions of Hermitian matrices are differentiated along Hermitian matrices.
"""

from typing import Any

import numpy as np

from dagexec import xp
from tests.ops.cases import case, complex_case, complex_values, positive, values

linalg, fft = xp.linalg, xp.fft
WEIGHTS = np.array([0.3, -1.1, 0.8, 1.7])


def regular(*shape: int) -> np.ndarray:
    """Matrices far from singular, with eigenvalues far from each other."""
    x = 0.5 * values(*shape)
    x[..., np.arange(shape[-2]) % shape[-1], np.arange(shape[-2]) % shape[-1]] += 1.5 * np.arange(
        1, shape[-2] + 1
    )
    return x


def complex_regular(*shape: int) -> np.ndarray:
    return regular(*shape) + 0.5j * values(*shape)


def hermitian(x: Any) -> Any:
    return x @ xp.conj(xp.matrix_transpose(x)) + np.eye(x.shape[-1])


def squares(x: Any) -> Any:
    return xp.abs(x) ** 2


def projected(vectors: Any) -> Any:
    """What the first columns span, by the matrix that projects onto it: no phase is left in it."""
    first = vectors[..., :, :2]
    return first @ xp.conj(xp.matrix_transpose(first))


complex_case("matmul", "matrices", lambda a, b: a @ b, complex_values(2, 3), complex_values(3, 2))
complex_case("matmul", "vectors", lambda a, b: a @ b, complex_values(3), complex_values(3))
complex_case("conj", "vecdot", xp.vecdot, complex_values(2, 3), complex_values(3))

# --- solvers --------------------------------------------------------------------------------------------
for _name in ("inv", "det", "slogdet", "cofactors"):
    _function = getattr(linalg, _name)
    for _shape in ((3, 3), (1, 1), (2, 2, 2)):
        case(_name, f"{_shape}", lambda x, f=_function: f(x * x), positive(*_shape) + 2 * np.eye(_shape[-1]))
    complex_case(_name, "stack", _function, complex_regular(2, 2, 2))
case("slogdet", "logabsdet alone", lambda x: linalg.slogdet(x)[1], regular(3, 3))
complex_case("slogdet", "sign alone", lambda x: linalg.slogdet(x)[0], complex_regular(3, 3))
for _a, _b in (
    ((3, 3), (3,)),
    ((3, 3), (3, 2)),
    ((2, 2, 2), (2,)),
    ((2, 2, 2), (2, 1)),
    ((2, 2), (3, 2, 2)),
    ((2, 1, 2, 2), (3, 2, 1)),
):
    case("solve", f"{_a} {_b}", linalg.solve, regular(*_a), values(*_b))
case("solve", "matrix alone", lambda a: linalg.solve(a, a[0] ** 2), regular(2, 2))
case(
    "solve",
    "right-hand side alone",
    lambda b: linalg.solve(np.array([[2.0, 1.0], [0.0, 3.0]]), b**2),
    values(2, 2),
)
complex_case("solve", "vector", linalg.solve, complex_regular(2, 2), complex_values(2))
complex_case("solve", "matrix", linalg.solve, complex_regular(2, 2, 2), complex_values(2, 3))
for _upper in (False, True):
    case(
        "cholesky",
        f"upper={_upper}",
        lambda x, u=_upper: linalg.cholesky(hermitian(x), upper=u),
        values(3, 3),
    )
    complex_case(
        "cholesky",
        f"upper={_upper}",
        lambda x, u=_upper: linalg.cholesky(hermitian(x), upper=u),
        complex_values(2, 2),
    )
case("cholesky", "stack", lambda x: linalg.cholesky(hermitian(x)), values(2, 2, 2))
for _shape in ((3, 3), (3, 2), (2, 3), (2, 3, 1)):
    case("pinv", f"{_shape}", linalg.pinv, regular(*_shape))
case("pinv", "of less than full rank", lambda x: linalg.pinv(x[:, None] * x), positive(3))
complex_case("pinv", "tall", linalg.pinv, complex_regular(3, 2))
complex_case("pinv", "wide", linalg.pinv, complex_regular(2, 3))
case("inv", "negative power", lambda x: linalg.matrix_power(x, -3), regular(2, 2))
case("matmul", "power", lambda x: linalg.matrix_power(x, 5), values(2, 2))

# --- decompositions -------------------------------------------------------------------------------------
case("eigh", "values", lambda x: linalg.eigh(hermitian(x))[0], regular(3, 3))
case("eigh", "vectors", lambda x: squares(linalg.eigh(hermitian(x))[1]), regular(3, 3))
case("eigh", "both, stack", lambda x: [squares(y) for y in linalg.eigh(hermitian(x))], regular(2, 2, 2))
case("eigvalsh", "values", lambda x: linalg.eigvalsh(hermitian(x)), regular(3, 3))
complex_case("eigh", "both", lambda x: [squares(y) for y in linalg.eigh(hermitian(x))], complex_regular(3, 3))
complex_case("eigh", "projection", lambda x: projected(linalg.eigh(hermitian(x))[1]), complex_regular(3, 3))
complex_case("eigvalsh", "stack", lambda x: linalg.eigvalsh(hermitian(x)), complex_regular(2, 2, 2))
case("eig", "values", lambda x: squares(linalg.eigvals(x)), regular(3, 3))
case("eig", "vectors", lambda x: squares(linalg.eig(x)[1]), regular(3, 3))
case(
    "eig",
    "complex pairs",
    lambda x: squares(linalg.eig(x - xp.matrix_transpose(x))[0] + 1),
    regular(2, 3, 3)[:1],
)
complex_case("eig", "both", lambda x: [squares(y) for y in linalg.eig(x)], complex_regular(2, 3, 3))
for _shape in ((3, 3), (3, 2), (2, 3), (2, 3, 2)):
    case("svdvals", f"{_shape}", linalg.svdvals, regular(*_shape))
    case(
        "svd",
        f"all three {_shape}",
        lambda x: [squares(y) for y in linalg.svd(x, full_matrices=False)],
        regular(*_shape),
    )
    complex_case(
        "svd",
        f"all three {_shape}",
        lambda x: [squares(y) for y in linalg.svd(x, full_matrices=False)],
        complex_regular(*_shape),
    )
for _k, _part in ((0, "left vectors"), (1, "values"), (2, "right vectors")):
    case(
        "svd", f"{_part} alone", lambda x, k=_k: squares(linalg.svd(x, full_matrices=False)[k]), regular(3, 2)
    )
case("svd", "values of full matrices", lambda x: linalg.svd(x)[1], regular(3, 2))
case("svd", "square, full matrices", lambda x: squares(linalg.svd(x)[0]), regular(2, 2))
complex_case(
    "svd",
    "phases that both sides share",
    lambda x: (lambda u, s, vh: (u * s**2) @ vh)(*linalg.svd(x, full_matrices=False)),
    complex_regular(3, 2),
)
complex_case("svdvals", "tall", linalg.svdvals, complex_regular(3, 2))
case("svdvals", "nuclear norm", lambda x: linalg.matrix_norm(x, ord="nuc"), regular(2, 3))
case("svdvals", "spectral norm", lambda x: linalg.matrix_norm(x, ord=2, keepdims=True), regular(2, 2, 3))
for _shape in ((3, 3), (4, 2), (2, 3), (2, 3, 2)):
    case("qr", f"both {_shape}", lambda x: list(linalg.qr(x)), regular(*_shape))
    complex_case("qr", f"both {_shape}", lambda x: list(linalg.qr(x)), complex_regular(*_shape))
for _shape in ((3, 2), (2, 3)):
    case("qr", f"q alone {_shape}", lambda x: linalg.qr(x)[0], regular(*_shape))
    case("qr", f"r alone {_shape}", lambda x: linalg.qr(x)[1], regular(*_shape))
case("qr", "complete, r alone", lambda x: linalg.qr(x, mode="complete")[1], regular(3, 2))
case("qr", "complete, wide", lambda x: list(linalg.qr(x, mode="complete")), regular(2, 3))

# --- norms and cross products ---------------------------------------------------------------------------
for _ord in (1, 2, 3, 0.5, -1, np.inf, -np.inf):
    _used = "max" if _ord == np.inf else "min" if _ord == -np.inf else "sum"
    case(_used, f"norm {_ord}", lambda x, o=_ord: linalg.vector_norm(x, axis=-1, ord=o), positive(2, 3))
    complex_case(_used, f"norm {_ord}", lambda x, o=_ord: linalg.vector_norm(x, ord=o), complex_values(2, 2))
for _ord in ("fro", 1, -1, np.inf, -np.inf):
    case("sum", f"matrix norm {_ord}", lambda x, o=_ord: linalg.matrix_norm(x, ord=o), values(2, 2, 3))
case("roll", "cross product", linalg.cross, values(2, 3), values(3))
case("getitem", "trace", lambda x: linalg.trace(x**2, offset=1), values(2, 3, 3))

# --- Fourier transforms ---------------------------------------------------------------------------------
for _norm in ("backward", "ortho", "forward"):
    for _n in (None, 2, 3, 6):
        _same: dict[str, Any] = {"n": _n, "norm": _norm}
        for _name in ("fft", "ifft"):
            complex_case(
                _name,
                f"{_n} {_norm}",
                lambda x, name=_name, s=_same: getattr(fft, name)(x * x, **s),
                complex_values(4),
            )
        for _name in ("rfft", "ihfft"):
            case(
                "rfft",
                f"{_name} {_n} {_norm}",
                lambda x, name=_name, s=_same: [
                    part(getattr(fft, name)(x * x, **s)) for part in (xp.real, xp.imag)
                ],
                values(5),
            )
        for _name in ("irfft", "hfft"):
            complex_case(
                "irfft",
                f"{_name} {_n} {_norm}",
                lambda x, name=_name, s=_same: getattr(fft, name)(x * x, **s),
                complex_values(3),
            )
for _name, _op in (("fftn", "fft"), ("ifftn", "ifft"), ("irfftn", "irfft")):
    _function = getattr(fft, _name)
    complex_case(_op, "several axes", lambda x, f=_function: f(x * x), complex_values(2, 3))
    complex_case(
        _op,
        "axes in another order",
        lambda x, f=_function: f(x, s=(4, 2), axes=(1, 0)),
        complex_values(2, 3, 2),
    )
case("rfft", "several axes", lambda x: squares(fft.rfftn(x, s=(3, 4), axes=(2, 0))), values(3, 2, 2))
case("fft", "of real numbers", lambda x: squares(fft.fft(x)), values(4))
case("irfft", "of real numbers", lambda x: fft.irfft(x) ** 2, values(4))
case("roll", "fftshift", lambda x: fft.fftshift(x) ** 2 + fft.ifftshift(x) ** 3, values(3, 2))
