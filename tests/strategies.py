"""Strategies that the tests share: shapes, dtypes, arrays, axes, and random array programs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip


def shapes(min_dims: int = 0, max_dims: int = 4, min_side: int = 0, max_side: int = 4) -> Any:
    """Shapes of few elements."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def broadcastable_shapes(count: int, min_side: int = 0) -> Any:
    """So many shapes that broadcast against each other."""
    return hnp.mutually_broadcastable_shapes(num_shapes=count, min_side=min_side, max_side=3, max_dims=3).map(
        lambda found: found.input_shapes
    )


@st.composite
def arrays(
    draw: Any,
    *,
    shape: tuple[int, ...] | None = None,
    dtypes: Sequence[str] = DTYPES,
    min_dims: int = 0,
    max_dims: int = 3,
    min_side: int = 0,
) -> np.ndarray:
    """Small whole numbers and halves, drawn as one seed: the shape and dtype matter, the values hardly do."""
    if shape is None:
        shape = draw(shapes(min_dims, max_dims, min_side, 3))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    low = -3 if dtype.kind in "fi" else 0
    return np.asarray(random.integers(2 * low, 7, shape) / 2).astype(dtype)


@st.composite
def axes_of(draw: Any, ndim: int) -> int | tuple[int, ...] | None:
    """None, one axis, or a tuple of distinct axes, counted from either end."""
    numbers = draw(st.lists(st.integers(0, ndim - 1), unique=True, max_size=ndim)) if ndim else []
    signed = tuple(number - ndim * draw(st.booleans()) for number in numbers)
    return draw(st.sampled_from([None, signed, *signed]))


# --- random array programs ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Program:
    """Random arguments, and steps that each make a new value from earlier ones; some are never used.

    A step is a function, called with NumPy (or what stands for it), and the numbers of the values it takes.
    All functions are smooth and keep values small, so that central differences are exact enough.
    """

    arguments: tuple[np.ndarray, ...]
    steps: tuple[tuple[Callable[..., Any], tuple[int, ...]], ...]
    results: tuple[int, ...]

    def run(self, *arguments: Any, namespace: Any = np) -> list[Any]:
        """The results, from NumPy or traced arrays; from JAX's with `namespace` jax.numpy."""
        values = list(arguments)
        for fn, sources in self.steps:
            values.append(fn(namespace, *[values[source] for source in sources]))
        return [values[number] for number in self.results]

    def __repr__(self) -> str:
        shapes = [argument.shape for argument in self.arguments]
        steps = [(getattr(fn, "__name__", fn), sources) for fn, sources in self.steps]
        return f"Program({shapes}, {steps}, {self.results})"


def _step(name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    fn.__name__ = name
    return fn


SMOOTH = [
    _step(name, fn)
    for name, fn in {
        "sin": lambda np, x: np.sin(x),
        "tanh": lambda np, x: np.tanh(x),
        "exp": lambda np, x: np.exp(-(x**2)),
        "log": lambda np, x: np.log(x**2 + 1),
        "root": lambda np, x: np.sqrt(x * x + 0.5),
        "ratio": lambda np, x: x / (1 + x**2),
        "power": lambda np, x: (1.5 + np.sin(x)) ** 1.7,
        "halves": lambda np, x: 0.5 * x - 0.25,
        "twice": lambda np, x: np.sin(x) * np.cos(x),
        "constant": lambda np, x: x * np.linspace(0.5, 1.0, x.size).reshape(x.shape),
        "transpose": lambda np, x: x.T,
        "flat": lambda np, x: np.reshape(x, (-1,)),
        "flip": lambda np, x: np.flip(x),
        "sum": lambda np, x: np.sin(np.sum(x)),
        "first": lambda np, x: x[0] if x.ndim and x.shape[0] else x,
        "last": lambda np, x: x[..., -1:] if x.ndim else x,
        "rows": lambda np, x: x[np.array([0, 0, -1])] if x.ndim and x.shape[0] else x,
        "new axis": lambda np, x: x[None] if x.ndim < 3 else x,
        "mean": lambda np, x: np.mean(x, axis=-1, keepdims=True) if x.ndim and x.size else x,
        "spread": lambda np, x: np.var(x, axis=0) if x.ndim and x.size else x,
        "product": lambda np, x: np.prod(np.cos(x), axis=0) if x.ndim else x,
        "softmax": lambda np, x: np.exp(x - np.max(x)) / np.sum(np.exp(x - np.max(x))) if x.size else x,
        "pieces": lambda np, x: (
            sum(piece * k for k, piece in enumerate(x, 1)) if x.ndim and x.shape[0] else x
        ),
    }.items()
]
COMBINED = [
    _step(name, fn)
    for name, fn in {
        "add": lambda np, a, b: a + b,
        "subtract": lambda np, a, b: a - b,
        "multiply": lambda np, a, b: np.sin(a) * np.cos(b),
        "divide": lambda np, a, b: a / (1 + b * b),
        "angle": lambda np, a, b: np.arctan2(a, b * b + 0.5),
        "chosen": lambda np, a, b: np.where(np.ones(b.shape, bool), a, b) * b,
    }.items()
]


def _joined(np: Any, a: Any, b: Any) -> Any:
    return np.concatenate([np.ravel(a), np.ravel(b)])


def _product(np: Any, a: Any, b: Any) -> Any:
    return np.tanh(np.tensordot(a, b, 1)) if np.ndim(a) and np.ndim(b) else np.tanh(a * b)


def _fits(fn: Callable[..., Any], values: Sequence[np.ndarray]) -> np.ndarray | None:
    """The result of a step, unless shapes do not fit or grow too large for central differences."""
    try:
        result = np.asarray(fn(np, *values))
    except ValueError:
        return None
    return result if result.size <= 24 and result.ndim <= 3 else None


@st.composite
def programs(draw: Any, *, max_steps: int = 12) -> Program:
    """Random DAGs of array operations: values used often, once or never, on shapes that broadcast or not."""
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    found = [
        random.uniform(-1, 1, shape) for shape in draw(st.lists(shapes(0, 2, 1, 3), min_size=1, max_size=3))
    ]
    arguments = tuple(found)
    steps = []
    for _ in range(draw(st.integers(max_steps // 2, max_steps))):
        fn = draw(st.sampled_from([*SMOOTH, *COMBINED, _joined, _product]))
        count = 1 if fn in SMOOTH else 2
        sources = tuple(draw(st.integers(0, len(found) - 1)) for _ in range(count))
        result = _fits(fn, [found[source] for source in sources])
        if result is not None:
            steps.append((fn, sources))
            found.append(result)
    results = draw(st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=2))
    return Program(arguments, tuple(steps), (*results, len(found) - 1))
