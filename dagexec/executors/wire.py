"""Values as they travel between processes: small messages, with all arrays in shared memory.

A value is encoded as (kind, payload, places of its arrays); the kinds are

- "array": an array;
- "tuple": a tuple of arrays;
- "plain": a number, a short string, None: the payload itself;
- "pickle": anything else, pickled; an array inside is left out of the pickle and lies in the memory;
- "stored": the same, but the pickle is long and lies in the memory, before the arrays.

Pickling is cloudpickle's: functions and classes of the user's main module travel by value.

>>> from dagexec.executors.arena import Arena
>>> arena = Arena()
>>> kind, payload, (placed,) = encode({"x": [np.arange(3.0)]}, arena, arena.allocate)
>>> kind, placed[1:]
('pickle', ((3,), (8,), 'd', True))
>>> decode((kind, payload, [placed]), arena.view)
{'x': [array([0., 1., 2.])]}
>>> arena.close()
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np

from dagexec.executors.arena import Allocate, Array, Memory, Placed

Encoded = tuple[str, Any, list[Placed]]

LONG_MESSAGE = 8192  # two of them, each way, fit a socket's buffer: neither side ever waits for the other
LONG_PICKLE = 1024
NUMBERS = (int, float, complex, bool, type(None))


def encode(value: Any, memory: Memory, allocate: Allocate) -> Encoded:
    """A value as it travels; `allocate` gives room for those of its arrays that are not in the memory."""
    if _is_plain(value):
        return "plain", value, []
    if is_array(value):
        return "array", None, memory.place([value], allocate)
    if type(value) is tuple and value and all(map(is_array, value)):
        return "tuple", None, memory.place(value, allocate)
    arrays: list[Array] = []
    data = io.BytesIO()
    _Pickler(data, arrays).dump(value)
    if data.tell() <= LONG_PICKLE:
        return "pickle", data.getvalue(), memory.place(arrays, allocate)
    return "stored", None, memory.place([np.frombuffer(data.getvalue(), np.uint8), *arrays], allocate)


def decode(encoded: Encoded, view: Callable[[Placed], Array]) -> Any:
    """The value; `view` makes an array from where it lies."""
    kind, payload, places = encoded
    if kind == "plain":
        return payload
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


def _is_plain(value: Any) -> bool:
    if type(value) in NUMBERS:
        return type(value) is not int or value.bit_length() < 8 * LONG_PICKLE
    if isinstance(value, np.generic):
        return type(value).__module__ == "numpy" and not value.dtype.hasobject and value.nbytes < LONG_PICKLE
    return type(value) in (str, bytes) and len(value) < LONG_PICKLE


def is_array(value: Any) -> bool:
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
