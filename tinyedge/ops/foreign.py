"""Operators without a kernel whose weights are counted all the same, for the reports of `tinyedge check`."""

import math

from tinyedge.ops.descriptor import OperatorDescriptor, WeightsLayout
from tinyedge.tflite.graph import Operator


def _conv_3d_macs(operator: Operator) -> int:
    return operator.output.elements * math.prod(operator.input(1).shape[:-1])


def _transpose_conv_macs(operator: Operator) -> int:
    source = operator.optional_input(2)  # The output's shape, the weights, the input.
    return 0 if source is None else source.elements * math.prod(operator.input(1).shape[:3])


OPERATORS = (
    OperatorDescriptor(name="CONV_3D", macs=_conv_3d_macs, weights=WeightsLayout(rank=5, channel_axis=4)),
    OperatorDescriptor(name="TRANSPOSE_CONV", macs=_transpose_conv_macs, weights=WeightsLayout(rank=4, channel_axis=0)),
)
