"""A plan, what it runs on, and how: what `compile`, `get` and the commands have in common.

>>> from dagexec.plan import lay_out
>>> plan = lay_out([lambda: 2, abs], [(), (0,)], [(1, None)], constants={})
>>> with Runner(plan, "threads", workers=2) as runner:
...     runner.run(), runner.executor
([2], 'threads')
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from math import inf
from numbers import Integral, Real
from typing import Any, TypedDict, TypeVar

from dagexec.coarsen import coarsen
from dagexec.events import Events
from dagexec.executors.adaptive import Adaptive
from dagexec.executors.blas import BlasThreads, blas_threads
from dagexec.executors.cancelling import Stoppable, can_be_cancelled
from dagexec.executors.choose import Choice, choose
from dagexec.executors.failures import going_on, limited, retrying, tasks_failed
from dagexec.executors.measured import Measured
from dagexec.executors.parallel import Parallel, worth_a_program
from dagexec.executors.processes import Processes
from dagexec.executors.serial import Serial
from dagexec.executors.threads import Threads
from dagexec.plan import Plan
from dagexec.progress import Tally, progress

CHOICES = ("auto", "serial", "threads", "processes")

START_METHODS = ("forkserver", "spawn")

# Options that are numbers: of what kind, how much at the least, and that in words.
NUMBERS: tuple[tuple[str, Any, float, str], ...] = (
    ("retries", Integral, 0, "a whole number, at least 0"),
    ("timeout", Real, 1e-9, "a positive number of seconds"),
    ("max_live_bytes", Real, 0, "a number, at least 0"),
)

T = TypeVar("T")


class Options(TypedDict, total=False):
    """How a run goes, beside what it runs on; the same for `compile`, `run` and `get`.

    - `on_error`: "stop" (the default) raises the first error as soon as the tasks under way have ended;
      "continue" runs everything that does not depend on a failed task, and then raises `TasksFailed`.
    - `retries`: how often a task that raises an Exception is called again; 0 by default.
    - `timeout`: the seconds a task may take, else it raises TimeoutError. Python cannot stop a running
      function: on threads and serially it is left behind, to end by itself.
    - `priority`: of ready tasks the one with the highest number comes first; 0 by default.
    - `max_live_bytes`: while the computed arrays that are still to be read take more than that, no task is
      begun that waits for no other, unless nothing else is under way.
    - `progress`: show a progress bar on the terminal.
    - `start_method`: how worker processes start: "forkserver" (the default on Linux) or "spawn".
    - `costs`: the seconds of each node, at its number, as `measured_seconds` of an earlier run gives them; by
      default they are estimated, or measured as the tasks run.

    `retries`, `timeout` and `priority` may be mappings from tasks (keys of the dictionary, else numbers of
    nodes) to their own.
    """

    on_error: str
    retries: int | Mapping[Any, int]
    timeout: float | Mapping[Any, float] | None
    priority: Mapping[Any, float]
    max_live_bytes: float | None
    progress: bool
    start_method: str
    costs: Sequence[float]


def available_cores() -> int:
    """The number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Runner:
    """A plan ready to run. `executor` and `workers` say what it runs on ("auto" has been decided).

    Raises ValueError for an unknown executor, no workers, or options that make no sense, TypeError for
    unknown ones. Threads and processes stay for the next run, until `close()` or the end of a `with` block.
    """

    def __init__(
        self, plan: Plan, executor: str = "auto", workers: int | None = None, options: Options | None = None
    ) -> None:
        options = options or {}
        _check(plan, executor, workers, options)
        self._plan = _with_options(plan, options)
        self._results = len(plan.outputs)
        self._goes_on = options.get("on_error") == "continue"
        self._progress = options.get("progress", False)
        most = inf if (limit := options.get("max_live_bytes")) is None else limit
        cores = workers or available_cores()
        # More workers than tasks would only be started.
        count = min(cores, max(1, len(plan.tasks)))
        if executor != "auto":
            self._choice = Choice(executor, 1 if executor == "serial" else count)
        elif self._plan.priority or most < inf:
            self._choice = Choice("threads", count, 1, ("priorities, or a limit on memory, were asked for",))
        else:
            # One task may be cut into several.
            most_workers = cores if self._plan.is_of_kernels else count
            self._choice = choose(self._plan, most_workers, min(cores, blas_threads()))
        self._plan = coarse = self._choice.plan or self._plan
        # A failure would be lost in a joined task, an order as well.
        if self._choice.executor in ("threads", "measured") and not (self._goes_on or self._plan.priority):
            coarse = coarsen(self._plan, workers=count)
        self._execute = self._executor(coarse, most, options.get("start_method"))
        self._by_program = self._execute.by_program if isinstance(self._execute, Serial) else None
        self._blas_threads = self._choice.blas_threads if plan.threaded_blas else None
        has_more_to_do = self._goes_on or self._progress or self._blas_threads is not None
        self._at_once = None if has_more_to_do else self._by_program

    def _executor(self, coarse: Plan, most: float, start_method: str | None) -> Any:
        """What has been chosen; `coarse` is the plan for threads."""
        plan, workers = self._plan, self._choice.workers
        match self._choice.executor:
            case "processes":
                return Processes(plan, workers, start_method, most)
            case "adaptive":
                return Adaptive(plan, workers)
            case "measured":
                return Measured(plan, coarse, workers)
            case "serial" if not plan.priority and most == inf:
                return Serial(plan)
            case "threads" if not plan.priority and most == inf and worth_a_program(plan):
                return Parallel(plan, coarse, workers)
        return Threads(coarse, workers, most)

    @property
    def plan(self) -> Plan:
        """What is run: the plan with its options, its tasks perhaps joined."""
        plan: Plan = self._execute.plan
        return plan

    @property
    def executor(self) -> str:
        """What it runs on: of "auto", what has been chosen last."""
        chosen: str = getattr(self._execute, "chosen", self._choice.executor)
        return chosen

    @property
    def workers(self) -> int:
        """How many workers it runs on."""
        return 1 if self.executor == "serial" else self._choice.workers

    @property
    def source(self) -> str:
        """The flat program that is run, a call a line; empty while there is none."""
        program = getattr(self._execute, "program", None)
        return "" if program is None else str(program)

    def explain(self) -> str:
        """What it runs on and why, in lines."""
        choice = self._choice
        workers = f"{self.workers} worker" + ("s" if self.workers > 1 else "")
        blas = f"{choice.blas_threads} BLAS thread" + ("s" if choice.blas_threads > 1 else "")
        story = getattr(self._execute, "story", [])
        return "\n".join([f"{self.executor}: {workers}, {blas} each", *choice.reasons, *story])

    def at_once(self, arguments: Sequence[Any]) -> list[Any] | None:
        """Run once by a program, if there is one for just these arguments and nothing else to do."""
        return None if self._at_once is None or can_be_cancelled() else self._at_once(arguments, [])

    def run(self, arguments: Sequence[Any] | None = None, log: Events | None = None) -> list[Any]:
        """Run once, on the values of the plan's inputs; gives those of its outputs, in their order."""
        arguments = arguments or ()
        limit = nullcontext() if self._blas_threads is None else BlasThreads(self._blas_threads)
        results: list[Any] | None = None
        try:
            with limit, Stoppable() as stop:
                if self._progress:
                    tally = Tally(log)
                    with progress("running", len(self.plan.tasks), lambda: tally.ended):
                        results = self._execute(self._plan.values(arguments), tally, stop)
                elif log is None and self._by_program is not None:
                    results = self._by_program(arguments, stop)
                if results is None:
                    results = self._execute(self._plan.values(arguments), log, stop)
        except BaseException:
            if isinstance(limit, BlasThreads):
                limit.end()  # an interrupt may have kept the block from doing so
            raise
        if self._goes_on:
            failed = tasks_failed(self._plan, results)
            results = results[: self._results]
            if failed is not None:
                failed.results = failed.results[: self._results]
                raise failed
        return results

    def close(self) -> None:
        """Let threads and processes go."""
        self._execute.close()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _with_options(plan: Plan, options: Options) -> Plan:
    """The plan that does what the options ask for."""
    if (costs := options.get("costs")) is not None:
        plan = replace(plan, costs=list(costs))
    if timeout := options.get("timeout"):
        plan = limited(plan, _by_task(plan, "timeout", timeout, None))
    if retries := options.get("retries"):
        plan = retrying(plan, _by_task(plan, "retries", retries, 0))
    if options.get("on_error") == "continue":
        plan = going_on(plan)
    if priority := options.get("priority"):
        hint = _by_task(plan, "priority", priority, 0.0)
        plan = replace(plan, priority={task: hint(task) for task in plan.tasks if hint(task)})
    return plan


def _by_task(plan: Plan, name: str, option: T | Mapping[Any, T], default: T) -> Callable[[int], T]:
    """An option's value for each task; KeyError for a key that is no task."""
    if not isinstance(option, Mapping):
        return lambda task: option
    known = {plan.key(task) for task in plan.tasks}
    for key in option:
        if key not in known:
            raise KeyError(f"{name} is given for {key!r}, which is no task")
    return lambda task: option.get(plan.key(task), default)


def _check(plan: Plan, executor: str, workers: int | None, options: Options) -> None:
    """Raise ValueError for what makes no sense."""
    if executor not in CHOICES:
        raise ValueError(f"executor is {executor!r}; it can be {', '.join(CHOICES)}")
    if workers is not None and not (isinstance(workers, Integral) and workers >= 1):
        raise ValueError(f"workers is {workers!r}; it must be a whole number, at least one")
    costs = options.get("costs")
    if costs is not None and len(costs) != len(plan.functions):
        raise ValueError(f"there are {len(costs)} costs for {len(plan.functions)} nodes")
    if unknown := options.keys() - Options.__annotations__.keys():
        raise TypeError(
            f"there is no option {sorted(unknown)[0]!r}; there are {', '.join(Options.__annotations__)}"
        )
    on_error = options.get("on_error", "stop")
    if on_error not in ("stop", "continue"):
        raise ValueError(f"on_error is {on_error!r}; it can be stop, continue")
    if options.get("start_method", "spawn") not in START_METHODS:
        raise ValueError(f"start_method is {options['start_method']!r}; it can be {', '.join(START_METHODS)}")
    if not isinstance(options.get("priority", {}), Mapping):
        raise TypeError("priority must be a mapping from tasks to numbers")
    for name, kind, least, wanted in NUMBERS:
        option: Any = options.get(name)
        for value in option.values() if isinstance(option, Mapping) else (option,):
            if value is not None and not (isinstance(value, kind) and value >= least):
                raise ValueError(f"{name} is {value!r}; it must be {wanted}")
