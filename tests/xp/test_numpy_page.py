"""docs/numpy.md lists every function of NumPy: what traces, and what does not and why.

`python -m tests.xp.test_numpy_page` writes the lists anew.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing.overrides as overrides

from dagexec.ops.special import NAMES
from dagexec.xp.registry import NUMPY_FUNCTIONS, REFUSED
from dagexec.xp.special import COMPOSED

PAGE = Path(__file__).parents[2] / "docs" / "numpy.md"
START, END = "<!-- the lists: written by tests/xp/test_numpy_page.py -->\n", "<!-- end of the lists -->\n"
MODULES = {
    "np": np,
    "np.linalg": np.linalg,
    "np.fft": np.fft,
    "np.lib.stride_tricks": np.lib.stride_tricks,
    "np.lib.scimath": np.lib.scimath,
}
# They take no array, or none of numbers.
OF_NOTHING = {
    "arange", "array", "asanyarray", "asarray", "ascontiguousarray", "asfortranarray", "busday_count",
    "busday_offset", "datetime_as_string", "empty", "eye", "frombuffer", "fromfile", "fromfunction",
    "fromiter", "fromstring", "full", "genfromtxt", "identity", "is_busday", "loadtxt", "ones", "require",
    "tri", "zeros",
}  # fmt: skip
# They are carried out on arrays that have a value, and say in a trace what to do instead.
OF_VALUES = {"nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"}


def public() -> Iterator[tuple[str, str, Any]]:
    """(module, name, function) of all that NumPy lets others carry out on their arrays."""
    known = overrides.get_overridable_numpy_array_functions() | overrides.get_overridable_numpy_ufuncs()
    for module, namespace in MODULES.items():
        for name in sorted(vars(namespace)):
            function = getattr(namespace, name)
            if name in OF_NOTHING or name.startswith("_") or not callable(function):
                continue
            if function.__hash__ and function in known:
                yield module, name, function


def traces(name: str, function: Any) -> bool:
    """Whether a function is carried out on traced arrays."""
    return function in NUMPY_FUNCTIONS and name not in OF_VALUES


def lists() -> str:
    """The lists of the page."""
    lines = []
    for module in MODULES:
        names = [name for where, name, function in public() if where == module and traces(name, function)]
        if names:
            lines += [f"**{module}**: " + ", ".join(f"`{name}`" for name in names) + ".", ""]
    names = sorted([*NAMES, *COMPOSED])
    lines += ["**scipy.special**: " + ", ".join(f"`{name}`" for name in names) + ".", ""]
    lines += ["### What can't be traced", ""]
    reasons: dict[str, list[str]] = {}
    for module, name, function in public():
        if not traces(name, function):
            why = REFUSED[np.unique] if name in OF_VALUES else REFUSED.get(function, "?")
            reasons.setdefault(why, []).append(f"`{module}.{name}`")
    lines += [f"- {', '.join(names)}: {why}." for why, names in reasons.items()]
    return (
        "\n".join(
            "\n".join(textwrap.wrap(line, 110, subsequent_indent="  " * (line[:1] == "-"))) for line in lines
        )
        + "\n"
    )


def test_every_function_of_numpy_traces_or_says_why_not() -> None:
    missing = [
        f"{module}.{name}"
        for module, name, function in public()
        if function not in NUMPY_FUNCTIONS and function not in REFUSED
    ]
    assert missing == []


def test_the_page_lists_what_traces() -> None:
    text = PAGE.read_text()
    assert text.partition(START)[2].partition(END)[0] == lists(), "run python -m tests.xp.test_numpy_page"


def test_nothing_is_both_carried_out_and_refused() -> None:
    assert not NUMPY_FUNCTIONS.keys() & REFUSED.keys()


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(START)
    PAGE.write_text(before + START + lists() + END + rest.partition(END)[2])
