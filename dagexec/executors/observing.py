"""How values lie in memory: what a run has shown of their strides, and of what they are views of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagexec.collector import collector_paused
from dagexec.executors.arena import address
from dagexec.plan import Picking, Plan
from dagexec.steps import Step, compute

Key = tuple[int, int | None]  # a slot, and the item of its value that is meant (None: all of it)


@dataclass(frozen=True, slots=True)
class Seen:
    """How a value lay in memory. `owner` is what it is a view of; itself, if it has memory of its own.

    `offset` tells how many bytes after the beginning of its owner's memory its first element lay.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    owner: Key
    is_scalar: bool = False  # one of NumPy's numbers, not an array without axes
    offset: int = 0

    @property
    def nbytes(self) -> int:
        """The bytes from its lowest to after its highest, 0 if it has no elements."""
        low, high = self.extent
        return 0 if 0 in self.shape else high - low

    @property
    def extent(self) -> tuple[int, int]:
        """Its lowest byte, from the beginning of the owner's memory, and that after the highest."""
        reach = [(length - 1) * stride for length, stride in zip(self.shape, self.strides)]
        low = self.offset + sum([one for one in reach if one < 0])
        return low, self.offset + sum([one for one in reach if one > 0]) + self.dtype.itemsize

    @property
    def is_plain(self) -> bool:
        """Does it lie as a new array does, the last axis first?"""
        return self.strides == np.empty(self.shape, self.dtype).strides


@collector_paused()
def observed(
    plan: Plan, steps: Sequence[Step], values: list[Any], stop: Sequence[BaseException]
) -> dict[Key, Seen] | None:
    """Run the steps of a plan on `values`, and note how each value lies in memory.

    None if there is a value that is no array, or if the run was stopped. Raises what a task raises.
    """
    seen: dict[Key, Seen] = {}
    all_arrays = True
    for slot in (*plan.constants, *plan.inputs):
        all_arrays &= _note(seen, (slot, None), values[slot], {})
    for function, slots, fetch, task, dead in steps:
        compute(plan, [(function, slots, fetch, task, ())], values, stop)
        if stop:
            return None
        sources = {key: _value(values, key) for key in sources_of(plan, task)[1]}
        for key in _results(task, values[task]):
            all_arrays &= _note(seen, key, _value(values, key), sources)
        for slot in dead:
            values[slot] = None
    return seen if all_arrays else None


def sources_of(plan: Plan, task: int) -> tuple[Callable[..., Any], list[Key]]:
    """The function of a task, and what it is applied to."""
    function: Any = plan.functions[task]
    slots = plan.sources[task]
    if isinstance(function, Picking):
        return function.function, list(zip(slots, function.items))
    return function, [(slot, None) for slot in slots]


def _note(seen: dict[Key, Seen], key: Key, value: Any, sources: Mapping[Key, Any]) -> bool:
    """Note a value that was computed from `sources`; False if it is no array."""
    if not isinstance(value, np.ndarray | np.generic):
        return False
    owner, offset = key, 0
    for source, read in sources.items():
        # NumPy broadcasts a number as an array of its own.
        broadcast = isinstance(read, np.generic) and not value.flags.writeable and 0 in value.strides
        if source in seen and (broadcast or np.may_share_memory(value, read)):
            owner = seen[source].owner
            if isinstance(value, np.ndarray) and isinstance(read, np.ndarray):
                offset = seen[source].offset + address(value) - address(read)
            break
    is_scalar = isinstance(value, np.generic)
    seen[key] = Seen(value.shape, value.dtype, value.strides, owner, is_scalar, offset)
    return owner != key or all(stride >= 0 for stride in value.strides)


def _value(values: Sequence[Any], key: Key) -> Any:
    slot, item = key
    return values[slot] if item is None else values[slot][item]


def _results(task: int, value: Any) -> list[Key]:
    return [(task, i) for i in range(len(value))] if isinstance(value, tuple | list) else [(task, None)]
