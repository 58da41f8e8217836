"""Where estimates are close: the first runs try one worker and several in turn, and the faster one stays."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

from dagexec.events import Events
from dagexec.executors.parallel import Parallel
from dagexec.executors.serial import OBSERVED, Serial
from dagexec.executors.threads import Threads
from dagexec.plan import Plan

TRIALS = 3  # of each, after those that are not yet what the next ones are


class Measured:
    """Runs `coarse` on `workers` threads or `plan` in the caller's; the two compute the same bits.

    `story` tells what was found.
    """

    def __init__(self, plan: Plan, coarse: Plan, workers: int) -> None:
        self._candidates: dict[str, Serial | Threads | Parallel] = {
            "threads": Parallel(plan, coarse, workers) if plan.is_of_kernels else Threads(coarse, workers),
            "serial": Serial(plan),
        }
        self._seconds: dict[str, list[float]] = {name: [] for name in self._candidates}
        self.chosen = "threads"
        self._decided = False

    @property
    def plan(self) -> Plan:
        """The plan that recorded runs are of, and all others once it is decided."""
        return self._candidates[self.chosen].plan

    @property
    def story(self) -> list[str]:
        """What the trials have shown."""
        tried = {name: seconds for name, seconds in self._counted.items() if seconds}
        times = ", ".join(f"{name} {median(seconds) * 1e3:.3g} ms" for name, seconds in tried.items())
        verdict = f"so {self.chosen}" if self._decided else f"{self.chosen} for the time being"
        of_chosen = self._candidates[self.chosen]
        made = [] if isinstance(of_chosen, Threads) else of_chosen.story
        return [f"measured: {times or 'nothing yet'}; {verdict}", *made]

    @property
    def program(self) -> Any:
        """The program that the chosen one has become, if it has."""
        return getattr(self._candidates[self.chosen], "program", None)

    @property
    def _counted(self) -> dict[str, list[float]]:
        return {name: seconds[OBSERVED:] for name, seconds in self._seconds.items()}

    def __call__(self, values: list[Any], log: Events | None, stop: list[BaseException]) -> list[Any]:
        """Run on `values`, which hold the arguments and constants; the results, in the plan's order."""
        if self._decided or log is not None:
            return self._candidates[self.chosen](values, log, stop)
        name = min(self._seconds, key=lambda name: len(self._seconds[name]))
        candidate = self._candidates.get(name) or self._candidates[self.chosen]  # decided just now, elsewhere
        start = perf_counter()
        found = candidate(values, log, stop)
        self._seconds[name].append(perf_counter() - start)
        if all(len(seconds) >= TRIALS for seconds in self._counted.values()):
            self._decide()
        return found

    def _decide(self) -> None:
        counted = self._counted
        self.chosen = min(counted, key=lambda name: median(counted[name]))
        self._decided = True
        for name in self._candidates.keys() - {self.chosen}:
            self._candidates.pop(name).close()

    def close(self) -> None:
        """Let the threads go."""
        for candidate in self._candidates.values():
            candidate.close()
