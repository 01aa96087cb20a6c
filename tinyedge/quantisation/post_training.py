"""Quantisation after training: a float graph and the ranges of its activations to INT8 or 16x8."""

from collections.abc import Collection

from tinyedge.quantisation.bias_correction import correct_output_bias
from tinyedge.quantisation.mixed_precision import mix_precision
from tinyedge.quantisation.noise import Reference
from tinyedge.quantisation.observers import RangeChoice
from tinyedge.quantisation.quantise import quantise
from tinyedge.tflite.graph import Graph, Operator


def quantise_graph(
    graph: Graph, choice: RangeChoice, calibration: Reference, int16x8: Collection[Operator] = frozenset()
) -> Graph:
    """Quantise a float graph with the ranges of its activations, the means of the float network's outputs kept.

    Args:
        graph: Float; it is not changed.
        choice: From `choose_ranges`.
        calibration: Samples, and the float network's outputs.
        int16x8: The operators that run in 16x8.
    """
    mixed = mix_precision(graph, choice.ranges, choice.min_max, int16x8)
    corrected = correct_output_bias(mixed.graph, mixed.ranges, calibration, mixed.int16)
    return quantise(corrected, mixed.ranges, mixed.int16)
