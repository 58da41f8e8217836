"""Pytrees: nested tuples, lists, dicts, named tuples and dataclasses of arrays, taken apart by optree.

optree knows dataclasses only once they are registered; those met here are, in a namespace of our own.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any

import optree

NAMESPACE = "dagexec"
_registered: set[type] = set()
_registering = Lock()


def flatten(tree: Any) -> tuple[list[Any], optree.PyTreeSpec]:
    """Leaves and structure of nested tuples, lists, dicts, named tuples and dataclasses."""
    while True:
        leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
        unknown = {cls for cls in set(map(type, leaves)) if hasattr(cls, "__dataclass_fields__")}
        if not unknown:
            return leaves, structure
        with _registering:
            for cls in unknown - _registered:
                _register_dataclass(cls)
                _registered.add(cls)


def _register_dataclass(cls: Any) -> None:
    names = tuple(cls.__dataclass_fields__)

    def take_apart(value: Any) -> tuple[tuple[Any, ...], None, tuple[str, ...]]:
        return tuple(getattr(value, name) for name in names), None, names

    def put_together(_: Any, children: Iterable[Any]) -> Any:
        value = object.__new__(cls)  # __init__ may check or convert what only stands for a value here
        for name, child in zip(names, children, strict=True):
            object.__setattr__(value, name, child)
        return value

    optree.register_pytree_node(cls, take_apart, put_together, namespace=NAMESPACE)
