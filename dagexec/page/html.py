"""One offline file: the page's template with its style, its script and the data of a graph.

The data stand in a script element as JSON in which no `<` occurs, so no text of the user's can end the
element or begin a comment; the script shows texts as texts only. The page's policy lets no other script run
than this one, by its hash, and lets nothing be fetched.

>>> import dagexec
>>> text = page({"name": "</script><script>alert(1)"})
>>> text.count("</script>"), "alert" in text, "<script>alert" in text
(2, True, False)
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from os import PathLike
from typing import Any

from dagexec.collector import collector_paused
from dagexec.draw.labels import printable
from dagexec.files import written_whole
from dagexec.graph import Graph, method_of
from dagexec.page.model import model
from dagexec.page.recording import EXECUTORS, recorded_runs, recorded_values

# What must not stand in a script element as it is; U+2028 and U+2029 end a line in old scripts.
ESCAPED = "<\u2028\u2029"
MARK = re.compile(r"<!--dagexec:(css|js|data)-->|<title>dagexec</title>|script-src 'unsafe-inline'")
LONGEST_TITLE = 100  # characters


@method_of(Graph)
def to_html(
    graph: Graph,
    path: str | PathLike[str],
    *args: Any,
    runs: Sequence[str] | None = None,
    workers: int | None = None,
    file: str | PathLike[str] | None = None,
    started: Callable[[str], None] = lambda executor: None,
) -> None:
    """Write the interactive page of a graph, one offline HTML file.

    With `args`, the graph's arguments, it is run on each executor of `runs` (by default "serial", "threads"
    and "processes", with `workers` workers), as it is, without rewrites; the page replays the runs and shows
    the values' statistics. Without arguments nothing is run, unless `runs` says so. `file` is named as the
    source. `started` is called with the name of each executor before it runs.

    Raises OSError if the file cannot be written (nothing half written stays), ValueError for an unknown
    executor, and what a run raises.

    >>> import dagexec, tempfile
    >>> graph = dagexec.trace(lambda x: x + 1)(3.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     graph.to_html(folder + "/sum.html", 3.0, runs=["serial"])
    """
    if isinstance(runs, str):
        raise ValueError(f"runs is {runs!r}, but must be a sequence of names, such as [{runs!r}]")
    chosen = (EXECUTORS if args else ()) if runs is None else tuple(runs)
    for executor in chosen:
        if executor not in EXECUTORS:
            raise ValueError(f"executor is {executor!r}; a page replays {', '.join(EXECUTORS)}")
    data = model(graph, file=file)
    if chosen:
        data["runs"] = recorded_runs(graph, args, chosen, workers, started)
        data["values"] = recorded_values(graph, args)
    with written_whole(path) as out:
        out.write(page(data))


def page(data: Mapping[str, Any]) -> str:
    """The page that shows `data`, what `model` gives, as HTML.

    Raises FileNotFoundError where the page's script has not been built.
    """
    title = html.escape(f"{printable(data['name'], LONGEST_TITLE)} · dagexec")
    script = _asset("page.js")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "<!--dagexec:css-->": _asset("page.css"),
        "<!--dagexec:js-->": script,
        "<!--dagexec:data-->": json_text(data),
        "<title>dagexec</title>": f"<title>{title}</title>",
        "script-src 'unsafe-inline'": f"script-src 'sha256-{digest}'",
    }
    return MARK.sub(lambda found: parts[found[0]], _asset("page.html"))


@collector_paused()
def json_text(data: Mapping[str, Any]) -> str:
    """JSON that can stand in a script element, whatever texts are in it.

    >>> json_text({"</script>": 1})
    '{"\\\\u003c/script>":1}'
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in ESCAPED:
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    # A lone surrogate, which no encoding can write, is written as its escape.
    return text.encode(errors="backslashreplace").decode()


def _asset(name: str) -> str:
    return (files("dagexec.page") / "assets" / name).read_text(encoding="utf-8")
