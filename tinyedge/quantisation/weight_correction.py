"""Take the mean error that rounded weights make out of the biases of their layers.

Rounding a filter shifts its output by the rounding's errors times the mean input, whatever activation follows. The
correction is that of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019),
section 4.2, with the means of calibration samples.
"""

import dataclasses

import numpy as np
import torch

from tinyedge.ops import descriptor_of
from tinyedge.quantisation.fake_quantize import round_weight
from tinyedge.quantisation.float_executor import FloatExecutor, Values
from tinyedge.tflite.graph import Graph, Operator, Tensor


def correct_weight_rounding(graph: Graph, samples: Values) -> Graph:
    """Return a float graph whose biases make up for what its weights will lose in int8.

    Args:
        graph: Float; it is not changed.
        samples: Of each input, (n, ...) float32.
    """
    means = _channel_means(FloatExecutor(graph), samples)
    return dataclasses.replace(graph, operators=[_corrected(operator, means) for operator in graph.operators])


def _corrected(operator: Operator, means: dict[Tensor, np.ndarray]) -> Operator:
    layout = descriptor_of(operator).weights
    if layout is None or operator.op == "TRANSPOSE_CONV":  # Each of whose outputs sees another part of the window.
        return operator
    bias = operator.optional_input(layout.bias)
    if bias is None or bias.data is None or operator.input(1).data is None:
        return operator
    weight, mean = operator.input(1).values, means[operator.input(layout.source)]
    if weight.shape[-1] != len(mean):  # Groups, and flattened images.
        return operator
    rounded = round_weight(torch.from_numpy(weight), layout.channel_axis).numpy()
    shift = (rounded - weight).astype(np.float64) * mean
    kept = layout.channel_axis % weight.ndim
    total = shift.sum(axis=tuple(axis for axis in range(weight.ndim) if axis != kept))
    corrected = dataclasses.replace(bias, data=(bias.values - total.reshape(bias.shape)).astype(np.float32))
    inputs = tuple(corrected if tensor is bias else tensor for tensor in operator.inputs)
    return dataclasses.replace(operator, inputs=inputs)


def _channel_means(network: FloatExecutor, samples: Values) -> dict[Tensor, np.ndarray]:
    """Return the mean of each channel of each activation, (C,) float64."""
    sums: dict[Tensor, torch.Tensor] = {}
    counts: dict[Tensor, int] = {}

    def add(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        if tensor.data is None and value.is_floating_point() and tensor.shape:
            rows = value.double().reshape(-1, tensor.shape[-1])
            sums[tensor] = sums.get(tensor, torch.zeros(tensor.shape[-1], dtype=torch.float64)) + rows.sum(dim=0)
            counts[tensor] = counts.get(tensor, 0) + len(rows)
        return value

    network.outputs(samples, add)
    return {tensor: (total / counts[tensor]).numpy() for tensor, total in sums.items()}
