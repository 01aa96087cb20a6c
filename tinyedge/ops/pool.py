"""AVERAGE_POOL_2D and MAX_POOL_2D."""

import numpy as np

from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.overlap import row_lag
from tinyedge.ops.registry import lowers
from tinyedge.ops.rules import (
    activation_range,
    element,
    output_like,
    quantised_activation,
    scale,
    unsupported,
    zero_point,
)
from tinyedge.ops.window import windows
from tinyedge.tflite.graph import Operator

_KERNELS = {"AVERAGE_POOL_2D": "te_average_pool", "MAX_POOL_2D": "te_max_pool"}
# A sum of as many values fits 32 bits with room to round.
_MAX_WINDOWS = {np.dtype(np.int8): 2**23, np.dtype(np.int16): 2**16 - 2}


@lowers("AVERAGE_POOL_2D", "MAX_POOL_2D")
def lower_pool(operator: Operator) -> KernelCall:
    """Lower a pooling operator, whose output has its input's quantisation."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    max_window = _MAX_WINDOWS[source.dtype]
    kernel = (operator.options.get("filter_height", 1), operator.options.get("filter_width", 1))
    vertical, horizontal = windows(operator, source, kernel)
    # The reference interpreter's own tolerance.
    if abs(np.float32(scale(source)) - np.float32(scale(output))) > 1e-6 or zero_point(source) != zero_point(output):
        raise unsupported(operator, output, "is rescaled by pooling", "pooling without a change of scale or zero point")
    if output.shape[3] != source.shape[3] or kernel[0] * kernel[1] > max_window:
        raise unsupported(
            operator,
            output,
            f"has {output.shape[3]} channels from {source.shape[3]} in windows of {kernel[0]}x{kernel[1]}",
            f"as many channels as the input, windows of at most {max_window}",
        )
    output_min, output_max = activation_range(operator)
    return KernelCall(
        function=f"{_KERNELS[operator.op]}_{element(source)}",
        struct="te_pool_params",
        fields={
            "batches": source.shape[0],
            "in_h": source.shape[1],
            "in_w": source.shape[2],
            "channels": source.shape[3],
            "out_h": output.shape[1],
            "out_w": output.shape[2],
            "kernel_h": kernel[0],
            "kernel_w": kernel[1],
            "stride_h": vertical.stride,
            "stride_w": horizontal.stride,
            "pad_top": vertical.pad_before,
            "pad_left": horizontal.pad_before,
            "output_min": output_min,
            "output_max": output_max,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=row_lag(source, output, vertical),
    )
