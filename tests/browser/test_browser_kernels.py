"""Kernels that use WebAssembly's vector instructions, in a browser, against TFLite Micro."""

import dataclasses
import shutil

import numpy as np
import pytest
from chromium import Chromium, find_chromium
from machines.case_machines import KERNELS, WARNINGS, KernelBuild
from machines.wasm_machine import WasmMachine
from ops.case_builders import conv2d, depthwise_conv2d, elementwise, fully_connected, transpose_conv
from ops.kernel_cases import assert_bit_exact, read_operator

from tinyedge.compiler.costs import default_costs
from tinyedge.compiler.kernels import hasten, specialise
from tinyedge.ops import lower
from tinyedge.ops.kernel_call import ConstantArray

VECTORISED = ("te_conv2d_s8", "te_depthwise_conv2d_s8", "te_fully_connected_s8", "te_transpose_conv_s8")
WINOGRAD = "te_conv2d_winograd_s8_wasm"
OF_WASM = tuple(sorted(path.stem for path in KERNELS.glob("*_wasm.c")))
ENDS = [(-128, 127), (127, -128), (3, -4)]  # Zero points: with the first, an input less its own is 255.

pytestmark = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("clang", "wasm-ld")) or find_chromium() is None,
    reason="apt-get install clang lld chromium",
)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wasm")
    browser = Chromium(find_chromium(), folder / "profile")
    machine = WasmMachine(browser)
    names = (*VECTORISED, *OF_WASM)
    objects = [machine.compile(KERNELS / f"{name}.c", folder / f"{name}.o", WARNINGS) for name in names]
    yield KernelBuild(machine, objects)
    browser.close()


@pytest.fixture
def both(kernels):
    """The portable kernels, and those of the instruction set."""
    return [kernels, KernelBuild(dataclasses.replace(kernels.machine, instruction_set="wasm"), kernels.objects)]


def functions(cases, folder):
    """The kernels that the instruction set has for some cases: the quickest, as on a page."""
    return quickest([lower(read_operator(case.model, folder)) for case in cases])


def quickest(lowered):
    calls = hasten(lowered, specialise(lowered, "wasm"), "wasm", default_costs("wasm"), spend_flash=True)
    return [call.function for call in calls]


def test_vectors_and_what_is_left_of_them_give_the_bits_of_tflite_micro(both, tmp_path):
    rng = np.random.default_rng(0)
    # Sums of 1 to 40 products and of some hundreds; windows of 1 to 33 channels, over edges, apart and dilated.
    cases = [fully_connected(rng, (3, count), zero_points=ENDS[count % 3]) for count in (*range(1, 41), 517)]
    cases += [
        conv2d(rng, (1, 5, 4, channels), kernel=kernel, zero_points=zero_points, groups=groups, dilation=dilation)
        for channels, kernel, groups, dilation in (
            *((channels, (1, 1), 1, (1, 1)) for channels in (3, 8, 16, 31)),
            *((channels, (3, 3), 1, (1, 1)) for channels in (1, 5, 24)),
            *((16, (2, 3), 2, (1, 1)), (18, (3, 2), 1, (2, 1))),
        )
        for zero_points in ENDS
    ]
    cases += [
        depthwise_conv2d(
            rng, (1, 6, 7, channels), multiplier, stride=stride, dilation=dilation, zero_points=zero_points
        )
        for channels, multiplier, stride, dilation in (
            *((channels, 1, (1, 1), (1, 1)) for channels in (1, 7, 8, 9, 16, 33)),
            *((24, 1, (2, 2), (1, 1)), (10, 1, (1, 1), (2, 2)), (8, 2, (1, 1), (1, 1)), (1, 9, (1, 1), (1, 1))),
        )
        for zero_points in ENDS
    ]
    cases += [transpose_conv(rng, (1, 3, 4, channels), zero_points=ENDS[channels % 3]) for channels in (3, 8, 25)]
    assert_bit_exact(cases, both, tmp_path)


def test_kernels_of_the_instruction_set_give_the_bits_of_tflite_micro(both, tmp_path):
    rng = np.random.default_rng(2)
    # Rows by fours and the rest, channels by eights, by fours and the rest, limited outputs, INT4 weights, and rows of
    # fewer pixels than are made at a time.
    sizes = ((1, 1), (4, 4), (5, 7), (7, 12), (8, 17))
    cases = [fully_connected(rng, (rows, 11), channels) for rows, channels in sizes]
    cases += [
        conv2d(
            rng,
            (2, height, width, channels),
            filters,
            kernel,
            stride,
            dilation,
            padding=padding,
            groups=groups,
            activation=activation,
            int4=bits == 4,
        )
        for (height, width, channels), filters, kernel, stride, dilation, padding, groups, activation, bits in (
            ((7, 9, 3), 13, (3, 3), (1, 1), (1, 1), "SAME", 1, "RELU6", 8),
            ((7, 9, 3), 5, (3, 2), (2, 1), (1, 1), "SAME", 1, "NONE", 8),
            ((9, 8, 6), 8, (3, 3), (1, 2), (2, 2), "VALID", 1, "RELU", 8),
            ((9, 3, 10), 10, (2, 3), (3, 2), (1, 1), "SAME", 2, "NONE", 8),
            ((12, 1, 5), 4, (4, 1), (2, 1), (1, 1), "SAME", 1, "NONE", 8),
            ((5, 6, 9), 9, (1, 1), (2, 2), (1, 1), "SAME", 3, "NONE", 8),
            ((5, 6, 7), 9, (1, 1), (1, 1), (1, 1), "SAME", 1, "NONE", 4),
            ((5, 6, 7), 12, (3, 3), (1, 1), (1, 1), "SAME", 1, "NONE", 4),
        )
    ]
    cases += [
        depthwise_conv2d(rng, (2, 7, 9, channels), 1, kernel, stride, dilation, padding=padding, int4=bits == 4)
        for channels, kernel, stride, dilation, padding, bits in (
            (8, (3, 3), (2, 2), (1, 1), "SAME", 8),
            (12, (5, 5), (1, 1), (1, 1), "SAME", 8),
            (17, (2, 4), (1, 3), (1, 1), "VALID", 8),
            (11, (3, 3), (1, 1), (3, 2), "SAME", 8),
            (15, (3, 3), (2, 1), (1, 1), "SAME", 4),
            (1, (3, 3), (1, 1), (1, 1), "SAME", 8),
        )
    ]
    cases += [
        elementwise(rng, "ADD", ((2, count),) * 2, ratio=ratio, activation=activation)
        for count, ratio, activation in ((1, 1.0, "NONE"), (40, 0.1, "RELU6"), (75, 3.0, "NONE"))
    ]
    assert set(functions(cases, tmp_path)) == set(OF_WASM) - {WINOGRAD}
    assert_bit_exact(cases, both[1:], tmp_path)


def test_conv2d_by_winograd_gives_the_bits_of_tflite_micro(both, tmp_path):
    """Tiles that end in the image and beyond it, groups of tiles across rows and not whole, and several images."""
    rng = np.random.default_rng(30)
    cases = [
        conv2d(rng, (batches, height, width, channels), filters, padding=padding, zero_points=zero_points, **options)
        for (batches, height, width), channels, filters, padding, zero_points, options in (
            ((2, 9, 7), 8, 24, "SAME", ENDS[0], {}),
            ((1, 8, 8), 16, 8, "SAME", ENDS[1], {"activation": "RELU6"}),
            ((2, 5, 21), 24, 16, "VALID", ENDS[2], {"gain": 0.5}),
            ((1, 3, 19), 32, 8, "SAME", ENDS[0], {"bias": False}),
            ((1, 17, 5), 8, 8, "VALID", ENDS[1], {"int4": True}),
            ((1, 12, 13), 40, 32, "SAME", ENDS[2], {"per_channel": False}),
        )
    ]
    assert functions(cases, tmp_path) == [WINOGRAD] * len(cases)
    assert_bit_exact(cases, both[1:], tmp_path, speed=True)


def test_where_winograd_does_not_pay_or_fit_the_direct_kernel_stays(tmp_path):
    rng = np.random.default_rng(31)
    cases = [
        conv2d(rng, (1, 9, 9, 12), 8),  # No whole vectors.
        conv2d(rng, (1, 9, 9, 8), 12),
        conv2d(rng, (1, 9, 9, 8), 8, (3, 3), (2, 2)),
        conv2d(rng, (1, 9, 9, 8), 8, (5, 5)),
        conv2d(rng, (1, 9, 9, 16), 16, groups=2),
        conv2d(rng, (1, 4, 4, 64), 64),  # Few tiles for the larger filters.
        conv2d(rng, (1, 1, 64, 8), 8),  # Half of each tile is below the image.
    ]
    assert functions(cases, tmp_path) == ["te_conv2d_s8_wasm"] * len(cases)
    # Four times a sum of 2^29 is no int32: half of 2^-22 of it, less 128, is between two outputs.
    call = lower(read_operator(conv2d(rng, (1, 9, 9, 8), 8, zero_points=(0, -128)).model, tmp_path))
    for half, function in ((2**28 - 2**21, WINOGRAD), (2**29 + 2**21, "te_conv2d_s8_wasm")):
        numbers = {"bias": half, "multipliers": 2**30, "shifts": -21}
        arrays = {name: ConstantArray(np.full(8, value, np.int32)) for name, value in numbers.items()}
        assert quickest([dataclasses.replace(call, fields={**call.fields, **arrays})]) == [function]


def test_a_wrong_bit_and_a_write_too_far_are_found(kernels, tmp_path):
    case = fully_connected(np.random.default_rng(1), (1, 20))
    wrong = tmp_path / "wrong.c"
    wrong.write_text(
        '#include "te_kernels.h"\n'
        "void te_fully_connected_s8(const te_fully_connected_params *params, const int8_t *input, int8_t *output,\n"
        "                           void *scratch) {\n"
        "    (void)input, (void)scratch;\n    for (int32_t i = 0; i <= params->out_c; i++) {\n        output[i] = 1;\n"
        "    }\n}\n"
    )
    broken = KernelBuild(kernels.machine, [kernels.machine.compile(wrong, tmp_path / "wrong.o")])
    with pytest.raises(AssertionError, match="writes outside its buffers"):
        assert_bit_exact([case], [broken], tmp_path)
    wrong.write_text(wrong.read_text().replace("<=", "<"))
    broken = KernelBuild(kernels.machine, [kernels.machine.compile(wrong, tmp_path / "wrong.o")])
    with pytest.raises(AssertionError, match="elements differ"):
        assert_bit_exact([case], [broken], tmp_path)
