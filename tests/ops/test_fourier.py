"""Fourier transforms against NumPy: values, shapes and dtypes, whatever is cut, filled up or left out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagexec import xp
from dagexec.tracing import trace
from tests.oracle import assert_same, traced

DTYPES = ("int8", "bool", "float16", "float32", "float64", "complex64", "complex128")
NORMS = st.sampled_from(["backward", "ortho", "forward"])
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
SEVERAL = ("fftn", "ifftn", "rfftn", "irfftn")
PLANE = ("fft2", "ifft2", "rfft2", "irfft2")


def signals(draw: Any, min_dims: int) -> np.ndarray:
    shape = tuple(draw(st.lists(st.integers(2, 4), min_size=min_dims, max_size=3)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    x = random.integers(-3, 4, shape) + 1j * random.integers(-3, 4, shape)
    return x.astype(dtype) if dtype.kind == "c" else x.real.astype(dtype)


def assert_as_numpy(name: str, x: np.ndarray, **params: Any) -> None:
    ours, theirs = getattr(xp.fft, name, None), getattr(np.fft, name)
    if x.dtype.kind == "c" and name in ("rfft", "ihfft", "rfftn", "rfft2"):
        with pytest.raises(TypeError, match="transforms real numbers"):
            trace(lambda x: theirs(x, **params))(x)
        return
    expected = theirs(x, **params)
    rtol = 1e-2 if x.dtype == np.float16 else 1e-5 if x.dtype in (np.float32, np.complex64) else 1e-12
    assert_same(traced(lambda x: theirs(x, **params), x), expected, rtol)
    if ours is not None:
        assert_same(traced(lambda x: ours(x, **params), x), expected, rtol)
        assert_same(ours(x, **params), expected, rtol)


@pytest.mark.parametrize("name", ONE)
@given(data=st.data())
def test_transform_along_one_axis_is_numpys(name: str, data: st.DataObject) -> None:
    x = signals(data.draw, 1)
    n = data.draw(st.none() | st.integers(1, 6))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    assert_as_numpy(name, x, n=n, axis=axis, norm=data.draw(NORMS))


@pytest.mark.parametrize("name", SEVERAL)
@given(data=st.data())
def test_transform_along_several_axes_is_numpys(name: str, data: st.DataObject) -> None:
    x = signals(data.draw, 1)
    axes = data.draw(st.none() | st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    lengths = st.lists(
        st.integers(1, 5) | st.just(-1), min_size=len(axes or x.shape), max_size=len(axes or x.shape)
    )
    s = data.draw(lengths if axes is not None and data.draw(st.booleans()) else st.none())
    assert_as_numpy(name, x, s=s, axes=axes, norm=data.draw(NORMS))


@pytest.mark.parametrize("name", PLANE)
@given(data=st.data())
def test_transform_of_planes_is_numpys(name: str, data: st.DataObject) -> None:
    assert_as_numpy(name, signals(data.draw, 2), norm=data.draw(NORMS))


@given(data=st.data())
def test_shifts_are_numpys_and_each_others_inverse(data: st.DataObject) -> None:
    x = signals(data.draw, 1)
    axes = data.draw(st.none() | st.integers(0, x.ndim - 1) | st.just(tuple(range(x.ndim))))
    for name in ("fftshift", "ifftshift"):
        assert_as_numpy(name, x, axes=axes)
    assert_same(xp.fft.ifftshift(xp.fft.fftshift(x, axes=axes), axes=axes), x)


@given(n=st.integers(1, 9), d=st.floats(0.1, 5))
def test_frequencies_are_numpys(n: int, d: float) -> None:
    assert_same(xp.fft.fftfreq(n, d=d), np.fft.fftfreq(n, d))
    assert_same(xp.fft.rfftfreq(n, d=d), np.fft.rfftfreq(n, d))
    assert_same(xp.fft.rfftfreq(n, dtype=xp.float32), np.fft.rfftfreq(n).astype(np.float32), 1e-6)
    found = traced(lambda d: xp.fft.fftfreq(n, d=d), np.float64(d))
    assert_same(found, np.fft.fftfreq(n, d))


def test_inverse_undoes_the_transform() -> None:
    x = np.random.default_rng(2).normal(size=(5, 6))
    for there, back in (("fft", "ifft"), ("rfft", "irfft"), ("ihfft", "hfft")):
        for norm in ("backward", "ortho", "forward"):
            spectrum = getattr(xp.fft, there)(x, norm=norm)
            assert_same(np.real(getattr(xp.fft, back)(spectrum, norm=norm)), x, 1e-12)


def test_arguments_that_do_not_fit_are_refused_at_the_users_line() -> None:
    x = np.ones((2, 3))
    for fn, message in (
        (lambda x: xp.fft.fft(x, n=0), "at least one point"),
        (lambda x: xp.fft.irfft(x[:, :1]), "at least one point"),
        (lambda x: xp.fft.fft(x, norm="double"), "norm is 'double'"),
        (lambda x: xp.fft.fft(x, axis=2), "axis 2"),
        (lambda x: xp.fft.fftn(x, axes=(0, 0)), "different"),
        (lambda x: xp.fft.fftn(x, s=(2,), axes=(0, 1)), "1 lengths for 2 axes"),
        (lambda x: xp.fft.fftn(x, axes=()), "one axis or several"),
        (lambda x: xp.fft.fftfreq(0), "0 points"),
    ):
        with pytest.raises(ValueError, match=rf"{message}.*test_fourier\.py:\d+"):
            trace(fn)(x)
