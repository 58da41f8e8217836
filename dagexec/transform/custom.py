"""`custom_vjp`: a function with a gradient rule of its own.

The results pass through a node that is the identity, and whose gradient rule is the given one.

>>> from dagexec.transform.reverse import grad
>>> from dagexec import xp
>>> @custom_vjp
... def log1pexp(x):
...     return xp.log1p(xp.exp(x))
>>> log1pexp.defvjp(lambda x: (log1pexp(x), x), lambda x, g: (g * (1 - 1 / (1 + xp.exp(x))),))
>>> float(grad(log1pexp)(100.0))                    # without the rule: inf / inf
1.0
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

import numpy as np
import optree

from dagexec.array import CURRENT, Array, Trace, at
from dagexec.array import call as apply
from dagexec.graph import Op, Spec
from dagexec.ops.table import declare
from dagexec.pytrees import flatten
from dagexec.transform.batching import vmap
from dagexec.transform.identities import CLOSED_OVER, firsts_kernel, firsts_spec
from dagexec.transform.subgraphs import (
    Found,
    inlined,
    name_of,
    node_of,
    recorded_tree,
    spec_at,
    spread,
    subgraphs,
)


class Rule:
    """The gradient rule of one call: the user's functions, and how their arguments and results are nested."""

    def __init__(
        self,
        owner: custom_vjp,
        arguments: optree.PyTreeSpec,
        fixed: dict[int, Any],
        result: optree.PyTreeSpec,
    ) -> None:
        self.owner = owner
        self.arguments = arguments  # without the fixed ones
        self.fixed = fixed
        self.result = result

    def __repr__(self) -> str:
        return f"{name_of(self.owner)}.defvjp"

    def __call__(self, y: Any, g: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
        """The cotangents of the operands; None for zero."""
        forward, backward = self.owner.rules
        args: Any = optree.tree_unflatten(self.arguments, operands)
        _, residuals = self._checked_pair(forward(*self.owner.merged(args, self.fixed)))
        cotangent = optree.tree_unflatten(self.result, g)
        shares = backward(*self.fixed.values(), residuals, cotangent)
        return self._checked(shares, args, y)

    def _checked_pair(self, pair: Any) -> Any:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"{self}: fwd must return a pair (result, residuals), but returned {pair!r:.60}")
        if flatten(pair[0])[1] != self.result:
            raise TypeError(
                f"{self}: the result of fwd has structure {flatten(pair[0])[1]}, that of the function "
                f"{self.result}"
            )
        return pair

    def _checked(self, shares: Any, args: tuple[Any, ...], y: Any) -> list[Any]:
        place = at(y.node.where)
        if not isinstance(shares, tuple | list) or len(shares) != len(args):
            count = len(shares) if isinstance(shares, tuple | list) else "no tuple"
            raise TypeError(
                f"{self}: bwd must return a tuple with a cotangent for each of the {len(args)} arguments, "
                f"but returned {count} ({place})"
            )
        flat: list[Any] = []
        for number, (share, argument) in enumerate(zip(shares, args)):
            leaves, structure = flatten(argument)
            if share is None:
                flat += [None] * len(leaves)
                continue
            parts, given = optree.tree_flatten(share, none_is_leaf=True)
            if len(parts) != len(leaves) or flatten(share)[1].num_leaves > structure.num_leaves:
                raise TypeError(
                    f"{self}: bwd's cotangent for argument {number} has structure {given}, the argument "
                    f"{structure} ({place})"
                )
            for part, leaf in zip(parts, leaves):
                if part is not None and np.shape(part) != leaf.shape and leaf.dtype.kind in "fc":
                    raise ValueError(
                        f"{self}: bwd's cotangent for argument {number} has shape {np.shape(part)}, "
                        f"the argument {leaf.shape} ({place})"
                    )
            flat += [None if part is None else node_of(part) for part in parts]
        return flat


def _ruled(xp: Any, g: Any, y: Any, *inputs: Any, rule: Any, results: int, captured: int) -> list[Any]:
    arrays = [part if isinstance(part, Array) else xp.zeros(part.shape, dtype=part.dtype) for part in g]
    operands = inputs[results : len(inputs) - captured]
    closed = inputs[len(inputs) - captured :]
    refused = [xp.zeros(x.shape, dtype=x.dtype) if x.dtype.kind in "fc" else None for x in closed]
    return [*[None] * results, *rule(y, arrays, operands), *refused]


class BatchedRule:
    """A rule applied to each slice of a batch."""

    def __init__(self, rule: Any, batched: Sequence[bool]) -> None:
        self.rule = rule
        self.axes = [0 if flag else None for flag in batched]

    def __repr__(self) -> str:
        return f"{self.rule} of a batch"

    def __call__(self, y: Any, g: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
        """The cotangents of the operands, with the batch's axis first; derivation sums where it was not."""

        def of_one(g: Any, operands: Any) -> list[Any]:
            return self.rule(y, g, operands)  # type: ignore[no-any-return]

        return vmap(of_one, in_axes=(0, self.axes))(list(g), list(operands))  # type: ignore[no-any-return]


def _batched(
    xp: Any,
    again: Any,
    size: int,
    batched: Sequence[bool],
    *inputs: Array,
    rule: Any,
    results: int,
    captured: int,
) -> Any:
    made = [x if flag else spread(x, size) for x, flag in zip(inputs[:results], batched)]
    of_batch = BatchedRule(rule, batched[results : len(inputs) - captured])
    return again(*made, *inputs[results:], rule=of_batch, results=results, captured=captured)


CUSTOM_VJP = declare(
    Op(
        "custom_vjp",
        firsts_spec,
        firsts_kernel,
        _ruled,
        _batched,
        cost=lambda out, *specs, **params: 0.0,
        family="structure",
        doc="the first inputs, the results of a function of the others that has a gradient rule of its own",
    )
)


class custom_vjp:  # noqa: N801  (JAX's name, used as a decorator)
    """A function whose gradient is what `defvjp` says, not what its operations would give.

    `f.defvjp(fwd, bwd)`: `fwd` takes the arguments of the function and returns its result and residuals, a
    pytree; `bwd(residuals, cotangent)` returns a tuple with a cotangent for each argument, None where that is
    zero. Arguments whose numbers are in `nondiff_argnums` are no arrays; `bwd` gets them first. Both
    functions are array code, so gradients have gradients. An array that the function closes over has no
    gradient, and asking for it raises TypeError.

    The graph of the function itself remains; `fwd` is recorded only where a gradient is asked for.
    """

    def __init__(self, fn: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        update_wrapper(self, fn)
        self._function = fn
        self._fixed = tuple(nondiff_argnums)
        self._rules: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Give the two functions that make up the rule."""
        self._rules = fwd, bwd

    @property
    def rules(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """`fwd` and `bwd`; AttributeError if they have not been given."""
        if self._rules is None:
            name = name_of(self)
            raise AttributeError(f"custom_vjp function {name} has no rule: give it with {name}.defvjp(...)")
        return self._rules

    def merged(self, args: Sequence[Any], fixed: dict[int, Any]) -> list[Any]:
        """All arguments, from those that are arrays and the fixed ones by their numbers."""
        given = iter(args)
        count = len(args) + len(fixed)
        return [fixed[number] if number in fixed else next(given) for number in range(count)]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result; the rule must have been given."""
        _ = self.rules
        if kwargs:
            bound = inspect.signature(self._function).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        fixed = {number: args[number] for number in sorted(self._fixed)}
        leaves, structure = flatten(tuple(arg for number, arg in enumerate(args) if number not in fixed))
        if CURRENT.get() is None and not any(isinstance(leaf, Array) for leaf in leaves):
            return self._function(*args)

        def function(*given: Any) -> Any:
            return self._function(*self.merged(given, fixed))

        if CURRENT.get().__class__ is not Trace:  # define-by-run, or its backward
            return self._valued(function, leaves, structure, fixed)
        specs: list[Spec] = [spec_at(leaf, f"of {name_of(self)}") for leaf in leaves]
        found = Found()
        (graph,), captured = subgraphs(
            recorded_tree(function, structure, specs, found)._replace(name=name_of(self))
        )
        operands = [*map(node_of, leaves), *[apply(CLOSED_OVER, x, owner=name_of(self)) for x in captured]]
        results = inlined(graph, operands)
        rule = Rule(self, structure, fixed, found.tree)
        return optree.tree_unflatten(found.tree, _passed(results, operands, rule, len(captured)))

    def _valued(
        self,
        function: Callable[..., Any],
        leaves: list[Any],
        structure: optree.PyTreeSpec,
        fixed: dict[int, Any],
    ) -> Any:
        """Define-by-run: the function computes at once, and only its result gets the rule."""
        results, tree = flatten(function(*optree.tree_unflatten(structure, leaves)))
        rule = Rule(self, structure, fixed, tree)
        return optree.tree_unflatten(tree, _passed(results, leaves, rule, 0))


def _passed(results: Sequence[Any], operands: Sequence[Any], rule: Rule, captured: int) -> Sequence[Any]:
    if not results:
        return ()
    passed: Sequence[Any] = apply(
        CUSTOM_VJP, *results, *operands, rule=rule, results=len(results), captured=captured
    )
    return passed
