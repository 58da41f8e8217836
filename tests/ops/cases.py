"""The cases of the gradient tests: an op, a function that uses it, and where to differentiate that."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dagexec import xp
from tests.oracle import leaves_of

RANDOM = np.random.default_rng(20240711)


class Case(NamedTuple):
    """A function that uses the op, where to differentiate it, and in which arguments."""

    op: str
    name: str
    fn: Callable[..., Any]
    arguments: tuple[Any, ...]
    wrt: tuple[int, ...]


CASES: dict[str, list[Case]] = {}


def case(
    op: str, name: str, fn: Callable[..., Any], *arguments: Any, wrt: tuple[int, ...] | None = None
) -> None:
    chosen = wrt if wrt is not None else tuple(range(len(arguments)))
    CASES.setdefault(op, []).append(Case(op, name, fn, arguments, chosen))


def values(*shape: int, low: float = -1.5, high: float = 1.5) -> np.ndarray:
    """Distinct numbers in random order; against the step far apart, and far from the interval's middle."""
    size = int(np.prod(shape))
    places = (RANDOM.permutation(size) + RANDOM.uniform(0.1, 0.4, size)) / max(size, 1)
    return (low + (high - low) * places).reshape(shape)


def values_apart(
    a: tuple[int, ...], b: tuple[int, ...], first: tuple[float, float], second: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of two shapes in two intervals: where these are equal, no two numbers are close."""
    both = values(int(np.prod(a)) + int(np.prod(b)), low=0, high=1)
    places = both[: int(np.prod(a))].reshape(a), both[int(np.prod(a)) :].reshape(b)
    return tuple(low + (high - low) * place for place, (low, high) in zip(places, (first, second)))


def positive(*shape: int) -> np.ndarray:
    return values(*shape, low=0.4, high=2.0)


def complex_values(*shape: int) -> np.ndarray:
    return values(*shape) + 1j * values(*shape)


def complex_case(op: str, name: str, fn: Callable[..., Any], *arguments: np.ndarray) -> None:
    """A function of complex numbers, as one from real and imaginary parts to real and imaginary parts."""

    def of_parts(*parts: Any) -> list[Any]:
        results = fn(*[re + im * 1j for re, im in zip(parts[::2], parts[1::2])])
        return [part(y) for y in leaves_of(results) for part in (xp.real, xp.imag)]

    case(op, f"complex {name}", of_parts, *[part for x in arguments for part in (x.real, x.imag)])
