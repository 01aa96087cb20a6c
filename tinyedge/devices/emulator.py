"""A board emulated by QEMU, reached through its serial port."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zlib
from pathlib import Path
from types import TracebackType
from typing import IO

from tinyedge.boards.board import Board
from tinyedge.devices.elf import Variable, find_variable
from tinyedge.devices.gdb_remote import GdbRemote
from tinyedge.devices.serial import DeviceClient, PipeStream
from tinyedge.errors import ConfigError, LineLost, TargetError
from tinyedge.toolchain import find_tool

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0
# Of firmware/app/main.c: the input as the serial port brings it, which an inference copies.
_INPUT_VARIABLE = "te_db"


class Emulator:
    """Runs a firmware image in QEMU for the length of a `with` block.

    `-icount shift=0` lets every instruction take one nanosecond of virtual time, so that the same image executes the
    same instructions in every run and the board's SysTick counts them.

    Args:
        elf: The image.
        board: What it was built for.
        plugin: A TCG plug-in and its arguments, as QEMU's option takes them; "" for none.

    Attributes:
        client: The protocol's client; the device has said that it is ready.
        stream: The serial line under it.
        debug_socket: QEMU's gdbstub, which halts the processor while somebody is connected.

    Raises:
        ConfigError: QEMU does not have this board.
        TargetError: The image does not start.
        ToolMissing: QEMU is not installed.
    """

    client: DeviceClient
    stream: PipeStream
    debug_socket: Path
    _process: subprocess.Popen[bytes]
    _messages: IO[bytes]
    _folder: tempfile.TemporaryDirectory[str]

    def __init__(self, elf: Path, board: Board, plugin: str = "") -> None:
        if board.emulator is None:
            raise ConfigError(
                f"QEMU does not emulate {board.name}: choose another --board, or the board itself with --target board"
            )
        if not elf.is_file():
            raise TargetError(f"no such firmware image: {elf}; run `tinyedge build` first")
        self._elf = elf
        self._board = board
        self._model = board.emulator
        self._plugin = plugin
        self._qemu = find_tool("qemu-system-arm").path
        self._input: Variable | None = None

    def __enter__(self) -> "Emulator":
        # Its serial port is its standard input and output: no port to race for, no file to leave behind.
        self._messages = tempfile.TemporaryFile()
        # A socket in a folder of our own: no port to race for.
        self._folder = tempfile.TemporaryDirectory(prefix="tinyedge-qemu-")
        self.debug_socket = Path(self._folder.name) / "gdb"
        self._process = subprocess.Popen(
            [*_die_with_parent(), *self._command()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            bufsize=0,
        )
        self.stream = PipeStream(*_pipes(self._process), self._why_it_ended)
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

    def run(self, data: bytes) -> bytes:
        """Run one inference and return the bytes of its outputs.

        Args:
            data: As for `load`.

        Raises:
            LineLost: As for `load`.
            TargetError: As for `load`.
        """
        self.load(data)
        self.client.infer(1, warmup=0)
        return self.client.raw()

    def load(self, data: bytes) -> None:
        """Load an input as `DeviceClient.load` does: the first through the serial port, the others by a debugger.

        QEMU takes the bytes of a serial port one by one, which lasts ten times as long as most inferences. The device
        tells the checksum of what it has, whichever way it came.

        Args:
            data: The input tensor's bytes.

        Raises:
            LineLost: Other bytes arrived.
            TargetError: The length is not the model's.
        """
        if self._input is None:
            self.client.load(data)
            self._input = find_variable(self._elf, _INPUT_VARIABLE)
            return
        if len(data) != self._input.bytes:
            raise TargetError(f"the model takes {self._input.bytes} bytes, not {len(data)}: give another input")
        with contextlib.closing(self._debugger()) as debugger:
            debugger.write(self._input.address, data)
            debugger.resume()
        loaded, _ = self.client.crc()
        if loaded != zlib.crc32(data):
            raise LineLost("the input arrived with another CRC-32: build the firmware again")

    def _debugger(self) -> GdbRemote:
        """Connect to QEMU's gdbstub, once it listens."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self.debug_socket))
                return GdbRemote(connection)
            except OSError as error:
                connection.close()
                if self._process.poll() is not None:
                    raise TargetError(self._why_it_ended()) from error
                if time.monotonic() > deadline:
                    raise TargetError(f"QEMU's gdbstub does not listen ({error}): run `tinyedge doctor`") from error
            time.sleep(0.02)

    def _command(self) -> list[str]:
        return [
            str(self._qemu),
            *("-machine", self._model.machine),
            *("-icount", "shift=0"),
            "-nodefaults",
            *("-display", "none"),
            *("-chardev", "stdio,id=line0,signal=off"),
            *(("-serial", "null") * self._model.serial_port),
            *("-serial", "chardev:line0"),
            *("-chardev", f"socket,id=gdb0,path={self.debug_socket},server=on,wait=off"),
            *("-gdb", "chardev:gdb0"),
            *self._image_options(),
            *(("-plugin", self._plugin) if self._plugin else ()),
        ]

    def _image_options(self) -> list[str]:
        """How the image comes into QEMU's memory: before it starts."""
        return ["-kernel", str(self._elf)]

    def _load(self) -> None:
        """What is left to do for it once QEMU runs: nothing."""

    def _why_it_ended(self) -> str:
        try:
            status: object = self._process.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            status = "none yet"
        self._messages.seek(0)
        said = self._messages.read().decode("utf-8", errors="replace").strip().replace("\n", "; ")
        return f"QEMU's {self._model.machine} ended (status {status}) while running {self._elf}: {said or 'no message'}"

    def _stop(self) -> None:
        self.client.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._messages.close()
        self._folder.cleanup()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return a process's standard input and output."""
    if process.stdin is None or process.stdout is None:
        raise TargetError("QEMU has no standard input and output: start it with pipes")
    return process.stdin, process.stdout


def _die_with_parent() -> list[str]:
    """The command that lets QEMU end with us even when we are killed; util-linux brings it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
