"""Every board's image of TinyNeXt-T, or of MobileNetV2 where that has no room: memories, stack, no warnings."""

import functools
import struct
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from tinyedge.boards.board import board_names, load_board
from tinyedge.compiler.emit.emitter import emit
from tinyedge.compiler.emit.names import default_name
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import Program, compile_graph
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import ToolMissing
from tinyedge.firmware import cmake_build
from tinyedge.firmware.build import build_program
from tinyedge.firmware.image import FirmwareImage, ImageOptions
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.reader import read_tflite
from tinyedge.toolchain import find_build_tools, find_tool

MODELS = Path(__file__).resolve().parents[2] / "models"
LARGE, SMALL = (MODELS / name / "model_int8.tflite" for name in ("tinynext_t_cifar10", "mobilenetv2_035_cifar10"))
EMULATED = [name for name in board_names() if load_board(name).emulator]
KB, MB = 1024, 1024 * 1024

try:
    find_build_tools()
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)

# (kind, first address, size) of what code and data may lie in, as the chapter "Memory and bus architecture" of the
# reference manual, the data sheet or the application note has it. Memories that follow each other are one piece.
MEMORIES = {
    "stm32f405": [  # RM0090, DS8626: SRAM1 112 KB, SRAM2 16 KB
        ("flash", 0x0800_0000, 1 * MB),
        ("RAM", 0x2000_0000, (112 + 16) * KB),
    ],
    "disco_f746ng": [  # RM0385, DS10916: DTCM 64 KB, SRAM1 240 KB, SRAM2 16 KB
        ("flash", 0x0800_0000, 1 * MB),
        ("RAM", 0x2000_0000, (64 + 240 + 16) * KB),
    ],
    "nucleo_f207zg": [  # RM0033, DS6329: SRAM1 112 KB, SRAM2 16 KB
        ("flash", 0x0800_0000, 1 * MB),
        ("RAM", 0x2000_0000, (112 + 16) * KB),
    ],
    # RM0444, DS13560: 144 KB where no byte has a parity bit.
    "nucleo_g0b1re": [("flash", 0x0800_0000, 512 * KB), ("RAM", 0x2000_0000, 144 * KB)],
    # ST's stm32g474xx.h and stm32g474xx_flash.icf: SRAM1 80 KB, SRAM2 16 KB, CCM SRAM 32 KB by its second address
    "nucleo_g474re": [("flash", 0x0800_0000, 512 * KB), ("RAM", 0x2000_0000, (80 + 16 + 32) * KB)],
    "nucleo_l4r5zi": [  # RM0432, DS12023: SRAM1 192 KB, SRAM2 64 KB, SRAM3 384 KB
        ("flash", 0x0800_0000, 2 * MB),
        ("RAM", 0x2000_0000, (192 + 64 + 384) * KB),
    ],
    "nucleo_h743zi2": [  # RM0433, DS12110: DTCM, AXI SRAM
        ("flash", 0x0800_0000, 2 * MB),
        ("RAM", 0x2000_0000, 128 * KB),
        ("RAM", 0x2400_0000, 512 * KB),
    ],
    "nucleo_u575zi": [  # RM0456, DS13737: SRAM1 192 KB, SRAM2 64 KB, SRAM3 512 KB
        ("flash", 0x0800_0000, 2 * MB),
        ("RAM", 0x2000_0000, (192 + 64 + 512) * KB),
    ],
    # ST's stm32wb55xx.h: SRAM1 192 KB; Zephyr's stm32wb55Xg.dtsi: 148 of the 1,024 KB are the radio's.
    "nucleo_wb55rg": [("flash", 0x0800_0000, (1024 - 148) * KB), ("RAM", 0x2000_0000, 192 * KB)],
    # Nordic's nrf52840_xxaa_memory.h.
    "nrf52840_dk": [("flash", 0x0000_0000, 1 * MB), ("RAM", 0x2000_0000, 256 * KB)],
    # DAI 0385, 0386 and 0500: ZBTSRAM 1; 2 and 3. DAI 0505: the same by secure addresses. DAI 0547: ITCM, SRAM, DTCM.
    "mps2_an385": [("flash", 0x0000_0000, 4 * MB), ("RAM", 0x2000_0000, 4 * MB)],
    "mps2_an385_m0plus": [("flash", 0x0000_0000, 4 * MB), ("RAM", 0x2000_0000, 4 * MB)],
    "mps2_an386": [("flash", 0x0000_0000, 4 * MB), ("RAM", 0x2000_0000, 4 * MB)],
    "mps2_an500": [("flash", 0x0000_0000, 4 * MB), ("RAM", 0x2000_0000, 4 * MB)],
    "mps2_an505": [("flash", 0x1000_0000, 4 * MB), ("RAM", 0x3800_0000, 4 * MB)],
    "mps3_an547": [("boot", 0x0000_0000, 512 * KB), ("flash", 0x1100_0000, 2 * MB), ("RAM", 0x2000_0000, 512 * KB)],
}


def model_of(board_name: str) -> Path:
    """The larger model that the board's flash has room for."""
    return LARGE if load_board(board_name).flash_bytes >= MB else SMALL


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A function that builds a board's image once, with warnings as errors.

    A model is compiled to C once an instruction set, and its C once for all boards with the same flags of GCC.
    """
    options = ImageOptions()
    built: dict[str, FirmwareImage] = {}

    @functools.cache
    def program_of(model: Path, instruction_set: str) -> Program:
        return compile_graph(
            read_tflite(model), CompileOptions(instruction_set, cascade=options.cascade, optimize=options.optimize)
        )

    @functools.cache
    def folders(model: Path, instruction_set: str, cpu_flags: str) -> tuple[Path, Path]:
        sources, objects = (tmp_path_factory.mktemp(name) for name in ("sources", "objects"))
        emit(program_of(model, instruction_set), default_name(model.stem), sources)
        return sources, objects

    def build(name: str) -> FirmwareImage:
        if name in built:
            return built[name]
        model, board, out = model_of(name), load_board(name), tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cmake_build, "_WARNINGS_AS_ERRORS", "ON")
            if board.tcm is not None:  # It may take two builds to find the memory.
                built[name] = build_program(program_of(model, board.instruction_set), board, out)
            else:
                sources, objects = folders(model, board.instruction_set, board.cpu_flags)
                cmake_build.configure_image(sources, board, objects, options)
                built[name] = cmake_build.finish_image(objects, board, out, options)
        return built[name]

    return build


def lies_in(board_name: str, kind: str, address: int, size: int) -> bool:
    return any(
        kind == there and first <= address and address + size <= first + length
        for there, first, length in MEMORIES[board_name]
    )


def test_the_table_has_every_board():
    assert set(MEMORIES) == set(board_names())


@pytest.mark.parametrize("name", board_names())
def test_the_memories_of_a_description_are_the_parts(name):
    board = load_board(name)
    assert lies_in(name, "flash", board.flash.origin, board.flash.bytes)
    assert lies_in(name, "RAM", board.sram.origin, board.sram.bytes)
    assert board.tcm is None or lies_in(name, "RAM", board.tcm.origin, board.tcm.bytes)
    assert board.boot is None or lies_in(name, "boot", board.boot.origin, board.boot.bytes)


@pytest.mark.parametrize("name", board_names())
def test_every_section_lies_in_real_memory(images, name):
    image = images(name)
    kinds = {".text": "flash", ".rodata": "flash", ".boot": "boot", ".stack": "RAM", ".data": "RAM", ".bss": "RAM"}
    with image.elf.open("rb") as file:
        elf = ELFFile(file)
        allocated = {s.name: s.header for s in elf.iter_sections() if s["sh_flags"] & 2 and s["sh_size"]}
        assert {".text", ".rodata", ".stack", ".bss"} <= set(allocated) <= set(kinds)
        for section, header in allocated.items():
            assert lies_in(name, kinds[section], header.sh_addr, header.sh_size)
            # RAM holds nothing when the power comes, but for .data, which is copied.
            assert (header.sh_type == "SHT_NOBITS") == (kinds[section] == "RAM" and section != ".data")
        for segment in elf.iter_segments("PT_LOAD"):
            if segment["p_filesz"]:  # Where it is written by a probe.
                where = "boot" if segment["p_paddr"] == 0 and name == "mps3_an547" else "flash"
                assert lies_in(name, where, segment["p_paddr"], segment["p_filesz"])
    written = [header for section, header in allocated.items() if kinds[section] == "flash"]
    # What alignment leaves free between two of them is written too.
    flash = max(header.sh_addr + header.sh_size for header in written) - min(header.sh_addr for header in written)
    assert (
        flash + allocated.get(".data", allocated[".text"]).sh_size * (".data" in allocated) == image.sizes.flash_bytes
    )


@pytest.mark.parametrize("name", board_names())
def test_the_vectors_are_what_the_processor_expects(images, name):
    """ARMv7-M ARM, DDI 0403E, B1.5.3: 16 words, the first the stack pointer, the others with bit 0 set for Thumb."""
    image, board = images(name), load_board(name)
    with image.elf.open("rb") as file:
        elf = ELFFile(file)
        text = elf.get_section_by_name(".text")
        words = struct.unpack("<16I", text.data()[:64])
        symbols = {s.name: s["st_value"] for s in elf.get_section_by_name(".symtab").iter_symbols()}
        sizes = {s.name: s["st_size"] for s in elf.get_section_by_name(".symtab").iter_symbols()}
        entry = elf["e_entry"]
    # VTOR ignores its lowest seven bits (B3.2.5); te_start() sets it to te_vectors.
    assert symbols["te_vectors"] == board.flash.origin
    assert board.flash.origin % 128 == 0
    assert sizes["te_vectors"] == 16 * 4
    stack_top, reset, *handlers = words
    assert stack_top % 8 == 0
    assert image.ram.origin < stack_top <= image.ram.end
    assert stack_top == symbols["te_stack_top"] == symbols["te_stack_bottom"] + board.stack_bytes
    assert reset == entry == symbols["te_on_reset"] | 1
    code_end = text["sh_addr"] + text["sh_size"]
    assert all(handler & 1 and board.flash.origin + 64 <= handler < code_end for handler in (reset, *handlers))
    assert handlers[-1] & ~1 == symbols["te_on_systick"] & ~1
    if board.boot:
        boot_stack, boot_reset = struct.unpack("<2I", section_data(image, ".boot"))
        assert (boot_stack, boot_reset) == (stack_top, reset)


def section_data(image: FirmwareImage, name: str) -> bytes:
    with image.elf.open("rb") as file:
        return ELFFile(file).get_section_by_name(name).data()


@pytest.mark.parametrize("name", board_names())
def test_there_is_no_heap_and_the_stack_is_at_the_bottom(images, name):
    image, board = images(name), load_board(name)
    with image.elf.open("rb") as file:
        elf = ELFFile(file)
        names = {symbol.name for symbol in elf.get_section_by_name(".symtab").iter_symbols()}
        stack = elf.get_section_by_name(".stack")
        assert (stack["sh_addr"], stack["sh_size"]) == (image.ram.origin, board.stack_bytes)
    assert not names & {"malloc", "_malloc_r", "_sbrk", "free", "_free_r", "__end__", "end"}
    assert image.sizes.ram_bytes + board.stack_bytes <= image.ram.bytes
    # What would lie below the stack is no memory, so an overflow cannot go unnoticed.
    assert not lies_in(name, "RAM", image.ram.origin - 4, 4)
    assert not lies_in(name, "flash", image.ram.origin - 4, 4)


def test_the_fast_memory_is_taken_where_everything_fits(images):
    board = load_board("nucleo_h743zi2")
    assert images("nucleo_h743zi2").ram == board.tcm
    assert images("stm32f405").ram == load_board("stm32f405").sram


@pytest.mark.parametrize("name", board_names())
def test_the_worst_case_stack_is_known_and_fits(images, name):
    image, board = images(name), load_board(name)
    assert image.stack.unknown == ""
    assert image.stack.path[0][0] == "te_start"
    assert sum(size for _, size in image.stack.path) + image.stack.interrupt_bytes == image.stack.worst_case_bytes
    assert 0 < image.stack.worst_case_bytes <= board.stack_bytes
    worst_case = [row for row in image.memory_rows() if row.what == "worst case"]
    assert [(row.bytes, row.limit) for row in worst_case] == [(image.stack.worst_case_bytes, board.stack_bytes)]


@pytest.mark.parametrize("name", EMULATED)
def test_an_emulated_board_computes_the_same_and_paints_no_more_stack(images, name):
    """All commands that print, divide and call deep; a timer interrupt comes at some depth or other."""
    try:
        find_tool("qemu-system-arm")
        golden = TflmRuntime(model_of(name))
    except ToolMissing as error:
        pytest.skip(str(error))
    image = images(name)
    with Emulator(image.elf, load_board(name)) as emulator:
        client = emulator.client
        info = client.info()
        inputs = np.random.default_rng(7).integers(-128, 128, (2, *info.inputs[0].shape[1:])).astype(np.int8)
        outputs = []
        for one in inputs:
            emulator.load(one.tobytes())
            client.infer(1, warmup=0)
            outputs.append(np.frombuffer(client.raw(), np.int8))
        for command in ("help", "db print", "results", "te crc", "te count", "timestamp"):
            client.command(command)
        used_bytes = client.info().stack_used_bytes
    expected = golden.run(inputs)
    np.testing.assert_array_equal(np.stack(outputs).reshape(expected.shape), expected)
    without_interrupt = image.stack.worst_case_bytes - image.stack.interrupt_bytes
    assert 0.85 * without_interrupt <= used_bytes <= image.stack.worst_case_bytes
