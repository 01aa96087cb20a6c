"""What convolutions and products for the DSP extension have in common: their constants, and stripes of rows."""

import numpy as np

from tinyedge.compiler.kernels.dsp_packing import (
    RequantisedFilters,
    prepare_filters,
)
from tinyedge.ops.fields import integers, values
from tinyedge.ops.kernel_call import Fields
from tinyedge.ops.window import Window

# Pixels that one pass over the filters computes, as in te_gemm_block_dsp.h.
PIXELS = 4
# What the widened input of some output rows may take where a single one does not take more.
STRIPE_BYTES = 3072
SUMS_TOO_LARGE = "sums may reach 2^30, beyond which the instructions do not round as the reference does"
"""Why a call keeps its kernel where `prepare_filters` has no constants for it."""


def vertical_window(fields: Fields) -> Window:
    """The window of a layer along the height of its input."""
    return Window(*integers(fields, "stride_h", "dilation_h", "pad_top", "kernel_h"))


def padded_w(fields: Fields) -> int:
    """Columns of the input that a depthwise convolution reads, padding included."""
    in_w, out_w, kernel_w, stride_w, dilation_w, pad_left = integers(
        fields, "in_w", "out_w", "kernel_w", "stride_w", "dilation_w", "pad_left"
    )
    return max(pad_left + in_w, (out_w - 1) * stride_w + (kernel_w - 1) * dilation_w + 1)


def input_rows(vertical: Window, out_rows: int) -> int:
    """Rows of the input that some output rows read, padding included."""
    return (out_rows - 1) * vertical.stride + (vertical.taps - 1) * vertical.dilation + 1


def stripe_rows(vertical: Window, out_h: int, row_bytes: int, limit: int = STRIPE_BYTES) -> int:
    """Return how many output rows to compute at once: enough to forget what a stripe costs, few enough to be small."""
    fitting = (rows for rows in range(out_h, 1, -1) if row_bytes * input_rows(vertical, rows) <= limit)
    return next(fitting, 1)


def prepare_call(fields: Fields, filters: np.ndarray) -> RequantisedFilters | None:
    """Constants of filters (channels, depth) for the products of 16 bits; None where their sums may reach 2^30."""
    bias = fields["bias"]
    input_zero_point, output_zero_point, output_min, output_max = integers(
        fields, "input_zero_point", "output_zero_point", "output_min", "output_max"
    )
    return prepare_filters(
        filters,
        np.zeros(len(filters), np.int64) if bias is None else values(fields, "bias"),
        values(fields, "multipliers"),
        values(fields, "shifts"),
        input_zero_point=input_zero_point,
        output_zero_point=output_zero_point,
        full_range=(output_min, output_max) == (-128, 127),
    )
