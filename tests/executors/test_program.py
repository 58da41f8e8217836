"""Programs: the bits, strides and errors of the plan run step by step, and no memory shared with anyone."""

from __future__ import annotations

import gc
import sys
import weakref
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import xp
from dagexec.executors import lifetimes
from dagexec.graphfile import load
from dagexec.pytrees import flatten
from tests.ops.cases import CASES
from tests.ops.test_gradients import CASES as _FILLED  # noqa: F401  (makes the cases)
from tests.strategies import programs

RUNS = 4  # the first two are step by step


def prepared(graph, *arguments):
    """A compiled graph that has been run often enough to be a program."""
    compiled = dagexec.compile(graph, "serial")
    for _ in range(RUNS):
        compiled(*arguments)
    assert program(compiled) is not None
    return compiled


def program(compiled):
    return compiled._runner._execute.program


def same(found, wanted):
    """Equal in type, bits and strides."""
    for one, other in zip(flatten(found)[0], flatten(wanted)[0], strict=True):
        assert type(one) is type(other)
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert steps(one) == steps(other) or not one.size
        assert one.tobytes() == other.tobytes()


def steps(array):
    """The strides of the axes that have more than one element."""
    return [stride for stride, length in zip(array.strides, array.shape) if length > 1]


def check(graph, *arguments):
    copies = [np.copy(leaf) for leaf in flatten(arguments)[0]]
    compiled = dagexec.compile(graph, "serial")
    wanted = compiled(*arguments)
    found = [compiled(*arguments) for _ in range(RUNS)]
    for result in found:
        same(result, wanted)
    for leaf in flatten(found[-1])[0]:  # the caller may write to results
        if isinstance(leaf, np.ndarray):
            leaf[...] = 7 if leaf.dtype != bool else True
    same(compiled(*arguments), wanted)
    same(found[-2], wanted)
    for leaf, copy in zip(flatten(arguments)[0], copies, strict=True):
        assert np.array_equal(leaf, copy, equal_nan=copy.dtype.kind in "fc")
    return compiled


def test_memory_is_kept_while_a_view_that_runs_backwards_is_read():
    x = np.array([1.0, 2.0])
    check(dagexec.trace(lambda x: np.concatenate([x, np.flip(np.sin(x))]) * 2)(x), x)


@contextmanager
def lodging(always=True):
    """Values lie in results that are not yet written wherever they can, however small they are."""
    with pytest.MonkeyPatch.context() as patch:
        if always:
            patch.setattr(lifetimes, "BYTES_PER_USE", 0)
            patch.setattr(lifetimes, "WORTH_SAVING", -1)
        yield


@settings(max_examples=200)
@given(programs(), st.booleans())
def test_random_programs_and_their_gradients(drawn, always):
    def loss(*arguments):
        return sum(np.sum(y) for y in drawn.run(*arguments))

    with lodging(always):
        check(dagexec.trace(drawn.run)(*drawn.arguments), *drawn.arguments)
        check(dagexec.trace(loss)(*drawn.arguments).backward(), *drawn.arguments)


@pytest.mark.parametrize("op", sorted(CASES))
def test_every_op(op):
    for case in CASES[op]:
        with np.errstate(all="ignore"):
            check(dagexec.trace(case.fn)(*case.arguments), *case.arguments)


@pytest.mark.parametrize("name", ["fnn", "rnn", "circle", "vector_self_sum"])
def test_samples_and_their_gradients(name):
    built = load(Path("graphs") / f"{name}.py").built({})
    graph = dagexec.trace(built.fn)(*built.args)
    graph = graph if built.training is not None else graph.backward()
    compiled = check(graph, *built.args)
    assert program(compiled) is not None


def test_every_program_has_been_made_for_most_ops():
    made = 0
    for cases in CASES.values():
        case = cases[0]
        with np.errstate(all="ignore"):
            compiled = check(dagexec.trace(case.fn)(*case.arguments), *case.arguments)
        made += program(compiled) is not None
    assert made > 0.9 * len(CASES)


def test_a_value_is_written_over_what_it_is_computed_from():
    graph = dagexec.trace(lambda x: np.sum(np.sin(np.exp(np.cos(x * 2)))))(np.ones(1000))
    assert program(prepared(graph, np.ones(1000))).nbytes < 2 * 8192


def test_where_is_not_written_over_what_it_chooses_from():
    x = np.linspace(-1, 1, 5000)
    check(dagexec.trace(lambda x: np.sum(np.where(x * 2 > 0, x * 3, x * 4)))(x), x)
    check(dagexec.trace(lambda x: np.sum(np.where(x > 0, x * 3, 0.0)))(x), x)
    check(dagexec.trace(lambda x: np.sum(np.where(x > 0, 0.0, x * 3)))(x), x)


def test_arguments_that_lie_otherwise_in_memory_are_run_step_by_step():
    x = np.arange(12.0).reshape(3, 4)
    graph = dagexec.trace(lambda x: np.sin(x) @ np.cos(x).T)(x)
    compiled = prepared(graph, x)
    other = np.asfortranarray(x)
    same(compiled(other), dagexec.compile(graph, "serial")(other))
    same(compiled(x), dagexec.compile(graph, "serial")(x))


def test_views_of_arguments_follow_them():
    def fn(x):
        first, *_, last = x
        return first + last, x.T[1:] * 2, xp.reshape(x, (-1,))

    x = np.arange(12.0).reshape(3, 4)
    compiled = prepared(dagexec.trace(fn)(x), x)
    for y in (x + 1, x * 3):
        same(compiled(y), fn(y))


def test_an_error_names_the_node():
    compiled = prepared(dagexec.trace(lambda x: np.linalg.inv(x * 2) + 1)(np.eye(2)), np.eye(2))
    with pytest.raises(np.linalg.LinAlgError) as caught:
        compiled(np.zeros((2, 2)))
    assert any("inv" in note and "test_program.py" in note for note in caught.value.__notes__)
    same(compiled(np.eye(2)), np.linalg.inv(np.eye(2) * 2) + 1)


def test_large_arguments_and_results_are_not_held():
    class Watched(np.ndarray):
        pass

    x = np.ones(10_000).view(Watched)
    compiled = prepared(dagexec.trace(lambda x: np.sin(x) + np.sum(x))(np.ones(10_000)), np.ones(10_000))
    held = weakref.ref(x)
    result = compiled(x)
    del x
    gc.collect()
    assert held() is None
    assert sys.getrefcount(result) == 2


def towers(count, size):
    """The gradients of towers of three products, and arguments."""

    def loss(weights, xs):
        return sum(np.sum(np.square(x @ a @ b @ c)) for x, (a, b, c) in zip(xs, weights))

    random = np.random.default_rng(0)
    weights = random.standard_normal((count, 3, size, size))
    arguments = [list(tower) for tower in weights], list(random.standard_normal((count, size, size)))
    return dagexec.trace(loss)(*arguments).backward(), arguments


@pytest.mark.parametrize("dtype", ["bool", "int32", "float16", "float32", "complex128"])
@pytest.mark.parametrize("shape", [(1, 7, 1), (3, 0, 4), (50, 51, 50), (51, 52, 53)])
def test_products_by_dot_and_by_matmul(shape, dtype):
    m, k, n = shape
    random = np.random.default_rng(0)
    x, y = (random.integers(0, 3, size).astype(dtype) for size in ((m, k), (n, k)))
    check(dagexec.trace(lambda x, y: (x @ y.T, (y @ x.T)[::-1]))(x, y), x, y)
    assert np.array_equal(dagexec.run(dagexec.trace(lambda x, y: x @ y.T)(x, y), x, y), x @ y.T)


def test_large_values_lie_in_results_until_these_are_written():
    graph, arguments = towers(4, 64)
    compiled = check(graph, *arguments)
    nbytes = 64 * 64 * 8
    assert program(compiled).nbytes < 5 * nbytes  # 12 activations live at once
    assert f"bytes 0 to {nbytes} of %" in compiled.source
    result = compiled(*arguments)
    assert all(leaf.base is None for leaf in flatten(result)[0] if leaf.shape)


def test_what_lies_in_a_result_does_not_keep_it():
    graph, arguments = towers(3, 64)
    compiled = prepared(graph, *arguments)
    held = [weakref.ref(leaf) for leaf in flatten(compiled(*arguments))[0] if leaf.shape]
    gc.collect()
    assert len(held) == 9
    assert [ref() for ref in held] == [None] * 9


def test_a_run_within_a_run_goes_its_own_way():
    x = np.ones(3)
    compiled = dagexec.compile(dagexec.trace(lambda x: np.sin(x * 2) + x)(x), "serial")
    wanted = compiled(x)
    for _ in range(RUNS):
        compiled(x)
    execute = compiled._runner._execute
    with execute._alone:  # as if another thread were running it
        same(compiled(x), wanted)


def test_a_plan_of_python_functions_has_no_program():
    compiled = dagexec.compile(
        dagexec.trace(lambda x: dagexec.call(np.sin, x * 2, spec=dagexec.Spec((3,), float)))(np.ones(3)),
        "serial",
    )
    for _ in range(RUNS):
        compiled(np.ones(3))
    assert program(compiled) is None


def test_options_that_wrap_tasks_still_hold():
    graph = dagexec.trace(lambda x: np.linalg.inv(x))(np.eye(2))
    compiled = dagexec.compile(graph, "serial", on_error="continue")
    for _ in range(RUNS):
        compiled(np.eye(2))
    with pytest.raises(dagexec.TasksFailed):
        compiled(np.zeros((2, 2)))


def test_numbers_are_taken_for_arrays_without_axes():
    graph = dagexec.trace(lambda x: np.sum(np.arange(900.0) * x))(2.0)
    compiled = prepared(graph, 2.0)
    assert compiled(3.0) == compiled(np.asarray(3.0)) == np.sum(np.arange(900.0) * 3.0)


def test_views_of_small_arguments_are_not_made_again_in_each_run():
    made = []

    def fn(x):
        return [row * 2 for row in x]

    x = np.arange(12.0).reshape(3, 4)
    compiled = prepared(dagexec.trace(fn)(x), x)
    held = program(compiled)
    held._views = [(lambda *args, f=f: made.append(f) or f(*args), *rest) for f, *rest in held._views]
    same(compiled(x + 1), fn(x + 1))
    assert made == []


def test_a_result_that_is_a_copied_argument_or_a_view_of_it_belongs_to_the_caller():
    x = np.arange(12.0).reshape(3, 4)
    compiled = check(dagexec.trace(lambda x: [x[0] * 2, x[1], x, x.T])(x), x)
    assert program(compiled) is not None


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_a_complex_number_is_not_written_over_its_factor(dtype):
    random = np.random.default_rng(0)
    x = (random.normal(size=(2, 40)) + 1j * random.normal(size=(2, 40))).astype(dtype)
    check(dagexec.trace(lambda x: [np.sum(x, 0)[k] * np.sum(x[:, k]) for k in range(40)])(x), x)
    check(dagexec.trace(lambda x: [np.square(np.sum(x[:, k], keepdims=True)) for k in range(40)])(x), x)
