"""Graphs on arrays of other libraries: PyTorch on the CPU; on a GPU, PyTorch and CuPy, where there is one."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import optree
import pytest

import dagexec
from dagexec.libraries import NUMPY, library_of, spec_of
from dagexec.ops import TABLE
from dagexec.pytrees import flatten
from tests.ops.test_gradients import CASES

torch = pytest.importorskip("torch")


def on_gpu_by_torch(array):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    return torch.asarray(array, device="cuda")


def on_gpu_by_cupy(array):
    cupy = pytest.importorskip("cupy")
    if not cupy.cuda.is_available():
        pytest.skip("there is no CUDA device")
    return cupy.asarray(array)


def to_numpy(array):
    if hasattr(array, "get"):  # CuPy's
        return array.get()
    return np.asarray(array.cpu() if hasattr(array, "cpu") else array)


# What PyTorch has no function for.
LACKING = {"cbrt", "bitwise_count", "spacing"}


def check(case, convert):
    """A case's value and gradient on another library's arrays against those on NumPy's."""
    graph = dagexec.trace(case.fn)(*case.arguments)
    cotangent = optree.tree_unflatten(
        graph.out_tree, [np.ones(node.spec.shape, node.spec.dtype) for node in graph.outputs]
    )
    graph = graph.backward(case.wrt, cotangent=cotangent)
    arguments = [convert(np.asarray(argument)) for argument in case.arguments]
    if LACKING.intersection(node.op.name for node in graph.nodes):
        with pytest.raises(TypeError, match="has no function"):
            dagexec.run(graph, *arguments, executor="serial")
        return
    ours = flatten(dagexec.run(graph, *arguments, executor="serial"))[0]
    theirs = flatten(dagexec.run(graph, *case.arguments, executor="serial"))[0]
    for found, wanted in zip(ours, theirs, strict=True):
        assert isinstance(found, type(arguments[0]))
        assert spec_of(found) == dagexec.Spec(wanted.shape, wanted.dtype)
        np.testing.assert_allclose(to_numpy(found), wanted, rtol=1e-9, atol=1e-12)


# Longdouble is NumPy's alone.
ALL_CASES = [case for cases in CASES.values() for case in cases if case.name != "and back"]


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: f"{case.op}-{case.name}")
def test_each_op_and_its_gradient_give_what_they_give_on_numpy(case):
    check(case, torch.asarray)


@pytest.mark.parametrize("convert", [on_gpu_by_torch, on_gpu_by_cupy])
def test_all_ops_on_a_gpu(convert):
    for case in ALL_CASES:
        check(case, convert)


def network(params, x):
    for w, b in params:
        x = np.tanh(x @ w + b)
    return np.mean(x**2)


@pytest.fixture
def program():
    random = np.random.default_rng(0)
    params = [(random.normal(size=(4, 4)), random.normal(size=4)) for _ in range(3)]
    return params, random.normal(size=(8, 4))


def to_torch(tree):
    return optree.tree_map(torch.asarray, tree)


@pytest.mark.parametrize("executor", ["serial", "threads", "auto"])
def test_gradients_of_a_network_agree_with_those_of_pytorch(program, executor):
    params, x = to_torch(program)
    both = dagexec.trace(network)(params, x).backward()
    value, gradients = dagexec.run(both, params, x, executor=executor)
    for leaf in flatten(params)[0]:
        leaf.requires_grad_(True)
    h = x
    for w, b in params:
        h = torch.tanh(h @ w + b)
    loss = (h**2).mean()
    loss.backward()
    torch.testing.assert_close(value, loss.detach())
    for found, leaf in zip(flatten(gradients)[0], flatten(params)[0], strict=True):
        torch.testing.assert_close(found, leaf.grad)


def test_one_compiled_graph_serves_both_libraries_at_once(program):
    with dagexec.compile(dagexec.trace(network)(*program), "threads", 2) as compiled:
        wanted = float(compiled(*program))
        found = []

        def repeat(arguments):
            found.extend(compiled(*arguments) for _ in range(20))

        threads = [
            threading.Thread(target=partial(repeat, args)) for args in (program, to_torch(program)) * 2
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {type(value) for value in found} == {np.float64, torch.Tensor}
    np.testing.assert_allclose([float(value) for value in found], wanted, rtol=1e-12)


def test_transformations_take_tensors(program):
    params, x = to_torch(program)
    ours = dagexec.grad(network)(params, x)
    theirs = dagexec.grad(network)(*program)
    for found, wanted in zip(flatten(ours)[0], flatten(theirs)[0], strict=True):
        np.testing.assert_allclose(to_numpy(found), wanted, rtol=1e-12)
    assert isinstance(dagexec.jit(network)(params, x), torch.Tensor)


def test_numbers_and_numpy_arrays_go_with_tensors():
    graph = dagexec.trace(lambda x, y, z: x * y + z)(np.ones(3), 2.0, np.ones(3))
    found = dagexec.run(graph, torch.ones(3, dtype=torch.float64), 3.0, np.full(3, 0.5))
    torch.testing.assert_close(found, torch.full((3,), 3.5, dtype=torch.float64))


def test_results_are_memory_of_their_own():
    x = torch.ones((2, 3), dtype=torch.float64)
    constant = np.zeros(2)
    graph = dagexec.trace(lambda x: (x, x.T, x[0], x, np.asarray(constant)))(x)
    with dagexec.compile(graph, "serial") as compiled:
        for result in compiled(x):
            result += 7
        again = compiled(x)
    torch.testing.assert_close(x, torch.ones((2, 3), dtype=torch.float64))
    torch.testing.assert_close(again[4], torch.zeros(2, dtype=torch.float64))


def test_bad_arguments_are_named():
    graph = dagexec.trace(lambda x, y: x + y)(np.ones(3), np.ones(3))
    x = torch.ones(3, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"argument y is float32\[3\].*traced for float64\[3\]"):
        dagexec.run(graph, x, torch.ones(3))
    with pytest.raises(ValueError, match=r"argument x is float64\[2\]"):
        dagexec.run(graph, x[:2], x)
    with pytest.raises(TypeError, match=r"no graph has the dtype torch\.bfloat16"):
        dagexec.run(graph, x, torch.ones(3, dtype=torch.bfloat16))
    with pytest.raises(
        TypeError, match="processes exchange NumPy arrays, not those of torch on cpu: use threads"
    ):
        dagexec.run(graph, x, x, executor="processes")
    jax = pytest.importorskip("jax")
    with pytest.raises(TypeError, match=r"arrays of .*torch.* and of .*jax"):
        dagexec.run(graph, x, jax.numpy.ones(3))


def test_which_library_values_belong_to():
    assert library_of([1.0, np.ones(2), np.float32(1)]) is NUMPY
    library = library_of([1.0, torch.ones(2), np.ones(2)])
    assert str(library) == "torch on cpu"
    assert library_of([torch.zeros(1)]) == library


def test_ops_without_a_gradient_give_what_they_give_on_numpy():
    """Those of one argument; the others are not among the cases above."""
    xp = library_of([torch.ones(1)]).xp
    tried = 0
    for op in TABLE.values():
        function = getattr(np, op.name, None)
        if op.family == "elementwise" and not op.vjp and isinstance(function, np.ufunc) and function.nin == 1:
            x = np.array([0.5, -1.5])
            x = x > 0 if op.name == "logical_not" else x.astype(np.int32) if "bitwise" in op.name else x
            if op.name in LACKING:
                continue
            tried += 1
            found = to_numpy(op.kernel(xp)(torch.asarray(x)))
            np.testing.assert_array_equal(found, op.kernel(np)(x), err_msg=op.name)
    assert tried > 5
