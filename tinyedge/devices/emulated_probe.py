"""An emulated board that gets its image as silicon does: through a debug port, into empty flash."""

from collections.abc import Callable

from tinyedge.boards.board import Board
from tinyedge.devices.elf import LoadImage
from tinyedge.devices.emulator import Emulator


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

    def _image_options(self) -> list[str]:
        return ["-S"]

    def _load(self) -> None:
        boot = self._board.boot or self._board.flash
        stack_pointer, program_counter = self._image.vectors(boot.origin)
        probe = self._debugger()
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
