"""A float graph in INT8, its output biases corrected as in the file, simulated in float arithmetic."""

from collections.abc import Mapping

import torch

from tinyedge.quantisation.bias_correction import correct_output_bias
from tinyedge.quantisation.fake_quantize import FakeQuantize
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.noise import Reference, sample_noise
from tinyedge.quantisation.quantise import Range
from tinyedge.tflite.graph import Graph, Tensor


def simulated_noise(
    graph: Graph, ranges: Mapping[Tensor, Range], calibration: Reference, unseen: Reference
) -> torch.Tensor:
    """Return what each unseen sample adds to the outputs' noise over signal in INT8, (m,) float64.

    Args:
        graph: Float.
        ranges: Of every activation.
        calibration: What the output biases are corrected by.
        unseen: Other samples, m of them.
    """
    corrected = correct_output_bias(graph, ranges, calibration)
    found = FloatExecutor(corrected).outputs(unseen.inputs, FakeQuantize(corrected, ranges))
    return sample_noise(unseen.outputs, found)
