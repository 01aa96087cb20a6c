"""Building images: what does not fit or does not compile leaves nothing behind."""

import dataclasses
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tinyedge.boards.board import Memory, board_names, load_board
from tinyedge.c_sources import firmware_root
from tinyedge.cli.build import build
from tinyedge.errors import BudgetExceeded, ConfigError, TargetError, TinyEdgeError, ToolMissing
from tinyedge.firmware.build import build_firmware
from tinyedge.firmware.cmake_build import build_image, configure_image
from tinyedge.firmware.image import ImageOptions
from tinyedge.toolchain import find_build_tools

COUNTDOWN = Path(__file__).resolve().parents[1] / "firmware" / "fixtures" / "countdown"
# Macros that are the build's or the model's, not the board's.
OF_THE_IMAGE = {"TE_VERSION", "TE_MLPERF_ID", "TE_ENROLL_CLASSES"}

try:
    find_build_tools()
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture
def changed_model(tmp_path):
    """A function that copies the fixture model with one text replaced."""

    def change(file: str, old: str, new: str) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(COUNTDOWN, folder)
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))
        return folder

    return change


def test_too_much_flash_is_refused(changed_model, tmp_path):
    model = changed_model("countdown_model.c", "table[256] = {", "table[1050000] = {")
    with pytest.raises(BudgetExceeded, match=r"needs 1,0(5|6)\d,\d{3} bytes of flash and stm32f405 has 1,048,576"):
        build_image(model, load_board("stm32f405"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_much_ram_is_refused(changed_model, tmp_path):
    model = changed_model("countdown_model.h", "COUNTDOWN_ARENA_BYTES 48", "COUNTDOWN_ARENA_BYTES 130000")
    with pytest.raises(BudgetExceeded, match=r"need 134,\d{3} bytes of RAM and stm32f405 has 131,072"):
        build_image(model, load_board("stm32f405"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_last_byte_of_ram_can_be_used(changed_model, tmp_path):
    small = build_image(COUNTDOWN, load_board("stm32f405"), tmp_path / "small").sizes
    free = load_board("stm32f405").ram_bytes - small.ram_bytes - small.stack_bytes
    arena = (48 + free) // 8 * 8
    model = changed_model("countdown_model.h", "COUNTDOWN_ARENA_BYTES 48", f"COUNTDOWN_ARENA_BYTES {arena}")
    sizes = build_image(model, load_board("stm32f405"), tmp_path / "full").sizes
    assert sizes.arena_bytes == arena
    assert 131_072 - 8 <= sizes.ram_bytes + sizes.stack_bytes <= 131_072


def test_what_outgrows_the_fast_memory_goes_into_the_large_one(changed_model, tmp_path):
    board = load_board("nucleo_h743zi2")
    model = changed_model("countdown_model.h", "COUNTDOWN_ARENA_BYTES 48", "COUNTDOWN_ARENA_BYTES 127000")
    image = build_image(model, board, tmp_path / "out")
    assert (image.ram, image.memory_rows()[-1].limit) == (board.sram, 524_288)
    (model / "countdown_model.h").write_text(
        (model / "countdown_model.h").read_text().replace("BYTES 127000", "BYTES 530000")
    )
    with pytest.raises(BudgetExceeded, match=r"need 53\d,\d{3} bytes of RAM and nucleo_h743zi2 has 524,288"):
        build_image(model, board, tmp_path / "more")


def test_an_earlier_image_survives_a_failure(changed_model, tmp_path):
    board = load_board("stm32f405")
    before = build_image(COUNTDOWN, board, tmp_path).bin.read_bytes()
    model = changed_model("countdown_model.h", "COUNTDOWN_ARENA_BYTES 48", "COUNTDOWN_ARENA_BYTES 1000000")
    with pytest.raises(BudgetExceeded):
        build_image(model, board, tmp_path)
    assert (tmp_path / "tinyedge.bin").read_bytes() == before


def test_c_that_does_not_compile_is_quoted(changed_model, tmp_path):
    model = changed_model(
        "countdown_model.c", "static void count_down", "static int never = nowhere;\nstatic void count_down"
    )
    with pytest.raises(
        TargetError, match=r"does not build \(\S*countdown_model\.c:\d+:\d+: error: .nowhere. undeclared"
    ):
        build_image(model, load_board("stm32f405"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# test_firmware_build_images.py has the C of every board without a warning; these differ in what CMake makes of them:
# plain, with a second memory for variables, and with one to start from.
IN_CMAKE = ("stm32f405", "nucleo_h743zi2", "mps3_an547")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in IN_CMAKE else [pytest.mark.thorough]) for name in board_names()],
)
def test_cmake_alone_builds_without_a_warning(tmp_path, monkeypatch, name):
    """As the head of firmware/CMakeLists.txt tells to, with relative paths and warnings as errors."""
    monkeypatch.delenv("CMAKE_C_COMPILER_LAUNCHER", raising=False)
    for part in ("app", "boards", "cmake", "kernels", "runtime"):
        shutil.copytree(firmware_root() / part, tmp_path / "firmware" / part)
    shutil.copy(firmware_root() / "CMakeLists.txt", tmp_path / "firmware")
    shutil.copytree(load_board(name).file.parent, tmp_path / "tinyedge" / "boards")
    shutil.copytree(COUNTDOWN, tmp_path / "model")
    configure = ["cmake", "-G", "Ninja", "-S", "firmware", "-B", "build", f"-DBOARD={name}", "-DMODEL_DIR=model"]
    configure += ["-DCMAKE_TOOLCHAIN_FILE=cmake/arm-none-eabi.cmake"]
    subprocess.run(configure, cwd=tmp_path, check=True)
    subprocess.run(["cmake", "--build", "build"], cwd=tmp_path, check=True)
    assert all((tmp_path / "build" / f"tinyedge.{end}").stat().st_size for end in ("elf", "bin", "hex", "map"))


@pytest.mark.parametrize("name", board_names())
def test_cmake_defines_what_the_description_says(name, tmp_path, monkeypatch):
    monkeypatch.setenv("CMAKE_EXPORT_COMPILE_COMMANDS", "ON")
    board = load_board(name)
    configure_image(COUNTDOWN, board, tmp_path, ImageOptions(classes=3 if board.store is not None else 0))
    commands = json.loads((tmp_path / "compile_commands.json").read_text())
    command = next(one["command"] for one in commands if one["file"].endswith("app/main.c"))
    macros = _macros(command)
    own = {key: value for key, value in macros.items() if key not in OF_THE_IMAGE and "TE_MODEL" not in key}

    def values(definitions):
        """Of numbers, which the description may write as hexadecimal ones."""
        return {key: text if text.startswith('"') else int(text.rstrip("u"), 0) for key, text in definitions.items()}

    # A Cortex-M7 without double precision is told from a Cortex-M4 by its flags.
    told = _macros(board.cpu_flags)
    single_precision_m7 = {"-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16"} <= set(board.cpu_flags.split())
    assert told == ({"TE_LOADS_APART": "1"} if single_precision_m7 else {})
    assert values(own) == values(board.definitions()) | values(told)


def _macros(command):
    return dict(word[2:].split("=", 1) for word in shlex.split(command) if word.startswith("-D") and "=" in word)


def test_cmake_alone_names_a_board_that_it_lacks(tmp_path):
    configure = [
        "cmake",
        "-G",
        "Ninja",
        "-S",
        firmware_root(),
        "-B",
        tmp_path,
        "-DBOARD=none",
        f"-DMODEL_DIR={COUNTDOWN}",
    ]
    configure += ["-DCMAKE_TOOLCHAIN_FILE=cmake/arm-none-eabi.cmake"]
    done = subprocess.run(configure, capture_output=True, text=True)
    assert done.returncode != 0
    assert "no board none" in done.stderr


def test_dynamic_memory_does_not_link(changed_model, tmp_path):
    model = changed_model(
        "countdown_model.c",
        "static void count_down",
        "#include <stdlib.h>\nvoid *volatile block;\nstatic void count_down",
    )
    text = (model / "countdown_model.c").read_text()
    (model / "countdown_model.c").write_text(
        text.replace("    uint32_t count;\n", "    uint32_t count;\n    block = malloc(9);\n")
    )
    with pytest.raises(TargetError, match="_sbrk"):
        build_image(model, load_board("stm32f405"), tmp_path / "out")


def test_the_same_sources_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.delenv("CMAKE_C_COMPILER_LAUNCHER", raising=False)  # It would not compile them a second time.
    board = load_board("mps2_an386")
    shutil.copytree(COUNTDOWN, tmp_path / "elsewhere")
    first = build_image(COUNTDOWN, board, tmp_path / "first")
    second = build_image(tmp_path / "elsewhere", board, tmp_path / "second")
    assert first.bin.read_bytes() == second.bin.read_bytes()
    assert first.elf.read_bytes() == second.elf.read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        {"runtime": "tvm"},
        {"mlperf_id": "ic02"},
        {"classes": 65_536},
        {"runtime": "tflm", "layers": True},
        {"runtime": "tflm", "classes": 2},
    ],
)
def test_unknown_options_are_refused(options):
    with pytest.raises(ConfigError):
        ImageOptions(**options)


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(TargetError, match="no model in"):
        build_image(tmp_path, load_board("stm32f405"), tmp_path / "out")


def test_flags_of_the_surroundings_do_not_get_in(tmp_path, monkeypatch):
    board = load_board("mps2_an386")
    plain = build_image(COUNTDOWN, board, tmp_path / "plain").bin.read_bytes()
    monkeypatch.setenv("CFLAGS", "-O0 -DTE_VERSION=oops")
    monkeypatch.setenv("LDFLAGS", "-Wl,--no-gc-sections")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert build_image(COUNTDOWN, board, tmp_path / "flags").bin.read_bytes() == plain


def test_a_published_model_becomes_an_image(shared_model, tmp_path, capsys):
    model = shared_model("ic_resnet8_int8.tflite")
    build(
        model,
        board="stm32f405",
        runtime="aot",
        out=tmp_path / "out",
        mlperf="ic01",
        layers=False,
        enroll=0,
        cascade="auto",
        optimize="balanced",
        kernels_in="flash",
        weights_in="flash",
        patch=False,
        json=True,
    )
    said = json.loads(capsys.readouterr().out)
    sizes = said["sizes"]
    assert said["limits"] == {"flash_bytes": 1_048_576, "ram_bytes": 131_072}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"tinyedge.{end}" for end in ("elf", "bin", "hex", "map")
    }
    # 78,666 weights and biases; the rest of the model's part is quantisation and layer parameters.
    assert 78_000 < sizes["flash_model_bytes"] < 98_496
    assert sizes["flash_bytes"] == sizes["flash_model_bytes"] + sizes["flash_code_bytes"]
    assert sizes["ram_bytes"] > sizes["arena_bytes"] + 3072  # The loaded input.
    build(
        model,
        board="stm32f405",
        runtime="aot",
        out=tmp_path / "out",
        mlperf="",
        layers=False,
        enroll=0,
        cascade="auto",
        optimize="balanced",
        kernels_in="flash",
        weights_in="flash",
        patch=False,
        json=False,
    )
    table = capsys.readouterr().out
    assert all(word in table for word in ("flash", "RAM", "arena", "stack", "1,048,576", "131,072", "tinyedge.hex"))


def test_a_refusal_names_the_layers_to_shrink(shared_model, tmp_path):
    model = shared_model("vww_mbv1_025_int8.tflite")
    board = load_board("stm32f405")
    file = tmp_path / "less.toml"
    file.write_text(board.file.read_text().replace("bytes = 131072", "bytes = 49152"))
    less = dataclasses.replace(board, name="less", file=file, sram=Memory(board.sram.origin, 49_152))
    with pytest.raises(
        BudgetExceeded, match=r"of RAM and less has 49,152; the most RAM goes to layer \d+ \(\w+ \S+, [\d,]+ bytes\): "
    ):
        build_firmware(model, less, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(TinyEdgeError, match=r"cannot write .*out"):
        build_image(COUNTDOWN, load_board("mps2_an386"), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
