"""TFLite Micro in the firmware: what the find module refuses, and images around a stand-in or upstream's library."""

import dataclasses
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, one_operator
from tflm_root import DEFINITIONS, STUB, add_library, make_root

from tinyedge.benchmark.bench import run_bench
from tinyedge.boards.board import Memory, load_board
from tinyedge.c_sources import firmware_root
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import BudgetExceeded, ModelError, TargetError, ToolMissing
from tinyedge.firmware.build import build_firmware
from tinyedge.firmware.image import ImageOptions
from tinyedge.firmware.tflm_firmware import check_tflm_model
from tinyedge.tflite.model import Model
from tinyedge.toolchain import find_build_tools, find_tool

try:
    find_build_tools()
    find_tool("qemu-system-arm")
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)

BOARD = load_board("mps2_an386")
HINT = (
    "in TFLM_ROOT run `make -f tensorflow/lite/micro/tools/make/Makefile TARGET=cortex_m_generic "
    "TARGET_ARCH=cortex-m4+fp OPTIMIZED_KERNEL_DIR=cmsis_nn BUILD_TYPE=release microlite`"
)


UPSTREAM = os.environ.get("TFLM_ROOT")
needs_upstream = pytest.mark.skipif(
    not UPSTREAM,
    reason="TFLM_ROOT names no checkout of tflite-micro with a library for cortex-m4+fp (docs/tflm_runtime.md)",
)


MODEL_HEADER = """
#define TE_MODEL_NAME "glue"
#define TE_MODEL_SHA256 "00"
#define TE_MODEL_LAYER_COUNT 1
#define TE_MODEL_INPUTS(TENSOR) TENSOR(0, , FLOAT32, 16, 0.0f, 0, 2, 1, 4) TENSOR(1, , INT8, 1, 1.0f, (-3), 1, 1)
#define TE_MODEL_OUTPUTS(TENSOR) TENSOR(0, , UINT8, 1, 1.0f, 0, 1, 1)
"""


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A stand-in for a checkout, without a library."""
    made = make_root(tmp_path)
    monkeypatch.setenv("TFLM_ROOT", str(made))
    monkeypatch.delenv("TFLM_LIBRARY", raising=False)
    return made


@pytest.fixture
def model(tmp_path) -> Path:
    """A pooling with a window of 1, which is all that the stand-in knows."""
    path = tmp_path / "pool.tflite"
    window = {"filterHeight": 1, "filterWidth": 1, "strideH": 1, "strideW": 1, "padding": "VALID"}
    path.write_bytes(
        one_operator("MAX_POOL_2D", [TensorSpec((1, 2, 3, 4), 0.1)], TensorSpec((1, 2, 3, 4), 0.1), **window)
    )
    return path


def diagnostic(tmp_path: Path) -> str:
    """What CMake says when it does not configure a build, in one line."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.c").write_text("")
    options = {"RUNTIME": "tflm", "BOARD": BOARD.name, "MODEL_DIR": tmp_path / "model"}
    options["CMAKE_TOOLCHAIN_FILE"] = firmware_root() / "cmake" / "arm-none-eabi.cmake"
    command = ["cmake", "-G", "Ninja", "-S", firmware_root(), "-B", tmp_path / "cmake"]
    done = subprocess.run(
        [*command, *(f"-D{key}={value}" for key, value in options.items())], capture_output=True, text=True
    )
    assert done.returncode != 0
    return " ".join(done.stderr.split())


def test_a_missing_root_is_told(root, tmp_path, monkeypatch):
    monkeypatch.delenv("TFLM_ROOT")
    assert f"TFLM_ROOT is not set: name a checkout of github.com/tensorflow/tflite-micro with it, and {HINT}" in (
        diagnostic(tmp_path)
    )


def test_a_root_that_is_no_folder_is_told(root, tmp_path, monkeypatch):
    monkeypatch.setenv("TFLM_ROOT", str(tmp_path / "nowhere"))
    assert f"TFLM_ROOT is no folder: {tmp_path}/nowhere" in diagnostic(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        "tensorflow/lite/micro/micro_interpreter.h",
        "tensorflow/lite/micro/tools/make/downloads/flatbuffers/include/flatbuffers/flatbuffers.h",
        "tensorflow/lite/micro/tools/make/downloads/gemmlowp/fixedpoint/fixedpoint.h",
    ],
)
def test_a_missing_header_is_named(root, tmp_path, header):
    (root / header).unlink()
    said = diagnostic(tmp_path)
    assert re.search(rf"header {'/'.join(Path(header).parts[-2:])} is not in|header {header} is not in", said)
    assert HINT in said


def test_missing_cpp_headers_are_told(root, tmp_path):
    (root / "new").write_text('#include "not_installed"\n')
    assert (
        "arm-none-eabi-g++ has no C++ headers, which TFLite Micro's include: install libstdc++-arm-none-eabi-newlib"
        in (diagnostic(tmp_path))
    )


def test_a_missing_library_is_told_by_the_command_too(root, tmp_path, model):
    with pytest.raises(TargetError) as caught:
        build_firmware(model, BOARD, tmp_path / "out", ImageOptions("tflm"))
    assert f"no {root}/gen/*/lib/libtensorflow-microlite.a: {HINT}" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_named_library_that_is_missing_is_told(root, tmp_path, monkeypatch):
    monkeypatch.setenv("TFLM_LIBRARY", "/nowhere/lib.a")
    assert "TFLM_LIBRARY is no file: /nowhere/lib.a" in diagnostic(tmp_path)


M4 = "-mcpu=cortex-m4 -mthumb"


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("-mcpu=cortex-m3 -mthumb", "is compiled for the architecture v7, and mps2_an386 has v7E-M"),
        (f"{M4} -mfloat-abi=soft", "has the float ABI soft, and mps2_an386 has hard"),
        (f"{M4} -mfpu=fpv4-sp-d16 -mfloat-abi=softfp", "has the float ABI soft, and mps2_an386 has hard"),
        (
            "-mcpu=cortex-m7 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard",
            "is compiled for other units (FPv5/FP-D16 for ARMv8 ) than mps2_an386 has (VFPv4-D16 )",
        ),
    ],
)
def test_a_library_for_another_processor_is_refused(root, tmp_path, flags, reason):
    library = add_library(root, flags)
    assert f"{library} {reason}: {HINT}" in diagnostic(tmp_path)


def test_a_library_for_the_host_is_refused(root, tmp_path):
    library = add_library(root)
    (tmp_path / "host.c").write_text("int host;")
    subprocess.run(["cc", "-c", tmp_path / "host.c", "-o", tmp_path / "host.o"], check=True)
    library.unlink()
    subprocess.run(["ar", "crs", library, tmp_path / "host.o"], check=True)
    assert f"{library} holds no code for Arm: {HINT}" in diagnostic(tmp_path)


@pytest.mark.parametrize(
    ("definitions", "reason"),
    [
        (
            ("-DSTUB_DYNAMIC_MEMORY",),
            "is compiled without TF_LITE_STATIC_MEMORY, so its structs have another layout than those that the "
            "firmware is compiled with, and it would link and then fault on the board",
        ),
        (("-DSTUB_STRINGS",), "is compiled without TF_LITE_STRIP_ERROR_STRINGS, so its messages would take flash"),
        (("-DMicroInterpreter=Other",), "has no tflite::MicroInterpreter::Invoke()"),
    ],
)
def test_a_library_of_another_kind_is_refused(root, tmp_path, definitions, reason):
    library = add_library(root, definitions=definitions)
    said = diagnostic(tmp_path)
    assert f"{library} {reason}" in said
    assert HINT in said


def test_two_libraries_that_fit_are_not_chosen_from(root, tmp_path):
    one, two = (add_library(root, name=name) for name in ("one", "two"))
    add_library(root, "-mcpu=cortex-m3 -mthumb", name="three")
    assert f"several libraries fit mps2_an386: name one with TFLM_LIBRARY; {one} and {two}" in diagnostic(tmp_path)


def test_the_glue_needs_no_cpp_library_and_gives_no_warning(tmp_path):
    """Against the stand-in's headers alone."""
    (tmp_path / "te_model.h").write_text(MODEL_HEADER)
    command = [
        "arm-none-eabi-g++",
        *BOARD.cpu_flags.split(),
        "-nostdinc++",
        "-std=c++17",
        "-fno-rtti",
        "-fno-exceptions",
    ]
    command += ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror", "-isystem", str(STUB)]
    command += [*DEFINITIONS, '-DTE_TFLM_KERNELS="reference"', "-c", "-o", str(tmp_path / "glue.o")]
    runtime = firmware_root() / "runtime"
    includes = [f"-I{folder}" for folder in (tmp_path, runtime, runtime / "tflm", firmware_root() / "kernels")]
    subprocess.run([*command, *includes, runtime / "tflm" / "te_runtime_tflm.cc"], check=True)


def test_a_model_runs_in_the_smallest_arena(root, tmp_path, model):
    add_library(root, "-mcpu=cortex-m3 -mthumb", name="other")  # It does not fit, so there is nothing to choose.
    add_library(root)
    image = build_firmware(model, BOARD, tmp_path / "out", ImageOptions("tflm"))
    assert image.runtime == "tflm"
    # The library needs 1016 bytes and says 1000; beside the arena there are the interpreter and the resolver.
    assert 1024 < image.sizes.arena_bytes < 1024 + 256
    # The model's part is the file, in whole words.
    assert image.sizes.flash_model_bytes == -(-model.stat().st_size // 4) * 4
    with Emulator(image.elf, BOARD) as emulator:
        info = emulator.client.info()
        assert (info.runtime, info.instruction_set, info.arena_bytes, info.layers) == ("tflm", "reference", 1000, 1)
        data = bytes(range(100, 124))
        emulator.client.load(data)
        emulator.client.infer(2, warmup=0)
        assert emulator.client.raw() == data


def test_floats_are_no_hindrance(root, tmp_path):
    """What the compiler refuses, the interpreter runs."""
    source = root / "library.cc"
    source.write_text(source.read_text().replace("output_.type = kTfLiteInt8", "output_.type = kTfLiteFloat32"))
    add_library(root)
    path = tmp_path / "pool.tflite"
    window = {"filterHeight": 1, "filterWidth": 1, "strideH": 1, "strideW": 1, "padding": "VALID"}
    pixels = TensorSpec((1, 1, 2, 3), dtype=np.float32)
    path.write_bytes(one_operator("MAX_POOL_2D", [pixels], TensorSpec((1, 1, 2, 3), dtype=np.float32), **window))
    report, _ = run_bench(path, target="emulator", board_name=BOARD.name, runtime="tflm", inputs=2)
    assert report.results[0].bit_exact
    with pytest.raises(ModelError, match="float32 model: quantise it"):
        build_firmware(path, BOARD, tmp_path / "out")


def test_types_that_firmware_cannot_tell_of_are_refused(tmp_path):
    path = tmp_path / "half.tflite"
    half = TensorSpec((1, 4), dtype=np.float16, name="half")
    path.write_bytes(one_operator("DEQUANTIZE", [half], TensorSpec((1, 4), dtype=np.float32)))
    with pytest.raises(ModelError, match=r"input 'half' of .* is float16, and firmware takes and gives int8, uint8"):
        check_tflm_model(Model(path))


def test_int8_kernels_are_taken_where_the_library_has_them(root, tmp_path, model):
    library = add_library(root, definitions=("-DCMSIS_NN",))
    image = build_firmware(model, BOARD, tmp_path / "out", ImageOptions("tflm"))
    names = subprocess.run(["arm-none-eabi-nm", image.elf], capture_output=True, text=True, check=True).stdout
    assert "Register_MAX_POOL_2D_INT8" in names
    assert "Register_MAX_POOL_2DEv" not in names
    assert library.is_file()


def test_both_runtimes_are_compared_on_a_board(root, model):
    add_library(root)
    report, _ = run_bench(model, target="emulator", board_name=BOARD.name, runtime="all", inputs=2)
    aot, tflm = report.results
    assert (aot.runtime, tflm.runtime) == ("aot", "tflm")
    assert aot.bit_exact
    assert tflm.bit_exact
    assert aot.outputs_sha256 == tflm.outputs_sha256
    assert report.env["flags"].endswith("libtensorflow-microlite.a")


def test_a_board_without_room_is_told(root, tmp_path, model):
    add_library(root)
    file = tmp_path / "tiny.toml"
    file.write_text(BOARD.file.read_text().replace("bytes = 4194304", "bytes = 4900"))
    tiny = dataclasses.replace(BOARD, name="tiny", file=file, sram=Memory(BOARD.sram.origin, 4900))
    with pytest.raises(BudgetExceeded, match=r"TFLite Micro takes 1,024 bytes of arena and the whole file: build it"):
        build_firmware(model, tiny, tmp_path / "out", ImageOptions("tflm"))
    assert not (tmp_path / "out").exists()


def test_a_library_that_computes_something_else_is_told(root, tmp_path, model):
    source = root / "library.cc"
    source.write_text(source.read_text().replace("= input_.data.int8[i];", "= 0;"))
    add_library(root)
    with pytest.raises(TargetError, match="does not give the output of the interpreter on this machine"):
        build_firmware(model, BOARD, tmp_path / "out", ImageOptions("tflm"))


@needs_upstream
@pytest.mark.slow
def test_upstream_gives_the_bytes_of_aot():
    model = Path(__file__).resolve().parents[2] / "models" / "tinynext_t_cifar10" / "model_int8.tflite"
    report, _ = run_bench(model, target="emulator", board_name=BOARD.name, runtime="all", inputs=2)
    aot, tflm = report.results
    assert tflm.bit_exact
    assert aot.outputs_sha256 == tflm.outputs_sha256
    assert tflm.arena_bytes < 152_432  # What the interpreter takes on a machine with pointers of 8 bytes.
