"""Operators without a kernel whose weights are counted all the same, for the reports of `tinyedge check`."""

import math

from tinyedge.ops.descriptor import OperatorDescriptor, WeightsLayout
from tinyedge.tflite.graph import Operator


def _conv_3d_macs(operator: Operator) -> int:
    return operator.output.elements * math.prod(operator.input(1).shape[:-1])


OPERATORS = (
    OperatorDescriptor(
        name="CONV_3D", inputs=(2, 3), macs=_conv_3d_macs, weights=WeightsLayout(rank=5, channel_axis=4)
    ),
)
