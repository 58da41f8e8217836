"""Plan -> Plan with fewer, longer tasks: chains and tiny neighbourhoods are joined into one task each.

Handing a task to another worker costs some microseconds, whatever the task does. So what is tiny is joined
until a task lasts as long as the `grain`, but only where that takes no parallelism away:

- A chain, tasks of which each is the only one to read the one before and reads no other, is one task: its
  links could not have run side by side.
- A task joins a cluster of which it reads a value, or one that was begun shortly before, while the cluster
  stays within the grain (or is one long chain with no more than that beside it), and while the longest path
  through it stays within `stretch` of the longest path of all. Both paths count the seconds of their tasks
  and a hand-over for each.

A cluster is open until a task outside reads one of its values. So nothing outside depends on an open cluster:
whatever joins it, no cycle can arise, and the order in which clusters close is topological. And from when a
cluster is closed, its end is known, so the longest path never has to be computed again: the promise about it
holds by construction. What is promised of the time on so many workers, that it gets no longer either, is
found by simulation; where it fails, the grain is halved.

The seconds are those of the plan: measured, or the op table's estimates. A plan of Python callables, of which
nothing is known before they have been measured, stays as it is, and so does one that is coarse already.

>>> import numpy as np, dagexec
>>> plan = dagexec.plan(dagexec.trace(lambda x: np.sum(np.tanh(x * 2 + 1) ** 2))(np.ones(3)))
>>> coarse = coarsen(plan)
>>> plan.tasks, coarse.tasks, coarse.members
([2, 4, 5, 6, 7], [7], {7: (2, 4, 5, 6, 7)})
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any, cast

from dagexec.collector import collector_paused
from dagexec.plan import Function, Output, Picking, Plan, lay_out, longest_paths
from dagexec.simulation import simulate
from dagexec.steps import Step, compute, steps_of

HAND_OVER = 5e-6  # between two threads that are awake
GRAIN = 200e-6  # a task that is handed over should last that long, for a core that sleeps takes 70 µs to wake
SHORTEST_GRAIN = 2 * HAND_OVER  # below that there is nothing to gain
LONGEST_CHAIN = 10e-3  # to join more gains nothing, and keeps an error or an interrupt waiting
REMEMBERED = 4  # open clusters that a task may join without reading from them

# What stops the run under way, if it holds anything: a task that is long inside looks there.
STOP: ContextVar[Sequence[BaseException]] = ContextVar("dagexec_stop", default=())


@collector_paused()
def coarsen(plan: Plan, grain: float | None = None, workers: int = 2, stretch: float = 0.03) -> Plan:
    """The plan with tasks joined, up to `grain` seconds each; its `members` tell of which tasks one consists.

    Slots keep their numbers, a joined task has the number of its last member. A run computes the same bits.
    Neither the longest path nor the simulated time on `workers`, hand-overs included, get longer by more
    than the share `stretch`.

    >>> import numpy as np, dagexec
    >>> x = np.ones((500, 500))
    >>> plan = dagexec.plan(dagexec.trace(lambda x: np.sum(x @ x) * np.sum(x.T @ x))(x))
    >>> [plan.name(task) for task in plan.tasks]
    ['matmul', 'sum', 'permute_dims', 'matmul', 'sum', 'multiply']
    >>> coarse = coarsen(plan)
    >>> [[plan.name(member) for member in members] for members in coarse.members.values()]
    [['matmul', 'sum'], ['permute_dims', 'matmul', 'sum']]
    """
    if plan.members or (plan.costs is None and plan.has_python):
        return plan
    grain = GRAIN if grain is None else grain
    longest = longest_paths(plan.tasks, plan.successors, [seconds + HAND_OVER for seconds in plan.seconds])
    span = max([longest[task] for task in plan.tasks], default=0.0)
    least = max(span, sum([plan.seconds[task] + HAND_OVER for task in plan.tasks]) / workers)
    while True:
        clusters = _Clustering(plan, longest, span, grain, (1 + stretch) * span).clusters()
        coarse = _of_clusters(plan, clusters)
        if not grain:  # nothing but chains
            return coarse
        time = simulate(coarse, workers, overhead=HAND_OVER).makespan / (1 + stretch)
        # Where no order of the fine plan's tasks could take less than `time`, none has to be tried.
        if time <= least or time <= simulate(plan, workers, overhead=HAND_OVER).makespan:
            return coarse
        grain = grain / 2 if grain > SHORTEST_GRAIN else 0.0


class _Cluster:
    """Tasks that are to be one. It takes `room` seconds more, until a task outside reads one of its values.

    With a worker for every task it would start at `start` and end at `end`. `readers` is a heap of tasks that
    read its values, that with the longest path first, as pairs (-length, task); some may be in it already.
    """

    __slots__ = ("end", "is_open", "members", "readers", "room", "start")

    def __init__(self, start: float, room: float) -> None:
        self.members: list[int] = []
        self.start = start
        self.end = start + HAND_OVER
        self.readers: list[tuple[float, int]] = []
        self.room = room
        self.is_open = True


class _Clustering:
    """The state of one pass over the tasks, which puts each chain into a cluster."""

    def __init__(self, plan: Plan, longest: Sequence[float], span: float, grain: float, most: float) -> None:
        self.plan = plan
        self.longest = longest
        self.span = span
        self.grain = grain
        self.most = most
        self.cluster_of: list[Any] = [None] * len(longest)
        self.recent: deque[_Cluster] = deque(maxlen=REMEMBERED)
        self.begun: list[_Cluster] = []
        self.closed: list[_Cluster] = []

    def clusters(self) -> list[list[int]]:
        """The members of each cluster, in the order of their execution; the clusters in topological order."""
        for chain in _chains(self.plan):
            self._place(chain)
        self.closed += [cluster for cluster in self.begun if cluster.is_open]
        return [cluster.members for cluster in self.closed]

    def _place(self, chain: list[int]) -> None:
        """Put a chain into a cluster, and close the others that it reads from."""
        seconds, cluster_of = self.plan.seconds, self.cluster_of
        head, last = chain[0], chain[-1]
        taken = sum([seconds[task] for task in chain]) if head != last else seconds[head]
        tail = self.longest[last] - seconds[last] - HAND_OVER
        read = {cluster_of[slot]: None for slot in self.plan.sources[head]}
        read.pop(None, None)
        *_, second, first = 0.0, 0.0, *sorted([other.end for other in read])
        for cluster in (*read, *self.recent):
            if cluster.is_open and taken <= cluster.room:
                # It must wait for all others that the chain reads from.
                start = second if cluster in read and cluster.end == first else first
                if self._may_take(cluster, head, taken, max(start, cluster.start), tail):
                    break
        else:
            start = first
            # Tiny tasks that read a long one may be joined to it.
            cluster = _Cluster(start, self.grain if taken <= self.grain else self.grain + taken)
            self.begun.append(cluster)
            if taken <= self.grain:
                self.recent.appendleft(cluster)
        self._add(cluster, chain, taken, start)
        for other in read:
            if other.is_open and other is not cluster:
                other.is_open = False
                self.closed.append(other)

    def _add(self, cluster: _Cluster, chain: list[int], taken: float, start: float) -> None:
        for task in chain:
            self.cluster_of[task] = cluster
        if start > cluster.start:
            cluster.end += start - cluster.start
            cluster.start = start
        cluster.end += taken
        cluster.room -= taken
        cluster.members += chain
        for reader in set(self.plan.successors[chain[-1]]):
            heappush(cluster.readers, (-self.longest[reader], reader))

    def _may_take(self, cluster: _Cluster, head: int, taken: float, start: float, tail: float) -> bool:
        """Do paths stay short enough if the cluster takes on a chain and begins at `start`?"""
        end = start + (cluster.end - cluster.start) + taken
        if end + tail > self.most:
            return False
        following, of_chain = self._longest_readers(cluster, head)
        before = cluster.end + max(following, of_chain)
        # A path that has no time to spare may get longer by the hand-over that is saved.
        return end + max(following, tail) <= min(self.most, max(self.span, before) + HAND_OVER)

    def _longest_readers(self, cluster: _Cluster, task: int) -> tuple[float, float]:
        """The longest paths that start with an outside reader of the cluster: another one, and `task`."""
        readers, of_task = cluster.readers, None
        while readers:
            reader = readers[0][1]
            if reader == task:
                of_task = heappop(readers)
            elif self.cluster_of[reader] is cluster:
                heappop(readers)
            else:
                break
        following = -readers[0][0] if readers else 0.0
        if of_task is None:
            return following, 0.0
        heappush(readers, of_task)
        return following, -of_task[0]


def _chains(plan: Plan) -> Iterator[list[int]]:
    """The tasks in chains: each link is the only task that reads the one before, and reads no other."""
    unmet, successors, seconds = plan.unmet, plan.successors, plan.seconds
    linked = bytearray(len(unmet))
    for task in plan.tasks:
        if linked[task]:
            continue
        chain, taken = [task], seconds[task]
        while following := successors[task]:
            task = following[0]
            taken += seconds[task]
            alone = following.count(task) == len(following) == unmet[task]
            if not alone or taken > LONGEST_CHAIN:
                break
            linked[task] = True
            chain.append(task)
        yield chain


class Joined:
    """The function of a task that consists of several: `steps` one after another, on values of its own.

    When the run is to stop, it stops between two members.
    """

    __slots__ = ("_plan", "_results", "_sources", "_steps")

    def __init__(
        self, plan: Plan, sources: Sequence[int], steps: Sequence[Step], results: Sequence[Output]
    ) -> None:
        self._plan = plan
        self._sources = sources
        self._steps = steps
        self._results = results

    def __call__(self, *given: Any) -> Any:
        values = dict(zip(self._sources, given))
        stop = STOP.get()
        compute(self._plan, self._steps, values, stop)
        if stop:
            return None  # nobody will read it
        results = tuple(
            [values[slot] if item is None else values[slot][item] for slot, item in self._results]
        )
        return results if len(results) > 1 else results[0]


def _of_clusters(plan: Plan, clusters: Sequence[list[int]]) -> Plan:
    """The plan whose tasks are these clusters, which stand in topological order."""
    joined = {members[-1]: tuple(members) for members in clusters if len(members) > 1}
    if not joined:
        return plan
    task_of = list(range(len(plan.functions)))
    for task, members in joined.items():
        for member in members:
            task_of[member] = task
    wanted = _wanted(plan, joined, task_of)
    items = {
        value: (task, item)
        for task, values in wanted.items()
        if len(values) > 1
        for item, value in enumerate(values)
    }
    place: dict[int, Output] = {member: (task, None) for task in joined for member in joined[task]}
    place |= {slot: found for (slot, item), found in items.items() if item is None}

    needed = bytearray(len(task_of))
    for values in wanted.values():
        for slot, _ in values:
            needed[slot] = True
    functions: list[Function | None] = [None] * len(task_of)
    sources: list[tuple[int, ...]] = [()] * len(task_of)
    costs = [0.0] * len(task_of)
    for cluster in clusters:
        task = cluster[-1]
        function, slots = cast(Function, plan.functions[task]), plan.sources[task]
        if task in joined:
            reads = dict.fromkeys([slot for member in cluster for slot in plan.sources[member]])
            slots = tuple([slot for slot in reads if task_of[slot] != task])
            function = Joined(plan, slots, steps_of(plan, cluster, needed), wanted[task])
        functions[task], sources[task] = _reading(function, slots, place)
        costs[task] = sum([plan.seconds[member] for member in cluster])
    outputs = [items.get((slot, item), (task_of[slot], item)) for slot, item in plan.outputs]
    coarse = lay_out(
        functions,
        sources,
        outputs,
        constants=plan.constants,
        inputs=plan.inputs,
        origin=plan.graph,
        labels=plan.labels,
    )
    return replace(
        coarse,
        tasks=[cluster[-1] for cluster in clusters],
        members=joined,
        costs=costs,
        priority=_priority(plan, joined),
    )


def _wanted(
    plan: Plan, joined: Mapping[int, Sequence[int]], task_of: Sequence[int]
) -> dict[int, list[Output]]:
    """For each joined task what is read from it outside: values of its members, or items of them."""
    found: dict[int, dict[Output, None]] = {}
    for task, members in joined.items():
        found[task] = {
            (member, None): None
            for member in members
            if any(task_of[reader] != task for reader in plan.successors[member])
        }
    for slot, item in plan.outputs:
        if task_of[slot] in found:
            found[task_of[slot]][slot, item] = None
    wanted: dict[int, list[Output]] = {}
    for task, values in found.items():
        whole = {slot for slot, _ in values} or {task}
        # If all are of one member, its value is the task's, and its items are the task's items.
        wanted[task] = list(values) if len(whole) > 1 else [(slot, None) for slot in whole]
    return wanted


def _reading(
    function: Function, slots: tuple[int, ...], place: Mapping[int, Output]
) -> tuple[Function, tuple[int, ...]]:
    """The function of a task and the slots it reads, now that some values are in other places."""
    if place.keys().isdisjoint(slots):
        return function, slots
    found = [place.get(slot, (slot, None)) for slot in slots]
    items = tuple([item for _, item in found])
    if any(item is not None for item in items):
        function = Picking(function, items)
    return function, tuple([slot for slot, _ in found])


def _priority(plan: Plan, joined: Mapping[int, Sequence[int]]) -> dict[int, float]:
    """A joined task is as urgent as its most urgent member."""
    hints = dict(plan.priority)
    for task, members in joined.items() if hints else ():
        found = [hint for member in members if (hint := hints.pop(member, None)) is not None]
        if found:
            hints[task] = max(found)
    return hints
