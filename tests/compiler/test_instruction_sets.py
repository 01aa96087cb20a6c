"""Which kernels a model gets for which instruction set."""

import re
from collections import Counter

import numpy as np
import pytest
from compiler.random_networks import random_network
from ops.case_builders import conv2d, depthwise_conv2d, elementwise, fully_connected, softmax, table, transpose_conv
from ops.kernel_cases import read_operator

from tinyedge.compiler.costs import default_costs
from tinyedge.compiler.kernels import INSTRUCTION_SETS, PORTABLE, hasten, specialise
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.passes import simplify
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import ConfigError
from tinyedge.ops import lower
from tinyedge.tflite.reader import read_tflite

HEAVY = ("te_conv2d_s8", "te_depthwise_conv2d_s8", "te_fully_connected_s8", "te_batch_matmul_s8")


@pytest.mark.parametrize("instruction_set", [name for name in INSTRUCTION_SETS if name != "portable"])
@pytest.mark.parametrize("name", ["ic_resnet8_int8.tflite", "vww_mbv1_025_int8.tflite"])
def test_published_models_get_no_portable_kernel_for_their_sums(name, instruction_set, shared_model):
    program = compile_graph(read_tflite(shared_model(name)), CompileOptions(instruction_set))
    kernels = Counter(call.function for call in program.calls)
    assert not kernels.keys() & set(HEAVY)
    assert (
        sum(count for kernel, count in kernels.items() if kernel.endswith(("_scalar", "_dsp", "_mve", "_wasm"))) >= 10
    )


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "is_kept"),
    [
        ((5, 3), 1, (1, 1), False),
        ((5, 3), 1, (2, 1), False),
        ((5, 3), 1, (2, 2), False),
        ((3, 3), 1, (2, 2), False),
        ((5, 3), 2, (2, 2), True),
        ((1, 3), 2, (1, 2), False),
    ],
)
def test_rows_of_dilated_taps_under_a_stride_keep_the_portable_kernel(kernel, stride, dilation, is_kept, tmp_path):
    case = depthwise_conv2d(np.random.default_rng(0), (1, 9, 9, 6), 1, kernel, (stride, stride), dilation, gain=0.5)
    (call,) = specialise([lower(read_operator(case.model, tmp_path))], "dsp")
    assert call.function == ("te_depthwise_conv2d_s8" if is_kept else "te_depthwise_taps_s8_dsp")
    assert bool(call.kept_because) == is_kept


def test_the_order_and_the_tensors_of_layers_stay(tmp_path):
    path = tmp_path / "network.tflite"
    path.write_bytes(random_network(3))
    layers = [
        [
            (call.op, call.name, call.macs, call.output.shape)
            for call in compile_graph(read_tflite(path), CompileOptions(name)).calls
        ]
        for name in INSTRUCTION_SETS
    ]
    assert all(found == layers[0] for found in layers)


KEPT = {
    "two filters a channel": ("2 filters see each of 3 channels", lambda rng: depthwise_conv2d(rng, multiplier=2)),
    "weights with a zero point": ("zero point 5", lambda rng: fully_connected(rng, (1, 8), 3, weights_zero_point=5)),
    "sums too large": (r"2\^3[01]", lambda rng: conv2d(rng, gain=1e8)),
    "limited outputs": (
        "limited to|no form in scalar",
        lambda rng: elementwise(rng, "ADD", ((1, 200),) * 2, activation="RELU6", dtype=np.int16),
    ),
    "a constant subtrahend": (
        "broadcast or constant",
        lambda rng: elementwise(rng, "SUB", ((1, 200),) * 2, 1, dtype=np.int16),
    ),
    "few exponentials": ("its 39 values are fewer than 40", lambda rng: softmax(rng, (3, 13))),
    "few values of a table": ("its 15 values are fewer than 16", lambda rng: table(rng, shape=(3, 5))),
    "small steps": ("a step of its input is too small", lambda rng: softmax(rng, (3, 13), 1e-9, dtype=np.int16)),
    "no steps": ("a step of its input is too small", lambda rng: softmax(rng, (3, 13), 1e-15, dtype=np.int16)),
    "int16": ("te_transpose_conv_s16 has no form in", lambda rng: transpose_conv(rng, dtype=np.int16)),
    "int16 sums too large": (
        "32 bits|no form in (scalar|wasm)",
        lambda rng: depthwise_conv2d(rng, gain=5e3, dtype=np.int16),
    ),
}


# What is too small for the DSP extension's kernels, which make a table or read words, or has a form in vectors alone.
OF_VECTORS = {
    "few exponentials": "te_softmax_s8_mve",
    "few values of a table": "te_table_s8_mve",
    "limited outputs": "te_add_rows_s16_mve",
    "a constant subtrahend": "te_add_rows_s16_mve",
}


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("kind", KEPT)
def test_a_layer_that_keeps_its_portable_kernel_says_why(kind, instruction_set, tmp_path):
    said, build = KEPT[kind]
    (call,) = specialise([lower(read_operator(build(np.random.default_rng(0)).model, tmp_path))], instruction_set)
    if instruction_set == "mve" and kind in OF_VECTORS:
        assert call.function == OF_VECTORS[kind]
        return
    assert call.kernel.instruction_set == PORTABLE
    # `scalar` has kernels of sums of products alone, `wasm` that and an ADD of int8.
    if instruction_set == PORTABLE or (instruction_set in ("scalar", "wasm") and not call.macs):
        assert call.kept_because == ""
    else:
        assert re.search(said, call.kept_because)


@pytest.mark.parametrize(("op", "rows_kernel"), [("ADD", "te_add_rows_s8_dsp"), ("SUB", "te_sub_rows_s8_dsp")])
@pytest.mark.parametrize(
    ("shapes", "constant", "activation", "has_table"),
    [
        (((1, 200), (1, 200)), None, "NONE", True),
        (((1, 200), (1, 200)), None, "RELU6", False),
        (((1, 200), (1, 200)), 1, "NONE", False),
        (((1, 4, 4, 32), (32,)), 1, "NONE", False),
        (((1, 30), (1, 30)), None, "NONE", False),
    ],
)
def test_a_sum_has_a_table_where_that_pays(op, rows_kernel, shapes, constant, activation, has_table, tmp_path):
    case = elementwise(np.random.default_rng(0), op, shapes, constant, activation)
    (call,) = specialise([lower(read_operator(case.model, tmp_path))], "dsp")
    assert call.function == ("te_add_s8_dsp" if has_table else rows_kernel)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_a_difference_has_the_operand_of_the_smaller_scale_first(dtype, ratio, tmp_path):
    zero_points = (3, -7, 11) if dtype == np.int8 else (0, 0, 0)
    case = elementwise(
        np.random.default_rng(0), "SUB", ((1, 200),) * 2, ratio=ratio, zero_points=zero_points, dtype=dtype
    )
    portable = lower(read_operator(case.model, tmp_path))
    (call,) = specialise([portable], "dsp")
    assert call.function == ("te_add_s8_dsp" if dtype == np.int8 else "te_sub_s16_dsp")
    subtrahend_first = ratio < 1
    assert call.inputs == (portable.inputs[::-1] if subtrahend_first else portable.inputs)
    assert call.fields["scaled_is_subtracted"] == subtrahend_first
    if dtype == np.int8:
        assert call.fields["exact_unit"] == (2**19 if subtrahend_first else -(2**19))


def test_a_layer_of_the_smaller_instruction_set_says_why(tmp_path):
    case = depthwise_conv2d(np.random.default_rng(0), (1, 9, 1, 8), kernel=(7, 1), gain=0.5)
    (call,) = specialise([lower(read_operator(case.model, tmp_path))], "mve")
    assert call.kernel.instruction_set == "dsp"
    assert call.kept_because == "its window is 7x1, beyond 4x4"


@pytest.mark.parametrize(
    ("length", "taps", "kernel"),
    [(30, 3, "whole"), (24, 10, "whole"), (23, 23, "whole"), (64, 21, "taps")],
)
def test_short_runs_of_a_column_are_summed_where_they_lie(length, taps, kernel, tmp_path):
    case = depthwise_conv2d(np.random.default_rng(0), (1, length, 1, 8), kernel=(taps, 1), padding="VALID", gain=0.5)
    (call,) = specialise([lower(read_operator(case.model, tmp_path))], "dsp")
    assert call.function == f"te_depthwise_{kernel}_s8_dsp"
    assert (call.scratch_bytes == 0) == (kernel == "whole")


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize(("op", "ratio", "gain"), [("ADD", 1e-12, 0.5), ("SUB", 1e12, 0.5), ("MUL", 1.0, 1e-12)])
def test_a_multiplier_of_0_is_a_right_shift_of_vectors(op, ratio, gain, dtype, tmp_path):
    case = elementwise(np.random.default_rng(0), op, ((1, 200),) * 2, ratio=ratio, gain=gain, dtype=dtype)
    (call,) = specialise([lower(read_operator(case.model, tmp_path))], "mve")
    assert call.kernel.instruction_set == "mve"
    assert call.kept_because == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"instruction_set": "sse"}, "no instruction set sse: give one of portable, scalar, dsp"),
        ({"without": ("fold_padding", "unroll")}, "no pass unroll to leave out: give one of fold_constants, "),
        ({"cascade": "sometimes"}, "no choice sometimes of cascades: give --cascade auto, always, never"),
        ({"optimize": "all"}, "no choice all to optimise for: give --optimize balanced, speed, size"),
    ],
)
def test_an_unknown_option_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        CompileOptions(**options)


def test_speed_spends_flash_and_a_quarter_more_ram(shared_model):
    path = shared_model("ic_resnet8_int8.tflite")
    balanced, speed = (
        compile_graph(read_tflite(path), CompileOptions("dsp", optimize=choice)) for choice in ("balanced", "speed")
    )
    kernels = Counter(call.function for call in speed.calls)
    assert kernels["te_conv2d_winograd_s8_dsp"] == 4
    assert not any("winograd" in call.function for call in balanced.calls)
    assert balanced.plan.arena_bytes < speed.plan.arena_bytes <= 1.25 * balanced.plan.arena_bytes
    assert speed.constant_bytes > 2 * balanced.constant_bytes


def kernels_of(path, optimize):
    program = compile_graph(read_tflite(path), CompileOptions("dsp", optimize=optimize))
    return Counter(call.function for call in program.calls), program


def test_size_gives_all_products_the_kernel_of_convolutions(shared_model):
    balanced, before = kernels_of(shared_model("ic_resnet8_int8.tflite"), "balanced")
    size, after = kernels_of(shared_model("ic_resnet8_int8.tflite"), "size")
    products = ("te_conv2d_rows_s8_dsp", "te_fully_connected_row_s8_dsp", "te_conv2d_s8_dsp")
    assert all(balanced[name] for name in products)
    assert not any(name.startswith(("te_conv2d_rows", "te_fully_connected")) for name in size)
    assert size["te_conv2d_s8_dsp"] == sum(balanced[name] for name in products)
    assert after.plan.arena_bytes <= before.plan.arena_bytes


def test_size_leaves_many_products_what_has_fewer_parameters(shared_model):
    size, _ = kernels_of(shared_model("vww_mbv1_025_int8.tflite"), "size")
    assert size["te_conv2d_s8_dsp"] == 1
    assert size["te_fully_connected_s8_dsp"] > 10


def test_winograd_is_left_where_it_does_not_fit(shared_model):
    """Stripes of one row waste half of each tile, so with little memory a cascade keeps its direct convolutions."""
    graph = read_tflite(shared_model("ic_resnet8_int8.tflite"))
    simplify(graph)
    lowered = [lower(operator) for operator in graph.operators]
    calls = hasten(lowered, specialise(lowered, "dsp"), "dsp", default_costs("dsp"), spend_flash=True)
    (winograd,) = [call for call in calls if call.output.shape == (1, 8, 8, 64) and call.smaller is not None]
    assert winograd.saved_cycles > 0
    assert winograd.kernel.fit is not None
    assert winograd.kernel.fit(winograd, {1}) is winograd.smaller
    assert winograd.kernel.fit(winograd, {8}).kernel is winograd.kernel
