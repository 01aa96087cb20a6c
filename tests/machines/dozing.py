"""An emulated board that sleeps while nobody asks it anything."""

import signal
import threading

from tinyedge.devices.emulator import Emulator


class Dozing:
    """The line of an emulated board that sleeps once it has answered, where QEMU would keep a processor busy.

    Its time is that of its instructions, so that it does not notice.

    Args:
        emulator: It runs.
        at_once: Whether it sleeps as soon as the last answer has come, rather than when nothing comes for a while.
    """

    def __init__(self, emulator: Emulator, *, at_once: bool = False) -> None:
        self._stream, self._process = emulator.stream, emulator._process
        self._at_once = at_once
        self._lock = threading.Lock()
        self._unanswered = 0
        self._line = b""

    def write(self, data: bytes) -> None:
        """See `PipeStream.write`."""
        with self._lock:
            self._unanswered += data.count(b"%")
            self._process.send_signal(signal.SIGCONT)
        self._stream.write(data)

    def read(self, timeout_s: float) -> bytes:
        """See `PipeStream.read`."""
        data = self._stream.read(timeout_s)
        *lines, self._line = (self._line + data).split(b"\n")
        with self._lock:
            self._unanswered -= sum(b"m-ready" in line for line in lines)
            if self._unanswered <= 0 and (self._at_once or not data):
                self._process.send_signal(signal.SIGSTOP)
        return data

    def wake(self) -> None:
        """Let it go on, whether or not it is asked something."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Nothing: the line is the emulator's."""
