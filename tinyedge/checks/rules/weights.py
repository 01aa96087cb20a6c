"""Weights: their scales, and the channels that they make."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinyedge.checks.lint_warning import LintWarning, about
from tinyedge.ops import descriptor_of, operator_macs
from tinyedge.ops.descriptor import WeightsLayout
from tinyedge.tflite.graph import Operator, Tensor
from tinyedge.tflite.inspection import Inspection

# A channel whose largest weight is below a 32nd of the layer's keeps fewer than 3 of its 7 bits under one scale.
_SPREAD = 32
_SIMD_LANES = 4
# Below this share of the multiply-accumulates, slow layers are not felt.
_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class _Convolution:
    operator: Operator
    weights: Tensor
    layout: WeightsLayout

    @property
    def channels(self) -> int:
        """Of its output."""
        return self.weights.shape[self.layout.channel_axis]


def check_weights(inspection: Inspection) -> Iterator[LintWarning]:
    """Find scales that lose accuracy, and channel counts that waste SIMD lanes."""
    convolutions = [
        _Convolution(operator, weights, layout)
        for operator in inspection.graphs[0].operators
        if (layout := _layout(operator)) is not None and (weights := _weights(operator)) is not None
    ]
    per_tensor = [convolution.operator for convolution in convolutions if _is_per_tensor(convolution)]
    if per_tensor:
        yield about(
            "per-tensor-weights",
            per_tensor,
            "one scale for all channels of the weights, which costs accuracy",
            "quantise per channel (TensorFlow's default since 2.4)",
        )
    spread = [(c.operator, _spread(c.weights)) for c in convolutions if c.layout.depthwise]
    wide = [(operator, ratio) for operator, ratio in spread if ratio > _SPREAD]
    if wide:
        worst, ratio = max(wide, key=lambda pair: pair[1])
        yield about(
            "depthwise-range",
            [operator for operator, _ in wide],
            f"channels of very different ranges (the largest is {ratio:,.0f} times the median in operator "
            f"{worst.index}), of which one scale of the activation keeps the large ones only",
            "equalise the channels before quantising, as `tinyedge export` does",
        )
    odd = [c.operator for c in convolutions if c.operator.outputs and _is_odd(c)]
    macs = {operator: operator_macs(operator) for operator in inspection.graphs[0].operators}
    if odd and sum(macs[operator] for operator in odd) >= _SHARE * sum(macs.values()):
        yield about(
            "channels",
            odd,
            f"channels in numbers that are no multiple of {_SIMD_LANES}, which SIMD kernels run slower",
            f"round the widths of the network up to multiples of {_SIMD_LANES}",
        )


def _layout(operator: Operator) -> WeightsLayout | None:
    descriptor = descriptor_of(operator)
    return descriptor.weights if descriptor.is_convolution else None


def _weights(operator: Operator) -> Tensor | None:
    weights = operator.optional_input(1)
    return weights if weights is not None and weights.is_constant and len(weights.shape) == 4 else None


def _is_per_tensor(convolution: _Convolution) -> bool:
    weights = convolution.weights
    return (
        weights.quantisation is not None
        and weights.quantisation.scales.size == 1
        and weights.dtype in (np.dtype(np.int8), np.dtype(np.uint8))
        and convolution.channels > 1
    )


def _spread(weights: Tensor) -> float:
    """The largest magnitude of a channel's weights, relative to the median of the channels that have any."""
    if weights.dtype.kind not in "iuf" or weights.elements == 0:
        return 1.0
    values = weights.values.astype(np.float64)
    if weights.quantisation is not None:
        quantisation = weights.quantisation
        per_channel = [1, 1, 1, -1] if quantisation.scales.size == weights.shape[3] else [1, 1, 1, 1]
        if quantisation.scales.size in (1, weights.shape[3]):
            values -= quantisation.zero_points.reshape(per_channel)
            values *= quantisation.scales.reshape(per_channel)
    largest = np.abs(values).max(axis=(0, 1, 2))
    largest = largest[largest > 0]
    return float(largest.max() / np.median(largest)) if largest.size else 1.0


def _input_channels(operator: Operator) -> int:
    source = operator.inputs[0]
    return source.shape[-1] if source is not None and source.shape else 0


def _is_odd(convolution: _Convolution) -> bool:
    in_c = _input_channels(convolution.operator)
    return in_c > _SIMD_LANES and bool(in_c % _SIMD_LANES or convolution.channels % _SIMD_LANES)
