"""What the commands share: how errors end, the options that several take, checks made before long work.

An error ends a command with one message on stderr: what went wrong, where in the user's code, and the notes
that the exception carries. A GraphFileError, like click's own, is wrong usage; all others are failures.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

import dagexec
from dagexec.executors import CHOICES
from dagexec.graphfile import GraphFileError

F = TypeVar("F", bound=Callable[..., Any])

# Files of this package, of the standard library, and code that came from no file.
NOT_THE_USERS = (os.path.dirname(dagexec.__file__) + os.sep, os.path.dirname(os.__file__) + os.sep, "<")
TRACEBACK = "Traceback (most recent call last)"
DEBUG = "dagexec.debug"
FAILURE, USAGE, INTERRUPTED = 1, 2, 130


class Program(click.Group):
    """A group of commands whose errors end as this module says."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error becomes a ClickException with its message and status."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt as error:
            raise _Ended(": ".join(["interrupted", *map(str, error.args)]), INTERRUPTED) from None
        except SystemExit as error:
            if isinstance(error.__context__, BrokenPipeError):
                raise
            raise _Ended(f"the graph's code calls sys.exit({error.code!r})", FAILURE) from None
        except Exception as error:
            if ctx.meta.get(DEBUG):
                traceback.print_exception(error)
            raise _ended(error, ctx.meta.get(DEBUG, False)) from error

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run with the arguments `args` (those of the process by default) and exit."""
        extra["standalone_mode"] = False
        for stream in (sys.stdout, sys.stderr):  # a µ that a terminal does not have is no reason to fail
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            status = super().main(args, *rest, **extra) or 0
            sys.stdout.flush()
        except click.ClickException as error:
            click.echo(_shown(error), err=True)
            status = getattr(error, "status", error.exit_code)
        except click.Abort:
            click.echo("error: interrupted", err=True)
            status = INTERRUPTED
        except BrokenPipeError:  # whoever read our output has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = FAILURE
        sys.exit(status)


class _Ended(click.ClickException):
    """The end of a command that failed, with the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _ended(error: Exception, debug: bool) -> _Ended:
    """The end that an error makes: its kind says whether the user asked wrongly or something failed."""
    if isinstance(error, GraphFileError):
        return _Ended(message_of(error), USAGE)
    hint = "" if debug or isinstance(error, OSError) else "\n(--debug shows the traceback)"
    return _Ended(message_of(error) + hint, FAILURE)


def _shown(error: click.ClickException) -> str:
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return message
    if isinstance(error, click.UsageError) and error.ctx is not None:
        message += f"\nsee: {error.ctx.command_path} --help"
    return f"error: {message}"


def message_of(error: Exception) -> str:
    """What a person is told of an error: kind, message, place in the user's code, notes.

    >>> message_of(GraphFileError("rnn.py has no parameter 'step'"))
    "rnn.py has no parameter 'step'"
    >>> message_of(ZeroDivisionError("division by zero"))
    'ZeroDivisionError: division by zero'
    """
    text, kind, place = str(error), type(error).__name__, user_place(error)
    if isinstance(error, SyntaxError) and os.path.exists(error.filename or ""):
        text, place = error.msg, f"{error.filename}:{error.lineno}"
    if not isinstance(error, GraphFileError | OSError):
        text = f"{kind}: {text}" if text else kind
    notes = [note for note in getattr(error, "__notes__", []) if TRACEBACK not in note]  # that is for --debug
    lines = [text, *notes]
    if place and not any(place in line for line in lines):
        lines[0] += f" ({place})"
    return "\n".join(lines)


def user_place(error: BaseException) -> str | None:
    """File and line of the innermost call that led to `error` and is in no installed package."""
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = frame.f_code.co_filename
        packaged = name.startswith(NOT_THE_USERS) or "site-packages" in name or "dist-packages" in name
        if not packaged and not name.endswith(".pyx"):  # NumPy's compiled code gives no whole path
            place = f"{name}:{line}"
    return place


# --- options --------------------------------------------------------------------------------------------
def _remember_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[DEBUG] = ctx.meta.get(DEBUG, False) or value


def _pairs(ctx: click.Context, _: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    texts = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{value!r} is not of the form name=value", ctx)
        texts[name.strip()] = text
    return texts


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_remember_debug,
    help="Show the traceback of an error.",
)
file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
parameters_option = click.option(
    "-p",
    "texts",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pairs,
    help="A parameter of the file's build; may be given several times.",
)
forward_option = click.option("--forward-only", is_flag=True, help="Derive no gradients.")
executor_option = click.option(
    "--executor", type=click.Choice(CHOICES), default="auto", show_default=True, help="What to run on."
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Number of threads or processes; by default the cores."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def options(*several: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order in which the help shows them."""

    def add(command: F) -> F:
        for option in reversed(several):
            command = option(command)
        return command

    return add


# --- before long work -----------------------------------------------------------------------------------
def require_apart(**paths: Path | None) -> None:
    """Raise UsageError where two of the files are one: what is written would take the place of the other."""
    used: dict[str, str] = {}
    for name, path in paths.items():
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in used and (os.path.isfile(place) or not os.path.exists(place)):  # a device takes several
            raise click.UsageError(f"{used[place]} and {name} are one file: {path}")
        used[place] = name


def require_ending(path: Path, endings: Sequence[str], option: str) -> None:
    """Raise UsageError unless `path` ends in one of `endings`."""
    if path.suffix.lower() not in endings:
        known = ", ".join(endings)
        raise click.UsageError(f"{option} {path}: the ending says the format, and can be {known}")
