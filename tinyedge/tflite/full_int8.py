"""What tinyedge asks of a graph that a file holds: full INT8, and operators in an order in which they can run."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from tinyedge.tflite.graph import Graph, Tensor
from tinyedge.tflite.parser import Refuse, damaged

_INT8_ADVICE = (
    "export with `tinyedge export RUN --int8`, or set the converter's inference_input_type and inference_output_type "
    "to int8"
)
_INT16_ADVICE = "keep int16 inside the model, between a QUANTIZE from int8 and one to int8"


def check_types(graph: Graph, tensors: Collection[Tensor], path: Path, refuse: Refuse) -> None:
    """Refuse what is not full INT8: int8 activations of one scale each and int8 weights with scales.

    Activations inside the model may be int16 with zero point 0.

    Args:
        graph: The model's only one.
        tensors: All that it names.
        path: Of the file, for messages.
        refuse: Told of each thing.
    """
    activations = [tensor for tensor in tensors if not tensor.is_constant]
    floats = [tensor for tensor in activations if tensor.dtype.kind == "f"]
    if floats and not any(tensor.dtype == np.int8 for tensor in activations):
        if any(tensor.is_constant and tensor.dtype == np.int8 for tensor in tensors):
            refuse(
                f"{path} has int8 weights and {floats[0].dtype.name} activations: convert the network again with a "
                "representative data set, and the converter's inference_input_type and inference_output_type int8"
            )
            return
        refuse(f"{path} is a {floats[0].dtype.name} model: export full INT8 with `tinyedge export RUN --int8`")
        return
    for role, ends in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in ends:
            if tensor.dtype != np.int8:
                refuse(
                    f"{role} '{tensor.name}' of {path} is {tensor.dtype.name}: tinyedge takes int8 inputs "
                    f"and outputs; {_INT16_ADVICE if tensor.dtype == np.int16 else _INT8_ADVICE}"
                )
    for operator in graph.operators:
        for tensor in operator.outputs:
            if tensor.dtype.kind == "f" or tensor.dtype == np.uint8:
                refuse(
                    f"operator {operator.index} ({operator.op}) of {path} makes the {tensor.dtype.name} "
                    f"tensor '{tensor.name}', and tinyedge takes full INT8: run `tinyedge export RUN --int8`",
                    operator.index,
                )
    for tensor in tensors:
        if tensor.dtype not in (np.int8, np.int16) or tensor.elements == 0:
            continue
        quantisation = tensor.quantisation
        if quantisation is None:
            refuse(
                f"{tensor.dtype.name} tensor '{tensor.name}' of {path} has no scale: "
                "export it with full INT8 quantisation"
            )
            continue
        if not tensor.is_constant and quantisation.scales.size != 1:
            refuse(
                f"activation '{tensor.name}' of {path} has {quantisation.scales.size} scales: "
                "tinyedge takes one scale for an activation"
            )
        if tensor.dtype == np.int16 and np.any(quantisation.zero_points):
            refuse(
                f"int16 tensor '{tensor.name}' of {path} has the zero point {quantisation.zero_point}: "
                "tinyedge takes int16 with zero point 0, as TFLite Micro does"
            )
        if np.any(quantisation.zero_points < -128) or np.any(quantisation.zero_points > 127):
            refuse(str(damaged(path, f"int8 tensor '{tensor.name}' has a zero point outside [-128, 127]")))


def check_order(graph: Graph, path: Path, refuse: Refuse) -> None:
    """Refuse a graph unless every activation is written once, before it is read, and holds something."""
    written = set(graph.inputs)
    if any(tensor.is_constant for tensor in graph.inputs):
        refuse(str(damaged(path, "an input is a constant")))
    for operator in graph.operators:
        for tensor in operator.inputs:
            if tensor is not None and not tensor.is_constant and tensor not in written:
                problem = f"operator {operator.index} ({operator.op}) reads '{tensor.name}' before it is written"
                refuse(str(damaged(path, problem)), operator.index)
        for tensor in operator.outputs:
            if tensor in written or tensor.is_constant:
                problem = f"operator {operator.index} ({operator.op}) writes '{tensor.name}' again"
                refuse(str(damaged(path, problem)), operator.index)
            written.add(tensor)
    for tensor in graph.outputs:
        if tensor not in written:
            refuse(str(damaged(path, f"no operator writes the output '{tensor.name}'")))
    for tensor in written:
        if tensor.elements == 0:
            refuse(str(damaged(path, f"tensor '{tensor.name}' has the empty shape {list(tensor.shape)}")))
