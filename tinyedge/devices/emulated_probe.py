"""An emulated board that gets its image as silicon does: through a debug port, into empty flash."""

import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tinyedge.boards.board import Board
from tinyedge.devices.emulator import Emulator
from tinyedge.devices.gdb_remote import GdbRemote
from tinyedge.errors import TargetError
from tinyedge.firmware.elf import LoadImage

_START_TIMEOUT_S = 30.0
_SOCKET = "gdb"


class FlashedEmulator(Emulator):
    """An emulated board whose flash is written, read back and started for the length of a `with` block.

    QEMU starts halted at reset with nothing loaded; its gdbstub is the probe. It writes the memory that the processor
    itself cannot: the flash of most boards is read-only to it.

    Args:
        image: What to write.
        board: What it was built for.
        report: Called with a sentence about each step that is done.

    Raises:
        TinyEdgeError: As for `Emulator`; or the board does not take the image.
    """

    def __init__(self, image: LoadImage, board: Board, report: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(image.elf, board)
        self._image = image
        self._board = board
        self._report = report
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "FlashedEmulator":
        self._folder = tempfile.TemporaryDirectory(prefix="tinyedge-gdb-")
        try:
            super().__enter__()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        assert self._folder is not None
        self._folder.cleanup()

    def _socket(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / _SOCKET

    def _image_options(self) -> list[str]:
        # A socket in a folder of our own: no port to race for.
        return [
            "-S",
            *("-chardev", f"socket,id=gdb0,path={self._socket()},server=on,wait=off"),
            *("-gdb", "chardev:gdb0"),
        ]

    def _load(self) -> None:
        boot = self._board.boot or self._board.flash
        stack_pointer, program_counter = self._image.vectors(boot.origin)
        probe = GdbRemote(self._connect())
        try:
            for segment in self._image.segments:
                probe.write(segment.address, segment.data)
            written = sum(len(segment.data) for segment in self._image.segments)
            self._report(f"wrote {written:,} bytes")
            for segment in self._image.segments:
                probe.verify(segment.address, segment.data)
            self._report("verified: every byte read back")
            probe.reset(stack_pointer, program_counter)
            self._report(f"reset: starts at {program_counter & ~1:#010x}")
            probe.resume()
        finally:
            probe.close()

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self._socket()))
                return connection
            except OSError as error:
                connection.close()
                if self._process is None or self._process.poll() is not None:
                    raise TargetError(self._why_it_ended()) from error
                if time.monotonic() > deadline:
                    raise TargetError(f"QEMU's gdbstub does not listen ({error}): run `tinyedge doctor`") from error
            time.sleep(0.02)
