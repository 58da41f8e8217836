"""A table of texts: a title, the heads of its columns, its lines; printed for a terminal or in Markdown.

>>> grid = Grid("Times, ms", ["mine", "yours"], {"small": ["1.0", "12"], "large": ["3.5", ""]}, ["Medians."])
>>> print(grid.text())
Times, ms
        mine   yours
small    1.0      12
large    3.5
Medians.
>>> print(grid.markdown())
Times, ms:
<BLANKLINE>
| | mine | yours |
|---|---|---|
| small | 1.0 | 12 |
| large | 3.5 | |
<BLANKLINE>
Medians.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

GAP = 3  # characters between columns


@dataclass(frozen=True)
class Grid:
    """A table; without lines it is nothing but its title and its notes."""

    title: str
    heads: list[str] = field(default_factory=list)
    lines: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For a terminal: columns below each other, numbers at the right."""
        first = max(map(len, self.lines), default=0)
        columns = zip(self.heads, *self.lines.values())
        widths = [max(map(len, column)) + GAP for column in columns]

        def line(name: str, texts: list[str]) -> str:
            cells = "".join(f"{text:>{width}}" for text, width in zip(texts, widths))
            return f"{name:<{first}}{cells}".rstrip()

        table = [line(name, texts) for name, texts in {"": self.heads, **self.lines}.items()]
        return "\n".join([self.title, *(table if self.lines else ()), *self.notes])

    def markdown(self) -> str:
        """For a document."""
        return "\n".join(self._markdown())

    def _markdown(self) -> Iterator[str]:
        yield f"{self.title}:" if self.lines else self.title
        if self.lines:
            yield ""
            for name, texts in {"": self.heads, **self.lines}.items():
                yield "|".join(["", *(f" {text} " if text else " " for text in (name, *texts)), ""])
                if not name:
                    yield "|---" * (len(texts) + 1) + "|"
        if self.notes:
            yield ""
            yield from self.notes
