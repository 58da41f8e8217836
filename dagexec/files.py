"""Files are written whole or not at all, and it is known beforehand whether they can be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any
from uuid import uuid4


def require_writable(path: Path) -> None:
    """Raise OSError, naming `path`, unless a file can be written there."""
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a directory")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from None


@contextmanager
def written_whole(path: str | PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """A file that takes the place of `path` when the block ends well, and leaves nothing behind otherwise.

    Raises OSError, naming `path`, if its folder cannot be written to.
    """
    path = os.path.realpath(path)  # a link stays one
    if os.path.isdir(path):
        raise IsADirectoryError(f"cannot write {path}: it is a directory")
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe: nothing to put in its place
        with open(path, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        return
    temporary = os.path.join(os.path.dirname(os.path.abspath(path)), f".{uuid4().hex}")
    try:
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except OSError as error:
        raise type(error)(f"cannot write {path}: {error.strerror or error}") from None
    try:
        with open(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
