"""What an exported INT8 file has to be, checked in the file itself and not in what made it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.reader import read_tflite

# Operators for which TFLite Micro has an int8 kernel that equals the reference. RELU6 is not among them: standing alone
# it clamps without rescaling; fused into a convolution it is fine and no operator.
TFLM_INT8_OPERATORS = frozenset(
    {
        *("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CAST", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D"),
        *("FULLY_CONNECTED", "GATHER", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN"),
        *("MINIMUM", "MUL", "PAD", "PRELU"),
        *("QUANTIZE", "REDUCE_MAX", "RELU", "RESHAPE", "SLICE", "SOFTMAX", "SPLIT", "SQUARED_DIFFERENCE"),
        *("STRIDED_SLICE", "SUB", "TANH", "TRANSPOSE"),
    }
)

# Those of them that also have a kernel of int16 activations. HARD_SWISH has none.
TFLM_INT16_OPERATORS = frozenset(
    {
        *("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "LOGISTIC"),
        *("MAX_POOL_2D", "MEAN", "MUL", "PAD", "QUANTIZE", "RELU", "RESHAPE", "SOFTMAX", "SUB", "TANH", "TRANSPOSE"),
    }
)


@dataclass(frozen=True)
class DeployableCheck:
    """What the gates found.

    Attributes:
        operators: How often each operator occurs.
        transposes: How many operators only move data between layouts.
        failures: One sentence a violation; empty if the file is deployable.
    """

    operators: dict[str, int]
    transposes: int
    failures: tuple[str, ...]


def check_deployable(model: Path) -> DeployableCheck:
    """Check that TFLite Micro can run a file: full INT8, from the input to the output, with operators that it has.

    Args:
        model: A .tflite file.
    """
    try:
        graph = read_tflite(model)
    except ModelError as error:  # Float islands, float inputs and outputs, dynamic shapes.
        return DeployableCheck({}, 0, (str(error),))
    operators = graph.histogram()
    return DeployableCheck(operators, operators.get("TRANSPOSE", 0), tuple(_operator_failures(graph)))


def _operator_failures(graph: Graph) -> list[str]:
    failures = []
    for operator in graph.operators:
        dtype = operator.output.dtype
        if operator.op not in (TFLM_INT16_OPERATORS if dtype == np.int16 else TFLM_INT8_OPERATORS):
            failures.append(
                f"operator {operator.index} ({operator.op}), which makes '{operator.output.name}', has no "
                f"{dtype.name} kernel in TFLite Micro"
            )
    return failures
