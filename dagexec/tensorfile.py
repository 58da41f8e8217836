"""Arrays and a JSON document in one safetensors file, written whole or not at all, and read without pickle.

The format of the file is safetensors' (https://github.com/huggingface/safetensors): a header in JSON, whose
metadata hold the document and a checksum, and the arrays' bytes. Needs the package (the extra `save`).

>>> import numpy as np, tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     write(f"{folder}/x.safetensors", {"w": np.arange(2.0)}, {"epoch": 3})
...     read(f"{folder}/x.safetensors", "numbers")
({'epoch': 3}, {'w': array([0., 1.])})
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

from dagexec.files import written_whole

KEY = "dagexec"  # of the document in the metadata
CHECKSUM = "crc32"  # of the arrays' bytes: safetensors itself has none


def write(path: str | PathLike[str], tensors: Mapping[str, np.ndarray[Any, Any]], document: Any) -> None:
    """Write arrays by name, which must lie in memory row by row, and what JSON can hold."""
    metadata = {KEY: json.dumps(document, allow_nan=False), CHECKSUM: _checksum(tensors)}
    data = require_safetensors().numpy.save(dict(tensors), metadata)
    with written_whole(path, "wb") as file:
        file.write(data)


def read(path: str | PathLike[str], what: str) -> tuple[Any, dict[str, np.ndarray[Any, Any]]]:
    """The document and the arrays of a file that `write` has written; `what` it holds is for messages.

    Raises OSError if there is no such file, ValueError if it is damaged or comes from elsewhere.
    """
    safetensors = require_safetensors()
    name = fspath(path)
    with open(name, "rb"):  # an OSError that says what is wrong
        pass
    try:
        with safetensors.safe_open(name, framework="numpy") as file:
            metadata = file.metadata() or {}
            text = metadata.get(KEY)
            tensors = {key: file.get_tensor(key) for key in file.keys()} if text is not None else {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{name} is no safetensors file, or is damaged: {error}") from None
    if text is None:
        raise ValueError(f"{name} holds tensors, but no dagexec {what}")
    if metadata.get(CHECKSUM) not in (None, _checksum(tensors)):  # older files have none
        raise ValueError(f"{name} is damaged: its arrays are not those that were written")
    try:
        return json.loads(text), tensors
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{name} is damaged: its document cannot be read ({error})") from None


def _checksum(tensors: Mapping[str, np.ndarray[Any, Any]]) -> str:
    total = 0
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        total = zlib.crc32(array.reshape(-1).view(np.uint8).data if array.size else b"", total)
    return f"{total:08x}"


def require_safetensors() -> Any:
    """The package, which is an extra."""
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "saved graphs and checkpoints are safetensors files, which need a package: "
            "pip install 'dagexec[save]'"
        ) from None
    return safetensors
