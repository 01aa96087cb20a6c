"""Runs a memory plan with names in place of values: each byte of the arena knows which byte of which tensor it holds.

Written from the kernels' documentation, not from the compiler's: windows are walked tap by tap. Each kernel is given
the worst order of reads and writes that its promise allows.
"""

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np

from tinyedge.compiler.cascade import Cascade
from tinyedge.compiler.program import Program
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.tflite.graph import Tensor

ELEMENTWISE = (
    *("te_add_s8", "te_add_rows_s8", "te_sub_s8", "te_sub_rows_s8", "te_mul_s8"),
    *("te_add_s16", "te_add_rows_s16", "te_sub_s16", "te_mul_s16", "te_table_s8", "te_softmax_s8"),
    *("te_softmax_s16", "te_rescale_s16", "te_logistic_s16", "te_tanh_s16", "te_prelu_", "te_maximum_", "te_minimum_"),
    *("te_squared_difference_", "te_sided_s16", "te_l2_normalization_s8", "te_compare_s8", "te_select_s8"),
)
WINDOWS = ("te_conv2d_", "te_depthwise_conv2d_", "te_depthwise_taps_", "te_average_pool_", "te_max_pool_")
COPIES = ("te_strided_copy_", "te_gather_", "te_resize_bilinear_")
# Channels at a time.
WHOLE_ROWS = {"te_depthwise_whole_s8_dsp": 4, "te_depthwise_whole_s8_mve": 8, "te_depthwise_whole_s4_mve": 8}
BY_CHANNELS = ("te_depthwise_conv2d_s8_dsp", "te_depthwise_taps_s8_dsp", *WHOLE_ROWS)
TURNED = ("in_w", "out_w", "kernel_w", "stride_w", "dilation_w", "pad_left")
SCRATCH = -1


def assert_nothing_is_lost(program: Program) -> None:
    """Every byte that a kernel reads has to be the one that its writer wrote."""
    _Replay(program).run()


class _Replay:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._numbers: dict[Tensor, int] = {}
        # Each byte's tensor, in the upper half, and place in it.
        self._held = np.full(program.plan.arena_bytes, SCRATCH, dtype=np.int64)
        self._places = np.arange(program.plan.arena_bytes, dtype=np.int64)

    def run(self) -> None:
        self._write(self._program.inputs[0])
        for number, call in enumerate(self._program.steps):
            scratch = self._program.plan.scratch_offsets.get(number)
            for position in range(len(call.inputs)):
                self._read(call, position)
            if isinstance(call, Cascade):
                self._run_in_stripes(call, scratch)
                continue
            if call.function in BY_CHANNELS:
                self._run_by_channels(call)
                continue
            for reads, writes in _moments(call):
                # Scratch is written at any time.
                if scratch is not None:
                    self._held[scratch : scratch + call.scratch_bytes] = SCRATCH
                self._write(call.output, *writes)
                for position in reads:
                    self._read(call, position, *reads[position])
            self._read_bytes(call.output, 0, call.output.bytes, call)
        self._read_bytes(self._program.outputs[0], 0, self._program.outputs[0].bytes, self._program.calls[-1])

    def _run_in_stripes(self, cascade: Cascade, scratch: int) -> None:
        """Stripe by stripe: what layers read from outside, and the rows of the output; scratch is written too."""
        made = dict.fromkeys((call.output for call in cascade.calls), 0)
        height, row = cascade.output.shape[1], cascade.output.bytes // cascade.output.shape[1]
        for until in range(cascade.rows, height + cascade.rows, cascade.rows):
            self._held[scratch : scratch + cascade.scratch_bytes] = SCRATCH
            ends = {**made, cascade.output: min(until, height)}
            for call in reversed(cascade.calls):
                under = [row for y in range(ends[call.output]) for row in _rows_under(call, y)]
                for source in call.inputs:
                    if source in made:
                        ends[source] = max(ends[source], max(under, default=-1) + 1)
            for call in cascade.calls:
                for y in range(made[call.output], ends[call.output]):
                    self._read_rows(call, _rows_under(call, y), made)
                    if call is cascade.calls[-1]:
                        self._write(cascade.output, y * row, (y + 1) * row)
                made[call.output] = ends[call.output]
        self._read_bytes(cascade.output, 0, cascade.output.bytes, cascade.calls[-1])

    def _read_rows(self, call: KernelCall, rows: Iterable[int], made: dict[Tensor, int]) -> None:
        for y, source in itertools.product(rows, call.inputs):
            row = source.bytes // source.shape[1]
            if source in made:
                assert y < made[source], f"{call.name} reads row {y} of {source.name} before it is made"
            else:
                self._read_bytes(source, y * row, (y + 1) * row, call)

    def _run_by_channels(self, call: KernelCall) -> None:
        """A row of a channel is read once, before the first output row that needs it is written."""
        fields, source, output = call.fields, call.inputs[0], call.output
        if call.function in WHOLE_ROWS:
            self._run_windows(call, WHOLE_ROWS[call.function])
            return
        channels = np.arange(source.shape[3])
        for group in np.split(channels, range(4, len(channels), 4)):
            unread = set(range(fields["in_h"]))
            for y in range(fields["out_h"]):
                for row in sorted(unread.intersection(_rows(fields, y))):
                    self._read_at(source, _row_bytes(source, row, group), call)
                    unread.remove(row)
                self._write_at(output, _row_bytes(output, y, group))
        self._read_bytes(output, 0, output.bytes, call)

    def _run_windows(self, call: KernelCall, width: int) -> None:
        """So many channels of a window are read before they are written."""
        fields, source, output = call.fields, call.inputs[0], call.output
        pixels = np.arange(fields["pixels"]) * fields["pixel_bytes"]
        for window in range(fields["windows"]):
            for first in range(0, fields["channels"], width):
                group = np.arange(first, min(first + width, fields["channels"]))
                self._read_at(source, (window * fields["window_bytes"] + pixels[:, None] + group).ravel(), call)
                self._write_at(output, window * fields["channels"] + group)

    def _write(self, tensor: Tensor, begin: int = 0, end: int | None = None) -> None:
        end = tensor.bytes if end is None else end
        at = self._program.plan.offsets[tensor]
        assert at >= 0, tensor.name
        assert at + tensor.bytes <= len(self._held), tensor.name
        self._held[at + begin : at + end] = self._places[begin:end] + self._first(tensor)

    def _write_at(self, tensor: Tensor, which: np.ndarray) -> None:
        self._held[self._program.plan.offsets[tensor] + which] = which + self._first(tensor)

    def _first(self, tensor: Tensor) -> int:
        """What the arena holds of the first byte of a tensor."""
        return self._numbers.setdefault(tensor.storage, len(self._numbers)) << 32

    def _read(self, call: KernelCall, position: int, begin: int = 0, end: int | None = None) -> None:
        tensor = call.inputs[position]
        self._read_bytes(tensor, begin, tensor.bytes if end is None else end, call)

    def _read_bytes(self, tensor: Tensor, begin: int, end: int, call: KernelCall) -> None:
        at = self._program.plan.offsets[tensor]
        self._compare(self._held[at + begin : at + end], self._places[begin:end], tensor, call)

    def _read_at(self, tensor: Tensor, which: np.ndarray, call: KernelCall) -> None:
        self._compare(self._held[self._program.plan.offsets[tensor] + which], which, tensor, call)

    def _compare(self, held: np.ndarray, which: np.ndarray, tensor: Tensor, call: KernelCall) -> None:
        lost = np.count_nonzero(held - which != self._numbers[tensor.storage] << 32)
        assert lost == 0, f"{call.op} {call.name} finds {lost} bytes of {tensor.name} overwritten"


def _row_bytes(image: Tensor, row: int, channels: np.ndarray) -> np.ndarray:
    """Where a row of an int8 image holds some channels."""
    _, _, width, depth = image.shape
    pixels = row * width + np.arange(width)
    return (pixels[:, None] * depth + channels).reshape(-1)


def _rows_under(call: KernelCall, y: int) -> list[int]:
    """The rows of its inputs that a row of a layer in a cascade is made of."""
    if call.function == WHOLE_ROWS:
        fields, row = call.fields, math.prod(call.inputs[0].shape[2:])
        pixels = range(fields["pixels"])
        return [(y * fields["window_bytes"] + pixel * fields["pixel_bytes"]) // row for pixel in pixels]
    return list(_rows(_fields(call), y)) if call.function.startswith(WINDOWS) else [y]


def _moments(call: KernelCall) -> Iterator[tuple[dict[int, tuple[int, int]], tuple[int, int]]]:
    """What a kernel still has to read of each input (begin, end), after it has written a part of its output."""
    source, output = call.inputs[0], call.output
    fields = _fields(call)
    if call.function.startswith(ELEMENTWISE):
        # Value i of every operand is read before value i is written; a broadcast operand is read throughout.
        size = output.dtype.itemsize
        for value in range(output.elements):
            later = {
                position: ((value + 1) * size, tensor.bytes)
                if tensor.elements == output.elements
                else (0, tensor.bytes)
                for position, tensor in enumerate(call.inputs)
            }
            yield later, (value * size, (value + 1) * size)
    elif call.function.startswith("te_fully_connected_") or _is_of_pixels(call):
        pixels = fields["batches"] if "out_w" not in fields else fields["in_h"] * fields["in_w"]
        read, written = source.bytes // pixels, output.bytes // pixels
        at_once = 4 * fields.get("blocks", 1)
        for pixel in range(pixels):
            # Groups may begin anywhere.
            yield {0: (pixel * read, source.bytes)}, (pixel * written, min(pixel + at_once, pixels) * written)
    elif call.function.startswith(WINDOWS) and fields["batches"] == 1:
        in_row, out_row = source.bytes // fields["in_h"], output.bytes // fields["out_h"]
        under = [set(_rows(fields, y)) for y in range(fields["out_h"])]
        for y in range(0, fields["out_h"], 2 if fields.get("two_rows") else 1):
            last = min(y + 2, fields["out_h"]) if fields.get("two_rows") else y + 1
            written = (y * out_row, last * out_row)
            yield {}, written  # Where only padding is left under the windows.
            later = set().union(*under[y:])
            for row in sorted(later):
                yield {0: (row * in_row, (row + 1) * in_row)}, written
    elif call.function.startswith(COPIES):
        runs = list(runs_of(call))
        for at, _ in enumerate(runs):
            # Any of a run may be written before any of it is read.
            written = output.bytes * (at + 1) // len(runs)
            yield {0: (min(runs[at:]), source.bytes)}, (output.bytes * at // len(runs), written)
    else:
        yield {position: (0, tensor.bytes) for position, tensor in enumerate(call.inputs)}, (0, output.bytes)


def runs_of(call: KernelCall) -> Iterator[int]:
    """The first byte of the input that each run of a copy needs."""
    fields, size = call.fields, call.inputs[0].dtype.itemsize
    if not call.function.startswith("te_strided_copy_"):
        rows = fields["rows"].values.reshape(fields["out_h"], -1).min(axis=1)
        for image, row in itertools.product(range(fields["images"]), rows):
            yield (image * fields["image"] + int(row) + int(fields["columns"].values.min())) * size
        return
    dims, strides = fields["dims"], fields["strides"]
    last = 6 if strides[5] != 1 else 5 if dims[5] * size >= 4 else 4
    for indices in itertools.product(*(range(count) for count in dims[:last])):
        first = fields["start"] + sum(index * stride for index, stride in zip(indices, strides, strict=False))
        yield size * min(first, first + (dims[4] - 1) * strides[4] if last == 4 else first)


def _fields(call: KernelCall) -> dict[str, int]:
    """Those of a window along the height; the kernel may be given an image of one column as one row."""
    fields = call.fields
    if not call.function.startswith("te_conv2d_") or fields["in_h"] == call.inputs[0].shape[1]:
        return fields
    turned = zip(("in_h", "out_h", "kernel_h", "stride_h", "dilation_h", "pad_top"), TURNED, strict=True)
    return {**fields, **{name: fields[other] for name, other in turned}, "in_w": 1, "out_w": 1}


def _is_of_pixels(call: KernelCall) -> bool:
    shape = [call.fields.get(name) for name in ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left")]
    same = all(call.fields.get(f"in_{axis}") == call.fields.get(f"out_{axis}") for axis in "hw")
    return call.function.startswith("te_conv2d_") and shape == [1, 1, 1, 1, 0, 0] and same


def _rows(fields: dict[str, int], y: int) -> Iterator[int]:
    for tap in range(fields["kernel_h"]):
        row = y * fields["stride_h"] - fields["pad_top"] + tap * fields.get("dilation_h", 1)
        if 0 <= row < fields["in_h"]:
            yield row
