"""Which tasks go together to a worker process: the scheduling core of the `processes` executor.

A message costs as much as a hundred trivial tasks, so tasks travel in batches. A batch is closed under
dependency: it holds some ready tasks (seeds), and of the tasks that follow those whose other inputs are
computed or lie in the batch too. So a worker runs it from front to back without asking, and only what is read
outside of it has to come back.

It grows depth first, from the most urgent seed on, up to a budget of expected seconds, and takes no more than
its share of the ready tasks, unless those would be too little work to be worth sharing.

To keep little in memory a batch can be asked to begin with few of the tasks that wait for no other (roots).

A worker may stop after part of a batch; the rest is ready again. The tasks of a batch that has killed its
worker run one at a time from then on, so that the one to blame is found.

>>> from dagexec.plan import lay_out
>>> one, two = (lambda x: x), (lambda x, y: x)
>>> plan = lay_out([None, one, one, two, one], [(), (0,), (0,), (1, 2), (1,)], [(3, None)], constants={0: 1})
>>> batches = Batches(plan)
>>> first = batches.take(3e-6, plan.seconds, share=2)    # 1 makes 4 ready; 3 has to wait for 2
>>> first.tasks, first.following
([1, 4], {3: 1})
>>> second = batches.take(3e-6, plan.seconds, share=2)
>>> second.tasks, batches.take(3e-6, plan.seconds, share=2)
([2], None)
>>> batches.done(second, 1), batches.done(first, 2)     # the values that nobody will read any more
([], [0, 4])
>>> batches.take(3e-6, plan.seconds, share=2).tasks
[3]

Not thread-safe, like schedule.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from math import inf

from dagexec.plan import Plan

WORTH_SHARING = 0.2  # of the budget: less than that is not split among workers


class Batch:
    """Tasks in the order in which they run, and for each task that follows the number of edges from these."""

    __slots__ = ("cost", "following", "tasks")

    def __init__(self, tasks: list[int], following: dict[int, int], cost: float) -> None:
        self.tasks = tasks
        self.following = following
        self.cost = cost


class Batches:
    """The state of one run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._unmet = plan.unmet.copy()  # edges from tasks that are not done
        self._readers = plan.readers.copy()
        self._heap: list[int] = []
        self._roots = sorted([plan.rank[task] for task in plan.roots])
        self._alone: set[int] = set()
        self.remaining = len(plan.tasks)

    def waiting(self, roots: float = inf) -> int:
        """How many tasks are ready and not handed out, if at most so many roots count."""
        return len(self._heap) + int(min(len(self._roots), roots))

    def take(self, budget: float, costs: Sequence[float], share: int, roots: float = inf) -> Batch | None:
        """The next batch, of about `budget` by `costs`, made from the `share`-th part of the ready tasks.

        It has at most so many `roots`.
        """
        by_rank, alone, others, beginnings = self._plan.by_rank, self._alone, self._heap, self._roots
        batch = Batch([], {}, 0.0)
        waiting = self.waiting(roots)
        fewest = waiting - -(-waiting // share)
        while waiting and batch.cost < budget:
            if waiting <= fewest and batch.cost >= WORTH_SHARING * budget:
                break
            from_roots = beginnings and roots and not (others and others[0] < beginnings[0])
            heap = beginnings if from_roots else others
            seed = by_rank[heap[0]]
            if seed in alone and batch.tasks:
                break
            heappop(heap)
            waiting -= 1
            if from_roots:
                roots -= 1
            if seed in alone:
                self._grow(batch, seed, 0.0, costs)
                break
            self._grow(batch, seed, budget, costs)
        return batch if batch.tasks else None

    def _grow(self, batch: Batch, seed: int, budget: float, costs: Sequence[float]) -> None:
        """Add a ready task and what it makes ready, as far as the budget goes."""
        unmet, successors = self._unmet, self._plan.successors
        tasks, following, cost = batch.tasks, batch.following, batch.cost
        stack = [seed]
        while stack:
            task = stack.pop()
            tasks.append(task)
            cost += costs[task]
            for reader in successors[task]:
                edges = following.get(reader, 0) + 1
                if edges < unmet[reader]:
                    following[reader] = edges
                    continue
                if edges > 1:
                    del following[reader]
                stack.append(reader)
            if cost >= budget:
                break
        for reader in stack:
            following[reader] = unmet[reader]
        batch.cost = cost

    def done(self, batch: Batch, count: int) -> list[int]:
        """Note that the first `count` tasks of a batch are done, the others not begun; the dead values."""
        tasks, following = batch.tasks, batch.following
        if count < len(tasks):
            self.give_back(tasks[count:])
            tasks = tasks[:count]
            following = self._edges_from(set(tasks), following)
        unmet, readers, sources = self._unmet, self._readers, self._plan.sources
        for task, edges in following.items():
            unmet[task] -= edges
            if not unmet[task]:
                heappush(self._heap, self._plan.rank[task])
        dead = []
        for task in tasks:
            if not readers[task]:
                dead.append(task)
            for slot in sources[task]:
                readers[slot] -= 1
                if not readers[slot]:
                    dead.append(slot)
        self.remaining -= count
        return dead

    def _edges_from(self, tasks: set[int], readers: Iterable[int]) -> dict[int, int]:
        sources = self._plan.sources
        return {reader: sum([slot in tasks for slot in sources[reader]]) for reader in readers}

    def give_back(self, tasks: list[int], alone: bool = False) -> None:
        """Take back tasks of one batch that are not done; `alone`: each is to be a batch of its own."""
        if alone:
            self._alone.update(tasks)
        for task, edges in self._edges_from(set(tasks), tasks).items():
            self._unmet[task] = edges
            if not edges:
                heappush(self._heap if self._plan.unmet[task] else self._roots, self._plan.rank[task])
