"""Data: batches of arrays, and files read into arrays.

`Batches` is what a `Training` goes through, once an epoch. `read_idx` reads the format in which MNIST comes,
`read_csv` tables, `read_text` plain text, all packed by gzip or not; `digits` reads a folder of MNIST's four
files. A missing file raises OSError, a damaged one, or one of another kind, ValueError with its name.

>>> import numpy as np
>>> for numbers, in Batches((np.arange(6),), size=2, seed=1).epoch(0):
...     print(numbers)
[4 0]
[2 1]
[5 3]
"""

from __future__ import annotations

import csv
import gzip
import io
import operator
import zlib
from collections.abc import Iterator, Sequence
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dagexec.files import written_whole

FilePath = str | PathLike[str]


# --- batches --------------------------------------------------------------------------------------------
class Batches:
    """Arrays of equal length in batches of `size` rows, shuffled anew for each epoch.

    All batches have one shape: what is left of the rows, `left_out` of them, does not take part in an epoch;
    in each epoch these are others. The order depends on `seed` and the number of the epoch only.

    Raises ValueError for arrays of different lengths, and a size that is not between 1 and that length;
    TypeError for arrays that are in no tuple or list.

    >>> import numpy as np
    >>> batches = Batches((np.zeros((10, 3)), np.arange(10)), size=4)
    >>> len(batches), batches.left_out, [array.shape for array in batches.first]
    (2, 2, [(4, 3), (4,)])
    """

    def __init__(self, arrays: Sequence[Any], size: int, seed: int = 0) -> None:
        if not isinstance(arrays, tuple | list):  # the rows of a single array would be taken for arrays
            raise TypeError(f"arrays must be a tuple of arrays, as (x, y), not {type(arrays).__name__}")
        self.arrays = tuple(map(np.asarray, arrays))
        self.size, self.seed = operator.index(size), operator.index(seed)
        if seed < 0:
            raise ValueError(f"a seed must not be negative, as {seed} is")
        lengths = [len(array) if array.ndim else 0 for array in self.arrays]
        if len(set(lengths)) != 1:
            raise ValueError(f"the arrays of Batches must have equal lengths, not {lengths}")
        if not 1 <= size <= lengths[0]:
            raise ValueError(f"batches of {size} rows cannot be made of {lengths[0]} rows")
        self.rows = lengths[0]

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return self.rows // self.size

    @property
    def left_out(self) -> int:
        """How many rows do not take part in an epoch, because they are less than a batch."""
        return self.rows % self.size

    @property
    def first(self) -> tuple[np.ndarray[Any, Any], ...]:
        """The first batch of the first epoch."""
        return next(self.epoch(0))

    def epoch(self, number: int) -> Iterator[tuple[np.ndarray[Any, Any], ...]]:
        """The batches of an epoch."""
        order = np.random.default_rng((self.seed, number)).permutation(self.rows)
        for start in range(0, len(self) * self.size, self.size):
            rows = order[start : start + self.size]
            yield tuple(array[rows] for array in self.arrays)

    def __repr__(self) -> str:
        return f"<Batches: {self.rows} rows, {len(self)} batches of {self.size}, {self.left_out} left out>"


# --- IDX ------------------------------------------------------------------------------------------------
IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: FilePath) -> np.ndarray[Any, Any]:
    """The array of an IDX file, such as MNIST's, packed by gzip or not.

    The format: two zero bytes, one that says the dtype and one the number of axes; their lengths as
    big-endian 32-bit numbers; then the elements, the last axis fastest.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_idx(f"{folder}/x-idx2-ubyte.gz", np.eye(2, dtype="uint8"))
    ...     read_idx(f"{folder}/x-idx2-ubyte.gz")
    array([[1, 0],
           [0, 1]], dtype=uint8)
    """
    data = _bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_DTYPES:
        raise ValueError(f"{path} is no IDX file: it starts with {data[:4].hex(' ') or 'nothing'}")
    dtype, start = np.dtype(IDX_DTYPES[data[2]]), 4 + 4 * data[3]
    if len(data) < start:
        raise ValueError(f"{path} is damaged: it ends before the lengths of its {data[3]} axes")
    shape = tuple(np.frombuffer(data, ">u4", data[3], 4).tolist())
    wanted, found = prod(shape) * dtype.itemsize, len(data) - start
    if found != wanted:
        raise ValueError(f"{path} is damaged: shape {shape} takes {wanted} bytes, but it holds {found}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def write_idx(path: FilePath, array: Any) -> None:
    """Write an array as an IDX file, packed if the name ends in .gz.

    Raises TypeError for a dtype that the format does not have: those of (u)int8, int16, int32, and floats.
    """
    array = np.asarray(array)
    codes = {np.dtype(dtype).newbyteorder("="): code for code, dtype in IDX_DTYPES.items()}
    if array.dtype not in codes:
        raise TypeError(f"IDX files hold {', '.join(map(str, codes))}, not {array.dtype}")
    code = codes[array.dtype]
    head = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    data = head + array.astype(IDX_DTYPES[code]).tobytes()
    with written_whole(path, "wb") as file:
        file.write(gzip.compress(data, mtime=0) if str(path).endswith(".gz") else data)


class Digits(NamedTuple):
    """Images of handwritten digits: float32 (n, height, width) from 0 to 1, and labels, int64 (n,)."""

    images: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    test_images: np.ndarray[Any, Any]
    test_labels: np.ndarray[Any, Any]


def digits(folder: FilePath) -> Digits:
    """The digits of a folder with MNIST's four files, or others of the same names, packed by gzip or not.

    They are train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte. Raises FileNotFoundError if one is missing, ValueError if images and labels do not
    fit together.
    """
    found = []
    for part in ("train", "t10k"):
        images = read_idx(_packed_or_not(Path(folder), f"{part}-images-idx3-ubyte"))
        labels = read_idx(_packed_or_not(Path(folder), f"{part}-labels-idx1-ubyte"))
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise ValueError(f"{folder}: {part} has images {images.shape}, but labels {labels.shape}")
        found += [images, labels.astype(np.int64)]
    images, labels, test_images, test_labels = found
    most = np.float32(images.max(initial=1))
    return Digits(images / most, labels, test_images / most, test_labels)


def _packed_or_not(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise FileNotFoundError(f"there is no {name} and no {name}.gz in {folder}, where MNIST's files should be")


# --- tables and text --------------------------------------------------------------------------------------
def read_csv(path: FilePath, separator: str = ",") -> dict[str, np.ndarray[Any, Any]]:
    """The columns of a table by the names in its first row: float64 where all are numbers, else text.

    Raises ValueError for a row that is longer or shorter than the first, or two columns of one name.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "x.csv")
    ...     _ = path.write_text("name,height\\nAda,1.5\\nMax,2\\n")
    ...     read_csv(path)["height"]
    array([1.5, 2. ])
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=separator)
    names = next(reader)
    if len(set(names)) < len(names):
        raise ValueError(f"{path} names a column twice: {', '.join(names)}")
    rows = []
    for row in reader:
        if row and len(row) != len(names):
            raise ValueError(f"{path}, line {reader.line_num}: {len(row)} cells, but {len(names)} columns")
        rows.extend([row] if row else [])
    return {name: _column([row[number] for row in rows]) for number, name in enumerate(names)}


def _column(cells: list[str]) -> np.ndarray[Any, Any]:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        return np.array(cells)


def read_text(path: FilePath) -> str:
    """The text of a file in UTF-8, packed by gzip or not. Raises ValueError if it is no text, or empty."""
    data = _bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from None
    if "\0" in text or not text.strip():
        raise ValueError(f"{path} is {'no text: it holds null bytes' if text.strip() else 'empty'}")
    return text


def _bytes(path: FilePath) -> bytes:
    """What is in a file, unpacked if it is packed by gzip."""
    data = Path(path).read_bytes()
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: it cannot be unpacked ({error})") from None
