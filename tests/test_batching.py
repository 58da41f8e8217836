"""vmap: every op as in a loop, the axes' meaning, how it nests, what it costs, and what it refuses.

The cases of the first test are those of the gradient tests; an op that is added without one fails.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import (
    checkpoint,
    cond,
    custom_vjp,
    grad,
    jacobian,
    jit,
    random,
    scan,
    scope,
    stop_gradient,
    trace,
    value_and_grad,
    vjp,
    vmap,
    while_loop,
    xp,
)
from dagexec.array import call
from dagexec.graph import Graph
from dagexec.ops import TABLE, special
from dagexec.ops.special import NoDerivative
from tests.ops.cases import values
from tests.ops.test_gradients import CASES, NOT_DIFFERENTIABLE, Case
from tests.oracle import assert_same, evaluate, leaves_of, traced, weights_like
from tests.strategies import Program, programs, shapes

jax.config.update("jax_enable_x64", True)

STRUCTURE = {"input", "constant", "item"}
BY_SLICES = {"searchsorted", "isin"}
REFUSES_GRADIENTS = {"while_loop", "closed_over"}
SIZE = 3


# --- ops with functions in them ---------------------------------------------------------------------------
@custom_vjp
def halved(x: Any, y: Any) -> Any:
    return xp.sin(x) @ y, x * 2


halved.defvjp(
    lambda x, y: (halved(x, y), (x, y)),
    lambda kept, g: (g[0] * kept[1] / 2 + g[1], g[0] * xp.cos(kept[0])),
)


def custom_vjp_with(y: Any) -> Any:
    times = custom_vjp(lambda x: x * y)
    times.defvjp(lambda x: (times(x), None), lambda _, g: (g,))
    return times


def chosen(x: Any, y: Any) -> Any:
    return cond(xp.sum(x) > xp.sum(y), lambda x: (x * y, xp.sum(y)), lambda x: (xp.sin(x), xp.sum(x)), x)


def chosen_for_all(x: Any, y: Any) -> Any:
    return cond(y > 0, lambda x: x * y, lambda x: -x, x)


def running(carry: Any, xs: Any, scale: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        n, total = carry
        return (n + 1, xp.sin(total) + x * scale), (total * n, x)

    return scan(step, (0, carry), xs)


def doubled(x: Any, limit: Any) -> Any:
    return while_loop(lambda pair: pair[0] < limit, lambda pair: (2 * pair[0], pair[1] + 1), (x, 0))


def again_for_the_gradient(x: Any, y: Any) -> Any:
    return checkpoint(lambda x: xp.sin(xp.sin(x) * y))(x)


def special_arguments(name: str) -> tuple[Any, ...]:
    if special.scipy_ufunc(name).nin == 1:
        return (values(2, 3, low=0.3, high=0.8),)
    return values(2, 3, low=1.3, high=1.8), values(3, low=1.3, high=1.8)


# --- every op -------------------------------------------------------------------------------------------
MORE: dict[str, list[tuple[Callable[..., Any], tuple[Any, ...]]]] = {
    **{name: [(fn, (values(2, 3),))] for name, fn in NOT_DIFFERENTIABLE.items()},
    **{
        name: [
            (getattr(xp, name), (values(2, 3), values(3))),
            (getattr(xp, name), (values(3), values(2, 1, 1))),
        ]
        for name in ("less", "equal", "floor_divide", "nextafter")
    },
    **{
        name: [
            (partial(getattr(xp, name), keepdims=True), (values(2, 3),)),
            (partial(getattr(xp, name), keepdims=True), (values(),)),
            (getattr(xp, name), (values(2, 3),)),
            (partial(getattr(xp, name), axis=-2), (values(2, 3),)),
        ]
        for name in ("argmax", "argmin")
    },
    **{
        name: [(getattr(np, name), (np.array([[12, 8, 9]]), np.array([[6], [4]])))] for name in ("gcd", "lcm")
    },
    **{
        name: [(getattr(np, name), (values(2, 3), values(3)))]
        for name in ("fmax", "fmin", "fmod", "heaviside", "logaddexp2")
    },
    "float_power": [(np.float_power, (values(2, 3, low=0.5), values(3)))],
    "ldexp": [(np.ldexp, (values(2, 3), np.array([1, -2, 3])))],
    "bitwise_count": [(np.bitwise_count, (np.array([1, 7, -8]),))],
    "spacing": [(np.spacing, (values(3),))],
    **{
        name: [
            (getattr(xp, name), (values(4),)),
            (partial(getattr(xp, name), axis=0, descending=True), (values(3, 2),)),
        ]
        for name in ("sort", "argsort")
    },
    **{
        name: [
            (getattr(xp, name), (values(4),)),
            (partial(getattr(xp, name), axis=0, include_initial=True), (values(3, 2),)),
        ]
        for name in ("cumulative_sum", "cumulative_prod")
    },
    "searchsorted": [(xp.searchsorted, (np.array([-0.5, 0.1, 0.9]), values(2, 2)))],
    "isin": [(xp.isin, (np.array([[1, 2, 3]]), np.array([2, 5])))],
    **{name: [(partial(call, TABLE[name]), special_arguments(name))] for name in special.NAMES},
    "softplus": [(partial(call, TABLE["softplus"]), (values(4),))],
    "in_range": [(partial(call, TABLE["in_range"], count=3, what="label"), (np.array([2, 0]),))],
    "stop_gradient": [(lambda x: x * stop_gradient(x), (values(2),))],
    "custom_vjp": [(halved, (values(3), values(3)))],
    "closed_over": [(lambda x, y: custom_vjp_with(y)(x), (values(3), values(3)))],
    "cond": [
        (chosen, (np.array([-0.5, 0.6, -0.1]), np.array([0.1, 0.2, -0.309]))),
        (chosen_for_all, (values(2), np.array(0.5))),
    ],
    "scan": [(running, (values(2), values(4, 2), values(2)))],
    "while_loop": [(doubled, (np.array(0.98), np.array(7.8)))],
    "checkpoint": [(again_for_the_gradient, (values(2), values(2)))],
    "barrier": [(grad(lambda x, y: xp.sum(again_for_the_gradient(x, y))), (values(2), values(2)))],
    "random_split": [(random.split, (random.key(1),))],
    "random_normal": [(lambda k: random.normal(k, (2,)), (random.key(1),))],
    "random_uniform": [(lambda k: random.uniform(k, (2,)), (random.key(1),))],
    "random_permutation": [(lambda k: random.permutation(k, 4), (random.key(1),))],
}


def differentiable(op: str, arguments: tuple[Any, ...]) -> tuple[int, ...]:
    if not TABLE[op].vjp or op in REFUSES_GRADIENTS:
        return ()
    rules = TABLE[op].vjp
    known = [not isinstance(rule, NoDerivative) for rule in rules] if isinstance(rules, tuple) else None
    floats = [n for n, x in enumerate(arguments) if np.asarray(x).dtype.kind == "f"]
    return tuple(n for n in floats if known is None or known[n])


def all_cases() -> list[Any]:
    found = []
    for name in TABLE.keys() - STRUCTURE:
        plain = [
            Case(name, f"more {number}", fn, arguments, differentiable(name, arguments))
            for number, (fn, arguments) in enumerate(MORE.get(name, []))
        ]
        for one in [*CASES.get(name, []), *plain] or [None]:
            found.append(pytest.param(name, one, id=f"{name}-{one.name if one else 'no case'}"))
    return sorted(found, key=lambda param: str(param.id))


def different(x: Any) -> list[np.ndarray]:
    """Arrays like `x`, no two the same, where an op that is defined for `x` is defined for them."""
    x = np.asarray(x)
    if x.dtype.kind in "fc":
        return [x * (1 - 0.02 * number) for number in range(SIZE)]
    return [np.roll(x, number) for number in range(SIZE)]


def loop(fn: Callable[..., Any], rows: list[tuple[Any, ...]]) -> Any:
    """`fn` for one row of arguments after the other, its results stacked."""
    results = [traced(fn, *row) for row in rows]
    return optree.tree_map(lambda *leaves: np.stack(leaves), *results)


def check_against_loop(fn: Callable[..., Any], arguments: tuple[Any, ...], mapped: tuple[int, ...]) -> Graph:
    """Compare vmap over the arguments `mapped` with a loop; return the batched graph."""
    columns = [different(x) if n in mapped else [x] * SIZE for n, x in enumerate(arguments)]
    rows = list(zip(*columns))
    # The batch's axis is the first of the first argument, the last of the second, and so on.
    axes = tuple(-(n % 2) if n in mapped else None for n in range(len(arguments)))
    stacked = [x if axis is None else np.stack(c, axis) for x, axis, c in zip(arguments, axes, columns)]
    graph = trace(vmap(fn, in_axes=axes))(*stacked)
    assert_same(evaluate(graph, *stacked), loop(fn, rows), rtol=1e-9)
    return graph


def count(graph: Graph, op: str) -> int:
    return sum(node.op.name == op for node in graph.nodes)


@pytest.mark.parametrize(("op", "one"), all_cases())
def test_every_op_under_vmap_is_as_in_a_loop(op: str, one: Case | None) -> None:
    assert one is not None, f"op {op!r} has no case, in the gradient tests or in this file"
    numbers = range(len(one.arguments))
    single = count(trace(one.fn)(*one.arguments), op)
    for mapped in {tuple(numbers), *((n,) for n in numbers[:4])}:
        graph = check_against_loop(one.fn, one.arguments, mapped)
        assert op in BY_SLICES or count(graph, op) <= single, f"{op} is applied to slices"


@pytest.mark.parametrize(("op", "one"), [p for p in all_cases() if p.values[1] and p.values[1].wrt])
def test_gradients_of_every_op_under_vmap_are_as_in_a_loop(op: str, one: Case) -> None:
    check_gradients(one.fn, one.arguments, one.wrt, tuple(range(len(one.arguments))))


def check_gradients(
    fn: Callable[..., Any], arguments: tuple[Any, ...], wrt: tuple[int, ...], mapped: tuple[int, ...]
) -> None:
    """Compare the gradient within a batch, and that of a batch, with those of a loop."""
    weights = weights_like(trace(fn)(*arguments))

    def pulled_back(*arguments: Any) -> Any:
        return pullback(fn, arguments)(weights)

    def pullback(fn: Callable[..., Any], arguments: Any) -> Any:
        def of_some(*some: Any) -> Any:
            given = dict(zip(wrt, some))
            return fn(*[given.get(n, x) for n, x in enumerate(arguments)])

        return vjp(of_some, *[arguments[n] for n in wrt])[1]

    check_against_loop(pulled_back, arguments, mapped)
    columns = [different(x) if n in mapped else [x] * SIZE for n, x in enumerate(arguments)]
    stacked = [np.stack(c) if n in mapped else x for n, (x, c) in enumerate(zip(arguments, columns))]
    axes = tuple(0 if n in mapped else None for n in range(len(arguments)))
    repeated = optree.tree_map(lambda weight: np.stack([weight] * SIZE), weights)
    of_batch = traced(lambda *x: pullback(vmap(fn, axes), x)(repeated), *stacked)
    expected = loop(pulled_back, list(zip(*columns)))
    assert_same(of_batch, tuple(g if n in mapped else g.sum(0) for n, g in zip(wrt, expected)), rtol=1e-9)


# --- indices --------------------------------------------------------------------------------------------
@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> tuple[list[Any], list[int]]:
    """An index for an array of `shape`, and where in it index arrays stand."""
    adv = draw(st.sampled_from([(), (2,), (3, 1), (3, 2)]))
    entries: list[Any] = []
    for length in shape[: draw(st.integers(0, len(shape)))]:
        kind = draw(st.sampled_from(["slice", "int", "array", "array", "new axis"]))
        if kind == "new axis":
            entries.append(None)
        if kind in ("slice", "new axis"):
            step = draw(st.sampled_from([None, 2, -1]))
            entries.append(slice(None, None, step))
        elif kind == "int":
            entries.append(draw(st.integers(-length, length - 1)))
        else:
            keep = draw(st.integers(0, len(adv)))
            seed = draw(st.integers(0, 99))
            entries.append(np.random.default_rng(seed).integers(-length, length, adv[keep:]))
    if draw(st.booleans()):
        taken = sum(entry is not None for entry in entries)
        place = draw(st.integers(0, len(entries))) if taken == len(shape) else len(entries)
        entries.insert(place, Ellipsis)
    return entries, [n for n, entry in enumerate(entries) if isinstance(entry, np.ndarray)]


@given(st.data())
def test_indices_and_index_arrays_batched_or_not_find_and_put_as_in_a_loop(data: Any) -> None:
    shape = data.draw(shapes(1, 3, 1, 3))
    entries, where = data.draw(indices(shape))
    mapped = tuple(n for n in range(len(where) + 2) if data.draw(st.booleans())) or (0,)
    x = values(*shape)

    def index_of(arrays: Any) -> tuple[Any, ...]:
        given = dict(zip(where, arrays))
        return tuple(given.get(n, entry) for n, entry in enumerate(entries))

    def found(x: Any, value: Any, *arrays: Any) -> Any:
        return x[index_of(arrays)] + 0 * value

    def put(x: Any, value: Any, *arrays: Any) -> Any:
        y = x + 0 * value
        y[index_of(arrays)] = value * x[index_of(arrays)]
        return y

    def added(x: Any, value: Any, *arrays: Any) -> Any:
        return grad(lambda x: xp.sum(xp.sin(x[index_of(arrays)]) * value))(x)

    arguments = (x, values(), *[entries[n] for n in where])
    for fn in (found, put, added):
        check_against_loop(fn, arguments, mapped)


# --- axes -----------------------------------------------------------------------------------------------
@settings(max_examples=25)  # each has shapes of its own, and JAX compiles for each
@given(st.data())
def test_axes_of_arguments_and_results_mean_what_they_mean_in_jax(data: Any) -> None:
    size = data.draw(st.integers(1, 3))
    inner = [data.draw(st.sampled_from([(), (2,), (2, 1), (3, 1, 2)])) for _ in range(2)]
    axes = [data.draw(st.none() | st.integers(-len(shape) - 1, len(shape))) for shape in inner]
    if axes == [None, None]:
        axes[0] = 0
    arguments = [
        values(*shape) if axis is None else np.moveaxis(values(size, *shape), 0, axis)
        for shape, axis in zip(inner, axes)
    ]
    ndim = max(map(len, inner)) + 1
    out_axes = (data.draw(st.integers(-ndim, ndim - 1)), {"first": -1, "constant": 0})

    def fn(a: Any, b: Any, np: Any) -> Any:
        return np.sin(a) * b, {"first": np.sum(a) + np.sum(b * b), "constant": np.asarray([1.0, 2.0])}

    axes_of_both = tuple(axes) if data.draw(st.booleans()) else list(axes)
    ours = traced(vmap(lambda a, b: fn(a, b, xp), axes_of_both, out_axes), *arguments)
    theirs = jax.vmap(lambda a, b: fn(a, b, jnp), tuple(axes), out_axes)(*arguments)
    assert_same(ours, optree.tree_map(np.asarray, theirs))


@dataclass
class Point:
    x: Any
    y: Any


def test_arguments_and_results_are_trees_and_axes_are_their_beginnings() -> None:
    def fn(p: Point, pair: Any, *, scale: Any) -> Any:
        return {"sum": scale * (p.x + p.y), "pair": [pair[0]["a"], pair[1] + 1]}

    x, y, a, b, scale = (
        np.arange(3.0),
        np.ones((2, 3)),
        np.arange(6.0).reshape(3, 2),
        np.ones(4),
        np.arange(3),
    )
    mapped = vmap(fn, in_axes=(Point(0, -1), ({"a": 0}, None)), out_axes={"sum": 1, "pair": [0, None]})
    result = mapped(Point(x, y), ({"a": a}, b), scale=scale)
    assert_same(result, {"sum": scale * (x + y), "pair": [a, b + 1]})


def test_a_result_that_does_not_depend_on_the_slices_is_repeated_or_stays_one() -> None:
    x, y = np.arange(4.0), np.arange(3.0)
    outer = np.ones(2)
    ours = vmap(lambda x: (y, 2.0, x, xp.sin(outer)), out_axes=(1, 0, 0, None))(x)
    assert_same(ours, (np.stack([y] * 4, 1), np.full(4, 2.0), x, np.sin(outer)))


def test_no_slice_at_all_gives_results_without_an_element() -> None:
    x = np.ones((0, 3))
    ours = vmap(lambda x: (xp.sort(x)[np.array([0, 1])], x.max(), xp.split(x, 3), 1.0), out_axes=-1)(x)
    shapes = [leaf.shape for leaf in leaves_of(ours)]
    assert shapes == [(2, 0), (0,), (1, 0), (1, 0), (1, 0), (0,)]
    assert grad(lambda w: xp.sum(vmap(lambda x: x[0] * w)(x)))(2.0) == 0.0


# --- nesting --------------------------------------------------------------------------------------------
def energy(np: Any, x: Any, w: Any) -> Any:
    return np.sum(np.tanh(w @ x) ** 2) * x[0] + np.max(x)


X, W = values(4, 3), values(2, 3)
NESTINGS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "vmap of vmap": (
        lambda f, vmap, grad: vmap(vmap(f, (None, 0)), (0, None)), (X, values(5, 2, 3))
    ),
    "vmap of vmap, other axes": (
        lambda f, vmap, grad: vmap(vmap(f, (1, None), 0), (0, None), 1), (values(2, 3, 4), W)
    ),
    "vmap of grad": (lambda f, vmap, grad: vmap(grad(f), (0, None)), (X, W)),
    "vmap of grad for the unmapped": (lambda f, vmap, grad: vmap(grad(f, 1), (0, None)), (X, W)),
    "grad of vmap": (lambda f, vmap, grad: grad(lambda x, w: vmap(f, (0, None))(x, w).sum()), (X, W)),
    "grad of vmap for the unmapped": (
        lambda f, vmap, grad: grad(lambda w, x: vmap(f, (0, None))(x, w).sum()), (W, X)
    ),
    "grad of vmap of grad": (
        lambda f, vmap, grad: grad(lambda x, w: (vmap(grad(f), (0, None))(x, w) ** 2).sum(), 1), (X, W)
    ),
    "vmap of grad of vmap": (
        lambda f, vmap, grad: vmap(
            grad(lambda w, x: vmap(f, (0, None))(x, w).sum()), (0, None)
        ), (values(5, 2, 3), X)
    ),
    "vmap of grad of grad": (
        lambda f, vmap, grad: vmap(grad(lambda x, w: (grad(f)(x, w) ** 2).sum()), (0, None)), (X, W)
    ),
    "a closure over the outer slice": (
        lambda f, vmap, grad: vmap(
            lambda x: vmap(lambda w: f(x, w) + x.sum())(W[None] * x[:2, None])
        ), (X,)
    ),
    "an inner gradient for what an outer batch closes over": (
        lambda f, vmap, grad: grad(lambda w: vmap(lambda x: grad(f)(x, w) @ x)(X).sum()), (W,)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NESTINGS)
def test_nestings_are_those_of_jax(name: str) -> None:
    combine, arguments = NESTINGS[name]
    ours = combine(lambda x, w: energy(np, x, w), vmap, grad)
    theirs = combine(lambda x, w: energy(jnp, x, w), jax.vmap, jax.grad)
    expected = np.asarray(theirs(*arguments))
    assert_same(traced(ours, *arguments), expected, rtol=1e-11)
    assert_same(np.asarray(ours(*arguments)), expected, rtol=1e-11)  # outside of a trace
    assert_same(np.asarray(jit(ours)(*arguments)), expected, rtol=1e-11)


def test_value_and_grad_with_aux_and_vjp_are_batched() -> None:
    def f(x: Any) -> Any:
        return xp.sum(x**3), {"double": 2 * x}

    (value, aux), gradient = vmap(value_and_grad(f, has_aux=True))(X)
    assert_same((value, aux, gradient), (np.sum(X**3, 1), {"double": 2 * X}, 3 * X**2))
    derivative = trace(lambda x: vmap(vjp(lambda x: W @ xp.sin(x), x)[1])(np.eye(2))[0])(X[0])
    assert_same(evaluate(derivative, X[0]), W * np.cos(X[0]))


@given(programs(max_steps=10), st.data())
def test_random_programs_and_their_gradients_are_as_in_a_loop(program: Program, data: Any) -> None:
    numbers = range(len(program.arguments))
    mapped = tuple(n for n in numbers if data.draw(st.booleans())) or (0,)
    check_against_loop(program.run, program.arguments, mapped)
    check_gradients(program.run, program.arguments, tuple(numbers), mapped)


def test_functions_within_ops_are_batched_as_in_jax() -> None:
    def energy(np: Any, scan: Any, cond: Any, checkpoint: Any, x: Any, w: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = cond(np.sum(h) > 0, lambda h: np.tanh(w @ h + x), lambda h: np.sin(h) * x, h)
            return h, checkpoint(lambda h: np.sum(np.cos(h) * w[0]))(h)

        last, made = scan(step, x[0], x)
        return np.sum(last) + np.sum(made**2)

    ours = partial(energy, xp, scan, cond, checkpoint)
    theirs = partial(energy, jnp, jax.lax.scan, jax.lax.cond, jax.checkpoint)
    x, w = values(4, 5, 3), values(3, 3)
    nestings: list[Callable[..., Any]] = [
        lambda f, vmap, grad: vmap(f, (0, None)),
        lambda f, vmap, grad: vmap(grad(f, 1), (0, None)),
        lambda f, vmap, grad: grad(lambda x, w: vmap(f, (0, None))(x, w).sum(), 1),
    ]
    for nest in nestings:
        expected = np.asarray(nest(theirs, jax.vmap, jax.grad)(x, w))
        assert_same(np.asarray(nest(ours, vmap, grad)(x, w)), expected, rtol=1e-11)


# --- what is recorded -----------------------------------------------------------------------------------
def test_an_elementwise_function_of_k_nodes_stays_one_of_k_nodes() -> None:
    def f(x: Any, y: Any) -> Any:
        for _ in range(10):
            x = xp.sin(x) * y + 0.5
        return x

    graph = trace(vmap(vmap(f)))(np.ones((50, 20, 3)), np.ones((50, 20, 3)))
    assert len(graph) == len(trace(f)(np.ones(3), np.ones(3)))
    gradient = trace(vmap(grad(lambda x, y: xp.sum(f(x, y)))))(np.ones((50, 3)), np.ones((50, 3)))
    assert len(gradient) == len(trace(grad(lambda x, y: xp.sum(f(x, y))))(np.ones(3), np.ones(3)))


def test_a_jacobian_is_one_batch_whatever_its_size() -> None:
    small, large = (trace(jacobian(lambda x: xp.sin(x) * x))(np.ones(n)) for n in (2, 50))
    assert len(small) == len(large)


def test_what_does_not_depend_on_the_slices_is_computed_once() -> None:
    graph = trace(vmap(lambda x, w: x @ xp.exp(w), in_axes=(0, None)))(np.ones((5, 3)), np.ones((3, 2)))
    specs = {node.op.name: node.spec.shape for node in graph.nodes}
    assert specs["exp"] == (3, 2)
    assert specs["matmul"] == (5, 2)
    assert len(graph) == 4  # vectors against one matrix are one product


def test_batched_nodes_keep_scope_phase_line_and_forward_twin() -> None:
    def loss(x: Any) -> Any:
        with scope("inner"):
            return xp.sum(xp.sin(x))

    one, many = trace(grad(loss))(np.ones(3)), trace(vmap(grad(loss)))(np.ones((2, 3)))

    def labels(graph: Graph) -> Counter[Any]:
        return Counter(
            (node.op.name, node.scope, node.phase, node.where, node.grad_of and node.grad_of.op.name)
            for node in graph.nodes
            if node.op.name not in STRUCTURE
        )

    assert labels(many) == labels(one)
    both = trace(vmap(value_and_grad(loss)))(np.ones((2, 3)))
    assert all(node.grad_of in set(both.nodes) for node in both.nodes if node.phase == "backward")


# --- refusals -------------------------------------------------------------------------------------------
def of_two(x: Any, y: Any) -> Any:
    return x + y


REFUSALS = {
    "lengths differ": (
        lambda: vmap(of_two, in_axes=(0, {"a": 1}))(np.ones(3), {"a": np.ones((2, 4))}),
        ValueError,
        r"x of shape \(3,\) has 3 along axis 0, y.a of shape \(2, 4\) has 4 along axis 1 \(.*test_batching",
    ),
    "no such axis": (
        lambda: vmap(of_two, in_axes=(0, -2))(np.ones(3), np.ones(3)),
        ValueError,
        r"argument y of shape \(3,\) has no axis -2",
    ),
    "a number": (lambda: vmap(of_two)(np.ones(3), 1.0), ValueError, "has no axis 0"),
    "nothing mapped": (
        lambda: vmap(of_two, in_axes=None)(1.0, 2.0), ValueError, "no argument is mapped"
    ),
    "too few axes": (
        lambda: vmap(of_two, in_axes=(0,))(np.ones(3), np.ones(3)),
        ValueError,
        r"in_axes=\(0,\) does not have the structure of the arguments",
    ),
    "an axis of another kind": (
        lambda: vmap(of_two, in_axes=(0, "y"))(np.ones(3), np.ones(3)), TypeError, "whole numbers, None"
    ),
    "result needs an axis": (
        lambda: vmap(of_two, out_axes=None)(np.ones(3), np.ones(3)), ValueError, "it needs an axis"
    ),
    "no such axis of the result": (
        lambda: vmap(of_two, out_axes=1)(np.ones(3), np.ones(3)), ValueError, "out_axes=1 is no axis"
    ),
    "axes that do not fit the result": (
        lambda: vmap(of_two, out_axes=(0, 0))(np.ones(3), np.ones(3)),
        ValueError,
        "does not have the structure of the result",
    ),
    "within, with the user's line": (
        lambda: vmap(of_two)(np.ones((3, 2)), np.ones((3, 4))), ValueError, r"add of .*test_batching.py:"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_does_not_fit_is_refused_with_the_culprit(name: str) -> None:
    call, error, message = REFUSALS[name]
    with pytest.raises(error, match=message):
        call()


def test_a_slice_that_leaks_out_is_refused() -> None:
    kept = []

    def f(x: Any) -> Any:
        vmap(lambda y: kept.append(y) or y)(x)
        return kept[0] * 2

    with pytest.raises(dagexec.TracingError, match="array of another trace"):
        trace(f)(np.ones(3))
