"""What an exported INT8 file has to be, checked in the file itself and not in what made it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.ops import tflm_operators
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.reader import read_tflite


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
        # The indices of a lookup are int32.
        if operator.op not in tflm_operators("int16" if dtype == np.int16 else "int8"):
            failures.append(
                f"operator {operator.index} ({operator.op}), which makes '{operator.output.name}', has no "
                f"{dtype.name} kernel in TFLite Micro"
            )
    return failures
