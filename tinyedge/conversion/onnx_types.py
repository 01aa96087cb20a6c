"""An ONNX model whose reals are float32, whichever type its file has them in."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.conversion.onnx_shapes import inputs_of
from tinyedge.errors import ModelError

if TYPE_CHECKING:
    import onnx

_TYPES_OF_NODES = ("dtype", "to")
"""The attributes that say which type a node makes."""


def in_float32(model: "onnx.ModelProto", path: Path) -> tuple[str, ...]:
    """Make float32 of all other reals, and of the integers that an input's Casts make reals, in place.

    float16 is a way to store a network, or to run it on a GPU: its values lie in float32 as they are. An input that
    nothing reads goes.

    Args:
        model: Anybody's.
        path: For messages.

    Returns:
        What was changed, a sentence each.

    Raises:
        ModelError: An input is of another type and has to stay so.
    """
    import onnx

    float32 = onnx.TensorProto.FLOAT
    others = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE}
    found = set()
    for tensor in _constants(model):
        if tensor.data_type in others:
            found.add(tensor.data_type)
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in _TYPES_OF_NODES and attribute.i in others:
                found.add(attribute.i)
                attribute.i = float32
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if value.type.tensor_type.elem_type in others:
            found.add(value.type.tensor_type.elem_type)
            value.type.tensor_type.elem_type = float32
    notes = [f"{_name(kind)} values became float32" for kind in sorted(found)]
    for value in inputs_of(model):
        readers = [node for node in model.graph.node if value.name in node.input]
        kind = value.type.tensor_type.elem_type
        if not readers and value.name not in {output.name for output in model.graph.output}:
            model.graph.input.remove(value)
            notes.append(f"input {value.name}, which nothing reads, is left out")
        elif kind != float32:
            if not all(node.op_type == "Cast" and node.attribute[0].i == float32 for node in readers):
                raise ModelError(
                    f"input {value.name} of {path} is {_name(kind)}, and quantisation takes networks of float32 "
                    "inputs: cut the network behind what reads it"
                )
            value.type.tensor_type.elem_type = float32
            notes.append(f"input {value.name}, {_name(kind)} in the file, takes the same numbers as float32")
    return tuple(notes)


def _constants(model: "onnx.ModelProto") -> "Iterator[onnx.TensorProto]":
    """Yield the constants of a model, those that nodes hold too."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _name(kind: int) -> str:
    import onnx

    return str(onnx.TensorProto.DataType.Name(kind)).lower()
