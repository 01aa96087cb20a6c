"""Take the mean error of a quantised network's output out of its last bias.

Rounding has an error whose mean over many images is not 0, and in logits that favours some classes over others. The
correction is that of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019),
section 4.2, from calibration images and of the output alone: correcting every layer by its own mean cost up to 0.7 dB
of the output of TinyNeXt-T.
"""

import dataclasses
from collections.abc import Collection, Mapping

from tinyedge.ops import descriptor_of
from tinyedge.quantisation.fake_quantize import FakeQuantize
from tinyedge.quantisation.float_executor import FloatExecutor, Values
from tinyedge.quantisation.noise import Reference, reference_of
from tinyedge.quantisation.quantise import Range
from tinyedge.tflite.graph import Graph, Tensor

_MOST_SAMPLES = 256  # More move no mean by a step.


def reference_of_means(network: FloatExecutor, samples: Values) -> Reference:
    """Return what `correct_output_bias` takes of samples, (n, ...) of each input, and the float network's outputs."""
    return reference_of(network, tuple(values[:_MOST_SAMPLES] for values in samples))


def correct_output_bias(
    graph: Graph, ranges: Mapping[Tensor, Range], calibration: Reference, int16: Collection[Tensor] = frozenset()
) -> Graph:
    """Return a graph whose quantised outputs have, on samples, the mean of the float network's.

    The graph itself comes back where no bias shifts an output as a whole.

    Args:
        graph: Float, as for `quantise`.
        ranges: Of each activation of it.
        calibration: The samples, and the outputs of the network that the graph stands for, whose weights may have
            other biases.
        int16: The activations that become int16.
    """
    biases = [_output_bias(graph, output) for output in graph.outputs]
    if not any(biases):
        return graph
    network, quantiser = FloatExecutor(graph), FakeQuantize(graph, ranges, int16)
    few = calibration.first(_MOST_SAMPLES)
    found = network.outputs(few.inputs, quantiser)
    corrected: dict[Tensor | None, Tensor] = {}
    for bias, right, rounded in zip(biases, few.outputs, found, strict=True):
        if bias is not None:
            mean = (rounded - right).reshape(len(right), -1).mean(dim=0).numpy()
            corrected[bias] = dataclasses.replace(bias, data=bias.values - mean.reshape(bias.shape))
    return dataclasses.replace(
        graph,
        operators=[
            dataclasses.replace(operator, inputs=tuple(corrected.get(tensor, tensor) for tensor in operator.inputs))
            for operator in graph.operators
        ],
    )


def _output_bias(graph: Graph, output: Tensor) -> Tensor | None:
    """Return a bias, read once, whose shift is the output's: between both, maps are only added up and averaged."""
    writers = {operator.output: operator for operator in graph.operators}
    tensor: Tensor | None = output
    while tensor in writers:
        operator = writers[tensor]
        if operator.options.get("fused_activation_function", "NONE") != "NONE":
            return None
        layout = descriptor_of(operator).weights
        if layout is not None:
            bias = operator.optional_input(layout.bias)
            once = sum(tensor is bias for other in graph.operators for tensor in other.inputs) == 1
            fits = bias is not None and bias.elements == output.elements
            return bias if once and fits else None
        if not descriptor_of(operator).passes_offsets:
            return None
        tensor = operator.inputs[0]
    return None
