"""What tinyedge asks of a graph that a file holds: full INT8, and operators in an order in which they can run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinyedge.shell import command_line
from tinyedge.tflite.detection import CODE_INPUTS, DETECTION_POSTPROCESS, codes_of
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.parser import Refuse, damaged

# It lies beside what `tinyedge export` wrote.
_MANIFEST = "export.json"
_FLOAT = np.dtype(np.float32)
_FLOAT16 = np.dtype(np.float16)
_UINT8 = np.dtype(np.uint8)
# They may make floats and uint8: at the ends of a model whose body is int8 or int16.
_CONVERSIONS = frozenset({"CAST", "QUANTIZE", "DEQUANTIZE"})
# Functions of one value of each operand: in float between a DEQUANTIZE and a QUANTIZE they become a table.
_FLOAT_FUNCTIONS = frozenset(
    {
        *("ABS", "ADD", "CEIL", "COS", "DIV", "ELU", "EXP", "FLOOR", "LEAKY_RELU", "LOG", "MAXIMUM", "MINIMUM", "MUL"),
        *("NEG", "RELU", "RELU6", "ROUND", "RSQRT", "SIN", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SUB"),
    }
)


def check_types(graph: Graph, path: Path, refuse: Refuse) -> None:
    """Refuse what is not full INT8: int8 or int16 activations of one scale each, int8 weights with scales.

    A model may take and give float32 and uint8, which QUANTIZE and DEQUANTIZE turn into int8 and back. int16 has zero
    point 0.

    Args:
        graph: The model's, with its states.
        path: Of the file, for messages.
        refuse: Told of each thing.
    """
    tensors = graph.tensors()
    activations = [tensor for tensor in tensors if not tensor.is_constant]
    integers = has_int8(graph)
    if is_uint8(graph):
        refuse(
            f"{path} is quantised to uint8, as converters did before 2020, and TFLite Micro has no kernels for that "
            f"any more: run `{command_line('tinyedge', 'requantise', path)}`, which makes int8 of it"
        )
        return
    floats = [tensor for tensor in activations if tensor.dtype.kind == "f"]
    if floats and not integers:
        if any(tensor.is_constant and tensor.dtype == np.int8 for tensor in tensors):
            refuse(
                f"{path} has int8 weights and {floats[0].dtype.name} activations: quantise those too with `tinyedge "
                "quantise`, or convert the network again with a representative data set"
            )
            return
        if (path.parent / _MANIFEST).is_file():
            advice = "export full INT8 with `tinyedge export RUN --int8`"
        else:
            advice = "quantise it with `tinyedge quantise`, or convert the network again with a representative data set"
        refuse(f"{path} is a {floats[0].dtype.name} model: {advice}")
        return
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    for operator in graph.operators:
        if operator.op in _CONVERSIONS | _FLOAT_FUNCTIONS:
            continue
        if operator.op == DETECTION_POSTPROCESS:
            _check_detection(operator, writers, path, refuse)
            continue
        for does, several in (("reads", operator.inputs), ("makes", operator.outputs)):
            for tensor in several:
                if tensor is not None and not tensor.is_constant and tensor.dtype in (_FLOAT, _FLOAT16, _UINT8):
                    refuse(
                        f"operator {operator.index} ({operator.op}) of {path} {does} the {tensor.dtype.name} tensor "
                        f"'{tensor.name}', and tinyedge computes with int8 and int16: quantise the whole model",
                        operator.index,
                    )
    for tensor in tensors:
        if tensor.dtype not in (np.int8, np.int16) or tensor.elements == 0:
            continue
        quantisation = tensor.quantisation
        if quantisation is None:
            refuse(
                f"{tensor.dtype.name} tensor '{tensor.name}' of {path} has no scale: "
                "convert the network again, fully quantised, with a representative data set"
            )
            continue
        if not tensor.is_constant and quantisation.scales.size != 1:
            refuse(
                f"activation '{tensor.name}' of {path} has {quantisation.scales.size} scales: "
                "tinyedge takes one scale for an activation"
            )
        if not tensor.is_constant and not has_reals(tensor):
            refuse(
                f"activation '{tensor.name}' of {path} has the scale {quantisation.scales[0]:g}: single precision, in "
                "which kernels compute, does not hold what its codes stand for; convert the network again"
            )
        if tensor.dtype == np.int16 and np.any(quantisation.zero_points):
            refuse(
                f"int16 tensor '{tensor.name}' of {path} has the zero point {quantisation.zero_point}: "
                "tinyedge takes int16 with zero point 0, as TFLite's specification of int16 says; convert the network "
                "again, with 16x8 or int8 quantisation"
            )
        if np.any(quantisation.zero_points < -128) or np.any(quantisation.zero_points > 127):
            refuse(str(damaged(path, f"int8 tensor '{tensor.name}' has a zero point outside [-128, 127]")))


def _check_detection(operator: Operator, writers: Mapping[Tensor, Operator], path: Path, refuse: Refuse) -> None:
    """Refuse boxes and scores of floats that are not int8 in front of a DEQUANTIZE."""
    for position in CODE_INPUTS:
        tensor = operator.optional_input(position)
        if tensor is not None and tensor.dtype in (_FLOAT, _FLOAT16, _UINT8) and codes_of(tensor, writers) is None:
            refuse(
                f"operator {operator.index} ({operator.op}) of {path} reads the {tensor.dtype.name} tensor "
                f"'{tensor.name}', which no DEQUANTIZE makes of int8: quantise the whole model to int8",
                operator.index,
            )


def is_uint8(graph: Graph) -> bool:
    """Whether a graph computes in uint8, as converters quantised before 2020.

    A float network that takes or gives images of uint8 does not, though it may resize or reshape them: most of its
    constants are floats, or int8 (dynamic-range quantisation).
    """
    if has_int8(graph):
        return False
    constants = [tensor for tensor in graph.tensors() if tensor.is_constant]
    written = [tensor for operator in graph.operators for tensor in operator.outputs if operator.op not in _CONVERSIONS]
    codes = sum(tensor.elements for tensor in constants if tensor.dtype == _UINT8)
    others = sum(tensor.elements for tensor in constants if tensor.dtype in (_FLOAT, _FLOAT16, np.int8))
    return codes >= others and any(tensor.dtype == _UINT8 for tensor in written)


def has_int8(graph: Graph) -> bool:
    """Whether a graph has an activation of int8 or int16."""
    return any(tensor.dtype in (np.int8, np.int16) for tensor in graph.tensors() if not tensor.is_constant)


def has_reals(tensor: Tensor) -> bool:
    """Whether single precision holds the reals of all codes of an activation, and how many steps there are to one."""
    if tensor.quantisation is None or tensor.dtype not in (np.int8, np.int16):
        return True
    codes = np.float32(2 * (np.iinfo(tensor.dtype).max - np.iinfo(tensor.dtype).min))
    with np.errstate(over="ignore", divide="ignore"):
        reals = tensor.quantisation.scales.astype(np.float32) * codes
        return bool(np.all(np.isfinite(reals) & np.isfinite(1 / tensor.quantisation.scales.astype(np.float32))))


def check_order(graph: Graph, path: Path, refuse: Refuse) -> None:
    """Refuse a graph unless every activation is written once, before it is read, and holds something.

    Args:
        graph: Of any types.
        path: Of its file, for messages.
        refuse: Told of inputs and outputs that are constants, and of tensors that hold nothing.

    Raises:
        ModelError: The order is damaged: what goes through such a graph along its tensors may never end.
    """
    written = set(graph.sources)
    if any(tensor.is_constant for tensor in graph.sources):
        refuse(str(damaged(path, "an input is a constant")))
    for operator in graph.operators:
        for tensor in operator.inputs:
            if tensor is not None and not tensor.is_constant and tensor not in written:
                problem = f"operator {operator.index} ({operator.op}) reads '{tensor.name}' before it is written"
                raise damaged(path, problem)
        for tensor in operator.outputs:
            if tensor in written or tensor.is_constant:
                problem = f"operator {operator.index} ({operator.op}) writes '{tensor.name}' again"
                raise damaged(path, problem)
            written.add(tensor)
    for tensor in graph.results:
        if tensor.is_constant:
            refuse(f"output '{tensor.name}' of {path} is a constant: leave it out of the model")
        elif tensor not in written:
            refuse(str(damaged(path, f"no operator writes the output '{tensor.name}'")))
    for tensor in written:
        if tensor.elements == 0:
            refuse(str(damaged(path, f"tensor '{tensor.name}' has the empty shape {list(tensor.shape)}")))
