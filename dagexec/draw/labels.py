"""What a picture says about a node: short labels, tooltips, and text made safe for DOT.

A label is one short line, `matmul 32×128`; in a DAG of plain callables that have keys, `key = function`.
Scalar constants stand in the label of the node that reads them, `2 × ·`, `maximum(·, 0)`; everything else is
in the tooltip. Names are user input, so text is data: `quoted` is the one door through which any text enters
a DOT file, and what cannot be printed is shown by its escape.

>>> quoted('a "b" <i>' + chr(10))
'"a \\\\"b\\\\" <i>\\\\\\\\n"'
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from dagexec.graph import INPUT, Node, Spec, differentiated, is_scalar_constant, text_of

LONGEST = 60  # characters of one line; a name may have ten thousand

SYMBOLS = {
    "add": "+",
    "subtract": "−",
    "multiply": "×",
    "divide": "÷",
    "pow": "^",
    "negative": "−",
    "less": "<",
    "less_equal": "≤",
    "greater": ">",
    "greater_equal": "≥",
    "equal": "=",
    "not_equal": "≠",
    "logical_and": "∧",
    "logical_or": "∨",
    "logical_not": "¬",
    "square": "x²",
    "sqrt": "√",
}
MOST_VALUES = 3  # elements of an axis that are shown
LARGEST_CONSTANT = 1_000_000  # elements of an array that is looked through
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))  # of time
HOLE = "·"  # where a value comes in over an edge


def printable(text: str, longest: int = LONGEST) -> str:
    """`text` on one line: what is not printable by its escape, what is too long cut with an ellipsis.

    >>> printable("tab" + chr(9) + "stop"), printable("abcdefgh", longest=5)
    ('tab\\\\tstop', 'abcd…')
    """
    text = text[: longest + 1]
    text = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def quoted(*lines: str) -> str:
    """Lines of text as one quoted DOT string that shows them literally.

    pydot leaves a string in double quotes as it is; unquoted, it would take `<b>` for HTML and `node` for a
    keyword. Graphviz itself resolves `&amp;` and backslashes in labels.
    """
    safe = [
        line.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
        for line in (printable(line, longest=400) for line in lines)
    ]
    return '"' + "\\n".join(safe) + '"'


WIDTHS = {  # of a sign, in units of the font's size; generous, since the reader's font is not known
    "ijl.,:;'|![](){}I ·tfr/\\": 0.4,
    "mwMW%@∇Σ×…+=<>^~−÷≤≥≠≈": 0.9,
}
WIDTH_OF = {sign: width for signs, width in WIDTHS.items() for sign in signs}


def text_width(line: str, size: float) -> float:
    """About how wide a line of text is, in the unit of the font's `size`.

    >>> round(text_width("tanh 64×256", 10.0))
    67
    """
    return size * sum([WIDTH_OF.get(sign, 0.62 if ord(sign) < 0x1100 else 1.0) for sign in line])


def dims(spec: Any) -> str:
    """The shape as `32×128`; nothing for a scalar or an unknown shape.

    >>> dims(Spec((32, 128), "float32"))
    '32×128'
    """
    return "×".join(map(str, spec.shape)) if isinstance(spec, Spec) else ""


def duration(seconds: float) -> str:
    """A time with three digits.

    >>> duration(0.0000123), duration(0.0123), duration(0)
    ('12.3 µs', '12.3 ms', '0 s')
    """
    size, unit = next((row for row in UNITS if seconds >= 0.9995 * row[0]), UNITS[-1])
    return f"{seconds / size:.3g} {unit}" if seconds else "0 s"


def size_text(nbytes: float) -> str:
    """A number of bytes with three digits.

    >>> size_text(131072), size_text(20)
    ('128 KiB', '20 B')
    """
    for unit in ("B", "KiB", "MiB"):
        if nbytes < 999.5:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.3g} GiB"


def number(value: Any) -> str:
    """A scalar in few characters.

    >>> number(np.float32(0.1)), number(2.0), number(True)
    ('0.1', '2', 'True')
    """
    value = np.asarray(value)[()]
    return f"{value:.4g}" if isinstance(value, np.floating) else printable(str(value), 12)


def known_value(node: Node) -> str:
    """The value of a node that has one (what is recorded as it is computed), if it is short: `= 3.14`."""
    value = getattr(node, "value", None)
    if value is None or isinstance(value, tuple):
        return ""
    array = np.asarray(value)
    return f"= {values_text(array)}" if array.ndim < 2 or array.size <= MOST_VALUES**2 else ""


def values_text(array: np.ndarray[Any, Any]) -> str:
    """The first elements of an array.

    >>> values_text(np.array([0.1, 0.2, 0.3, 0.4]))
    '[0.1 0.2 0.3 …]'
    """
    if array.ndim == 0:
        return number(array)
    parts = [values_text(part) for part in array[:MOST_VALUES]]
    return f"[{' '.join(parts + ['…'] * (len(array) > MOST_VALUES))}]"


def index_text(index: tuple[Any, ...]) -> str:
    """An index as it is written between brackets.

    >>> index_text((0, slice(None, 2), None, Ellipsis, "array"))
    '0, :2, None, ..., array'
    """

    def entry_text(entry: Any) -> str:
        if isinstance(entry, slice):
            parts = ["" if part is None else str(part) for part in (entry.start, entry.stop, entry.step)]
            return ":".join(parts if parts[2] else parts[:2])
        return "..." if entry is Ellipsis else str(entry)

    return ", ".join(map(entry_text, index))


# What a label says about the static parameters, by op.
PARAMETERS: dict[str, Any] = {
    "getitem": lambda index, **_: f"[{index_text(index)}]",
    "scatter_add": lambda indices, **_: (
        " ".join(f"[{index_text(index)}]" for index in indices[:2])
        + f" … ×{len(indices)}" * (len(indices) > 2)
    ),
    "astype": lambda dtype, **_: np.dtype(dtype).name,
    "scan": lambda body, length, **_: f"{body.name} ×{length}",
    "while_loop": lambda body, **_: body.name,
    "cond": lambda on_true, on_false, **_: f"{on_true.name} or {on_false.name}",
    "checkpoint": lambda graph, **_: graph.name,
}


def is_transpose(node: Node) -> bool:
    """Whether a node swaps the last two axes and nothing else."""
    if node.op.name != "permute_dims":
        return False
    axes = tuple(node.params["axes"])
    return len(axes) > 1 and axes == (*range(len(axes) - 2), len(axes) - 1, len(axes) - 2)


def applied(node: Node, scalar: bool, turned: Collection[Node] = ()) -> str:
    """The op, applied to its scalar constants, with holes for its other inputs: `· × 2`, `maximum(·, 0)`.

    Inputs in `turned` are not drawn, but shown as transposed: `matmul(·ᵀ, ·)`.
    """
    told = any(is_scalar_constant(source) or source in turned for source in node.inputs)
    symbol = SYMBOLS.get(node.op.name) if scalar or (told and len(node.inputs) == 2) else None
    name = printable(symbol or node.op.name)
    if not told:
        return name
    words = [
        number(source.params["value"]) if is_scalar_constant(source) else HOLE + "ᵀ" * (source in turned)
        for source in node.inputs
    ]
    return f" {name} ".join(words) if symbol and len(words) == 2 else f"{name}({', '.join(words)})"


def op_label(node: Node, *, scalar: bool = False, shape: bool = True, turned: Collection[Node] = ()) -> str:
    """Name, constants and shape of one operation; the usual sign instead of the name, where that says all."""
    tell = PARAMETERS.get(node.op.name)
    what = applied(node, scalar, turned)
    words = [
        f"{printable(node.name, LONGEST // 2)} =" if is_keyed(node) else "",
        what,
        tell(**node.params) if tell else "",
        " " * (" " in what) + dims(node.spec) if shape else "",  # `2 × ·  4×5`: two signs of two meanings
    ]
    return printable(" ".join(word for word in words if word.strip()))


def is_keyed(node: Node) -> bool:
    """Whether a node computes the value of a key: then the name of its function does not say which."""
    return node.op.family == "python" and node.name not in ("", node.op.name)


def op_name(node: Node) -> str:
    """What an operation is called from far away: region and op."""
    region = f"{region_label(node.scope[-1], node.phase)} " if node.scope else ""
    return printable(region + node.op.name, LONGEST // 2)


def value_label(node: Node) -> str:
    """Name (where there is one) and shape of a value."""
    words = [printable(node.name, LONGEST // 2), dims(node.spec)]
    return " ".join(word for word in words if word) or ("scalar" if isinstance(node.spec, Spec) else "value")


def constant_label(node: Node) -> str:
    """A constant array: the one number it is full of, or that it is a constant; and its shape.

    >>> from dagexec.graph import CONSTANT
    >>> zeros = np.zeros((64, 256))
    >>> constant_label(Node(CONSTANT, params={"value": zeros}, spec=Spec(zeros.shape, zeros.dtype)))
    '0 64×256'
    """
    value, what = node.params.get("value"), "constant"
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and 0 < value.size <= LARGEST_CONSTANT:
        first = value.flat[0]
        what = number(first) if bool((value == first).all()) else what
    return f"{what} {dims(node.spec) or printable(node.name)}".rstrip()


def region_label(name: str, phase: str) -> str:
    """What a region is called in a phase: the backward one of `cell[0]` is `∇cell[0]`."""
    return f"∇{printable(name)}" if phase == "backward" else printable(name)


def tooltip(node: Node) -> list[str]:
    """Everything a picture has no room for, in lines."""
    lines = [f"{node.op.name} {node.name}".strip(), f"{node.spec}", f"phase {node.phase}"]
    lines += [f"scope {'/'.join(node.scope)}"] if node.scope else []
    lines += [
        f"{key} = {text_of(value)}" for key, value in node.params.items() if not isinstance(value, np.ndarray)
    ]
    lines += [f"gradient of {node.grad_of.name or node.grad_of.op.name}"] if node.grad_of is not None else []
    lines += [f"{node.where[0]}:{node.where[1]}"] if node.where else []
    return lines


def common_name(names: Sequence[str]) -> str:
    """What dotted names begin with, all of them.

    >>> common_name(["params.cell.w", "params.cell.b"])
    'params.cell'
    """
    parts = [name.split(".") for name in names]
    return ".".join(level[0] for level in takewhile(lambda level: len(set(level)) == 1, zip(*parts)))


def names_text(names: Sequence[str], what: str = "values") -> str:
    """Dotted names in few characters: all of them, or how many.

    >>> names_text(["params.w", "params.b"]), names_text(["params.weights", "params.convolution"])
    ('params w b', 'params 2 values')
    """
    if len(names) == 1:
        return printable(names[0], LONGEST // 2)
    common = common_name(names)
    rest = [name[len(common) :].lstrip(".") for name in names]
    listed = " ".join(filter(None, [common, *rest]))
    if len(listed) > LONGEST // 3:
        listed = f"{printable(common, LONGEST // 2)} {len(names)} {what}".lstrip()
    return printable(listed)


def element_label(node: Node) -> str:
    """What an element of an input is called among scalars: `A[0,1]`."""
    index = ",".join(map(str, node.params["index"]))
    return f"{printable(node.inputs[0].name or 'x', LONGEST // 2)}[{index}]"


def gradient_name(node: Node) -> str:
    """The name of the input whose gradient a backward result is, where that is beyond doubt."""
    source = differentiated(node)
    return printable(source.name, LONGEST // 2) if source is not None else ""


def gradient_elements(result: Node) -> dict[Node, str]:
    """Of a gradient among scalars: what its elements are called, `W[0,1]`."""
    stacked = result.inputs[0] if result.op.name == "reshape" else result
    element = result.grad_of
    if element is None or element.op.name != "getitem" or stacked.op.name != "stack":
        return {}
    source = element.inputs[0]
    if source.op is not INPUT or source.spec != result.spec or len(set(stacked.inputs)) < len(stacked.inputs):
        return {}
    name = printable(source.name, LONGEST // 2)
    indices = np.ndindex(result.spec.shape)
    return {
        element: f"{name}[{','.join(map(str, index))}]" for element, index in zip(stacked.inputs, indices)
    }
