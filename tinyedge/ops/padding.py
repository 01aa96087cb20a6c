"""Where a kernel window falls on its input: output sizes, padding, and how a kernel is told."""

import math

from tinyedge.ops.kernel_call import Fields
from tinyedge.ops.rules import unsupported
from tinyedge.ops.window import Window
from tinyedge.tflite.fixed_point import INT32_MAX
from tinyedge.tflite.graph import Operator, Tensor


def window_fields(source: tuple[int, ...], output: tuple[int, ...], vertical: Window, horizontal: Window) -> Fields:
    """The members of a kernel's `te_window`.

    Args:
        source: The shape of the input, NHWC.
        output: The shape of the output, NHWC.
        vertical: The window along the height.
        horizontal: The window along the width.
    """
    batches, in_h, in_w, in_c = source
    return {
        "batches": batches,
        "in_h": in_h,
        "in_w": in_w,
        "in_c": in_c,
        "out_h": output[1],
        "out_w": output[2],
        "kernel_h": vertical.taps,
        "kernel_w": horizontal.taps,
        "stride_h": vertical.stride,
        "stride_w": horizontal.stride,
        "dilation_h": vertical.dilation,
        "dilation_w": horizontal.dilation,
        "pad_top": vertical.pad_before,
        "pad_left": horizontal.pad_before,
    }


def windows(operator: Operator, source: Tensor, kernel: tuple[int, int]) -> tuple[Window, Window]:
    """The vertical and horizontal window of a convolution or pooling, checked against the output's shape.

    Args:
        operator: Has stride_h, stride_w, padding and, for convolutions, dilation_h_factor and dilation_w_factor.
        source: The input, NHWC.
        kernel: (height, width).

    Raises:
        UnsupportedOpError: A parameter is not positive or too large for the kernels' 32-bit indices, the padding is
            neither SAME nor VALID, or the output's shape does not follow from the parameters.
    """
    output = operator.output
    if len(source.shape) != 4 or len(output.shape) != 4 or source.shape[0] != output.shape[0]:
        raise unsupported(
            operator, source, f"has shape {list(source.shape)}", "images as (batch, height, width, channels)"
        )
    padding = operator.options.get("padding", "SAME")
    if padding not in ("SAME", "VALID", "EXPLICIT"):
        raise unsupported(operator, output, f"has padding {padding}", "SAME and VALID padding")
    # A folded PAD: (top, bottom, left, right).
    explicit = operator.options["explicit_padding"] if padding == "EXPLICIT" else (0, 0, 0, 0)
    found = []
    for axis, suffix in ((1, "h"), (2, "w")):
        stride = operator.options.get(f"stride_{suffix}", 1)
        dilation = operator.options.get(f"dilation_{suffix}_factor", 1)
        taps = kernel[axis - 1]
        if stride < 1 or dilation < 1 or taps < 1:
            raise unsupported(
                operator,
                output,
                f"has stride {stride}, dilation {dilation} and kernel size {taps}",
                "values of at least 1",
            )
        pad_before, pad_after = explicit[2 * axis - 2 : 2 * axis]
        in_size, out_size = source.shape[axis] + pad_before + pad_after, output.shape[axis]
        if taps == 1:
            dilation = 1  # There is no next tap.
        reach = (taps - 1) * dilation + 1
        if (in_size + reach) * math.prod(source.shape[axis + 1 :]) > INT32_MAX:
            raise unsupported(
                operator, output, f"has a window of {reach} positions along axis {axis}", "indices of 32 bits"
            )
        covered = in_size if padding == "SAME" else in_size - reach + 1
        expected = -(-covered // stride)
        if out_size != expected:
            raise unsupported(
                operator,
                output,
                f"has size {out_size} along axis {axis}",
                f"the size {expected} that follows from its input and window",
            )
        if padding == "SAME":
            pad_before = max((out_size - 1) * stride + reach - in_size, 0) // 2
        found.append(Window(stride, dilation, pad_before, taps))
    return found[0], found[1]
