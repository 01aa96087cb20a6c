"""What each kernel allows its output to lie over, against windows walked tap by tap, and what a wrong figure breaks."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from compiler.random_cases import random_case
from compiler.random_networks import random_network
from compiler.replay import COPIES, assert_nothing_is_lost, runs_of
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant, one_operator
from ops.kernel_cases import read_operator
from ops.test_ops_movement import lookup_cases, movement_cases, resize_cases

from tinyedge.compiler.memory import memory_plan
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph
from tinyedge.ops import lower
from tinyedge.ops.kernel_call import KernelCall, Overlap
from tinyedge.ops.overlap import in_place_by_channels, pixel_lag, row_lag
from tinyedge.ops.window import Window
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.graph import Tensor
from tinyedge.tflite.reader import read_tflite


def image(*shape: int, dtype: type = np.int8) -> Tensor:
    return Tensor("image", (1, *shape), np.dtype(dtype))


def rows_under(y: int, window: Window, in_h: int) -> list[int]:
    rows = [y * window.stride - window.pad_before + tap * window.dilation for tap in range(window.taps)]
    return [row for row in rows if 0 <= row < in_h]


def geometries() -> Iterator[tuple[int, int, Window]]:
    """(input height, output height, window) of every small convolution."""
    for in_h, taps, stride, dilation, pad in itertools.product(
        (1, 2, 5, 8), (1, 2, 3, 5), (1, 2, 3), (1, 2), (0, 1, 4)
    ):
        for pad_after in (0, pad):
            covered = in_h + pad + pad_after - (taps - 1) * dilation - 1
            if covered >= 0:
                yield in_h, covered // stride + 1, Window(stride, dilation, pad, taps)


@pytest.mark.parametrize("at_once", [1, 2])
def test_the_row_lag_is_the_least_that_loses_no_row(at_once: int) -> None:
    """Moves the output down byte by byte until all rows of a group are written below all that is still to be read."""
    for in_h, out_h, window in geometries():
        for in_row, out_row in ((7, 3), (3, 7), (4, 4)):
            source, output = image(in_h, in_row, 1), image(out_h, out_row, 1)

            def loses(lead: int, in_h=in_h, out_h=out_h, window=window, in_row=in_row, out_row=out_row) -> bool:
                """With the output that far below the input, which begins at 0."""
                return any(
                    min(y - y % at_once + at_once, out_h) * out_row - lead > row * in_row
                    for y in range(out_h)
                    for later in range(y - y % at_once, out_h)
                    for row in rows_under(later, window, in_h)
                )

            least = next(lead for lead in itertools.count() if not loses(lead))
            assert row_lag(source, output, window, at_once) == (Overlap(0, min(least, output.bytes)),)


@pytest.mark.parametrize("pixels", [1, 3, 4, 5, 9, 64])
@pytest.mark.parametrize(("in_c", "out_c"), [(1, 1), (8, 16), (16, 8), (5, 3)])
def test_the_pixel_lag_leaves_room_for_four_wherever_they_begin(pixels: int, in_c: int, out_c: int) -> None:
    source, output = image(pixels, 1, in_c, dtype=np.int16), image(pixels, 1, out_c, dtype=np.int16)
    least = max(min(pixel + 4, pixels) * out_c - pixel * in_c for pixel in range(pixels))
    assert pixel_lag(source, output, pixels) == (Overlap(0, 2 * min(least, pixels * out_c)),)


def test_depthwise_in_place_by_channels_overwrites_loaded_pixels_only() -> None:
    """Runs one channel with a ring of rows in scratch, over every small geometry."""
    allowed = 0
    for (in_h, out_h, window), in_w, out_w in itertools.product(geometries(), (4, 6), (2, 4, 6, 8)):
        source, output = image(in_h, in_w, 3), image(out_h, out_w, 3)
        memory = [("input", pixel) for pixel in range(max(in_h * in_w, out_h * out_w))]
        loaded, lost = 0, False
        for y in range(out_h):
            for row in range(loaded, max(rows_under(y, window, in_h), default=-1) + 1):
                lost |= memory[row * in_w : (row + 1) * in_w] != [("input", row * in_w + x) for x in range(in_w)]
                loaded = row + 1
            lost |= (y + 1) * out_w > in_h * in_w  # No memory of its own is left.
            for x in range(out_w):
                lost |= y * out_w + x >= loaded * in_w
                memory[y * out_w + x] = ("output", y * out_w + x)
        assert (in_place_by_channels(source, output, window) == (Overlap(0, None),)) == (not lost), (
            window,
            in_h,
            out_h,
        )
        allowed += not lost
    assert allowed > 100


def test_depthwise_in_place_needs_a_multiplier_and_a_batch_of_one() -> None:
    same = Window(1, 1, 1, 3)
    assert in_place_by_channels(image(5, 5, 4), image(5, 5, 4), same)
    assert not in_place_by_channels(image(5, 5, 4), image(5, 5, 8), same)
    batch = Tensor("batch", (2, 5, 5, 4), np.dtype(np.int8))
    assert not in_place_by_channels(batch, batch, same)
    assert not row_lag(batch, batch, same)


def one_call(tmp_path: Path, model: bytes) -> KernelCall:
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    (operator,) = read_tflite(path).operators
    return lower(operator)


def test_a_broadcast_operand_is_kept(tmp_path: Path) -> None:
    wide, narrow = TensorSpec((1, 3, 3, 4), 0.1, 0), TensorSpec((1, 1, 1, 4), 0.1, 0)
    call = one_call(tmp_path, one_operator("ADD", [narrow, wide], TensorSpec((1, 3, 3, 4), 0.2, 0)))
    assert call.overlaps == (Overlap(1, None),)
    values = constant(np.ones((1, 3, 3, 4), dtype=np.int8), 0.1)
    call = one_call(tmp_path, one_operator("ADD", [wide, values], TensorSpec((1, 3, 3, 4), 0.2, 0)))
    assert call.overlaps == (Overlap(0, None), Overlap(1, None))
    call = one_call(tmp_path, one_operator("ADD", [narrow, values], TensorSpec((1, 3, 3, 4), 0.2, 0)))
    assert call.overlaps == ()


@pytest.mark.parametrize("op", ["BATCH_MATMUL", "CONCATENATION"])
def test_kernels_without_an_order_keep_their_inputs(tmp_path: Path, op: str) -> None:
    x = TensorSpec((1, 4, 4), 0.1, 0)
    y = TensorSpec((1, 4, 8) if op == "CONCATENATION" else (1, 4, 4), 0.1, 0)
    options = {"axis": 2} if op == "CONCATENATION" else {}
    assert one_call(tmp_path, one_operator(op, [x, x], y, **options)).overlaps == ()


def tall_convolution(tmp_path: Path) -> Path:
    """A 3x3 convolution whose output is as large as its input, and which ignores nothing."""
    rng = np.random.default_rng(0)
    x, y = TensorSpec((1, 12, 8, 8), 0.02, 3), TensorSpec((1, 12, 8, 8), 0.1, -4)
    weights = constant(rng.integers(-127, 128, (8, 3, 3, 8)).astype(np.int8), np.full(8, 0.005, np.float32))
    steps = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": "SAME"}
    path = tmp_path / "tall.tflite"
    path.write_bytes(build_model([OperatorSpec("CONV_2D", [x, weights, None], y, steps)], [x], [y]))
    return path


@pytest.mark.parametrize(("missing_bytes", "exact"), [(0, True), (48, True), (64, False)])
def test_a_lead_without_the_rows_still_to_be_read_gives_wrong_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing_bytes: int, exact: bool
) -> None:
    """The portable kernel goes from left to right, so of the last row it needs two pixels only, of 8 bytes each."""
    path = tall_convolution(tmp_path)
    row = 8 * 8
    assert compile_graph(read_tflite(path)).plan.arena_bytes == 12 * row + 2 * row
    real = memory_plan._overlaps
    monkeypatch.setattr(
        memory_plan,
        "_overlaps",
        lambda call: {tensor: lead - missing_bytes for tensor, lead in real(call).items()},
    )
    inputs = np.random.default_rng(0).integers(-128, 128, (4, 12, 8, 8)).astype(np.int8)
    runtime = AotRuntime(path)
    assert np.array_equal(runtime.run(inputs), TflmRuntime(path).run(inputs)) == exact
    if missing_bytes == 0:
        assert_nothing_is_lost(runtime.program)
    else:
        with pytest.raises(AssertionError, match="overwritten"):
            assert_nothing_is_lost(runtime.program)


def test_replay_finds_small_errors_in_random_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leads of half the length; and in place whatever the kernel does."""
    real = memory_plan._overlaps
    planted = {
        "lead": lambda call: {tensor: None if lead is None else lead // 2 for tensor, lead in real(call).items()},
        "in place": lambda call: dict.fromkeys(tensor.storage for tensor in call.inputs),
    }
    path = tmp_path / "network.tflite"
    for overlaps in planted.values():
        monkeypatch.setattr(memory_plan, "_overlaps", overlaps)
        found = 0
        for seed in range(8):
            path.write_bytes(random_network(seed))
            program = compile_graph(read_tflite(path))
            try:
                assert_nothing_is_lost(program)
            except AssertionError:
                found += 1
        assert found >= 4


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_a_copy_may_lie_as_far_over_its_input_as_it_has_read(tmp_path: Path, dtype: type) -> None:
    """Of every one-operator case: no run is written over one that is still to be read, and a byte less would."""
    rng = np.random.default_rng(0)
    cases = [
        *movement_cases(rng, dtype),
        *lookup_cases(rng, dtype),
        *resize_cases(rng, "RESIZE_NEAREST_NEIGHBOR", dtype),
    ]
    if dtype == np.int8:
        cases += resize_cases(rng, "RESIZE_BILINEAR")
    between = 0
    for case in cases:
        call = lower(read_operator(case.model, tmp_path, case.output))
        if call.function.startswith(COPIES):
            runs = list(runs_of(call))
            size = call.output.bytes // len(runs)
            lead = max((at + 1) * size - min(runs[at:]) for at in range(len(runs)))
            assert call.overlaps == (Overlap(0, min(max(lead, 0), call.output.bytes)),), case.label
            between += 0 < lead < call.output.bytes
    assert between > 20


def test_random_models_that_move_data_lose_nothing() -> None:
    for seed in range(0, 150, 5):
        assert_nothing_is_lost(compile_graph(random_case(seed).model.graph()))


def test_scratch_lies_apart_from_all_that_is_alive(tmp_path: Path) -> None:
    path = tmp_path / "network.tflite"
    for seed in range(4):
        path.write_bytes(random_network(seed))
        program = compile_graph(read_tflite(path), CompileOptions(cascade="never"))
        calls = tuple(dataclasses.replace(call, scratch_bytes=52 + step) for step, call in enumerate(program.calls))
        plan = memory_plan.plan_memory(program.graph, calls)
        assert set(plan.scratch_offsets) == set(range(len(calls)))
        assert_nothing_is_lost(dataclasses.replace(program, steps=calls, plan=plan))
        assert sum(tensor.name.startswith("scratch of ") for tensor in plan.tensors) == len(calls)


def test_what_two_tensors_share_is_alive_once(tmp_path: Path) -> None:
    plan = compile_graph(read_tflite(tall_convolution(tmp_path))).plan
    assert plan.alive_bytes(0) == plan.arena_bytes == 12 * 64 + 2 * 64
