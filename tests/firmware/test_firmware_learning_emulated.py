"""Learning on emulated boards: what is saved outlives a reset, and a power cut at every write of a save."""

import contextlib
import re
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tinyedge.boards.board import board_names, load_board
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import TargetError, ToolMissing
from tinyedge.learning.nearest_mean import NearestMean
from tinyedge.toolchain import find_build_tools, find_tool

SAVING = [name for name in board_names() if load_board(name).emulator and load_board(name).store]
ZERO_POINT = 3
RECORD_BYTES = {1: 96, 3: 192}  # 32 of header, 50 a class and 4 of CRC, rounded up to 32.

try:
    find_build_tools()
    find_tool("qemu-system-arm")
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


class Debugger:
    """QEMU's gdbstub, as much of the remote serial protocol as is used here."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        self._received = b""
        self.send("?")
        assert self.receive().startswith("T")  # Connecting has stopped the machine.

    def send(self, command: str) -> None:
        data = command.encode()
        self._socket.sendall(b"$" + data + f"#{sum(data) % 256:02x}".encode())

    def receive(self) -> str:
        while True:
            match = re.search(rb"\$([^#]*)#..", self._received)
            if match:
                self._received = self._received[match.end() :]
                self._socket.sendall(b"+")
                return match.group(1).decode()
            self._received += self._socket.recv(4096)

    def ask(self, command: str) -> str:
        """Return the answer to a command that leaves the machine stopped."""
        self.send(command)
        return next(answer for answer in iter(self.receive, None) if not answer.startswith(("T", "O,")))

    def resume(self) -> None:
        self.send("c")

    def wait(self) -> None:
        """Until the machine has stopped at a breakpoint."""
        while not self.receive().startswith("T05"):
            pass

    def breakpoints(self, kind: str, addresses: list[int]) -> None:
        """Set them with kind "Z", remove them with "z"."""
        for address in addresses:
            assert self.ask(f"{kind}0,{address:x},2") == "OK"

    def stop(self) -> None:
        self._socket.sendall(b"\x03")
        while not self.receive().startswith("T02"):  # QEMU may tell of a stop before a reset twice.
            pass

    def arguments(self) -> tuple[int, int, int]:
        """r0 to r2."""
        words = bytes.fromhex(self.ask("g")[:24])
        return tuple(int.from_bytes(words[start : start + 4], "little") for start in (0, 4, 8))

    def read(self, address: int, count: int) -> bytes:
        return bytes.fromhex(self.ask(f"m{address:x},{count:x}"))

    def write(self, address: int, data: bytes) -> None:
        assert self.ask(f"M{address:x},{len(data):x}:{data.hex()}") == "OK"

    def reset(self) -> None:
        """Reset the machine, which keeps its memory, and let it run."""
        self.ask("qRcmd," + b"system_reset".hex())
        self.resume()

    def close(self) -> None:
        self._socket.close()


# Each size of a write once, and a core without the instructions of the others.
CUT = [
    pytest.param(name, marks=[pytest.mark.thorough] if name in ("mps2_an385", "mps2_an386") else []) for name in SAVING
]


@pytest.fixture(params=SAVING)
def board(request):
    return load_board(request.param)


@pytest.fixture
def start(image, board):
    """A function that starts the board with room for some classes, and its debugger."""
    with contextlib.ExitStack() as stack:

        def run(classes: int):
            built = image(board.name, classes=classes)
            emulator = stack.enter_context(Emulator(built.elf, board))
            debugger = stack.enter_context(contextlib.closing(Debugger(emulator.debug_socket)))
            return built, emulator.client, debugger

        yield run


def symbols(elf: Path) -> dict[str, int]:
    lines = subprocess.run(["arm-none-eabi-nm", elf], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[2]: int(line.split()[0], 16) for line in lines}


def embedding(seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(-128, 128, 24, np.int8)
    values[-4:] = (0, 0, 0, seed)  # The model takes them, backwards, for a small number to count down from.
    return values


def load(client, seed: int) -> np.ndarray:
    client.load(embedding(seed)[::-1].tobytes())
    return embedding(seed)


def test_a_reset_keeps_what_was_saved(start, board):
    built, client, debugger = start(3)
    debugger.resume()
    assert (client.info().classes, client.classes()) == (3, [0, 0, 0])
    assert "emulates no flash" in client.info().store
    host = NearestMean(3, ZERO_POINT)
    for seed in range(7):
        host.enroll(seed % 3, load(client, seed))
        assert client.enroll(seed % 3) == 1 + seed // 3
    expected = host.classify(load(client, 9))
    assert client.classify() == expected
    assert (client.save(), client.save()) == (1, 2)
    debugger.stop()
    debugger.reset()
    client.wait_until_booted()
    assert client.classes() == [0, 0, 0]
    assert client.restore() == 2
    assert client.classes() == [3, 2, 2]
    load(client, 9)
    assert client.classify() == expected
    assert built.sizes.flash_store_bytes == board.store.reserved_bytes(board.flash)


@pytest.mark.parametrize("board", CUT, indirect=True)
def test_a_power_cut_at_every_write_leaves_the_old_or_the_new_classes(start, board):
    built, client, debugger = start(1)
    addresses = symbols(built.elf)
    stops = [addresses[name] & ~1 for name in ("te_memory_erase", "te_memory_program")]
    slots = addresses["te_bss_end"] if board.name == "stm32f405" else board.store.origin
    slot_bytes = RECORD_BYTES[1] if board.name == "stm32f405" else board.store.slot_bytes
    writes = RECORD_BYTES[1] // board.store.program_bytes
    old, old_number = 0, 0
    for cut in range(1 + writes):
        for torn in (0.5, 1.0):
            debugger.resume()
            load(client, 1)
            new = client.enroll(0)
            assert new == old + 1
            debugger.stop()
            debugger.breakpoints("Z", stops)
            debugger.resume()
            client._stream.write(b"te save%")
            debugger.wait()
            for _ in range(cut):  # A machine that goes on from a breakpoint would stop at it again.
                debugger.breakpoints("z", stops)
                debugger.send("s")
                debugger.wait()
                debugger.breakpoints("Z", stops)
                debugger.resume()
                debugger.wait()
            slot, offset, unit = debugger.arguments()
            # The power goes within this operation: a part of it has happened.
            if cut == 0:
                debugger.write(slots + slot * slot_bytes, b"\xff" * int(torn * RECORD_BYTES[1]))
            else:
                assert offset == (cut - 1) * board.store.program_bytes
                part = debugger.read(unit, int(torn * board.store.program_bytes))
                if part:
                    debugger.write(slots + slot * slot_bytes + offset, part)
            debugger.breakpoints("z", stops)
            debugger.reset()
            client.wait_until_booted()
            whole = cut == writes and torn == 1.0
            if whole or old_number:
                assert client.restore() == old_number + whole
            else:
                with pytest.raises(TargetError, match=r"no classes were saved|damaged"):
                    client.restore()
            assert client.classes() == [new if whole else old]
            if whole or (cut == 0 and torn == 1.0):  # From now on there is something to lose.
                load(client, 1)
                old = client.enroll(0)
                old_number = client.save()
            debugger.stop()
    assert old_number > 2
