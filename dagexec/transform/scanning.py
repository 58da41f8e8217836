"""The op `scan`: a loop over the first axis of arrays that hands a carry from step to step.

A `scan` node holds the step as a graph and takes first the initial carry, then the arrays, then whatever else
the step reads. Its results are the last carry, what the steps returned, stacked, and the carry before each
step, stacked: that is what the gradient needs, a scan the other way round whose step recomputes one step and
pulls back. What nobody reads is not computed (see plan.py).

>>> import numpy as np
>>> from dagexec.tracing import trace
>>> add = trace(lambda total, x: (total + x, total + x))(0.0, 0.0)
>>> loop = Scan(np, body=add, length=4, reverse=False, carries=1, scanned=1)
>>> last, sums, before = loop(0.0, np.arange(4.0))
>>> float(last), sums, before
(6.0, array([0., 1., 3., 6.]), array([0., 0., 1., 3.]))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import array_api_compat
import numpy as np

from dagexec.array import Array
from dagexec.array import call as apply
from dagexec.graph import Graph, Op, Spec
from dagexec.libraries import dtype_in
from dagexec.ops.table import declare
from dagexec.transform.subgraphs import (
    Part,
    Program,
    batched_part,
    carry_flags,
    check_inputs,
    dependent,
    differentiable,
    only_read,
    pulled_back,
    restricted,
    specs_out,
    spread,
    subgraphs,
    work,
    zeros_like,
)


# --- the op -------------------------------------------------------------------------------------------------
def stacked_specs(specs: Sequence[Spec], length: int) -> tuple[Spec, ...]:
    """The Specs of arrays that hold one of each for each step."""
    return tuple(Spec((length, *spec.shape), spec.dtype) for spec in specs)


def _specs(
    *specs: Spec, body: Graph, length: int, reverse: bool, carries: int, scanned: int
) -> tuple[Spec, ...]:
    carry, xs, rest = specs[:carries], specs[carries : carries + scanned], specs[carries + scanned :]
    for spec in xs:
        if spec.shape[:1] != (length,):
            raise ValueError(f"{spec} has no first axis of length {length}")
    check_inputs(body, [*carry, *[Spec(spec.shape[1:], spec.dtype) for spec in xs], *rest])
    after = specs_out(body)
    if after[:carries] != list(carry):
        raise ValueError(f"{body.name} takes a carry of {list(carry)}, but returns {after[:carries]}")
    return (*carry, *stacked_specs(after[carries:], length), *stacked_specs(carry, length))


class Scan:
    """The kernel: the loop, without what only leads to results that are not `read`."""

    def __init__(
        self,
        xp: Any,
        *,
        body: Graph,
        length: int,
        reverse: bool,
        carries: int,
        scanned: int,
        read: Sequence[int] | None = None,
    ) -> None:
        results = len(body.outputs)
        wanted = set(range(results + carries) if read is None else read)
        self._xp = xp
        self._length, self._reverse = length, reverse
        self._carries, self._scanned, self._count = carries, scanned, results + carries
        self._kept = [place for place in range(carries) if results + place in wanted]
        needed = _needed(body, carries, {place for place in wanted if place < results} | set(self._kept))
        self._moving = [place for place in needed if place < carries]
        self._made = [place for place in needed if place >= carries]
        self._specs = specs_out(body)
        self._read = wanted
        self._body = Program(restricted(body, [place in needed for place in range(results)]), xp)

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        start = self._carries + self._scanned
        carry, xs, rest = list(inputs[: self._carries]), inputs[self._carries : start], inputs[start:]
        stacks: list[Any] = [None] * self._count
        before = [(place, self._stack(place, inputs)) for place in self._kept]
        made = [(place, self._stack(place, inputs)) for place in self._made]
        for i in reversed(range(self._length)) if self._reverse else range(self._length):
            for place, stack in before:
                stack[i] = carry[place]
            results = iter(self._body(*carry, *[x[i] for x in xs], *rest))
            for place in self._moving:
                carry[place] = next(results)
            for _, stack in made:
                stack[i] = next(results)
        for place in self._moving:
            stacks[place] = carry[place] if place in self._read else None
        for place, stack in made:
            stacks[place] = stack
        for place, stack in before:
            stacks[len(self._specs) + place] = stack
        return tuple(stacks)

    def _stack(self, place: int, inputs: Sequence[Any]) -> Any:
        spec = self._specs[place]
        shape, dtype = (self._length, *spec.shape), dtype_in(self._xp, spec.dtype)
        if self._xp is np or not inputs:
            return self._xp.empty(shape, dtype=dtype)
        return self._xp.empty(shape, dtype=dtype, device=array_api_compat.device(inputs[0]))


def _needed(body: Graph, carries: int, wanted: set[int]) -> list[int]:
    """The results of a step that are needed for those wanted: the carry may depend on all of the carry."""
    while True:
        part = restricted(body, [place in wanted for place in range(len(body.outputs))])
        read = {source for node in part.nodes for source in node.inputs} | set(part.outputs)
        more = {place for place, node in enumerate(body.inputs[:carries]) if node in read} - wanted
        if not more:
            return sorted(wanted)
        wanted = wanted | more


def _pulled(
    xp: Any,
    g: Any,
    y: Sequence[Array],
    *inputs: Array,
    body: Graph,
    length: int,
    reverse: bool,
    carries: int,
    scanned: int,
) -> list[Any]:
    results = len(body.outputs)
    specs = [node.spec for node in body.inputs]
    wanted = differentiable(body)
    moving = [place for place in range(carries) if specs[place].dtype.kind in "fc"]
    summed = [place for place in range(carries + scanned, len(specs)) if wanted[place]]
    made = [place for place in range(carries, carries + scanned) if wanted[place]]
    known = [place for place in range(carries, results) if isinstance(g[place], Array)]
    kept = [place for place in moving if isinstance(g[results + place], Array)]

    def step(leaves: list[Array]) -> list[Any]:
        given = iter(leaves)
        cotangents: list[Any] = [None] * results
        for place in moving:
            cotangents[place] = next(given)
        sums = [next(given) for _ in summed]
        operands = [next(given) for _ in range(carries + scanned)]
        for place in known:
            cotangents[place] = next(given)
        extra = {place: next(given) for place in kept}
        shares = pulled_back(body, [*operands, *given], cotangents)
        after = []
        for place in moving:
            parts = [part for part in (shares[place], extra.get(place)) if part is not None]
            after.append(sum(parts[1:], parts[0]) if parts else zeros_like(specs[place]))
        total = [part + shares[place] for part, place in zip(sums, summed)]
        return [*after, *total, *[shares[place] for place in made]]

    xs = [
        *[y[results + place] for place in range(carries)],
        *inputs[carries : carries + scanned],
        *[g[place] for place in known],
        *[g[results + place] for place in kept],
    ]
    first = [g[place] if isinstance(g[place], Array) else zeros_like(specs[place]) for place in moving]
    first += [zeros_like(specs[place]) for place in summed]
    stepwise = [Spec(x.shape[1:], x.dtype) for x in xs]
    rest = inputs[carries + scanned :]
    part = Part(
        f"{body.name}.backward",
        step,
        [*[x.node.spec for x in first], *stepwise, *[x.node.spec for x in rest]],
    )
    shares = iter(emitted(part, first, xs, rest, length, not reverse))
    found: dict[int, Any] = {place: next(shares) for place in (*moving, *summed, *made)}
    return [found.get(place) for place in range(len(inputs))]


def emitted(
    part: Part, carry: Sequence[Array], xs: Sequence[Array], rest: Sequence[Array], length: int, reverse: bool
) -> list[Array]:
    """Record a scan whose step is still to be recorded; the last carry and the stacked results."""
    graphs, captured = subgraphs(part)
    (body,), kept = only_read(graphs, always=len(carry))
    given = [x for x, keep in zip([*carry, *xs, *rest, *captured], kept) if keep]
    scanned = sum(kept[len(carry) : len(carry) + len(xs)])
    if not body.outputs:
        return []
    made = apply(SCAN, *given, body=body, length=length, reverse=reverse, carries=len(carry), scanned=scanned)
    return list(made[: len(body.outputs)])


def _batched(
    xp: Any,
    again: Any,
    size: int,
    batched: Sequence[bool],
    *inputs: Array,
    body: Graph,
    length: int,
    reverse: bool,
    carries: int,
    scanned: int,
) -> tuple[Array, ...]:
    flags = carry_flags(body, list(batched), carries)
    moving = flags[:carries]
    made = [*moving, *dependent(body, flags)[carries:]]
    (step,), _ = subgraphs(batched_part(body, flags, made, size))
    stop = carries + scanned
    operands = [
        *[spread(x, size) if new and not old else x for x, new, old in zip(inputs, moving, batched)],
        *[xp.moveaxis(x, 0, 1) if flag else x for x, flag in zip(inputs[carries:stop], batched[carries:])],
        *inputs[stop:],
    ]
    results = again(*operands, body=step, length=length, reverse=reverse, carries=carries, scanned=scanned)
    last, stacked = results[:carries], results[carries:]
    axes = [*made[carries:], *moving]
    return (
        *last,
        *[xp.moveaxis(x, 1, 0) if flag else x for x, flag in zip(stacked, axes)],
    )


SCAN = declare(
    Op(
        "scan",
        _specs,
        Scan,
        _pulled,
        _batched,
        cost=lambda out, *specs, body, length, **params: length * work(body),
        family="control",
        doc="a graph applied step by step, along the first axis of arrays, with a carry from one to the next",
    )
)
