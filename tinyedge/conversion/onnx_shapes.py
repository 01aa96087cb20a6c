"""The inputs of an ONNX model, each with a static shape and a batch of 1, and what follows from them.

An input whose first dimension is no batch, as the state of a recurrent network (layers, 1, channels), gets one in
front: a sample is all of it.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.errors import ModelError

if TYPE_CHECKING:
    import onnx


def inputs_of(model: "onnx.ModelProto") -> "list[onnx.ValueInfoProto]":
    """Return what a model takes, without its initializers."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def static_shape(value: "onnx.ValueInfoProto") -> tuple[int, ...]:
    """Return the shape of an input or an output; 0 is an open dimension."""
    return tuple(max(dimension.dim_value, 0) for dimension in value.type.tensor_type.shape.dim)


def fix_shapes(model: "onnx.ModelProto", path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Give every input a static shape of batch 1, in place.

    Args:
        model: Of float32 inputs.
        path: For messages.
        input_shapes: By input name, for dimensions that the file leaves open.

    Returns:
        What was changed, a sentence each.

    Raises:
        ModelError: A dimension is open, or no input has a batch of 1.
    """
    inputs = inputs_of(model)
    if unknown := sorted(set(input_shapes) - {value.name for value in inputs}):
        names = ", ".join(value.name for value in inputs)
        raise ModelError(f"{path} has no input {unknown[0]} to give a shape: its inputs are {names}")
    batches = {value.type.tensor_type.shape.dim[0].dim_param for value in inputs if static_shape(value)[:1] == (0,)}
    notes = []
    for value in inputs:
        sizes = _sizes(value, path, input_shapes.get(value.name), batches - {""})
        if value.name not in input_shapes and static_shape(value)[0] == 0:
            notes.append(f"the batch of input {value.name}, free in the file, is 1")
        dimensions = value.type.tensor_type.shape.dim
        del dimensions[:]
        for size in sizes:
            dimensions.add().dim_value = size
    without_batch = [value for value in inputs if static_shape(value)[:1] != (1,)]
    for value in without_batch:
        if len(without_batch) == len(inputs):
            raise ModelError(
                f"input {value.name} of {path} is {_shown(value)}, and its first dimension has to be a batch of 1: "
                "export it so (batch_first=True of a recurrent layer)"
            )
        notes.append(_put_batch_in_front(model, value))
    del model.graph.value_info[:]  # They hold the batch that was free.
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return tuple(notes)


def pad_explicitly(model: "onnx.ModelProto") -> None:
    """Say in numbers how a dilated convolution is padded to keep its size, in place.

    PyTorch's exporter by traces writes padding="same" as auto_pad, which ONNX Runtime runs without dilation only.

    Args:
        model: Of static inputs.
    """
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {value.name: static_shape(value) for value in (*inferred.input, *inferred.value_info)}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        sides = _EXTRA_AT_END.get(attributes.get("auto_pad", b""))
        dilations = attributes.get("dilations", [1])
        if node.op_type != "Conv" or sides is None or set(dilations) == {1} or not shapes.get(node.input[0]):
            continue
        sizes, taps = shapes[node.input[0]][2:], shapes[node.input[1]][2:]
        strides = attributes.get("strides", [1] * len(sizes))
        totals = [
            max((-(-size // stride) - 1) * stride + (tap - 1) * dilation + 1 - size, 0)
            for size, tap, stride, dilation in zip(sizes, taps, strides, dilations, strict=True)
        ]
        pads = [(total + extra) // 2 for extra in sides for total in totals]
        kept = [entry for entry in node.attribute if entry.name not in ("auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute("pads", pads)])


_EXTRA_AT_END = {b"SAME_UPPER": (0, 1), b"SAME_LOWER": (1, 0)}


def _sizes(
    value: "onnx.ValueInfoProto", path: Path, given: tuple[int, ...] | None, batches: Collection[str]
) -> list[int]:
    """Return the shape of an input: as the file has it, as it is given, and 1 for a free batch.

    Args:
        value: The input.
        path: For messages.
        given: What --input-shape says of it.
        batches: What the file calls free batches.
    """
    tensor = value.type.tensor_type
    sizes = list(static_shape(value))  # Paddle's exporter writes -1 for open.
    if not tensor.HasField("shape") and given is None:
        raise ModelError(f"input {value.name} of {path} has no shape: give it with --input-shape {value.name}:1,...")
    if given is not None:
        fixed = all(size in (0, wanted) for size, wanted in zip(sizes, given, strict=False))
        if (len(given) != len(sizes) and tensor.HasField("shape")) or not fixed or min(given, default=0) < 1:
            raise ModelError(
                f"input {value.name} of {path} is {_shown(value)}, and --input-shape gives it "
                f"{','.join(map(str, given))}: give one that agrees"
            )
        return list(given)
    for axis, dimension in enumerate(tensor.shape.dim):
        if sizes[axis] == 0 and (axis == 0 or dimension.dim_param in batches):
            sizes[axis] = 1
    if 0 in sizes:
        axis = sizes.index(0)
        example = ",".join(str(size) if size else "N" for size in sizes)
        raise ModelError(
            f"input {value.name} of {path} is {_shown(value)}, open in dimension {axis}: give its shape with "
            f"--input-shape {value.name}:{example}, a number for each N"
        )
    return sizes


def _put_batch_in_front(model: "onnx.ModelProto", value: "onnx.ValueInfoProto") -> str:
    """Let an input have a batch of 1 before its dimensions, in place; return a sentence on it."""
    import onnx

    shape = static_shape(value)
    whole, sizes = f"{value.name}/without_batch", f"{value.name}/shape"
    for node in model.graph.node:
        node.input[:] = [whole if name == value.name else name for name in node.input]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(shape, np.int64), sizes))
    model.graph.node.insert(0, onnx.helper.make_node("Reshape", [value.name, sizes], [whole], name=whole))
    dimensions = value.type.tensor_type.shape.dim
    del dimensions[:]
    for size in (1, *shape):
        dimensions.add().dim_value = size
    return f"input {value.name}, {shape} in the file, is {(1, *shape)} in the model: a sample is all of it"


def _shown(value: "onnx.ValueInfoProto") -> str:
    dimensions = value.type.tensor_type.shape.dim
    return f"({', '.join(str(size.dim_value or size.dim_param or '?') for size in dimensions)})"
