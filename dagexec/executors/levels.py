"""A graph of scalars, level by level: one call of a ufunc for all numbers that are computed alike.

To call NumPy for one number takes a hundred times as long as to compute it. So numbers form groups: the same
operation at the same level, which is the longest way from the arguments, so they do not depend on each other.
All numbers of a dtype lie in one vector, their pool, those of a group side by side. So a group takes a `take`
for each operand, unless that lies side by side as well, and one call that writes to a slice:

>>> import dagexec
>>> from dagexec.executors.scalars import scalars_of
>>> graph = dagexec.trace(lambda x, y: [(a + b) * a for a, b in zip(x, y)])([1.0, 2.0], [3.0, 4.0])
>>> scalars = scalars_of(dagexec.plan(graph))
>>> program = Levels(scalars, groups_of(scalars))
>>> print(program)
float64[4:6] = add(float64[0:2], float64[2:4])
float64[6:8] = multiply(float64[4:6], float64[0:2])
>>> program([1.0, 2.0, 3.0, 4.0], [])
[np.float64(4.0), np.float64(12.0)]

The sum of many cotangents is a tree in the graph, so it takes a level for each doubling. The bits are those
of the tasks run one by one: NumPy computes a number as it computes a vector of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter, length_hint
from typing import Any

import numpy as np

from dagexec.executors.arguments import Accepts
from dagexec.executors.scalars import DTYPES, Ints, Kind, Scalars
from dagexec.executors.taking import Taking

Vector = np.ndarray[Any, Any]
Call = tuple[Callable[..., Any], tuple[Any, ...]]

AT_ONCE = 4096  # numbers: of more, what is gathered leaves the cache before it is used
POWERS = ("pow", "float_power")
SHOWN = 4  # of the places of an operand that lies scattered


@dataclass(frozen=True, slots=True)
class Group:
    """The ids of numbers that are computed by one call, and of what they are computed from, row by row."""

    ids: Ints
    operands: Sequence[Ints]


def groups_of(scalars: Scalars) -> list[Group]:
    """The groups of a graph of scalars, level by level."""
    tasks, dtype = scalars.tasks, scalars.dtype
    alike = scalars.kind[tasks]
    for column in (dtype[tasks], *[dtype[row[tasks]] for row in scalars.operands]):
        alike = alike * (max(DTYPES) + 1) + column
    alike = _by_exponent(scalars, _ranked(alike))
    key = _ranked(scalars.level[tasks] * (int(alike.max()) + 1) + alike)
    order = np.argsort(key, kind="stable")
    ends = np.flatnonzero(np.diff(key[order])) + 1
    counts = [len(scalars.plan.sources[task]) for task in tasks[order[[0, *ends]]]]
    return [
        Group(ids, [row[ids] for row in scalars.operands[:count]])
        for ids, count in zip(np.split(tasks[order], ends), counts)
    ]


def _by_exponent(scalars: Scalars, alike: Ints) -> Ints:
    """Tasks that are alike, powers only if they have the same exponent.

    NumPy squares, inverts or takes the root where there is one exponent for all, which rounds otherwise than
    where there is one for each; and so it does for a single number.
    """
    power = np.array([kind.op.name in POWERS for kind in scalars.kinds])[scalars.kind[scalars.tasks]]
    if not power.any():
        return alike
    number = np.zeros(len(alike), np.int64)
    number[power] = np.unique(scalars.operands[1, scalars.tasks[power]], return_inverse=True)[1]
    return alike.astype(np.int64) * (int(number.max()) + 1) + number


def _ranked(keys: Ints) -> Ints:
    """Numbers from 0 on in the same order; in 16 bits where they fit, which are sorted much faster."""
    present = np.flatnonzero(np.bincount(keys))
    rank: Ints = np.zeros(int(keys.max()) + 1, np.int16 if len(present) < 2**15 else np.int64)
    rank[present] = np.arange(len(present))
    return rank[keys]


class Levels:
    """The program of a graph of scalars, by groups. Called by one thread at a time."""

    def __init__(self, scalars: Scalars, groups: Sequence[Group]) -> None:
        self.fits = Accepts(scalars.plan.graph.inputs)
        self._scalars = scalars
        self._groups = groups
        self._place = np.zeros(len(scalars.kind), np.int64)  # of each id, in the pool of its dtype
        sizes = np.bincount(scalars.dtype[scalars.used], minlength=max(DTYPES) + 1)
        self._pools = {code: np.empty(sizes[code], dtype) for code, dtype in DTYPES.items()}
        self._ends = dict.fromkeys(DTYPES, 0)  # so much of each pool is given out
        self._loads: list[tuple[Vector, itemgetter[Any]]] = []  # what takes which arguments
        self._place_leaves()
        self._room = [
            {code: np.empty(AT_ONCE, dtype) for code, dtype in DTYPES.items()} for _ in scalars.operands
        ]
        self._calls: list[Call] = []
        self._callers: list[int] = []  # the group of each call
        for number, group in enumerate(groups):
            self._add(group)
            self._callers += [number] * (len(self._calls) - len(self._callers))
        self._taking = Taking(scalars, self._place)

    def _place_leaves(self) -> None:
        """Give places to arguments, numbers of a dtype side by side, and to constants, which stay there."""
        scalars, plan = self._scalars, self._scalars.plan
        numbers: dict[int, list[int]] = {}  # the positions of arguments, by their dtype
        for position, slot in enumerate(plan.inputs):
            if slot in scalars.elements:
                self._loads.append((self._placed(scalars.ids(slot)), itemgetter(position)))
            else:
                numbers.setdefault(int(scalars.dtype[slot]), []).append(position)
        for positions in numbers.values():
            ids = np.array([plan.inputs[position] for position in positions])
            self._loads.append((self._placed(ids), itemgetter(*positions)))
        for slot, value in plan.constants.items():
            self._placed(np.asarray(scalars.ids(slot)))[...] = value

    def _placed(self, ids: Ints) -> Vector:
        """New places for leaves, as an array of their shape."""
        code = int(self._scalars.dtype[ids.flat[0]]) if ids.size else 0
        start = self._ends[code]
        self._ends[code] = stop = start + ids.size
        self._place[ids] = np.arange(start, stop).reshape(ids.shape)
        return self._pools[code][start:stop].reshape(ids.shape)

    def _add(self, group: Group) -> None:
        """Add the calls that compute a group, in pieces that fit into the cache."""
        scalars, first = self._scalars, group.ids[0]
        code = int(scalars.dtype[first])
        start, stop = self._ends[code], self._ends[code] + len(group.ids)
        self._ends[code] = stop
        self._place[group.ids] = np.arange(start, stop)
        for begin in range(start, stop, AT_ONCE):
            end = min(stop, begin + AT_ONCE)
            inputs = [
                self._operand(row, int(scalars.dtype[ids[0]]), self._place[ids[begin - start : end - start]])
                for row, ids in enumerate(group.operands)
            ]
            self._calls += calls_of(scalars.kind_of(first), inputs, self._pools[code][begin:end])

    def _operand(self, row: int, code: int, places: Ints) -> Vector:
        """What lies at some places, side by side; it is gathered if it does not lie so."""
        pool, start = self._pools[code], int(places[0])
        if (places == start).all():
            return pool[start : start + 1].reshape(())  # one for all
        if _is_range(places):
            return pool[start : start + len(places)]
        gathered = self._room[row][code][: len(places)]
        self._calls.append((pool.take, (places, None, gathered, "clip")))  # the mode that needs no copy
        return gathered

    def __call__(self, arguments: Sequence[Any], stop: Sequence[BaseException]) -> list[Any]:
        """The results, in the plan's order, unless `stop` comes to hold an exception."""
        for there, chosen in self._loads:
            there[...] = chosen(arguments)
        calls = iter(self._calls)
        try:
            for function, operands in calls:
                function(*operands)
                if stop:
                    break
        except BaseException as error:
            self._blame(self._groups[self._callers[-1 - length_hint(calls)]], error)
            raise
        return self._taking(self._pools, stop)

    def _blame(self, group: Group, error: BaseException) -> None:
        """Add a note to `error` that says which number of a group raised it: that which does so alone."""
        if not isinstance(error, Exception):
            return
        scalars = self._scalars
        function = scalars.kind_of(group.ids[0]).function
        for position, task in enumerate(group.ids.tolist()):
            ids = [row[position] for row in group.operands]
            try:
                function(*[self._pools[scalars.dtype[one]][self._place[one]] for one in ids])
            except type(error):
                scalars.plan.blame(task, error)
                return

    @property
    def summary(self) -> str:
        """How many calls for how many numbers, in words."""
        nbytes = sum([pool.nbytes for pool in self._pools.values()])
        return (
            f"level by level: {len(self._scalars):,} numbers in {len(self._groups):,} groups, "
            f"{len(self._calls):,} calls on {nbytes:,} bytes"
        )

    def __str__(self) -> str:
        lines = []
        for group in self._groups:
            operands = [self._text(ids) for ids in group.operands]
            name = self._scalars.kind_of(group.ids[0]).op.name
            lines.append(f"{self._text(group.ids)} = {name}({', '.join(operands)})")
        return "\n".join(lines)

    def _text(self, ids: Ints) -> str:
        places = self._place[ids]
        name = DTYPES[self._scalars.dtype[ids[0]]].name
        if _is_range(places):
            return f"{name}[{places[0]}:{places[-1] + 1}]" if len(places) > 1 else f"{name}[{places[0]}]"
        if (places == places[0]).all():
            return f"{name}[{places[0]}]"
        more = f" … {places[-1]}" if len(places) > SHOWN else ""
        return f"{name}[{' '.join(map(str, places[:SHOWN]))}{more}]"


def _is_range(places: Ints) -> bool:
    """Do places lie side by side?"""
    return bool(places[-1] - places[0] == len(places) - 1 and (np.diff(places) == 1).all())


def calls_of(kind: Kind, inputs: Sequence[Vector], out: Vector) -> list[Call]:
    """The calls that write a group's numbers to `out`."""
    writers = kind.op.into(inputs, out, **kind.params) if kind.op.into else []
    return writers or [(_store, (kind.function, out, *inputs))]


def _store(function: Callable[..., Any], out: Vector, *inputs: Vector) -> None:
    np.copyto(out, function(*inputs))
