"""The numbers that a graph of scalars computes, as lines of Python: for Python's own numbers, or for NumPy's.

Python's own take half the time of NumPy's, and where both do what IEEE 754 says they have the same bits:
sums, products, quotients, comparisons. All else is left to NumPy, a group of numbers at once. A number that
is read once stands where it is read, which saves a third of the time:

>>> import dagexec
>>> from dagexec.executors.levels import groups_of
>>> from dagexec.executors.scalars import scalars_of
>>> graph = dagexec.trace(lambda x, y: np.tanh(x * y) + np.tanh(x / y) * y)(1.0, 1.0)
>>> scalars = scalars_of(dagexec.plan(graph))
>>> print(*python_lines(scalars, groups_of(scalars), [7]), sep="\\n")
v3, v5 = tanh([v0 * v1, v0 / v1]).tolist()
return v3 + (v5 * v1),

NumPy's numbers have a line each, so that it can be told which number an error comes from:

>>> print(*numpy_lines(scalars, [7]), sep="\\n")
v2 = v0 * v1
v3 = tanh(v2)[()]
v4 = v0 / v1
v5 = tanh(v4)[()]
v6 = v5 * v1
v7 = v3 + v6
return v7,

Names are made of ids, and functions are those of the op table: nothing that a user wrote is in the text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from dagexec.executors.levels import Group
from dagexec.executors.scalars import DTYPES, Scalars

# What Python writes for floating-point numbers of one dtype, and for truth values. Where the operands are
# numbered, one is read twice or perhaps never.
FLOATS = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
    "negative": "-{}",
    "square": "{0} * {0}",
    "equal": "{} == {}",
    "not_equal": "{} != {}",
    "less": "{} < {}",
    "less_equal": "{} <= {}",
    "greater": "{} > {}",
    "greater_equal": "{} >= {}",
}
TRUTHS = {"logical_and": "{0} and {1}", "logical_or": "{0} or {1}", "logical_not": "not {}"}
FORMS = {"f": FLOATS, "b": TRUTHS, "i": {}}
SELECTION = {"where": "{1} if {0} else {2}"}
LONGEST = 80  # characters of what stands where it is read: parentheses must not nest too deeply


def python_lines(scalars: Scalars, groups: Sequence[Group], results: Sequence[int]) -> list[str]:
    """The lines for Python's numbers, group by group; the last returns the results, given by their ids."""
    once = _read_once(scalars, groups, results)
    inlined: dict[int, str] = {}
    lines: list[str] = []

    def text_of(one: int) -> str:
        return inlined.pop(one, None) or name_of(one)

    def operand(row: int, ids: Sequence[int]) -> str:
        """One for all stays one: NumPy rounds powers otherwise if each has an exponent of its own."""
        is_shared = row > 0 and len(set(ids)) == 1
        return name_of(ids[0]) if is_shared else f"[{', '.join(map(text_of, ids))}]"

    for group in groups:
        tasks = group.ids.tolist()
        rows = [ids.tolist() for ids in group.operands]
        form, function = form_of(scalars, tasks[0]), function_name(scalars, scalars.kind[tasks[0]])
        if is_one_call(scalars, group):
            names, operands = ", ".join(map(name_of, tasks)), ", ".join(map(operand, range(len(rows)), rows))
            lines.append(f"{names} = {function}({operands}).tolist()")
            continue
        for task, *ids in zip(tasks, *rows):
            text = _expression(form, function, map(text_of, ids), ".item()")
            if task in once and len(text) <= LONGEST:
                inlined[task] = text
            else:
                lines.append(f"{name_of(task)} = {text}")
    return [*lines, f"return {', '.join(map(text_of, results))},"]


def numpy_lines(scalars: Scalars, results: Sequence[int]) -> list[str]:
    """The lines for NumPy's numbers, one for each task in their order; the last returns the results."""
    lines = []
    for task in scalars.tasks.tolist():
        form, function = form_of(scalars, task), function_name(scalars, scalars.kind[task])
        text = _expression(form, function, map(name_of, scalars.operands_of(task)), "[()]")
        lines.append(f"{name_of(task)} = {text}")
    return [*lines, f"return {', '.join(map(name_of, results))},"]


def name_of(one: int) -> str:
    """The variable of a number."""
    return f"v{one}"


def function_name(scalars: Scalars, kind: int) -> str:
    """The name for the function of a kind: that of its op, numbered where it has parameters."""
    return scalars.kinds[kind].op.name + (f"_{kind}" if scalars.kinds[kind].params else "")


def is_one_call(scalars: Scalars, group: Group) -> bool:
    """Does Python leave these numbers to one call of NumPy?"""
    several = len(group.ids) > 1 and isinstance(scalars.kind_of(group.ids[0]).function, np.ufunc)
    return several and form_of(scalars, group.ids[0]) is None


def form_of(scalars: Scalars, task: int) -> str | None:
    """What Python writes for a number, with gaps for the operands; None if it is left to NumPy."""
    name = scalars.kind_of(task).op.name
    dtypes = [DTYPES[scalars.dtype[one]] for one in scalars.operands_of(task)]
    if name in SELECTION and dtypes[1] == dtypes[2]:
        return SELECTION[name]
    return FORMS[dtypes[0].kind].get(name) if len(set(dtypes)) == 1 else None


def _expression(form: str | None, function: str, operands: Iterable[str], ending: str) -> str:
    """What computes a number: by its form, else by its function, and then it ends with `ending`."""
    if form is not None:
        return form.format(*[f"({text})" if " " in text else text for text in operands])
    return f"{function}({', '.join(operands)}){ending}"


def _read_once(scalars: Scalars, groups: Sequence[Group], results: Sequence[int]) -> set[int]:
    """The numbers that are read once, and always."""
    reads = Counter(results)
    for group in groups:
        times = 2 if "{0}" in (form_of(scalars, group.ids[0]) or "") else 1
        for ids in group.operands:
            reads.update(ids.tolist() * times)
    return {one for one, times in reads.items() if times == 1}
