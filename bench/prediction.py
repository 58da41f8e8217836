"""Does the simulation tell the truth: predicted against measured makespan on one and two threads.

Tasks are SHA-256 over a slice of one fixed buffer, which releases the GIL; each has between half and one and
a half times the length that is named, so that the order of the tasks matters. A round times, one after
another: the same hashes without any scheduler, in one loop and shared out to two threads that know nothing of
each other; a recorded run on one worker, from which come the tasks' seconds; unrecorded runs on one worker
and on two; and the two bare threads again. A ratio is that of a round, measured makespan / makespan simulated
from the seconds of that round, so slow minutes cancel; each figure is the median of the rounds, with the
quartiles.

Two bare threads may be less than twice as fast as one (clock frequency, shared caches, other programs on the
machine), which the simulation does not know. So their speed-up stands beside, as the ceiling; the third
column compares with a simulation whose tasks are slower by 2 / ceiling; and where at least five rounds were
quiet (the bare threads reached 1.8 both before and after), the figures are of those rounds only. In a round
that was not, the ratio for two workers says more about the other programs than about the simulation. Seconds
of a task include a moment of the log's own, so predictions are a little high for short tasks.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from hashlib import sha256
from threading import Thread
from typing import Any

import dagexec
from dagexec.analysis import measured_seconds
from dagexec.events import Events
from dagexec.graph import Graph, Node
from dagexec.ops import python_op
from dagexec.simulation import simulate
from dagexec.timing import Times, take_turns

ROUNDS = 25
QUIET = 1.8  # the speed-up of two bare threads where no other program takes one's time
FEWEST_QUIET = 5
TASK_SECONDS = (200e-6, 1e-3)
TASKS = 225
BUFFER = memoryview(bytes(8_000_000))


def wide(size: int) -> list[list[int]]:
    """Independent tasks: the sources of each."""
    return [[] for _ in range(size)]


def layered(size: int, width: int = 20) -> list[list[int]]:
    """Layers of `width`, each task reading two or three random ones of the layer before.

    >>> [len(sources) in (2, 3) for sources in layered(60)[20:]].count(True)
    40
    """
    choose = random.Random(1)
    edges: list[list[int]] = []
    for task in range(size):
        first = task - task % width
        before = range(first - width, first) if first else range(0)
        edges.append(choose.sample(before, choose.randint(2, 3)) if before else [])
    return edges


def grid(size: int) -> list[list[int]]:
    """A square in which each task reads the one above it and the one to its left.

    >>> grid(9)[4], grid(9)[6]
    ([1, 3], [3])
    """
    side = round(size**0.5)
    return [
        [source for source, there in ((task - side, task >= side), (task - 1, task % side)) if there]
        for task in range(side * side)
    ]


SHAPES: dict[str, Callable[[int], list[list[int]]]] = {"wide": wide, "layered": layered, "grid": grid}


def hashing(length: int) -> Callable[..., bytes]:
    """A task that hashes so many bytes, whatever it is given."""
    part = BUFFER[:length]
    return lambda *values: sha256(part).digest()


def bytes_a_second() -> float:
    """How fast one thread hashes."""
    (times,) = take_turns([hashing(1_000_000)], 50)
    return 1_000_000 / times.median


def graph_of(edges: Sequence[Sequence[int]], functions: Sequence[Callable[..., Any]]) -> Graph:
    """The graph in which task n is `functions[n]` and reads `edges[n]`; what none reads is its result."""
    nodes: list[Node] = []
    for sources, function in zip(edges, functions):
        nodes.append(Node(python_op(function), tuple(nodes[source] for source in sources)))
    read = {source for sources in edges for source in sources}
    return Graph(nodes, (), [node for number, node in enumerate(nodes) if number not in read])


def call_all(functions: Sequence[Callable[[], Any]]) -> None:
    """One after another."""
    for function in functions:
        function()


def call_all_on_two_threads(functions: Sequence[Callable[[], Any]]) -> None:
    """Every other one on a thread of its own: no dependencies, no scheduler."""
    other = Thread(target=call_all, args=(functions[::2],))
    other.start()
    call_all(functions[1::2])
    other.join()


def measure() -> list[dict[str, Any]]:
    """One row a shape and task length."""
    return [_row(shape, seconds) for seconds in TASK_SECONDS for shape in SHAPES]


def _row(shape: str, seconds: float) -> dict[str, Any]:
    edges, choose, rate = SHAPES[shape](TASKS), random.Random(2), bytes_a_second()
    functions = [hashing(round(rate * seconds * choose.uniform(0.5, 1.5))) for _ in edges]
    graph = graph_of(edges, functions)
    gc.collect()
    with (
        dagexec.compile(graph, "threads", 1, events=True) as recorded,
        dagexec.compile(graph, "threads", 1) as one,
        dagexec.compile(graph, "threads", 2) as two,
    ):
        for compiled in (recorded, one, two):
            compiled()
        rounds = [_round(recorded, one, two, functions) for _ in range(ROUNDS)]
    quiet = [found for found in rounds if found["least_ceiling"] >= QUIET]
    used = quiet if len(quiet) >= FEWEST_QUIET else rounds
    figures = {key: _quartiles([found[key] for found in used]) for key in rounds[0]}
    about = {"shape": shape, "task_seconds": seconds, "tasks": len(edges)}
    return about | {"rounds": len(rounds), "quiet_rounds": len(quiet)} | figures


def _round(
    recorded: dagexec.Compiled,
    one: dagexec.Compiled,
    two: dagexec.Compiled,
    functions: Sequence[Callable[..., Any]],
) -> dict[str, float]:
    logs: list[Events] = []
    runs = [
        lambda: call_all(functions),
        lambda: call_all_on_two_threads(functions),
        lambda: logs.append(recorded()[1]),
        one,
        two,
        lambda: call_all_on_two_threads(functions),
    ]
    bare, before, _, alone, both, after = (times.median for times in take_turns(runs, 1))
    costs = measured_seconds(recorded.plan, logs[0])
    on_one, on_two = (simulate(recorded.plan, workers, costs=costs).makespan for workers in (1, 2))
    ceiling = 2 * bare / (before + after)
    return {
        "ratio_one": alone / on_one,
        "ratio_two": both / on_two,
        "ratio_two_at_ceiling": both / (on_two * 2 / ceiling),
        "speed_up": alone / both,
        "predicted_speed_up": on_one / on_two,
        "ceiling": ceiling,
        "least_ceiling": bare / max(before, after),
    }


def _quartiles(values: Sequence[float]) -> list[float]:
    """Median, lower and upper quartile."""
    found = Times(tuple(values))
    return [found.median, *found.spread]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    columns = {
        "1 worker": "ratio_one",
        "2 workers": "ratio_two",
        "2, at the ceiling": "ratio_two_at_ceiling",
        "speed-up": "speed_up",
        "predicted": "predicted_speed_up",
        "two bare threads": "ceiling",
    }
    lines = [
        "measured / predicted makespan on one and two workers, then speed-ups; median [quartiles]",
        f"{'graph':<24}{'quiet rounds':>12}" + "".join(f"{title:>20}" for title in columns),
    ]
    for row in rows:
        name = f"{row['shape']}, {row['tasks']} × {row['task_seconds'] * 1e6:.0f} µs"
        cells = ["{:.2f} [{:.2f}, {:.2f}]".format(*row[key]) for key in columns.values()]
        quiet = f"{row['quiet_rounds']}/{row['rounds']}"
        lines.append(f"{name:<24}{quiet:>12}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)
