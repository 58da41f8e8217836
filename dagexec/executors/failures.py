"""What happens when a task fails: again, in a limited time, or on with the rest. Each makes a plan of a plan.

- `retrying(plan, retries)`: a task that raises an Exception is called again;
- `limited(plan, timeout)`: a task that takes longer raises TimeoutError;
- `going_on(plan)`: an Exception becomes the value of its task, `_Missing`, and of every task that reads it.
  So what does not depend on it is computed as ever, whatever the executor. `tasks_failed` tells the errors
  afterwards, and shows what is missing as a `Failure`, which may be a value in another run.

>>> from dagexec.plan import lay_out
>>> p = lay_out([lambda: 1 / 0, lambda: 2, abs, abs], [(), (), (0,), (1,)], [(2, None), (3, None)],
...             constants={}, labels="abcd")
>>> from dagexec.executors.serial import Serial
>>> p = going_on(p)
>>> failed = tasks_failed(p, Serial(p)(p.values(), None, []))
>>> failed.failed, failed.skipped
({'a': ZeroDivisionError('division by zero')}, ['c'])
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from threading import TIMEOUT_MAX, Thread
from typing import Any

import cloudpickle

from dagexec.coarsen import STOP
from dagexec.plan import Function, Plan, add_note

MOST_LISTED = 10  # more failed or skipped tasks than this are counted, not named, in the message


class TasksFailed(ExceptionGroup[Exception]):
    """Raised at the end of a run with `on_error="continue"` in which tasks failed.

    `exceptions` holds their errors. `failed` maps each failed task's key to its error, `skipped` lists the
    keys of those that could not run because of it, `results` is what the run would have returned, with a
    `Failure` in each place that has no value. A key is that of the dictionary, else the node's number.
    """

    failed: dict[Any, Exception]
    skipped: list[Any]
    results: Any

    def derive(self, excs: Sequence[Exception]) -> ExceptionGroup[Exception]:  # type: ignore[override]
        """The same, of some of the errors."""
        return ExceptionGroup(self.message, excs)


class Failure:
    """Stands where a value should be: the errors, by task, that are the reason why there is none."""

    __slots__ = ("errors",)

    def __init__(self, errors: dict[int, Exception]) -> None:
        self.errors = errors

    def __repr__(self) -> str:
        return f"<Failure: {', '.join(map(repr, self.errors.values()))}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), {task: portable(error) for task, error in self.errors.items()})


class _Missing(Failure):
    """A Failure of the run under way, as no task can return one."""

    __slots__ = ()

    def __getitem__(self, item: Any) -> _Missing:
        return self  # the items of what is not there are not there either


def _unpickled(kind: type[Failure], errors: dict[int, bytes]) -> Failure:
    return kind({task: pickle.loads(error) for task, error in errors.items()})


def portable(error: BaseException) -> bytes:
    """An exception as it travels between processes; one that cannot becomes a RuntimeError.

    A traceback does not travel, so it becomes a note.
    """
    text = "".join(traceback.format_exception(error)).rstrip()
    add_note(error, f"traceback in the worker process:\n{text}")
    try:
        data: bytes = cloudpickle.dumps(error)
        pickle.loads(data)
        return data
    except Exception:
        stand_in = RuntimeError(f"{type(error).__name__} that cannot be pickled: {error!r}")
        stand_in.__notes__ = [note for note in error.__notes__ if isinstance(note, str)]
        return cloudpickle.dumps(stand_in)  # type: ignore[no-any-return]


class _Guarded:
    """A task's function that gives a _Missing where it cannot give a value."""

    __slots__ = ("function", "note", "task")

    def __init__(self, function: Function, task: int, note: str) -> None:
        self.function = function
        self.task = task
        self.note = note

    def __call__(self, *values: Any) -> Any:
        missing = [value for value in values if type(value) is _Missing]
        if missing:
            errors = {task: error for value in missing for task, error in value.errors.items()}
            return missing[0] if len(errors) == len(missing[0].errors) else _Missing(errors)
        try:
            return self.function(*values)
        except Exception as error:
            add_note(error, self.note)
            return _Missing({self.task: error})


class _Retrying:
    __slots__ = ("function", "retries")

    def __init__(self, function: Function, retries: int) -> None:
        self.function = function
        self.retries = retries

    def __call__(self, *values: Any) -> Any:
        for _ in range(self.retries):
            try:
                return self.function(*values)
            except Exception:
                if STOP.get():
                    raise
        return self.function(*values)


class _Limited:
    """A task's function that is given up when it takes too long.

    Python cannot stop a running function. So it runs in a thread of its own, which is left behind, to end by
    itself: with the function, or with the process.
    """

    __slots__ = ("function", "seconds")

    def __init__(self, function: Function, seconds: float) -> None:
        self.function = function
        self.seconds = seconds

    def __call__(self, *values: Any) -> Any:
        outcome: list[Any] = []
        caught: list[BaseException] = []

        def compute() -> None:
            try:
                outcome.append(self.function(*values))
            except BaseException as error:
                caught.append(error)

        thread = Thread(target=copy_context().run, args=(compute,), name="dagexec limited", daemon=True)
        thread.start()
        thread.join(min(self.seconds, TIMEOUT_MAX))
        if caught:
            raise caught[0]
        if not outcome:
            raise TimeoutError(f"it has not ended after {self.seconds:g} seconds")
        return outcome[0]


def _with_functions(plan: Plan, make: Callable[[Function, int], Function]) -> Plan:
    functions = [
        None if function is None else make(function, task) for task, function in enumerate(plan.functions)
    ]
    return replace(plan, functions=functions, is_of_kernels=False)


def retrying(plan: Plan, retries: Callable[[int], int]) -> Plan:
    """The plan whose tasks are called again, `retries(task)` times at the most, where they raise."""

    def make(function: Function, task: int) -> Function:
        return _Retrying(function, retries(task)) if retries(task) else function

    return _with_functions(plan, make)


def limited(plan: Plan, timeout: Callable[[int], float | None]) -> Plan:
    """The plan whose tasks raise TimeoutError when they take longer than `timeout(task)` seconds."""

    def make(function: Function, task: int) -> Function:
        seconds = timeout(task)
        return function if seconds is None else _Limited(function, seconds)

    return _with_functions(plan, make)


def going_on(plan: Plan) -> Plan:
    """The plan in which a task that raises has a _Missing as its value, as have those that read it."""
    guarded = _with_functions(
        plan, lambda function, task: _Guarded(function, task, f"raised by {plan.describe(task)}")
    )
    # What nobody reads is kept as well, lest its failure be lost.
    unread = [(task, None) for task in plan.tasks if not plan.readers[task]]
    return replace(guarded, outputs=(*plan.outputs, *unread))


def tasks_failed(plan: Plan, results: Sequence[Any]) -> TasksFailed | None:
    """The error that sums up the failures among the results of `going_on(plan)`; None if there is none."""
    errors = {
        task: error for value in results if type(value) is _Missing for task, error in value.errors.items()
    }
    if not errors:
        return None
    behind = set(errors)
    for task in plan.tasks:
        if task in behind:
            behind.update(plan.successors[task])
    key = plan.key
    failed = {key(task): error for task, error in sorted(errors.items())}
    skipped = [key(task) for task in plan.tasks if task in behind and task not in errors]
    message = f"{_listed('failed', failed)}; {_listed('skipped', skipped)}"
    group = TasksFailed(message, list(failed.values()))
    group.failed, group.skipped = failed, skipped
    group.results = [Failure(value.errors) if type(value) is _Missing else value for value in results]
    return group


def _listed(verb: str, keys: Mapping[Any, Any] | Sequence[Any]) -> str:
    shown = ", ".join(repr(key) for key in list(keys)[:MOST_LISTED])
    more = f" and {len(keys) - MOST_LISTED} more" if len(keys) > MOST_LISTED else ""
    return f"{len(keys)} {'task' if len(keys) == 1 else 'tasks'} {verb}" + (
        f": {shown}{more}" if keys else ""
    )
