"""What to do about an operator that a runtime does not take."""

import numpy as np

from tinyedge.tflite.accelerator_files import vendor_compiler
from tinyedge.tflite.detection import DETECTION_POSTPROCESS, SHAPES_UNSET
from tinyedge.tflite.graph import Operator
from tinyedge.tflite.schema import schema_class

_HINTS = {
    "BROADCAST_TO": "give the operand its full shape, or leave the broadcasting to ADD and MUL",
    "CONV_3D": "use 2-D convolutions",
    "GELU": "use RELU or HARD_SWISH, or run the model with `tinyedge compile`, which makes a table of an int8 GELU",
    "IF": "export the network without control flow",
    "LSTM": "convert Keras's LSTM with a fixed batch and an int8 or 16x8 quantisation, which writes "
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "POW": "use MUL",
    "RFFT2D": "compute the spectrum before the network",
    "SELECT": "use MUL with a mask, or tf.where of TensorFlow 2 (SELECT_V2)",
    "SQRT": "use RSQRT, or leave the root to the batch norm, which folds",
    "SQUARE": "use MUL of the tensor with itself",
    "TILE": "run it with `tinyedge compile`, use RESIZE_NEAREST_NEIGHBOR for upsampling, or let ADD and MUL broadcast",
    "TOPK_V2": "take the largest scores after the network",
    "WHILE": "export the network without control flow",
}
_SHARED = {
    "if it is LayerNormalization's, use batch norm, which folds into convolutions": (
        "NEG",
        "RSQRT",
        "SQUARED_DIFFERENCE",
    ),
    "export with a fixed batch and size, which makes shapes constant": ("BROADCAST_ARGS", "FILL", "SHAPE"),
}
_HINTS.update({op: hint for hint, ops in _SHARED.items() for op in ops})
_FLEX = "Flex"
_OTHERWISE = "replace it in the network before the conversion"


def hint_for(operator: Operator) -> str:
    """Return what to do, starting with a verb."""
    if operator.op == "FlexErf":
        return "Erf is GELU's: use RELU or HARD_SWISH, and convert without SELECT_TF_OPS"
    if is_flex(operator):
        return f"replace TensorFlow's {operator.op.removeprefix(_FLEX)} and convert without SELECT_TF_OPS"
    compiler = vendor_compiler(operator.op)
    if compiler is not None:
        return f"give the file from before {compiler}"
    if is_custom(operator):
        return "leave this custom operator outside the model, or use builtin ones"
    if operator.op in _HINTS:
        return _HINTS[operator.op]
    if SHAPES_UNSET in operator.options:
        return "run it with `tinyedge compile`, which takes them from the options"
    tensors = [tensor for tensor in (*operator.inputs, *operator.outputs) if tensor is not None]
    types = {tensor.dtype for tensor in tensors}
    if is_hybrid(operator):
        return "quantise the activations too, with a representative data set"
    if np.dtype(np.float16) in types:
        return "quantise to int8 in place of float16"
    if np.dtype(np.uint8) in types and not types & {np.dtype(np.int8), np.dtype(np.int16)}:
        if operator.op == "CAST":
            return "leave the conversion of uint8 numbers outside the model"
        return "make int8 of the model with `tinyedge requantise`"
    if np.dtype(np.int64) in types:
        return "cast to int32 before the conversion (output_type=tf.int32)"
    return _OTHERWISE


def is_flex(operator: Operator) -> bool:
    """Whether an operator is TensorFlow's own."""
    return operator.op.startswith(_FLEX)


def is_custom(operator: Operator) -> bool:
    """Whether an operator is nobody's whom TFLite knows."""
    known = operator.op == DETECTION_POSTPROCESS or hasattr(schema_class("BuiltinOperator"), operator.op)
    return not is_flex(operator) and not known


def is_hybrid(operator: Operator) -> bool:
    """Whether an operator multiplies float activations by integer weights."""
    if len(operator.inputs) < 2 or operator.op in ("DEQUANTIZE", "QUANTIZE"):
        return False
    first, weights = operator.inputs[:2]
    return (
        first is not None
        and weights is not None
        and first.dtype == np.float32
        and weights.is_constant
        and weights.dtype in (np.dtype(np.int8), np.dtype(np.uint8))
    )
