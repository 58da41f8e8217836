"""`dagexec list`: the graph files of a folder, what they are about and their parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dagexec.cli.program import debug_option, json_option, message_of, options
from dagexec.cli.show import print_hanging, print_json
from dagexec.graphfile import REQUIRED, GraphFile, as_text, has_build, load


@click.command("list")
@click.argument(
    "folder", metavar="[DIR]", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@options(json_option, debug_option)
def list_files(folder: Path | None, as_json: bool) -> None:
    """List the graph files in DIR (./graphs if there is one, else here)."""
    found = graph_files(folder or default_folder())
    if as_json:
        print_json([_row(path, file) for path, file in found])
        return
    for path, file in found:
        print_hanging("", str(path), style="bold")
        for line, style in _lines(file):
            print_hanging("  ", line, style=style)
    if not found:
        click.echo(f"no graph files in {folder or default_folder()}")


def default_folder() -> Path:
    """Where graph files are looked for if nobody says where."""
    return Path("graphs") if Path("graphs").is_dir() else Path()


def graph_files(folder: Path) -> list[tuple[Path, GraphFile | Exception]]:
    """The files of `folder` that define `build`, loaded, or the error of one that cannot be loaded."""
    found: list[tuple[Path, GraphFile | Exception]] = []
    for path in sorted(folder.glob("*.py")):
        try:
            if has_build(path):
                found.append((path, load(path)))
        except Exception as error:
            found.append((path, error))
    return found


def _lines(file: GraphFile | Exception) -> list[tuple[str, str]]:
    if isinstance(file, Exception):
        return [(f"cannot be loaded: {message_of(file)}", "red")]
    lines = [(file.doc, "")] if file.doc else []
    if file.parameters:
        lines.append(("-p " + "  ".join(map(str, file.parameters.values())), "dim"))
    return lines


def _row(path: Path, file: GraphFile | Exception) -> dict[str, Any]:
    if isinstance(file, Exception):
        return {"path": str(path), "error": message_of(file)}
    defaults = {
        name: None if parameter.default is REQUIRED else as_text(parameter.default)
        for name, parameter in file.parameters.items()
    }
    return {"path": str(path), "name": file.name, "doc": file.doc, "parameters": defaults}
