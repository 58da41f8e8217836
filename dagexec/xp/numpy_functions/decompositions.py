"""NumPy's np.linalg where its arguments are others than the Array API's, and np.fft."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagexec.array import shape_of
from dagexec.xp import fft, linalg
from dagexec.xp.registry import connect, implements

_NOT_GIVEN = object()

for _name, _function in fft.LOOSE.items():
    if not _name.endswith("freq"):
        connect(getattr(np.fft, _name), _function)


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """(U, S, Vh), or the singular values alone; `hermitian` only says that a faster way would do."""
    return linalg.svd(a, full_matrices=full_matrices) if compute_uv else linalg.svdvals(a)


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """(eigenvalues, eigenvectors) of a Hermitian matrix, read from the triangle named."""
    return linalg.eigh(_lower(a, UPLO))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of a Hermitian matrix, read from the triangle named."""
    return linalg.eigvalsh(_lower(a, UPLO))


def _lower(a: Any, triangle: str) -> Any:
    if triangle.upper() not in ("L", "U"):
        raise ValueError(f"UPLO is {triangle!r}; it can be 'L' or 'U'")
    return a if triangle.upper() == "L" else np.conj(np.matrix_transpose(a))


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """(Q, R), or R alone if `mode` is "r"."""
    if mode == "raw":
        raise ValueError("mode='raw' gives LAPACK's own form, which no op computes")
    return linalg.qr(a).R if mode == "r" else linalg.qr(a, mode=mode)


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = _NOT_GIVEN) -> Any:
    """The pseudo-inverse; `rcond` is 1e-15 where neither it nor `rtol` is given."""
    if rcond is None:
        rcond = 1e-15 if rtol is _NOT_GIVEN else rtol
    elif rtol is not _NOT_GIVEN:
        raise ValueError("rcond and rtol are two names for one number: give one of them")
    return linalg.pinv(a, rtol=rcond)


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """How many singular values are larger than `tol`, or than `rtol` times the largest."""
    if len(shape_of(A)) < 2:
        return np.max(A != 0).astype(np.int64)
    if tol is None:
        return linalg.matrix_rank(A, rtol=rtol)
    if rtol is not None:
        raise ValueError("tol and rtol can't both be given")
    tol = np.expand_dims(tol, -1) if shape_of(tol) else tol
    return np.sum(linalg.svdvals(A) > tol, axis=-1)


for _name in ("fft2", "ifft2", "rfft2", "irfft2"):

    def _plane(
        a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, name: str = _name[:-1] + "n"
    ) -> Any:
        """A transform along two axes."""
        return fft.LOOSE[name](a, s, axes, norm)

    connect(getattr(np.fft, _name), _plane)
