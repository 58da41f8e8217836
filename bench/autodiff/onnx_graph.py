"""A derived graph as an ONNX model, so that ONNX Runtime can run it: it has no gradients of its own.

Most ops have their name in ONNX in the op table; what else is needed is written out here. Ops that are not
(gathering, convolutions' gradients) raise NotImplementedError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dagexec.graph import CONSTANT, INPUT, ITEM, Graph, Node

OPSET = 18  # the first with axes as inputs of all reductions


class Model:
    """What has been written of a model: nodes and constants, by name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any) -> str:
        """The name of a constant."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(
            numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name)
        )
        return name

    def add(self, op: str, inputs: list[str], results: int = 1, **attributes: Any) -> list[str]:
        """Apply an ONNX op; the names of its results."""
        from onnx import helper

        names = [f"v{len(self.nodes)}_{number}" for number in range(results)]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names

    def numbers(self, values: Any) -> str:
        """The name of a list of whole numbers."""
        return self.constant(np.array(values, np.int64).reshape(-1))


def _reduced(model: Model, node: Node, inputs: list[str]) -> list[str]:
    axes = model.numbers(node.params["axis"])
    keep = int(node.params["keepdims"])
    return model.add(str(node.op.onnx), [*inputs, axes], keepdims=keep, noop_with_empty_axes=1)


def _shaped(model: Model, node: Node, inputs: list[str]) -> list[str]:
    return model.add(str(node.op.onnx), [*inputs, model.numbers(node.spec.shape)])


def _with_axes(model: Model, node: Node, inputs: list[str]) -> list[str]:
    return model.add(str(node.op.onnx), [*inputs, model.numbers(node.params["axis"])])


def _unstacked(model: Model, node: Node, inputs: list[str]) -> list[str]:
    axis, count = node.params["axis"], len(node.spec)
    parts = model.add("Split", inputs, count, axis=axis, num_outputs=count)
    return [model.add("Squeeze", [part, model.numbers(axis)])[0] for part in parts]


def _bounds(index: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Start and end on each axis of an index of plain slices."""
    index = index if isinstance(index, tuple) else (index,)
    if len(index) != len(shape) or any(
        not isinstance(one, slice) or one.step not in (None, 1) for one in index
    ):
        raise NotImplementedError(f"no form in ONNX is written for the index {index}")
    return [one.indices(length)[:2] for one, length in zip(index, shape)]


def _sliced(model: Model, node: Node, inputs: list[str]) -> list[str]:
    starts, ends = zip(*_bounds(node.params["index"], node.inputs[0].spec.shape))
    return model.add("Slice", [*inputs, model.numbers(starts), model.numbers(ends)])


def _scattered(model: Model, node: Node, inputs: list[str]) -> list[str]:
    """Each part among zeros, all added."""
    shape, total = node.params["shape"], ""
    for part, index in zip(inputs, node.params["indices"]):
        bounds = _bounds(index, shape)
        pads = [start for start, _ in bounds] + [length - end for (_, end), length in zip(bounds, shape)]
        padded = model.add("Pad", [part, model.numbers(pads)])[0]
        total = model.add("Add", [total, padded])[0] if total else padded
    return [total]


WRITTEN: dict[str, Callable[[Model, Node, list[str]], list[str]]] = {
    **dict.fromkeys(("sum", "mean", "max"), _reduced),
    **dict.fromkeys(("reshape", "broadcast_to"), _shaped),
    **dict.fromkeys(("expand_dims", "squeeze"), _with_axes),
    "permute_dims": lambda model, node, inputs: model.add("Transpose", inputs, perm=node.params["axes"]),
    "square": lambda model, node, inputs: model.add("Mul", inputs * 2),
    "stop_gradient": lambda model, node, inputs: model.add("Identity", inputs),
    "unstack": _unstacked,
    "getitem": _sliced,
    "scatter_add": _scattered,
}


def onnx_model(graph: Graph) -> bytes:
    """The graph as a serialised model; inputs are named i0, i1, ..., outputs o0, o1, ...

    Raises NotImplementedError for ops that have no form here.
    """
    from onnx import helper

    model, names = Model(), {node: [f"i{number}"] for number, node in enumerate(graph.inputs)}
    for node in graph.nodes:
        if node.op is INPUT:
            continue
        inputs = [names[source][0] for source in node.inputs]
        if node.op is CONSTANT:
            names[node] = [model.constant(np.asarray(node.params["value"], node.spec.dtype))]
        elif node.op is ITEM:
            names[node] = [names[node.inputs[0]][node.params["index"]]]
        elif node.op.name in WRITTEN:
            names[node] = WRITTEN[node.op.name](model, node, inputs)
        elif node.op.onnx and not node.params:
            names[node] = model.add(node.op.onnx, inputs)
        else:
            raise NotImplementedError(f"no form in ONNX is written for {node.op.name}")
    for number, node in enumerate(graph.outputs):
        model.nodes.append(helper.make_node("Identity", names[node][:1], [f"o{number}"]))
    made = helper.make_graph(
        model.nodes,
        graph.name,
        [_info(f"i{number}", node) for number, node in enumerate(graph.inputs)],
        [_info(f"o{number}", node) for number, node in enumerate(graph.outputs)],
        model.constants,
    )
    opset = helper.make_opsetid("", OPSET)
    whole: bytes = helper.make_model(made, opset_imports=[opset], ir_version=9).SerializeToString()
    return whole


def _info(name: str, node: Node) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(node.spec.dtype), node.spec.shape
    )
