"""The command line: `dagexec list | run | draw | view | analyze | bench | train`.

Every command works on graph files (see `dagexec.graphfile`). Results go to stdout, as text for people or,
with `--json`, for programs; messages and progress go to stderr. The exit status is 0, 1 for a failure, 2 for
wrong usage, 130 after Ctrl-C. Each command is a module here; `program` holds what they share.
"""

from __future__ import annotations

import click

from dagexec.cli.analyze import analyze
from dagexec.cli.bench import bench
from dagexec.cli.draw import draw
from dagexec.cli.list import list_files
from dagexec.cli.program import Program, debug_option
from dagexec.cli.run import run
from dagexec.cli.train import train
from dagexec.cli.view import view


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@debug_option
@click.version_option(package_name="dagexec", message="%(prog)s %(version)s")
def main() -> None:
    """Derive, run and draw computational graphs.

    A graph file is a Python file with a function build(...) -> (fn, args): fn(*args) is array code, and if
    its result is a scalar, its gradient for args[0] is derived. Parameters of build are given with
    -p name=value.
    """


for command in (list_files, run, draw, view, analyze, bench, train):
    main.add_command(command)
