"""A board emulated by QEMU, reached through its serial port."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

from tinyedge.boards.board import Board
from tinyedge.devices.serial import DeviceClient, PipeStream
from tinyedge.errors import ConfigError, TargetError
from tinyedge.firmware.toolchain import find_tool

_STOP_TIMEOUT_S = 5.0


class Emulator:
    """Runs a firmware image in QEMU for the length of a `with` block.

    `-icount shift=0` lets every instruction take one nanosecond of virtual time, so that the same image executes the
    same instructions in every run and the board's SysTick counts them.

    Args:
        elf: The image.
        board: What it was built for.

    Attributes:
        client: The protocol's client; the device has said that it is ready.
        stream: The serial line under it.

    Raises:
        ConfigError: QEMU does not have this board.
        TargetError: The image does not start.
        ToolMissing: QEMU is not installed.
    """

    client: DeviceClient
    stream: PipeStream

    def __init__(self, elf: Path, board: Board) -> None:
        if board.emulator is None:
            raise ConfigError(f"QEMU does not emulate {board.name}: use a board of which `machine` is known")
        if not elf.is_file():
            raise TargetError(f"no such firmware image: {elf}; run `tinyedge build` first")
        self._elf = elf
        self._board = board
        self._model = board.emulator
        self._qemu = find_tool("qemu-system-arm").path
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: IO[bytes] | None = None

    def __enter__(self) -> "Emulator":
        # Its serial port is its standard input and output: no port to race for, no file to leave behind.
        self._messages = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [*_die_with_parent(), *self._command()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.stream = PipeStream(self._process.stdin, self._process.stdout, self._why_it_ended)
        self.client = DeviceClient(self.stream, self._model.instructions_per_tick)
        try:
            self._load()
            self.client.wait_until_booted()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _command(self) -> list[str]:
        return [
            str(self._qemu),
            *("-machine", self._model.machine),
            *("-icount", "shift=0"),
            "-nodefaults",
            *("-display", "none"),
            *("-chardev", "stdio,id=serial0,signal=off"),
            *("-serial", "chardev:serial0"),
            *self._image_options(),
        ]

    def _image_options(self) -> list[str]:
        """How the image comes into QEMU's memory: before it starts."""
        return ["-kernel", str(self._elf)]

    def _load(self) -> None:
        """What is left to do for it once QEMU runs: nothing."""

    def _why_it_ended(self) -> str:
        assert self._process is not None
        assert self._messages is not None
        try:
            status: object = self._process.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            status = "none yet"
        self._messages.seek(0)
        said = self._messages.read().decode("utf-8", errors="replace").strip().replace("\n", "; ")
        return f"QEMU's {self._model.machine} ended (status {status}) while running {self._elf}: {said or 'no message'}"

    def _stop(self) -> None:
        self.client.close()
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._messages is not None:
            self._messages.close()
            self._messages = None


def _die_with_parent() -> list[str]:
    """The command that lets QEMU end with us even when we are killed; util-linux brings it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
