"""What TFLite_Detection_PostProcess leaves unwritten of its outputs, as zeros.

With fast suppression the interpreters write as many rows as there are detections, and what is behind them is what the
memory held. tinyedge's kernel writes zeros there, so interpreters are asked about the rest alone.
"""

from collections.abc import Sequence

import numpy as np

from tinyedge.tflite.detection import DETECTION_POSTPROCESS
from tinyedge.tflite.graph import Graph

_COUNT = 3


def detection_outputs(graph: Graph) -> list[tuple[list[int], int]]:
    """Return, of each such operator, which outputs of the model are its rows, and which is how many there are.

    One whose count is no output of the model is left out. A tensor may be an output several times.
    """
    return [
        (
            [at for at, tensor in enumerate(graph.outputs) if tensor in operator.outputs[:_COUNT]],
            graph.outputs.index(operator.outputs[_COUNT]),
        )
        for operator in graph.operators
        if operator.op == DETECTION_POSTPROCESS
        and len(operator.outputs) > _COUNT
        and operator.outputs[_COUNT] in graph.outputs
    ]


def clear_unwritten(outputs: Sequence[np.ndarray], found: list[tuple[list[int], int]]) -> None:
    """Set the rows behind the last detection to 0.

    Args:
        outputs: (n, ...) of each output of the model; changed.
        found: By `detection_outputs`.
    """
    for rows, count in found:
        for frame, written in enumerate(outputs[count].reshape(-1)):
            for position in rows:
                outputs[position][frame, int(written) :] = 0
