"""How things are shown: numbers with units, rows of facts, JSON, a progress bar for what takes a while.

>>> seconds(0.0000341), count(1234567, "op"), nbytes(3 * 1024)
('34.1 µs', '1.23 Mop', '3.00 KiB')
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.text import Text

from dagexec.draw.labels import printable
from dagexec.progress import console

PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def three_digits(value: float) -> str:
    """A number with at least three significant digits and no exponent.

    >>> three_digits(3.14159), three_digits(314.159), three_digits(3141.59), three_digits(0.5)
    ('3.14', '314', '3142', '0.500')
    """
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value) * 1.0005)))}f}"


def count(value: float, unit: str) -> str:
    """A number of things with a decimal prefix.

    >>> count(12, "op"), count(2.5e9, "op")
    ('12 op', '2.50 Gop')
    """
    power = 0
    while abs(value) >= 999.5 and power < len(PREFIXES) - 1:
        value /= 1000
        power += 1
    return f"{three_digits(value) if power else f'{value:g}'} {PREFIXES[power]}{unit}"


def seconds(value: float) -> str:
    """A duration in the unit that suits it.

    >>> seconds(0.25), seconds(75), seconds(0)
    ('250 ms', '75.0 s', '0 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= 0.9995 * size:
            return f"{three_digits(value / size)} {unit}"
    return f"{value * 1e9:.0f} ns" if value else "0 s"


def nbytes(value: float) -> str:
    """A number of bytes with a binary prefix."""
    power = 0
    while value >= 1023.5 and power < len(PREFIXES) - 1:
        value /= 1024
        power += 1
    return f"{three_digits(value)} {PREFIXES[power].upper()}iB" if power else f"{value:g} B"


def number(value: float) -> str:
    """A result, with six significant digits."""
    return f"{value:.6g}"


def share(value: float) -> str:
    """A part of a whole.

    >>> share(0.254), share(0.001)
    ('25%', '<1%')
    """
    return f"{value:.0%}" if value >= 0.005 else "<1%"


def plural(number: int, noun: str) -> str:
    """A number of things, in words.

    >>> plural(1, "task"), plural(2, "task")
    ('1 task', '2 tasks')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def abridged(name: str, longest: int) -> str:
    """A name on one line; where it is too long, of its path of regions the first and the last, or the last.

    >>> abridged("∇encoder[0]/attention[1]/dense[0] matmul", 30)
    '∇encoder[0]/…/dense[0] matmul'
    >>> abridged("∇encoder[0]/dense[0] matmul", 20)
    '∇…/dense[0] matmul'
    """
    first, *between, last = name.split("/") if "/" in name else ("", name)
    shorter = [f"{first}/…/{last}"] * bool(between) + [f"{'∇' * name.startswith('∇')}…/{last}"] * bool(first)
    fitting = [text for text in (name, *shorter) if len(text) <= longest]
    return printable(next(iter(fitting), name), longest)


# --- what is printed ------------------------------------------------------------------------------------
def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Rows of a name and what there is to say of it."""
    width = max(len(name) for name, _ in facts) + 2
    for name, text in facts:
        print_hanging(name.ljust(width), text, lead_style="bold")


def print_hanging(lead: str, text: str, *, lead_style: str = "", style: str = "") -> None:
    """Text after a lead. On a terminal it is wrapped beside the lead, elsewhere it stays one line."""
    screen = console()
    lines = [text]
    if screen.is_terminal:
        room = max(20, screen.width - len(lead))
        lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        start = lead if number == 0 else " " * len(lead)
        screen.print(Text.assemble((start, lead_style), (line, style)), soft_wrap=True)


def warn(text: str) -> None:
    """A warning on stderr."""
    console(stderr=True).print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print JSON; numbers that it does not have (NaN, infinity) become null."""
    click.echo(json.dumps(finite(value), indent=2, allow_nan=False))


def finite(value: Any) -> Any:
    """Dicts, lists and numbers that JSON has.

    >>> finite({"loss": float("nan"), "sizes": (1, 2)})
    {'loss': None, 'sizes': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
