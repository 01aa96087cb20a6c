"""What TFLite Micro has, operators that tinyedge does not have among them.

From tflite-micro at commit 90b983c (August 2026): `micro_mutable_op_resolver.h` for the names, and the types that each
kernel in `micro/kernels` tells apart. A test asks the installed interpreter for the same names.
"""

# ruff: noqa: SIM905 - as words they are read at a glance.
TFLM_OPERATORS = frozenset(
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
"""The operators that its resolver has."""

CUSTOM_OPERATORS = frozenset({"CIRCULAR_BUFFER", "TFLite_Detection_PostProcess", "ethos-u"})
"""Its custom operators."""

FLOAT_ONLY = frozenset("CEIL COS EXP FLOOR FLOOR_DIV FLOOR_MOD L2_POOL_2D LOG ROUND SIN SQRT SQUARE".split())
"""Those of `TFLM_OPERATORS` that have no integer kernel."""

WITHOUT_INT16 = frozenset(
    """
    ADD_N ARG_MAX ARG_MIN BATCH_TO_SPACE_ND CUMSUM DEPTH_TO_SPACE DIV ELU EMBEDDING_LOOKUP GATHER GATHER_ND HARD_SWISH
    L2_NORMALIZATION LOG_SOFTMAX MIRROR_PAD NEG RESIZE_BILINEAR SPACE_TO_BATCH_ND SPACE_TO_DEPTH ZEROS_LIKE
    """.split()
)
"""Those that have an int8 kernel and none of int16."""

WITH_INT8_KERNEL = frozenset(
    """
    ADD AVERAGE_POOL_2D BATCH_MATMUL CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED MAXIMUM MAX_POOL_2D MINIMUM MUL PAD
    SOFTMAX SVDF TRANSPOSE TRANSPOSE_CONV
    """.split()
)
"""Those of which a library may have a kernel that knows int8 only; their default ones bring int4 and int16 along."""

IRREGULAR_NAMES = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
"""What the resolver's functions call an operator, where that is not its name in camel case."""

FOREIGN_INT8_OPERATORS = frozenset("PRELU SQUARED_DIFFERENCE".split())
"""Those without a descriptor here whose int8 kernel equals TFLite's reference; others say it in `tflm_types`."""
