"""A serial port of this machine with a device's byte stream at its other end, where a board's would be."""

import contextlib
import os
import pty
import select
import threading
import tty

from tinyedge.devices.serial import ByteStream
from tinyedge.errors import TargetError

_POLL_S = 0.1
# A reader that takes longer than this for what fits into the port loses bytes, as on a cable.
_PATIENCE_S = 5.0


class PtyPort:
    """A pseudo-terminal that carries a stream's bytes both ways while `run` runs.

    Args:
        stream: The device's; it stays the caller's.

    Attributes:
        name: What programs open: "/dev/pts/3".
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        # Holding the other end open keeps the port alive while no program has it open.
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.name = os.ttyname(self._theirs)
        self._unplugged = threading.Event()

    def run(self) -> None:
        """Carry bytes until `unplug`.

        Raises:
            TargetError: The device has ended.
        """
        back = threading.Thread(target=self._carry_to_device, daemon=True)
        back.start()
        try:
            while not self._unplugged.is_set():
                waiting = self._stream.read(_POLL_S)
                while waiting and select.select([], [self._ours], [], _PATIENCE_S)[1]:
                    waiting = waiting[os.write(self._ours, waiting) :]
        finally:
            self._unplugged.set()
            back.join()
            os.close(self._ours)
            os.close(self._theirs)

    def unplug(self) -> None:
        """Let `run` end, and with it the port: a program that has it open sees its line break."""
        self._unplugged.set()

    def _carry_to_device(self) -> None:
        # The other thread tells of a device that has ended.
        with contextlib.suppress(TargetError):
            while not self._unplugged.is_set():
                if select.select([self._ours], [], [], _POLL_S)[0]:
                    self._stream.write(os.read(self._ours, 4096))
