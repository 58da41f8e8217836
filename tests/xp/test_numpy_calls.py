"""NumPy's functions on traced arrays: each is traced, run and compared with NumPy itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dagexec.tracing import trace
from tests.oracle import assert_same, check_gradient, leaves_of, traced

SHAPES = ((2, 3), (4, 5), (3, 4))
METHODS = (
    "hazen", "weibull", "median_unbiased", "normal_unbiased", "interpolated_inverted_cdf", "lower", "higher",
    "nearest", "midpoint",
)  # fmt: skip


def arguments(rows: int, columns: int) -> tuple[Any, ...]:
    """Two positive matrices, a vector as long as their rows, and a square matrix of this size."""
    random = np.random.default_rng((rows, columns))
    shape = (rows, columns)
    return (
        random.uniform(0.5, 2.0, shape),
        random.uniform(0.5, 2.0, shape),
        random.normal(size=columns),
        random.normal(size=(columns, columns)) + 3 * np.eye(columns),
    )


def nanned(x: Any) -> Any:
    """NaN in the place of what is large."""
    return np.where(x > 1.5, np.nan, x)


CALLS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "reductions": lambda x, y, v, s: (
        np.sum(x, where=y > 1), np.sum(x, axis=1, initial=2.0, where=y > 1),
        np.prod(x, 0, initial=3.0), np.prod(x, where=x > 1), np.max(x, initial=1.2),
        np.min(x, axis=0, initial=1.2, where=y > 1), np.all(x > 0.7, where=y > 1),
        np.any(x > 0.7, axis=0, where=y > 1),
        np.mean(x, axis=1, where=x < np.max(x, axis=1, keepdims=True)), np.ptp(x),
        np.ptp(x, axis=0), np.argmax(x, 1, keepdims=True), np.argmin(x), np.count_nonzero(x > 1),
        np.count_nonzero(x > 1, axis=0, keepdims=True), np.sum(a=x, axis=0),
    ),
    "spreads": lambda x, y, v, s: (
        np.var(x, where=x > 0.9), np.var(x, 1, where=x > np.min(x, axis=1, keepdims=True), ddof=1),
        np.var(x, axis=1, keepdims=True),
        np.std(x, axis=0), np.var(x, mean=np.mean(x)), x.std(ddof=1), x.var(0),
    ),
    "running totals": lambda x, y, v, s: (
        np.cumsum(x), np.cumsum(x, axis=0), np.cumprod(x, axis=1), x.cumsum(), x.cumprod(0),
        np.cumulative_sum(v),
    ),
    "without NaN": lambda x, y, v, s: (
        np.nansum(nanned(x)), np.nansum(nanned(x), axis=0), np.nanprod(nanned(x), axis=1),
        np.nancumsum(nanned(x)), np.nancumprod(nanned(x), axis=0),
        np.nanmean(np.concatenate([x, nanned(x)]), axis=0),
        np.nanvar(np.concatenate([x, nanned(x)]), axis=0), np.nanstd(np.concatenate([x, nanned(x)])),
        np.nanmax(np.concatenate([x, nanned(x)]), axis=0), np.nanmin(np.concatenate([x, nanned(x)])),
        np.nanargmax(np.concatenate([x, nanned(x)]), axis=0),
        np.nanargmin(np.concatenate([x, nanned(x)])),
        np.nanmedian(np.concatenate([x, nanned(x)]), axis=0),
        np.nanquantile(np.concatenate([x, nanned(x)]), [0.1, 0.7], axis=0),
        np.nanpercentile(np.concatenate([x, nanned(x)]), 30),
    ),
    "quantiles": lambda x, y, v, s: (
        np.median(x), np.median(x, axis=0), np.median(x, axis=1, keepdims=True), np.quantile(x, 0.3),
        np.quantile(x, [0.1, 0.5, 1.0], axis=0), np.percentile(x, [[10, 20], [90, 100]], axis=1),
        np.quantile(x, 0.3, axis=(0, 1), keepdims=True),
        [np.quantile(x, 0.37, axis=0, method=method) for method in METHODS],
    ),
    "order": lambda x, y, v, s: (
        np.sort(x), np.sort(x, 0), np.sort(x, None), np.argsort(x), x.argsort(0),
        np.argsort(x, axis=None, kind="stable"), np.lexsort((v, np.floor(v * 2))),
        np.partition(x, 0)[..., 0],
    ),
    "covariances": lambda x, y, v, s: (
        np.cov(s), np.cov(v), np.cov(x.T, rowvar=False), np.cov(v, s[0]), np.corrcoef(s),
        np.corrcoef(v, s[0]), np.cov(s, bias=True), np.cov(s, aweights=np.arange(1, len(v) + 1.0)),
        np.cov(s, fweights=np.arange(1, len(v) + 1)), np.average(x, axis=0, returned=True),
        np.average(x, weights=y, returned=True), np.average(x, axis=1, weights=v * v),
    ),
    "counts": lambda x, y, v, s: (
        np.histogram(x), np.histogram(x, 5, (0.0, 2.0)), np.histogram(x, [0.0, 1.0, 1.5, 2.0]),
        np.histogram(x, weights=y, density=True), np.digitize(x, [0.7, 1.0, 1.5]),
        np.digitize(x, [1.5, 1.0, 0.7], right=True),
    ),
    "logic": lambda x, y, v, s: (
        np.isclose(x, y), np.isclose(x, x + 1e-09), np.allclose(x, x), np.array_equal(x, x),
        np.array_equiv(x, x[:1]), np.isposinf(x), np.isneginf(x), np.isreal(x), np.iscomplex(x),
        np.nan_to_num(nanned(x)),
    ),
    "rearranged": lambda x, y, v, s: (
        np.rot90(x), np.rot90(x, 2), np.rot90(x, 3), np.rot90(x, 1, (1, 0)), np.rot90(x, 0),
        np.fliplr(x), np.flipud(x), np.rollaxis(x[None], 2), np.atleast_3d(x), np.atleast_3d(v),
        np.dstack([x, y]), np.dstack([v, v]), np.block([[x, y], [y, x]]), np.block([v, v]),
        np.block([[s, v[:, None]], [v[None], np.ones((1, 1))]]), np.hsplit(x, [1]),
        np.vsplit(x, [1]), np.dsplit(x[None], [1]), np.append(x, y), np.append(x, y, 0),
        np.append(v, 3.0), np.resize(x, (3, 7)), np.reshape(x, -1, order="F"),
        np.reshape(x, (x.shape[1], x.shape[0]), order="F"), x.reshape(-1, order="F"), x.flatten("F"),
        np.ravel(x, "F"), np.stack([x, y], 1), np.atleast_2d(x, v), np.atleast_1d(x, v),
    ),
    "inserted and deleted": lambda x, y, v, s: (
        np.insert(x, 1, 5.0), np.insert(x, 1, 5.0, axis=0), np.insert(x, [0, 1], 7.0, axis=1),
        np.insert(x, 0, v, axis=0), np.insert(x, [0, 1, 1], y[:, :1], axis=1),
        np.insert(x, slice(0, 2), 1.0, axis=1), np.insert(v, [1, 0], [8.0, 9.0]), np.delete(x, 0, 1),
        np.delete(x, [0], axis=1), np.delete(v, slice(0, 2)), np.delete(x, np.array([0, -1])),
    ),
    "diagonals, grids, windows": lambda x, y, v, s: (
        np.diag(v), np.diag(v, 1), np.diag(v, -2), np.diag(s), np.diag(s, -1), np.diagflat(x),
        np.tril(s), np.triu(s, 1), np.broadcast_arrays(x, v), np.meshgrid(v, x[:, 0]),
        np.meshgrid(v, v, sparse=True, indexing="ij"),
        np.lib.stride_tricks.sliding_window_view(v, 2),
        np.lib.stride_tricks.sliding_window_view(x, (1, 2)),
        np.lib.stride_tricks.sliding_window_view(x, 2, axis=1),
    ),
    "along axes and bordered": lambda x, y, v, s: (
        np.apply_along_axis(np.sum, 0, x), np.apply_along_axis(lambda r: r * 2, 1, x),
        np.apply_along_axis(lambda r: np.outer(r, r), 0, x), np.apply_over_axes(np.sum, x, [0, 1]),
        np.pad(x, 1, constant_values=3.0),
        np.pad(x, ((1, 2), (0, 1)), constant_values=((1.0, 2.0), (3.0, 4.0))),
        np.pad(x, 1, mode="edge"), np.pad(v, 2, mode="wrap"), np.pad(v, 1, mode="reflect"),
        np.pad(x, (1, 0), "symmetric"), np.pad(x, {-1: (1, 2)}),
    ),
    "rows of numbers": lambda x, y, v, s: (
        np.linspace(0, v[0], 5), np.linspace(v[0], v[1], 5),
        np.linspace(v[0], v[1], 4, endpoint=False), np.linspace(x[0], y[0], 3, axis=-1),
        np.linspace(v[0], 1.0, 3, retstep=True), np.logspace(v[0], v[1], 4),
        np.geomspace(x[0, 0], x[0, 1], 4), np.linspace(v[0], 2, 1),
    ),
    "interpolated": lambda x, y, v, s: (
        np.interp(x, [0.6, 1.0, 1.7], [1.0, 3.0, 2.0]), np.interp(x, np.sort(v), v),
        np.interp([0.1, 0.7], np.sort(x[0]), y[0], left=-1.0, right=5.0),
        np.interp(x, np.arange(4.0) / 2, np.arange(4.0), period=3.0),
    ),
    "differences and integrals": lambda x, y, v, s: (
        np.gradient(s), np.gradient(s, axis=0), np.gradient(v, 2.0),
        np.gradient(v, np.cumsum(v * v + 0.1)), np.gradient(v, edge_order=2),
        np.gradient(s, 0.5, 2.0), np.gradient(v, np.arange(len(v)) ** 2.0, edge_order=2),
        np.trapezoid(v), np.trapezoid(x, dx=0.5), np.trapezoid(x, y), np.trapezoid(x, v),
        np.trapezoid(x, axis=0), np.diff(x, prepend=1.0), np.diff(x, axis=0, append=y),
        np.ediff1d(x), np.ediff1d(v, to_begin=0.0, to_end=[1.0, 2.0]),
    ),
    "convolutions": lambda x, y, v, s: [
        f(a, b, mode)
        for f in (np.convolve, np.correlate)
        for a, b in ((v, v[:2]), (v[:2], v), (v, v), (s.ravel(), v), (v[:3], s.ravel()))
        for mode in ("full", "same", "valid")
    ],
    "elementwise of several ops": lambda x, y, v, s: (
        np.sinc(v), np.sinc(v * 0), np.angle(v), np.angle(v, deg=True), np.unwrap(np.cumsum(v * 4)),
        np.unwrap(s * 5, axis=0),
        np.i0(v), np.real(v), np.imag(v) + v, v.real, v.imag,
    ),
    "matrices": lambda x, y, v, s: (
        np.dot(s, v), np.vdot(x, y), np.outer(x, v), np.kron(x, s), np.kron(v, x),
        np.cross(np.ones((4, 3)), v[:3]), np.cross(s[:3, :3], v[:3], axisa=0), np.trace(s),
        np.vander(v), np.vander(v, 3, increasing=True), np.linalg.multi_dot([x, s, s, v]),
        np.linalg.multi_dot([v, s, v]), np.linalg.multi_dot([x, s, x.T]), np.linalg.norm(x, 1),
        np.linalg.norm(x, np.inf, axis=1), np.linalg.norm(v, 3), np.linalg.norm(v, 0),
        np.linalg.norm(v, -np.inf), np.linalg.norm(s, "fro"), np.linalg.norm(s, -1),
        np.linalg.norm(x, axis=(0, 1), keepdims=True, ord=np.inf), np.linalg.matrix_power(s, 3),
        np.linalg.matrix_power(s, 0), np.inner(x, y), np.matvec(s, v), np.vecmat(v, s),
        np.vecdot(x, y), np.linalg.cross(s[:3, :3], s[:3, :3] * 2),
    ),
    "decompositions": lambda x, y, v, s: (
        np.linalg.inv(s), np.linalg.det(s), np.linalg.solve(s, v), np.linalg.norm(s, 2),
        np.linalg.norm(s, "nuc"), np.linalg.cond(s), np.linalg.cond(s, 1),
        np.linalg.matrix_power(s, -2), np.linalg.lstsq(s, v)[0], np.linalg.svd(s, compute_uv=False),
        np.linalg.pinv(x), np.linalg.slogdet(s), np.linalg.cholesky(s @ s.T),
        np.linalg.eigvalsh(s + s.T), np.linalg.tensorsolve(s, v),
        np.linalg.tensorinv(s.reshape(*s.shape, 1)[..., 0], ind=1),
        np.linalg.matrix_rank(s).astype(int), np.linalg.lstsq(s, v)[0],
    ),
    "Fourier transforms": lambda x, y, v, s: (
        np.fft.fft(v), np.fft.ifft(x), np.fft.rfft(v), np.fft.irfft(v), np.fft.fft2(x),
        np.fft.fftn(x), np.fft.fftshift(v), np.fft.ifftshift(x), np.fft.rfft2(x),
    ),
    "polynomials": lambda x, y, v, s: (
        np.polyval(v, x), np.polyval(v, 0.5), np.polyadd(v, v[:2]), np.polysub(v[:1], v),
        np.polymul(v, v[:2]), np.polyder(v), np.polyder(v, 2), np.polyint(v),
        np.polyint(v, 2, [1.0, 2.0]), np.poly(v), np.polydiv(v, v[:2])[0],
    ),
    "fits": lambda x, y, v, s: (
        np.polyfit(np.arange(len(v)), v, 1), np.polyfit(v, s, 1, w=v * v + 0.1),
    ),
    "selected": lambda x, y, v, s: (
        np.select([x > 1.5, y > 1], [x, y * 2]), np.select([x > 1.5], [1], default=7),
        np.piecewise(x, [x < 1, x > 1.5], [lambda z: z * 2, -1.0, lambda z: z ** 2]),
        np.piecewise(v, v < 1, [1.0]), np.choose(np.argsort(x[0]) % 2, [v, v * 2]),
        np.choose((x > 1).astype(int), [x, y]), np.take(x, [0, 7], mode="clip"),
        np.take(x, [0, -4], axis=1, mode="wrap"), np.compress([True, False], x, axis=1),
        np.extract([True, False, True], v), np.searchsorted(np.sort(v), x), np.isin(x, x[0]),
        np.isin((x * 2).astype(int), [1, 2], invert=True), np.unravel_index(np.argmax(x), x.shape),
        np.ravel_multi_index((np.argmax(x, 0), np.arange(x.shape[1])), x.shape),
        s[np.ix_([0, 1], [1, 0])], np.diag_indices_from(s), np.tril_indices_from(s, -1),
        np.triu_indices_from(s), np.take_along_axis(x, np.argsort(x, 0), 0),
    ),
    "methods": lambda x, y, v, s: (
        x.conj(), x.nbytes, x.itemsize, x.compress([True, False], axis=1), x.take([0]),
        x.argmax(), x.T, x.mT, x.dot(v), x.trace(), x.repeat(2, 0),
    ),
    "rounded": lambda x, y, v, s: (
        np.fix(v * 3), np.round(v), np.round(v, 2), np.around(v * 100, -1), v.round(1), np.rint(x),
        x.round(1),
    ),
    "NaN stays": lambda x, y, v, s: (np.median(nanned(x)), np.median(nanned(x), axis=0), np.max(nanned(x))),
    "in another dtype": lambda x, y, v, s: (
        np.sum(x, 0, np.float32), np.mean(x, 0, np.float32), np.cumsum(x, 1, np.float32), x.astype("f4"),
        np.concatenate([x, y], dtype=np.float32), x.mean(axis=0, dtype=np.float32), np.prod(x, dtype="f4"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CALLS)
def test_a_numpy_call_gives_what_numpy_gives(name: str, shape: tuple[int, int]) -> None:
    fn, given = CALLS[name], arguments(*shape)
    assert_same(leaves_of(traced(fn, *given)), leaves_of(fn(*given)), rtol=1e-9)


JUMPING = ("rounded", "NaN stays", "in another dtype")


@pytest.mark.parametrize("name", [name for name in CALLS if name not in JUMPING])
def test_gradient_of_a_numpy_call_is_that_of_central_differences(name: str) -> None:
    given = arguments(3, 4)
    check_gradient(trace(CALLS[name])(*given), *given, tolerance=1e-5)


def in_place(x: Any, y: Any) -> Any:
    made = [x.copy() for _ in range(12)]
    np.fill_diagonal(made[0], 3.0)
    np.fill_diagonal(made[1], y[0])
    np.copyto(made[2], y, where=x > 1)
    np.copyto(made[3], 2)
    np.put(made[4], [0, 3, -1], y[0])
    np.putmask(made[5], x > 1, y)
    np.put_along_axis(made[6], np.argsort(x, axis=1)[:, :1], y[:, :1], axis=1)
    np.place(made[7], np.arange(x.size).reshape(x.shape) % 2 == 0, [1.0, 2.0, 3.0])
    made[8].sort()
    made[9].sort(axis=0)
    made[10].fill(4)
    np.nan_to_num(made[11], copy=False)
    return made


def test_functions_that_write_bind_a_traced_array_to_its_new_value() -> None:
    x, y, *_ = arguments(3, 4)
    assert_same(traced(in_place, x, y), in_place(x, y))
    check_gradient(trace(in_place)(x, y), x, y, tolerance=1e-8)


def outputs(x: Any, y: Any) -> Any:
    made = [x.copy() for _ in range(6)]
    total = x[0].copy()
    results = [
        np.sum(x, axis=0, out=total),
        np.clip(x, 0.7, 1.5, out=made[0]),
        np.cumsum(x, 1, None, made[1]),
        np.round(x, 1, out=made[2]),
        np.take(x, [2, 1, 0], 0, made[3]),
        np.concatenate([x[:1], y[1:]], out=made[4]),
        x.cumprod(axis=0, out=made[5]),
    ]
    return made, total, results


def test_out_is_bound_to_the_result_and_is_what_comes_back() -> None:
    x, y, *_ = arguments(3, 4)
    assert_same(traced(outputs, x, y), outputs(x, y))

    def fn(x: Any) -> Any:
        total = x[0].copy()
        assert np.sum(x, axis=0, out=total) is total
        return total

    trace(fn)(x)


REFUSALS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "indices of a condition": (lambda x: np.where(x > 1), r"np\.where\(condition, a, b\)"),
    "nonzero": (lambda x: np.nonzero(x), "depends on the values"),
    "method nonzero": (lambda x: x.nonzero(), "depends on the values"),
    "argwhere": (lambda x: np.argwhere(x > 1), "depends on the values"),
    "unique": (lambda x: np.unique(x), r"depends on the values.*np\.sort"),
    "compress": (lambda x: np.compress(x[0] > 1, x, axis=1), "depends on the values"),
    "extract": (lambda x: np.extract(x > 1, x), "depends on the values"),
    "bincount": (lambda x: np.bincount(x[0].astype(int)), "depends on the values"),
    "automatic bins": (lambda x: np.histogram(x, bins="auto"), "depends on the values"),
    "positions to delete": (lambda x: np.delete(x, x[0].astype(int)), "must be known"),
    "view": (lambda x: x.view(np.int64), "no memory yet"),
    "flat": (lambda x: x.flat, r"x\.ravel\(\)"),
    "out of a function": (lambda x: np.sum(x, out=np.zeros(())), r"xp\.zeros"),
    "quantile method": (lambda x: np.quantile(x, 0.5, method="inverted_cdf"), "can't be traced"),
    "mode of a border": (lambda x: np.pad(x, 1, mode="mean"), "can't be traced"),
    "printing": (lambda x: np.array2string(x), "needs the values"),
    "into a NumPy array": (lambda x: np.copyto(np.zeros(x.shape), x), r"xp\.zeros"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_traced_says_why_at_the_users_line(name: str) -> None:
    fn, message = REFUSALS[name]
    with pytest.raises((TypeError, ValueError, IndexError), match=message) as caught:
        trace(fn)(arguments(3, 4)[0])
    assert f"{__file__}:" in str(caught.value)
