"""Flashing: an emulated board for real, the real tools without a probe, and what they say with one."""

import dataclasses
import functools
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from machines.board_images import countdown_image

from tinyedge.boards.board import board_names, load_board
from tinyedge.cli import main
from tinyedge.devices.elf import Segment, Variable, find_variable, read_elf
from tinyedge.devices.emulated_probe import FlashedEmulator
from tinyedge.devices.flash import TOOLS, choose_probe, choose_tool, confirm, find_firmware, flash_board, flash_steps
from tinyedge.devices.flash_tools.base import ProbeInfo, Step, explain
from tinyedge.devices.flash_tools.usb import st_links
from tinyedge.devices.gdb_remote import GdbRemote
from tinyedge.errors import ConfigError, ModelError, TargetError, ToolMissing
from tinyedge.toolchain import find_build_tools, find_tool

COUNTDOWN_SHA256 = "c0dec0dec0dec0de" + "0123456789abcdef" * 3
BOARDS = ["stm32f405", "mps2_an386", "mps3_an547"]  # Flash that is read-only, RAM, and two regions.
TOOL = {tool.name: tool for tool in TOOLS}
STM32F405 = load_board("stm32f405")

try:
    find_build_tools()
    find_tool("qemu-system-arm")
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def elf(once):
    """A function that builds the fixture model for a board, once."""
    return lambda name: countdown_image(once, name).elf


@pytest.fixture
def copy(elf, tmp_path) -> Path:
    """The image for stm32f405, ELF and BIN, to spoil."""
    for suffix in ("elf", "bin"):
        shutil.copyfile(elf("stm32f405").with_suffix(f".{suffix}"), tmp_path / f"tinyedge.{suffix}")
    return tmp_path / "tinyedge.elf"


# --- The emulated board --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOARDS)
def test_an_emulated_board_starts_from_what_was_written(elf, name):
    board, said = load_board(name), []
    firmware = find_firmware(elf(name), board)
    with FlashedEmulator(firmware.image, board, said.append) as emulator:
        assert "-kernel" not in emulator._process.args  # Nothing else can have brought the image.
        info = confirm(emulator.client, firmware, board)
        emulator.client.load(bytes(range(24)))
        emulator.client.infer(1, warmup=0)
        assert emulator.client.raw() == bytes(range(24))[::-1]
    assert info.board == name
    assert [sentence.split()[0].strip(":") for sentence in said] == ["wrote", "verified", "reset"]


def test_a_byte_that_is_not_kept_fails_the_verification(elf):
    image = read_elf(elf("stm32f405"))
    # A register of the reset controller, which QEMU does not have, takes every write and reads as 0.
    lost = Segment(0x40023800, b"\x11\x22\x33\x44")
    spoilt = type(image)(image.elf, (*image.segments, lost))
    with pytest.raises(TargetError, match=r"verification failed at 0x40023800: wrote 0x11, read 0x00"):
        FlashedEmulator(spoilt, STM32F405).__enter__()


def test_an_image_for_another_board_does_not_reach_the_emulated_one(elf):
    with pytest.raises(TargetError, match="no vectors at 0x08000000: build it for this --board"):
        FlashedEmulator(read_elf(elf("mps2_an386")), STM32F405).__enter__()


def test_the_command_flashes_the_emulated_board_and_serves_its_port(elf):
    from tinyedge.devices.serial import DeviceClient, SerialStream

    command = [sys.executable, "-m", "tinyedge", "flash", elf("stm32f405"), "--emulator", "--serve"]
    # Where this runs in the background, SIGINT is ignored, and would be in the child.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0, preexec_fn=heed) as process:
        try:
            said = ""
            while "Ctrl-C" not in said:
                assert select.select([process.stdout], [], [], 120)[0], said
                said += process.stdout.read(4096).decode() or pytest.fail(said)
            assert "m-ready; the emulated stm32f405 runs countdown (c0dec0dec0dec0de)" in said
            client = DeviceClient(SerialStream(re.search(r"/dev/\S+", said)[0], 115200))
            client.handshake()
            client.load(bytes(24))
            client.infer(1)
            assert client.raw() == bytes(24)
            client.close()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()


# --- The image -----------------------------------------------------------------------------------------------------


def test_the_hash_of_the_model_is_read_from_the_image(elf):
    image = read_elf(elf("stm32f405"))
    assert image.model_sha256() == COUNTDOWN_SHA256
    assert image.bytes_from(0x08000000, 1 << 20) == elf("stm32f405").with_suffix(".bin").read_bytes()
    assert image.vectors(0x08000000) == struct.unpack("<2I", elf("stm32f405").with_suffix(".bin").read_bytes()[:8])


def test_a_variable_is_found_where_nm_says(elf):
    path = elf("stm32f405")
    lines = subprocess.run(["arm-none-eabi-nm", "-S", path], capture_output=True, text=True, check=True).stdout
    address, size = next(line.split()[:2] for line in lines.splitlines() if line.endswith(" te_db"))
    assert find_variable(path, "te_db") == Variable(int(address, 16), int(size, 16))
    with pytest.raises(TargetError, match="has 0 variables te_no_such_variable, not one"):
        find_variable(path, "te_no_such_variable")


def test_an_image_of_another_program_has_no_hash(copy):
    copy.write_bytes(copy.read_bytes().replace(COUNTDOWN_SHA256.encode(), b"x" * 64))
    with pytest.raises(TargetError, match="holds 0 model hashes"):
        find_firmware(copy, STM32F405)


@pytest.mark.parametrize("size", [4, 51, 60, 4096])
def test_a_truncated_elf_is_told(copy, size):
    copy.write_bytes(copy.read_bytes()[:size])
    with pytest.raises(TargetError, match="not a whole ELF image for Arm"):
        find_firmware(copy, STM32F405)


def test_an_elf_of_this_machine_is_told(tmp_path):
    program = tmp_path / "program"
    shutil.copyfile(sys.executable, program)
    with pytest.raises(TargetError, match="not a whole ELF image for Arm"):
        find_firmware(program, STM32F405)


def test_a_file_that_is_no_image_and_no_model_is_told(tmp_path):
    (tmp_path / "passwd").write_text("root:x:0:0\n")
    with pytest.raises(ModelError, match=r"passwd is neither a firmware image \(ELF\) nor a TFLite model"):
        find_firmware(tmp_path / "passwd", STM32F405)


def test_an_image_for_another_board_is_told(elf):
    with pytest.raises(TargetError, match="which is no flash of stm32f405: build it with --board stm32f405"):
        find_firmware(elf("mps3_an547"), STM32F405)


def test_a_model_without_firmware_is_told(tmp_path):
    model = tmp_path / "m.tflite"
    model.write_bytes(b"....TFL3 anything")
    with pytest.raises(TargetError, match=r"run `tinyedge build .*m\.tflite --board stm32f405` first"):
        find_firmware(model, STM32F405)


def test_stale_firmware_is_told(copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "m.tflite"
    model.write_bytes(b"....TFL3 newer")
    (tmp_path / "m-stm32f405").mkdir()
    copy.rename(tmp_path / "m-stm32f405" / "tinyedge.elf")
    with pytest.raises(TargetError, match=r"holds the model c0dec0dec0dec0de and .*m\.tflite is [0-9a-f]{16}: run"):
        find_firmware(model, STM32F405)


def test_a_bin_of_another_build_is_told(copy):
    copy.with_suffix(".bin").write_bytes(b"older")
    with pytest.raises(TargetError, match="run `tinyedge build` again, which writes both"):
        flash_steps(find_firmware(copy, STM32F405), STM32F405, TOOL["st-flash"], "st-flash", None)


def test_a_board_without_a_probe_is_told(elf):
    board = load_board("mps2_an386")
    with pytest.raises(ConfigError, match="add --emulator"):
        flash_steps(find_firmware(elf("mps2_an386"), board), board, TOOL["pyocd"], "pyocd", None)


# --- The tools -----------------------------------------------------------------------------------------------------


def test_an_unknown_tool_is_told():
    with pytest.raises(ConfigError, match="choose --tool pyocd, openocd, st-flash"):
        choose_tool("jlink")


def test_a_missing_tool_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ToolMissing, match=r"pip install .*\[flash\]'` or `apt-get install openocd` or"):
        choose_tool(None)
    with pytest.raises(ToolMissing, match="openocd is not installed: run `apt-get install openocd`"):
        choose_tool("openocd")


def test_a_dry_run_is_json_too(elf, monkeypatch, capsys):
    try:
        tool, program = choose_tool(None)
    except ToolMissing as error:
        pytest.skip(str(error))
    said = []
    for options in ((), ("--json",)):
        command = ("flash", str(elf("stm32f405")), "--tool", tool.name, "--dry-run", *options)
        monkeypatch.setattr("sys.argv", ["tinyedge", *command])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        said.append(capsys.readouterr())
    text, structured = said
    following = f"next: tinyedge flash {elf('stm32f405')} --board stm32f405 --tool {tool.name}"
    steps = flash_steps(find_firmware(elf("stm32f405"), STM32F405), STM32F405, tool, program, None)
    assert text.out.splitlines() == [*(shlex.join(step.command) for step in steps), following]
    assert json.loads(structured.out) == {
        "board": "stm32f405",
        "image": str(elf("stm32f405")),
        "commands": text.out.splitlines()[:-1],
    }
    assert structured.err.splitlines() == [following]


def test_the_commands_name_files_probe_and_address(elf):
    firmware = find_firmware(elf("stm32f405"), STM32F405)

    def commands(name: str) -> list[tuple[str, ...]]:
        return [step.command for step in flash_steps(firmware, STM32F405, TOOL[name], f"/bin/{name}", "A1")]

    elf_path, bin_path = str(elf("stm32f405")), str(elf("stm32f405").with_suffix(".bin"))
    session = ("--no-wait", "--target", "stm32f405rgtx", "--uid", "A1")
    compare = f"compare 0x08000000 {bin_path}"
    assert commands("pyocd") == [
        ("/bin/pyocd", "commander", *session, "-c", "read32 0xe0042000"),
        ("/bin/pyocd", "load", *session, "--no-reset", elf_path),
        ("/bin/pyocd", "commander", *session, "-c", compare, "-c", "reset"),
    ]
    assert commands("st-flash") == [
        ("/bin/st-info", "--probe"),
        ("/bin/st-flash", "--reset", "--serial", "A1", "write", bin_path, "0x08000000"),
    ]
    (openocd,) = commands("openocd")
    assert openocd[:7] == (
        *("/bin/openocd", "-f", "interface/stlink.cfg", "-f", "target/stm32f4x.cfg", "-c", "adapter serial {A1}"),
    )
    assert openocd[-1] == f"program {{{elf_path}}} verify reset exit"


def test_the_serial_number_of_a_probe_is_no_command_of_openocd(elf):
    """Any USB device may claim to be a probe of any number."""
    firmware = find_firmware(elf("stm32f405"), STM32F405)
    (step,) = flash_steps(firmware, STM32F405, TOOL["openocd"], "/bin/openocd", "[exec id]; $x")
    assert "adapter serial {[exec id]; $x}" in step.command
    with pytest.raises(TargetError, match="no braces or backslashes"):
        flash_steps(firmware, STM32F405, TOOL["openocd"], "/bin/openocd", "}; exec id; {")


def installed(name: str) -> str:
    program = TOOL[name].find()
    return program or pytest.skip(f"{name} is not installed: run `make setup`")


@pytest.mark.parametrize("name", ["pyocd", "openocd", "st-flash"])
def test_the_real_tool_without_a_probe(elf, name):
    program = installed(name)
    if st_links():
        pytest.skip("an ST-Link is connected")
    # A chip that pyOCD has built in: nothing else of the board matters without a probe.
    builtin = dataclasses.replace(STM32F405.flash_tools, pyocd_target="stm32f429xi")
    board = dataclasses.replace(STM32F405, flash_tools=builtin)
    firmware = find_firmware(elf("stm32f405"), board)
    with pytest.raises(TargetError, match=r"no debug probe is connected.*lsusb"):
        flash_board(firmware, board, TOOL[name], program, None, print)
    # And where the list of probes does not tell, the run itself does.
    for step in flash_steps(firmware, board, TOOL[name], program, "0123"):
        done = subprocess.run(step.command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        if done.returncode == 0:
            with pytest.raises(TargetError, match="no debug probe"):
                step.check(done.stdout + done.stderr)
        else:
            assert "no debug probe" in explain(TOOL[name], step, done.stdout + done.stderr)
        break


def test_a_chip_that_pyocd_lacks_is_told_with_the_pack():
    program = installed("pyocd")
    lacking = dataclasses.replace(STM32F405.flash_tools, pyocd_target="stm32x999zz")
    with pytest.raises(TargetError, match="run `pyocd pack install stm32x999zz`"):
        TOOL["pyocd"].check_support(program, dataclasses.replace(STM32F405, flash_tools=lacking))


def test_openocd_itself_refuses_the_wrong_chip(elf):
    program = installed("openocd")
    (step,) = flash_steps(find_firmware(elf("stm32f405"), STM32F405), STM32F405, TOOL["openocd"], program, None)
    for chip, stopped in ((0x10016413, False), (0x10016449, True)):
        # OpenOCD's own Tcl with the commands that need a chip replaced.
        stubs = "proc init {} {}; proc reset {x} {}; proc program {args} {shutdown}; "
        stubs += f"proc mrw {{address}} {{return {chip}}}"
        words = list(step.command)
        words.insert(words.index("init") - 1, "-c")
        words.insert(words.index("init") - 1, stubs)
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        assert (done.returncode != 0) == stopped, done.stderr
        if stopped:
            sentence = explain(TOOL["openocd"], step, done.stdout + done.stderr)
            assert "sees device id 0x449 and stm32f405 has 0x413; nothing was written" in sentence


# Captured from pyOCD 0.46.0, OpenOCD 0.12.0 and stlink-tools 1.7.0; what needs a probe is put together from messages
# in their sources and programs.
SAID = [
    ("pyocd", "No connected debug probes\n0000456 E No target device available [load_cmd]\n", "no debug probe is conn"),
    ("pyocd", "No connected debug probe matches unique ID '0123'\n", "no debug probe 0123: plug"),
    (
        "pyocd",
        "0000871 C Target type stm32f405rgtx not recognized. Use 'pyocd list",
        "pyocd pack install stm32f405rgtx",
    ),
    ("pyocd", "0000512 C USB Error: [Errno 16] Resource busy [__main__]\n", "another program has the debug probe open"),
    (
        "pyocd",
        "0000500 W [Errno 13] Access denied ... remedied with a udev rule.\nNo connected debug probes",
        "udev rules",
    ),
    ("pyocd", "0000913 C STLink error (9): Get IDCODE error [__main__]\n", "does not reach the chip"),
    (
        "pyocd",
        "0001913 C flash program page failure (address 0x08000000; result code 0x1) [__main__]\n",
        "could not be written (address 0x08000000; result code 0x1): it may be protected",
    ),
    ("pyocd", "0001913 C something new [__main__]\n", "could not write and says: 0001913 C something new"),
    (
        "openocd",
        "Info : clock speed 2000 kHz\nError: open failed\nin procedure 'program'\n",
        "no debug probe is connected",
    ),
    ("openocd", "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS\nError: open failed\n", "udev rules"),
    (
        "openocd",
        "Error: libusb_claim_interface() failed with LIBUSB_ERROR_BUSY\nError: open failed\n",
        "another program",
    ),
    (
        "openocd",
        "embedded:startup.tcl:28: Error: Can't find target/stm32u5x.cfg\n",
        "lacks target/stm32u5x.cfg: install",
    ),
    (
        "openocd",
        "Error: Cannot identify target as a STM32H7xx family.\n** Programming Failed **\n",
        "wrong chip: the pro",
    ),
    ("openocd", "** Verify Started **\n** Verify Failed **\n", "verification failed"),
    (
        "openocd",
        "Error: init mode failed (unable to connect to the target)\n** OpenOCD init failed **\n",
        "does not reach",
    ),
    ("openocd", "\n", "could not write and says: nothing"),
    ("st-flash", "2026-11-21T16:18:15 WARN usb.c: Couldn't find any ST-Link devices\n", "no debug probe is connected"),
    (
        "st-flash",
        "WARN usb.c: Stlink usb device found, but unable to claim (probably already in use?)\n",
        "another program",
    ),
    ("st-flash", "Could not open USB device 0x0483:0x374b, access error.\n", "udev rules"),
    ("st-flash", "WARN common.c: unknown chip id! 0x482\n", "does not know the chip with id 0x482"),
    ("st-flash", "ERROR common.c: Verification of flash failed at offset: 512\n", "verification failed at byte 512"),
    ("st-flash", "Failed to connect to target\n", "does not reach the chip"),
]


@pytest.mark.parametrize(("tool", "said", "sentence"), SAID)
def test_what_a_tool_says_becomes_a_sentence(tool, said, sentence):
    assert sentence in explain(TOOL[tool], Step("write", (tool,)), said)


# In the form in which st-info 1.7.0 prints it.
ST_INFO = """Found 2 stlink programmers
  version:    V2J37S27
  serial:     066CFF535254886767223232
  flash:      1048576 (pagesize: 16384)
  sram:       196608
  chipid:     0x0413
  descr:      F4xx
  version:    V3J7M3
  serial:     002A00373137511239383538
  flash:      2097152 (pagesize: 131072)
  sram:       131072
  chipid:     0x0450
  descr:      H74x/H75x
"""


def identify(name: str, probe: str | None, elf: Path):
    firmware = find_firmware(elf, STM32F405)
    return flash_steps(firmware, STM32F405, TOOL[name], name, probe)[0].check


def test_st_flash_writes_no_other_chip(elf):
    identify("st-flash", "066CFF535254886767223232", elf("stm32f405"))(ST_INFO)
    with pytest.raises(TargetError, match="sees device id 0x450 and stm32f405 has 0x413; nothing was written"):
        identify("st-flash", "002A00373137511239383538", elf("stm32f405"))(ST_INFO)
    with pytest.raises(TargetError, match="does not reach the chip"):
        identify("st-flash", None, elf("stm32f405"))(ST_INFO.replace("0x0413", "0x0000"))


def test_pyocd_writes_no_other_chip(elf):
    check = identify("pyocd", None, elf("stm32f405"))
    check("e0042000:  10076413                               |..d.|\n")
    with pytest.raises(TargetError, match="sees device id 0x419"):
        check("e0042000:  20036419                               |..d |\n")
    with pytest.raises(TargetError, match="does not read the chip's id at 0xe0042000"):
        check("\n")


def test_pyocd_has_to_say_that_the_flash_matches(elf):
    firmware = find_firmware(elf("stm32f405"), STM32F405)
    check = flash_steps(firmware, STM32F405, TOOL["pyocd"], "pyocd", None)[-1].check
    check("Comparing 10844 bytes @ 0x08000000\nAll 10844 bytes match.\n")
    with pytest.raises(TargetError, match="verification failed at 0x08000010"):
        check("Mismatched byte at 0x08000010 (offset 0x10): 0xff (memory) != 0x5d (file)\n")
    with pytest.raises(TargetError, match="verification failed: flash it again"):
        check("")


def test_two_probes_are_told_apart():
    probes = [ProbeInfo("066CFF53", "NUCLEO-H743ZI2"), ProbeInfo("002A0037", "STLINK-V3")]
    with pytest.raises(
        TargetError, match=r"2 debug probes are connected: 066CFF53 \(NUCLEO-H743ZI2\), 002A0037 .*--probe"
    ):
        choose_probe(probes, None)
    with pytest.raises(TargetError, match="no debug probe 77; connected: 066CFF53"):
        choose_probe(probes, "77")
    assert choose_probe(probes, "002A0037").description == "STLINK-V3"
    assert choose_probe(probes[:1], None).id == "066CFF53"


def test_st_links_are_found_as_linux_lists_them(tmp_path):
    devices = {
        "usb1": {"idVendor": "1d6b", "idProduct": "0002"},
        "1-1": {"idVendor": "0483", "idProduct": "374e", "serial": "002A0037", "product": "STLINK-V3"},
        "1-1:1.0": {},
        "1-2": {"idVendor": "0483", "idProduct": "5740", "serial": "X"},  # A serial port that runs on a chip of ST's.
    }
    for name, files in devices.items():
        (tmp_path / name).mkdir()
        for key, value in files.items():
            (tmp_path / name / key).write_text(f"{value}\n")
    assert st_links(tmp_path) == [ProbeInfo("002A0037", "STLINK-V3")]
    assert st_links(tmp_path / "absent") is None


def test_a_board_without_an_st_link_needs_none(monkeypatch):
    monkeypatch.setattr("tinyedge.devices.flash_tools.openocd.st_links", list)
    board = load_board("nrf52840_dk")
    assert TOOL["openocd"].probes("openocd", board) is None
    assert TOOL["openocd"].probes("openocd", STM32F405) == []
    with pytest.raises(TargetError, match="st-flash writes STM32 alone, and nrf52840_dk has none: add --tool pyocd"):
        TOOL["st-flash"].check_support("st-flash", board)


@pytest.mark.parametrize("name", [name for name in board_names() if load_board(name).flash_tools is not None])
def test_openocd_has_the_configuration_of_every_board(name):
    program = installed("openocd")
    files = [word for file in load_board(name).flash_tools.openocd_config.split() for word in ("-f", file)]
    # `mrw` is what reads the chip's id.
    command = [program, *files, "-c", "echo [info commands mrw]", "-c", "shutdown"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "mrw" in done.stderr.split()


# --- GDB's protocol ------------------------------------------------------------------------------------------------


@pytest.fixture
def gdb_server():
    """A function that gives a connection at whose other end each packet is answered with the next of some bytes.

    After the last it stays open until we close it; after b"" it closes.
    """
    theirs, ours = socket.socketpair()
    threads = []

    def answers(*texts: bytes) -> socket.socket:
        def run() -> None:
            with theirs:
                for text in texts:
                    received = b""
                    while not re.search(rb"#[0-9a-f]{2}$", received):
                        received += theirs.recv(4096)
                    if not text:
                        return
                    theirs.sendall(text)
                while theirs.recv(4096):
                    pass

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return ours

    yield answers
    ours.close()
    for thread in threads:
        thread.join(timeout=10)


def packet(text: bytes) -> bytes:
    return b"+$" + text + b"#%02x" % (sum(text) % 256)


FEATURES = packet(b"PacketSize=40;x+")


def test_a_long_write_goes_in_packets_of_the_servers_size(gdb_server):
    # 64 bytes a packet: 16 of data, two digits each, beside the words.
    remote = GdbRemote(gdb_server(FEATURES, *[packet(b"OK")] * 3))
    remote.write(0x100, bytes(40))


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([packet(b"vContSupported+")], "states no packet size"),
        ([FEATURES, packet(b"E01")], "does not take 8 bytes at 0x00000100 \\('E01'\\)"),
        ([FEATURES, b"+$OK#00"], "wrong checksum"),
        ([FEATURES, b""], "the GDB server is gone"),
        ([FEATURES, packet(b"OK"), packet(b"E14")], "does not give 8 bytes at 0x00000100"),
        ([FEATURES, packet(b"OK"), packet(b"0000")], "does not give 8 bytes at 0x00000100"),
        ([FEATURES, packet(b"OK"), packet(b"0102030405060709")], "failed at 0x00000107: wrote 0x08, read 0x09"),
    ],
)
def test_a_server_that_answers_badly_is_told(gdb_server, answers, said):
    data = bytes(range(1, 9))

    def use() -> None:
        remote = GdbRemote(gdb_server(*answers))
        remote.write(0x100, data)
        remote.verify(0x100, data)

    with pytest.raises(TargetError, match=said):
        use()
