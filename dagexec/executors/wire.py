"""Values as they travel between processes: small messages, with all arrays in shared memory.

A number, a short string or None travels as it is, many of them in one dictionary. Any other value is encoded
as (kind, payload, places of its arrays); the kinds are

- "array": an array;
- "tuple": a tuple of arrays;
- "pickle": anything else, pickled; an array inside is left out of the pickle and lies in the memory;
- "stored": the same, but the pickle is long and lies in the memory, before the arrays.

The values of one message are placed together, so that arrays of theirs that overlap go on to. Pickling is
cloudpickle's: functions and classes of the user's main module travel by value.

>>> from dagexec.executors.arena import Arena
>>> arena = Arena()
>>> plain, encoded = encode({1: 5, 2: {"x": [np.arange(3.0)]}}, arena, arena.allocate)
>>> kind, payload, (placed,) = encoded[2]
>>> plain, kind, placed[1:]
({1: 5}, 'pickle', ((3,), (8,), 'd', True))
>>> decode((kind, payload, [placed]), arena.view)
{'x': [array([0., 1., 2.])]}
>>> arena.close()
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import cloudpickle
import numpy as np

from dagexec.executors.arena import Allocate, Array, Memory, Placed

Encoded = tuple[str, Any, list[Placed]]

Warned = tuple[int, str, type[Warning], str, int]  # task, text, category, file and line


class Report(NamedTuple):
    """What a worker answers to a batch: `kind` is "done" or "error".

    The first `done` tasks are done. `warned` are the warnings they gave, `kept` the slots of which they keep
    an array. With a log, `times` has start, end and bytes of each task that began.
    """

    kind: str
    done: int
    seconds: float  # that the batch took; of an error, the time
    plain: dict[int, Any]  # the values that are read outside of the batch
    encoded: dict[int, Encoded]
    task: int  # that failed
    error: bytes  # pickled
    kept: list[int]
    warned: list[Warned]
    times: list[tuple[float, float, int]]


LONG_MESSAGE = 16_000  # two of them, each way, fit a socket's buffer: neither side waits for the other
LONG_PICKLE = 1024
NUMBERS = (int, float, complex, bool, type(None))


class Parcel:
    """Values that are to travel together."""

    def __init__(self) -> None:
        self.plain: dict[int, Any] = {}
        self._others: list[tuple[int, str, Any, int]] = []  # slot, kind, payload, number of arrays
        self._arrays: list[Array] = []

    def add(self, slot: int, value: Any) -> None:
        """Add the value of a slot; raises what pickling it raises."""
        if is_plain(value):
            self.plain[slot] = value
            return
        payload = None
        if is_array(value):
            kind, arrays = "array", [value]
        elif type(value) is tuple and value and all(map(is_array, value)):
            kind, arrays = "tuple", list(value)
        else:
            kind, arrays, data = "pickle", [], io.BytesIO()
            _Pickler(data, arrays).dump(value)
            payload = data.getvalue()
            if len(payload) > LONG_PICKLE:
                kind, arrays = "stored", [np.frombuffer(payload, np.uint8), *arrays]
                payload = None
        self._others.append((slot, kind, payload, len(arrays)))
        self._arrays += arrays

    def place(self, memory: Memory, allocate: Allocate) -> dict[int, Encoded]:
        """The values that are not plain, encoded; `allocate` gives room for arrays not in the memory yet."""
        if not self._others:
            return {}
        places = iter(memory.place(self._arrays, allocate))
        return {
            slot: (kind, payload, list(islice(places, count))) for slot, kind, payload, count in self._others
        }


def encode(
    values: Mapping[int, Any], memory: Memory, allocate: Allocate
) -> tuple[dict[int, Any], dict[int, Encoded]]:
    """Values as they travel: those that are plain, and the others, encoded."""
    parcel = Parcel()
    for slot, value in values.items():
        parcel.add(slot, value)
    return parcel.plain, parcel.place(memory, allocate)


def decode(encoded: Encoded, view: Callable[[Placed], Array]) -> Any:
    """The value; `view` makes an array from where it lies."""
    kind, payload, places = encoded
    arrays = [view(placed) for placed in places]
    if kind == "array":
        return arrays[0]
    if kind == "tuple":
        return tuple(arrays)
    if kind == "stored":
        payload = arrays.pop(0).tobytes()
    return _Unpickler(payload, arrays).load()


def pack(message: Any, memory: Memory, allocate: Allocate) -> bytes:
    """A message as bytes for a connection: itself, or where it lies in the memory if it is long."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    if len(data) <= LONG_MESSAGE:
        return data
    offset = allocate(len(data))
    memory.map[offset : offset + len(data)] = data
    return pickle.dumps((offset, len(data)))


def unpack(data: bytes, memory: Memory) -> Any:
    """The message that was packed."""
    message = pickle.loads(data)
    if type(message[0]) is str:  # every message begins with its kind; only the place of a long one does not
        return message
    offset, length = message
    return pickle.loads(memory.map[offset : offset + length])


def is_plain(value: Any) -> bool:
    """Does a value travel as it is?"""
    if type(value) in NUMBERS:
        return type(value) is not int or value.bit_length() < 8 * LONG_PICKLE
    if isinstance(value, np.generic):
        return type(value).__module__ == "numpy" and not value.dtype.hasobject and value.nbytes < LONG_PICKLE
    return type(value) in (str, bytes) and len(value) < LONG_PICKLE


def is_array(value: Any) -> bool:
    """Does a value lie in the shared memory as it is?"""
    return type(value) is np.ndarray and not value.dtype.hasobject


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Puts the arrays it meets on a list, and their number there into the pickle."""

    def __init__(self, file: io.BytesIO, arrays: list[Array]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._arrays = arrays

    def reducer_override(self, value: Any) -> Any:
        if is_array(value):
            self._arrays.append(value)
            return left_out_array, (len(self._arrays) - 1,)
        return super().reducer_override(value)


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, arrays: list[Array]) -> None:
        super().__init__(io.BytesIO(data))
        self._arrays = arrays

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, left_out_array.__name__):
            return self._arrays.__getitem__
        return super().find_class(module, name)


def left_out_array(number: int) -> Array:
    """Stands in a pickle for an array that lies in the memory."""
    raise AssertionError("decode() puts the array in its place")
