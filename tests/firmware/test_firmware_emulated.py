"""Built images on emulated boards: boot, protocol, counter, faults, and what the linker made."""

import struct
import time
import zlib

import numpy as np
import pytest
from machines.dozing import Dozing

from tinyedge.boards.board import board_names, load_board
from tinyedge.devices.emulator import Emulator
from tinyedge.devices.serial import DeviceClient
from tinyedge.errors import TargetError, ToolMissing
from tinyedge.toolchain import find_build_tools, find_tool

INPUT_BYTES = 24
EMULATED = [name for name in board_names() if load_board(name).emulator]

try:
    find_build_tools()
    find_tool("qemu-system-arm")
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


def countdown_input(count: int) -> bytes:
    return struct.pack("<I", count) + bytes(range(20))


@pytest.mark.parametrize("name", EMULATED)
@pytest.mark.parametrize(
    ("count", "said"),
    [(0xFFFFFFF0, "UsageFault"), (0xFFFFFFF1, "stack overflow"), (0xFFFFFFF2, "BusFault|HardFault")],
)
def test_a_fault_is_reported(image, name, count, said):
    if said == "stack overflow" and name.startswith("mps2"):
        pytest.skip("QEMU's MPS2 ignores accesses below its RAM, so the overflow does not fault there")
    if said != "UsageFault" and name == "nucleo_f207zg":
        pytest.skip("QEMU's netduino2 ignores accesses to where nothing is, so they do not fault there")
    with Emulator(image(name).elf, load_board(name)) as emulator:
        emulator.client.load(countdown_input(count))
        with pytest.raises(TargetError, match=said):
            emulator.client.infer(1, warmup=0)


def test_an_mlperf_build_takes_pixels(image):
    pixels = bytes([4, 0, 0, 128] + [255, 0, 128, 127] * 5)  # The first four become the count 0x00808084.
    with Emulator(image("mps2_an386", "vww01").elf, load_board("mps2_an386")) as emulator:
        client = emulator.client
        assert client.command("profile")[1] == "m-model-[vww01]"
        client.load(pixels)
        client.infer(1, warmup=0)
        assert client.raw() == bytes(value ^ 0x80 for value in reversed(pixels))


@pytest.mark.parametrize("name", board_names())
def test_the_image_lies_where_the_board_has_memory(image, name):
    built, board = image(name), load_board(name)
    sections = elf_sections(built.elf.read_bytes())
    loaded = {key: value for key, value in sections.items() if value.allocated and value.bytes}
    assert {".text", ".rodata", ".stack", ".bss"} <= set(loaded)
    assert (".boot" in loaded) == (board.boot is not None)
    for key, section in loaded.items():
        memory = board.boot if key == ".boot" else board.flash if section.address < 0x2000_0000 else built.ram
        assert memory.origin <= section.address
        assert section.address + section.bytes <= memory.end
    # The stack is at the very bottom: where it overflows, there is no memory.
    assert sections[".stack"].address == built.ram.origin
    assert sections[".stack"].bytes == board.stack_bytes
    assert built.sizes.ram_bytes == sections[".bss"].bytes + (sections[".data"].bytes if ".data" in sections else 0)


@pytest.mark.parametrize("name", board_names())
def test_the_vectors_come_first(image, name):
    built, board = image(name), load_board(name)
    data = built.bin.read_bytes()
    stack_top, *handlers = struct.unpack("<16I", data[:64])
    assert stack_top == built.ram.origin + board.stack_bytes
    for handler in handlers:
        assert handler & 1  # Thumb
        assert board.flash.origin + 64 <= handler < board.flash.origin + len(data)


@pytest.mark.parametrize("name", board_names())
def test_the_sizes_add_up(image, name):
    sizes = image(name).sizes
    sections = elf_sections(image(name).elf.read_bytes())
    assert sizes.flash_bytes == image(name).bin.stat().st_size
    assert sizes.flash_bytes == sections[".rodata"].address + sections[".rodata"].bytes - sections[".text"].address
    assert sizes.flash_model_bytes == 256  # The fixture's one table.
    assert sizes.flash_code_bytes == sizes.flash_bytes - 256
    assert sizes.arena_bytes == 48
    assert sizes.flash_code_bytes < 16_384  # Start-up, protocol and C library.
    assert 64 < sizes.flash_kernel_bytes < 1024  # The fixture has no other kernels.


def test_the_hex_file_is_the_bin_file(image):
    built = image("stm32f405")
    memory, base = {}, 0
    for line in built.hex.read_text().split():
        record = bytes.fromhex(line.removeprefix(":"))
        assert sum(record) % 256 == 0
        size, address, kind = record[0], int.from_bytes(record[1:3], "big"), record[3]
        if kind == 4:
            base = int.from_bytes(record[4:6], "big") << 16
        elif kind == 0:
            memory.update({base + address + i: record[4 + i] for i in range(size)})
    assert min(memory) == built.board.flash.origin
    assert bytes(memory[address] for address in sorted(memory)) == built.bin.read_bytes()


class Section:
    def __init__(self, kind: int, flags: int, address: int, size: int) -> None:
        self.allocated = bool(flags & 2)
        self.address = address
        self.bytes = size
        self.kind = kind


def elf_sections(data: bytes) -> dict[str, Section]:
    assert data[:6] == b"\x7fELF\x01\x01"
    (table,) = struct.unpack_from("<I", data, 0x20)
    size, count, names = struct.unpack_from("<3H", data, 0x2E)
    headers = [struct.unpack_from("<10I", data, table + size * index) for index in range(count)]
    strings = headers[names][4]
    return {
        data[strings + name : data.index(b"\0", strings + name)].decode(): Section(kind, flags, address, length)
        for name, kind, flags, address, _, length, *_ in headers
    }


# The boards that stay on while several tests ask them come last.


@pytest.fixture(scope="module", params=EMULATED)
def device(request, image):
    board = load_board(request.param)
    elf = image(request.param).elf
    image(request.param, layers=True)  # While it is built a board would keep a processor busy, idle as it is.
    with Emulator(elf, board) as emulator:
        line = Dozing(emulator, at_once=True)
        try:
            yield board, DeviceClient(line, board.emulator.instructions_per_tick)
        finally:
            line.wake()


def test_it_says_what_it_is(device):
    board, client = device
    info = client.info()
    assert (info.name, info.runtime, info.board, info.cpu) == ("countdown", "aot", board.name, board.cpu)
    (given,), (made,) = info.inputs, info.outputs
    assert (given.type, given.shape, made.type, made.shape) == ("int8", (1, 2, 3, 4), "int8", (1, 24))
    assert (info.db_bytes, info.state_bytes) == (INPUT_BYTES, 0)
    assert info.count_unit == "ticks"  # QEMU has no cycle counter.
    assert info.uid == ""
    assert client.command("name") == [f"m-name-dut-[{board.name}]"]


def test_a_clock_that_does_not_start_is_said(device):
    board, client = device
    info = client.info()
    if board.name in ("stm32f405", "nucleo_f207zg"):  # QEMU's reset and clock control reads 0.
        assert (info.clock_hz, info.clock) == (16_000_000, "HSI (the PLL did not start)")
    else:
        assert info.clock_hz == board.clock_hz


def test_an_inference_gives_the_same_bytes_again_and_again(device):
    _, client = device
    data = countdown_input(3)
    client.load(data)
    client.infer(3, warmup=2)
    assert client.raw() == data[::-1]
    assert client.crc() == (zlib.crc32(data), zlib.crc32(data[::-1]))
    output = np.frombuffer(data[::-1], np.int8).astype(int)
    assert client.results() == pytest.approx([0.13 * (value - 3) for value in output], abs=6e-4)


def test_the_model_is_checked(device):
    _, client = device
    client.check_model("c0dec0dec0dec0de" + "0" * 48)
    with pytest.raises(TargetError, match="c0dec0dec0dec0de"):
        client.check_model("f" * 64)


def test_the_device_tells_of_errors(device):
    _, client = device
    with pytest.raises(TargetError, match="Unknown command: te learn"):
        client.command("te learn 1")
    with pytest.raises(TargetError, match="build it with --enroll"):
        client.enroll(1)
    with pytest.raises(TargetError, match="db load"):
        client.load(bytes(INPUT_BYTES + 1))


# SysTick wraps after 100 million instructions on stm32f405 and 671 million on mps2: each is crossed on one board, the
# later one with --thorough, for the same interrupt counts both.
WRAPS = [("stm32f405", 110_000_000), pytest.param("mps2_an386", 700_000_000, marks=pytest.mark.thorough)]
COUNTED = [(name, instructions) for name in EMULATED for instructions in (2_000, 200_000, 20_000_000)] + WRAPS


@pytest.mark.parametrize(("device", "instructions"), COUNTED, indirect=["device"])
def test_instructions_are_counted_to_a_tick(device, instructions):
    board, client = device
    per_tick = board.emulator.instructions_per_tick
    client.load(countdown_input(0))
    client.infer(1, warmup=1)
    base = client.instructions()
    client.load(countdown_input(instructions // 2))
    client.infer(1, warmup=0)
    wraps = instructions // int(per_tick * 2**24)
    # A tick at either end, and the interrupt of each wrap.
    assert abs(client.instructions() - base - instructions) <= 2 * per_tick + 2 + 20 * wraps


def test_layers_are_counted_to_some_ten_instructions(image, device):
    board, client = device
    with Emulator(image(board.name, layers=True).elf, board) as emulator:
        told = []
        counts = [0, 3, 10, 17, 101, 1_003, 50_000]
        for count in counts:
            emulator.client.load(countdown_input(count))
            told.append(emulator.client.layers())
    loops, reverses = zip(*told, strict=True)
    assert (loops[0].op, loops[0].name, loops[0].kernel) == ("COUNTDOWN", "count, down", "count_down")
    assert (reverses[0].op, reverses[0].macs) == ("REVERSE", 24)
    # In one tick there are 6 to 40 instructions. Two layers are told by four readings, that of a layer of nothing among
    # them, each known to a look at the counter: five instructions, and one more where no whole number is in a tick. On
    # a Cortex-M0+ reading the counter takes twice that. Of QEMU's STM32F205 it takes two ticks and more, and a look at
    # it more than half of one: each reading is then known to a tick and a look, 13 instructions.
    reach = {"nucleo_f207zg": 4 * 14, "mps2_an385_m0plus": 40, "mps3_an547": 4 * 6}.get(board.name, 4 * 5)
    for count, loop in zip(counts, loops, strict=True):
        assert abs(loop.count - loops[0].count - 2 * count) <= reach
    assert max(layer.count for layer in reverses) - min(layer.count for layer in reverses) <= reach
    client.load(countdown_input(50_000))
    client.infer(1, warmup=0)
    whole = client.instructions()
    assert abs(loops[-1].count + reverses[-1].count - whole) <= 2 * board.emulator.instructions_per_tick + 60


def test_an_image_without_layers_says_so(device):
    _, client = device
    client.load(countdown_input(0))
    with pytest.raises(TargetError, match="tells of no layers: build it with --layers"):
        client.layers()


def test_time_goes_with_the_counter(device):
    _, client = device
    client.load(countdown_input(1_000_000))
    seconds = client.infer(2, warmup=0) * 1e-6
    ticks, _ = client.count()
    assert seconds == pytest.approx(ticks / client.info().clock_hz, rel=0.01)


def test_the_stack_is_watched(device):
    board, client = device
    client.infer(1, warmup=0)
    info = client.info()
    assert info.stack_bytes == board.stack_bytes
    assert 100 < info.stack_used_bytes < board.stack_bytes // 2


# Both drivers of serial ports, of the USARTs of the STM32F2 and F4 and of Arm's boards.
LINES = [
    pytest.param(name, marks=[] if name in ("stm32f405", "mps2_an386") else [pytest.mark.thorough]) for name in EMULATED
]


@pytest.mark.parametrize("device", LINES, indirect=True)
def test_no_byte_is_lost_where_nobody_reads_for_a_while(device):
    _, client = device
    first = client.command("help%" * 39 + "help")
    time.sleep(1)  # A socket would hold 278 bytes.
    assert [client.command("name") for _ in range(39)] == [first] * 39  # Their own answers come after.
    client.handshake()


@pytest.mark.parametrize("device", LINES, indirect=True)
def test_long_noise_on_the_line_is_survived(device):
    board, client = device
    with pytest.raises(TargetError, match="longer than 80 characters"):
        client.command("x" * 10_000)
    assert client.command("name") == [f"m-name-dut-[{board.name}]"]
