"""Convolution and pooling layers: PyTorch's values and gradients, where windows stand, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import nn, random, xp
from dagexec.libraries import library_of
from dagexec.ops import TABLE, convolving
from tests.nn.against_torch import DTYPES, numbers, require_same, torch
from tests.ops.window_cases import WINDOWS, Window

KEY = random.key(0)
xp_of_torch = library_of([torch.ones(1)]).xp
F = torch.nn.functional
CONVOLUTIONS = [  # kernel, what both are given
    (3, {}),
    (3, {"padding": "same"}),
    (4, {"padding": "same", "dilation": 2}),
    ((2, 3), {"stride": (2, 1), "padding": (1, 2)}),
    (2, {"stride": 3}),
    (2, {"dilation": (2, 1), "padding": 1}),
    (3, {"groups": 2, "padding": "valid"}),
    ((7, 6), {"groups": 4}),
    (1, {}),
]


@DTYPES
@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")  # PyTorch copies where it is uneven
@pytest.mark.parametrize(("kernel", "params"), CONVOLUTIONS)
def test_conv2d_is_that_of_pytorch(kernel, params, dtype):
    require_same(
        lambda p, x: nn.conv2d(p, x, **params),
        lambda p, x: F.conv2d(x, p["weights"], p["bias"], **params),
        nn.init_conv2d(KEY, 4, 8, kernel, groups=params.get("groups", 1), dtype=dtype),
        numbers(1, 3, 4, 7, 6, dtype=dtype),
        dtype=dtype,
    )


@DTYPES
@pytest.mark.parametrize("params", [{}, {"padding": "same"}, {"stride": 2, "dilation": 2, "groups": 2}])
def test_conv1d_is_that_of_pytorch(params, dtype):
    require_same(
        lambda p, x: nn.conv1d(p, x, **params),
        lambda p, x: F.conv1d(x, p["weights"], p["bias"], **params),
        nn.init_conv1d(KEY, 2, 4, 3, groups=params.get("groups", 1), dtype=dtype),
        numbers(1, 3, 2, 9, dtype=dtype),
        dtype=dtype,
    )


@DTYPES
@pytest.mark.parametrize("ours", [nn.max_pool, nn.avg_pool])
@pytest.mark.parametrize(
    ("shape", "window", "params"),
    [
        ((2, 3, 6, 4), 2, {}),
        ((2, 3, 7, 5), (3, 2), {"stride": (2, 1), "padding": (1, 1)}),
        ((2, 3, 7, 5), 2, {"stride": 3}),
        ((2, 3, 7), 3, {"stride": 2, "padding": 1}),
    ],
)
def test_pooling_is_that_of_pytorch(ours, shape, window, params, dtype):
    theirs = getattr(F, f"{ours.__name__}{len(shape) - 2}d")
    require_same(
        lambda x: ours(x, window, **params),
        lambda x: theirs(x, window, **params),
        numbers(1, *shape, dtype=dtype),
        dtype=dtype,
    )


def test_of_equal_elements_the_first_gets_the_gradient():
    x = np.zeros((1, 1, 2, 4))
    np.testing.assert_array_equal(
        dagexec.grad(lambda x: xp.sum(nn.max_pool(x)))(x), [[[[1, 0, 1, 0], [0, 0, 0, 0]]]]
    )


def test_what_padding_puts_around_is_never_the_largest():
    x = np.full((1, 1, 3), -5)
    assert nn.max_pool(x, 3, stride=1, padding=1).tolist() == [[[-5, -5, -5]]]
    assert nn.max_pool(x - 0.5, 3, stride=2, padding=1).tolist() == [[[-5.5, -5.5]]]
    assert not nn.max_pool(x > 0, 3, stride=2, padding=1).any()


@pytest.mark.parametrize("cached", [1, 400, 1 << 30])
@pytest.mark.parametrize("groups", [1, 2])
def test_results_do_not_depend_on_how_many_rows_are_done_at_a_time(monkeypatch, cached, groups):
    params = nn.init_conv2d(KEY, 6, 2, 3, groups=groups, dtype="float64")
    x = numbers(1, 2, 6, 8, 5)

    def values():
        loss = dagexec.value_and_grad(
            lambda p, x: xp.sum(nn.conv2d(p, x, padding=2, groups=groups) ** 2), argnums=(0, 1)
        )
        return dagexec.run(dagexec.trace(loss)(params, x), params, x, executor="serial")

    expected = values()
    monkeypatch.setattr(convolving, "CACHED", cached)
    found = values()
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(found[1][0]["weights"], expected[1][0]["weights"], rtol=1e-11)
    np.testing.assert_allclose(found[1][1], expected[1][1], rtol=1e-11)


def test_results_lie_in_memory_with_the_batch_innermost_and_stay_so():
    x = nn.conv2d(nn.init_conv2d(KEY, 2, 3, 3), numbers(1, 4, 2, 6, 6, dtype="float32"))
    x = nn.max_pool(nn.relu(x))
    assert np.moveaxis(x, 0, -1).flags.c_contiguous


def test_a_batch_without_an_example_gives_none_and_no_gradient():
    params = nn.init_conv1d(KEY, 2, 3, 2)
    x = np.zeros((0, 2, 5), "float32")
    assert nn.conv1d(params, x).shape == (0, 3, 4)
    assert not dagexec.grad(lambda p: xp.sum(nn.conv1d(p, x)))(params)["weights"].any()


def test_whole_numbers_are_convolved_exactly():
    x = np.arange(6).reshape(1, 1, 6)
    y = nn.conv1d({"weights": np.array([[[1, -2, 1]]]), "bias": np.array([1])}, x**2)
    assert y.dtype == np.int64
    assert y.tolist() == [[[3, 3, 3, 3]]]


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_every_executor_computes_the_same_bits(executor):
    params = nn.init_conv2d(KEY, 2, 4, 3, dtype="float64")
    x = numbers(1, 3, 2, 6, 6)
    loss = dagexec.value_and_grad(lambda p, x: xp.sum(nn.avg_pool(nn.max_pool(nn.conv2d(p, x))) ** 2))
    value, gradients = loss(params, x)
    with dagexec.compile(dagexec.trace(loss)(params, x), executor) as compiled:
        for _ in range(3):  # the first run shows where values lie, the next ones write there
            found = compiled(params, x)
            assert found[0] == value
            np.testing.assert_array_equal(found[1]["weights"], gradients["weights"])


@pytest.mark.parametrize(
    ("window", "params"),
    [
        (2, {}),
        (2, {"stride": 3}),
        (3, {"stride": 2, "padding": 1}),
        ((3, 1), {"stride": 1, "padding": (1, 0)}),
    ],
)
def test_pooling_in_memory_that_is_used_again_leaves_nothing_behind(window, params):
    def loss(x, y):
        x = xp.exp(nn.max_pool(nn.conv2d(TWO, x), window, **params))  # the batch is innermost
        return xp.sum(x * x) + xp.sum(nn.max_pool(y, window, **params) ** 2)

    gradients = dagexec.grad(loss, argnums=(0, 1))
    x = [numbers(seed, 3, 2, 9, 8, dtype="float32") for seed in (1, 2)]
    with dagexec.compile(dagexec.trace(gradients)(*x), "serial") as compiled:
        for scale in (1, 2, 3, -1, 2):
            arguments = [scale * part for part in x]
            for found, expected in zip(compiled(*arguments), gradients(*arguments)):
                np.testing.assert_array_equal(found, expected)


ONE, TWO = nn.init_conv1d(KEY, 2, 4, 3), nn.init_conv2d(KEY, 2, 4, 3)
REFUSALS = {
    "channels": (
        lambda: nn.conv2d(TWO, np.ones((1, 3, 5, 5))),
        r"3 channels.*take 2.*init_conv2d\(key, 3, 4",
    ),
    "axes": (lambda: nn.conv1d(ONE, np.ones((2, 5))), r"\(2, 5\).*need 3 axes each: batch, channels and 1"),
    "groups": (lambda: nn.init_conv1d(KEY, 3, 4, 3, groups=2), "3 inputs and 4 outputs .* 2 groups"),
    "window": (lambda: nn.conv1d(ONE, np.ones((1, 2, 2))), "window of length 3 does not fit in space axis 0"),
    "strides": (lambda: nn.conv2d(TWO, np.ones((1, 2, 5, 5)), stride=(1, 1, 1)), "stride .* has 3 numbers"),
    "no stride": (lambda: nn.conv1d(ONE, np.ones((1, 2, 5)), stride=0), "must be at least 1"),
    "no dilation": (lambda: nn.conv1d(ONE, np.ones((1, 2, 5)), dilation=0), "at least 1"),
    "word": (lambda: nn.conv1d(ONE, np.ones((1, 2, 5)), padding="full"), "'full' is neither"),
    "same": (lambda: nn.conv1d(ONE, np.ones((1, 2, 5)), padding="same", stride=2), "'same' needs stride 1"),
    "pool axes": (lambda: nn.max_pool(np.ones((2, 5))), r"\(2, 5\) must be \(batch, channels, \*space\)"),
    "pool window": (lambda: nn.max_pool(np.ones((1, 2, 2)), 3), "window of length 3 does not fit"),
    "pool padding": (lambda: nn.max_pool(np.ones((1, 2, 5)), 2, padding=2), "must be less than the window"),
    "complex": (lambda: nn.max_pool(np.ones((1, 1, 2), complex)), "no order among complex128"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_does_not_fit_is_refused(name):
    call, message = REFUSALS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_refusal_in_a_trace_names_the_line():
    with pytest.raises(ValueError, match=r"window of length 3 does not fit.*test_convolution\.py"):
        dagexec.trace(nn.conv1d)(ONE, np.ones((1, 2, 2)))


def lengths(least, most):
    return st.lists(st.integers(least, most), min_size=2, max_size=2).map(tuple)


@st.composite
def windows(draw):
    """Of all kinds: more or fewer outputs than channels, and than places in the kernel."""
    groups, dilation, apart = draw(st.integers(1, 2)), draw(lengths(1, 2)), draw(lengths(1, 2))
    padding = tuple(zip(draw(lengths(-1, 3)), draw(lengths(-1, 3))))
    space, kernel = draw(lengths(1, 6)), draw(lengths(1, 4))
    assume(
        all(
            (n - 1) * by + 1 + low + high > (k - 1) * d
            for n, by, (low, high), k, d in zip(space, apart, padding, kernel, dilation)
        )
    )
    return Window(
        (draw(st.integers(1, 3)), groups * draw(st.integers(1, 4)), *space),
        (groups * draw(st.integers(1, 3)), 0, *kernel),
        draw(lengths(1, 2)),
        padding,
        dilation,
        apart,
        groups,
    )


@settings(max_examples=30, deadline=None)
@given(windows())
def test_a_convolution_is_the_sum_that_defines_it(window):
    x = numbers(1, *window.x)
    of_group, outputs = x.shape[1] // window.groups, window.weights[0] // window.groups
    weights = numbers(2, window.weights[0], of_group, *window.weights[2:])
    found = TABLE["convolution"].kernel(np, **window.params)(x, weights)

    around = np.zeros((*x.shape[:2], 40, 40))  # the element at 0, 0 is at 10, 10
    spread = tuple(slice(10, 10 + n * by, by) for n, by in zip(x.shape[2:], window.input_dilation))
    around[(..., *spread)] = x
    for axis, (n, by, (low, high)) in enumerate(zip(x.shape[2:], window.input_dilation, window.padding)):
        np.moveaxis(around, 2 + axis, 0)[: 10 + max(0, -low)] = 0  # cut off
        np.moveaxis(around, 2 + axis, 0)[10 + (n - 1) * by + 1 + min(0, high) :] = 0
    for place in np.ndindex(found.shape[1:]):
        output, *at = place
        group = slice(output // outputs * of_group, (output // outputs + 1) * of_group)
        seen = (
            slice(first := 10 - low + stride * k, first + d * n, d)
            for (low, _), stride, k, d, n in zip(
                window.padding, window.strides, at, window.dilation, weights.shape[2:]
            )
        )
        expected = np.sum(around[(slice(None), group, *seen)] * weights[output], axis=(1, 2, 3))
        np.testing.assert_allclose(found[(slice(None), *place)], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", WINDOWS)
def test_libraries_without_a_convolution_of_their_own_get_the_same(name):
    window = WINDOWS[name]
    x, weights = numbers(1, *window.x), numbers(2, *window.weights)
    op = TABLE["convolution"]
    found = convolving.convolve_elsewhere(
        xp_of_torch, op.infer, window.params, *map(torch.tensor, (x, weights))
    )
    np.testing.assert_allclose(
        found.numpy(), op.kernel(np, **window.params)(x, weights), rtol=1e-10, atol=1e-12
    )
