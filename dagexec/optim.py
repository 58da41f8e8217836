"""Optimisers: how parameters follow their gradients, as pure array code.

An optimiser is two functions: `init(params)` gives its state, `update(params, gradients, state)` gives new
parameters and the new state. Both are pytrees of arrays, so a whole step of training is one graph. Nothing in
the update of one parameter waits for the gradient of another, so the last layer is updated while the gradient
of the first is still computed (clipping by the norm of all gradients is the exception: it waits for all).

The learning rate is a number or a schedule, a function from the number of the update (0, 1, ...) to the rate.
The optimisers compute what those of the same name in PyTorch do; their options have the same meanings.

>>> import numpy as np
>>> from dagexec import value_and_grad
>>> optimiser = sgd(0.1, momentum=0.9)
>>> def step(w, state):
...     loss, gradient = value_and_grad(lambda w: np.sum((w - 3) ** 2))(w)
...     return loss, *optimiser.update(w, gradient, state)
>>> w, state = np.zeros(2), optimiser.init(np.zeros(2))
>>> for _ in range(200):
...     loss, w, state = step(w, state)
>>> w.round(3), int(state["step"])
(array([3., 3.]), 200)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import optree

from dagexec import xp
from dagexec.array import Array, naming_the_line, shape_of
from dagexec.pytrees import flatten
from dagexec.tracing import scope

Schedule = Callable[[Any], Any]  # the number of the update, from 0 -> the learning rate
Rate = float | Schedule


class Optimiser(NamedTuple):
    """Two pure functions: `init(params) -> state` and `update(params, gradients, state) -> (params, state)`.

    The state is a dict: the number of updates so far under "step", and for each quantity that is remembered,
    such as "momentum", a tree like the parameters.
    """

    init: Callable[[Any], dict[str, Any]]
    update: Callable[[Any, Any, dict[str, Any]], tuple[Any, dict[str, Any]]]


# --- optimisers -----------------------------------------------------------------------------------------
def sgd(rate: Rate, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> Optimiser:
    """Gradient descent: p − rate × g; with `momentum`, a ball that rolls downhill (Polyak 1964).

    The velocity becomes momentum × velocity + g and takes the gradient's place. `nesterov` looks ahead, using
    g + momentum × velocity (Sutskever et al. 2013). `weight_decay` adds weight_decay × p to the gradient.
    Raises ValueError for a negative number, and for `nesterov` without momentum.

    >>> import numpy as np
    >>> optimiser = sgd(0.5)
    >>> w, state = optimiser.update(np.array([1.0]), np.array([0.2]), optimiser.init(np.array([1.0])))
    >>> w
    array([0.9])
    """
    _check(rate=rate, momentum=momentum, weight_decay=weight_decay)
    if nesterov and not momentum:
        raise ValueError("nesterov looks ahead along the velocity: give a momentum, such as 0.9")

    def plain(p: Any, g: Any, kept: Sequence[Any], rate: Any) -> tuple[Any, ...]:
        return (p - rate * _decayed(p, g, weight_decay),)

    def rolling(p: Any, g: Any, kept: Sequence[Any], rate: Any) -> tuple[Any, ...]:
        g = _decayed(p, g, weight_decay)
        velocity = momentum * kept[0] + g
        return p - rate * (g + momentum * velocity if nesterov else velocity), velocity

    if not momentum:
        return _optimiser((), lambda step: (_rate_at(rate, step),), plain)
    return _optimiser(("momentum",), lambda step: (_rate_at(rate, step),), rolling)


def adagrad(rate: Rate = 0.01, eps: float = 1e-10, weight_decay: float = 0.0) -> Optimiser:
    """AdaGrad: each number's steps shrink with the root of the sum of its squared gradients.

    Good where some features are rare (Duchi, Hazan and Singer 2011).

    >>> import numpy as np
    >>> optimiser = adagrad(0.5)
    >>> w, state = optimiser.update(np.array([1.0]), np.array([0.2]), optimiser.init(np.array([1.0])))
    >>> w.round(6)
    array([0.5])
    """
    _check(rate=rate, eps=eps, weight_decay=weight_decay)

    def change(p: Any, g: Any, kept: Sequence[Any], rate: Any) -> tuple[Any, ...]:
        g = _decayed(p, g, weight_decay)
        total = kept[0] + g * g
        return p - rate * (g / (xp.sqrt(total) + eps)), total

    return _optimiser(("squares",), lambda step: (_rate_at(rate, step),), change)


def rmsprop(
    rate: Rate = 0.01, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0
) -> Optimiser:
    """RMSProp: each gradient divided by the root of a running mean of its squares (Tieleman, Hinton 2012).

    `alpha` is how much of the mean is kept at each update.

    >>> import numpy as np
    >>> optimiser = rmsprop(0.1, alpha=0.75)
    >>> w, state = optimiser.update(np.array([1.0]), np.array([0.2]), optimiser.init(np.array([1.0])))
    >>> w.round(6)
    array([0.8])
    """
    _check(rate=rate, eps=eps, weight_decay=weight_decay)
    _check_shares(alpha=alpha)

    def change(p: Any, g: Any, kept: Sequence[Any], rate: Any) -> tuple[Any, ...]:
        g = _decayed(p, g, weight_decay)
        mean = alpha * kept[0] + (1 - alpha) * (g * g)
        return p - rate * (g / (xp.sqrt(mean) + eps)), mean

    return _optimiser(("squares",), lambda step: (_rate_at(rate, step),), change)


def adam(
    rate: Rate = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimiser:
    """Adam: a running mean of gradients over the root of one of their squares (Kingma and Ba 2014).

    Both means start from 0 and are corrected for it. `betas` says how much of each is kept at each update;
    `weight_decay` adds weight_decay × p to the gradient (see `adamw`).

    >>> import numpy as np
    >>> optimiser = adam(0.1)
    >>> w, state = optimiser.update(np.array([1.0]), np.array([0.2]), optimiser.init(np.array([1.0])))
    >>> w.round(6)  # the first step has the length of the rate, whatever the gradient
    array([0.9])
    """
    return _adam(rate, betas, eps, weight_decay, decoupled=False)


def adamw(
    rate: Rate = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimiser:
    """Adam with weight decay of its own: p shrinks by rate × weight_decay × p (Loshchilov and Hutter 2017).

    So the decay is not divided by the root of the squares, as it would be as part of the gradient.

    >>> import numpy as np
    >>> optimiser = adamw(0.1, weight_decay=0.5)
    >>> w, state = optimiser.update(np.array([1.0]), np.array([0.2]), optimiser.init(np.array([1.0])))
    >>> w.round(6)
    array([0.85])
    """
    return _adam(rate, betas, eps, weight_decay, decoupled=True)


def _adam(
    rate: Rate, betas: tuple[float, float], eps: float, weight_decay: float, *, decoupled: bool
) -> Optimiser:
    _check(rate=rate, eps=eps, weight_decay=weight_decay)
    beta1, beta2 = betas
    _check_shares(beta1=beta1, beta2=beta2)

    def factors(step: Any) -> tuple[Any, ...]:
        updates = xp.astype(step + 1, np.float64)
        rate_now = _rate_at(rate, step)
        bias1, bias2 = 1 - xp.pow(beta1, updates), 1 - xp.pow(beta2, updates)
        return rate_now / bias1, xp.sqrt(bias2), 1 - rate_now * weight_decay

    def change(p: Any, g: Any, kept: Sequence[Any], *factors: Any) -> tuple[Any, ...]:
        length, root_bias, remaining = factors
        if not decoupled:
            g = _decayed(p, g, weight_decay)
        mean = beta1 * kept[0] + (1 - beta1) * g
        squares = beta2 * kept[1] + (1 - beta2) * (g * g)
        move = length * (mean / (xp.sqrt(squares) / root_bias + eps))
        return (p * remaining if decoupled and weight_decay else p) - move, mean, squares

    return _optimiser(("mean", "squares"), factors, change)


# --- what they share ------------------------------------------------------------------------------------
def _optimiser(
    slots: tuple[str, ...],
    factors: Callable[[Any], tuple[Any, ...]],
    change: Callable[..., tuple[Any, ...]],
) -> Optimiser:
    """The optimiser that remembers `slots` for each parameter, from zeros.

    `factors(step)` are the numbers that all parameters share; `change(p, g, kept, *factors)` is the rule for
    one parameter: its new value, and what is remembered.
    """

    def init(params: Any) -> dict[str, Any]:
        leaves, structure = _parameters(params)
        fresh = {slot: optree.tree_unflatten(structure, map(xp.zeros_like, leaves)) for slot in slots}
        return {"step": xp.asarray(0), **fresh}

    @naming_the_line
    def update(params: Any, gradients: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        leaves, structure = _parameters(params)
        if not isinstance(state, dict) or state.keys() != {"step", *slots}:
            found = ", ".join(map(repr, state)) if isinstance(state, dict) else type(state).__name__
            raise ValueError(f"the state is not that of this optimiser, which init makes: it has {found}")
        gradient_leaves = _alike("gradients", gradients, leaves, structure)
        kept = [_alike(f"state[{slot!r}]", state[slot], leaves, structure) for slot in slots]
        results = []
        with scope("update", phase="update"):
            shared = factors(state["step"])
            step = state["step"] + 1
            for path, p, g, *memory in zip(structure.paths(), leaves, gradient_leaves, *kept):
                with scope(".".join(map(str, path)) or "parameter"):
                    new = change(p, g, memory, *[_as_dtype(number, p.dtype) for number in shared])
                    results.append([_as_dtype(array, p.dtype) for array in new])
        trees = [optree.tree_unflatten(structure, column) for column in zip(*results)]
        if not results:  # no parameters, so there is no column
            trees = [params, *[state[slot] for slot in slots]]
        return trees[0], {"step": step, **dict(zip(slots, trees[1:]))}

    return Optimiser(init, update)


def _parameters(params: Any) -> tuple[list[Any], Any]:
    """The parameters as arrays, and their structure; TypeError for one that no gradient could move."""
    leaves, structure = flatten(params)
    arrays = [*map(_as_array, leaves)]
    for path, array in zip(structure.paths(), arrays):
        if array.dtype.kind != "f":
            raise TypeError(
                f"parameter {'.'.join(map(str, path)) or 'given'} is {array.dtype.name}: only floating-point "
                "numbers follow a gradient; keep the others out of the parameters"
            )
    return arrays, structure


def _alike(name: str, tree: Any, parameters: Sequence[Any], structure: Any) -> list[Any]:
    """The leaves of a tree that must fit the parameters, as arrays of their dtypes."""
    leaves, found = flatten(tree)
    if found != structure:
        raise ValueError(f"{name} have the structure {found}, but the parameters {structure}")
    for path, leaf, parameter in zip(structure.paths(), leaves, parameters):
        if shape_of(leaf) != shape_of(parameter):
            raise ValueError(
                f"{name}: {'.'.join(map(str, path)) or 'the array'} has shape {shape_of(leaf)}, "
                f"but the parameter {shape_of(parameter)}"
            )
    return [_as_dtype(_as_array(leaf), parameter.dtype) for leaf, parameter in zip(leaves, parameters)]


def _as_array(leaf: Any) -> Any:
    return leaf if isinstance(leaf, Array) else xp.asarray(leaf)


def _decayed(p: Any, g: Any, weight_decay: float) -> Any:
    """The gradient with that of weight_decay / 2 × p² added."""
    return g + weight_decay * p if weight_decay else g


def _as_dtype(number: Any, dtype: Any) -> Any:
    """An array as `dtype`, so that it widens nothing; a Python number does not anyway."""
    if type(number) in (float, int) or number.dtype == dtype:
        return number
    return xp.astype(number, dtype)


def _rate_at(rate: Rate, step: Any) -> Any:
    return rate(step) if callable(rate) else rate


def _check(**numbers: Any) -> None:
    """Raise an error for what is no number from 0 up; a schedule is only known when it runs."""
    for name, number in numbers.items():
        if callable(number):
            continue
        if isinstance(number, str) or np.ndim(number) or number is None:
            raise TypeError(f"{name} is {number!r}; it must be a number")
        if not 0 <= number < math.inf:
            raise ValueError(f"{name} is {number}; it must be 0 or more, and finite")


def _check_shares(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 <= number < 1:
            raise ValueError(f"{name} is {number}; it must be at least 0 and less than 1")


# --- schedules ------------------------------------------------------------------------------------------
def constant(rate: float) -> Schedule:
    """The same rate for ever.

    >>> constant(0.1)(1000)
    0.1
    """
    _check(rate=rate)
    return lambda step: rate


def step_decay(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """The rate times `factor` after each `every` updates. Raises ValueError for `every` below 1.

    >>> [round(float(step_decay(1.0, 2)(step)), 6) for step in range(5)]
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """
    _check(rate=rate, factor=factor)
    _check_length(every=every)
    return lambda step: rate * xp.pow(factor, xp.astype(xp.asarray(step) // every, np.float64))


def exponential(rate: float, factor: float) -> Schedule:
    """The rate times `factor` after each update.

    >>> [float(exponential(1.0, 0.5)(step)) for step in range(3)]
    [1.0, 0.5, 0.25]
    """
    _check(rate=rate, factor=factor)
    return lambda step: rate * xp.pow(factor, xp.astype(xp.asarray(step), np.float64))


def cosine(rate: float, steps: int, lowest: float = 0.0) -> Schedule:
    """Half a wave of the cosine from `rate` down to `lowest` in `steps` updates, then `lowest`.

    Source: Loshchilov and Hutter 2016, without restarts. Raises ValueError for `steps` below 1.

    >>> [round(float(cosine(1.0, 4)(step)), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    _check(rate=rate, lowest=lowest)
    _check_length(steps=steps)

    def rate_at(step: Any) -> Any:
        passed = xp.minimum(xp.asarray(step), steps) / steps
        return lowest + (rate - lowest) * (1 + xp.cos(np.pi * passed)) / 2

    return rate_at


def warmup(after: Rate, steps: int) -> Schedule:
    """`steps` updates in which the rate climbs in equal steps to its first value, then `after`.

    Raises ValueError for `steps` below 1.

    >>> [float(warmup(0.5, 2)(step)) for step in range(4)]
    [0.25, 0.5, 0.5, 0.5]
    """
    _check(after=after)
    _check_length(steps=steps)

    def rate_at(step: Any) -> Any:
        step = xp.asarray(step)
        return _rate_at(after, xp.maximum(step - steps, 0)) * xp.minimum((step + 1) / steps, 1.0)

    return rate_at


def _check_length(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} is {number}; a schedule needs 1 update or more")


# --- clipping -------------------------------------------------------------------------------------------
@naming_the_line
def global_norm(tree: Any) -> Any:
    """The length of all arrays of a tree as one vector; 0 for a tree without arrays.

    >>> import numpy as np
    >>> float(global_norm({"w": np.array([3.0]), "b": np.array([4.0])}))
    5.0
    """
    leaves, _ = flatten(tree)
    return xp.sqrt(xp.asarray(sum([xp.sum(xp.square(leaf)) for leaf in leaves], 0.0)))


@naming_the_line
def clip_by_norm(gradients: Any, most: float) -> Any:
    """Gradients of a norm above `most` scaled down to it, all by the same factor: the direction is kept.

    Against exploding gradients (Pascanu, Mikolov and Bengio 2013). As in PyTorch, 1e-6 is added to the norm
    that `most` is divided by. The update then waits for all gradients. Raises ValueError unless `most` is
    positive.

    >>> import numpy as np
    >>> clip_by_norm([np.array([3.0]), np.array([4.0])], 1.0)[0].round(5)
    array([0.6])
    """
    _check_bound(most)
    with scope("clip", phase="update"):
        factor = xp.minimum(most / (global_norm(gradients) + 1e-6), 1.0)
        return _each(lambda g: g * xp.astype(factor, g.dtype), gradients)


@naming_the_line
def clip_by_value(gradients: Any, most: float) -> Any:
    """Gradients with each number moved into [−most, most]. Raises ValueError unless `most` is positive.

    >>> import numpy as np
    >>> clip_by_value(np.array([-3.0, 0.5]), 1.0)
    array([-1. ,  0.5])
    """
    _check_bound(most)
    with scope("clip", phase="update"):
        return _each(lambda g: xp.clip(g, -most, most), gradients)


def _each(fn: Callable[[Any], Any], tree: Any) -> Any:
    leaves, structure = flatten(tree)
    return optree.tree_unflatten(structure, map(fn, leaves))


def _check_bound(most: float) -> None:
    if not most > 0:
        raise ValueError(f"most is {most}; gradients are clipped to a positive bound")
