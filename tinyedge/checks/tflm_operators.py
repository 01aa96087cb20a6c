"""What TFLite Micro can run, for machines without its interpreter."""

import numpy as np

from tinyedge.checks.hints import is_hybrid
from tinyedge.ops.tflite_micro import CUSTOM_OPERATORS, FLOAT_ONLY, TFLM_OPERATORS, WITHOUT_INT16
from tinyedge.tflite.detection import SHAPES_UNSET
from tinyedge.tflite.graph import Operator

_CONVERSIONS = frozenset({"CAST", "DEQUANTIZE", "QUANTIZE"})


def what_tflm_lacks(operator: Operator) -> str | None:
    """Return why TFLite Micro cannot run an operator, as the end of a sentence; None if nothing is known against it."""
    if operator.op not in TFLM_OPERATORS | CUSTOM_OPERATORS:
        return "is not in TFLite Micro"
    if SHAPES_UNSET in operator.options:
        return "has outputs whose shapes the file lacks, and TFLite Micro would write behind them"
    if is_hybrid(operator):
        return "multiplies floats by int8 weights, for which TFLite Micro has no kernel"
    types = {t.dtype for t in (*operator.inputs[:1], *operator.outputs) if t is not None}
    if np.dtype(np.uint8) in types and operator.op not in _CONVERSIONS:
        return "is uint8, for which TFLite Micro has no kernels"
    if np.dtype(np.int8) in types and operator.op in FLOAT_ONLY:
        return "is int8, and TFLite Micro has it for float32 only"
    if np.dtype(np.int16) in types and operator.op in FLOAT_ONLY | WITHOUT_INT16:
        return "is int16, for which TFLite Micro has no kernel"
    return None
