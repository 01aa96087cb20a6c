"""Which part of its input a kernel has read when it writes: what allows its output to lie over it.

Each function states the order of reads and writes that a kernel promises. A kernel that is rewritten may read and write
in any other order that keeps the promise.
"""

from collections.abc import Iterator

import numpy as np

from tinyedge.ops.kernel_call import Overlap
from tinyedge.ops.window import Window
from tinyedge.tflite.graph import Tensor

# A kernel of 1x1 filters may compute so many pixels at once, wherever it begins.
_PIXELS_AT_ONCE = 4


def in_place(output: Tensor, *inputs: Tensor) -> tuple[Overlap, ...]:
    """Of an elementwise kernel: it reads value i of each input before it writes value i, and never again.

    So it may run in the memory of any input that is as large as the output and not broadcast.
    """
    return tuple(
        Overlap(position, None)
        for position, tensor in enumerate(inputs)
        if tensor.elements == output.elements and tensor.bytes == output.bytes
    )


def row_lag(source: Tensor, output: Tensor, vertical: Window, rows_at_once: int = 1) -> tuple[Overlap, ...]:
    """Of a sliding window over an image (NHWC): it writes row after row, or a few rows after a few.

    While it writes row y, it reads the rows under row y in any order; afterwards it reads only those that later rows
    need.

    Args:
        source: The input image.
        output: The output image.
        vertical: The window's height and steps.
        rows_at_once: So many rows from the first on are read for and written together, then as many again.
    """
    if source.shape[0] != 1:
        return ()
    in_row, out_row = source.bytes // source.shape[1], output.bytes // output.shape[1]
    needed: int | None = None  # The first input row that row y or a later one reads.
    lead = 0
    for y, rows in reversed(list(enumerate(_rows_under(source, output, vertical)))):
        if rows:
            needed = rows.start if needed is None else min(needed, rows.start)
        if needed is not None:
            written = min(y // rows_at_once * rows_at_once + rows_at_once, output.shape[1])
            lead = max(lead, written * out_row - needed * in_row)
    return (Overlap(0, min(lead, output.bytes)),)


def pixel_lag(source: Tensor, output: Tensor, pixels: int, at_once: int = _PIXELS_AT_ONCE) -> tuple[Overlap, ...]:
    """Of a kernel that makes each pixel of one pixel, or each row of a matrix of one row, in order.

    It reads so many pixels at most and writes these, in any order, before it reads the next.

    Args:
        source: The input, `pixels` dense rows of channels.
        output: The output, as many.
        pixels: How many.
        at_once: How many it reads at most.
    """
    in_pixel, out_pixel = source.bytes // pixels, output.bytes // pixels
    # The lead of a group grows or shrinks from one to the next by the same amount: the first or the last is largest.
    last = max(pixels - at_once, 0)
    lead = max(min(at_once, pixels) * out_pixel, pixels * out_pixel - last * in_pixel)
    return (Overlap(0, min(lead, output.bytes)),)


def run_lag(output: Tensor, reads: np.ndarray, run_bytes: int) -> tuple[Overlap, ...]:
    """Of a kernel that makes its output run after run: it reads what it needs for a run before it writes any of it.

    Args:
        output: The output, `len(reads)` runs.
        reads: (runs,) The first byte of the input that each run needs; nothing below it.
        run_bytes: Of a run of the output.
    """
    needed = np.minimum.accumulate(reads[::-1])[::-1]
    lead = int(np.max(np.arange(1, len(reads) + 1) * run_bytes - needed))
    return (Overlap(0, min(max(lead, 0), output.bytes)),)


def in_place_by_channels(source: Tensor, output: Tensor, vertical: Window) -> tuple[Overlap, ...]:
    """Of a depthwise convolution that makes all rows of a few channels before it reads the next channels.

    It keeps the input rows under the window in scratch, loads a row just before it writes the first output row that
    needs it, and writes to the bytes of the same channels only. So output pixel i, of all pixels in row-major order,
    goes where pixel i of the input was, and that has to be loaded by then.

    Args:
        source: The input image.
        output: The output image.
        vertical: The window's height and steps.
    """
    if source.shape[0] != 1 or source.shape[3] != output.shape[3] or source.dtype != output.dtype:
        return ()
    in_w, out_w = source.shape[2], output.shape[2]
    loaded = 0
    for y, rows in enumerate(_rows_under(source, output, vertical)):
        loaded = max(loaded, rows.stop) if rows else loaded
        if (y + 1) * out_w > loaded * in_w:
            return ()
    return (Overlap(0, None),)


def _rows_under(source: Tensor, output: Tensor, vertical: Window) -> Iterator[range]:
    """For each output row, the input rows from the first under its window to the last; an empty range for none."""
    for y in range(output.shape[1]):
        origin = y * vertical.stride - vertical.pad_before
        begin = -(min(origin, 0) // vertical.dilation)
        end = min(vertical.taps, -((origin - source.shape[1]) // vertical.dilation))
        inside = begin < end
        first, last = origin + begin * vertical.dilation, origin + (end - 1) * vertical.dilation
        yield range(first, last + 1) if inside else range(0)
