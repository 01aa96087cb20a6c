"""What TFLite Micro can run, for machines without its interpreter.

From tflite-micro at commit 90b983c (August 2026): `micro_mutable_op_resolver.h` for the names, and the types that each
kernel in `micro/kernels` tells apart. A test asks the installed interpreter for the same names.
"""

import numpy as np

from tinyedge.checks.hints import is_hybrid
from tinyedge.tflite.graph import Operator

# ruff: noqa: SIM905 - as words they are read at a glance.
OPERATORS = frozenset(
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
    BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV
    DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED
    GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG
    LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG
    NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND
    SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE
    TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
    """.split()
)
CUSTOM_OPERATORS = frozenset({"CIRCULAR_BUFFER", "TFLite_Detection_PostProcess", "ethos-u"})
_FLOAT_ONLY = frozenset("CEIL COS EXP FLOOR FLOOR_DIV FLOOR_MOD L2_POOL_2D LOG ROUND SIN SQRT SQUARE".split())
_WITHOUT_INT16 = frozenset(
    """
    ADD_N ARG_MAX ARG_MIN BATCH_TO_SPACE_ND CUMSUM DEPTH_TO_SPACE DIV ELU EMBEDDING_LOOKUP GATHER GATHER_ND HARD_SWISH
    L2_NORMALIZATION LOG_SOFTMAX MIRROR_PAD NEG RESIZE_BILINEAR SPACE_TO_BATCH_ND SPACE_TO_DEPTH ZEROS_LIKE
    """.split()
)
_CONVERSIONS = frozenset({"CAST", "DEQUANTIZE", "QUANTIZE"})


def what_tflm_lacks(operator: Operator) -> str | None:
    """Return why TFLite Micro cannot run an operator, as the end of a sentence; None if nothing is known against it."""
    if operator.op not in OPERATORS | CUSTOM_OPERATORS:
        return "is not in TFLite Micro"
    if is_hybrid(operator):
        return "multiplies floats by int8 weights, for which TFLite Micro has no kernel"
    types = {t.dtype for t in (*operator.inputs[:1], *operator.outputs) if t is not None}
    if np.dtype(np.uint8) in types and operator.op not in _CONVERSIONS:
        return "is uint8, for which TFLite Micro has no kernels"
    if np.dtype(np.int8) in types and operator.op in _FLOAT_ONLY:
        return "is int8, and TFLite Micro has it for float32 only"
    if np.dtype(np.int16) in types and operator.op in _FLOAT_ONLY | _WITHOUT_INT16:
        return "is int16, for which TFLite Micro has no kernel"
    return None
