"""The Array API standard, against array-api-strict: names, signatures, and values, at once and traced."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import xp
from dagexec.array import Array, TracingError
from dagexec.xp.standard import CONSTANTS, DTYPES, ELEMENTWISE, SIGNATURES
from tests.oracle import assert_same, evaluate, leaves_of
from tests.strategies import arrays
from tests.xp import traced_namespace

strict = pytest.importorskip("array_api_strict")
STRICT_ONLY = ("get_array_api_strict_flags", "reset_array_api_strict_flags", "set_array_api_strict_flags")


def public_functions(module: Any) -> dict[str, Callable[..., Any]]:
    names = getattr(module, "__all__", None) or (*dir(module), "__array_namespace_info__")
    found = {name: getattr(module, name) for name in names}
    return {name: f for name, f in found.items() if inspect.isfunction(f) and name not in STRICT_ONLY}


STANDARD = [
    (extension, name)
    for extension in ("", "linalg", "fft")
    for name in public_functions(getattr(strict, extension) if extension else strict)
]


def parameters(function: Callable[..., Any]) -> list[tuple[Any, ...]]:
    """Names, kinds and defaults; array-api-strict has a default of its own for None."""
    return [
        (p.name, p.kind, None if type(p.default).__name__ == "Undef" else p.default)
        for p in inspect.signature(function).parameters.values()
    ]


# --- names and signatures -------------------------------------------------------------------------------
@pytest.mark.parametrize(("extension", "name"), STANDARD)
def test_function_has_the_signature_of_the_standard(extension: str, name: str) -> None:
    ours, theirs = (getattr(module, extension) if extension else module for module in (xp, strict))
    assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name))


def test_page_of_signatures_is_the_whole_standard() -> None:
    assert set(SIGNATURES) == {name for extension, name in STANDARD if not extension}
    assert xp.__array_api_version__ == strict.__array_api_version__


@pytest.mark.parametrize("name", [*DTYPES, *CONSTANTS])
def test_dtype_or_constant_is_there(name: str) -> None:
    ours, theirs = getattr(xp, name), getattr(strict, name)
    if name in DTYPES:
        assert np.dtype(ours) == np.dtype(theirs._np_dtype)
    else:
        assert ours is theirs or ours == theirs or (ours != ours and theirs != theirs)


def test_too_many_positional_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="positional"):
        xp.sum(np.ones((2, 2)), 0)
    with pytest.raises(TypeError, match="positional-only"):
        xp.add(x1=np.ones(2), x2=np.ones(2))


# --- values ---------------------------------------------------------------------------------------------
REAL = ("int8", "int32", "int64", "uint8", "float32", "float64")
FLOAT = ("float32", "float64")
ALL = ("bool", *REAL, "complex128")
Call = tuple[tuple[Any, ...], dict[str, Any]]


def one_of(draw: Any, *values: Any) -> Any:
    return draw(st.sampled_from(values))


def an_axis(draw: Any, x: Any) -> int:
    return draw(st.integers(-x.ndim, x.ndim - 1))


def axes(draw: Any, x: Any) -> int | tuple[int, ...] | None:
    some = draw(st.lists(st.integers(0, x.ndim - 1), unique=True)) if x.ndim else []
    return one_of(draw, None, *some, tuple(some))


def an_array(draw: Any, dtypes: tuple[str, ...] = ALL, **kwargs: Any) -> Any:
    return draw(arrays(dtypes=dtypes, **kwargs))


def reduction(dtypes: tuple[str, ...], min_side: int = 0, **options: Any) -> Callable[[Any], Call]:
    def call(draw: Any) -> Call:
        x = an_array(draw, dtypes, min_side=min_side)
        chosen = {name: one_of(draw, *values) for name, values in options.items()}
        return (x,), {"axis": axes(draw, x), "keepdims": draw(st.booleans()), **chosen}

    return call


def position(draw: Any) -> Call:
    x = an_array(draw, REAL, min_dims=1, min_side=1)
    axis = one_of(draw, None, an_axis(draw, x))
    return (x,), {"axis": axis, "keepdims": draw(st.booleans())}


def accumulation(draw: Any) -> Call:
    x = an_array(draw, REAL, min_dims=1)
    options = {"include_initial": draw(st.booleans()), "dtype": one_of(draw, None, "float64")}
    return (x,), {"axis": None if x.ndim == 1 and draw(st.booleans()) else an_axis(draw, x), **options}


def sorting(draw: Any) -> Call:
    x = an_array(draw, REAL, min_dims=1)
    return (x,), {"axis": an_axis(draw, x), "descending": draw(st.booleans()), "stable": True}


def difference(draw: Any) -> Call:
    x = an_array(draw, FLOAT, min_dims=1, min_side=1)
    edges = {name: x for name in ("prepend", "append") if draw(st.booleans())}
    return (x,), {"axis": an_axis(draw, x), "n": draw(st.integers(0, 2)), **edges}


def search(draw: Any) -> Call:
    x = an_array(draw, ("float64",), min_dims=1, max_dims=1)
    sorter = {"sorter": np.argsort(x, stable=True)} if draw(st.booleans()) else {}
    values = an_array(draw, ("float64",))
    return (x if sorter else np.sort(x), values), {"side": one_of(draw, "left", "right"), **sorter}


def taking(draw: Any) -> Call:
    x = an_array(draw, min_dims=1, min_side=1)
    axis = an_axis(draw, x)
    indices = draw(st.lists(st.integers(-x.shape[axis], x.shape[axis] - 1), max_size=4))
    return (x, np.asarray(indices, np.int64)), {"axis": axis}


def taking_along(draw: Any) -> Call:
    x = an_array(draw, REAL, min_dims=1, min_side=1)
    axis = an_axis(draw, x)
    return (x, np.argsort(x, axis=axis)), {"axis": axis}


def tiling(draw: Any) -> Call:
    x = an_array(draw)
    return (x, tuple(draw(st.lists(st.integers(0, 2), max_size=4)))), {}


def repetition(draw: Any) -> Call:
    x = an_array(draw, min_dims=1)
    return (x, draw(st.integers(0, 3))), {"axis": one_of(draw, None, an_axis(draw, x))}


def pair(draw: Any, dtypes: tuple[str, ...] = ALL) -> list[Any]:
    dtypes = (one_of(draw, *dtypes),)
    return [an_array(draw, dtypes, shape=shape) for shape in ((2, 1, 3), (3, 1))]


def rolling(draw: Any) -> Call:
    x = an_array(draw, min_dims=1)
    return (x, draw(st.integers(-4, 4))), {"axis": one_of(draw, None, an_axis(draw, x))}


def moving(draw: Any) -> Call:
    x = an_array(draw, min_dims=1)
    return (x, an_axis(draw, x), an_axis(draw, x)), {}


def joining(draw: Any) -> Call:
    x = an_array(draw, min_dims=1)
    return ([x, x],), {"axis": an_axis(draw, x)}


def one_axis(draw: Any) -> Call:
    x = an_array(draw, min_dims=1, min_side=1)
    return (x,), {"axis": an_axis(draw, x)}


def matrix(dtypes: tuple[str, ...] = ALL) -> Callable[[Any], Any]:
    return lambda draw: an_array(draw, dtypes, min_dims=2)


def like(draw: Any) -> Call:
    return (an_array(draw, REAL),), {"dtype": one_of(draw, None, "float32", "int64")}


def filled(draw: Any) -> Call:
    return (one_of(draw, 3, (), (2, 0), (2, 3)),), {"dtype": one_of(draw, None, "int8")}


CALLS: dict[str, Callable[[Any], Call]] = {
    "all": reduction(ALL),
    "any": reduction(ALL),
    "count_nonzero": reduction(ALL),
    "max": reduction(REAL, 1),
    "min": reduction(REAL, 1),
    "mean": reduction(FLOAT, 1),
    "prod": reduction(REAL, dtype=[None, "float64"]),
    "sum": reduction(REAL, dtype=[None, "float64"]),
    "std": reduction(FLOAT, 1, correction=[0.0, 0.5]),
    "var": reduction(FLOAT, 1, correction=[0.0, 0.5]),
    "argmax": position,
    "argmin": position,
    "cumulative_sum": accumulation,
    "cumulative_prod": accumulation,
    "sort": sorting,
    "argsort": sorting,
    "diff": difference,
    "searchsorted": search,
    "isin": lambda draw: ((*pair(draw, REAL[:4]),), {}),
    "where": lambda draw: ((an_array(draw, ("bool",), shape=(3, 3)), *pair(draw)), {}),
    "clip": lambda draw: ((an_array(draw, ("float64",)), -1, one_of(draw, None, 1.5)), {}),
    "take": taking,
    "take_along_axis": taking_along,
    "broadcast_arrays": lambda draw: ((*pair(draw),), {}),
    "broadcast_shapes": lambda draw: (((2, 1), (3,)), {}),
    "broadcast_to": lambda draw: ((pair(draw)[1], (2, 3, 4)), {}),
    "concat": joining,
    "stack": joining,
    "expand_dims": lambda draw: ((an_array(draw), one_of(draw, 0, -1)), {}),
    "flip": one_axis,
    "unstack": one_axis,
    "moveaxis": moving,
    "permute_dims": lambda draw: ((an_array(draw, shape=(2, 1, 3)), draw(st.permutations(range(3)))), {}),
    "repeat": repetition,
    "reshape": lambda draw: ((an_array(draw, shape=(2, 6)), (3, -1)), {"copy": one_of(draw, None, True)}),
    "roll": rolling,
    "squeeze": lambda draw: ((an_array(draw, shape=(2, 1, 3, 1)), one_of(draw, 1, (1, -1))), {}),
    "tile": tiling,
    "matrix_transpose": lambda draw: ((matrix()(draw),), {}),
    "tril": lambda draw: ((matrix()(draw),), {"k": draw(st.integers(-2, 2))}),
    "triu": lambda draw: ((matrix()(draw),), {"k": draw(st.integers(-2, 2))}),
    "matmul": lambda draw: ((an_array(draw, ("float64",), shape=(2, 2, 3)), np.ones((3, 2))), {}),
    "tensordot": lambda draw: ((an_array(draw, FLOAT, shape=(2, 3)), np.ones((3, 2))), {"axes": 1}),
    "vecdot": lambda draw: ((an_array(draw, ("complex128",), shape=(2, 3)), 1j * np.ones(3)), {"axis": -1}),
    "arange": lambda draw: ((1, draw(st.integers(1, 9)), 2), {"dtype": one_of(draw, None, "float32")}),
    "asarray": like,
    "astype": lambda draw: ((an_array(draw, REAL), one_of(draw, "float32", "int64")), {}),
    "empty_like": like,
    "zeros_like": like,
    "ones_like": like,
    "full_like": lambda draw: ((an_array(draw, REAL), 3), {}),
    "empty": filled,
    "zeros": filled,
    "ones": filled,
    "full": lambda draw: (((2, 3), one_of(draw, True, 1, 1.5, 1j)), {}),
    "eye": lambda draw: ((3, one_of(draw, None, 2)), {"k": draw(st.integers(-1, 1))}),
    "linspace": lambda draw: ((-1, 2.5, draw(st.integers(0, 5))), {"endpoint": draw(st.booleans())}),
    "meshgrid": lambda draw: (
        tuple(an_array(draw, ("float64",), min_dims=1, max_dims=1) for _ in range(draw(st.integers(1, 3)))),
        {"indexing": one_of(draw, "xy", "ij")},
    ),
    "can_cast": lambda draw: ((an_array(draw, REAL[:4]), one_of(draw, *REAL[:4])), {}),
    "result_type": lambda draw: ((an_array(draw, REAL[:3]), one_of(draw, "uint8", "int16")), {}),
    "isdtype": lambda draw: ((one_of(draw, *ALL), one_of(draw, "integral", "numeric")), {}),
}  # fmt: skip
VALUELESS = {"from_dlpack", "__array_namespace_info__", "finfo", "iinfo"}  # have tests of their own
UNARY, BINARY = (names.split() for names in ELEMENTWISE.values())


def test_each_function_is_called_somewhere() -> None:
    assert set(SIGNATURES) == {*CALLS, *UNARY, *BINARY, *VALUELESS, *traced_namespace.DATA_DEPENDENT}


def to_strict(value: Any, name: str = "") -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return strict.asarray(np.asarray(value))
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        return [to_strict(part) for part in value]
    return getattr(strict, value) if isinstance(value, str) and value in DTYPES else value


def to_numpy(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(map(to_numpy, value))
    if type(value).__name__ == "DType":
        return value._np_dtype
    return np.asarray(value) if hasattr(value, "__array_namespace__") else value


def outcome(namespace: Any, name: str, args: Any, kwargs: Any) -> Any:
    with np.errstate(all="ignore"):
        return getattr(namespace, name)(*args, **kwargs)


@settings(max_examples=15)
@given(data=st.data())
@pytest.mark.parametrize("name", CALLS)
def test_value_is_that_of_the_standard(name: str, data: st.DataObject) -> None:
    args, kwargs = CALLS[name](data.draw)
    compare(name, args, kwargs)


@settings(max_examples=15)
@given(data=st.data())
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_elementwise_value_is_that_of_the_standard(name: str, data: st.DataObject) -> None:
    operands = [an_array(data.draw)] if name in UNARY else pair(data.draw)
    try:
        outcome(strict, name, [to_strict(x) for x in operands], {})
    except TypeError:  # the standard does not define it for this dtype
        return
    except ValueError:
        if name not in ("pow", "bitwise_left_shift", "bitwise_right_shift"):  # by a negative integer
            raise
        return
    compare(name, operands, {})


def compare(name: str, args: Any, kwargs: Any) -> None:
    expected = outcome(
        strict, name, [to_strict(x) for x in args], {key: to_strict(x) for key, x in kwargs.items()}
    )
    wanted = to_numpy(expected)
    args = [np.dtype(x) if isinstance(x, str) and x in DTYPES else x for x in args]
    for namespace in (xp, traced_namespace):
        found = outcome(namespace, name, args, kwargs)
        if "empty" in name:
            found, wanted = np.zeros_like(found), np.zeros_like(wanted)
        if isinstance(found, tuple | list):
            assert len(found) == len(wanted)
            found = tuple(found)
        assert_same(found, wanted, rtol=1e-6) if leaves_are_arrays(found) else check_equal(found, wanted)


def leaves_are_arrays(value: Any) -> bool:
    return all(isinstance(leaf, np.ndarray | np.generic) for leaf in leaves_of(value))


def check_equal(found: Any, wanted: Any) -> None:
    assert found == wanted


@given(data=st.data())
def test_members_can_be_inverted(data: st.DataObject) -> None:  # array-api-strict 2.6 leaves `invert` away
    x, members = pair(data.draw, REAL)
    for namespace in (xp, traced_namespace):
        assert_same(namespace.isin(x, members, invert=True), ~np.isin(x, members))


# --- what has no values ---------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_limits_of_floats_are_python_numbers(dtype: str) -> None:
    ours, theirs = xp.finfo(np.ones(2, dtype)), strict.finfo(getattr(strict, dtype))
    for name in ("bits", "eps", "max", "min", "smallest_normal"):
        assert getattr(ours, name) == getattr(theirs, name)
        assert type(getattr(ours, name)) in (int, float)
    assert ours.dtype == theirs.dtype._np_dtype


@pytest.mark.parametrize("dtype", ["int8", "uint64"])
def test_limits_of_integers(dtype: str) -> None:
    ours, theirs = xp.iinfo(dtype), strict.iinfo(getattr(strict, dtype))
    assert (ours.bits, ours.max, ours.min) == (theirs.bits, theirs.max, theirs.min)


def test_dtypes_and_limits_are_known_in_a_trace() -> None:
    seen = []

    def program(x: Any) -> Any:
        seen.append((xp.result_type(x, np.float32), xp.can_cast(x, "float64"), xp.iinfo(x).bits))
        return x

    dagexec.trace(program)(np.ones(2, np.int8))
    assert seen == [(np.dtype("float32"), True, 8)]


def test_namespace_tells_what_it_can_do() -> None:
    info = xp.__array_namespace_info__()
    assert info.devices() == [info.default_device()] == ["cpu"]
    assert list(info.dtypes()) == list(DTYPES)
    assert list(info.dtypes(kind="complex floating")) == ["complex64", "complex128"]
    assert list(info.dtypes(kind=("bool", "unsigned integer"), device="cpu")) == [
        "bool", "uint8", "uint16", "uint32", "uint64",
    ]  # fmt: skip
    assert set(info.default_dtypes()) == set(strict.__array_namespace_info__().default_dtypes())
    assert set(info.capabilities()) == set(strict.__array_namespace_info__().capabilities())
    with pytest.raises(ValueError, match="kind is 'decimal'"):
        info.dtypes(kind="decimal")
    with pytest.raises(ValueError, match="only 'cpu'"):
        xp.zeros(3, device="gpu")


def test_array_names_its_namespace_and_device() -> None:
    def program(x: Any) -> Any:
        assert x.__array_namespace__(api_version="2025.12") is xp
        assert x.to_device("cpu") is x
        assert x.__dlpack_device__() == np.ones(1).__dlpack_device__()
        with pytest.raises(ValueError, match=r"version '1999.1'"):
            x.__array_namespace__(api_version="1999.1")
        with pytest.raises(ValueError, match="only 'cpu'"):
            x.to_device("gpu")
        return x

    dagexec.trace(program)(np.ones(2))


def test_dlpack_takes_arrays_in_and_shares_their_memory() -> None:
    x = np.arange(3.0)
    taken = xp.from_dlpack(x)
    assert np.shares_memory(taken, x)
    assert not np.shares_memory(xp.from_dlpack(x, copy=True), x)


# --- in a trace -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("function", "cure"),
    [
        (lambda x: x[x > 0], "xp.where"),
        (lambda x: xp.nonzero(x), "xp.where"),
        (lambda x: xp.unique_all(x), "xp.sort"),
        (lambda x: xp.unique_counts(x), "xp.sort"),
        (lambda x: xp.unique_inverse(x), "xp.sort"),
        (lambda x: xp.unique_values(x), "xp.sort"),
        (lambda x: xp.repeat(x, xp.astype(x, xp.int64)), "xp.take"),
        (lambda x: xp.arange(x[0]), r"xp\.arange\(n\)"),
        (lambda x: xp.zeros(xp.astype(x[0], xp.int64)), "plain Python int"),
        (lambda x: xp.from_dlpack(x), "result of the run"),
    ],
)
def test_shape_that_depends_on_data_is_an_error_with_a_cure_and_the_line(function: Any, cure: str) -> None:
    with pytest.raises(TracingError, match=rf"(?s){cure}.*{__name__.rpartition('.')[2]}\.py:\d+"):
        dagexec.trace(function)(np.ones(3))


def test_data_dependent_functions_work_on_values() -> None:
    x = np.array([3, 0, 3])
    assert_same(xp.nonzero(x), (np.array([0, 2]),))
    assert_same(xp.unique_values(x), np.array([0, 3]))
    assert_same(xp.unique_all(x).counts, np.array([1, 2]))
    assert_same(xp.unique_counts(x).values, np.array([0, 3]))
    assert_same(xp.unique_inverse(x).inverse_indices, np.array([1, 0, 1]))
    assert_same(xp.repeat(x, np.array([1, 0, 2])), np.array([3, 3, 3]))
    with pytest.raises(ValueError, match="no dimensions"):
        xp.nonzero(np.array(3))


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "zeros_like", "ones_like", "empty_like"])
def test_filled_array_of_a_trace_can_be_assigned_to(name: str) -> None:
    def program(x: Any) -> Any:
        y = getattr(xp, name)(x if name.endswith("like") else x.shape)
        assert isinstance(y, Array)
        y[1] = x[0]
        return y

    graph = dagexec.trace(program)(np.ones(3))
    rest = 1.0 if "ones" in name else 0.0
    assert_same(evaluate(graph, np.full(3, 7.0)), np.array([rest, 7.0, rest]))


def test_traced_values_fill_and_bound() -> None:
    def program(x: Any) -> Any:
        line = xp.linspace(x[0], x[1], 3)
        return xp.full((2,), x[1]), line, xp.asarray([x[0], [2.0, x[1]][1]]), xp.linspace(0, x, 2)

    x = np.array([1.0, 4.0])
    expected = np.full(2, 4.0), np.array([1.0, 2.5, 4.0]), x, np.linspace(0, x, 2)
    assert_same(evaluate(dagexec.trace(program)(x), x), expected)
